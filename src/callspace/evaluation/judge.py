"""From the embedding of a dataset's windows to predictions, one row a test window: everything that the scores are computed from.

Nothing here is a score of the test split but the validation scores of the probes; `callspace.evaluation.scores` makes the numbers,
so that a score, its interval and its difference from another come from the same table.

Columns of the predictions beside ``window_id``, ``recording``, ``group``, ``labels`` and ``label`` (by the label rule; null for a window left
out), float64 where nothing else is said:

- ``cluster:SPACE:CLUSTERER`` int32, null for a window left out; ``reclustered:SPACE:CLUSTERER:AGAIN`` int32: the same from other starts.
- ``silhouette_labels:SPACE``; ``silhouette_clusters:full:SPACE:CLUSTERER``: silhouettes, in the full space, of the clusters found in SPACE (the
  study's number).
- ``purity``: share of the 15 nearest test windows in the full space that have the same label (a class of m windows can reach (m - 1) / 15
  at most). Windows that tie for the last places count by the chance of each.
- Of each map, ``METRIC:SPACE`` for the metrics of `callspace.metrics.map_quality`: ``trustworthiness``, ``continuity``,
  ``neighbour_preservation``, ``distance_correlation``.
- ``retrieval_p1``, ``retrieval_p5``, ``retrieval_p10``, ``retrieval_map``: how often looking the window up among those of other recordings finds
  its labels.
- ``scores:PROBE`` list<double>, the probability of each label in the order of the vocabulary.
- By the label rule ``each`` only: ``silhouette_each:SPACE``, ``purity_each`` and ``shares_each``, list<double>
  (`callspace.evaluation.steps.label_rules`).
- Of detection sets only: ``decisions:READER`` list<bool>, the labels given by thresholds chosen on valid; ``separation:PROBE``: the probability of
  being labelled; ``silhouette_background:full``; ``background_neighbours``.
- ``level_db``: how loud the window's call is over its background; `callspace.evaluation.predictions.with_levels` adds it where that is known.

What could not be computed has no column, or null in it, and a sentence in the notes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from callspace.errors import CallspaceError
from callspace.evaluation.clusterers import clusterer_named
from callspace.evaluation.labels import label_matrix, validate_labels
from callspace.evaluation.predictions import base_predictions
from callspace.evaluation.spaces import parse_space, unit_scale, validate_seed
from callspace.evaluation.steps.map_quality import measure_maps
from callspace.evaluation.steps.neighbourhoods import look_around
from callspace.evaluation.steps.probing import probe, split_for_probes
from callspace.evaluation.steps.retrieval import retrieve
from callspace.evaluation.steps.separation import separate
from callspace.evaluation.steps.structure import measure_silhouettes, structure
from callspace.evaluation.steps.work import NEIGHBOURS, Work
from callspace.metrics.distances import validate_vectors
from callspace.metrics.weights import Floats
from callspace.progress import SILENT, Progress
from callspace.threads import one_thread

__all__ = ["DEFAULT_SPACES", "NEIGHBOURS", "Judgement", "NeighboursFrom", "judge"]

NeighboursFrom = Literal["all", "other-groups"]
DEFAULT_SPACES = ("full", "umap-50-0.5", "tsne-30")
_HUGE = 6.0  # powers of ten above the size of the median window, from which on a window is named


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
    spaces: str | Sequence[str] = DEFAULT_SPACES,
    clusterers: str | Sequence[str] = ("kmeans",),
    label_rule: str = "first",
    neighbours_from: NeighboursFrom = "all",
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
        Names that `parse_space` reads, or one.
    clusterers
        Names of `CLUSTERERS`, or one.
    label_rule
        How a window with several labels is judged: ``"first"``, ``"drop"`` or ``"each"`` (`callspace.evaluation.labels`).
    neighbours_from
        Whether a window's neighbours may be of its own group, for purity and background neighbours: ``"all"`` or ``"other-groups"``. Retrieval
        never looks at a window's own recording.
    seed
        Of maps, clusterings and samples, from 0 to 4,294,967,295.
    progress
        Shown while working.

    Raises
    ------
    CallspaceError
        Where vectors and windows don't fit, a vector holds NaN, infinity or no numbers, there is no test split, a window of any split has a
        label that is not in the vocabulary, a name is unknown, or the seed is none.
    """
    points, notes = _scaled(_validated(vectors, windows), windows)
    validate_seed(seed)
    if neighbours_from not in get_args(NeighboursFrom):
        raise CallspaceError(f"neighbours are from {' or '.join(map(repr, get_args(NeighboursFrom)))}, not from {neighbours_from!r}")
    parsed = [parse_space(name) for name in dict.fromkeys(_several(spaces))]
    clusterers = _several(clusterers)
    for name in clusterers:
        clusterer_named(name)
    split = windows.column("split").to_pylist()
    in_test = np.array([name == "test" for name in split])
    if not in_test.any():
        raise CallspaceError("there are no test windows to judge: give a test split (a column 'split' or 'fold', or --test-fold)")
    window_labels = windows.column("labels").to_pylist()
    validate_labels(window_labels, labels, task)
    table = base_predictions(windows.filter(pa.array(in_test)), labels, task, label_rule)
    work = Work(points, points[in_test], label_matrix(window_labels, labels), split, table, task, seed)
    work.notes += notes
    with one_thread(), progress.task("judging", len(parsed) + 5) as advance:
        look_around(work, parsed, neighbours_from)
        advance(1)
        for space in parsed:
            structure(work, space, clusterers)
            advance(1)
        measure_silhouettes(work)
        advance(1)
        measure_maps(work)
        advance(1)
        retrieve(work)
        advance(1)
        splits = split_for_probes(work)
        if splits is not None:
            probe(work, splits)
            separate(work, splits)
        advance(1)
    return _judgement(work)


def _judgement(work: Work) -> Judgement:
    ids = work.table.column("window_id").to_numpy()
    maps = pa.table(
        {
            "window_id": pa.array(np.tile(ids, len(work.maps)), pa.int64()),
            "space": pa.array(np.repeat(list(work.maps), len(ids)).tolist(), pa.string()),
            "x": pa.array(np.concatenate([places[:, 0] for places in work.maps.values()] or [np.zeros(0)])),
            "y": pa.array(np.concatenate([places[:, 1] for places in work.maps.values()] or [np.zeros(0)])),
        }
    )
    return Judgement(work.table, maps, work.notes, work.choices, work.valid)


def _several(names: str | Sequence[str]) -> Sequence[str]:
    return (names,) if isinstance(names, str) else names


def _scaled(points: Floats, windows: pa.Table) -> tuple[Floats, list[str]]:
    """Very large and very small vectors brought to an ordinary scale, on which nothing in a judgement depends, and what is to be said of sizes."""
    scale = unit_scale(points)
    sizes = np.maximum(points.max(axis=1, initial=0.0), -points.min(axis=1, initial=0.0))
    # Against the median in logarithms: a product with it might overflow.
    logs = np.log10(sizes, out=np.full(len(sizes), -np.inf), where=sizes > 0)
    huge = np.flatnonzero(logs > np.median(logs[sizes > 0]) + _HUGE) if sizes.any() else np.zeros(0, dtype=np.intp)
    notes = []
    if len(huge):
        first = windows.slice(int(huge[0]), 1).to_pylist()[0]
        notes.append(
            f"The values of {len(huge)} of {len(points)} embeddings are more than a million times as large as those of the median window, the "
            f"first of the window at {first['onset_s']:g} s of {first['recording']!r}. Means and variances, and what is found by them (k-means, "
            "mixtures, principal components, the linear probe), follow these few: look into the encoder, or leave their recordings out."
        )
    if scale == 1:
        return points, notes
    changed = "" if len(huge) else ", which changes no score"
    return points * scale, [*notes, f"The embeddings' values are about {1 / scale:.0e} in size; they were scaled{changed}."]


def _validated(vectors: ArrayLike, windows: pa.Table) -> Floats:
    try:
        points = np.asarray(vectors)
    except ValueError:
        raise CallspaceError("embeddings must be a table of numbers: these have rows of different lengths") from None
    if points.dtype.kind not in "fiub":
        raise CallspaceError(
            f"embeddings must be a table of real numbers, not of NumPy's type {points.dtype}: convert them to float32 first"
        )
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
