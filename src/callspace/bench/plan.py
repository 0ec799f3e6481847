"""The plan: which cells a bench consists of. A cell is one encoder in one regime under one background policy, fold and seed."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import pyarrow as pa

from callspace.adaptation.regimes import check_regime
from callspace.bench.protocols import Protocol
from callspace.datasets import Dataset
from callspace.embedding.store import window_keys
from callspace.errors import CallspaceError

__all__ = ["PLAN", "Cell", "Choice", "Reading", "check_factors", "make_plan", "plan_table"]

PLAN = pa.schema(
    [
        ("cell", pa.string()),
        ("encoder", pa.string()),
        ("layer", pa.string()),
        ("pool", pa.string()),
        ("regime", pa.string()),
        ("background", pa.float64()),
        ("fold", pa.int32()),
        ("seed", pa.int64()),
    ]
)


class Reading(NamedTuple):
    """Where in an encoder an embedding is read, how it is pooled, and what to call that: nothing, where it is the encoder's own way."""

    layer: str
    pool: str
    words: str = ""


class Choice(NamedTuple):
    """What a user chooses: encoder, regime, background policy, and where the embedding is read; folds and seeds are repetitions of it."""

    encoder: str
    regime: str
    background: float
    layer: str
    pool: str


@dataclass(frozen=True)
class Cell:
    """One cell. `name` is its folder: readable, and ending in digits that change with anything its numbers depend on.

    `reading` says in words where the embedding is read, where that is not the encoder's own default.
    """

    encoder: str
    layer: str
    pool: str
    regime: str
    background: float
    fold: int | None
    seed: int
    reading: str = ""
    name: str = ""

    @property
    def choice(self) -> Choice:
        """The choice that the cell is a repetition of."""
        return Choice(self.encoder, self.regime, self.background, self.layer, self.pool)

    def factors(self) -> dict[str, Any]:
        """The columns of the results that say which cell a row is of."""
        return {key: value for key, value in asdict(self).items() if key not in ("name", "reading")}

    def describe(self) -> str:
        """'resnet18:random, full, background 0.1, fold 2, seed 1', as short as it can be."""
        parts = [self.encoder, *([self.reading] if self.reading else []), self.regime]
        if self.background != 1:
            parts.append(f"background {self.background:g}")
        if self.fold is not None:
            parts.append(f"fold {self.fold}")
        return ", ".join(parts) + (f", seed {self.seed}" if self.seed else "")


def make_plan(
    dataset: Dataset,
    encoders: Sequence[str],
    regimes: Sequence[str],
    background: Sequence[float],
    protocol: Protocol,
    *,
    seeds: int | None = None,
    folds: Sequence[int | None] = (None,),
    trainable: dict[str, bool],
    sources: dict[str, str],
    readings: dict[str, list[Reading]],
) -> tuple[list[Cell], list[str]]:
    """The cells of a bench, in the order they are worked on, and sentences on what is left out.

    Parameters
    ----------
    folds : sequence of int or None
        The test folds; ``(None,)`` takes the dataset's splits as they are.
    trainable : dict
        Whether each encoder has anything to fine-tune.
    sources : dict
        What each encoder's weights are: a fingerprint that goes into the cells' names.
    readings : dict
        Where each encoder's embeddings are read: a cell each.
    """
    check_factors(encoders, regimes, background)
    notes = []
    shares = list(dict.fromkeys(background))
    if dataset.task == "classification" and shares != [1.0]:
        notes.append("Clips have no background windows: --background does not apply.")
        shares = [1.0]
    if still := [name for name in encoders if not trainable[name] and "full" in regimes]:
        notes.append(f"{', '.join(still)} cannot be fine-tuned: frozen and linear only.")
    data = dataset.fingerprint(), hashlib.sha256("".join(window_keys(dataset)).encode()).hexdigest()
    # All repetitions of a choice stand together, so that it can be weighed as soon as they are done.
    cells = [
        _named(Cell(encoder, layer, pool, regime, share, fold, seed, words), data, protocol, sources[encoder])
        for encoder in dict.fromkeys(encoders)
        for layer, pool, words in readings[encoder]
        for regime in dict.fromkeys(regimes)
        if regime != "full" or trainable[encoder]
        # Probes on a frozen encoder are judged with all background; only what is fitted has a policy.
        for share in ([1.0] if regime == "frozen" else shares)
        for fold, seed in itertools.product(folds, range(seeds or protocol.seeds))
    ]
    if not cells:
        raise CallspaceError(f"nothing to do: {notes[-1] if notes else 'no cell is left'}")
    return cells, notes


def check_factors(encoders: Sequence[str], regimes: Sequence[str], background: Sequence[float]) -> None:
    """Refuse unknown regimes, impossible shares and empty lists."""
    for regime in regimes:
        check_regime(regime)
    for share in background:
        if not 0 <= share <= 1:
            raise CallspaceError(f"--background takes shares from 0 to 1, not {share:g}")
    if not encoders or not regimes or not background:
        raise CallspaceError("a bench needs at least one encoder, one regime and one share of background")


def _named(cell: Cell, data: tuple[str, str], protocol: Protocol, source: str) -> Cell:
    digest = hashlib.sha256(repr((asdict(cell), data, protocol.text, source)).encode()).hexdigest()[:8]
    called = f"{cell.encoder} {cell.reading}".strip()
    parts = [re.sub(r"[^A-Za-z0-9._-]+", "-", called)[-60:], cell.regime, f"bg{cell.background:g}"]
    if cell.fold is not None:
        parts.append(f"fold{cell.fold}")
    return replace(cell, name="_".join([*parts, f"seed{cell.seed}", digest]))


def plan_table(cells: Sequence[Cell]) -> pa.Table:
    """The plan as a table."""
    from callspace.tables import from_rows

    return from_rows([{"cell": cell.name} | cell.factors() for cell in cells], PLAN)
