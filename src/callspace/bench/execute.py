"""Working on one cell: embed, fit, judge, and leave a complete folder or none.

A cell's folder::

    cell.json            the cell, what was chosen, the score on valid, notes
    results.parquet      its rows of the results table
    predictions.parquet  what was said of each test window (clusters, scores, separation)
    maps.parquet         its two-dimensional maps
    history.csv          the epochs, where there were any
    encoder/             the tuned encoder, where there is one
    cost.json            seconds (in all, of the fit alone, of embedding the dataset) and memory: apart, since they differ from run to run
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from callspace.adaptation.background import CLEAN_ALL, policy_of, without_background
from callspace.adaptation.checkpoint import forget
from callspace.adaptation.finetune import finetune
from callspace.adaptation.regimes import regime_of
from callspace.bench.meter import metered_embedding
from callspace.bench.plan import Cell, Reading
from callspace.bench.protocols import Protocol
from callspace.datasets import Dataset
from callspace.embedding.embed import embed, embed_layers
from callspace.embedding.store import Embeddings
from callspace.encoders.contract import Encoder
from callspace.encoders.load import load_encoder
from callspace.evaluation.judge import judge
from callspace.evaluation.predictions import with_levels
from callspace.evaluation.scores import rows as score_rows
from callspace.evaluation.scoring.use import without_calibration
from callspace.evaluation.tuned import head_thresholds, predictions_of_head, tuned_scores
from callspace.progress import Progress
from callspace.tables import MAPS, RESULTS, from_rows, read_json, write_csv, write_json, write_parquet

__all__ = ["HISTORY", "FrozenEncoder", "cell_folder", "is_complete", "peak_memory_mib", "run_cell"]

HISTORY = pa.schema(
    [
        ("encoder", pa.string()),
        ("layer", pa.string()),
        ("pool", pa.string()),
        ("regime", pa.string()),
        ("background", pa.float64()),
        ("policy", pa.string()),
        ("fold", pa.int32()),
        ("seed", pa.int64()),
        ("learning_rate", pa.float64()),
        ("epoch", pa.int32()),
        ("train_loss", pa.float64()),
        ("valid_loss", pa.float64()),
        ("valid_score", pa.float64()),
    ]
)


class FrozenEncoder:
    """The encoder of some cells, and its embeddings of the dataset at the layers they read, each made once and only when a cell needs them."""

    def __init__(
        self,
        make: Callable[[], Encoder],
        readings: Sequence[Reading],
        dataset: Dataset,
        store: Callable[[Encoder], Path],
        device: str | None,
        progress: Progress,
    ) -> None:
        self._make, self._readings, self._dataset = make, readings, dataset
        self._store, self._device, self._progress = store, device, progress
        self._encoder: Encoder | None = None
        #: Spent on embeddings so far, in seconds.
        self.seconds = 0.0
        self._embeddings: dict[tuple[str, str], Embeddings] = {}

    @property
    def encoder(self) -> Encoder:
        """The encoder, bound to the dataset's rate."""
        if self._encoder is None:
            self._encoder = self._make().bind(self._dataset.sample_rate_hz)
        return self._encoder

    def read_as(self, cell: Cell) -> Encoder:
        """The encoder read at the cell's layer and pooled its way; all share one network."""
        return self.encoder.at(cell.layer, cell.pool)

    def embeddings(self, cell: Cell) -> Embeddings:
        """Embeddings of every window as the cell reads them; the windows' splits are those of no fold in particular.

        All layers that the bench reads with the cell's pooling are embedded in the one pass.
        """
        if (cell.layer, cell.pool) not in self._embeddings:
            layers = [reading.layer for reading in self._readings if reading.pool == cell.pool]
            stores = {layer: self._store(self.encoder.at(layer, cell.pool)) for layer in layers}
            pooled = self.encoder.at(cell.layer, cell.pool)
            with metered_embedding(stores, self._dataset, self._device) as spent:
                found = embed_layers(self._dataset, pooled, layers, stores, device=self._device, progress=self._progress)
            self.seconds += spent.seconds
            self._embeddings |= {(layer, cell.pool): own for layer, own in found.items()}
        return self._embeddings[cell.layer, cell.pool]


def cell_folder(run: Path, cell: Cell) -> Path:
    """Where a cell's results lie."""
    return run / "cells" / cell.name


def is_complete(run: Path, cell: Cell) -> bool:
    """Whether the cell is done; its folder only appears when it is."""
    return (cell_folder(run, cell) / "cell.json").exists()


def run_cell(
    run: Path,
    cell: Cell,
    dataset: Dataset,
    frozen: FrozenEncoder,
    protocol: Protocol,
    *,
    levels: np.ndarray | None = None,
    device: str | None,
    progress: Progress,
) -> None:
    """Do one cell, from embeddings to scores.

    `levels`, float64[windows], are those of `callspace.evaluation.levels.window_levels`, by which curves are made.
    """
    start, embedded = time.perf_counter(), frozen.seconds
    seconds_fit, seconds_embed = None, 0.0
    folder = cell_folder(run, cell)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    found = _Found(_described(cell, dataset, frozen.encoder, protocol))
    tuned = None
    regime = regime_of(cell.regime)
    if cell.policy == CLEAN_ALL:
        dataset = without_background(dataset)
    if regime.head:
        began, before = time.perf_counter(), frozen.seconds
        tuned = _fit(run, cell, dataset, frozen, protocol, device, progress)
        # A probe asks for the frozen embeddings on its way.
        seconds_fit = time.perf_counter() - began - (frozen.seconds - before)
        write_csv(from_rows(_history(cell, tuned), HISTORY), part / "history.csv")
        found.about |= {name: tuned.card[name] for name in ("valid_score", "chosen", "train_windows", "trials", "trained_parameters")}
        found.about["notes"] += tuned.card.get("notes", [])
    if tuned is not None and regime.changes_embedding:
        began = time.perf_counter()
        vectors = embed(dataset, tuned, device=device, progress=progress).vectors
        seconds_embed = time.perf_counter() - began
    else:
        vectors = frozen.embeddings(cell).vectors
    seconds_embed += frozen.seconds - embedded
    if tuned is not None:
        found.predictions.append(_head_on_test(dataset, tuned, vectors, protocol))
        if sentence := without_calibration(dataset.task, "head", found.predictions[-1]["scores:head"].to_pylist()):
            found.about["notes"].append(sentence)
        tuned.card["scores"] = tuned_scores(dataset, tuned, vectors=vectors, n_bootstrap=protocol.bootstrap)
        tuned.save(part / "encoder")
        forget(_state_of(run, cell))
    if not regime.head or regime.changes_embedding:  # a head leaves the embedding as it is: its structure is the frozen one's
        _judge(found, cell, vectors, dataset, protocol, progress)
    predictions = _joined(found.predictions)
    if levels is not None:
        predictions = with_levels(predictions, levels[dataset.rows("test")])
    scored = score_rows(predictions, dataset.labels, dataset.task, n_bootstrap=protocol.bootstrap, seed=0)
    write_parquet(from_rows((found.shared | row for row in scored), RESULTS), part / "results.parquet")
    write_parquet(predictions, part / "predictions.parquet")
    write_parquet(from_rows(found.points, MAPS), part / "maps.parquet")
    write_json(
        {
            "seconds": round(time.perf_counter() - start, 3),
            "seconds_fit": None if seconds_fit is None else round(seconds_fit, 3),
            "seconds_embed": round(seconds_embed, 3),
            "peak_mib": peak_memory_mib(),
        },
        part / "cost.json",
    )
    write_json({"cell": asdict(cell)} | found.shared | found.about, part / "cell.json")
    if folder.exists():  # another process finished the same cell meanwhile: its numbers are these
        shutil.rmtree(part)
    else:
        part.replace(folder)


@dataclass
class _Found:
    """What a cell has found so far: columns of the results, and of `cell.json`."""

    shared: dict[str, Any]
    about: dict[str, Any] = field(default_factory=lambda: {"notes": []})
    predictions: list[pa.Table] = field(default_factory=list)
    points: list[dict[str, Any]] = field(default_factory=list)


def _described(cell: Cell, dataset: Dataset, encoder: Encoder, protocol: Protocol) -> dict[str, Any]:
    return cell.factors() | {
        "dataset": dataset.name,
        "pretraining": encoder.spec.pretraining,
        "recipe": protocol.recipe.name if regime_of(cell.regime).tunes else "",
        "protocol": protocol.name,
    }


def _fit(
    run: Path, cell: Cell, dataset: Dataset, frozen: FrozenEncoder, protocol: Protocol, device: str | None, progress: Progress
) -> Encoder:
    policy = policy_of(cell.background, cell.policy)
    probe = not regime_of(cell.regime).tunes or protocol.recipe.probe_first or bool(regime_of(cell.regime).recipe.get("probe_first"))
    return finetune(
        dataset,
        frozen.read_as(cell),
        cell.regime,
        policy,
        cell.seed,
        recipe=protocol.recipe_for(frozen.encoder.spec.name),
        trials=protocol.trials if regime_of(cell.regime).tunes else 0,
        fixed=protocol.fixed,
        devices=protocol.devices,
        embeddings=frozen.embeddings(cell) if probe or policy.plain.kind == "hard" else None,
        device=device,
        checkpoint=_state_of(run, cell),
        progress=progress,
    )


def _state_of(run: Path, cell: Cell) -> Path:
    """Where a fit's state lies while it is at work."""
    return run / "fits" / f"{cell.name}.pt"


def _history(cell: Cell, tuned: Encoder) -> list[dict[str, Any]]:
    """Rows of `HISTORY`; a probe's settings beyond the learning rate are in its trials."""
    return [cell.factors() | {name: value for name, value in row.items() if name in HISTORY.names} for row in tuned.card["history"]]


def _head_on_test(dataset: Dataset, tuned: Encoder, vectors: np.ndarray, protocol: Protocol) -> pa.Table:
    rows = dataset.rows("test")
    thresholds = head_thresholds(dataset, tuned, vectors)
    return predictions_of_head(dataset, tuned, vectors[rows], rows, protocol.label_rule, thresholds)


def _judge(found: _Found, cell: Cell, vectors: np.ndarray, dataset: Dataset, protocol: Protocol, progress: Progress) -> None:
    """Structure, probes and separation of the embedding, whatever made it; always with all the background of train."""
    with progress.task(f"judging {cell.describe()}", None):
        judged = judge(
            vectors,
            dataset.windows,
            dataset.labels,
            dataset.task,
            spaces=protocol.spaces,
            clusterers=protocol.clusterers,
            label_rule=protocol.label_rule,
            seed=cell.seed,
        )
    found.predictions.append(judged.predictions)
    found.points = _points(cell, dataset, judged.maps)
    found.about["notes"] += judged.notes
    found.about["probes"] = judged.choices
    found.about.setdefault("valid_score", judged.valid.get("linear"))


def _joined(tables: list[pa.Table]) -> pa.Table:
    """The columns of all tables, which have a row a test window in the same order."""
    joined = tables[0]
    for table in tables[1:]:
        if table["window_id"] != joined["window_id"]:
            raise RuntimeError("predictions of one cell disagree on its test windows")
        for name in table.column_names:
            if name not in joined.column_names:
                joined = joined.append_column(name, table[name])
    return joined


def _points(cell: Cell, dataset: Dataset, maps: pa.Table) -> list[dict[str, Any]]:
    """Rows of `tables.MAPS`."""
    place = {window: row for row, window in enumerate(dataset.windows["window_id"].to_pylist())}
    columns = {name: dataset.windows[name].to_pylist() for name in ("recording", "onset_s", "offset_s", "labels")}
    rows = []
    for point in maps.select(["window_id", "space", "x", "y"]).to_pylist():
        window = {name: column[place[point["window_id"]]] for name, column in columns.items()}
        held = window.pop("labels")
        rows.append(cell.factors() | point | window | {"label": held[0] if held else "background"})
    return rows


def peak_memory_mib() -> float | None:
    """The largest memory this process has held, in MiB; None on Windows, which does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def read_cell(run: Path, cell: Cell) -> dict[str, Any]:
    """What `cell.json` says."""
    return read_json(cell_folder(run, cell) / "cell.json")


def frozen_encoder(
    name: str, weights: str | None, seed: int, front_end: str, *, layer: str | None = None, pool: str | None = None
) -> Encoder:
    """The encoder of a cell: random weights are drawn from the cell's seed, and the protocol names the vision encoders' front end."""
    from callspace.encoders.registry import is_known, spec

    choice = front_end if is_known(name) and front_end in spec(name).front_ends else None
    return load_encoder(name, weights, layer=layer, pool=pool, seed=seed, front_end=choice)
