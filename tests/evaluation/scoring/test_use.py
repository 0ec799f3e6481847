"""What heads and probes say of the labels, scored against scikit-learn on the table's columns."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sk

from callspace.evaluation.decisions import decision_column
from callspace.evaluation.predictions import head_predictions
from callspace.evaluation.scoring import use
from callspace.evaluation.scoring.unpacked import Key, Predictions
from callspace.metrics.bootstrap import group_weights

VOCABULARY = [f"species {at}" for at in range(7)]


def predicted(as_windows, task: str, n: int = 140, absent: int | None = None) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Predictions of a middling head, truth bool[n, 7] and its probabilities."""
    generator = np.random.default_rng(0)
    truth = np.eye(7, dtype=bool)[generator.integers(0, 7, n)]
    if absent is not None:
        truth[truth[:, absent]] = np.eye(7, dtype=bool)[0]
    if task == "detection":
        truth &= generator.random((n, 1)) < 0.7
        truth[::9, 0] = True
    scores = truth * 0.3 + generator.random((n, 7)) * 0.7
    if task == "classification":
        scores /= scores.sum(axis=1, keepdims=True)
    labels = [[name for name, has in zip(VOCABULARY, row, strict=True) if has] for row in truth]
    windows = as_windows(labels, ["test"] * n, [f"r{at // 4:02d}" for at in range(n)])
    return head_predictions(scores, windows, VOCABULARY, task), truth, scores


def scored(table: pa.Table, task: str, weights=None) -> dict:
    found = {}
    for family in use.families(Predictions(table, VOCABULARY, task)):
        computed = family.compute(weights)
        found |= {key: computed[key] for key in family.sizes}
    return found


def overall(found: dict, reader: str = "head") -> dict:
    return {key.metric: value for key, value in found.items() if key.class_ is None and key.clusterer == reader}


def test_a_classification_has_every_score_of_scikit_learn(as_windows):
    table, truth, scores = predicted(as_windows, "classification")
    codes, guesses = truth.argmax(axis=1), scores.argmax(axis=1)
    found = overall(scored(table, "classification"))
    expected = {
        "accuracy": sk.accuracy_score(codes, guesses),
        "balanced_accuracy": sk.balanced_accuracy_score(codes, guesses),
        "macro_f1": sk.f1_score(codes, guesses, average="macro"),
        "micro_f1": sk.f1_score(codes, guesses, average="micro"),
        "top5_accuracy": sk.top_k_accuracy_score(codes, scores, k=5),
        "map": sk.average_precision_score(truth, scores),
        "map_beans": sk.average_precision_score(truth, scores),
        "macro_auroc": sk.roc_auc_score(codes, scores, multi_class="ovr"),
        "brier": sk.brier_score_loss(codes, scores, labels=range(7), scale_by_half=True),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert set(found) == {*expected, "calibration_error"}
    assert 0 < found["calibration_error"] < 1


def test_a_detection_with_decisions_has_every_score_of_scikit_learn(as_windows):
    table, truth, scores = predicted(as_windows, "detection")
    decided = scores > np.linspace(0.3, 0.6, 7)
    found = overall(scored(table.append_column("decisions:head", decision_column(decided)), "detection"))
    expected = {
        "map": sk.average_precision_score(truth, scores),
        "map_beans": sk.average_precision_score(truth, scores),
        "macro_auroc": sk.roc_auc_score(truth, scores),
        "macro_f1": sk.f1_score(truth, decided, average="macro"),
        "micro_f1": sk.f1_score(truth, decided, average="micro"),
        "brier": np.mean([sk.brier_score_loss(truth[:, k], scores[:, k]) for k in range(7)]),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert set(found) == {*expected, "calibration_error"}


def test_without_thresholds_a_detection_has_no_f1(as_windows):
    table, _, _ = predicted(as_windows, "detection")
    assert not {"macro_f1", "micro_f1"} & set(overall(scored(table, "detection")))


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_scores_that_are_no_probabilities_have_no_calibration(as_windows, task):
    table, _, scores = predicted(as_windows, task)
    labels = table.column("labels").to_pylist()
    other = head_predictions(scores * 3 - 1, as_windows(labels, ["test"] * 140, ["r"] * 140), VOCABULARY, task)
    found, other = overall(scored(table, task)), overall(scored(other, task))
    assert set(found) - set(other) == {"calibration_error", "brier"}
    assert other["map"] == pytest.approx(found["map"])
    assert use.without_calibration(task, "head", scores) is None
    said = use.without_calibration(task, "head", scores * 3 - 1)
    assert said is not None
    assert said.startswith("head: there is no calibration error and no Brier score, since its scores are no probabilities")


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_an_absent_class_counts_in_the_map_of_beans_only(as_windows, task):
    table, truth, scores = predicted(as_windows, task, absent=3)
    found = scored(table, task)
    present = [0, 1, 2, 4, 5, 6]
    each = [sk.average_precision_score(truth[:, k], scores[:, k]) for k in present]
    assert overall(found)["map"] == pytest.approx(np.mean(each))
    assert overall(found)["map_beans"] == pytest.approx(np.sum(each) / 7)
    assert overall(found)["macro_auroc"] == pytest.approx(np.mean([sk.roc_auc_score(truth[:, k], scores[:, k]) for k in present]))
    assert not [key for key in found if key.class_ == "species 3"]


def test_five_classes_have_no_top_five_and_a_sentence_says_so(as_windows):
    assert use.without_top(5) == "There is no top-5 accuracy: it needs more than 5 classes, and there are 5."
    assert use.without_top(6) is None
    windows = as_windows([["a"], ["b"]], ["test"] * 2, ["r", "s"])
    table = head_predictions(np.eye(2), windows, ["a", "b"], "classification")
    (family,) = use.families(Predictions(table, ["a", "b"], "classification"))
    assert "top5_accuracy" not in {key.metric for key in family.sizes}
    assert family.compute(None)[Key("full", "head", None, "accuracy")] == 1.0


def test_windows_without_a_label_count_in_detection_only(as_windows):
    windows = as_windows([["species 0"], [], ["species 1"]], ["test"] * 3, ["r", "s", "t"])
    scores = np.full((3, 7), 0.1)
    scores[[0, 1, 2], [0, 0, 1]] = 0.4, 0.9, 0.4
    found = {task: overall(scored(head_predictions(scores, windows, VOCABULARY, task), task)) for task in ("classification", "detection")}
    assert found["classification"]["map"] == 1.0
    assert found["detection"]["map"] == pytest.approx((0.5 + 1) / 2)


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_whole_number_weights_are_repeated_rows_and_replicates_are_single_weights(as_windows, task):
    table, _, scores = predicted(as_windows, task)
    if task == "detection":
        table = table.append_column("decisions:head", decision_column(scores > 0.4))
    weights = group_weights(table.column("group").to_pylist(), 3, 0)
    drawn = scored(table, task, weights)
    for at, row in enumerate(weights):
        single, repeated = scored(table, task, row), scored(table.take(np.repeat(np.arange(len(row)), row)), task)
        assert set(repeated) <= set(drawn)
        for key, value in repeated.items():
            assert drawn[key][at] == pytest.approx(value), key
            assert single[key] == pytest.approx(value), key


def test_one_class_and_one_window_give_what_is_defined(as_windows):
    table = head_predictions(np.array([[1.0, *[0.0] * 6]]), as_windows([["species 0"]], ["test"], ["r"]), VOCABULARY, "classification")
    found = overall(scored(table, "classification"))
    assert (found["accuracy"], found["map"], found["calibration_error"], found["brier"]) == (1, 1, 0, 0)
    assert np.isnan(found["macro_auroc"]), "there is no other class to rank it above"
