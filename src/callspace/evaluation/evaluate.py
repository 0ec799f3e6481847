"""Evaluating stored or fresh embeddings: the tidy results table of one encoder on one dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from callspace.errors import CallspaceError
from callspace.evaluation.judge import DEFAULT_SPACES, judge
from callspace.evaluation.scores import rows
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
    spaces: Sequence[str] = DEFAULT_SPACES,
    clusterers: Sequence[str] = ("kmeans",),
    label_rule: str = "first",
    n_bootstrap: int = 1000,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Results:
    """Judge the embeddings of a labelled dataset: structure, use and separation of background, with intervals.

    Probes are fitted on the train split and chosen on valid; everything is measured on test.

    Parameters
    ----------
    embeddings : Embeddings
        From `embed`.
    spaces, clusterers, label_rule
        As `callspace.evaluation.judge.judge` takes them.
    n_bootstrap : int
        Replicates over test groups.
    seed : int

    Raises
    ------
    CallspaceError
        There are no labels or no splits, or a name is unknown.
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
    scored = rows(found.predictions, labels, task, n_bootstrap=n_bootstrap, seed=0)
    return Results(from_rows((shared | row for row in scored), RESULTS), found.maps, found.notes, embeddings.about)
