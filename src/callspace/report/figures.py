"""What the sections of figures share: the scores they read, the paired differences, and the chart of these."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from callspace.bench.choice import beyond_chance
from callspace.report.charts import Dot, RowGroup, dot_rows
from callspace.report.colours import MUTED, encoder_colours
from callspace.report.reading import Contender, Run, Score, background_of, finite
from callspace.report.words import interval, metric_name, number, ordered_regimes, short, signed

__all__ = [
    "bracketed",
    "clear",
    "differences",
    "ends_of",
    "forest",
    "score_of",
    "short_metric",
    "span_of",
    "switchable_metrics",
    "would_show",
]

#: Scores of use, which the regime's own head has; the others are of the embedding.
_OF_USE = ("accuracy", "balanced_accuracy", "macro_f1", "map", "map_beans", "macro_auroc")

_READING_ORDER = ("head", "linear", "knn", "kmeans", "")


def score_of(run: Run, contender: Contender, metric: str) -> tuple[str, Score] | None:
    """An overall score of the full space as every section reads it."""
    if metric in _OF_USE:
        return run.main_score(contender, metric)
    if metric in ("separation_auroc", "separation_ap"):
        return run.separation(contender, metric)
    return run.score(contender, metric, "full")


def differences(run: Run, question: str, metric: str) -> list[dict[str, Any]]:
    """The paired differences for a question and a metric: one a pair, in the full space, from the first reader that has it."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    rows = [
        row for row in run.comparisons if row["question"] == question and row["metric"] == metric and row["space"] in ("full", "", None)
    ]
    known = [row for row in rows if finite(row["difference"]) is not None]
    for row in sorted(known, key=lambda row: _READING_ORDER.index(row["clusterer"] or "") if row["clusterer"] in _READING_ORDER else 9):
        sides = tuple(row[f"{side}_{name}"] for side in "ab" for name in ("encoder", "layer", "pool", "regime")) + tuple(
            part for side in "ab" for part in background_of(row, f"{side}_")
        )
        found.setdefault(sides, row)
    return list(found.values())


def switchable_metrics(run: Run) -> list[str]:
    """The overall scores that the figures can be switched between."""
    wanted = [run.main_metric, "nmi", "separation_auroc"]
    return [metric for metric in wanted if any(score_of(run, contender, metric) for contender in run.alike)]


def span_of(values: Iterable[float | None], least: float = 0.1) -> tuple[float, float]:
    """Round ends for an axis over `values`."""
    known = [value for value in values if value is not None] or [0.0, 1.0]
    low, high = math.floor(min(known) * 10 - 1e-9) / 10, math.ceil(max(known) * 10 + 1e-9) / 10
    return (low, max(high, low + least))


def ends_of(score: Score) -> tuple[float, float | None, float | None]:
    return (score.value, score.low, score.high)


def bracketed(score: Score) -> str:
    return f"{number(score.value)} ({interval(score)})" if interval(score) else number(score.value)


def clear(row: dict[str, Any]) -> int:
    """1 or -1 where a difference is above or below zero beyond chance, else 0: by the rule of the choice, corrected for the number of comparisons."""
    return beyond_chance(row | {name: finite(row.get(name)) for name in ("ci_low", "ci_high", "p_holm")})


def would_show(row: dict[str, Any]) -> str:
    """The smallest difference that the test groups would show, as a number; empty where it is not known."""
    least = finite(row.get("detectable"))
    return "" if least is None else number(least)


def forest(run: Run, rows: Sequence[dict[str, Any]], metric: str, name: Callable[[dict[str, Any]], str], by: str = "b") -> dict[str, Any]:
    """Paired differences with their intervals, by the encoder of one side, around a line at zero."""
    colours = encoder_colours(run.encoders)
    groups = []
    for encoder in dict.fromkeys(row[f"{by}_encoder"] for row in rows):
        own = [row for row in rows if row[f"{by}_encoder"] == encoder]
        regimes = ordered_regimes(row["b_regime"] for row in own)
        own.sort(key=lambda row: (regimes.index(row["b_regime"]), _after_shares(*background_of(row, "b_"))))
        dots = []
        for row in own:
            score = Score(row["difference"], finite(row["ci_low"]), finite(row["ci_high"]), None, None)
            between = f"{signed(score.low)} to {signed(score.high)}" if interval(score) else "no interval"
            least = f"\nonly a difference of {would_show(row)} would show" if would_show(row) and not clear(row) else ""
            hover = f"{encoder}: {name(row)}\n{metric_name(metric)} {signed(score.value)} ({between}){least}"
            dots.append((name(row), [Dot(*ends_of(score), hover)]))
        groups.append(RowGroup(short(encoder), colours.get(encoder, MUTED), dots))
    low, high = span_of([end for row in rows for end in (row["difference"], finite(row["ci_low"]), finite(row["ci_high"]))] + [0.0])
    return dot_rows(groups, f"difference in {metric_name(metric)}", (low, high), zero=True)


def _after_shares(background: float | None, policy: str) -> tuple[bool, str, float]:
    """The order of background policies: shares first, and of each kind the most background first."""
    return policy != "share", policy, -(background or 0.0)


def short_metric(metric: str) -> str:
    return "separation" if metric == "separation_auroc" else metric_name(metric)
