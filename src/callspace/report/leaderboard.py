"""The leaderboard: one row a contender, best first. The page, the terminal and the tests all read this one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from callspace import tables
from callspace.adaptation.background import CLEAN_ALL
from callspace.report.reading import Contender, Run, background_of, finite, read_run

__all__ = ["LEADERBOARD", "leaderboard", "leaderboard_of"]

#: `standing` is ``recommended``, ``tied`` (not told apart from the recommended one) or empty; `seconds` is the mean of a cell.
#: NMI and the silhouette of the labels are of the full space (`structure_space`, where a run has no other); the separation of
#: background is read by the same kind of probe for every contender, so that frozen and tuned encoders compare. A head on a frozen
#: encoder leaves the embedding as it was: its NMI, silhouette and separation are the frozen encoder's. What was judged on test windows
#: without background (`policy` ``clean-all``) comes last, with places of its own.
LEADERBOARD = pa.schema(
    [
        ("place", pa.int32()),
        ("encoder", pa.string()),
        ("pretraining", pa.string()),
        ("regime", pa.string()),
        ("background", pa.float64()),
        ("policy", pa.string()),
        ("variant", pa.string()),
        ("standing", pa.string()),
        ("metric", pa.string()),
        ("reader", pa.string()),
        ("value", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("n", pa.int64()),
        ("cells", pa.int32()),
        ("structure_space", pa.string()),
        ("nmi", pa.float64()),
        ("nmi_ci_low", pa.float64()),
        ("nmi_ci_high", pa.float64()),
        ("silhouette", pa.float64()),
        ("separation_reader", pa.string()),
        ("separation_auroc", pa.float64()),
        ("separation_ci_low", pa.float64()),
        ("separation_ci_high", pa.float64()),
        ("seconds", pa.float64()),
    ]
)

#: The policies of a linear head that is the probe by which a frozen encoder is read.
_WHOLE = ((1.0, "share"), (0.0, CLEAN_ALL))


def leaderboard(run_folder: Path) -> pa.Table:
    """The leaderboard of a run folder.

    Parameters
    ----------
    run_folder : Path
        A folder with at least ``summary.parquet`` and ``dataset.json``.

    Returns
    -------
    pa.Table
        Of the schema `LEADERBOARD`, sorted by the main metric (accuracy or mAP), best first; contenders without it come last.
        A frozen encoder is read by a linear probe, every other regime by its own head.
    """
    return leaderboard_of(read_run(run_folder))


def leaderboard_of(run: Run) -> pa.Table:
    """The leaderboard of a run that has been read."""
    seconds = _seconds(run)
    rows = [_row(run, contender, seconds) for contender in run.contenders]
    rows.sort(
        key=lambda row: (
            row["policy"] == CLEAN_ALL,
            row.get("value") is None,
            -(row.get("value") or 0.0),
            *(row["encoder"], row["regime"], -(row["background"] or 0.0), row["policy"]),
        )
    )
    whole = sum(row["policy"] != CLEAN_ALL for row in rows)
    return tables.from_rows([{**row, "place": at + 1 if at < whole else at + 1 - whole} for at, row in enumerate(rows)], LEADERBOARD)


def _row(run: Run, contender: Contender, seconds: dict[tuple[Any, ...], float]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "encoder": contender.encoder,
        "pretraining": run.contenders[contender]["pretraining"],
        "regime": contender.regime,
        "background": contender.background,
        "policy": contender.policy,
        "variant": contender.variant,
        "standing": _standing(run, contender),
        "metric": run.main_metric,
        "seconds": seconds.get((*contender[:3], contender.policy, *run.read_at(contender))),
    }
    embedding = run.embedding_of(contender)
    if main := run.main_score(contender):
        reader, score = main
        row |= {"reader": reader, "value": score.value, "ci_low": score.low, "ci_high": score.high, "n": score.n, "cells": score.cells}
    if run.spaces:
        row["structure_space"] = space = run.spaces[0]
        if nmi := run.score(embedding, "nmi", space):
            row |= {"nmi": nmi[1].value, "nmi_ci_low": nmi[1].low, "nmi_ci_high": nmi[1].high}
        if silhouette := run.score(embedding, "silhouette_labels", space):
            row["silhouette"] = silhouette[1].value
    if separation := run.separation(embedding):
        reader, score = separation
        row |= {
            "separation_reader": reader,
            "separation_auroc": score.value,
            "separation_ci_low": score.low,
            "separation_ci_high": score.high,
        }
    return row


def _standing(run: Run, contender: Contender) -> str:
    if run.choice.get("encoder") and run.named(run.choice) == contender:
        return "recommended"
    tied = run.choice.get("tied", [])
    # A frozen encoder is its own linear head, under whose name the choice speaks of both.
    heads = [what for what in (run.choice, *tied) if what.get("regime") == "linear" and background_of(what) in _WHOLE]
    named = [*tied, *(dict(what) | {"regime": "frozen"} for what in heads)]
    return "tied" if any(run.named(what) == contender for what in named) else ""


def _seconds(run: Run) -> dict[tuple[Any, ...], float]:
    """The mean over cells (a fold and a seed) of the seconds each took."""
    cells: dict[tuple[Any, ...], dict[tuple[str, str], float]] = {}
    for row in run.costs:
        if (spent := finite(row.get("seconds"))) is not None:
            what = row.get("encoder"), row.get("regime"), *background_of(row), row.get("layer"), row.get("pool")
            by_cell = cells.setdefault(what, {})
            cell = (row.get("fold", ""), row.get("seed", ""))
            by_cell[cell] = by_cell.get(cell, 0.0) + spent
    return {key: sum(by_cell.values()) / len(by_cell) for key, by_cell in cells.items()}
