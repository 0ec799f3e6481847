"""Estimates told from chance together, and verdicts on claims about several of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callspace.bench.verdicts import CONTRADICTED, SUPPORTED, UNDECIDED, Estimate, combine, decide

HALF = 1.959963984540054


def estimate(value, error=0.01, p=None):
    return Estimate(value, value - HALF * error, value + HALF * error, p)


@pytest.mark.parametrize(
    ("signs", "verdict", "mixed"),
    [
        ([1], SUPPORTED, False),
        ([-1], CONTRADICTED, False),
        ([0], UNDECIDED, False),
        ([], UNDECIDED, False),
        ([1, 0], SUPPORTED, False),
        ([1, 0, 0], UNDECIDED, False),
        ([-1, -1, 0, 0], CONTRADICTED, False),
        ([1, 1, 1, -1], UNDECIDED, True),
    ],
)
def test_half_must_be_beyond_chance_one_way_and_none_the_other(signs, verdict, mixed):
    assert combine(signs) == (verdict, mixed)


def test_an_estimate_beyond_chance_alone_may_not_be_among_many():
    one = estimate(0.022)  # 2.2 standard errors: p 0.028
    assert decide([one])[0].sign == 1
    assert [found.sign for found in decide([one, *[estimate(0.0)] * 9])] == [0] * 10


def test_a_given_p_counts_against_zero_and_an_interval_must_leave_it_out_too():
    assert decide([estimate(0.05, p=0.2)])[0].sign == 0
    assert decide([Estimate(0.05, -0.01, 0.11, 0.001)])[0].sign == 0
    assert decide([estimate(0.9, p=0.9)], reference=0.75)[0].sign == 1


def test_what_has_no_interval_tells_nothing_and_costs_the_others_nothing():
    found = decide([Estimate(0.5, None, None), estimate(0.022)])
    assert [one.sign for one in found] == [0, 1]
    assert found[0].p_holm is None


def test_the_p_of_an_interval_of_many_groups_is_that_of_a_normal_distribution():
    from scipy.stats import norm

    [found] = decide([estimate(0.03, 0.02)])
    assert found.p_holm == pytest.approx(2 * norm.sf(1.5))


def test_the_p_of_an_interval_of_few_groups_is_students():
    from scipy.stats import t

    reach = t.ppf(0.975, 4) * 0.02
    one = Estimate(0.06, 0.06 - reach, 0.06 + reach, freedom=4)
    assert one.error == pytest.approx(0.02)
    [found] = decide([one])
    assert found.p_holm == pytest.approx(2 * t.sf(3, 4))


def test_a_p_against_a_skewed_interval_agrees_with_it():
    [within] = decide([Estimate(0.90, 0.74, 0.97)], reference=0.75)
    assert within.p_holm > 0.05 and within.sign == 0
    [beyond] = decide([Estimate(0.90, 0.77, 0.97)], reference=0.75)
    assert beyond.p_holm < 0.05 and beyond.sign == 1
    assert [one.sign for one in decide([Estimate(1.0, 0.8, 1.0), Estimate(0.0, 0.0, 0.3)], reference=0.75)] == [1, -1]


@given(st.floats(0.01, 0.99), st.floats(0.001, 0.9), st.floats(0.001, 0.9), st.floats(0.01, 0.99))
def test_a_p_is_below_the_level_just_where_the_interval_leaves_out_the_reference(value, below, above, reference):
    low, high = value * (1 - below), value + (1 - value) * above
    [found] = decide([Estimate(value, low, high)], reference=reference)
    if min(abs(low - reference), abs(high - reference)) > 1e-6:
        assert (found.p_holm < 0.05) == (found.sign != 0) == (not low <= reference <= high)


def test_an_interval_of_no_width_is_certain():
    assert [one.sign for one in decide([Estimate(0.1, 0.1, 0.1), Estimate(0.0, 0.0, 0.0)])] == [1, 0]


@given(st.floats(-1, 1), st.floats(0.001, 0.5), st.floats(-1, 1), st.floats(0.001, 0.5))
def test_a_difference_of_estimates_is_that_of_independent_ones(a, error_a, b, error_b):
    found = estimate(a, error_a).minus(estimate(b, error_b), {})
    assert found.value == a - b
    assert found.error == pytest.approx(np.hypot(error_a, error_b))
    assert found.flipped().flipped() == found


def test_a_difference_of_estimates_from_few_groups_has_welchs_degrees_of_freedom():
    from scipy.stats import t, ttest_ind

    rng = np.random.default_rng(0)
    drawn = [rng.normal(size=n) * width + 1 for n, width in ((5, 1.0), (9, 0.3))]
    means = [
        Estimate(x.mean(), x.mean() - reach, x.mean() + reach, freedom=len(x) - 1)
        for x in drawn
        for reach in [t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))]
    ]
    found, welch = means[0].minus(means[1], {}), ttest_ind(*drawn, equal_var=False)
    assert found.freedom == pytest.approx(welch.df)
    assert (found.low, found.high) == pytest.approx(tuple(welch.confidence_interval()))
    assert decide([found])[0].p_holm == pytest.approx(welch.pvalue)
    sure = Estimate(0.5, 0.5, 0.5, freedom=4)
    assert means[0].minus(sure, {}).freedom == pytest.approx(4)
    assert (sure.minus(sure, {}).low, sure.minus(sure, {}).high) == (0.0, 0.0)


@pytest.mark.parametrize("n_estimates", [1, 6, 20])
def test_noise_of_five_groups_is_marked_no_more_often_than_of_many(n_estimates):
    from scipy.stats import t

    rng = np.random.default_rng(1)
    marked, repetitions = 0, 800
    for _ in range(repetitions):
        drawn = rng.normal(size=(n_estimates, 5))
        reach = t.ppf(0.975, 4) * drawn.std(axis=1, ddof=1) / np.sqrt(5)
        found = decide([Estimate(own, own - half, own + half, freedom=4) for own, half in zip(drawn.mean(axis=1), reach, strict=True)])
        marked += any(one.sign for one in found)
    assert marked / repetitions < 0.07


def test_noise_alone_is_marked_in_at_most_one_claim_in_twenty():
    rng = np.random.default_rng(0)
    marked = 0
    for _ in range(600):
        signs = [found.sign for found in decide([estimate(0.01 * z) for z in rng.standard_normal(6)])]
        marked += combine(signs)[0] != UNDECIDED or any(signs)
    assert marked / 600 < 0.07
