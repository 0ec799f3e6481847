"""Agreement of clusters and labels, against scikit-learn and SciPy."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

from callspace.errors import CallspaceError
from callspace.metrics import chance
from callspace.metrics import clustering as ours

REFERENCES = {
    "nmi": sk.normalized_mutual_info_score,
    "ami": sk.adjusted_mutual_info_score,
    "ari": sk.adjusted_rand_score,
    "homogeneity": sk.homogeneity_score,
    "completeness": sk.completeness_score,
    "v_measure": sk.v_measure_score,
}


@st.composite
def partitions(draw):
    n = draw(st.integers(1, 30))
    codes = st.lists(st.integers(0, draw(st.integers(0, 5))), min_size=n, max_size=n)
    weights = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any))
    return np.array(draw(codes)), np.array(draw(codes)), np.array(weights)


@given(partitions())
@settings(max_examples=150, deadline=None)
def test_whole_number_weights_are_repeated_windows_to_scikit_learn(drawn):
    truth, clusters, weights = drawn
    t, c = np.repeat(truth, weights), np.repeat(clusters, weights)
    scores = ours.clustering_scores(truth, clusters, weights)
    for name, reference in REFERENCES.items():
        assert scores[name] == pytest.approx(reference(t, c), abs=1e-9), name


@given(partitions())
@settings(max_examples=60, deadline=None)
def test_hungarian_accuracy_is_the_best_of_all_assignments(drawn):
    truth, clusters, weights = drawn
    table = contingency_matrix(np.repeat(truth, weights), np.repeat(clusters, weights))
    square = np.zeros((max(table.shape),) * 2)
    square[: table.shape[0], : table.shape[1]] = table
    rows = np.arange(len(square))
    best = max(square[rows, list(order)].sum() for order in itertools.permutations(rows))
    assert ours.hungarian_accuracy(truth, clusters, weights) == pytest.approx(best / weights.sum())


@pytest.mark.parametrize(("n", "n_classes", "n_clusters"), [(40, 3, 5), (500, 10, 10), (3000, 50, 60), (3000, 2, 2), (2000, 2, 40)])
def test_chance_agreement_is_scikit_learns_for_small_and_large_classes(n, n_classes, n_clusters):
    generator = np.random.default_rng(n + n_classes)
    truth, clusters = generator.integers(0, n_classes, n), generator.integers(0, n_clusters, n) ** 2 // n_clusters
    table = contingency_matrix(truth, clusters, sparse=True)
    a, b = np.bincount(truth).astype(float)[:, None], np.bincount(clusters).astype(float)[:, None]
    found = chance.expected_mutual_information(a, b, np.array([float(n)]))
    assert found[0] == pytest.approx(expected_mutual_information(table, n), rel=1e-9)


def test_chance_agreement_is_that_of_shuffled_labels():
    generator = np.random.default_rng(0)
    truth, clusters = generator.integers(0, 4, 60), generator.integers(0, 3, 60)
    shuffled = [sk.mutual_info_score(generator.permutation(truth), clusters) for _ in range(4000)]
    a, b = np.bincount(truth).astype(float)[:, None], np.bincount(clusters).astype(float)[:, None]
    found = chance.expected_mutual_information(a, b, np.array([60.0]))[0]
    assert abs(found - np.mean(shuffled)) < 4 * np.std(shuffled) / np.sqrt(4000)


def test_class_sizes_too_large_for_one_key_give_the_same(monkeypatch):
    sizes = np.array([[3, 3, 4], [5, 5, 6], [20, 20, 20]])
    plain, where = chance._distinct(sizes)
    huge, there = chance._distinct(sizes * 2**21)
    np.testing.assert_array_equal(plain[:, where], sizes)
    np.testing.assert_array_equal(huge[:, there], sizes * 2**21)


def test_perfect_clusters_score_1_whatever_their_names():
    truth = np.array([0, 0, 1, 1, 2, 2, 2])
    scores = ours.clustering_scores(truth, np.array([4, 4, 0, 0, 1, 1, 1]))
    assert scores == pytest.approx(dict.fromkeys(ours.CLUSTERING_SCORES, 1.0))


def test_random_clusters_score_about_0_when_adjusted_for_chance_and_more_when_not():
    generator = np.random.default_rng(0)
    scores = [ours.clustering_scores(*generator.integers(0, 8, (2, 200))) for _ in range(40)]
    assert abs(np.mean([each["ami"] for each in scores])) < 0.01
    assert abs(np.mean([each["ari"] for each in scores])) < 0.01
    assert np.mean([each["nmi"] for each in scores]) > 0.04


def test_v_measure_is_nmi():
    truth, clusters = np.random.default_rng(1).integers(0, 5, (2, 80))
    assert ours.v_measure(truth, clusters) == pytest.approx(ours.nmi(truth, clusters))
    assert ours.homogeneity(truth, clusters) == pytest.approx(ours.completeness(clusters, truth))


def test_a_class_no_cluster_is_left_for_has_a_hungarian_recall_of_0_and_an_absent_one_none():
    truth, clusters = np.array([0, 0, 1, 1, 1, 3]), np.array([1, 1, 0, 0, 1, 1])
    assert ours.hungarian_recalls(truth, clusters, 5) == pytest.approx([1, 2 / 3, np.nan, 0, np.nan], nan_ok=True)


def test_rows_of_weights_give_what_each_row_gives():
    generator = np.random.default_rng(2)
    truth, clusters = generator.integers(0, 5, (2, 60))
    weights = generator.integers(0, 3, (6, 60))
    rows = ours.clustering_scores(truth, clusters, weights)
    for name in ours.CLUSTERING_SCORES:
        assert rows[name] == pytest.approx([ours.clustering_scores(truth, clusters, row, [name])[name] for row in weights])
    each = ours.hungarian_recalls(truth, clusters, 5, weights)
    assert each == pytest.approx(np.stack([ours.hungarian_recalls(truth, clusters, 5, row) for row in weights]), nan_ok=True)


def test_nothing_to_compare_is_not_a_number():
    assert all(np.isnan(score) for score in ours.clustering_scores([], []).values())
    assert np.isnan(ours.nmi([0, 1], [0, 1], [0, 0]))


def test_scores_that_count_windows_refuse_fractions_of_them():
    with pytest.raises(CallspaceError, match="whole numbers"):
        ours.ami([0, 1, 1], [0, 1, 0], [0.5, 1, 1])
    assert ours.nmi([0, 1, 1], [0, 1, 0], [0.5, 1, 1]) == pytest.approx(ours.nmi([0, 1, 1], [0, 1, 0], [1, 2, 2]))
