"""Training curves: did tuning end too early, learn its training windows by heart, break down, or never get going?

From the losses and the score on valid after each epoch, a curve a learning rate, seed and fold. The bench keeps the best epoch on valid,
so that a curve that turns up afterwards has done no harm: what is told here is what would make the next tuning better. A thing is said
of a choice (encoder, regime, background policy) where it holds for most of its seeds and folds.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from callspace.adaptation.regimes import regime_of
from callspace.errors import CallspaceError
from callspace.evaluation.diagnosis.finding import Finding

__all__ = ["training_curves"]

_CHECK = "training_curves"
_CHOICE = ("encoder", "layer", "pool", "regime", "background", "policy")

#: A loss on valid that falls by less than this share over the last epochs has arrived.
_STILL_FALLING, _LAST = 0.01, 3
#: A score on valid from which there is nothing to gain.
_PERFECT = 0.995
#: Overfitting: the loss on valid ends this much above its least, which came in the first half, while the loss on train fell on by a fifth.
_RISEN, _FELL_ON, _EARLY = 1.3, 0.8, 0.5
#: The loss on train ends at more than this many times its first.
_EXPLODED = 2.0
#: An edge of the rates that were tried is one that loses less by going on: it beats its neighbour by this much.
_EDGE = 0.01
_FEWEST_EPOCHS = 3

_SAYS = {
    "diverged": "training broke down",
    "first epoch": "no epoch was better than the first",
    "overfitting": "it learnt the training windows by heart: the loss on valid rose while that on train fell on",
    "undertrained": "the loss on valid was still falling when training ended",
    "rate at the edge": "the best learning rate is the outermost that was tried",
}
_REMEDIES = {
    "diverged": "Try smaller learning rates (training.learning_rates), or clip the gradient (training.clip=1).",
    "first epoch": "Try smaller learning rates, or tune less of the network (regime lora, last, or linear).",
    "overfitting": "Augment (--augment light), tune less of the network (lora, last), or label more recordings.",
    "undertrained": "Train longer (training.max_epochs), or at a larger rate.",
    "rate at the edge": "Try rates beyond it (training.learning_rates).",
}
#: What is worth a look of itself, the gravest first; the others are said beside.
_GRAVITY = ("diverged", "first epoch", "overfitting", "undertrained", "rate at the edge")


def training_curves(history: Iterable[Mapping[str, Any]], failed: Iterable[Mapping[str, Any]] = ()) -> list[Finding]:
    """One finding for each choice whose network was tuned.

    Parameters
    ----------
    history
        Rows of ``history.csv``: the choice's columns, ``fold``, ``seed``, ``learning_rate``, ``epoch``, ``train_loss``, ``valid_loss``,
        ``valid_score``; numbers, or their texts.
    failed
        Learning rates that diverged, which the history does not tell: the choice's columns, ``fold``, ``seed``, ``learning_rate`` and
        ``reason``.

    Returns
    -------
    list of Finding
        Evidence: ``cells`` (how many curves were looked at), ``short`` (how many of them have too few epochs to say anything of), and for
        each thing seen in how many of them.
    """
    curves: dict[tuple[Any, ...], dict[tuple[Any, ...], dict[float, list[dict[str, float]]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for row in history:
        if _tunes(row["regime"]) and (point := _point(row)) is not None:
            curves[_choice(row)][_cell(row)][_number(row["learning_rate"]) or 0.0].append(point)
    broken: dict[tuple[Any, ...], dict[tuple[Any, ...], list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in failed:
        broken[_choice(row)][_cell(row)].append(row)
    return [_finding(dict(zip(_CHOICE, choice, strict=True)), cells, broken[choice]) for choice, cells in curves.items()]


def _finding(
    subject: dict[str, Any],
    cells: Mapping[tuple[Any, ...], Mapping[float, list[dict[str, float]]]],
    broken: Mapping[tuple[Any, ...], Sequence[Mapping[str, Any]]],
) -> Finding:
    seen: dict[str, int] = dict.fromkeys(_GRAVITY, 0)
    rates, short = [], 0
    for cell, by_rate in cells.items():
        ordered = {rate: sorted(points, key=lambda point: point["epoch"]) for rate, points in by_rate.items()}
        rate = max(ordered, key=lambda rate: _best(ordered[rate])[:2])
        rates.append(rate)
        short += len(ordered[rate]) < _FEWEST_EPOCHS
        for name in {*_seen(ordered[rate]), *(["diverged"] if broken.get(cell) else [])}:
            seen[name] += 1
    seen["rate at the edge"] = _at_the_edge(cells)
    counts = {name: number for name, number in seen.items() if number}
    evidence: dict[str, Any] = {"cells": len(cells), "short": short, "seen": counts, "chosen_rates": sorted(set(rates))}
    evidence["rates"] = sorted({rate for by_rate in cells.values() for rate in by_rate})
    reasons = sorted({f"{_number(row['learning_rate']):g}: {row.get('reason', '')}" for rows in broken.values() for row in rows})
    if reasons:
        evidence["failed"] = reasons
    said = [name for name in _GRAVITY if 2 * seen[name] > len(cells)]
    name = f"{subject['encoder']}, {subject['regime']}"
    if not said and 2 * short > len(cells):
        sentence = f"Training ended in fewer than {_FEWEST_EPOCHS} epochs, too few to say whether it went as it should."
        return Finding(
            _CHECK, subject, "unmeasured", sentence, evidence, f"Train for {_FEWEST_EPOCHS} epochs or more (training.max_epochs)."
        )
    if not said:
        return Finding(_CHECK, subject, "fine", f"{name}: training went as it should.", evidence)
    rest = f" (in {{}} of {len(cells)} fits)" if len(cells) > 1 else ""
    parts = [_SAYS[one] + rest.format(seen[one]) for one in said]
    if said[0] == "diverged" and reasons and seen["diverged"]:
        parts[0] += f", at the learning rate {reasons[0].partition(':')[0]}"
    remedies = " ".join(dict.fromkeys(_REMEDIES[one] for one in said))
    return Finding(_CHECK, subject, "look", f"{name}: {'; '.join(parts)}.", evidence, remedies)


def _seen(points: Sequence[Mapping[str, float]]) -> list[str]:
    """What one curve, of the chosen rate, shows."""
    found = []
    train, valid = [point["train_loss"] for point in points], [point["valid_loss"] for point in points]
    best = _best(points)[2]
    losses = [loss for loss in train if not math.isnan(loss)]
    if len(losses) >= _FEWEST_EPOCHS and losses[-1] > _EXPLODED * losses[0]:
        found.append("diverged")
    if len(points) < _FEWEST_EPOCHS:
        return found
    room = points[best]["valid_score"] < _PERFECT
    if best == 0 and room and any(point["valid_score"] < points[0]["valid_score"] for point in points[1:]):
        found.append("first epoch")
    if any(math.isnan(loss) for loss in (*train, *valid)):
        return found
    least = min(range(len(valid)), key=valid.__getitem__)
    if least < _EARLY * (len(valid) - 1) and valid[-1] > _RISEN * valid[least] and train[-1] < _FELL_ON * train[least]:
        found.append("overfitting")
    last = valid[-_LAST - 1 :]
    falls = len(last) > _LAST and all(later < earlier for earlier, later in itertools.pairwise(last))
    if best == len(points) - 1 and room and falls and last[-1] < (1 - _STILL_FALLING) ** _LAST * last[0]:
        found.append("undertrained")
    return found


def _at_the_edge(cells: Mapping[tuple[Any, ...], Mapping[float, Sequence[Mapping[str, float]]]]) -> int:
    """In how many cells the outermost of three rates or more is best, and clearly better on average than the next one in."""
    edges: dict[float, list[float]] = defaultdict(list)
    for by_rate in cells.values():
        rates = sorted(by_rate)
        if len(rates) < 3:
            return 0
        scores = {rate: _best(by_rate[rate])[0] for rate in rates}
        best = max(rates, key=lambda rate: scores[rate])
        for edge, beside in ((rates[0], rates[1]), (rates[-1], rates[-2])):
            edges[edge].append(scores[edge] - scores[beside] if best == edge else math.nan)
    for gains in edges.values():
        won = [gain for gain in gains if not math.isnan(gain)]
        if 2 * len(won) > len(cells) and sum(won) / len(won) > _EDGE:
            return len(won)
    return 0


def _best(points: Sequence[Mapping[str, float]]) -> tuple[float, float, int]:
    """Score, minus the loss, and place of the epoch that is kept: of equal scores the least loss, of equal losses the first."""
    place = max(range(len(points)), key=lambda at: (points[at]["valid_score"], -points[at]["valid_loss"], -at))
    return points[place]["valid_score"], -points[place]["valid_loss"], place


def _choice(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*(row.get(name) or "" for name in _CHOICE[:4]), _number(row.get("background")), row.get("policy") or "share")


def _cell(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return _number(row.get("fold")), _number(row.get("seed"))


def _point(row: Mapping[str, Any]) -> dict[str, float] | None:
    """An epoch's numbers; None where it was not judged on valid."""
    numbers = {name: _number(row.get(name)) for name in ("epoch", "train_loss", "valid_loss", "valid_score")}
    if numbers["epoch"] is None or numbers["valid_score"] is None:
        return None
    return {name: math.nan if value is None else value for name, value in numbers.items()}


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number


def _tunes(regime: str) -> bool:
    try:
        return regime_of(regime).tunes
    except CallspaceError:  # one that this version does not know
        return False
