"""How much of a call's neighbourhood is background by chance: the share of background among the other test windows.

Folds hold other windows, and other shares of background: a score that is averaged over folds and seeds is held against the chance of the
same ones, averaged alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from callspace.bench.choice import choice_of
from callspace.bench.execute import cell_folder
from callspace.bench.plan import Cell, Choice
from callspace.tables import RESULTS, read_parquet

__all__ = ["by_chance", "chances_of"]


def by_chance(labels: Sequence[Sequence[str]]) -> float | None:
    """The share of background among the windows other than a labelled one; None where there is no background, or nothing else.

    Parameters
    ----------
    labels : sequence of sequence of str
        Those of each test window; none for a background window.

    Examples
    --------
    >>> by_chance([["wren"], [], ["wren"], [], []])
    0.75
    """
    background = sum(not own for own in labels)
    return background / (len(labels) - 1) if 0 < background < len(labels) else None


def chances_of(folder: Path, cells: Sequence[Cell]) -> dict[Choice, float]:
    """The chance of each choice of a finished run whose share of background among neighbours was measured, over the same folds and seeds.

    Parameters
    ----------
    folder : Path
        The run's.
    cells : sequence of Cell
        Those that are done.
    """
    one_of = {cell.fold: cell for cell in cells if not cell.choice.clean}
    if not one_of:
        return {}
    tested = {fold: read_parquet(cell_folder(folder, cell) / "predictions.parquet") for fold, cell in one_of.items()}
    chance = {fold: by_chance(table["labels"].to_pylist()) for fold, table in tested.items()}
    parts: dict[Choice, list[float]] = {}
    for row in read_parquet(folder / "results.parquet", RESULTS).to_pylist():
        if row["metric"] != "background_neighbours" or row["class"] is not None:
            continue
        if (own := chance.get(row["fold"])) is not None:
            parts.setdefault(choice_of(row), []).append(own)
    return {choice: float(np.mean(own)) for choice, own in parts.items()}
