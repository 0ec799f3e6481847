"""The linear and the nearest-neighbour probe, against scikit-learn; class means, against the regime of prototypes and plain cosines."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, log_loss
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler, normalize

from callspace.adaptation.fitted import Examples
from callspace.adaptation.logistic import fit_logistic
from callspace.adaptation.prototype import TEMPERATURES, fit_prototype
from callspace.evaluation.probes import C_GRID, K_GRID, PROBES, Split, _best, criterion, splits_of, standardised
from callspace.metrics.calibration import (
    are_class_probabilities,
    are_label_probabilities,
    marginal_calibration_error,
    top_label_calibration_error,
)

GENERATOR = np.random.default_rng(0)


def problem(n: int = 90, k: int = 4, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    codes = np.random.default_rng(1).integers(0, k, n)
    return np.random.default_rng(2).normal(size=(n, 10)) + spread * np.eye(10)[codes], codes


def one_hot(codes: np.ndarray, k: int) -> np.ndarray:
    return np.eye(k, dtype=bool)[codes]


def cut(features: np.ndarray, labels: np.ndarray, at=(40, 65)) -> tuple[Split, Split, Split]:
    split = np.repeat(["train", "valid", "test"], [at[0], at[1] - at[0], len(features) - at[1]])
    return splits_of(features, labels, split)


@pytest.mark.parametrize("c", [0.001, 0.1, 10.0])
def test_softmax_regression_is_scikit_learns(c):
    features, codes = problem()
    reference = LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(features, codes)
    found = fit_logistic(features, one_hot(codes, 4).astype(float), "softmax", c)
    assert found.converged
    np.testing.assert_allclose(found.probabilities(features), reference.predict_proba(features), atol=5e-4)


@pytest.mark.parametrize("c", [0.001, 0.1, 10.0])
def test_sigmoid_regression_of_many_labels_is_scikit_learns_of_each(c):
    features, codes = problem()
    labels = np.c_[one_hot(codes, 4), GENERATOR.random(90) < 0.5]
    found = fit_logistic(features, labels.astype(float), "sigmoid", c).probabilities(features)
    for at in range(5):
        reference = LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(features, labels[:, at])
        np.testing.assert_allclose(found[:, at], reference.predict_proba(features)[:, 1], atol=5e-4)


def test_a_fit_ends_in_the_same_place_wherever_it_starts():
    features, codes = problem()
    targets = one_hot(codes, 4).astype(float)
    start = fit_logistic(features, targets, "softmax", 0.001)
    cold, warm = (fit_logistic(features, targets, "softmax", 1.0, first) for first in (None, start))
    np.testing.assert_allclose(warm.probabilities(features), cold.probabilities(features), atol=5e-4)


def test_features_are_standardised_by_the_train_split_and_constants_stay_finite():
    train, test = GENERATOR.normal(size=(20, 3)) * [1, 50, 0] + [0, 7, 0.1], GENERATOR.normal(size=(5, 3))
    found = standardised(train, test)
    scaler = StandardScaler().fit(train)
    np.testing.assert_allclose(found[0][:, :2], scaler.transform(train)[:, :2])
    np.testing.assert_allclose(found[1][:, :2], scaler.transform(test)[:, :2])
    assert np.abs(found[0][:, 2]).max() < 1e-12
    assert np.isfinite(found[1]).all()


def test_the_linear_probe_takes_the_c_that_is_best_on_valid():
    features, codes = problem(spread=1.5)
    train, valid, test = cut(features, one_hot(codes, 4))
    found = PROBES["linear"](train, valid, test, "classification", criterion("classification"))
    fits = [LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(train.features, codes[:40]) for c in C_GRID]
    on_valid = [accuracy_score(codes[40:65], fit.predict(valid.features)) for fit in fits]
    losses = [log_loss(codes[40:65], fit.predict_proba(valid.features)) for fit in fits]
    best = min(range(len(C_GRID)), key=lambda at: (-on_valid[at], losses[at]))
    assert found.choice == {"C": C_GRID[best]}
    assert found.valid == pytest.approx(on_valid[best])
    np.testing.assert_allclose(found.scores, fits[best].predict_proba(test.features), atol=1e-3)


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_where_every_c_tells_the_classes_apart_probabilities_mean_what_they_say(task):
    features, codes = problem(300, spread=5.0)
    train, valid, test = cut(features, one_hot(codes, 4), at=(150, 200))
    found = PROBES["linear"](train, valid, test, task, criterion(task))
    assert found.valid == 1.0
    error = top_label_calibration_error if task == "classification" else marginal_calibration_error
    assert error(test.labels, found.scores) < 0.05
    assert not found.notes


@pytest.mark.parametrize("task", ["classification", "detection"])
@pytest.mark.parametrize("name", PROBES)
def test_a_valid_split_of_labels_that_train_never_has_chooses_nothing_and_it_is_said(name, task):
    features, codes = problem()
    labels = one_hot(codes, 5)
    labels[40:65] = one_hot(np.full(25, 4), 5)
    found = PROBES[name](*cut(features, labels), task, criterion(task))
    assert np.isnan(found.valid)
    assert "nothing to choose" in found.notes[0]
    default = {"linear": {"C": 0.01}, "knn": {"k": 5}, "prototype": {"temperature": 8.0} | ({"bias": 0.0} if task == "detection" else {})}
    assert found.choice == default[name]


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_neighbours_vote_the_same_whatever_classes_are_called_and_windows_are_ordered(task):
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 6, 300)
    features = generator.normal(size=(300, 8)) + 1.2 * np.eye(8)[codes]
    features[::4] = 0.0  # silence
    labels, names, order = one_hot(codes, 6), generator.permutation(6), generator.permutation(150)
    train, valid, test = (Split(features[rows], labels[rows]) for rows in (slice(0, 150), slice(150, 220), slice(220, 300)))
    found = PROBES["knn"](train, valid, test, task, criterion(task))
    renamed = PROBES["knn"](*(Split(split.features, split.labels[:, names]) for split in (train, valid, test)), task, criterion(task))
    moved = PROBES["knn"](Split(train.features[order], train.labels[order]), valid, test, task, criterion(task))
    for again in (renamed.scores[:, np.argsort(names)], moved.scores):
        np.testing.assert_allclose(again, found.scores, atol=1e-15)
    assert renamed.choice == moved.choice == found.choice
    np.testing.assert_allclose(found.scores.sum(axis=1), 1)


def test_of_labels_with_as_many_votes_the_one_with_nearer_voters_is_ahead_and_no_other_is_passed():
    train = Split(np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.3], [1.0, 0.4], [1.0, 3.0]]), one_hot(np.array([1, 1, 2, 2, 0]), 3))
    nothing = Split(np.zeros((0, 2)), np.zeros((0, 3), bool))
    for direction, first in (([1.0, 0.0], 1), ([1.0, 0.4], 2)):
        test = Split(np.array([direction]), one_hot(np.array([0]), 3))
        (said,) = PROBES["knn"](train, nothing, test, "classification", criterion("classification")).scores
        assert said == pytest.approx([0.2, 0.4, 0.4], abs=1e-9)
        assert said.argmax() == first
        assert said.sum() == pytest.approx(1)
        (said,) = PROBES["knn"](train, nothing, test, "detection", criterion("detection")).scores
        assert said.tolist() == [0.2, 0.4, 0.4]


def test_the_knn_probe_votes_as_scikit_learns_and_takes_the_k_that_is_best_on_valid():
    features, codes = problem(spread=1.5)
    train, valid, test = cut(features, one_hot(codes, 4))
    found = PROBES["knn"](train, valid, test, "detection", criterion("detection"))
    scored = {}
    for k in [k for k in K_GRID if k <= 40]:
        fitted = KNeighborsClassifier(k).fit(normalize(train.features), codes[:40])
        scored[k] = average_precision_score(one_hot(codes[40:65], 4), fitted.predict_proba(normalize(valid.features))), fitted
    best = max(scored, key=lambda k: scored[k][0])
    assert found.choice == {"k": best}
    assert found.valid == pytest.approx(scored[best][0])
    np.testing.assert_allclose(found.scores, scored[best][1].predict_proba(normalize(test.features)), atol=1e-12)


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_class_means_say_what_the_regime_of_prototypes_says(task):
    features, codes = problem(spread=1.5)
    features = features * np.linspace(0.1, 30, 10) + 7
    labels = one_hot(codes, 4)
    found = PROBES["prototype"](*cut(features, labels), task, criterion(task))
    given = (Examples(features[rows].astype(np.float32), labels[rows].astype(np.float32)) for rows in (slice(0, 40), slice(40, 65)))
    fitted = fit_prototype(*given, task=task)
    with torch.no_grad():
        logits = fitted.head(torch.from_numpy(features[65:].astype(np.float32))).numpy()
    np.testing.assert_allclose(found.scores, softmax(logits, axis=1) if task == "classification" else expit(logits), atol=1e-5)
    assert found.choice == fitted.choice
    assert found.valid == pytest.approx(fitted.valid_score)


def test_a_window_is_of_the_class_whose_mean_direction_is_nearest_and_the_likeliest_temperature_is_taken():
    features, codes = problem(spread=1.5)
    train, valid, test = cut(features, one_hot(codes, 4))
    found = PROBES["prototype"](train, valid, test, "classification", criterion("classification"))
    means = normalize([normalize(train.features)[codes[:40] == code].mean(axis=0) for code in range(4)])
    on_test, on_valid = (normalize(split.features) @ means.T for split in (test, valid))
    likelihood = {t: np.log(softmax(t * on_valid, axis=1)[np.arange(25), codes[40:65]]).sum() for t in TEMPERATURES}
    assert found.choice["temperature"] == max(likelihood, key=likelihood.__getitem__)
    np.testing.assert_allclose(found.scores, softmax(found.choice["temperature"] * on_test, axis=1), atol=1e-5)


def test_a_choice_at_the_edge_of_its_grid_is_said_unless_nothing_can_be_better():
    def judge_with(values: dict[float, float]) -> tuple[float, list[str]]:
        return _best(values, 1.0, "C", edges=(0.1, 10.0))

    assert judge_with({0.1: 0.5, 1.0: 0.6, 10.0: 0.4}) == (1.0, [])
    assert judge_with({0.1: 0.5, 1.0: 0.6, 10.0: 0.7}) == (
        10.0,
        ["C = 10, the largest tried, was best on valid: a larger one may be better still."],
    )
    assert judge_with({0.1: 0.7, 1.0: 0.6, 10.0: 0.7}) == (
        0.1,
        ["C = 0.1, the smallest tried, was best on valid: a smaller one may be better still."],
    )
    assert judge_with({0.1: 0.7, 1.0: 0.7, 10.0: 0.6}) == (0.1, []), "the scores have levelled off"
    assert judge_with({0.1: 0.7, 1.0: 0.8, 10.0: 1.0}) == (10.0, []), "nothing is better than 1"
    assert judge_with({0.1: np.nan, 1.0: np.nan}) == (1.0, ["nothing to choose C by in the valid split: C = 1."])


@pytest.mark.parametrize("task", ["classification", "detection"])
@pytest.mark.parametrize("name", PROBES)
def test_probabilities_are_probabilities_and_those_of_valid_are_what_it_was_chosen_by(name, task):
    features, codes = problem(spread=1.0)
    train, valid, test = cut(features, one_hot(codes, 4))
    found = PROBES[name](train, valid, test, task, criterion(task))
    assert (are_class_probabilities if task == "classification" else are_label_probabilities)(found.scores)
    assert found.on_valid.shape == (25, 4)
    assert criterion(task)(valid.labels, found.on_valid) == found.valid
    again = PROBES[name](train, valid, valid, task, criterion(task))
    np.testing.assert_allclose(again.scores, found.on_valid, atol=1e-12)


@pytest.mark.parametrize("name", PROBES)
def test_a_constant_embedding_tells_no_window_from_another(name):
    _, codes = problem()
    found = PROBES[name](*cut(np.ones((90, 10)), one_hot(codes, 4)), "detection", criterion("detection"))
    assert np.ptp(found.scores, axis=0) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("task", ["classification", "detection"])
@pytest.mark.parametrize("name", PROBES)
def test_what_is_chosen_never_depends_on_test(name, task):
    features, codes = problem(spread=1.0)
    train, valid, test = cut(features, one_hot(codes, 4))
    found = PROBES[name](train, valid, test, task, criterion(task))
    other = Split(test.features[:3] * 100, ~test.labels[:3])
    again = PROBES[name](train, valid, other, task, criterion(task))
    assert (again.choice, again.valid) == (found.choice, found.valid)


@pytest.mark.parametrize("task", ["classification", "detection"])
@pytest.mark.parametrize("name", PROBES)
def test_a_class_that_train_never_has_scores_0(name, task):
    features, codes = problem()
    labels = one_hot(codes, 5)
    labels[70:, :] = [False, False, False, False, True]
    found = PROBES[name](*cut(features, labels), task, criterion(task))
    assert (found.scores[:, 4] == 0).all()
    assert found.scores.shape == (25, 5)


@pytest.mark.parametrize("name", PROBES)
def test_without_a_valid_split_the_default_is_used_and_it_is_said(name):
    features, codes = problem()
    found = PROBES[name](*cut(features, one_hot(codes, 4), at=(40, 40)), "classification", criterion("classification"))
    assert np.isnan(found.valid)
    assert "nothing to choose" in found.notes[0]


@pytest.mark.parametrize("name", PROBES)
def test_a_train_split_of_one_class_says_that_class(name):
    features, codes = problem()
    labels = one_hot(codes, 4)
    labels[:40] = [True, False, False, False]
    found = PROBES[name](*cut(features, labels), "classification", criterion("classification"))
    assert (found.scores == [1, 0, 0, 0]).all()
