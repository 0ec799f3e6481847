"""Averages over folds and seeds, and paired differences."""

import numpy as np
import pytest

from callspace.errors import CallspaceError
from callspace.evaluation.averages import average, difference
from callspace.evaluation.predictions import head_predictions
from callspace.evaluation.scores import Key, score

VOCABULARY = ["a", "b"]
ACCURACY = Key("full", "head", None, "accuracy")


def part(as_windows, fold: str, seed: int, skill: float, n_groups: int = 30):
    """Predictions on a fold's windows: how hard a recording is depends on the recording, alike for all heads."""
    fixed, own = np.random.default_rng(sum(map(ord, fold))), np.random.default_rng(seed)
    truth = np.repeat(fixed.integers(0, 2, n_groups), 5)
    hard = np.repeat(fixed.normal(size=n_groups), 5)
    right = skill + hard + 0.3 * own.normal(size=len(truth)) > 0
    scores = np.eye(2)[np.where(right, truth, 1 - truth)]
    group = [f"{fold}{at // 5:02d}" for at in range(len(truth))]
    return head_predictions(
        scores, as_windows([[VOCABULARY[code]] for code in truth], ["test"] * len(truth), group), VOCABULARY, "classification"
    )


def test_an_average_is_the_mean_over_its_parts(as_windows):
    parts = [part(as_windows, fold, seed, 0.5) for fold in "xyz" for seed in (0, 1)]
    found = average(parts, VOCABULARY, "classification", n_bootstrap=200)[ACCURACY]
    assert found.value == pytest.approx(np.mean([score(each, VOCABULARY, "classification")[ACCURACY] for each in parts]))
    assert (found.n_parts, found.n_groups) == (6, 30)
    low, high = found.interval()
    assert low < found.value < high


def test_more_folds_narrow_the_interval_and_more_seeds_of_a_fold_do_not(as_windows):
    def width(parts) -> float:
        low, high = average(parts, VOCABULARY, "classification", n_bootstrap=600)[ACCURACY].interval()
        return high - low

    one = width([part(as_windows, "x", 0, 0.5)])
    assert width([part(as_windows, "x", seed, 0.5) for seed in range(4)]) > 0.8 * one
    assert width([part(as_windows, fold, 0, 0.5) for fold in "xyzw"]) < 0.7 * one


def test_what_two_averages_share_cancels_in_their_difference(as_windows):
    better, worse = (average([part(as_windows, "x", 0, skill)], VOCABULARY, "classification") for skill in (0.8, 0.3))
    found = difference(better[ACCURACY], worse[ACCURACY])
    assert found.value == pytest.approx(better[ACCURACY].value - worse[ACCURACY].value)
    assert 0 < found.ci_low < found.value < found.ci_high
    assert found.p < 0.05
    unpaired = np.hypot(*(np.std(each[ACCURACY].replicates) for each in (better, worse)))
    assert np.std(better[ACCURACY].replicates - worse[ACCURACY].replicates) < 0.8 * unpaired


def test_a_head_does_not_differ_from_itself(as_windows):
    one = average([part(as_windows, "x", 0, 0.5)], VOCABULARY, "classification", n_bootstrap=100)[ACCURACY]
    assert difference(one, one) == (0.0, 0.0, 0.0, 1.0)


def test_few_groups_give_a_difference_without_an_interval(as_windows):
    one, two = (average([part(as_windows, "x", 0, skill, 4)], VOCABULARY, "classification")[ACCURACY] for skill in (2.0, -0.5))
    assert one.interval() == (None, None)
    assert difference(one, two) == (one.value - two.value, None, None, None)


def test_averages_of_different_numbers_of_replicates_are_not_compared(as_windows):
    one, two = (average([part(as_windows, "x", 0, 0.5)], VOCABULARY, "classification", n_bootstrap=n)[ACCURACY] for n in (50, 60))
    with pytest.raises(CallspaceError, match="50 and 60"):
        difference(one, two)
