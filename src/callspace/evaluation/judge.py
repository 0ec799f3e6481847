"""From the embedding of a dataset's windows to predictions, one row a test window: everything that the scores are computed from.

Nothing here is a score of the test split but the validation scores of the probes; `callspace.evaluation.scores` makes the numbers,
so that a score, its interval and its difference from another come from the same table.

Columns of the predictions beside ``window_id``, ``group``, ``labels`` and ``label`` (by the label rule; null for a window left out):

- ``cluster:SPACE:CLUSTERER`` int32; ``silhouette_labels:SPACE``; ``silhouette_clusters:full:SPACE:CLUSTERER``: silhouettes, in
  the full space, of the clusters found in SPACE (the study's number).
- ``purity``: share of the 15 nearest test windows in the full space that have the same label (a class of m windows can reach (m - 1) / 15
  at most); ``trustworthiness:SPACE``.
- ``scores:PROBE`` list<double>, the probability of each label in the order of the vocabulary.
- ``separation:PROBE``: the probability of being labelled; ``silhouette_background:full``; ``background_neighbours``.

The last line is for detection sets only. What could not be computed has no column, or null in it, and a sentence in the notes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from callspace.errors import CallspaceError
from callspace.evaluation.clusterers import CLUSTERERS, cluster
from callspace.evaluation.labels import label_matrix
from callspace.evaluation.predictions import base_predictions, list_column
from callspace.evaluation.probes import PROBES, Probe, criterion, splits_of
from callspace.evaluation.separation import background_neighbours, cannot_separate, separation_probe
from callspace.evaluation.spaces import Space, neighbour_graph, parse_space, reduce
from callspace.metrics.bootstrap import few_groups
from callspace.metrics.distances import validate_vectors
from callspace.metrics.neighbours import k_nearest, label_purity, trustworthiness_samples
from callspace.metrics.silhouettes import LIMIT, silhouettes
from callspace.metrics.weights import Floats
from callspace.progress import SILENT, Progress
from callspace.threads import one_thread

__all__ = ["DEFAULT_SPACES", "NEIGHBOURS", "Judgement", "judge"]

DEFAULT_SPACES = ("full", "umap-50-0.5", "tsne-30")
#: How many neighbours purity and background neighbours look at.
NEIGHBOURS = 15


@dataclass(frozen=True)
class Judgement:
    """What `judge` found; tables have one row a test window, in the order of the windows table."""

    predictions: pa.Table
    maps: pa.Table  # window_id, space, x, y: the two-dimensional spaces
    notes: list[str]
    choices: dict[str, Any]  # what was chosen on valid: {"linear": {"C": 0.1}, "knn": {"k": 5}, "separation:linear": {...}, ...}
    valid: dict[str, float]  # the probes' scores on valid: accuracy or mAP, and AUROC for "separation:PROBE"


def judge(
    vectors: ArrayLike,
    windows: pa.Table,
    labels: Sequence[str],
    task: str,
    *,
    spaces: Sequence[str] = DEFAULT_SPACES,
    clusterers: Sequence[str] = ("kmeans",),
    label_rule: str = "first",
    neighbours_from: Literal["all", "other-groups"] = "all",
    seed: int = 0,
    progress: Progress = SILENT,
) -> Judgement:
    """Judge the embedding of a dataset's windows.

    Parameters
    ----------
    vectors
        float[n, d], in the order of `windows`.
    windows
        The windows of all splits, `callspace.tables.WINDOWS`, the background windows of train included whatever the background policy.
    labels
        The vocabulary, in order.
    task
        ``"classification"`` or ``"detection"``.
    spaces
        Names that `parse_space` reads.
    clusterers
        Names of `CLUSTERERS`.
    label_rule
        How a window with several labels gets one: ``"first"`` or ``"drop"``.
    neighbours_from
        Whether a window's neighbours may be of its own group, for purity and background neighbours.
    seed
        Of maps, clusterings and samples.
    progress
        Shown while working.

    Raises
    ------
    CallspaceError
        Where vectors and windows don't fit, a vector holds NaN or infinity, there is no test split, or a name is unknown.
    """
    points = _validated(vectors, windows)
    parsed = [parse_space(name) for name in dict.fromkeys(spaces)]
    unknown = [name for name in clusterers if name not in CLUSTERERS]
    if unknown:
        raise CallspaceError(f"unknown clustering {unknown[0]!r}: choose one of {', '.join(CLUSTERERS)}")
    split = windows.column("split").to_pylist()
    in_test = np.array([name == "test" for name in split])
    if not in_test.any():
        raise CallspaceError("there are no test windows to judge: give a test split (a column 'split' or 'fold', or --test-fold)")
    window_labels = windows.column("labels").to_pylist()
    table = base_predictions(windows.filter(pa.array(in_test)), labels, task, label_rule)
    work = _Work(points, points[in_test], label_matrix(window_labels, labels), split, table, task, seed)
    with one_thread(), progress.task("judging", len(parsed) + 3) as advance:
        work.look_around(parsed, neighbours_from)
        advance(1)
        for space in parsed:
            work.structure(space, clusterers)
            advance(1)
        work.measure_silhouettes()
        advance(1)
        work.probe()
        advance(1)
    return work.judgement()


class _Work:
    """The steps of a judgement, each adding columns and notes."""

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
        self.maps: dict[str, Floats] = {}
        self.clusterings: dict[str, NDArray[np.int32]] = {}
        dropped = int((self.codes < 0).sum())
        if dropped:
            self.notes.append(f"{dropped} of {len(test)} test windows have no single label and are left out of clusterings and purity.")
        if len(np.unique(self.codes[self.codes >= 0])) < 2:
            self.notes.append("The test split has fewer than two classes: there are no clusterings.")
        if sentence := few_groups(table.column("group").to_pylist()):
            self.notes.append(sentence)

    def look_around(self, spaces: Sequence[Space], neighbours_from: str) -> None:
        """The neighbour graph, and what neighbours say of labels and background."""
        self.graph = neighbour_graph(self.test, spaces, NEIGHBOURS)
        k = min(NEIGHBOURS, len(self.test) - 1)
        if k < 1:
            self.notes.append("Neighbours are not looked at: there is one test window only.")
            return
        if k < NEIGHBOURS:
            self.notes.append(f"Purity and background neighbours look at {k} neighbours: there are {len(self.test)} test windows.")
        near = self.graph.indices[:, :k]
        if neighbours_from == "other-groups":
            near, _ = k_nearest(self.test, k, groups=self.table.column("group").to_pylist())
        self._add("purity", label_purity(near, self.codes))
        if self.task == "detection" and not cannot_separate(self.labelled, "test"):
            self._add("background_neighbours", background_neighbours(near, self.labelled))

    def structure(self, space: Space, clusterers: Sequence[str]) -> None:
        """A space, its map, and its clusterings into as many clusters as there are classes in test."""
        places, notes = reduce(space, self.test, self.graph, self.seed)
        self.notes += notes
        if places is None:
            return
        if space.kind != "full" and places.shape[1] == 2:
            self.maps[space.name] = places
        kept = self.codes >= 0
        n_classes = len(np.unique(self.codes[kept]))
        self._measure_space(space, places)
        if n_classes < 2:
            return
        self.choices["clusters"] = n_classes
        for name in clusterers:
            found = np.full(len(places), -1, dtype=np.int32)
            found[kept], notes = cluster(name, places[kept], n_classes, self.seed)
            self.notes += [f"{name} in {space.name}: {note}" for note in notes]
            self.clusterings[f"{space.name}:{name}"] = found
            self._add(f"cluster:{space.name}:{name}", pa.array(found, pa.int32(), mask=found < 0))

    def _measure_space(self, space: Space, places: Floats) -> None:
        if space.kind != "full":
            self._add(f"silhouette_labels:{space.name}", silhouettes(places, [self.codes], seed=self.seed)[0])

    def measure_silhouettes(self) -> None:
        """All silhouettes in the full space, and the trustworthiness of the maps, from one pass over the distances each."""
        labellings: dict[str, NDArray] = {"silhouette_labels:full": self.codes}
        labellings |= {f"silhouette_clusters:full:{name}": found for name, found in self.clusterings.items()}
        if self.task == "detection" and not cannot_separate(self.labelled, "test"):
            labellings["silhouette_background:full"] = self.labelled.astype(np.int32)
        for name, values in zip(labellings, silhouettes(self.test, list(labellings.values()), seed=self.seed), strict=True):
            self._add(name, values)
        if len(self.test) > LIMIT:
            self.notes.append(f"Silhouettes are measured on a random sample of {LIMIT} of the {len(self.test)} test windows.")
        if self.maps and len(self.test) > 2 * NEIGHBOURS:
            of_maps = trustworthiness_samples(self.test, list(self.maps.values()), NEIGHBOURS, seed=self.seed)
            for name, of_map in zip(self.maps, of_maps, strict=True):
                self._add(f"trustworthiness:{name}", of_map)

    def probe(self) -> None:
        """The probes on labels, and those on labelled against background."""
        labelled = np.asarray(self.matrix.any(axis=1))
        # Without a label there is nothing to learn or choose by in classification; in detection it is background.
        split = np.array(self.split)
        if self.task == "classification":
            split[~labelled & (split != "test")] = "unused"
        if not labelled[split == "train"].any():
            self.notes.append("The probes are not fitted: the train split has no labelled windows.")
            return
        train, valid, test = splits_of(self.points, self.matrix, split.tolist())
        for name, probe in PROBES.items():
            found = probe(train, valid, test, self.task, criterion(self.task))
            self._keep(name, found)
            self._add(f"scores:{name}", list_column(found.scores))
        if self.task != "detection":
            return
        for split_name in ("test", "train"):
            if sentence := cannot_separate(labelled[split == split_name], split_name):
                self.notes.append(sentence)
                return
        for name in PROBES:
            found = separation_probe(name, train, valid, test)
            self._keep(f"separation:{name}", found)
            self._add(f"separation:{name}", found.scores[:, 0])

    def _keep(self, name: str, found: Probe) -> None:
        self.choices[name] = found.choice
        if not np.isnan(found.valid):
            self.valid[name] = found.valid
        self.notes += [f"{name} probe: {note}" for note in found.notes]

    def _add(self, name: str, column: pa.Array | Floats) -> None:
        if isinstance(column, np.ndarray):
            column = pa.array(column, pa.float64(), mask=np.isnan(column))
        self.table = self.table.append_column(name, column)

    def judgement(self) -> Judgement:
        ids = self.table.column("window_id").to_numpy()
        maps = pa.table(
            {
                "window_id": pa.array(np.tile(ids, len(self.maps)), pa.int64()),
                "space": pa.array(np.repeat(list(self.maps), len(ids)).tolist(), pa.string()),
                "x": pa.array(np.concatenate([places[:, 0] for places in self.maps.values()] or [np.zeros(0)])),
                "y": pa.array(np.concatenate([places[:, 1] for places in self.maps.values()] or [np.zeros(0)])),
            }
        )
        return Judgement(self.table, maps, self.notes, self.choices, self.valid)


def _validated(vectors: ArrayLike, windows: pa.Table) -> Floats:
    points = np.asarray(vectors)
    if points.ndim != 2 or len(points) != windows.num_rows:
        raise CallspaceError(f"embeddings have shape {points.shape}, but there are {windows.num_rows} windows: one row a window is wanted")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        recording = windows.column("recording")[int(bad[0])].as_py()
        raise CallspaceError(
            f"the embeddings of {len(bad)} of {len(points)} windows hold NaN or infinity, the first in {recording!r}: "
            "leave those recordings out, or look into the encoder that made them"
        )
    return validate_vectors(points)


def _codes(names: Sequence[str | None]) -> NDArray[np.intp]:
    """Names as numbers in alphabetical order; -1 for None."""
    position = {name: at for at, name in enumerate(sorted({name for name in names if name is not None}))}
    return np.array([-1 if name is None else position[name] for name in names], dtype=np.intp)
