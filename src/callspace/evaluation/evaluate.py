"""Evaluating stored or fresh embeddings: the tidy results table of one encoder on one dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from callspace.errors import CallspaceError
from callspace.evaluation.judge import DEFAULT_SPACES, NeighboursFrom, judge
from callspace.evaluation.levels import known_levels
from callspace.evaluation.predictions import with_levels
from callspace.evaluation.scores import rows
from callspace.evaluation.scoring.levels import missing_thresholds
from callspace.progress import SILENT, Progress
from callspace.tables import RESULTS, from_rows, write_csv, write_parquet

if TYPE_CHECKING:
    from callspace.embedding.store import Embeddings

__all__ = ["Results", "evaluate"]


@dataclass(frozen=True)
class Results:
    """Scores of one judgement.

    Attributes
    ----------
    table : pyarrow.Table
        Schema `tables.RESULTS`.
    maps : pyarrow.Table
        window_id, space, x, y.
    notes : list[str]
        What could not be judged, and what was chosen.
    about : dict
        The embeddings' own: `dataset` and `encoder`.
    """

    table: pa.Table
    maps: pa.Table
    notes: list[str]
    about: dict[str, Any]

    def to_pandas(self) -> Any:
        """`table` as a pandas data frame."""
        return self.table.to_pandas()

    def write(self, path: str | Path) -> None:
        """Write `table` as CSV, or as Parquet where the name ends in .parquet."""
        (write_parquet if Path(path).suffix == ".parquet" else write_csv)(self.table, path)


def evaluate(
    embeddings: Embeddings,
    *,
    spaces: str | Sequence[str] = DEFAULT_SPACES,
    clusterers: str | Sequence[str] = ("kmeans",),
    label_rule: str = "first",
    neighbours_from: NeighboursFrom = "all",
    n_bootstrap: int = 1000,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Results:
    """Judge the embeddings of a labelled dataset: structure, use and separation of background, with intervals.

    Probes are fitted on the train split and chosen on valid; everything is measured on test. Where the windows carry a column ``snr_db`` of
    numbers (decibels), there are scores by level too.

    Parameters
    ----------
    embeddings : Embeddings
        From `embed`.
    spaces, clusterers, label_rule, neighbours_from
        As `callspace.evaluation.judge.judge` takes them.
    n_bootstrap : int
        Replicates over test groups.
    seed : int
        From 0 to 4,294,967,295.

    Raises
    ------
    CallspaceError
        There are no labels or no splits, a name is unknown, or the seed is none.
    """
    dataset, encoder = embeddings.about["dataset"], embeddings.about["encoder"]
    labels, task = dataset["labels"], dataset["task"]
    if not labels:
        raise CallspaceError(
            f"the embeddings of {dataset['name']} have no labels to be judged by: embed a labelled dataset (class folders, a table, or --annotations)"
        )
    found = judge(
        embeddings.vectors,
        embeddings.windows,
        labels,
        task,
        spaces=spaces,
        clusterers=clusterers,
        label_rule=label_rule,
        neighbours_from=neighbours_from,
        seed=seed,
        progress=progress,
    )
    shared = {
        "dataset": dataset["name"],
        "encoder": encoder["name"],
        "pretraining": encoder["pretraining"],
        "layer": encoder["layer"],
        "pool": encoder["pool"],
        "regime": "frozen",
        "recipe": "",
        "background": 1.0,
        "seed": seed,
        "protocol": "evaluate",
    }
    scored = rows(_with_known_levels(found.predictions, embeddings.windows), labels, task, n_bootstrap=n_bootstrap, seed=0)
    notes = [*found.notes, *missing_thresholds(scored)]
    return Results(from_rows((shared | row for row in scored), RESULTS), found.maps, notes, embeddings.about)


def _with_known_levels(predictions: pa.Table, windows: pa.Table) -> pa.Table:
    """The predictions with the levels of the test windows, where the windows carry them (`callspace.evaluation.levels.LEVEL_COLUMNS`)."""
    in_test = [split == "test" for split in windows.column("split").to_pylist()]
    levels = known_levels(windows.filter(pa.array(in_test, pa.bool_())))
    return predictions if levels is None else with_levels(predictions, levels)
