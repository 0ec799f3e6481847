"""Every score of a judgement from its predictions, with intervals, averages over folds and seeds, and paired differences.

A score is known by its `Key`: the space it was measured in, what read that space (``kmeans``, ``linear``, ``knn``, ``head``, or
nothing), the class (None for an overall score) and the metric. Scores are computed in families, each a function of the weights of
the windows, so that the value and all bootstrap replicates come from the same lines.

=============  =================================================================================================================
structure      for each space and clustering: ``nmi``, ``ami``, ``ari``, ``homogeneity``, ``completeness``, ``v_measure``,
               ``fowlkes_mallows``, ``cluster_purity``, ``hungarian_accuracy`` (also a class), ``hungarian_balanced_accuracy``,
               ``stability``, ``clusters`` and ``noise`` (where the clusterer finds them), ``silhouette_clusters`` (full space);
               for each space ``silhouette_labels``, and for each map ``trustworthiness``, ``continuity``,
               ``neighbour_preservation``, ``distance_correlation``; ``knn_purity``;
               under the label rule ``each``, also a class: ``nmi_each``, ``silhouette_each``, ``purity_each``, ``auroc_each``
use            ``map``, ``map_beans``, ``macro_auroc``, ``macro_f1``, ``micro_f1``; ``average_precision`` a class; of probabilities
               ``calibration_error`` and ``brier``. classification: also ``accuracy``, ``balanced_accuracy``, ``top5_accuracy`` (more than
               five classes); ``recall`` a class. detection: the F1 are of readers with thresholds chosen on valid
retrieval      ``retrieval_p1``, ``retrieval_p5``, ``retrieval_p10``, ``retrieval_map`` (also a class)
separation     ``separation_auroc``, ``separation_ap`` for each probe; ``separation_silhouette``; ``background_neighbours`` (also a
               class)
levels         of windows in bands of 5 dB (the class column names the band): ``separation_auroc_by_level`` in detection, and where it
               crosses 0.75, ``hearing_threshold_db``; ``accuracy_by_level`` in classification
=============  =================================================================================================================

What is not defined (a class that is absent, silhouettes of one set) is missing, never a number.

Replicates of scores of a clustering against labels are moved to have the score as their mean (`recentred` says why): their
intervals are for this map and this clustering.

The same families give each score without each group in turn, from which paired tests are made (`callspace.metrics.jackknife`). An interval counts
the groups that bear on the score: a class's recall has those that hold the class.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from callspace.evaluation.predictions import label_rule_of
from callspace.evaluation.scoring import levels, retrieval, separation, structure, use
from callspace.evaluation.scoring.unpacked import Family, Key, Predictions
from callspace.metrics.bootstrap import group_weights, recentred, validate_groups
from callspace.metrics.intervals import Interval, score_interval
from callspace.metrics.jackknife import blocks, influences, left_out_weights, shares_of, standard_error
from callspace.metrics.weights import Floats, Value
from callspace.threads import one_thread

__all__ = ["Key", "Replicated", "interval_of", "replicated", "rows", "score"]

#: The kinds of scores, each a module with ``families``; a new kind is one line here.
_KINDS = (structure, use, retrieval, separation, levels)
#: Metrics that can be negative, and how far; all others start at 0, and all end at 1.
_LOWEST: dict[str, float] = {name: low for kind in _KINDS for name, low in kind.LOWEST.items()}
#: Metrics that are no share of 1 but a number of their own, such as decibels.
_HIGHEST: dict[str, float] = levels.HIGHEST
#: Metrics that have no interval where more than a share of their replicates is missing.
_MOST_MISSING: dict[str, float] = levels.MOST_MISSING
#: Metrics whose replicates are biased upward, and are moved back (`recentred`).
_RECENTRED: frozenset[str] = frozenset[str]().union(*(getattr(kind, "RECENTRED", ()) for kind in _KINDS))


def _families(predictions: pa.Table, labels: Sequence[str], task: str) -> Iterator[Family]:
    unpacked = Predictions(predictions, labels, task)
    for kind in _KINDS:
        yield from kind.families(unpacked)


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
    """A score, its bootstrap replicates, and the number of its windows.

    `left_out` is the score without each group (or block of groups) in turn and `shares` their shares of its windows, both float64[B]; empty
    where they were not asked for. `n_groups` are the groups that hold any of its windows.
    """

    value: float
    replicates: Floats
    n: int
    left_out: Floats
    shares: Floats
    n_groups: int

    @property
    def error(self) -> float:
        """The jackknife's standard error; NaN where it is not known."""
        return standard_error(influences(self.value, self.left_out, self.shares)[self.shares > 0])


def replicated(
    predictions: pa.Table, labels: Sequence[str], task: str, n_bootstrap: int = 1000, seed: int = 0, *, leave_out: bool = True
) -> dict[Key, Replicated]:
    """Every score with its replicates over groups: the same groups and seed give replicates that are paired, row by row.

    With `leave_out`, also without each group in turn.

    Raises
    ------
    CallspaceError
        Where the predictions and labels do not fit, or fewer than no replicates are asked for.
    """
    groups = predictions.column("group").to_pylist()
    weights = group_weights(groups, n_bootstrap, seed)
    without = left_out_weights(groups) if leave_out else weights[:0]
    every = np.concatenate([weights, without])
    bearing = _Bearing(groups)
    results = {}
    with one_thread():
        for family in _families(predictions, labels, task):
            values, drawn = family.compute(None), family.compute(every) if len(every) else {}
            for key, n in family.sizes.items():
                value = float(values[key])
                if np.isnan(value):
                    continue
                replicates, left_out = np.split(np.asarray(drawn[key]) if len(every) else np.zeros(0), [n_bootstrap])
                if np.isnan(replicates).sum() > _MOST_MISSING.get(key.metric, 1.0) * len(replicates):
                    replicates = np.full(len(replicates), np.nan)
                if key.metric in _RECENTRED:
                    replicates = recentred(replicates, value)
                n_groups, share = bearing(family.bearing_on(key))
                results[key] = Replicated(value, replicates, n, left_out, share if leave_out else np.zeros(0), n_groups)
    return results


class _Bearing:
    """How many groups bear on a score, and their shares of it."""

    def __init__(self, groups: Sequence[str]) -> None:
        self._names, self._index = validate_groups(groups)
        self._blocks = blocks(groups)

    def __call__(self, counted: NDArray[np.bool_] | None) -> tuple[int, Floats]:
        index = self._index if counted is None else self._index[counted]
        return int(np.count_nonzero(np.bincount(index, minlength=len(self._names)))), shares_of(*self._blocks, counted)


def rows(predictions: pa.Table, labels: Sequence[str], task: str, *, n_bootstrap: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """Every score with its interval, as rows of the results table.

    Parameters
    ----------
    predictions, labels, task
        As in `score`.
    n_bootstrap
        Replicates; 0, or fewer than `callspace.metrics.bootstrap.MIN_REPLICATES`, gives no intervals.
    seed
        Of the bootstrap.

    Returns
    -------
    Dictionaries of space, clusterer, label_rule (None where the score does not depend on it), class, metric, value, ci_low, ci_high and
    ci_method (None where no interval can be had) and n, the number of windows the score is of (of a class: its own).
    """
    rule = label_rule_of(predictions)
    found = []
    for key, result in replicated(predictions, labels, task, n_bootstrap, seed, leave_out=n_bootstrap > 0).items():
        found_interval = interval_of(result.value, result.replicates, result.n_groups, key.metric, error=result.error)
        low, high, method = found_interval or (None, None, None)
        found.append(
            {
                "space": key.space,
                "clusterer": key.clusterer,
                "label_rule": structure.rule_of(key.metric, rule),
                "class": key.class_,
                "metric": key.metric,
                "value": result.value,
                "ci_low": low,
                "ci_high": high,
                "ci_method": method,
                "n": result.n,
            }
        )
    return found


def interval_of(
    value: float,
    replicates: ArrayLike,
    n_groups: int,
    metric: str,
    level: float = 0.95,
    *,
    freedom: int | None = None,
    error: float | None = None,
) -> Interval | None:
    """The interval of a score in its metric's range, and how it was found; None where there is none."""
    return score_interval(
        value, replicates, n_groups, level, freedom=freedom, error=error, lowest=_LOWEST.get(metric, 0.0), highest=_HIGHEST.get(metric, 1.0)
    )
