"""Whether a nuisance is tied to the label: by how much, and beyond what groups that swap it show."""

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from callspace.evaluation.diagnosis.ties import _Dealer, _information, _table, tie


def dataset(rng, n_groups=40, per=10):
    """Clips: one label and one site a recording, at random."""
    groups = np.repeat(np.arange(n_groups), per)
    return rng.integers(0, 4, n_groups)[groups], rng.integers(0, 3, n_groups)[groups], groups


def test_a_nuisance_that_is_the_label_tells_it_always():
    rng = np.random.default_rng(0)
    _, classes, groups = dataset(rng)
    found = tie((classes, classes, groups), (classes, classes, groups), 3, 3, permutations=199)
    assert found.score == 1
    assert (found.credit == 1).all()
    assert found.p == 1 / 200


def test_a_nuisance_with_one_value_guesses():
    rng = np.random.default_rng(1)
    _, classes, groups = dataset(rng)
    nothing = np.zeros_like(classes)
    found = tie((nothing, np.arange(len(classes)) % 3, groups), (nothing, classes, groups), 1, 3, permutations=50)
    assert found.score == pytest.approx(1 / 3)
    assert found.p == 1


def test_the_label_is_told_by_the_likeliest_class_of_each_value_and_ties_are_halves():
    values, classes = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 1, 1, 0, 1])
    test_values, test_classes = np.array([0, 1, 2]), np.array([0, 0, 1])
    # Likelihoods of class 0: 2/3, 0, 1/3; of class 1: 1/4, 2/4, 1/4.
    found = tie((values, classes, np.arange(7)), (test_values, test_classes, np.arange(3)), 3, 2, permutations=1)
    np.testing.assert_allclose(found.credit, [1, 0, 0])
    assert found.score == pytest.approx((0.5 + 0) / 2)
    even = tie((np.array([0, 0]), np.array([0, 1]), np.arange(2)), (np.array([0]), np.array([1]), np.arange(1)), 1, 2, permutations=1)
    assert even.score == 0.5


def test_information_is_scikit_learn_s():
    rng = np.random.default_rng(2)
    values, classes = rng.integers(0, 5, 100), rng.integers(0, 3, 100)
    assert _information(_table(values, classes, 5, 3)) == pytest.approx(mutual_info_score(values, classes))


def test_without_a_tie_p_is_uniform_though_windows_of_a_recording_share_label_and_site():
    p = []
    for seed in range(80):
        train, test = dataset(np.random.default_rng([seed, 0])), dataset(np.random.default_rng([seed, 1]), 20)
        p.append(tie(train, test, 4, 3, seed=seed, permutations=200).p)
    # Windows that were permuted alone would make nearly all of these significant.
    assert np.mean(np.array(p) <= 0.05) <= 0.12
    assert 0.35 <= np.mean(p) <= 0.7


def recordings_with_levels(rng, n_groups):
    """Levels that vary within recordings and more between them; one label a recording."""
    groups = np.repeat(np.arange(n_groups), rng.integers(4, 16, n_groups))
    level = rng.normal(0, 2, n_groups)[groups] + rng.normal(0, 1, len(groups))
    return np.searchsorted([-2, -0.5, 0.5, 2], level), rng.integers(0, 3, n_groups)[groups], groups


def test_a_nuisance_that_varies_within_groups_is_dealt_in_their_sequence_and_p_is_uniform():
    p = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p.append(tie(recordings_with_levels(rng, 40), recordings_with_levels(rng, 20), 5, 3, seed=seed, permutations=200).p)
    assert np.mean(np.array(p) <= 0.05) <= 0.13
    assert 0.35 <= np.mean(p) <= 0.7


def test_groups_swap_their_values_whole():
    values, groups = np.array([0, 0, 0, 1, 2, 2]), np.array([5, 5, 5, 6, 7, 7])
    dealer = _Dealer(values, np.arange(6), groups, 3, 6)
    for seed in range(5):
        counts = dealer.shuffled(np.random.default_rng(seed))
        of_window = counts.argmax(axis=0)
        assert (counts.sum(axis=0) == 1).all()
        assert len(set(of_window[:3])) == 1
        assert sorted({of_window[0], of_window[3], of_window[4]}) == [0, 1, 2]


def test_the_same_seed_gives_the_same_p():
    rng = np.random.default_rng(3)
    train, test = dataset(rng), dataset(rng)
    first, second = tie(train, test, 4, 3, seed=5), tie(train, test, 4, 3, seed=5)
    assert (first.p, first.permutations) == (second.p, second.permutations)


def test_the_least_p_is_that_of_the_strongest_tie_that_swapping_can_bring():
    # Three groups in each split, one value and class each: 36 arrangements, 6 of which match values and classes one to one.
    three = np.repeat(np.arange(3), 4)
    assert tie((three, three, three), (three, three, three), 3, 3).least_p == pytest.approx(1 / 6, abs=0.04)
    shuffled = (three + 1) % 3
    assert tie((three, shuffled, three), (three, three, three), 3, 3).least_p == pytest.approx(1 / 6, abs=0.04)
    # Eight groups of two values: 2 of 4,900.
    groups = np.repeat(np.arange(8), 4)
    even, off = groups % 2, np.where(groups < 2, 1 - groups % 2, groups % 2)
    assert tie((off, even, groups), (even, even, groups), 2, 2).least_p < 0.004
    # One group in twenty differs: its class is its own only in two of twenty permutations of each split, or 1 of 100.
    groups = np.repeat(np.arange(20), 4)
    rare, classes = (groups == 3).astype(int), (groups < 2).astype(int)
    assert tie((rare, classes, groups), (rare, classes, groups), 2, 2).least_p == pytest.approx(0.01, abs=0.008)
    assert tie((rare * 0, classes, groups), (rare * 0, classes, groups), 1, 2).least_p == 1
