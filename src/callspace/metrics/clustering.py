"""How well a clustering agrees with labels.

Conventions: `truth` and `clusters` are int[n], codes from 0; weights as in `callspace.metrics.weights`, whole numbers for the
scores that count pairs or chance (`ari`, `ami`, `fowlkes_mallows`). Natural logarithms. The limits are scikit-learn's: one class and
one cluster agree perfectly (1); one cluster for several classes has an NMI, AMI and ARI of 0.

- `nmi`: mutual information over the arithmetic mean of the two entropies. `homogeneity`, `completeness`: mutual information over
  the entropy of the labels, of the clusters; `v_measure`, their harmonic mean (A. Rosenberg and J. Hirschberg, EMNLP 2007), which
  equals `nmi`.
- `ami`: mutual information adjusted for chance (N. X. Vinh, J. Epps and J. Bailey, JMLR 11, 2010): about 0 for random clusters.
- `ari`: the adjusted Rand index (L. Hubert and P. Arabie, 1985). `fowlkes_mallows`: of the pairs in one class and the pairs in one
  cluster, the geometric mean of the shares that are both (E. B. Fowlkes and C. L. Mallows, JASA 78, 1983).
- `cluster_purity`: share of the windows that are of the commonest class of their cluster; it rises with the number of clusters.
- `hungarian_accuracy`: accuracy after the one-to-one assignment of clusters to classes that makes it largest (H. W. Kuhn, 1955);
  `hungarian_recalls` gives it class by class, and `hungarian_balanced_accuracy` is their mean over the classes present. Of assignments
  with the same accuracy the one with the largest mean recall is taken, so that neither depends on how clusters are numbered.

`agreement` and `clustering_scores` compute several from one contingency table; each function is that for one of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callspace.errors import CallspaceError
from callspace.metrics.chance import expected_mutual_information
from callspace.metrics.classification import indicator, validate_codes
from callspace.metrics.weights import Floats, Value, mean_defined, over_replicates, ratio, validate_weights, value

__all__ = [
    "CLUSTERING_SCORES",
    "Contingency",
    "agreement",
    "ami",
    "ari",
    "cluster_purity",
    "clustering_scores",
    "completeness",
    "counts_of",
    "fowlkes_mallows",
    "homogeneity",
    "hungarian_accuracy",
    "hungarian_balanced_accuracy",
    "hungarian_recalls",
    "matched_classes",
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

    @cached_property
    def mutual_information(self) -> Floats:
        """float64[r], in nats."""
        expected = self.class_sums[self.classes] * self.cluster_sums[self.clusters]
        times = np.where(self.counts > 0, ratio(self.counts * self.total, expected, otherwise=1.0), 1.0)
        # Rounding must not make agreement of independent partitions, which scikit-learn cuts off at the same value.
        terms = ratio(self.counts, self.total, otherwise=0.0) * np.log(times)
        return np.maximum(np.where(np.abs(terms) < np.finfo(float).eps, 0.0, terms).sum(axis=0), 0.0)

    @cached_property
    def entropies(self) -> tuple[Floats, Floats]:
        """float64[r] of the labels and of the clusters, in nats."""
        return _entropy(self.class_sums, self.total), _entropy(self.cluster_sums, self.total)

    @cached_property
    def assigned(self) -> Floats:
        """float64[classes, r]: how much of each class lies in the cluster assigned to it; 0 for a class without one."""
        return np.stack([_hits(self.dense(replicate)) for replicate in range(len(self.total))], axis=1)

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
        self.cells = 4 * len(codes) + self.n_classes + self.n_clusters  # of a replicate
        self.of_cluster = indicator(self.clusters, np.arange(len(codes)), self.n_clusters, len(codes))

    def contingency(self, w: Floats) -> Contingency:
        counts = self.of_pair @ w
        return Contingency(counts, self.classes, self.clusters, self.of_class @ counts, self.of_cluster @ counts, w.sum(axis=0))


def _entropy(sums: Floats, total: Floats) -> Floats:
    shares = ratio(sums, total, otherwise=0.0)
    return -np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1.0)), 0.0).sum(axis=0)


def _defined(table: Contingency, values: Floats) -> Floats:
    """NaN where no window has any weight."""
    return np.where(table.total > 0, values, np.nan)


def _nmi(table: Contingency) -> Floats:
    return np.where(table.undivided(), 1.0, ratio(table.mutual_information, sum(table.entropies) / 2, otherwise=0.0))


def _homogeneity(table: Contingency) -> Floats:
    return ratio(table.mutual_information, table.entropies[0], otherwise=1.0)


def _completeness(table: Contingency) -> Floats:
    return ratio(table.mutual_information, table.entropies[1], otherwise=1.0)


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


def _fowlkes_mallows(table: Contingency) -> Floats:
    both = (table.counts**2).sum(axis=0) - table.total
    of_truth, of_clusters = ((sums**2).sum(axis=0) - table.total for sums in (table.class_sums, table.cluster_sums))
    return np.sqrt(ratio(both, of_truth, otherwise=0.0)) * np.sqrt(ratio(both, of_clusters, otherwise=0.0))


def _ami(table: Contingency) -> Floats:
    expected = expected_mutual_information(table.class_sums, table.cluster_sums, table.total)
    mean = sum(table.entropies) / 2
    one_sided = ((table.class_sums > 0).sum(axis=0) <= 1) | ((table.cluster_sums > 0).sum(axis=0) <= 1)
    room = mean - expected
    # Chance does as well as can be only where every window is a class and a cluster of its own, which is a perfect match.
    certain = room <= 1e-12 * np.maximum(mean, 1.0)
    adjusted = np.where(certain, 1.0, ratio(table.mutual_information - expected, np.where(certain, 1.0, room)))
    return np.where(table.undivided(), 1.0, np.where(one_sided, 0.0, adjusted))


def _purity(table: Contingency) -> Floats:
    order = np.argsort(table.clusters, kind="stable")
    starts = np.flatnonzero(np.diff(table.clusters[order], prepend=-1))
    commonest = np.maximum.reduceat(table.counts[order], starts, axis=0) if len(starts) else np.zeros((0, len(table.total)))
    return ratio(commonest.sum(axis=0), table.total)


def _hungarian(table: Contingency) -> Floats:
    return ratio(table.assigned.sum(axis=0), table.total)


def _hungarian_recalls(table: Contingency) -> Floats:
    return ratio(table.assigned, table.class_sums)


def _hungarian_balanced(table: Contingency) -> Floats:
    return mean_defined(_hungarian_recalls(table), axis=0)


def _hits(counts: Floats) -> Floats:
    rows, columns = _assignment(counts)
    hits = np.zeros(len(counts))
    hits[rows] = counts[rows, columns]
    return hits


def _assignment(counts: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pairs (class, cluster) of counts float64[classes, clusters] whose sum is largest, and of equal sums that of the shares of the classes.

    Where these are equal too, the clusters are looked at in an order that is theirs whatever their numbers. Empty ones are in no pair.
    """
    from scipy.optimize import linear_sum_assignment

    classes, clusters = (np.flatnonzero(counts.any(axis=axis)) for axis in (1, 0))
    if not len(classes):
        return classes, clusters
    clusters = clusters[np.lexsort(counts[np.ix_(classes, clusters)])]
    held = counts[np.ix_(classes, clusters)]
    # The shares of all pairs add up to less than 1, the least by which two sums of whole numbers differ; of fractions, to next to nothing.
    least = 1.0 if (held == np.rint(held)).all() else 1e-9 * held.max()
    shares = held / held.sum(axis=1, keepdims=True)
    rows, columns = linear_sum_assignment(held + shares * (least / (min(held.shape) + 1)), maximize=True)
    return classes[rows], clusters[columns]


#: Name -> function of a contingency table; a new score is one line here.
CLUSTERING_SCORES: dict[str, Callable[[Contingency], Floats]] = {
    "nmi": _nmi,
    "ami": _ami,
    "ari": _ari,
    "homogeneity": _homogeneity,
    "completeness": _completeness,
    "v_measure": _v_measure,
    "fowlkes_mallows": _fowlkes_mallows,
    "cluster_purity": _purity,
    "hungarian_accuracy": _hungarian,
    "hungarian_balanced_accuracy": _hungarian_balanced,
}
_WHOLE_NUMBERS = {"ami", "ari", "fowlkes_mallows"}


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

    together = over_replicates(compute, weights, len(codes), pairs.cells)
    return {name: value(together[..., at]) for at, name in enumerate(names)}


def agreement(truth: ArrayLike, clusters: ArrayLike, n_classes: int, weights: ArrayLike | None = None) -> tuple[dict[str, Value], Floats]:
    """All of `CLUSTERING_SCORES`, and `hungarian_recalls`, from one contingency table and one assignment a replicate.

    Parameters
    ----------
    truth, clusters
        int[n], codes from 0, those of `truth` below `n_classes`.
    weights
        None, shape (n,) or (R, n), whole numbers.

    Returns
    -------
    name -> float or float64[R], and float64[K] or float64[R, K].
    """
    codes, found = _validate_classes(truth, clusters, n_classes)
    if weights is not None:
        _validate_whole(validate_weights(weights, len(codes)))
    pairs = _Pairs(codes, found)

    def compute(w: Floats) -> Floats:
        table = pairs.contingency(w)
        overall = np.stack([_defined(table, score(table)) for score in CLUSTERING_SCORES.values()])
        return np.concatenate([overall, _padded(_hungarian_recalls(table), n_classes)])

    together = over_replicates(compute, weights, len(codes), pairs.cells + n_classes)
    return {name: value(together[..., at]) for at, name in enumerate(CLUSTERING_SCORES)}, together[..., len(CLUSTERING_SCORES) :]


def _padded(shares: Floats, n_classes: int) -> Floats:
    """float64[classes, r] with rows of NaN up to `n_classes`."""
    return np.concatenate([shares, np.full((n_classes - len(shares), shares.shape[1]), np.nan)])


def _validate_classes(truth: ArrayLike, clusters: ArrayLike, n_classes: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    codes, found = validate_codes(truth, clusters)
    if codes.max(initial=-1) >= n_classes:
        raise CallspaceError(f"a class code is {codes.max()}, but there are {n_classes} classes")
    return codes, found


def _validate_whole(rows: NDArray) -> None:
    if rows.dtype.kind == "f" and not (rows == np.rint(rows)).all():
        raise CallspaceError("ami, ari and fowlkes_mallows count windows: their weights must be whole numbers")


def counts_of(truth: ArrayLike, clusters: ArrayLike, n_classes: int, n_clusters: int) -> NDArray[np.int64]:
    """How many windows of each class each cluster holds: int64[n_classes, n_clusters]."""
    codes, found = _validate_classes(truth, clusters, n_classes)
    if found.max(initial=-1) >= n_clusters:
        raise CallspaceError(f"a cluster is {found.max()}, but there are {n_clusters} clusters")
    return np.bincount(codes * n_clusters + found, minlength=n_classes * n_clusters).reshape(n_classes, n_clusters)


def matched_classes(counts: ArrayLike) -> NDArray[np.intp]:
    """The class that the Hungarian assignment gives each cluster of `counts_of`: int[clusters], -1 for a cluster without one.

    A pair that has no window in common is no match.
    """
    table = np.asarray(counts)
    rows, columns = _assignment(table.astype(np.float64))
    matched = np.full(table.shape[1], -1, dtype=np.intp)
    matched[columns] = np.where(table[rows, columns] > 0, rows, -1)
    return matched


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


def fowlkes_mallows(truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """Geometric mean of pairwise precision and recall, 0 without a pair that agrees; weights must be whole numbers."""
    return clustering_scores(truth, clusters, weights, ["fowlkes_mallows"])["fowlkes_mallows"]


def cluster_purity(truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """Share of the windows that are of the commonest class of their cluster."""
    return clustering_scores(truth, clusters, weights, ["cluster_purity"])["cluster_purity"]


def hungarian_accuracy(truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """Share of the windows in the cluster assigned to their class; the assignment is made anew for each set of weights."""
    return clustering_scores(truth, clusters, weights, ["hungarian_accuracy"])["hungarian_accuracy"]


def hungarian_balanced_accuracy(truth: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """Mean of `hungarian_recalls` over the classes present."""
    return clustering_scores(truth, clusters, weights, ["hungarian_balanced_accuracy"])["hungarian_balanced_accuracy"]


def hungarian_recalls(truth: ArrayLike, clusters: ArrayLike, n_classes: int, weights: ArrayLike | None = None) -> Floats:
    """`hungarian_accuracy` class by class: float64[K] or float64[R, K].

    A class that no cluster was left for has 0; an absent one NaN.
    """
    codes, found = _validate_classes(truth, clusters, n_classes)
    pairs = _Pairs(codes, found)
    return over_replicates(
        lambda w: _padded(_hungarian_recalls(pairs.contingency(w)), n_classes), weights, len(codes), pairs.cells + n_classes
    )
