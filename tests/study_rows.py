"""Planted evidence for the study's questions: scores and paired differences with standard errors that are told."""

from __future__ import annotations

from typing import Any

from callspace.bench.choice import choice_of
from callspace.bench.evidence import Evidence

_HALF = 1.959963984540054
PRETRAINING = {
    "yamnet": "audio",
    "aves-all": "bioacoustic",
    "alexnet": "image",
    "resnet18": "image",
    "alexnet:random": "none",
    "resnet18:random": "none",
    "mfcc": "none",
}


def score(
    encoder: str, regime: str, metric: str, value: float, error: float | None = 0.01, kept=(1.0, "share"), **more: Any
) -> dict[str, Any]:
    """A row of the summary."""
    readers = {"nmi": "kmeans", "separation_auroc": "linear", "background_neighbours": ""}
    reader = readers.get(metric, "linear" if regime == "frozen" else "head")
    ends = (None, None) if error is None else (value - _HALF * error, value + _HALF * error)
    what = {"encoder": encoder, "pretraining": PRETRAINING.get(encoder, "audio"), "layer": "top", "pool": "mean", "regime": regime}
    what |= {"background": kept[0], "policy": kept[1], "space": "full", "clusterer": reader, "class": None, "metric": metric}
    return what | {"value": value, "ci_low": ends[0], "ci_high": ends[1]} | more


def difference(
    question: str, a: tuple, b: tuple, metric: str, value: float, error: float | None = 0.01, p: float | None = None, **more: Any
) -> dict[str, Any]:
    """A row of the comparisons; a and b are (encoder, regime) or (encoder, regime, (background, policy))."""
    row: dict[str, Any] = {"question": question, "metric": metric, "difference": value, "p": p}
    for side, (encoder, regime, *kept) in (("a", a), ("b", b)):
        background, policy = kept[0] if kept else (1.0, "share")
        row |= {f"{side}_encoder": encoder, f"{side}_regime": regime, f"{side}_background": background, f"{side}_policy": policy}
        row |= {f"{side}_layer": "top", f"{side}_pool": "mean"}
    ends = (None, None) if error is None else (value - _HALF * error, value + _HALF * error)
    return row | {"ci_low": ends[0], "ci_high": ends[1], "space": "full", "clusterer": "kmeans" if metric == "nmi" else "head"} | more


def evidence(
    summary=(),
    comparisons=(),
    task="detection",
    dataset="chorus",
    networks=("yamnet", "aves-all", "alexnet", "resnet18"),
    chance=600 / 999,
) -> Evidence:
    """A run's, in which the networks were at least there."""
    there = [score(encoder, "frozen", "macro_auroc", 0.5) for encoder in networks]
    splits = {"test": {"windows": 1000, "background": 600}}
    chances = {choice_of(row): chance for row in summary if row["metric"] == "background_neighbours"}
    return Evidence(dataset, {"name": dataset, "task": task, "splits": splits}, [*there, *summary], list(comparisons), chances)
