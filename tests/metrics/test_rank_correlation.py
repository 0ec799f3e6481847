from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from callspace.metrics.rank_correlation import rank_correlation, within_groups

scores = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=12)


@settings(max_examples=40, deadline=None)
@given(scores)
def test_it_is_scipys_ties_included(pairs):
    x, y = np.array(pairs, dtype=float).T
    found = rank_correlation(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert found is None
        return
    assert found.rho == pytest.approx(spearmanr(x, y).statistic, abs=1e-9)
    assert -1 <= found.rho <= 1 and 0 < found.p <= 1
    assert found.ci_low is None or found.ci_low <= found.ci_high


def test_of_few_pairs_all_permutations_are_counted():
    x, y = [0.1, 0.5, 0.2, 0.9, 0.7], [3.0, 4.0, 1.0, 5.0, 2.0]
    found = rank_correlation(x, y)
    everything = [abs(spearmanr(x, order).statistic) for order in permutations(y)]
    assert found.exact and found.p == pytest.approx(np.mean(np.array(everything) >= abs(spearmanr(x, y).statistic) - 1e-9))


def test_of_many_pairs_the_drawn_permutations_agree_with_scipys_p():
    rng = np.random.default_rng(3)
    x = rng.normal(size=40)
    y = 0.4 * x + rng.normal(size=40)
    found = rank_correlation(x, y)
    assert not found.exact and found.p == pytest.approx(spearmanr(x, y).pvalue, abs=0.01)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth = spearmanr(*_pairs(rng, 100_000)).statistic
    held = [found.ci_low <= truth <= found.ci_high for found in (rank_correlation(*_pairs(rng, 60)) for _ in range(40))]
    assert np.mean(held) >= 0.85


def _pairs(rng, n):
    x = rng.normal(size=n)
    return x, 0.6 * x + 0.8 * rng.normal(size=n)


def test_few_pairs_have_no_interval():
    assert rank_correlation(range(9), range(9)).ci_low is None
    found = rank_correlation(range(10), [0, 1, 2, 3, 4, 5, 6, 7, 9, 8])
    assert -1 <= found.ci_low <= found.rho <= found.ci_high <= 1


def test_within_datasets_easy_and_hard_ones_do_not_correlate_by_being_so():
    """Two datasets, one with high scores and one with low; in each, the two scores disagree entirely."""
    x = [0.1, 0.2, 0.3, 0.8, 0.9, 1.0]
    y = [0.3, 0.2, 0.1, 1.0, 0.9, 0.8]
    overall, within = rank_correlation(x, y), within_groups(x, y, ["hard"] * 3 + ["easy"] * 3)
    assert overall.rho > 0.5
    assert (within.rho, within.groups, within.n) == (-1.0, 2, 6)
    assert within.p == pytest.approx(2 / 36, abs=0.01)  # of 6 x 6 orders, both reversed or both the same


def test_within_is_the_mean_of_the_groups_own():
    rng = np.random.default_rng(5)
    x, y, groups = rng.normal(size=30), rng.normal(size=30), np.repeat(["a", "b", "c"], 10)
    own = [spearmanr(x[groups == g], y[groups == g]).statistic for g in "abc"]
    assert within_groups(x, y, list(groups)).rho == pytest.approx(np.mean(own))


def test_what_says_nothing_is_left_out():
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    found = within_groups([1, 2, 3, 1, 2, 5, 5, 5], [1, 2, 3, 2, 1, 1, 2, 3], ["a"] * 3 + ["b"] * 2 + ["c"] * 3)
    assert (found.rho, found.groups, found.n) == (1.0, 1, 3)  # b has two pairs, c does not vary


def test_the_same_seed_gives_the_same_numbers():
    x, y = np.random.default_rng(0).normal(size=(2, 20))
    assert rank_correlation(x, y, seed=4) == rank_correlation(x, y, seed=4)


def test_what_is_not_finite_or_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="finite"):
        rank_correlation([1, 2, np.nan], [1, 2, 3])
    with pytest.raises(ValueError, match="one length"):
        within_groups([1, 2, 3], [1, 2, 3], ["a"])
