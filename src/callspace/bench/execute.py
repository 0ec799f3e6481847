"""Working on one cell: embed, fit, judge, and leave a complete folder or none.

A cell's folder::

    cell.json            the cell, what was chosen, the score on valid, notes
    results.parquet      its rows of the results table
    predictions.parquet  what was said of each test window (clusters, scores, separation)
    maps.parquet         its two-dimensional maps
    history.csv          the epochs, where there were any
    encoder/             the tuned encoder, where there is one
    cost.json            seconds and memory: apart, since they differ from one run to the next
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from callspace.adaptation.finetune import finetune, head_scores
from callspace.bench.plan import Cell
from callspace.bench.protocols import Protocol
from callspace.datasets import Dataset
from callspace.embedding.embed import embed
from callspace.embedding.store import Embeddings
from callspace.encoders.contract import Encoder
from callspace.encoders.load import load_encoder
from callspace.evaluation.judge import head_predictions, judge
from callspace.evaluation.scores import rows as score_rows
from callspace.progress import Progress
from callspace.tables import MAPS, RESULTS, from_rows, read_json, write_csv, write_json, write_parquet

__all__ = ["HISTORY", "FrozenEncoder", "cell_folder", "is_complete", "peak_memory_mib", "run_cell"]

HISTORY = pa.schema(
    [
        ("encoder", pa.string()),
        ("regime", pa.string()),
        ("background", pa.float64()),
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
    """The encoder of some cells, and its embeddings of the dataset, each made once and only when a cell needs them."""

    def __init__(
        self, make: Callable[[], Encoder], dataset: Dataset, store: Callable[[Encoder], Path], device: str | None, progress: Progress
    ) -> None:
        self._make, self._dataset, self._store, self._device, self._progress = make, dataset, store, device, progress
        self._encoder: Encoder | None = None
        self._embeddings: Embeddings | None = None

    @property
    def encoder(self) -> Encoder:
        """The encoder, bound to the dataset's rate."""
        if self._encoder is None:
            self._encoder = self._make().bind(self._dataset.sample_rate_hz)
        return self._encoder

    @property
    def embeddings(self) -> Embeddings:
        """Embeddings of every window; the windows' splits are those of no fold in particular."""
        if self._embeddings is None:
            self._embeddings = embed(self._dataset, self.encoder, self._store(self.encoder), device=self._device, progress=self._progress)
        return self._embeddings


def cell_folder(run: Path, cell: Cell) -> Path:
    """Where a cell's results lie."""
    return run / "cells" / cell.name


def is_complete(run: Path, cell: Cell) -> bool:
    """Whether the cell is done; its folder only appears when it is."""
    return (cell_folder(run, cell) / "cell.json").exists()


def run_cell(
    run: Path, cell: Cell, dataset: Dataset, frozen: FrozenEncoder, protocol: Protocol, *, device: str | None, progress: Progress
) -> None:
    """Do one cell, from embeddings to scores."""
    start = time.perf_counter()
    folder = cell_folder(run, cell)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    about: dict[str, Any] = {"cell": asdict(cell), "notes": []}
    tables: list[pa.Table] = []
    maps: pa.Table | None = None
    tuned: Encoder | None = None
    vectors = frozen.embeddings.vectors if cell.regime != "full" else None
    if cell.regime != "frozen":
        tuned = finetune(
            dataset,
            frozen.encoder,
            cell.regime,
            cell.background,
            cell.seed,
            recipe=protocol.recipe_for(cell.encoder),
            embeddings=frozen.embeddings if cell.regime == "linear" else None,
            device=device,
            progress=progress,
        )
        tuned.save(part / "encoder")
        about |= {"valid_score": tuned.card["valid_score"], "chosen": tuned.card["chosen"], "train_windows": tuned.card["train_windows"]}
        history = [_what(cell) | row for row in tuned.card["history"]]
        write_csv(from_rows(history, HISTORY), part / "history.csv")
    if vectors is None and tuned is not None:
        vectors = embed(dataset, tuned, device=device, progress=progress).vectors
    assert vectors is not None
    seconds_fit = time.perf_counter() - start
    if tuned is not None and tuned.head is not None:
        test = dataset.rows("test")
        tables.append(
            head_predictions(
                head_scores(tuned.head, vectors[test]),
                dataset.windows.take(test),
                dataset.labels,
                dataset.task,
                label_rule=protocol.label_rule,
            )
        )
    if cell.regime != "linear":  # a linear head leaves the embedding as it is: its structure is the frozen one's
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
                progress=progress,
            )
        tables.append(judged.predictions)
        maps = _maps(cell, dataset, judged.maps)
        about["notes"] += judged.notes
        about["probes"] = judged.choices
        about.setdefault("valid_score", judged.valid.get("linear"))
    predictions = _joined(tables)
    write_parquet(predictions, part / "predictions.parquet")
    write_parquet(maps if maps is not None else from_rows([], MAPS), part / "maps.parquet")
    layer, pool = frozen.encoder.layer, frozen.encoder.pool
    shared = _what(cell) | {
        "dataset": dataset.name,
        "pretraining": frozen.encoder.spec.pretraining,
        "layer": layer,
        "pool": pool,
        "recipe": protocol.recipe.name if cell.regime == "full" else "",
        "protocol": protocol.name,
    }
    found = score_rows(predictions, dataset.labels, dataset.task, n_bootstrap=protocol.bootstrap, seed=0)
    write_parquet(from_rows((shared | row for row in found), RESULTS), part / "results.parquet")
    write_json(
        {"seconds": round(time.perf_counter() - start, 3), "seconds_fit": round(seconds_fit, 3), "peak_mib": peak_memory_mib()},
        part / "cost.json",
    )
    write_json(about | shared, part / "cell.json")
    part.replace(folder)


def _what(cell: Cell) -> dict[str, Any]:
    return {key: value for key, value in asdict(cell).items() if key != "name"}


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


def _maps(cell: Cell, dataset: Dataset, maps: pa.Table) -> pa.Table:
    place = {window: row for row, window in enumerate(dataset.windows["window_id"].to_pylist())}
    rows = []
    columns = {name: dataset.windows[name] for name in ("recording", "onset_s", "offset_s", "labels")}
    for point in maps.select(["window_id", "space", "x", "y"]).to_pylist():
        window = {name: column[place[point["window_id"]]].as_py() for name, column in columns.items()}
        held = window.pop("labels")
        rows.append(_what(cell) | point | window | {"label": held[0] if held else "background"})
    return from_rows(rows, MAPS)


def peak_memory_mib() -> float:
    """The largest memory this process has held, in MiB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def read_cell(run: Path, cell: Cell) -> dict[str, Any]:
    """What `cell.json` says."""
    return read_json(cell_folder(run, cell) / "cell.json")


def frozen_encoder(name: str, weights: str | None, seed: int, front_end: str) -> Encoder:
    """The encoder of a cell: random weights are drawn from the cell's seed, and the protocol names the vision encoders' front end."""
    from callspace.encoders.registry import ENCODERS, RANDOM, spec

    base = name.removesuffix(RANDOM)
    choice = front_end if base in ENCODERS and front_end in spec(base).front_ends else None
    return load_encoder(name, weights, seed=seed, front_end=choice)
