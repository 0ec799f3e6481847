"""The sign-flip test over groups."""

from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from callspace.errors import CallspaceError
from callspace.metrics.sign_flips import sign_flip_p, smallest_p

NUMBERS = st.one_of(st.integers(-4, 4).map(float), st.floats(-3, 3).map(lambda value: round(value, 9)))


@given(st.lists(NUMBERS, min_size=1, max_size=9))
@settings(max_examples=60, deadline=None)
def test_few_groups_are_counted_out_flip_by_flip(values):
    found = abs(sum(values))
    slack = 1e-9 * sum(map(abs, values))
    far = [abs(sum(s * v for s, v in zip(signs, values, strict=True))) >= found - slack for signs in product((-1, 1), repeat=len(values))]
    assert sign_flip_p(values)[0] == pytest.approx(np.mean(far))


@pytest.mark.parametrize("n", [6, 11])
def test_it_is_scipys_paired_permutation_test_of_the_mean(n):
    generator = np.random.default_rng(n)
    a, b = generator.normal(0.4, 1, n), generator.normal(size=n)
    reference = scipy.stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", vectorized=True
    )
    assert sign_flip_p(a - b)[0] == pytest.approx(reference.pvalue)


def test_drawn_flips_come_near_to_scipys_drawn_ones_and_to_the_counted():
    generator = np.random.default_rng(3)
    a, b = generator.normal(0.35, 1, 40), generator.normal(size=40)
    reference = scipy.stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", vectorized=True, n_resamples=20_000, rng=generator
    )
    assert sign_flip_p(a - b)[0] == pytest.approx(reference.pvalue, abs=0.015)
    few = (a - b)[:13]
    assert sign_flip_p(few, n_flips=4000)[0] == pytest.approx(sign_flip_p(few)[0], abs=0.03)


def test_flips_are_shared_and_follow_from_the_seed():
    table = np.random.default_rng(0).normal(size=(30, 3))
    np.testing.assert_array_equal(sign_flip_p(table, 3000), np.concatenate([sign_flip_p(table[:, at], 3000) for at in range(3)]))
    assert (sign_flip_p(table, 3000, seed=1) != sign_flip_p(table, 3000)).any()
    assert sign_flip_p(table[:, ::-1], 3000)[0] == sign_flip_p(table, 3000)[2]


def test_the_sign_of_the_difference_and_its_unit_do_not_matter():
    values = np.random.default_rng(1).normal(0.3, 1, 25)
    assert sign_flip_p(-values) == sign_flip_p(values) == sign_flip_p(values * 1e-7)


def test_what_is_but_rounding_contributes_nothing():
    noise = np.random.default_rng(2).choice([-2.2e-16, 1.1e-16, 3.3e-16], 12)
    assert sign_flip_p(noise)[0] == 1
    assert sign_flip_p(np.concatenate([np.full(4, 0.1), noise]))[0] == sign_flip_p(np.full(4, 0.1))[0] == 2 / 2**4


def test_a_clear_difference_is_as_unlikely_as_the_groups_allow():
    assert sign_flip_p(np.ones(8))[0] == pytest.approx(2 / 2**8) == smallest_p(8)
    assert sign_flip_p(np.ones(60))[0] == pytest.approx(1 / 10_001) == smallest_p(60)
    assert smallest_p(5) > 0.05 > smallest_p(6)


def test_groups_without_a_difference_change_nothing():
    values = np.array([0.3, -0.1, 0.4, 0.2, 0.5, 0.1])
    assert sign_flip_p(np.r_[values, np.zeros(50)]) == sign_flip_p(values)
    assert sign_flip_p(np.zeros(5))[0] == 1
    assert sign_flip_p(np.zeros((0, 2))).tolist() == [1, 1]


def test_an_undefined_contribution_gives_no_p_and_wrong_input_is_refused():
    assert np.isnan(sign_flip_p([0.1, np.nan, 0.3])[0])
    assert not np.isnan(sign_flip_p(np.array([[0.1, np.nan], [0.2, 1.0]]))[0])
    with pytest.raises(CallspaceError, match="finite"):
        sign_flip_p([np.inf, 1.0])
    with pytest.raises(CallspaceError, match="at least 1"):
        sign_flip_p([1.0], n_flips=0)
