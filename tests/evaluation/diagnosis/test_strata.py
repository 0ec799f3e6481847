"""Agreement with the label within strata of a nuisance."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from callspace.evaluation.diagnosis.strata import comparable, kappa

ONE = np.ones((1, 100))


def test_kappa_is_scikit_learn_s_where_there_is_one_stratum():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 60)
    told = np.where(rng.random(60) < 0.5, truth, rng.integers(0, 3, 60))
    weights = np.vstack([np.ones(60), rng.integers(0, 3, (2, 60))])
    expected = [cohen_kappa_score(np.repeat(told, row), np.repeat(truth, row)) for row in weights.astype(int)]
    np.testing.assert_allclose(kappa(told, truth, np.zeros(60, int), 3, weights), expected)


def test_agreement_that_is_the_stratum_s_alone_is_none_within_it():
    rng = np.random.default_rng(0)
    truth = np.where(rng.random(4000) < 0.9, np.arange(4000) % 2, rng.integers(0, 2, 4000))
    told = np.where(rng.random(4000) < 0.9, np.arange(4000) % 2, rng.integers(0, 2, 4000))
    assert kappa(told, truth, np.zeros(4000, int), 2, np.ones((1, 4000)))[0] > 0.7
    assert abs(kappa(told, truth, np.arange(4000) % 2, 2, np.ones((1, 4000)))[0]) < 0.06


def test_where_each_stratum_holds_one_class_there_is_no_kappa_whatever_is_told():
    truth = np.repeat([0, 1], 50)
    rng = np.random.default_rng(0)
    for told in (truth, rng.integers(0, 2, 100), np.zeros(100, int)):
        assert np.isnan(kappa(told, truth, truth, 2, ONE)[0])
    assert len(comparable(truth, truth)) == 0


def test_strata_of_one_class_do_not_pull_kappa_to_zero():
    rng = np.random.default_rng(1)
    truth, strata = np.repeat([0, 1, 0, 0], 25), np.repeat([0, 0, 1, 2], 25)
    told = np.where(rng.random(100) < 0.8, truth, 1 - truth)
    both = strata == 0
    assert kappa(told, truth, strata, 2, ONE)[0] == pytest.approx(cohen_kappa_score(told[both], truth[both]))
    assert len(comparable(truth, strata)) == 1


def test_a_replicate_that_draws_one_class_of_a_stratum_does_not_count_it():
    truth, told, strata = np.array([0, 1, 0, 1]), np.array([0, 1, 0, 0]), np.array([0, 0, 1, 1])
    rows = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 1, 0]])
    np.testing.assert_allclose(kappa(told, truth, strata, 2, rows), [(1 + 0) / (1 + 1), 1.0, np.nan])
