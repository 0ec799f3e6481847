"""Which classes are taken for background and which for each other."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import confusion_matrix

from callspace.evaluation.diagnosis.confusions import confusions, most_confused, told_classes
from callspace.evaluation.diagnosis.planted import plant
from callspace.evaluation.predictions import list_column

LABELS = ["a", "b", "c"]


def predictions(truth, scores, separation=None, n_groups=20, reader="linear"):
    """`truth`: the label of each window, None for background; `scores` float[n, 3]."""
    n = len(truth)
    table = pa.table(
        {
            "window_id": np.arange(n),
            "group": [f"g{at % n_groups}" for at in range(n)],
            "labels": pa.array([[] if label is None else [label] for label in truth], pa.list_(pa.string())),
            f"scores:{reader}": list_column(np.asarray(scores, dtype=float)),
        }
    )
    return table if separation is None else table.append_column(f"separation:{reader}", pa.array(np.asarray(separation, dtype=float)))


def windows(n):
    return pa.table({"window_id": np.arange(n), "recording": ["r.wav"] * n, "onset_s": np.arange(n) * 1.0, "offset_s": np.arange(n) + 1.0})


def told_as(codes):
    return np.eye(3)[codes]


def test_a_class_that_is_taken_for_another_is_lost_and_its_windows_are_shown():
    truth = np.repeat([0, 1, 2], 60)
    told = np.where((truth == 1) & (np.arange(180) % 10 < 9), 2, truth)
    (finding,) = confusions(predictions([LABELS[code] for code in truth], told_as(told)), windows(180), LABELS, "classification")
    assert finding.verdict == "problem"
    assert "b is taken for c in 90 %" in finding.sentence
    assert all(window["label"] == "b" and window["said"] == "taken for c" for window in finding.windows)
    np.testing.assert_array_equal(finding.evidence["matrix"], confusion_matrix(truth, told))
    rate = finding.evidence["confusions"][0]["rate"]
    assert rate["interval"][0] <= rate["value"] <= rate["interval"][1]


def test_two_classes_that_are_told_by_a_coin_are_lost_and_said_together():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 200)
    told = np.where(truth < 2, rng.integers(0, 2, 600), 2)
    (finding,) = confusions(predictions([LABELS[code] for code in truth], told_as(told)), windows(600), LABELS, "classification")
    assert finding.verdict == "problem"
    assert "are taken for each other" in finding.sentence


def test_the_same_coin_with_a_dozen_windows_is_too_little_data_for_a_problem():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 12)
    told = np.where(truth < 2, rng.integers(0, 2, 36), 2)
    (finding,) = confusions(predictions([LABELS[code] for code in truth], told_as(told)), windows(36), LABELS, "classification")
    assert finding.verdict != "problem"


def test_few_confusions_are_fine_and_none_is_said_as_none():
    truth = np.repeat([0, 1, 2], 60)
    right = [LABELS[code] for code in truth]
    (finding,) = confusions(predictions(right, told_as(truth)), windows(180), LABELS, "classification")
    assert finding.verdict == "fine"
    assert "no class for another" in finding.sentence
    told = np.where(np.arange(180) % 21 == 0, (truth + 1) % 3, truth)  # each in another group
    (finding,) = confusions(predictions(right, told_as(told)), windows(180), LABELS, "classification")
    assert finding.verdict == "fine"


def test_in_detection_as_many_windows_are_called_background_as_are():
    truth = ["a", "b", None, None, "c", None]
    table = predictions(truth, told_as([0, 1, 2, 0, 2, 1]), [0.9, 0.2, 0.1, 0.8, 0.7, 0.3])
    told = told_classes(table, "linear", 3, "detection")
    assert told.tolist() == [0, 3, 3, 0, 2, 3]
    assert told_classes(predictions(truth, told_as([0, 1, 2, 0, 2, 1]), [0.5] * 6), "linear", 3, "detection").tolist() == [0, 1, 2, 0, 2, 1]


def test_without_a_separation_the_highest_score_says_what_is_background():
    table = predictions(["a", None, "b"], [[0.9, 0, 0], [0.1, 0.2, 0], [0, 0.8, 0]])
    assert told_classes(table, "linear", 3, "detection").tolist() == [0, 3, 1]


def test_calls_that_are_taken_for_background_are_said_so():
    rng = np.random.default_rng(1)
    truth = ["a"] * 100 + ["b"] * 100 + [None] * 200
    # Faint: b lies where background does.
    separation = np.concatenate([rng.normal(5, 1, 100), rng.normal(-2, 1, 100), rng.normal(0, 1, 200)])
    scores = told_as([0] * 100 + [1] * 100 + [2] * 200)
    (finding,) = confusions(predictions(truth, scores, separation), windows(400), LABELS, "detection")
    assert finding.verdict == "problem"
    assert "b is taken for background" in finding.sentence or "b and background" in finding.sentence
    assert "missed calls" in finding.remedy


def test_windows_of_several_labels_or_without_scores_count_for_nothing():
    table = predictions(["a", "b", "c"] * 20, told_as([0, 1, 2] * 20))
    labels = [["a", "b"], *table.column("labels").to_pylist()[1:]]
    table = table.set_column(2, "labels", pa.array(labels, pa.list_(pa.string())))
    scores = [None if at == 1 else row for at, row in enumerate(table.column("scores:linear").to_pylist())]
    table = table.set_column(3, "scores:linear", pa.array(scores, pa.list_(pa.float64())))
    table = table.append_column("separation:linear", pa.array(np.ones(60)))
    (finding,) = confusions(table, windows(60), LABELS, "detection")
    assert np.sum(finding.evidence["matrix"]) == 58


def test_the_finding_is_of_the_head_and_the_other_scores_are_evidence():
    truth = [0, 1, 2] * 20
    half = [1 if at % 6 == 0 else code for at, code in enumerate(truth)]
    table = predictions([LABELS[code] for code in truth], told_as(half), reader="knn")
    table = table.append_column("scores:linear", list_column(told_as(truth))).append_column("scores:head", list_column(told_as(truth)))
    (finding,) = confusions(table, windows(60), LABELS, "classification")
    assert finding.evidence["scores"] == "head"
    assert finding.sentence.startswith("The head ")
    assert finding.evidence["other_scores"] == {
        "linear": {"mean_recall": 1.0, "most_confused": "", "rate": 0.0},
        "knn": {"mean_recall": pytest.approx(2.5 / 3), "most_confused": "a for b", "rate": 0.5},
    }
    (linear,) = confusions(table.drop_columns(["scores:head"]), windows(60), LABELS, "classification")
    assert linear.evidence["scores"] == "linear"
    assert confusions(table.select(["window_id", "group", "labels"]), windows(60), LABELS, "classification") == []


def test_a_class_that_is_right_is_not_lost_because_another_is_never_told():
    # c is never told; a and b are right in 7 of 10 windows, and mistaken for c else.
    rng = np.random.default_rng(3)
    truth = np.repeat([0, 1, 2], 200)
    told = np.where(truth == 2, rng.integers(0, 2, 600), np.where(rng.random(600) < 0.7, truth, 2))
    (finding,) = confusions(predictions([LABELS[code] for code in truth], told_as(told)), windows(600), LABELS, "classification")
    assert finding.verdict == "problem"
    assert finding.sentence.startswith("The linear probe loses c:")


def test_of_two_classes_that_a_coin_tells_with_a_bias_the_one_that_is_hardly_ever_told_is_lost():
    rng = np.random.default_rng(4)
    truth = np.repeat([0, 1, 2], 200)
    told = np.where(truth < 2, (rng.random(600) < 0.3).astype(int), 2)
    (finding,) = confusions(predictions([LABELS[code] for code in truth], told_as(told)), windows(600), LABELS, "classification")
    assert finding.sentence.startswith("The linear probe loses b:")


def test_a_rate_whose_interval_reaches_nearly_0_is_no_problem():
    # All windows of b in 4 of 12 groups are taken for a: a third, but from few recordings.
    groups = np.arange(240) % 12
    truth = np.repeat([0, 1, 2], 80)
    told = np.where((truth == 1) & (groups < 4), 0, np.where((truth == 1) & (groups < 8), 2, truth))
    table = predictions([LABELS[code] for code in truth], told_as(told), n_groups=12)
    (finding,) = confusions(table, windows(240), LABELS, "classification")
    low, high = finding.evidence["confusions"][0]["rate"]["interval"]
    assert low < 0.2 < high
    assert finding.verdict == "unmeasured"
    assert "too few recordings of b" in finding.sentence


def test_a_class_that_is_hardly_ever_told_but_taken_for_many_is_worth_a_look_and_not_too_few_recordings():
    rng = np.random.default_rng(5)
    names = [*"abcdefgh"]
    truth = np.repeat(np.arange(8), 100)
    told = np.where(truth == 0, rng.integers(0, 8, 800), truth)
    scores = np.eye(8)[told]
    (finding,) = confusions(predictions([names[code] for code in truth], scores), windows(800), names, "classification")
    assert finding.verdict == "look"
    assert "a is told in" in finding.sentence
    assert "taken for several others" in finding.sentence


def test_perfect_scores_of_few_recordings_are_not_said_to_be_fine():
    truth = np.arange(90) % 3
    table = predictions([LABELS[code] for code in truth], told_as(truth), n_groups=8)
    (finding,) = confusions(table, windows(90), LABELS, "classification")
    assert finding.verdict == "unmeasured"
    assert (
        finding.sentence
        == "The linear probe: too few recordings of a, b, c to say whether another class takes a fifth of the windows or more."
    )


@pytest.mark.parametrize("seed", [2, 3])
def test_an_unlearnable_class_is_lost_and_no_other_is(seed):
    of = plant(seed, n_recordings=240, unlearnable=True)
    (finding,) = confusions(of.predictions, of.windows, of.labels, of.task)
    assert finding.verdict == "problem"
    assert finding.sentence.startswith(f"The linear probe loses {of.unlearnable}:")
    assert finding.evidence["other_scores"].keys() == {"knn", "prototype"}


def test_the_remedy_tells_no_one_to_tune_what_can_t_be():
    truth = np.repeat([0, 1, 2], 60)
    told = np.where(truth == 1, 2, truth)
    (finding,) = confusions(predictions([LABELS[code] for code in truth], told_as(told)), windows(180), LABELS, "classification")
    assert "tune, if the encoder can be tuned" in finding.remedy


def test_one_class_is_unmeasured_and_few_groups_have_no_interval():
    (one,) = confusions(predictions(["a"] * 30, told_as([0, 1, 2] * 10)), windows(30), LABELS, "classification")
    assert one.verdict == "unmeasured"
    truth, told = np.arange(60) % 3, np.arange(60) // 2 % 3
    (few,) = confusions(predictions([LABELS[code] for code in truth], told_as(told), n_groups=3), windows(60), LABELS, "classification")
    assert few.verdict == "unmeasured"
    assert all(each["rate"]["interval"] is None for each in few.evidence["confusions"])


@pytest.mark.parametrize("seed", range(3))
def test_rates_are_shares_of_the_true_class_and_the_largest_comes_first(seed):
    rng = np.random.default_rng(seed)
    codes, told = rng.integers(0, 3, 90), rng.integers(0, 3, 90)
    found = most_confused(told, codes, np.arange(90).astype(str), LABELS)
    matrix = confusion_matrix(codes, told, normalize="true")
    np.fill_diagonal(matrix, 0)
    assert [each.rate for each in found] == sorted(matrix.max(axis=1).tolist(), reverse=True)


def test_in_several_folds_background_is_told_by_the_order_of_each_and_the_subject_says_how_many():
    """Two fits whose scores are on other scales: each tells all of its own windows, though one's calls score like the other's background."""
    truth = ["a", "b", None, None] * 60
    separation = np.tile([0.9, 0.8, 0.2, 0.1], 60) + np.repeat([0.0, 10.0], 120)
    table = predictions(truth, told_as([0, 1, 2, 2] * 60), separation, n_groups=61)
    (alone,) = confusions(table, windows(240), LABELS, "detection")
    assert np.trace(alone.evidence["matrix"]) == 120
    assert "folds" not in alone.subject
    folds = table.append_column("fold", pa.array(np.repeat([1, 2], 120)))
    (pooled,) = confusions(folds, windows(240), LABELS, "detection", subject={"encoder": "mfcc"})
    assert (pooled.verdict, pooled.subject) == ("fine", {"encoder": "mfcc", "folds": 2})
    assert "(2 folds together)" in pooled.sentence
    assert np.trace(pooled.evidence["matrix"]) == 240
