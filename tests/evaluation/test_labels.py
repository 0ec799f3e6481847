"""One label a window."""

import numpy as np
import pytest

from callspace.errors import CallspaceError
from callspace.evaluation.labels import label_matrix, membership, several, single_labels

VOCABULARY = ["wren", "robin", "owl"]
WINDOWS = [["owl", "wren"], [], ["robin"], ["robin", "owl"]]


def test_the_first_label_in_the_order_of_the_vocabulary_is_taken_by_default():
    assert single_labels(WINDOWS, VOCABULARY, "detection") == ["wren", "background", "robin", "robin"]


def test_drop_leaves_windows_with_several_labels_out():
    assert single_labels(WINDOWS, VOCABULARY, "detection", "drop") == [None, "background", "robin", None]


def test_each_counts_a_window_for_all_its_labels_and_takes_the_first_where_there_must_be_one():
    matrix = label_matrix(WINDOWS, VOCABULARY)
    np.testing.assert_array_equal(membership(matrix, "detection"), [[1, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 1, 1, 0]])
    np.testing.assert_array_equal(membership(matrix, "classification"), matrix)
    assert single_labels(WINDOWS, VOCABULARY, "detection", "each") == single_labels(WINDOWS, VOCABULARY, "detection", "first")


def test_windows_of_several_labels_are_a_share_of_the_labelled_ones():
    assert several(label_matrix(WINDOWS, VOCABULARY)) == 2 / 3
    assert several(label_matrix([[], []], VOCABULARY)) == 0.0


def test_a_window_without_labels_is_background_in_detection_only():
    assert single_labels([[], ["owl"]], VOCABULARY, "classification") == [None, "owl"]


def test_the_matrix_follows_the_vocabulary():
    np.testing.assert_array_equal(label_matrix(WINDOWS, VOCABULARY), [[1, 0, 1], [0, 0, 0], [0, 1, 0], [0, 1, 1]])


@pytest.mark.parametrize(
    ("vocabulary", "task", "rule", "said"),
    [
        (VOCABULARY, "detection", "loudest", "unknown label rule 'loudest': choose one of first, drop, each"),
        (VOCABULARY, "segmentation", "first", "unknown task"),
        (["wren", "robin"], "detection", "first", "owl"),
        ([*VOCABULARY, "background"], "detection", "first", "rename that label"),
        ([*VOCABULARY, "owl"], "detection", "first", "twice"),
    ],
)
def test_wrong_use_is_refused_in_words(vocabulary, task, rule, said):
    with pytest.raises(CallspaceError, match=said):
        single_labels(WINDOWS, vocabulary, task, rule)


def test_several_labels_are_refused_in_classification():
    said = "2 of 4 windows have several labels, the first owl and wren: in classification each window has one; judge them as detection"
    with pytest.raises(CallspaceError, match=said):
        single_labels(WINDOWS, VOCABULARY, "classification")
    assert single_labels([["owl", "owl"], [], None], VOCABULARY, "classification") == ["owl", None, None]
