"""The smallest difference that would be shown."""

import numpy as np
import pytest
import scipy.stats

from callspace.metrics.power import can_show, detectable, flips_for
from callspace.metrics.sign_flips import sign_flip_p


@pytest.mark.parametrize("n", [8, 30])
def test_sign_flips_find_it_four_times_in_five(n):
    """400 repetitions: a share of 0.8 has a standard error of 0.02; three of them, and the power of the t test for that of the flips."""
    generator = np.random.default_rng(n)
    least = detectable(1 / np.sqrt(n), n)
    p = sign_flip_p(generator.normal(least, 1, (400, n)).T / n, n_flips=1000)
    assert np.mean(p <= 0.05) == pytest.approx(0.8, abs=0.07)


def test_it_is_the_t_tests_by_scipys_noncentral_distribution():
    least = detectable(0.02, 25) / 0.02
    critical = scipy.stats.t.ppf(0.975, 24)
    assert scipy.stats.nct.sf(critical, 24, least) == pytest.approx(0.8, abs=1e-4)


def test_with_many_groups_it_is_the_normal_one():
    assert detectable(1.0, 5000) == pytest.approx(scipy.stats.norm.ppf(0.975) + scipy.stats.norm.ppf(0.8), abs=0.005)


def test_more_power_and_a_stricter_test_ask_for_a_larger_difference():
    assert detectable(0.1, 20, power=0.9) > detectable(0.1, 20)
    assert detectable(0.1, 20, alpha=0.01) > detectable(0.1, 20)
    assert detectable(0.2, 20) == pytest.approx(2 * detectable(0.1, 20))


def test_many_comparisons_ask_for_more_groups():
    """Eight groups give no p below 2 in 256, which among 19 comparisons is no surprise."""
    assert can_show(8, 6)
    assert not can_show(8, 7)
    assert detectable(0.1, 8, alpha=0.05 / 19) is None
    assert all(can_show(30, n) for n in (1, 500, 10_000))
    assert not can_show(5)
    assert detectable(0.1, 30, alpha=0.05 / 2000) is None  # too few flips
    assert detectable(0.1, 30, alpha=0.05 / 2000, n_flips=flips_for(2000)) > detectable(0.1, 30)


def test_groups_of_several_folds_have_fewer_degrees_of_freedom():
    assert detectable(0.1, 40, freedom=39) == detectable(0.1, 40)
    assert detectable(0.1, 12, freedom=6) == pytest.approx(detectable(0.1, 7))


def test_nothing_is_said_where_nothing_can_be_shown():
    assert detectable(0.1, 5) is None  # sign flips of five groups give no p below 0.06
    assert detectable(0.1, 6) is not None
    assert detectable(0.0, 20) is None
    assert detectable(1e-15, 20) is None  # two that never differ but for rounding
    assert detectable(float("nan"), 20) is None
