"""Averages over folds and seeds, and paired differences."""

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats

from callspace.errors import CallspaceError
from callspace.evaluation.averages import _averaged, _error, average, difference, differences
from callspace.evaluation.predictions import head_predictions
from callspace.evaluation.scores import Key, Replicated, score
from callspace.metrics.bootstrap import MIN_REPLICATES, group_weights
from callspace.metrics.jackknife import left_out_weights, standard_error
from callspace.metrics.multiple import verdict
from callspace.metrics.power import detectable
from callspace.metrics.weights import weighted_mean

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
    assert (found.n_parts, found.n_groups) == (6, 90)
    low, high, method = found.interval()
    assert low < found.value < high
    assert method == "t"


def test_more_folds_narrow_the_interval_and_more_seeds_of_a_fold_do_not(as_windows):
    def width(parts) -> float:
        low, high, _ = average(parts, VOCABULARY, "classification", n_bootstrap=600)[ACCURACY].interval()
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
    found = difference(one, one)
    # On these 30 groups; what it would do on others is as open as with two heads that happen to agree.
    reach = 1 - 0.025 ** (1 / 30)
    assert (found.value, found.ci_method, found.p) == (0.0, "exact", 1.0)
    assert (found.ci_low, found.ci_high) == pytest.approx((-reach, reach))
    assert found.detectable is None  # two things that never differ say nothing of the size of a difference


def test_few_groups_give_a_difference_without_an_interval(as_windows):
    one, two = (average([part(as_windows, "x", 0, skill, 4)], VOCABULARY, "classification")[ACCURACY] for skill in (2.0, -0.5))
    assert one.interval() is None
    assert difference(one, two) == (one.value - two.value, None, None, None, None, None, 4)


def test_two_perfect_heads_are_not_alike_by_six_groups(as_windows):
    one, two = (average([part(as_windows, "x", seed, 9.0, 6)], VOCABULARY, "classification", n_bootstrap=60)[ACCURACY] for seed in (0, 1))
    found = difference(one, two)
    assert verdict(found.value, found.ci_low, found.ci_high, found.p) == "undecided"


def test_small_folds_have_their_groups_together(as_windows):
    """Ten folds of four groups: 30 degrees of freedom, where each fold by itself has none to speak of."""
    folds = "abcdefghij"
    one, two = (
        average([part(as_windows, fold, at, skill, 4) for at, fold in enumerate(folds)], VOCABULARY, "classification")[ACCURACY]
        for skill in (0.9, 0.2)
    )
    assert (one.n_groups, one.freedom) == (40, 30)
    assert one.interval().method == "t"
    found = difference(one, two)
    assert found.n_groups == 40
    assert found.p < 0.05 < found.detectable
    # The textbook's error of a mean over strata: folds of equal groups.
    each = [
        np.array([_right(part(as_windows, fold, at, skill, 4)).reshape(4, 5).mean(axis=1) for at, fold in enumerate(folds)])
        for skill in (0.9, 0.2)
    ]
    error = np.sqrt(((each[0] - each[1]).var(axis=1, ddof=1) / 4).sum()) / 10
    assert (found.ci_high - found.ci_low) / 2 == pytest.approx(scipy.stats.t.ppf(0.975, 30) * error, rel=0.06)


def test_folds_of_one_group_are_resampled_together(as_windows):
    """Leave one site out: the t interval and the permutation test of the folds' differences."""
    folds = "abcdefgh"
    sides = [[part(as_windows, fold, 8 * at + turn, 0.6 - at / 2, 1) for turn, fold in enumerate(folds)] for at in (0, 1)]
    one, two = (average(parts, VOCABULARY, "classification", n_bootstrap=2000)[ACCURACY] for parts in sides)
    apart = np.array([_right(a).mean() - _right(b).mean() for a, b in zip(*sides, strict=True)])
    found = difference(one, two)
    reference = scipy.stats.t.interval(0.95, 7, apart.mean(), scipy.stats.sem(apart))
    assert (found.ci_low, found.ci_high) == pytest.approx(reference, abs=0.03)
    assert found.p == pytest.approx(scipy.stats.permutation_test((apart,), np.mean, permutation_type="samples").pvalue)
    assert found.n_groups == 8
    assert _error(one.shared) == pytest.approx(scipy.stats.sem([_right(each).mean() for each in sides[0]]))
    again = average([*sides[0], *sides[0]], VOCABULARY, "classification", n_bootstrap=2000)[ACCURACY]
    np.testing.assert_allclose(again.replicates, one.replicates)  # seeds of a fold are no more groups


def test_a_single_fold_of_one_group_beside_larger_ones_leaves_no_interval(as_windows):
    parts = [part(as_windows, "x", 0, 0.5), part(as_windows, "y", 0, 0.5, 1)]
    assert average(parts, VOCABULARY, "classification", n_bootstrap=60)[ACCURACY].interval() is None
    some = [*parts, part(as_windows, "z", 0, 0.5, 1)]
    assert average(some, VOCABULARY, "classification", n_bootstrap=60)[ACCURACY].freedom == 29 + 1


@pytest.mark.parametrize("sizes", [{"x": 3, "y": 24}, {"x": 24, "u": 1, "v": 1, "w": 1}])
def test_folds_of_unequal_size_count_as_the_jackknife_says(as_windows, sizes):
    parts = [part(as_windows, fold, 0, 0.5, size) for fold, size in sizes.items()]
    found = average(parts, VOCABULARY, "classification", n_bootstrap=4000)[ACCURACY]
    assert found.replicates.std() * np.sqrt(found.n_groups / found.freedom) == pytest.approx(_error(found.shared), rel=0.05)


@pytest.mark.parametrize(("folds", "each"), [(10, 4), (4, 2), (12, 1)])
def test_the_interval_over_small_folds_covers_the_truth_about_as_often_as_it_says(folds, each):
    """Of 400 repetitions at 0.95 fewer than 366 have a chance of 1 in 1,000; groups of one window, right with a chance of their own."""
    generator, covered = np.random.default_rng(0), 0
    names = [[f"{fold}-{at}" for at in range(each)] for fold in range(folds)]
    weights = [np.concatenate([group_weights(own, 150), left_out_weights(own)]) for own in names]
    for _ in range(400):
        parts = []
        for fold, values in enumerate(generator.beta(3, 1.5, (folds, each))):
            drawn = np.asarray(weighted_mean(values, weights[fold]))
            parts.append((str(fold), Replicated(values.mean(), drawn[:150], each, drawn[150:], np.full(each, 1 / each), each)))
        low, high, _ = _averaged(parts, "accuracy", 150, 0).interval()
        covered += low <= 3 / 4.5 <= high
    assert covered >= 366


def test_two_averages_over_other_folds_are_not_compared(as_windows):
    """One fold is easier than another: their difference says nothing of what was judged on them."""
    folds = {name: part(as_windows, name, 0, skill) for name, skill in (("x", 0.5), ("y", 2.5), ("z", -1.0))}
    one, two = (average([folds["x"], folds[name]], VOCABULARY, "classification", n_bootstrap=60)[ACCURACY] for name in "yz")
    found = difference(one, two)
    assert found.value == pytest.approx(one.value - two.value)
    assert (found.ci_low, found.ci_high, found.p, found.detectable, found.n_groups) == (None, None, None, None, 90)


def test_a_fold_that_counts_more_in_one_average_than_in_the_other_leaves_them_not_compared(as_windows):
    parts = {(fold, seed): part(as_windows, fold, seed, 0.5) for fold in "xy" for seed in (0, 1)}

    def over(*which):
        return average([parts[one] for one in which], VOCABULARY, "classification", n_bootstrap=60)[ACCURACY]

    whole = over(("x", 0), ("x", 1), ("y", 0), ("y", 1))
    assert difference(over(("x", 0), ("x", 1), ("y", 0)), whole).p is None
    assert difference(over(("x", 1), ("y", 0)), whole).p is not None  # each fold counts half in both


def test_what_is_detectable_heeds_how_many_are_compared(as_windows):
    three = [average([part(as_windows, "x", at, 0.4 * at, 8)], VOCABULARY, "classification", n_bootstrap=60)[ACCURACY] for at in range(3)]
    pairs = [(three[1], three[0]), (three[2], three[0]), (three[2], three[1])]
    alone, together = differences(pairs), differences(pairs, families=["pair"] * 3)
    for one, same, (a, b) in zip(alone, together, pairs, strict=True):
        (ours,), (theirs,) = a.shared.values(), b.shared.values()
        error = standard_error(ours.influences - theirs.influences)
        assert one.detectable == pytest.approx(detectable(error, 8))
        assert same.detectable == pytest.approx(detectable(error, 8, alpha=0.05 / 3))
        assert same.p == one.p
    assert {one.detectable for one in differences(pairs * 3, families=["pair"] * 9)} == {None}  # 8 groups: p of 2 in 256 at least
    # What has no p is not among those that are adjusted.
    other = average([part(as_windows, "y", 0, 0.1, 8)], VOCABULARY, "classification", n_bootstrap=60)[ACCURACY]
    assert differences([*pairs, (three[0], other)], families=["pair"] * 4)[:3] == together


def test_few_or_negative_replicates_give_no_interval(as_windows):
    parts = [part(as_windows, "x", 0, 0.5)]
    assert average(parts, VOCABULARY, "classification", n_bootstrap=MIN_REPLICATES - 1)[ACCURACY].interval() is None
    assert average(parts, VOCABULARY, "classification", n_bootstrap=MIN_REPLICATES)[ACCURACY].interval() is not None
    with pytest.raises(CallspaceError, match="-1 bootstrap replicates"):
        average(parts, VOCABULARY, "classification", n_bootstrap=-1)


def test_a_class_counts_the_groups_that_hold_it_in_every_fold(as_windows):
    """Two classes, a whole group of one each: recall of a is the mean over its own groups."""
    parts = [part(as_windows, fold, 0, 0.5, 12) for fold in "xy"]
    found = average(parts, VOCABULARY, "classification", n_bootstrap=60)[Key("full", "head", "a", "recall")]
    held = [
        len({group for group, label in zip(*map(pa.Table.column, [each] * 2, ["group", "label"]), strict=True) if label.as_py() == "a"})
        for each in parts
    ]
    assert found.n_groups == sum(held) < 24
    assert found.freedom == sum(held) - 2


def test_the_p_of_a_mean_is_that_of_scipys_permutations_of_group_sums(as_windows):
    """All 2^10 swaps of two heads within groups, over two folds and two seeds."""
    sides = [[part(as_windows, fold, seed, skill, 5) for fold in "xy" for seed in seeds] for skill, seeds in ((0.9, (0, 1)), (0.1, (2, 3)))]
    a, b = (average(parts, VOCABULARY, "classification", n_bootstrap=50)[ACCURACY] for parts in sides)
    sums = [
        sum(np.bincount(np.arange(25) // 5, _right(each)) for each in parts[:2]).tolist()
        + sum(np.bincount(np.arange(25) // 5, _right(each)) for each in parts[2:]).tolist()
        for parts in sides
    ]
    reference = scipy.stats.permutation_test(sums, lambda x, y, axis: np.sum(x - y, axis=axis), permutation_type="samples", vectorized=True)
    assert difference(a, b).p == pytest.approx(reference.pvalue)
    assert difference(a, b).n_groups == 10


def _right(part) -> np.ndarray:
    guesses = np.array(part["scores:head"].to_pylist()).argmax(axis=1)
    return np.array([VOCABULARY[guess] == label for guess, label in zip(guesses, part["label"].to_pylist(), strict=True)], dtype=float)


def test_what_groups_contribute_to_a_difference_sums_to_it(as_windows):
    a, b = (average([part(as_windows, "x", 0, skill)], VOCABULARY, "classification", n_bootstrap=10) for skill in (0.8, 0.3))
    for metric in ("accuracy", "macro_f1"):
        key = Key("full", "head", None, metric)
        (ours,), (theirs,) = a[key].shared.values(), b[key].shared.values()
        total = (ours.contributions - theirs.contributions).sum()
        assert total == pytest.approx(a[key].value - b[key].value, abs=1e-12 if metric == "accuracy" else 0.02)


def test_pairs_together_are_tested_as_each_by_itself(as_windows):
    three = [
        average([part(as_windows, "x", seed, 0.2 * seed)], VOCABULARY, "classification", n_bootstrap=60)[ACCURACY] for seed in range(3)
    ]
    pairs = [(three[i], three[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert differences(pairs, n_flips=500) == [difference(*pair, n_flips=500) for pair in pairs]


def test_seeds_of_a_fold_share_its_groups_and_folds_add_theirs(as_windows):
    def groups(parts) -> int:
        one, other = (
            average([part(as_windows, *each, skill) for each in parts], VOCABULARY, "classification", n_bootstrap=20)
            for skill in (0.8, 0.3)
        )
        return difference(one[ACCURACY], other[ACCURACY]).n_groups

    assert groups([("x", 0), ("x", 1)]) == 30
    assert groups([("x", 0), ("y", 0)]) == 60


def test_more_groups_show_a_smaller_difference(as_windows):
    def least(folds) -> float:
        one, other = (
            average([part(as_windows, fold, 0, skill) for fold in folds], VOCABULARY, "classification", n_bootstrap=60)
            for skill in (0.8, 0.3)
        )
        return difference(one[ACCURACY], other[ACCURACY]).detectable

    assert least("xyzw") < 0.7 * least("x")


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_predictions_and_seed_give_the_same_bytes_whatever_the_threads(as_windows, threads):
    from threadpoolctl import threadpool_limits

    def found() -> bytes:
        a, b = (average([part(as_windows, "x", seed, 0.5)], VOCABULARY, "classification", n_bootstrap=50) for seed in (0, 1))
        return repr([difference(a[key], b[key]) for key in a]).encode()

    with threadpool_limits(2 // threads):
        first = found()
    with threadpool_limits(threads):
        assert found() == first


def test_averages_of_different_numbers_of_replicates_are_not_compared(as_windows):
    one, two = (average([part(as_windows, "x", 0, 0.5)], VOCABULARY, "classification", n_bootstrap=n)[ACCURACY] for n in (50, 60))
    with pytest.raises(CallspaceError, match="50 and 60"):
        difference(one, two)
