"""Curves by level: each band against all background, and the level at which a reader stops hearing."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from callspace.evaluation import scores
from callspace.evaluation.scores import Key, rows, score
from callspace.evaluation.scoring.levels import (
    FLOOR_BAND,
    MIN_WINDOWS,
    MOST_MISSING,
    bands_of,
    missing_thresholds,
    threshold,
    why_no_threshold,
)
from callspace.metrics.bootstrap import group_weights
from callspace.metrics.jackknife import left_out_weights


def predictions(n=600, seed=0, midpoint_db=0.0, groups=30):
    """A reader that hears a call the better the louder it is, and background windows."""
    generator = np.random.default_rng(seed)
    labelled = generator.random(n) < 0.6
    level = np.where(labelled, generator.uniform(-15, 20, n), np.nan)
    heard = np.where(labelled, (np.nan_to_num(level) - midpoint_db) / 4 + 1, 0.0)
    scores = heard.clip(0) + generator.normal(size=n)
    return pa.table(
        {
            "window_id": np.arange(n),
            "group": [f"g{at % groups}" for at in range(n)],
            "labels": pa.array([["a"] if one else [] for one in labelled], pa.list_(pa.string())),
            "label": pa.array(["a" if one else "background" for one in labelled]),
            "separation:linear": scores,
            "level_db": pa.array(level, mask=np.isnan(level)),
        }
    )


def test_each_band_is_scored_against_all_background_as_scikit_learn_does():
    table = predictions()
    found = score(table, ["a"], "detection")
    level = table["level_db"].to_numpy(zero_copy_only=False)
    scores, background = table["separation:linear"].to_numpy(), np.isnan(level)
    for low in range(-15, 20, 5):
        inside = (level >= low) & (level < low + 5)
        key = Key("full", "linear", f"{low} to {low + 5} dB", "separation_auroc_by_level")
        assert found[key] == pytest.approx(roc_auc_score(inside[inside | background], scores[inside | background]))


def test_an_encoder_that_hears_less_has_a_higher_threshold():
    key = Key("full", "linear", None, "hearing_threshold_db")
    found = [score(predictions(n=3000, midpoint_db=midpoint), ["a"], "detection")[key] for midpoint in (-5.0, 0.0, 5.0)]
    assert found[0] < found[1] < found[2]
    # An AUROC of 0.75 is a shift of 0.954 standard deviations, here one at the midpoint.
    assert found == pytest.approx([-5.0, 0.0, 5.0], abs=1.5)


def test_the_threshold_has_an_interval_in_decibels():
    (row,) = [
        row
        for row in rows(predictions(n=2000, midpoint_db=8.0), ["a"], "detection", n_bootstrap=200)
        if row["metric"] == "hearing_threshold_db"
    ]
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert row["ci_low"] > 2  # not cut to a score's range


def test_a_threshold_that_many_replicates_do_not_cross_has_no_interval():
    """Near the lowest level: leaving such replicates out would draw the interval's lower end in."""
    table = predictions(n=400, midpoint_db=-12.0)
    key = Key("full", "linear", None, "hearing_threshold_db")
    weights = group_weights(table["group"].to_pylist(), 150, 0)
    missing = [np.isnan(score(table, ["a"], "detection", row).get(key, np.nan)) for row in weights]
    assert MOST_MISSING["hearing_threshold_db"] < np.mean(missing) < 0.1, "few enough for other scores' intervals"
    (row,) = [one for one in rows(table, ["a"], "detection", n_bootstrap=150) if one["metric"] == "hearing_threshold_db"]
    assert np.isfinite(row["value"])
    assert (row["ci_low"], row["ci_high"]) == (None, None)


@pytest.mark.parametrize("midpoint", [-60.0, 60.0])
def test_a_curve_on_one_side_of_the_threshold_has_none(midpoint):
    found = score(predictions(midpoint_db=midpoint), ["a"], "detection")
    assert not [key for key in found if key.metric == "hearing_threshold_db"]


def test_a_band_of_few_windows_has_no_score():
    levels = np.r_[np.full(MIN_WINDOWS, 1.0), np.full(MIN_WINDOWS - 1, 7.0), np.nan]
    assert [name for name, _ in bands_of(levels)] == ["0 to 5 dB"]


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 9)), min_size=2, max_size=8))
def test_the_curve_is_made_to_rise_as_isotonic_regression_does(points):
    values, sizes = (np.array(part, dtype=float) for part in zip(*points, strict=True))
    levels = np.arange(len(values)) * 5.0
    rising = IsotonicRegression().fit_transform(levels, values, sample_weight=sizes)
    found = threshold(levels, values, sizes, 0.5, levels)
    if rising[0] >= 0.5 or rising[-1] < 0.5:
        assert np.isnan(found)
    else:
        assert np.interp(found, levels, rising) == pytest.approx(0.5, abs=1e-6)


def test_clips_have_accuracy_by_level():
    generator = np.random.default_rng(1)
    truth, level = generator.integers(0, 2, 200), generator.uniform(0, 10, 200)
    right = generator.random(200) < np.where(level < 5, 0.6, 0.95)
    guesses = np.where(right, truth, 1 - truth)
    table = pa.table(
        {
            "window_id": np.arange(200),
            "group": [str(at) for at in range(200)],
            "labels": pa.array([["ab"[at]] for at in truth]),
            "label": pa.array(["ab"[at] for at in truth]),
            "scores:linear": pa.array(np.eye(2)[guesses].tolist()),
            "level_db": level,
        }
    )
    found = score(table, ["a", "b"], "classification")
    low = Key("full", "linear", "0 to 5 dB", "accuracy_by_level")
    assert found[low] == pytest.approx(right[level < 5].mean())


def test_without_levels_there_is_no_curve():
    found = score(predictions().drop_columns(["level_db"]), ["a"], "detection")
    assert not [key for key in found if "level" in key.metric]


THRESHOLD_KEY = Key("full", "linear", None, "hearing_threshold_db")


def of_levels(level, scores, groups=30):
    """Predictions of windows at these levels, NaN background, with these scores."""
    level = np.asarray(level, dtype=float)
    labels = [[] if np.isnan(one) else ["a"] for one in level]
    return pa.table(
        {
            "window_id": np.arange(len(level)),
            "group": [f"g{at % groups}" for at in range(len(level))],
            "labels": pa.array(labels, pa.list_(pa.string())),
            "label": pa.array([one[0] if one else "background" for one in labels]),
            "separation:linear": np.asarray(scores, dtype=float),
            "level_db": pa.array(level, mask=np.isnan(level)),
        }
    )


def two_levels(low, high, seed=1):
    """Sixty calls that can't be heard, sixty that can, and background."""
    rng = np.random.default_rng(seed)
    levels = np.r_[np.full(60, low), np.full(60, high), np.full(120, np.nan)]
    return of_levels(levels, np.r_[rng.normal(0, 1, 60), rng.normal(6, 1, 60), rng.normal(0, 1, 120)])


def test_no_threshold_is_made_up_between_bands_that_are_not_neighbours():
    table = two_levels(-38.0, 21.0)
    found = rows(table, ["a"], "detection", n_bootstrap=100)
    assert not [row for row in found if row["metric"] == "hearing_threshold_db"]
    [said] = missing_thresholds(found)
    assert "'linear'" in said and "between calls of -40 to -35 dB and of 20 to 25 dB, with too few between" in said
    assert THRESHOLD_KEY in score(two_levels(11.0, 16.0), ["a"], "detection")


def test_calls_of_no_known_level_are_a_band_of_their_own_and_no_threshold_lies_above_them():
    table = two_levels(-15.0, -12.0)
    found = rows(table, ["a"], "detection", n_bootstrap=0)
    assert {row["class"] for row in found if row["metric"] == "separation_auroc_by_level"} == {FLOOR_BAND, "-15 to -10 dB"}
    assert not [row for row in found if row["metric"] == "hearing_threshold_db"]
    assert "calls at or below the background, whose level is not known, and those of -15 to -10 dB" in missing_thresholds(found)[0]


def test_levels_below_the_floor_are_known_and_keep_their_bands():
    assert [name for name, _ in bands_of(np.r_[np.full(10, -15.0), np.full(10, -22.0)])] == ["-25 to -20 dB", "-15 to -10 dB"]


@pytest.mark.parametrize(
    "curve, reason",
    [
        ({"0 to 5 dB": 0.8, "5 to 10 dB": 0.9}, "even the faintest calls (0 to 5 dB)"),
        ({FLOOR_BAND: 0.8, "5 to 10 dB": 0.9}, "even the faintest calls (at or below the background)"),
        ({"0 to 5 dB": 0.6, "5 to 10 dB": 0.7}, "even the loudest calls (5 to 10 dB) are not half heard"),
        ({"0 to 5 dB": 0.6}, "one band of levels only"),
        ({}, "no band"),
        ({"5 to 10 dB": 0.9, "-5 to 0 dB": 0.5}, "between calls of -5 to 0 dB and of 5 to 10 dB"),
        ({"5 to 10 dB": 0.9, "-5 to 0 dB": 0.5, "0 to 5 dB": 0.6}, None),
    ],
)
def test_why_there_is_no_threshold(curve, reason):
    said = why_no_threshold({band: (value, 20.0) for band, value in curve.items()})
    assert (reason in said) if reason else said == ""


def test_a_weighted_threshold_is_that_of_the_rows_drawn():
    table = predictions(n=900, midpoint_db=3.0, seed=4)
    weights = group_weights(table["group"].to_pylist(), 20, 0)
    weighted = score(table, ["a"], "detection", weights)[THRESHOLD_KEY]
    for own, found in zip(weights, weighted, strict=True):
        drawn = table.take(np.repeat(np.arange(table.num_rows), own))
        assert score(drawn, ["a"], "detection")[THRESHOLD_KEY] == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize("missing, has_interval", [(0, True), (2, True), (3, False)])
def test_the_share_of_replicates_without_a_threshold_is_counted_without_the_rows_of_the_jackknife(missing, has_interval):
    """Of 100 replicates up to two may lack it, however many groups it can't do without."""
    table = predictions(n=900, midpoint_db=3.0, groups=20)
    bands = bands_of(table["level_db"].to_numpy(zero_copy_only=False))
    without_calls = np.isin(np.arange(900), np.flatnonzero(np.any([band.inside for band in bands], axis=0)))
    weights, without = group_weights(table["group"].to_pylist(), 100, 0), left_out_weights(table["group"].to_pylist())
    weights[:missing, without_calls] = 0
    without[:1, without_calls] = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "group_weights", lambda *_: weights)
        patch.setattr(scores, "left_out_weights", lambda *_: without)
        found = scores.replicated(table, ["a"], "detection", 100)[THRESHOLD_KEY]
    assert np.isnan(found.left_out[0])
    assert np.isfinite(found.replicates[missing:]).all() == has_interval
