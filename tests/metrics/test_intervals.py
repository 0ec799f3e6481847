"""Intervals of scores and differences: how they are made, and how often they cover the truth.

The long simulation is benchmarks/interval_coverage.py; here is a short one of the same populations, by the same lines. With 40 repetitions a rate of
0.95 gives fewer than 33 covered with a chance of less than 1 in 1,000 (binomial), and a false alarm rate of 0.07 more than 9: bounds that a method
which keeps its promise would break in about one run of fifty, were the seeds not fixed.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from callspace.metrics.bootstrap import MIN_GROUPS, MIN_REPLICATES, group_weights
from callspace.metrics.intervals import (
    DIFFERENCE_PERCENTILE_FROM,
    PERCENTILE_FROM,
    difference_interval,
    score_interval,
    seed_interval,
)
from callspace.metrics.weights import weighted_mean

REPETITIONS = 40


@pytest.fixture(scope="module")
def coverage():
    path = Path(__file__).parents[2] / "benchmarks" / "interval_coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("at", [2, 7, 11])  # clips near 1 in equal groups; mixed and detection near 1 in unequal ones: the hard ones
def test_twenty_groups_cover_the_truth_and_raise_few_false_alarms(coverage, at, monkeypatch):
    monkeypatch.setattr(coverage, "POPULATION", 1_500)
    found = coverage.simulated(coverage.SETTINGS[at], 20, range(REPETITIONS), 150)
    least = scipy.stats.binom.ppf(0.001, REPETITIONS, 0.95) / REPETITIONS
    most = scipy.stats.binom.ppf(0.999, REPETITIONS, 0.07) / REPETITIONS
    for metric, row in found.items():
        if metric.removeprefix("separation_") in coverage.HELD:
            assert row["covered"] >= least, metric
            assert row["difference"] >= least, metric
            assert row["found"] <= most, metric


def replicates_of(values: np.ndarray, n: int = 4000) -> np.ndarray:
    return weighted_mean(values, group_weights([f"{at:03d}" for at in range(len(values))], n))


def test_below_the_limit_a_difference_gets_the_t_interval_of_its_group_means():
    few = DIFFERENCE_PERCENTILE_FROM - 1
    values = np.random.default_rng(0).normal(0.1, 0.3, few)
    found = difference_interval(values.mean(), replicates_of(values), few)
    reference = scipy.stats.t.interval(0.95, few - 1, values.mean(), values.std(ddof=1) / np.sqrt(few))
    assert found.method == "t"
    assert (found.low, found.high) == pytest.approx(reference, abs=0.006)


def test_from_the_limit_on_it_is_percentiles_as_wide_as_students_t():
    values = np.random.default_rng(0).normal(0.1, 0.3, DIFFERENCE_PERCENTILE_FROM)
    found = difference_interval(values.mean(), replicates_of(values, 20_000), len(values))
    reference = scipy.stats.t.interval(0.95, len(values) - 1, values.mean(), values.std(ddof=1) / np.sqrt(len(values)))
    assert found.method == "percentile"
    assert (found.low, found.high) == pytest.approx(reference, abs=0.01)  # group means are about normal


def test_expanded_percentiles_are_hesterbergs_and_with_many_groups_plain_ones():
    replicates = np.random.default_rng(0).random(10_000)
    of_twenty = difference_interval(0.5, replicates, 20)
    # Of the normal distribution beyond the root of 20/19 times 2.093: 1.59 %.
    assert (of_twenty.low, of_twenty.high) == pytest.approx(tuple(np.quantile(replicates, [0.0159, 0.9841])), abs=1e-3)
    of_many = score_interval(0.5, replicates, 100_000)
    assert of_many.method == "percentile"
    assert (of_many.low, of_many.high) == pytest.approx(tuple(np.quantile(replicates, [0.025, 0.975])), abs=1e-4)
    assert score_interval(0.5, replicates, PERCENTILE_FROM).method == "percentile"
    assert score_interval(0.5, replicates, PERCENTILE_FROM - 1).method == "t"


def test_a_score_near_1_has_a_longer_interval_downward_and_none_leaves_its_range():
    values = np.r_[np.ones(17), 0.7, 0.9, 0.8]
    found = score_interval(values.mean(), replicates_of(values), 20)
    assert values.mean() - found.low > 1.2 * (found.high - values.mean())
    assert found.high < 1


@given(st.lists(st.integers(0, 100).map(lambda percent: percent / 100), min_size=MIN_GROUPS, max_size=30), st.floats(0, 0.3))
@settings(max_examples=40, deadline=None)
def test_an_interval_holds_its_score_and_mirrors_with_it(values, error):
    values = np.array(values)
    replicates = replicates_of(values, 200)
    found = score_interval(values.mean(), replicates, len(values), error=error)
    assert 0 <= found.low <= values.mean() + 1e-9
    assert values.mean() - 1e-9 <= found.high <= 1
    mirrored = score_interval(1 - values.mean(), 1 - replicates, len(values), error=error)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high), abs=1e-6)


def test_the_jackknifes_error_counts_as_much_as_the_bootstraps():
    replicates = replicates_of(np.random.default_rng(0).random(20))

    def width(error) -> float:
        return float(np.ptp(score_interval(0.0, replicates - 0.5, 20, error=error, lowest=-1.0)[:2]))

    assert width(float("nan")) == width(None)
    assert width(0.0) == pytest.approx(width(None) / 2)
    assert width(0.1) == pytest.approx(width(None) / 2 + scipy.stats.t.ppf(0.975, 19) * 0.1)


def test_without_any_error_the_interval_is_clopper_and_pearsons_for_the_groups():
    found = score_interval(1.0, np.ones(100), 20)
    reference = scipy.stats.binomtest(20, 20).proportion_ci(0.95, method="exact")
    assert (found.low, found.high, found.method) == (pytest.approx(reference.low), 1.0, "exact")
    assert score_interval(0.0, np.zeros(100), 200)[:2] == pytest.approx((0, 1 - 0.025 ** (1 / 200)))


@pytest.mark.parametrize("lowest", [0.0, -0.5, -1.0])
def test_a_score_of_1_in_every_group_may_be_less_in_others(lowest):
    found = score_interval(1.0 - 1e-16, np.ones(100) - 1e-16, 20, lowest=lowest)
    assert found == (pytest.approx(0.025 ** (1 / 20)), 1.0, "exact")
    assert score_interval(0.0, np.zeros(100), 20, lowest=lowest).low == pytest.approx(max(lowest, found.low - 1))


@pytest.mark.parametrize("n_groups", [6, 200])
def test_a_difference_that_is_the_same_in_every_group_reaches_as_far_as_others_may(n_groups):
    reach = 1 - 0.025 ** (1 / n_groups)
    for value in (0.0, 0.2):
        found = difference_interval(value, np.full(100, value), n_groups)
        assert (found.low, found.high, found.method) == (pytest.approx(value - reach), pytest.approx(value + reach), "exact")


def test_folds_cost_a_degree_of_freedom_each():
    replicates = np.random.default_rng(0).normal(0, 0.05, 1000)
    found = difference_interval(0.0, replicates, 40, freedom=30)
    assert found.high == pytest.approx(scipy.stats.t.ppf(0.975, 30) * replicates.std() * np.sqrt(40 / 30))
    assert difference_interval(0.0, replicates, 8, freedom=3) is None
    assert score_interval(0.5, 0.5 + replicates, 8, freedom=3) is None
    # Many small folds are many groups, but each varies too little for percentiles.
    assert difference_interval(0.0, replicates, 400, freedom=300).method == "t"
    assert difference_interval(0.0, replicates, 400, freedom=380).method == "percentile"
    assert score_interval(0.5, 0.5 + replicates, 400, freedom=380).method == "t"
    assert difference_interval(0.0, replicates, 400, freedom=398).method == "percentile"


def test_a_score_that_can_be_negative_is_not_put_on_a_logit():
    replicates = 0.1 * np.random.default_rng(0).normal(size=2000)
    found = score_interval(0.0, replicates, 20, lowest=-1.0)
    assert found.low == pytest.approx(-found.high)
    assert score_interval(-0.95, replicates, 20, lowest=-1.0).low == -1


def test_there_is_no_interval_from_few_groups_or_many_undefined_replicates():
    replicates = np.random.default_rng(0).random(100)
    assert score_interval(0.5, replicates, MIN_GROUPS - 1) is None
    assert score_interval(0.5, replicates, MIN_GROUPS) is not None
    assert difference_interval(0.5, replicates, MIN_GROUPS - 1) is None
    assert score_interval(0.5, np.r_[replicates, np.full(30, np.nan)], 20) is None
    assert score_interval(0.5, np.zeros(0), 20) is None
    assert score_interval(0.5, replicates[: MIN_REPLICATES - 1], 20) is None
    assert difference_interval(0.5, replicates[:1], 20) is None
    assert score_interval(float("nan"), replicates, 20) is None


def test_the_interval_over_seeds_is_students():
    values = [0.71, 0.74, 0.78]
    assert seed_interval(values) == pytest.approx(scipy.stats.t.interval(0.95, 2, np.mean(values), scipy.stats.sem(values)))
    assert seed_interval([0.7, float("nan"), 0.7]) == pytest.approx((0.7, 0.7))
    assert seed_interval([0.7]) is None
    assert seed_interval([]) is None
