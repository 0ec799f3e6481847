"""Every loss against a plain statement of its paper in float64, one window and one label at a time."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.nn import functional

from callspace.adaptation.losses import class_weights, effective_weights, logit_adjustments, loss_function
from callspace.adaptation.recipes import Recipe
from callspace.adaptation.targets import loss_of
from callspace.errors import CallspaceError

TASKS = ("classification", "detection")
PLAIN = Recipe()


def train_targets(task, counts, background=0):
    """Hard targets of a train split in which label k is on in `counts[k]` windows, one label each."""
    rows = np.repeat(np.eye(len(counts), dtype=np.float32), counts, axis=0)
    return np.vstack([rows, np.zeros((background if task == "detection" else 0, len(counts)), dtype=np.float32)])


def log_softmax(row):
    highest = max(row)
    normaliser = highest + math.log(sum(math.exp(value - highest) for value in row))
    return [value - normaliser for value in row]


def log_sigmoid(x):
    return -math.log1p(math.exp(-x)) if x >= 0 else x - math.log1p(math.exp(x))


def slow_loss(task, recipe, train, logits, targets):
    """The losses' definitions, a window and a label at a time."""
    windows, labels = len(train), train.shape[1]
    counts = [sum(row[k] for row in train.tolist()) for k in range(labels)]
    seen = [count for count in counts if count]
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[recipe.class_weights]
    mean = sum(count ** (1 - power) for count in seen) / sum(seen) if seen else 1
    weights = [count**-power / mean if count else 1.0 for count in counts]
    total = 0.0
    for row, wanted in zip(logits.tolist(), targets.tolist(), strict=True):
        shifted = []
        for k in range(labels):
            on = max(counts[k], 0.5)
            if task == "classification":
                prior = math.log(on / windows)
            else:
                on = min(on, windows - 0.5)
                prior = math.log((on / windows) / (1 - on / windows))
            shifted.append(row[k] + recipe.logit_adjustment * prior)
        e = recipe.label_smoothing
        if task == "classification":
            for k, log_p in enumerate(log_softmax(shifted)):
                t = (1 - e) * wanted[k] + e / labels
                focus = (1 - math.exp(log_p)) ** 2 if recipe.loss == "focal" else 1.0
                total += -t * weights[k] * focus * log_p / len(logits)
            continue
        for k, x in enumerate(shifted):
            t = (1 - e) * wanted[k] + e / 2
            p = math.exp(log_sigmoid(x))
            on, off = -log_sigmoid(x), -log_sigmoid(-x)
            if recipe.loss == "focal":
                on, off = on * math.exp(log_sigmoid(-x)) ** 2, off * p**2
            if recipe.loss == "asymmetric":
                p_m = max(p - 0.05, 0.0)
                off = -(p_m**4) * math.log(1 - p_m)
            total += (t * weights[k] * on + (1 - t) * off) / (len(logits) * labels)
    return total


@st.composite
def batches(draw):
    """Logits up to 500 in size, soft targets, and the counts of train, zeros among them."""
    windows, labels = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    logits = draw(arrays(np.float64, (windows, labels), elements=st.floats(-500, 500) | st.floats(-3, 3)))
    raw = draw(arrays(np.float64, (windows, labels), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])))
    counts = draw(st.lists(st.integers(0, 50), min_size=labels, max_size=labels).filter(any))
    return logits, raw, counts, draw(st.integers(0, 60))


RECIPES = st.builds(
    lambda loss, weights, smoothing, tau: replace(
        PLAIN, loss=loss, class_weights=weights, label_smoothing=smoothing, logit_adjustment=tau, mixup=0.2
    ),
    st.sampled_from(["plain", "focal", "asymmetric"]),
    st.sampled_from(["none", "sqrt", "balanced"]),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.sampled_from([0.0, 1.0, 1.5]),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(TASKS), RECIPES, batches())
def test_every_combination_is_what_its_papers_say(task, recipe, batch):
    logits, raw, counts, background = batch
    if task == "classification":
        recipe = replace(recipe, loss="focal" if recipe.loss == "asymmetric" else recipe.loss)
        raw[raw.sum(axis=1) == 0, 0] = 1
        raw = raw / raw.sum(axis=1, keepdims=True)  # shares of mixed clips
    train = train_targets(task, counts, background)
    found = loss_function(task, recipe, train)(torch.from_numpy(logits), torch.from_numpy(raw))
    assert float(found) == pytest.approx(slow_loss(task, recipe, train, logits, raw), rel=1e-9, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(TASKS),
    RECIPES,
    arrays(np.float32, (3, 3), elements=st.sampled_from([0.0, 1.0, -20.0, 90.0, -1e4, 1e4, 1e30, -1e30])),
    st.integers(0, 2),
)
def test_extreme_logits_and_labels_that_train_never_shows_give_finite_losses_and_gradients(task, recipe, values, place):
    if task == "classification" and recipe.loss == "asymmetric":
        recipe = replace(recipe, loss="focal")
    logits = torch.from_numpy(values).requires_grad_()
    loss = loss_function(task, recipe, train_targets(task, [3, 0, 9]))(logits, torch.eye(3)[[place, 1, 2]])
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("task", "loss", "adjusted"),
    [case for case in product(TASKS, ("plain", "focal", "asymmetric"), (0.0, 1.0)) if case[:2] != ("classification", "asymmetric")],
)
def test_gradients_are_those_of_the_loss(task, loss, adjusted):
    recipe = Recipe(loss=loss, class_weights="sqrt", label_smoothing=0.1, logit_adjustment=adjusted)
    function = loss_function(task, recipe, train_targets(task, [3, 0, 9], 4))
    logits = (4 * torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).requires_grad_()
    targets = torch.eye(3, dtype=torch.float64)[[0, 1, 2, 2, 0]]
    assert torch.autograd.gradcheck(lambda x: function(x, targets), logits)


@pytest.mark.parametrize("task", TASKS)
def test_with_nothing_asked_for_the_loss_is_the_plain_one_to_the_bit(task):
    logits = torch.randn(37, 5, generator=torch.Generator().manual_seed(1)) * 10
    targets = torch.eye(5)[torch.arange(37) % 5]
    one, two = (logits.clone().requires_grad_() for _ in range(2))
    plain, ours = loss_of(task, one, targets), loss_function(task, PLAIN, targets.numpy())(two, targets)
    plain.backward()
    ours.backward()
    assert torch.equal(plain, ours)
    assert torch.equal(one.grad, two.grad)


def test_mixed_clips_are_heard_as_all_they_are_made_of():
    logits = torch.randn(4, 3)
    mixed = torch.tensor([[0.7, 0.3, 0.0]] * 4)
    found = loss_function("classification", Recipe(mixup=0.2), train_targets("classification", [4, 4, 4]))(logits, mixed)
    assert float(found) == pytest.approx(float(functional.cross_entropy(logits, mixed)), rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("how", ["none", "sqrt", "balanced"])
def test_smoothed_and_weighted_cross_entropy_is_pytorchs(how, smoothing):
    logits = torch.randn(30, 3, dtype=torch.float64)
    train = train_targets("classification", [5, 10, 15])
    targets = torch.from_numpy(train).double()
    weights = torch.from_numpy(class_weights(how, train))
    found = loss_function("classification", Recipe(label_smoothing=smoothing, class_weights=how), train)(logits, targets)
    assert float(found) == pytest.approx(float(functional.cross_entropy(logits, targets, weights, label_smoothing=smoothing)), rel=1e-12)
    if smoothing == 0:  # over all windows of train the weights add up to their number, as where PyTorch divides by their sum
        assert float(found) == pytest.approx(float(functional.cross_entropy(logits, targets.argmax(1), weights)), rel=1e-12)


def test_weighted_soundscapes_are_pytorchs_with_positive_weights_and_background_keeps_its_own():
    train = train_targets("detection", [2, 8], background=20)
    logits, targets = torch.randn(30, 2, dtype=torch.float64), torch.from_numpy(train).double()
    weights = class_weights("balanced", train)
    found = loss_function("detection", Recipe(class_weights="balanced"), train)(logits, targets)
    expected = functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=torch.from_numpy(weights))
    assert float(found) == pytest.approx(float(expected), rel=1e-12)
    assert np.array_equal(weights, class_weights("balanced", train[:10]))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any), st.sampled_from(["none", "sqrt", "balanced"]))
def test_weights_average_one_over_the_windows_and_the_rarer_weighs_no_less(counts, how):
    # Counts alone matter: one row holds them all.
    weights = class_weights(how, np.array([counts], dtype=np.float64))
    counts = np.array(counts)
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1)
    assert (weights[counts == 0] == 1).all()
    seen = np.argsort(counts, kind="stable")[(counts == 0).sum() :]
    assert (np.diff(weights[seen]) <= 1e-12).all()
    if how == "balanced":
        assert np.ptp((weights * counts)[seen]) <= 1e-9 * counts.sum()


def test_adjusted_logits_are_judged_as_if_all_classes_were_as_frequent():
    """The least loss under a prior of 9 to 1, at sound that tells nothing: equal logits, where the plain loss would have 9 to 1."""
    train = train_targets("classification", [90, 10])
    targets = torch.from_numpy(train).double()

    def learnt(tau):
        shared = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS([shared], max_iter=100, tolerance_grad=1e-12, tolerance_change=1e-14)
        loss = loss_function("classification", Recipe(logit_adjustment=tau), train)

        def step():
            optimiser.zero_grad()
            value = loss(shared.expand(100, 2), targets)
            value.backward()
            return value

        optimiser.step(step)
        return float(shared.detach() @ torch.tensor([1.0, -1.0], dtype=torch.float64))

    assert learnt(0.0) == pytest.approx(math.log(9), abs=1e-6)
    assert learnt(1.0) == pytest.approx(0, abs=1e-6)


def test_adjustments_are_log_shares_of_clips_and_log_odds_of_soundscapes():
    assert logit_adjustments("classification", 2.0, train_targets("classification", [1, 3])) == pytest.approx(2 * np.log([0.25, 0.75]))
    odds = logit_adjustments("detection", 1.0, train_targets("detection", [1, 3], background=4))
    assert odds == pytest.approx(np.log([1 / 7, 3 / 5]))


def test_a_label_in_no_window_or_in_all_has_a_finite_adjustment():
    never_and_always = np.array([[0, 1]] * 6, dtype=np.float32)
    assert logit_adjustments("detection", 1.0, never_and_always) == pytest.approx([np.log(0.5 / 5.5), np.log(5.5 / 0.5)])
    assert np.isfinite(logit_adjustments("detection", 1.0, never_and_always[:1])).all()
    assert np.isfinite(logit_adjustments("classification", 1.0, never_and_always)).all()


def test_windows_of_background_alone_can_be_trained_on():
    train = np.zeros((4, 2), dtype=np.float32)
    recipe = Recipe(class_weights="balanced", logit_adjustment=1.0, loss="asymmetric")
    assert torch.isfinite(loss_function("detection", recipe, train)(torch.randn(4, 2), torch.from_numpy(train)))


def test_losses_of_networks_in_sixteen_bits_are_computed_in_thirty_two():
    logits, targets = torch.randn(6, 3).bfloat16(), torch.eye(3)[[0, 1, 2, 0, 1, 2]]
    for task, recipe in product(TASKS, (PLAIN, Recipe(loss="focal", class_weights="sqrt"))):
        function = loss_function(task, recipe, targets.numpy())
        assert function(logits, targets).dtype == torch.float32
        assert torch.equal(function(logits, targets), function(logits.float(), targets))


def test_the_asymmetric_loss_of_clips_is_refused():
    with pytest.raises(CallspaceError, match="choose the focal loss"):
        loss_function("classification", Recipe(loss="asymmetric"), train_targets("classification", [1, 1]))


def test_effective_weights_are_named():
    assert effective_weights(Recipe(class_weights="balanced"), train_targets("detection", [1, 3]), ["a", "b"]) == {
        "a": 2.0,
        "b": pytest.approx(2 / 3),
    }
