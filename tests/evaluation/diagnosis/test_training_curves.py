"""What curves of losses and scores give away, and that ordinary ones give no alarm."""

import math

import numpy as np
import pytest

from callspace.evaluation.diagnosis.training_curves import training_curves


def curve(train, valid, scores, *, rate=5e-4, seed=0, regime="full", encoder="resnet18"):
    shared = {"encoder": encoder, "layer": "pooled", "pool": "mean", "regime": regime, "background": 1.0, "policy": "share"}
    return [
        shared | {"fold": None, "seed": seed, "learning_rate": rate, "epoch": at + 1} | {"train_loss": t, "valid_loss": v, "valid_score": s}
        for at, (t, v, s) in enumerate(zip(train, valid, scores, strict=True))
    ]


def ordinary(epochs=14, seed=0, rate=5e-4, speed=2.5, top=0.9, noise=0.01):
    """Falls, levels out and rises a little until patience ends it, with noise."""
    rng = np.random.default_rng(seed)
    at = np.arange(1, epochs + 1)
    train = 2 * np.exp(-at / speed) + 0.05 + noise * rng.random(epochs)
    valid = 2 * np.exp(-at / speed) + 0.4 + 0.01 * np.maximum(0, at - 8) + noise * rng.standard_normal(epochs)
    scores = top * (1 - np.exp(-at / speed)) - 0.004 * np.maximum(0, at - 9) + noise * rng.standard_normal(epochs)
    return curve(train, valid, scores, rate=rate, seed=seed)


def only(rows, **options):
    [found] = training_curves(rows, **options)
    return found


def test_ordinary_curves_give_no_alarm():
    alarms = 0
    for seed in range(200):
        rows = [
            row
            for member in range(3)
            for rate, top in ((5e-5, 0.86), (5e-4, 0.9))
            for row in ordinary(seed=10 * seed + member, rate=rate, top=top)
        ]
        for row in rows:
            row["seed"] %= 10
        alarms += only(rows).verdict != "fine"
    assert alarms <= 4


def test_a_loss_that_still_falls_at_the_last_epoch_is_undertrained():
    at = np.arange(30)
    found = only(curve(2 - 0.04 * at, 2.1 - 0.04 * at, 0.2 + 0.02 * at))
    assert (found.verdict, found.evidence["seen"]) == ("look", {"undertrained": 1})
    assert "max_epochs" in found.remedy
    arrived = 1 + np.exp(-at / 4.0)
    assert only(curve(arrived, arrived, 0.8 - 0.2 * np.exp(-at / 4.0))).verdict == "fine"


def test_train_that_falls_on_while_valid_rises_is_overfitting():
    at = np.arange(12)
    found = only(curve(2 * np.exp(-at / 2), 1.0 + 0.15 * np.abs(at - 2), 0.6 - 0.02 * np.abs(at - 2)))
    assert found.evidence["seen"] == {"overfitting": 1}
    assert "augment" in found.remedy


def test_a_loss_that_explodes_and_a_rate_that_failed_are_divergence():
    at = np.arange(6)
    found = only(curve(0.7 * 2.0**at, 0.7 * 2.0**at, 0.5 + 0.01 * at))
    assert "diverged" in found.evidence["seen"]
    rows = ordinary()
    failed = [{name: rows[0][name] for name in rows[0]} | {"learning_rate": 0.5, "reason": "the loss was not finite in epoch 2"}]
    found = only(rows, failed=failed)
    assert (found.verdict, found.evidence["failed"]) == ("look", ["0.5: the loss was not finite in epoch 2"])
    assert "0.5" in found.sentence


def test_never_better_than_the_first_epoch():
    found = only(curve([1.0, 0.9, 0.8, 0.8], [1.0, 1.01, 1.02, 1.03], [0.6, 0.5, 0.5, 0.4]))
    assert "first epoch" in found.evidence["seen"]
    always_perfect = curve([0.5, 0.4, 0.3, 0.2], [0.5, 0.4, 0.35, 0.34], [1.0, 1.0, 1.0, 1.0])
    assert only(always_perfect).verdict == "fine"


@pytest.mark.parametrize("rates, edge", [((1e-5, 1e-4, 1e-3), True), ((1e-4, 1e-3), False)])
def test_the_outermost_of_three_rates_or_more_is_an_edge(rates, edge):
    tops = dict(zip(rates, (0.6, 0.7, 0.9)[-len(rates) :], strict=True))
    rows = [row for seed in range(3) for rate, top in tops.items() for row in ordinary(rate=rate, top=top, seed=seed)]
    found = only(rows)
    assert ("rate at the edge" in found.evidence["seen"]) == edge
    assert found.evidence["chosen_rates"] == [1e-3]


def test_an_edge_that_hardly_beats_its_neighbour_is_none():
    rows = [
        row
        for seed in range(3)
        for rate, top in ((1e-5, 0.6), (1e-4, 0.898), (1e-3, 0.9))
        for row in ordinary(rate=rate, top=top, seed=seed, noise=0)
    ]
    assert only(rows).verdict == "fine"


def test_what_holds_for_a_minority_of_seeds_is_kept_and_not_said():
    at = np.arange(30)
    rising = curve(2 - 0.04 * at, 2.1 - 0.04 * at, 0.2 + 0.02 * at, seed=9)
    found = only([*ordinary(seed=0), *ordinary(seed=1), *rising])
    assert (found.verdict, found.evidence["seen"], found.evidence["cells"]) == ("fine", {"undertrained": 1}, 3)


def test_probes_and_epochs_without_a_score_on_valid_are_left_aside():
    assert training_curves(curve([1, 2], [1, 2], [0.5, 0.5], regime="linear")) == []
    rows = curve([1, 0.9], [1, 0.9], [None, math.nan])
    assert training_curves(rows) == []


def test_rows_may_be_the_texts_of_a_csv_file():
    rows = [{name: "" if value is None else str(value) for name, value in row.items()} for row in ordinary()]
    assert only(rows).to_json()["evidence"] == only(ordinary()).to_json()["evidence"]


def test_too_few_epochs_are_not_judged():
    two = curve([1.0, 0.8], [1.0, 0.9], [0.5, 0.6])
    found = only(two)
    assert (found.verdict, found.evidence["short"]) == ("unmeasured", 1)
    assert "fewer than 3 epochs" in found.sentence
    assert "max_epochs" in found.remedy
    assert only([*two, *ordinary(seed=1), *ordinary(seed=2)]).verdict == "fine"
    failed = [dict(two[0]) | {"learning_rate": 0.5, "reason": "the loss was not finite"}]
    assert only(two, failed=failed).verdict == "look"


def test_a_fit_that_broke_down_in_two_ways_is_one_fit():
    at = np.arange(6)
    exploding = curve(0.7 * 2.0**at, 0.7 * 2.0**at, 0.5 + 0.01 * at, seed=9)
    failed = [dict(exploding[0]) | {"learning_rate": 0.5, "reason": "the loss was not finite"}]
    found = only([*ordinary(seed=0), *ordinary(seed=1), *exploding], failed=failed)
    assert (found.verdict, found.evidence["seen"]["diverged"], found.evidence["cells"]) == ("fine", 1, 3)


def test_a_first_epoch_that_is_perfect_leaves_nothing_to_be_better():
    found = only(curve([0.5, 0.4, 0.3, 0.2], [0.5, 0.4, 0.35, 0.34], [1.0, 0.99, 0.99, 0.99]))
    assert (found.verdict, found.evidence["seen"]) == ("fine", {})
