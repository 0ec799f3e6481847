"""Every score of a judgement from its predictions, with intervals, averages over folds and seeds, and paired differences.

A score is known by its `Key`: the space it was measured in, what read that space (``kmeans``, ``linear``, ``knn``, ``head``, or
nothing), the class (None for an overall score) and the metric. Scores are computed in families, each a function of the weights of
the windows, so that the value and all bootstrap replicates come from the same lines.

=============  =================================================================================================================
structure      ``nmi``, ``ami``, ``ari``, ``homogeneity``, ``completeness``, ``v_measure``, ``hungarian_accuracy`` (also a class),
               ``silhouette_clusters`` (full space), for each space and clustering; ``silhouette_labels``, ``trustworthiness`` for
               each space; ``knn_purity``
use            classification: ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``map``; ``average_precision``, ``recall`` a class.
               detection: ``map``, ``map_beans``, ``macro_auroc``; ``average_precision`` a class
separation     ``separation_auroc``, ``separation_ap`` for each probe; ``separation_silhouette``; ``background_neighbours`` (also a
               class)
=============  =================================================================================================================

What is not defined (a class that is absent, silhouettes of one set) is missing, never a number.

Replicates of scores of a clustering against labels are moved to have the score as their mean (`recentred` says why): their
intervals are for this map and this clustering.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from callspace.errors import CallspaceError
from callspace.evaluation.labels import label_matrix, validate_labels
from callspace.evaluation.predictions import label_rule_of
from callspace.metrics import classification, ranking
from callspace.metrics.bootstrap import group_weights, interval, recentred
from callspace.metrics.clustering import CLUSTERING_SCORES, clustering_scores, hungarian_recalls
from callspace.metrics.weights import Floats, Value, weighted_mean
from callspace.threads import one_thread

__all__ = ["Key", "Replicated", "bounded", "replicated", "rows", "score"]


class Key(NamedTuple):
    """What a score is of."""

    space: str
    clusterer: str
    class_: str | None
    metric: str


#: Metrics that can be negative, and how far; all others start at 0, and all end at 1.
_LOWEST = {"ari": -0.5, "ami": -1.0, "silhouette_labels": -1.0, "silhouette_clusters": -1.0, "separation_silhouette": -1.0}
_RECENTRED = {*CLUSTERING_SCORES}
_STRUCTURE = {*CLUSTERING_SCORES, "silhouette_labels", "silhouette_clusters", "knn_purity"}

Compute = Callable[[NDArray | None], dict[Key, Value]]


@dataclass(frozen=True)
class _Family:
    """Scores that are computed together: how many windows each is of, and the function of the weights."""

    sizes: dict[Key, int]
    compute: Compute


class _Predictions:
    """The columns that all families read, unpacked once."""

    def __init__(self, table: pa.Table, labels: Sequence[str], task: str) -> None:
        window_labels = table.column("labels").to_pylist()
        validate_labels(window_labels, labels, task)
        self.table, self.labels, self.task = table, list(labels), task
        self.matrix = label_matrix(window_labels, labels)
        self.labelled = self.matrix.any(axis=1)
        names = table.column("label").to_pylist()
        self.classes = [name for name in dict.fromkeys([*labels, *(name for name in names if name)]) if name in set(names)]
        position = {name: at for at, name in enumerate(self.classes)}
        self.codes = np.array([-1 if name is None else position[name] for name in names], dtype=np.intp)

    def columns(self, prefix: str) -> Iterator[tuple[str, str]]:
        """The columns ``PREFIX:REST``, with REST."""
        for name in self.table.column_names:
            if name.startswith(f"{prefix}:"):
                yield name, name.removeprefix(f"{prefix}:")

    def numbers(self, name: str) -> Floats:
        """A column of numbers; NaN for null."""
        return self.table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)

    def score_matrix(self, name: str) -> Floats:
        """A column of lists as float64[n, labels]."""
        values = self.table.column(name).combine_chunks()
        flat = np.asarray(values.flatten(), dtype=np.float64)
        if len(flat) != len(values) * len(self.labels):
            raise CallspaceError(f"the predictions' column {name!r} does not hold {len(self.labels)} scores a window")
        return flat.reshape(len(values), len(self.labels))


def _part(weights: NDArray | None, kept: NDArray[np.bool_]) -> NDArray:
    """The weights of some of the windows, of 1 where none are given."""
    return np.ones(int(kept.sum())) if weights is None else np.asarray(weights)[..., kept]


def _clusterings(of: _Predictions) -> Iterator[_Family]:
    for column, rest in of.columns("cluster"):
        space, _, clusterer = rest.rpartition(":")
        found = of.table.column(column).fill_null(-1).to_numpy().astype(np.intp)
        kept = (found >= 0) & (of.codes >= 0)
        if not kept.any():
            continue
        truth, clusters = of.codes[kept], found[kept]
        present = np.bincount(truth, minlength=len(of.classes))
        sizes = {Key(space, clusterer, None, name): len(truth) for name in CLUSTERING_SCORES}
        sizes |= {Key(space, clusterer, of.classes[at], "hungarian_accuracy"): int(n) for at, n in enumerate(present) if n}
        yield _Family(sizes, _clustering(of, space, clusterer, truth, clusters, kept))


def _clustering(of: _Predictions, space: str, clusterer: str, truth: NDArray, clusters: NDArray, kept: NDArray) -> Compute:
    def compute(weights: NDArray | None) -> dict[Key, Value]:
        part = _part(weights, kept)
        overall = clustering_scores(truth, clusters, part)
        each = hungarian_recalls(truth, clusters, len(of.classes), part)
        scores: dict[Key, Value] = {Key(space, clusterer, None, name): result for name, result in overall.items()}
        return scores | {Key(space, clusterer, name, "hungarian_accuracy"): each[..., at] for at, name in enumerate(of.classes)}

    return compute


def _mean(key: Key, values: Floats, kept: NDArray[np.bool_] | None = None) -> Iterator[_Family]:
    """The mean of a value a window, over those kept that have one."""
    values = values if kept is None else np.where(kept, values, np.nan)
    n = int((~np.isnan(values)).sum())
    if n:
        yield _Family({key: n}, lambda weights: {key: weighted_mean(values, weights)})


def _means(of: _Predictions) -> Iterator[_Family]:
    for metric in ("silhouette_labels", "trustworthiness"):
        for column, space in of.columns(metric):
            yield from _mean(Key(space, "", None, metric), of.numbers(column))
    for column, rest in of.columns("silhouette_clusters"):
        space, _, clusterer = rest.removeprefix("full:").rpartition(":")
        yield from _mean(Key(space, clusterer, None, "silhouette_clusters"), of.numbers(column))
    if "purity" in of.table.column_names:
        yield from _mean(Key("full", "", None, "knn_purity"), of.numbers("purity"))


def _use(of: _Predictions) -> Iterator[_Family]:
    # In classification a window without a label can't be right or wrong; in detection it is a negative of every class.
    kept = np.asarray(of.labelled if of.task == "classification" else np.ones(len(of.matrix), dtype=bool))
    if not of.labelled.any():
        return
    overall = ("accuracy", "balanced_accuracy", "macro_f1", "map") if of.task == "classification" else ("map", "map_beans", "macro_auroc")
    each = ("average_precision", "recall") if of.task == "classification" else ("average_precision",)
    positives = of.matrix.sum(axis=0)
    for column, reader in of.columns("scores"):
        sizes = {Key("full", reader, None, metric): int(kept.sum()) for metric in overall}
        sizes |= {Key("full", reader, name, metric): int(n) for name, n in zip(of.labels, positives, strict=True) if n for metric in each}
        yield _Family(sizes, _reading(of, reader, of.score_matrix(column)[kept], kept))


def _reading(of: _Predictions, reader: str, scores: Floats, kept: NDArray[np.bool_]) -> Compute:
    truth = of.matrix[kept]

    def compute(weights: NDArray | None) -> dict[Key, Value]:
        part = _part(weights, kept)
        precisions = ranking.average_precisions(truth, scores, part)
        results: dict[Key, Value] = {Key("full", reader, None, "map"): ranking.over_present(precisions)}
        each = {"average_precision": precisions}
        if of.task == "classification":
            codes, guesses = truth.argmax(axis=1), scores.argmax(axis=1)
            each["recall"] = classification.recalls(codes, guesses, len(of.labels), part)
            results[Key("full", reader, None, "accuracy")] = classification.accuracy(codes, guesses, part)
            results[Key("full", reader, None, "balanced_accuracy")] = classification.balanced_accuracy(codes, guesses, part)
            results[Key("full", reader, None, "macro_f1")] = classification.macro_f1(codes, guesses, part)
        else:
            results[Key("full", reader, None, "map_beans")] = ranking.over_all(precisions)
            results[Key("full", reader, None, "macro_auroc")] = ranking.over_present(ranking.aurocs(truth, scores, part))
        return results | {
            Key("full", reader, name, metric): values[..., at] for metric, values in each.items() for at, name in enumerate(of.labels)
        }

    return compute


def _separation(of: _Predictions) -> Iterator[_Family]:
    if of.task != "detection" or of.labelled.all() or not of.labelled.any():
        return
    for column, reader in of.columns("separation"):
        yield _separated(of, reader, of.numbers(column))
    if "silhouette_background:full" in of.table.column_names:
        yield from _mean(Key("full", "", None, "separation_silhouette"), of.numbers("silhouette_background:full"))
    if "background_neighbours" in of.table.column_names:
        shares = of.numbers("background_neighbours")
        yield from _mean(Key("full", "", None, "background_neighbours"), shares)
        for at, name in enumerate(of.labels):
            yield from _mean(Key("full", "", name, "background_neighbours"), shares, of.matrix[:, at])


def _separated(of: _Predictions, reader: str, scores: Floats) -> _Family:
    keys = [Key("full", reader, None, metric) for metric in ("separation_auroc", "separation_ap")]

    def compute(weights: NDArray | None) -> dict[Key, Value]:
        return {
            keys[0]: ranking.auroc(of.labelled, scores, weights),
            keys[1]: ranking.average_precision(of.labelled, scores, weights),
        }

    return _Family(dict.fromkeys(keys, len(scores)), compute)


#: Functions of unpacked predictions; a new kind of score is one line here.
_FAMILIES = (_clusterings, _means, _use, _separation)


def _families(predictions: pa.Table, labels: Sequence[str], task: str) -> Iterator[_Family]:
    unpacked = _Predictions(predictions, labels, task)
    for family in _FAMILIES:
        yield from family(unpacked)


def score(predictions: pa.Table, labels: Sequence[str], task: str, weights: ArrayLike | None = None) -> dict[Key, Value]:
    """Every score that a predictions table holds.

    Parameters
    ----------
    predictions
        From `judge` or `head_predictions`.
    labels, task
        The vocabulary, in order, and ``"classification"`` or ``"detection"``.
    weights
        None, shape (n,) or (R, n), one a row of `predictions`: whole numbers.

    Returns
    -------
    Key -> float, or float64[R]. A score that is not defined on the windows as they are is missing; in a replicate it is NaN.
    """
    given = None if weights is None else np.asarray(weights)
    results: dict[Key, Value] = {}
    with one_thread():
        for family in _families(predictions, labels, task):
            computed = family.compute(given)
            results |= {key: computed[key] for key in family.sizes}
    return {key: result for key, result in results.items() if not np.isnan(result).all()}


@dataclass(frozen=True)
class Replicated:
    """A score, its bootstrap replicates, and the number of its windows."""

    value: float
    replicates: Floats
    n: int


def replicated(predictions: pa.Table, labels: Sequence[str], task: str, n_bootstrap: int = 1000, seed: int = 0) -> dict[Key, Replicated]:
    """Every score with its replicates over groups: the same groups and seed give replicates that are paired, row by row."""
    weights = group_weights(predictions.column("group").to_pylist(), n_bootstrap, seed)
    results = {}
    with one_thread():
        for family in _families(predictions, labels, task):
            values, drawn = family.compute(None), family.compute(weights)
            for key, n in family.sizes.items():
                value = float(values[key])
                if not np.isnan(value):
                    replicates = np.asarray(drawn[key])
                    results[key] = Replicated(value, recentred(replicates, value) if key.metric in _RECENTRED else replicates, n)
    return results


def rows(predictions: pa.Table, labels: Sequence[str], task: str, *, n_bootstrap: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """Every score with its interval, as rows of the results table.

    Parameters
    ----------
    predictions, labels, task
        As in `score`.
    n_bootstrap
        Replicates; 0 gives no intervals.
    seed
        Of the bootstrap.

    Returns
    -------
    Dictionaries of space, clusterer, label_rule (None where the score does not depend on it), class, metric, value, ci_low, ci_high
    (None where no interval can be had) and n, the number of windows the score is of (of a class: its own).
    """
    n_groups = len(set(predictions.column("group").to_pylist()))
    rule = label_rule_of(predictions)
    found = []
    for key, result in replicated(predictions, labels, task, n_bootstrap, seed).items():
        low, high = bounded(interval(result.replicates, n_groups=n_groups), key.metric)
        found.append(
            {
                "space": key.space,
                "clusterer": key.clusterer,
                "label_rule": rule if key.metric in _STRUCTURE else None,
                "class": key.class_,
                "metric": key.metric,
                "value": result.value,
                "ci_low": low,
                "ci_high": high,
                "n": result.n,
            }
        )
    return found


def bounded(ends: tuple[float, float] | None, metric: str) -> tuple[float | None, float | None]:
    """An interval cut to the metric's range; (None, None) for none."""
    if ends is None:
        return None, None
    lowest = _LOWEST.get(metric, 0.0)
    return min(max(ends[0], lowest), 1.0), min(max(ends[1], lowest), 1.0)
