"""Probes of every kind: what they find, what is chosen, and what comes of data that is hardly any."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn.metrics import log_loss

from callspace.adaptation import finetune as tuning
from callspace.adaptation.attentive import CachedTokens
from callspace.adaptation.grids import Grid, Setting
from callspace.adaptation.linear import fit_linear_head
from callspace.adaptation.logistic import DEFAULT_C
from callspace.adaptation.probes import PROBES, fit_probe
from callspace.adaptation.prototype import BIASES, TEMPERATURES
from callspace.adaptation.recipes import Recipe
from callspace.adaptation.regimes import REGIMES
from callspace.adaptation.targets import valid_score
from callspace.datasets import load_dataset
from callspace.encoders.load import load_encoder
from callspace.errors import CallspaceError
from callspace.evaluation.probes import Split, criterion, linear_probe, standardised
from small_audio import class_folders

KINDS = tuple(PROBES)
DIM = 8
SHORT = Grid(settings=(Setting(3e-3, 0.1), Setting(1e-2, 0.01)), max_epochs=15, least_steps=5)


def blobs(counts, seed=0, spread=0.4):
    """Features float32[n, d] and one-hot targets: as many windows of each class as `counts` says."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(42).standard_normal((len(counts), DIM))
    which = np.repeat(np.arange(len(counts)), counts)
    features = centres[which] + spread * rng.standard_normal((len(which), DIM))
    return features.astype(np.float32), np.eye(len(counts), dtype=np.float32)[which]


def field(n, seed=0):
    """Windows with any of three labels, or none: each adds a direction of its own."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, 3)) < (0.5, 0.3, 0.15)).astype(np.float32)
    directions = 1.5 * np.random.default_rng(42).standard_normal((3, DIM))
    return (targets @ directions + 0.5 * rng.standard_normal((n, DIM))).astype(np.float32), targets


def fitted(kind, train, valid, task="classification", **more):
    if kind == "attentive":  # two tokens a window, about its embedding
        rng = np.random.default_rng(5)

        def tokens(features):
            pair = features[:, None] + 0.1 * rng.standard_normal((len(features), 2, DIM)).astype(np.float32)
            return CachedTokens.padded(pair, np.full(len(features), 2))

        train, valid = (tokens(train[0]), train[1]), (tokens(valid[0]), valid[1])
    return fit_probe(kind, *train, *valid, task=task, grid=SHORT if kind in ("mlp", "attentive") else None, **more)


def scores_of(found, features):
    with torch.no_grad():
        rows = torch.from_numpy(features)
        if found.pooler is not None:
            rows = found.pooler(rows[:, None].expand(-1, 2, -1), torch.full((len(rows),), 2))
        return found.head(rows).numpy()


def test_every_head_of_a_regime_on_a_frozen_encoder_is_a_probe():
    assert {regime.head for regime in REGIMES.values() if regime.head and not regime.tunes} == set(KINDS)
    with pytest.raises(CallspaceError, match="there is no probe 'quadratic'; there are linear, "):
        fit_probe("quadratic", *blobs([2]), *blobs([2]), task="classification")


@pytest.mark.parametrize("kind", KINDS)
def test_every_probe_learns_classes_and_labels(kind):
    found = fitted(kind, blobs([20, 20, 20]), blobs([8, 8, 8], seed=1))
    test, targets = blobs([20, 20, 20], seed=2)
    assert valid_score("classification", scores_of(found, test), targets) > 0.85
    assert found.valid_score > 0.85
    assert not found.notes
    found = fitted(kind, field(120), field(60, seed=1), task="detection")
    test, targets = field(100, seed=2)
    assert valid_score("detection", scores_of(found, test), targets) > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_labels_that_are_shuffled_give_chance_on_test(kind):
    test, truth = blobs([60, 60, 60], seed=3, spread=3.0)
    found = []
    for seed in range(5):
        (features, targets), rng = blobs([40, 40, 40], seed=seed, spread=3.0), np.random.default_rng(seed)
        shuffled = targets[rng.permutation(len(targets))]
        probe = fitted(kind, (features[::2], shuffled[::2]), (features[1::2], shuffled[1::2]))
        found.append(valid_score("classification", scores_of(probe, test), truth))
    assert abs(np.mean(found) - 1 / 3) < 0.1


@pytest.mark.parametrize("spread", [0.01, 0.4, 1.5])
@pytest.mark.parametrize("task", ["classification", "detection"])
def test_the_linear_probe_is_the_fit_it_was_and_that_of_the_judgement(task, spread):
    if task == "classification":
        train, valid = blobs([20, 5, 20], spread=spread), blobs([9, 9, 9], seed=1, spread=spread)
    else:
        train, valid = field(60), field(40, seed=1)
    found = fit_probe("linear", *train, *valid, task=task)
    head, choice = fit_linear_head(*train, *valid, task=task)
    assert found.choice == choice
    for name, value in head.state_dict().items():
        assert torch.equal(found.head.state_dict()[name], value)
    features = standardised(train[0].astype(float), valid[0].astype(float))
    parts = [Split(part, labels.astype(bool)) for part, labels in zip(features, (train[1], valid[1]), strict=True)]
    judged = linear_probe(parts[0], parts[1], parts[1], task, criterion(task))
    assert judged.choice["C"] == choice["C"]
    logits = scores_of(found, valid[0])
    np.testing.assert_allclose(softmax(logits, axis=1) if task == "classification" else expit(logits), judged.scores, atol=1e-5)
    assert [trial["C"] for trial in found.trials] == sorted(trial["C"] for trial in found.trials)
    best = max(trial["valid_score"] for trial in found.trials)
    assert found.choice["C"] in [trial["C"] for trial in found.trials if trial["valid_score"] == best]


def test_of_strengths_with_equal_scores_the_one_under_which_valid_is_likeliest_is_taken():
    train, valid, test = (blobs([30, 30, 30], seed=seed, spread=0.05) for seed in (0, 1, 2))
    found = fit_probe("linear", *train, *valid, task="classification")
    assert {trial["valid_score"] for trial in found.trials} == {1.0}
    assert log_loss(test[1].argmax(axis=1), softmax(scores_of(found, test[0]), axis=1)) < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_a_valid_split_of_labels_that_train_never_shows_chooses_nothing(kind):
    features, targets = blobs([20, 20, 0])
    for task in ("classification", "detection"):
        found = fitted(kind, (features, targets), blobs([0, 0, 9], seed=1), task)
        assert found.valid_score is None
        assert "in the valid split" in found.notes[0]


def test_a_prototype_is_the_nearest_class_mean_by_cosine():
    """A plain statement."""
    (x, y), (test, _) = blobs([7, 5, 9]), blobs([20, 20, 20], seed=1, spread=2.0)
    found = fit_probe("prototype", x, y, x, y, task="classification")
    mean, scale = x.astype(float).mean(0), x.astype(float).std(0)
    unit = lambda rows: rows / np.linalg.norm(rows, axis=-1, keepdims=True)  # noqa: E731
    means = np.stack([unit(unit((x[y[:, k] == 1] - mean) / scale).mean(0)) for k in range(3)])
    cosines = unit((test - mean) / scale) @ means.T
    np.testing.assert_allclose(scores_of(found, test), found.choice["temperature"] * cosines, atol=1e-4)


def test_a_prototype_of_soundscapes_is_the_cosine_with_the_label_less_that_without():
    (x, y), (test, _) = field(40), field(30, seed=1)
    found = fit_probe("prototype", x, y, x, y, task="detection")
    mean, scale = x.astype(float).mean(0), x.astype(float).std(0)
    unit = lambda rows: rows / np.linalg.norm(rows, axis=-1, keepdims=True)  # noqa: E731
    rows = unit((x - mean) / scale)
    for k in range(3):
        on, off = unit(rows[y[:, k] == 1].mean(0)), unit(rows[y[:, k] == 0].mean(0))
        directions = unit((test - mean) / scale)
        expected = found.choice["temperature"] * (directions @ on - directions @ off) + found.choice["bias"]
        np.testing.assert_allclose(scores_of(found, test)[:, k], expected, atol=1e-4)


def test_a_temperature_is_that_under_which_valid_is_likeliest():
    train, (x, y) = blobs([9, 9, 9]), blobs([20, 20, 20], seed=1, spread=1.5)
    found = fit_probe("prototype", *train, x, y, task="classification")
    cosines = scores_of(found, x).astype(float) / found.choice["temperature"]
    losses = {t: log_loss(y.argmax(1), softmax(t * cosines, axis=1)) for t in TEMPERATURES}
    assert found.choice["temperature"] == min(losses, key=losses.get)
    assert 1 < found.choice["temperature"] < max(TEMPERATURES)
    train, (x, y) = field(60), field(60, seed=1)
    found = fit_probe("prototype", *train, x, y, task="detection")
    cosines = (scores_of(found, x).astype(float) - found.choice["bias"]) / found.choice["temperature"]
    losses = {(t, b): log_loss(y.ravel(), expit(t * cosines + b).ravel()) for t in TEMPERATURES for b in BIASES}
    assert (found.choice["temperature"], found.choice["bias"]) == min(losses, key=losses.get)


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_that_train_never_shows_scores_below_all_others_and_finite(kind):
    found = fitted(kind, blobs([9, 0, 9]), blobs([5, 5, 5], seed=1))
    scores = scores_of(found, blobs([20, 20, 20], seed=2)[0])
    assert np.isfinite(scores).all()
    assert (scores[:, 1] < scores[:, [0, 2]].min(axis=1)).all()
    assert (scores[:, 1] <= -20).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_absent_from_valid_is_learnt_all_the_same(kind):
    found = fitted(kind, blobs([15, 15, 15]), blobs([8, 0, 8], seed=1))
    test, targets = blobs([0, 30, 0], seed=2)
    assert valid_score("classification", scores_of(found, test), targets) > 0.6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["classification", "detection"])
def test_data_of_one_class_gives_that_class(kind, task):
    found = fitted(kind, blobs([6]), blobs([3], seed=1), task=task)
    scores = scores_of(found, blobs([4], seed=2)[0])
    assert np.isfinite(scores).all()
    assert found.valid_score == 1.0
    if task == "detection" and kind != "prototype":
        assert (scores > 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["classification", "detection"])
def test_a_train_split_of_one_window_is_fitted(kind, task):
    found = fitted(kind, blobs([0, 1, 0]), blobs([4, 4, 4], seed=1), task=task)
    scores = scores_of(found, blobs([1, 1, 1], seed=2)[0])
    assert np.isfinite(scores).all()
    assert (scores.argmax(axis=1) == 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_valid_split_of_one_window_is_enough(kind):
    found = fitted(kind, blobs([9, 9, 9]), blobs([1, 0, 0], seed=1))
    assert found.valid_score in (0.0, 1.0)
    assert not found.notes


@pytest.mark.parametrize("kind", KINDS)
def test_without_anything_to_choose_by_in_valid_defaults_are_used_and_it_is_said(kind):
    train, test = blobs([15, 15, 15]), blobs([20, 20, 20], seed=2)
    found = fitted(kind, train, blobs([0, 0, 0]))
    assert found.valid_score is None
    assert "in the valid split" in found.notes[0]
    assert valid_score("classification", scores_of(found, test[0]), test[1]) > 0.8
    background = np.zeros((5, DIM), np.float32), np.zeros((5, 3), np.float32)
    found = fitted(kind, field(60), background, task="detection")
    assert found.valid_score is None
    assert found.notes
    if kind == "linear":
        assert found.choice["C"] == DEFAULT_C


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_that_are_all_the_same_give_chance(kind):
    train, valid = blobs([9, 9, 9]), blobs([5, 5, 5], seed=1)
    found = fitted(kind, (np.full_like(train[0], 0.1), train[1]), (np.full_like(valid[0], 0.1), valid[1]))
    scores = scores_of(found, np.full((4, DIM), 0.1, np.float32))
    assert np.isfinite(scores).all()
    if kind != "attentive":  # whose tokens are not quite the same here
        assert (scores == scores[0]).all()
        assert found.valid_score == pytest.approx(1 / 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", ["train", "valid"])
def test_embeddings_that_are_not_numbers_are_refused_by_split_and_place(kind, split):
    train, valid = blobs([9, 9, 9]), blobs([5, 5, 5], seed=1)
    (train if split == "train" else valid)[0][7, 3] = np.nan
    with pytest.raises(CallspaceError, match=rf"^1 of the (27|15) windows of the {split} split .* number 7 of the split"):
        fitted(kind, train, valid)


@pytest.mark.parametrize("kind", KINDS)
def test_a_train_split_without_windows_or_labels_is_refused(kind):
    with pytest.raises(CallspaceError, match="the train split has no windows"):
        fitted(kind, blobs([0, 0]), blobs([5, 5]))
    with pytest.raises(CallspaceError, match="no window of the train split has a label"):
        fitted(kind, (np.ones((4, DIM), np.float32), np.zeros((4, 2), np.float32)), blobs([5, 5]), task="detection")


def test_targets_must_be_as_many_as_features():
    with pytest.raises(ValueError, match="3 features and 4 targets of valid"):
        fit_probe("linear", *blobs([5, 5]), blobs([2, 1])[0], blobs([2, 2])[1], task="classification")


@pytest.mark.parametrize("kind", KINDS)
def test_changing_valid_changes_only_the_choice(kind):
    """Fitted on train alone: the candidates are the same, whatever valid holds."""
    train, valid, other = blobs([9, 9, 9]), blobs([5, 5, 5], seed=1), blobs([5, 5, 5], seed=4, spread=3.0)
    first, second = fitted(kind, train, valid), fitted(kind, train, other)
    assert torch.equal(first.head.mean, second.head.mean)
    if first.history:
        key = lambda row: (row["epoch"], row["learning_rate"], row["weight_decay"])  # noqa: E731
        losses = {key(row): row["train_loss"] for row in first.history}
        both = [row for row in second.history if key(row) in losses]
        assert both
        assert all(losses[key(row)] == pytest.approx(row["train_loss"], rel=1e-4) for row in both)


def test_the_recipe_fixes_the_loss_of_probes_that_are_trained():
    train, valid = blobs([40, 5, 5], spread=1.0), blobs([9, 9, 9], seed=1, spread=1.0)
    plain, weighted = (
        fit_probe("mlp", *train, *valid, task="classification", recipe=Recipe(class_weights=how)) for how in ("none", "balanced")
    )
    assert plain.history[0]["train_loss"] != weighted.history[0]["train_loss"]
    seen = []

    def own(logits, targets):
        seen.append(targets.shape)
        return (logits - targets).square().mean()

    fitted("mlp", train, valid, loss=own)
    assert seen


class Steps:
    """A progress bar that counts."""

    def __init__(self):
        self.told, self.done, self.total = "", 0, 0

    def task(self, description, total):
        self.told, self.total = description, total
        return self

    def __enter__(self):
        return self._step

    def __exit__(self, *exc):
        pass

    def _step(self, n):
        self.done += n


@pytest.mark.parametrize("kind", KINDS)
def test_progress_is_told_in_steps(kind):
    bar = Steps()
    fitted(kind, blobs([9, 9]), blobs([5, 5], seed=1), progress=bar)
    assert bar.told.startswith("fitting ")
    assert 0 < bar.done <= bar.total


@given(shots=st.sampled_from([1, 2, 5]), classes=st.integers(1, 4), valid=st.integers(1, 3), seed=st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_few_shots_always_give_finite_scores(shots, classes, valid, seed):
    train, few = blobs([shots] * classes, seed=seed), blobs([valid] + [0] * (classes - 1), seed=seed + 1)
    for kind in ("prototype", "linear"):
        found = fit_probe(kind, *train, *few, task="classification")
        scores = scores_of(found, blobs([5] * classes, seed=seed + 2)[0])
        assert np.isfinite(scores).all()
        assert 0 <= found.valid_score <= 1


@pytest.mark.parametrize("shots", [1, 2, 5])
@pytest.mark.parametrize("kind", ["linear", "prototype"])
def test_few_shots_beat_chance_where_classes_lie_apart(kind, shots):
    found = fit_probe(kind, *blobs([shots] * 4, spread=0.3), *blobs([2] * 4, seed=1, spread=0.3), task="classification")
    test, targets = blobs([30] * 4, seed=2, spread=0.3)
    assert valid_score("classification", scores_of(found, test), targets) > 0.7


@pytest.mark.parametrize("regime", ["linear", "prototype"])
@pytest.mark.parametrize("shots", [1, 2, 5])
def test_few_shots_of_a_dataset_are_fitted(tmp_path, shots, regime):
    dataset = load_dataset(class_folders(tmp_path, clips=10, seconds=0.33), shots=shots)
    assert len(dataset.rows("train")) == 3 * shots
    tuned = tuning.finetune(dataset, load_encoder("mfcc"), regime)
    assert tuned.card["train_windows"] == 3 * shots
    assert tuned.card["valid_score"] >= 0.6  # of 1/3 by chance: three pitches


def test_a_dataset_of_one_class_is_refused_before_anything_is_fitted(tmp_path):
    with pytest.raises(CallspaceError, match="only one usable class"):
        load_dataset(class_folders(tmp_path, {"only": 500.0}, clips=8, seconds=0.33), shots=1)
