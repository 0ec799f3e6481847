"""What the steps of a judgement share: the embedding, the labels, and what has been found so far."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from callspace.evaluation.probes import Probe
from callspace.evaluation.spaces import Graph
from callspace.metrics.bootstrap import few_groups
from callspace.metrics.neighbours import Neighbourhoods
from callspace.metrics.weights import Floats

__all__ = ["NEIGHBOURS", "Work"]

#: How many neighbours purity, background neighbours and the qualities of maps look at.
NEIGHBOURS = 15


class Work:
    """A judgement in the making; steps add columns to its table, one row a test window.

    Attributes
    ----------
    points, matrix, split
        float64[n, d], bool[n, labels] and the split of every window.
    test : float64[tests, d]
    table : pyarrow.Table
        The predictions, one row a test window.
    labelled : bool[tests]
    codes : int[tests]
        The window's one label by the rule, as a number in alphabetical order; -1 for none.
    graph
        The exact neighbour graph of the test windows, once `neighbourhoods.look_around` has made it.
    near, apart
        The neighbours that labels are read from; None with one test window. The group of each test window, where windows of its own group
        are not among them, else None.
    places
        The spaces that were clustered, float64[tests, dimensions] by name.
    maps, clusterings
        The two-dimensional spaces by name; int32[tests] by "SPACE:CLUSTERER", -1 for a window left out.
    """

    graph: Graph

    def __init__(
        self, points: Floats, test: Floats, matrix: NDArray[np.bool_], split: list[str], table: pa.Table, task: str, seed: int
    ) -> None:
        self.points, self.test, self.matrix, self.split = points, test, matrix, split
        self.table, self.task, self.seed = table, task, seed
        self.labelled = np.array([bool(labels) for labels in table.column("labels").to_pylist()])
        self.codes = _codes(table.column("label").to_pylist())
        self.notes: list[str] = []
        self.choices: dict[str, Any] = {}
        self.valid: dict[str, float] = {}
        self.near: Neighbourhoods | None = None
        self.apart: list[str] | None = None
        self.maps: dict[str, Floats] = {}
        self.places: dict[str, Floats] = {}
        self.clusterings: dict[str, NDArray[np.int32]] = {}
        dropped = int((self.codes < 0).sum())
        if dropped:
            self.notes.append(f"{dropped} of {len(test)} test windows have no single label and are left out of clusterings and purity.")
        if len(np.unique(self.codes[self.codes >= 0])) < 2:
            self.notes.append("The test split has fewer than two classes: there are no clusterings.")
        if sentence := few_groups(table.column("group").to_pylist()):
            self.notes.append(sentence)

    def keep(self, name: str, found: Probe) -> None:
        """What a probe chose, its score on valid and its notes."""
        self.choices[name] = found.choice
        if not np.isnan(found.valid):
            self.valid[name] = found.valid
        self.notes += [f"{name} probe: {note}" for note in found.notes]

    def add(self, name: str, column: pa.Array | Floats) -> None:
        """A column of the predictions; NaN becomes null."""
        if isinstance(column, np.ndarray):
            column = pa.array(column, pa.float64(), mask=np.isnan(column))
        self.table = self.table.append_column(name, column)


def _codes(names: Sequence[str | None]) -> NDArray[np.intp]:
    """Names as numbers in alphabetical order; -1 for None."""
    position = {name: at for at, name in enumerate(sorted({name for name in names if name is not None}))}
    return np.array([-1 if name is None else position[name] for name in names], dtype=np.intp)
