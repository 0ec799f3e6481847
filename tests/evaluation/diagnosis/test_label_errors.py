"""Labels that are likely wrong: planted ones are found, and overlap of the classes is not taken for error."""

import numpy as np
import pyarrow as pa
import pytest

from callspace.errors import CallspaceError
from callspace.evaluation.diagnosis.label_errors import _calibrated, judge_labels, label_errors
from callspace.evaluation.diagnosis.planted import plant


def check(of, **more):
    return label_errors(of.vectors, of.windows, of.labels, of.task, **more)


def suspects(finding):
    return [window["window_id"] for window in finding.windows if window["kind"] == "suspect"]


@pytest.mark.parametrize("seed", range(2))
def test_five_percent_wrong_labels_are_a_problem_and_nearly_all_suspects_are_wrong(seed):
    of = plant(seed, "label errors", n_recordings=60, separation=1.0)
    finding = check(of)
    assert finding.verdict == "problem"
    found = suspects(finding)
    assert np.isin(found, of.wrong).mean() >= 0.9
    assert np.isin(of.wrong, found).mean() >= 0.7


@pytest.mark.parametrize("separation", [0.15, 0.4, 1.0])
def test_right_labels_raise_no_alarm_however_much_classes_overlap(separation):
    for seed in range(2):
        finding = check(plant(seed, n_recordings=40, separation=separation))
        assert finding.verdict in {"fine", "look"}


def test_what_overlap_explains_is_as_many_as_are_suspected_of_right_labels():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 12)
    codes = rng.integers(0, 4, len(groups))
    points = 0.5 * rng.standard_normal((4, 16))[codes] + rng.standard_normal((len(groups), 16))
    judged = judge_labels(points, codes, groups.astype(str), 4)
    found = (judged.suspected >= 0).sum()
    assert found > 10
    assert abs(found - judged.explained.sum()) < 4 * np.sqrt(judged.explained.sum())


def test_the_calibration_finds_temperature_and_error_rate():
    rng = np.random.default_rng(1)
    logits = 3 * rng.standard_normal((20_000, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    codes = (rng.random(20_000)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    random = rng.random(20_000) < 0.08
    codes = np.where(random, rng.integers(0, 4, 20_000), codes)
    temperature, rate = _calibrated(logits * 2.5, codes)
    assert temperature == pytest.approx(2.5, rel=0.1)
    assert rate == pytest.approx(0.08, abs=0.02)
    assert _calibrated(logits * 2.5, np.where(random, 0, logits.argmax(axis=1)))[0] < temperature


def test_typical_and_misplaced_windows_of_every_class_are_listed_with_where_they_are():
    of = plant(0, n_recordings=60, separation=1.0)
    listed = check(of).windows
    for label in of.labels:
        kinds = [window["kind"] for window in listed if window["label"] == label]
        assert {"typical", "misplaced"} <= set(kinds)
    typical = [window["self_confidence"] for window in listed if window["kind"] == "typical"]
    misplaced = [window["self_confidence"] for window in listed if window["kind"] == "misplaced"]
    assert np.mean(typical) > np.mean(misplaced)
    assert {"window_id", "recording", "onset_s", "offset_s", "label", "said"} <= set(listed[0])


def test_a_whole_group_never_judges_itself():
    # Every recording is a cluster of its own with one label: neighbours of the same recording would agree, others know nothing.
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(40), 8)
    codes = rng.integers(0, 2, 40)[groups]
    points = 5 * rng.standard_normal((40, 16))[groups] + rng.standard_normal((320, 16))
    judged = judge_labels(points, codes, groups.astype(str), 2)
    assert abs(judged.confidence.mean() - 0.5) < 0.15


def test_windows_of_several_labels_are_left_out_and_unlabelled_ones_are_background_in_detection():
    of = plant(1, n_recordings=60, separation=1.0)
    labels = [["species 0", "species 1"], *of.windows.column("labels").to_pylist()[1:]]
    windows = of.windows.set_column(4, "labels", pa.array(labels, pa.list_(pa.string())))
    finding = label_errors(of.vectors, windows, of.labels, of.task)
    assert finding.evidence["windows"] == windows.num_rows - 1
    assert ("background" in finding.evidence["by_class"]) == (of.task == "detection")


def test_few_groups_or_one_class_are_unmeasured_and_shapes_are_checked():
    of = plant(0, n_recordings=8)
    assert check(of).verdict == "unmeasured"
    one = plant(0, n_recordings=40)
    same = one.windows.set_column(4, "labels", pa.array([["species 0"]] * one.windows.num_rows, pa.list_(pa.string())))
    assert label_errors(one.vectors, same, one.labels, one.task).verdict == "unmeasured"
    with pytest.raises(CallspaceError, match="one row a window"):
        label_errors(of.vectors[1:], of.windows, of.labels, of.task)


def clips(codes, per=6, d=16):
    """Recordings of one class each, well told."""
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(len(codes)), per)
    n = len(of)
    names = [f"{at}.wav" for at in of]
    labels = [["abc"[codes[at]]] for at in of]
    columns = {"window_id": np.arange(n), "recording": names, "onset_s": np.zeros(n), "offset_s": np.ones(n), "labels": labels}
    vectors = 3 * rng.standard_normal((3, d))[np.asarray(codes)[of]] + rng.standard_normal((n, d))
    return vectors, pa.table(columns | {"split": ["train"] * n, "group": names})


def kinds_by_label(finding):
    found = {}
    for window in finding.windows:
        found.setdefault(window["label"], set()).add(window["kind"])
    return found


def test_a_class_of_one_group_is_listed_and_named_as_not_judged():
    vectors, windows = clips([0, 1] * 10 + [2])
    finding = label_errors(vectors, windows, ["a", "b", "c", "d"], "classification")
    assert finding.verdict == "fine"
    assert set(finding.evidence["by_class"]) == {"a", "b"}
    assert finding.evidence["not_judged"] == {"c": "all windows of one group", "d": "no window of this class alone"}
    assert finding.sentence.endswith("Not judged: c (all windows of one group); d (no window of this class alone).")
    assert all({"typical", "misplaced"} <= kinds_by_label(finding)[label] for label in "abc")
    of_c = [window for window in finding.windows if window["label"] == "c"]
    assert all(window["self_confidence"] is None and "its own windows" in window["said"] for window in of_c)
    nearest = np.linalg.norm(vectors[120:] - vectors[120:].mean(axis=0), axis=1)
    assert len(of_c) == 6
    assert nearest[[w["window_id"] - 120 for w in of_c if w["kind"] == "typical"]].mean() < nearest.mean()


@pytest.mark.parametrize("codes", [[0, 1, 2, 0, 1, 2], [0, 1, 0], [0, 1], [0, 0, 0], [0]])
def test_where_groups_are_few_windows_of_each_class_are_listed_though_errors_are_not_looked_for(codes):
    vectors, windows = clips(codes)
    labels = list("abc"[: max(codes) + 1])
    finding = label_errors(vectors, windows, labels, "classification")
    assert finding.verdict == "unmeasured"
    assert set(finding.evidence["not_judged"]) == set(labels)
    assert kinds_by_label(finding) == {label: {"typical", "misplaced"} for label in labels}
    ids = [window["window_id"] for window in finding.windows]
    assert len(set(ids)) == len(ids)


def test_without_windows_nothing_is_listed():
    vectors, windows = clips([0, 1])
    finding = label_errors(vectors[:0], windows.slice(0, 0), ["a", "b"], "classification")
    assert finding.verdict == "unmeasured"
    assert finding.windows == []


def test_the_same_seed_gives_the_same_finding():
    of = plant(2, n_recordings=40)
    assert check(of, seed=3) == check(of, seed=3)
