"""How well a clustering agrees with labels.

Conventions: `truth` and `clusters` are int[n], codes from 0; weights as in `callspace.metrics.weights`, whole numbers for the
scores that count pairs or chance (`ari`, `ami`). Natural logarithms. The limits are scikit-learn's: one class and one cluster
agree perfectly (1); one cluster for several classes has an NMI, AMI and ARI of 0.

- `nmi`: mutual information over the arithmetic mean of the two entropies. `homogeneity`, `completeness`: mutual information over
  the entropy of the labels, of the clusters; `v_measure`, their harmonic mean (A. Rosenberg and J. Hirschberg, EMNLP 2007), which
  equals `nmi`.
- `ami`: mutual information adjusted for chance (N. X. Vinh, J. Epps and J. Bailey, JMLR 11, 2010): about 0 for random clusters.
- `ari`: the adjusted Rand index (L. Hubert and P. Arabie, 1985).
- `hungarian_accuracy`: accuracy after the one-to-one assignment of clusters to classes that makes it largest (H. W. Kuhn, 1955);
  `hungarian_recalls` gives it class by class.

`clustering_scores` computes several from one contingency table; each function is that for one of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callspace.errors import CallspaceError
from callspace.metrics.chance import expected_mutual_information
from callspace.metrics.classification import indicator, validate_codes
from callspace.metrics.weights import Floats, Value, over_replicates, ratio, validate_weights, value

__all__ = [
    "CLUSTERING_SCORES",
    "Contingency",
    "ami",
    "ari",
    "clustering_scores",
    "completeness",
    "homogeneity",
    "hungarian_accuracy",
    "hungarian_recalls",
    "nmi",
    "v_measure",
]


@dataclass(frozen=True)
class Contingency:
    """Weights summed by (class, cluster), for r replicates: the pairs that occur, and the margins."""

    counts: Floats  # float64[pairs, r]
    classes: NDArray[np.intp]  # int[pairs], the class of each pair
    clusters: NDArray[np.intp]  # int[pairs]
    class_sums: Floats  # float64[classes, r]
    cluster_sums: Floats  # float64[clusters, r]
    total: Floats  # float64[r]

    def dense(self, replicate: int) -> Floats:
        """float64[classes, clusters] of one replicate."""
        table = np.zeros((len(self.class_sums), len(self.cluster_sums)))
        table[self.classes, self.clusters] = self.counts[:, replicate]
        return table

    def undivided(self) -> NDArray[np.bool_]:
        """bool[r]: at most one class and one cluster, so that both partitions are the same."""
        return ((self.class_sums > 0).sum(axis=0) <= 1) & ((self.cluster_sums > 0).sum(axis=0) <= 1)


class _Pairs:
    """What of a contingency table doesn't depend on the weights."""

    def __init__(self, truth: NDArray[np.intp], clusters: NDArray[np.intp]) -> None:
        n, windows = len(truth), np.arange(len(truth))
        self.n_classes, self.n_clusters = int(truth.max(initial=-1)) + 1, int(clusters.max(initial=-1)) + 1
        codes, pair = np.unique(truth * max(self.n_clusters, 1) + clusters, return_inverse=True)
        self.classes, self.clusters = np.divmod(codes, max(self.n_clusters, 1))
        self.of_pair = indicator(pair, windows, len(codes), n)
        self.of_class = indicator(self.classes, np.arange(len(codes)), self.n_classes, len(codes))
        self.of_cluster = indicator(self.clusters, np.arange(len(codes)), self.n_clusters, len(codes))

    def contingency(self, w: Floats) -> Contingency:
        counts = self.of_pair @ w
        return Contingency(counts, self.classes, self.clusters, self.of_class @ counts, self.of_cluster @ counts, w.sum(axis=0))


def _entropy(sums: Floats, total: Floats) -> Floats:
    shares = ratio(sums, total, otherwise=0.0)
    return -np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1.0)), 0.0).sum(axis=0)


def _mutual_information(table: Contingency) -> Floats:
    expected = table.class_sums[table.classes] * table.cluster_sums[table.clusters]
    times = np.where(table.counts > 0, ratio(table.counts * table.total, expected, otherwise=1.0), 1.0)
    # Rounding must not make agreement of independent partitions, which scikit-learn cuts off at the same value.
    terms = ratio(table.counts, table.total, otherwise=0.0) * np.log(times)
    return np.maximum(np.where(np.abs(terms) < np.finfo(float).eps, 0.0, terms).sum(axis=0), 0.0)


def _defined(table: Contingency, values: Floats) -> Floats:
    """NaN where no window has any weight."""
    return np.where(table.total > 0, values, np.nan)


def _nmi(table: Contingency) -> Floats:
    mean = (_entropy(table.class_sums, table.total) + _entropy(table.cluster_sums, table.total)) / 2
    return np.where(table.undivided(), 1.0, ratio(_mutual_information(table), mean, otherwise=0.0))


def _homogeneity(table: Contingency) -> Floats:
    return ratio(_mutual_information(table), _entropy(table.class_sums, table.total), otherwise=1.0)


def _completeness(table: Contingency) -> Floats:
    return ratio(_mutual_information(table), _entropy(table.cluster_sums, table.total), otherwise=1.0)


def _v_measure(table: Contingency) -> Floats:
    both = _homogeneity(table), _completeness(table)
    return ratio(2 * both[0] * both[1], both[0] + both[1], otherwise=0.0)


def _ari(table: Contingency) -> Floats:
    together = (table.counts**2).sum(axis=0)
    rows, columns = (table.class_sums**2).sum(axis=0), (table.cluster_sums**2).sum(axis=0)
    both, only_truth, only_clusters = together - table.total, rows - together, columns - together
    neither = table.total**2 - only_truth - only_clusters - together
    upper = 2 * (both * neither - only_truth * only_clusters)
    lower = (both + only_truth) * (only_truth + neither) + (both + only_clusters) * (only_clusters + neither)
    return np.where((only_truth == 0) & (only_clusters == 0), 1.0, ratio(upper, lower, otherwise=0.0))


def _ami(table: Contingency) -> Floats:
    expected = expected_mutual_information(table.class_sums, table.cluster_sums, table.total)
    mean = (_entropy(table.class_sums, table.total) + _entropy(table.cluster_sums, table.total)) / 2
    one_sided = ((table.class_sums > 0).sum(axis=0) <= 1) | ((table.cluster_sums > 0).sum(axis=0) <= 1)
    room = mean - expected
    # Chance does as well as can be only where every window is a class and a cluster of its own, which is a perfect match.
    certain = room <= 1e-12 * np.maximum(mean, 1.0)
    adjusted = np.where(certain, 1.0, ratio(_mutual_information(table) - expected, np.where(certain, 1.0, room)))
    return np.where(table.undivided(), 1.0, np.where(one_sided, 0.0, adjusted))


def _hungarian(table: Contingency) -> Floats:
    return ratio(np.array([_assigned(table.dense(r)).sum() for r in range(len(table.total))]), table.total)


def _assigned(counts: Floats) -> Floats:
    """float64[classes]: how much of each class lies in the cluster assigned to it; 0 for a class without one."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(counts, maximize=True)
    hits = np.zeros(len(counts))
    hits[rows] = counts[rows, columns]
    return hits


#: Name -> function of a contingency table; a new score is one line here.
CLUSTERING_SCORES: dict[str, Callable[[Contingency], Floats]] = {
    "nmi": _nmi,
    "ami": _ami,
    "ari": _ari,
    "homogeneity": _homogeneity,
    "completeness": _completeness,
    "v_measure": _v_measure,
    "hungarian_accuracy": _hungarian,
}
_WHOLE_NUMBERS = {"ami", "ari"}


def clustering_scores(
    truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None, names: Sequence[str] = tuple(CLUSTERING_SCORES)
) -> dict[str, Value]:
    """Several scores from one contingency table.

    Parameters
    ----------
    truth, clusters
        int[n], codes from 0.
    weights
        None, shape (n,) or (R, n).
    names
        Which of `CLUSTERING_SCORES`.

    Returns
    -------
    name -> float, or float64[R]; NaN where no window has any weight.
    """
    codes, found = validate_codes(truth, clusters)
    if weights is not None and _WHOLE_NUMBERS & set(names):
        _validate_whole(validate_weights(weights, len(codes)))
    pairs = _Pairs(codes, found)

    def compute(w: Floats) -> Floats:
        table = pairs.contingency(w)
        return np.stack([_defined(table, CLUSTERING_SCORES[name](table)) for name in names])

    together = over_replicates(compute, weights, len(codes), 8 * pairs.n_classes * pairs.n_clusters)
    return {name: value(together[..., at]) for at, name in enumerate(names)}


def _validate_whole(rows: NDArray) -> None:
    if rows.dtype.kind == "f" and not (rows == np.rint(rows)).all():
        raise CallspaceError("ami and ari count windows: their weights must be whole numbers")


def nmi(truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """Normalised mutual information, arithmetic mean of the entropies."""
    return clustering_scores(truth, clusters, weights, ["nmi"])["nmi"]


def ami(truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """Mutual information adjusted for chance, arithmetic mean of the entropies; weights must be whole numbers."""
    return clustering_scores(truth, clusters, weights, ["ami"])["ami"]


def ari(truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """The adjusted Rand index; weights must be whole numbers."""
    return clustering_scores(truth, clusters, weights, ["ari"])["ari"]


def homogeneity(truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """1 where every cluster holds windows of one class only."""
    return clustering_scores(truth, clusters, weights, ["homogeneity"])["homogeneity"]


def completeness(truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """1 where all windows of a class are in one cluster."""
    return clustering_scores(truth, clusters, weights, ["completeness"])["completeness"]


def v_measure(truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """The harmonic mean of homogeneity and completeness."""
    return clustering_scores(truth, clusters, weights, ["v_measure"])["v_measure"]


def hungarian_accuracy(truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """Share of the windows in the cluster assigned to their class; the assignment is made anew for each set of weights."""
    return clustering_scores(truth, clusters, weights, ["hungarian_accuracy"])["hungarian_accuracy"]


def hungarian_recalls(truth: ArrayLike, clusters: ArrayLike, n_classes: int, weights: ArrayLike | None = None) -> Floats:
    """`hungarian_accuracy` class by class: float64[K] or float64[R, K].

    A class that no cluster was left for has 0; an absent one NaN. Where several assignments are equally good overall, the one
    SciPy finds is taken.
    """
    codes, found = validate_codes(truth, clusters)
    if codes.max(initial=-1) >= n_classes:
        raise CallspaceError(f"a class code is {codes.max()}, but there are {n_classes} classes")
    pairs = _Pairs(codes, found)

    def compute(w: Floats) -> Floats:
        table = pairs.contingency(w)
        shares = np.full((n_classes, w.shape[1]), np.nan)
        for replicate in range(w.shape[1]):
            shares[: pairs.n_classes, replicate] = ratio(_assigned(table.dense(replicate)), table.class_sums[:, replicate])
        return shares

    return over_replicates(compute, weights, len(codes), n_classes + pairs.n_clusters)
