"""Structure where a window may have several labels: every label in turn against the rest.

Conventions: `membership` is bool[n, K], which of K classes each window has: several, one or none. A class is the windows that have it
against all that don't; a class that no window has, or all have, has no rest and no score (NaN). What one number is wanted of is the
mean over the classes that have a score (`callspace.metrics.weights.mean_defined`), so that a rare class counts as much as a common one.
Weights as in `callspace.metrics.weights`.

- `nmi_each`: of the windows of a class and the windows of a cluster, two partitions into two, the normalised mutual information
  (arithmetic mean of the entropies), for the cluster where it is largest among those that hold more of the class than chance would
  put there: 1 where one cluster is just that class, near 0 where clusters know nothing of it. The matching, one way, of the
  NMI of overlapping communities of A. Lancichinetti, S. Fortunato and J. Kertesz (New Journal of Physics 11, 2009).
- `silhouettes_each`: for each window and each class that it has, the silhouette of the class and its rest as two sets.
- `purities_each`: for each window and each class that it has, the share of its neighbours that have it too, less what chance gives:
  (share - p) / (1 - p) with p the share of the other windows that have it (of those of other groups, where neighbours of its own are
  excluded). 0 by chance, 1 at best.

The area under the ROC curve of the neighbours' share of a class, as a score of having it, is
`callspace.metrics.ranking.aurocs(membership, shares)`, with `shares_each` for the shares.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callspace.errors import CallspaceError
from callspace.metrics.classification import indicator
from callspace.metrics.distances import distance_blocks, validate_vectors
from callspace.metrics.neighbours import Neighbourhoods, class_counts
from callspace.metrics.silhouettes import LIMIT
from callspace.metrics.weights import Floats, over_replicates, ratio

__all__ = ["nmi_each", "purities_each", "shares_each", "silhouettes_each", "validate_membership"]


def validate_membership(membership: ArrayLike, n: int | None = None) -> NDArray[np.bool_]:
    """bool[n, K], if it is that."""
    array = np.asarray(membership)
    if array.ndim != 2 or array.dtype != bool or (n is not None and len(array) != n):
        raise CallspaceError(f"membership must be true or false for each window and class, not {array.dtype} of shape {array.shape}")
    return array


def nmi_each(membership: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """The NMI of each class, one against rest, with the cluster that tells most of it.

    Parameters
    ----------
    membership
        bool[n, K].
    clusters
        int[n], codes from 0.
    weights
        None, shape (n,) or (R, n).

    Returns
    -------
    float64[K] or float64[R, K]; NaN for a class without windows, or without a rest.
    """
    found = np.asarray(clusters, dtype=np.intp)
    member = validate_membership(membership, len(found))
    n, n_classes = member.shape
    if n and found.min() < 0:
        raise CallspaceError("a cluster is negative: clusters start at 0")
    n_clusters = int(found.max(initial=-1)) + 1
    windows, classes = np.nonzero(member)
    codes, pair = np.unique(classes * max(n_clusters, 1) + found[windows], return_inverse=True)
    of_class, of_cluster = np.divmod(codes, max(n_clusters, 1))
    starts = np.flatnonzero(np.diff(of_class, prepend=-1))
    both = indicator(pair, windows, len(codes), n)
    by_class, by_cluster = indicator(classes, windows, n_classes, n), indicator(found, np.arange(n), n_clusters, n)

    def compute(w: Floats) -> Floats:
        total, class_sums, cluster_sums = w.sum(axis=0), by_class @ w, by_cluster @ w
        values = _binary_nmi(both @ w, class_sums[of_class], cluster_sums[of_cluster], total)
        best = np.zeros((n_classes, w.shape[1]))
        if len(starts):
            best[of_class[starts]] = np.maximum.reduceat(values, starts, axis=0)
        return np.where((class_sums > 0) & (class_sums < total), best, np.nan)

    return over_replicates(compute, weights, n, 8 * len(codes) + n_classes + n_clusters)


def _binary_nmi(both: Floats, first: Floats, second: Floats, total: Floats) -> Floats:
    """NMI of two sets of `first` and `second` windows that share `both`, of `total`; 0 where they share no more than by chance."""
    terms = _xlogx(both) + _xlogx(first - both) + _xlogx(second - both) + _xlogx(total - first - second + both)
    margins = _xlogx(first) + _xlogx(total - first), _xlogx(second) + _xlogx(total - second)
    whole = _xlogx(total)
    information, entropies = terms - sum(margins) + whole, 2 * whole - sum(margins)
    return np.where(both * total > first * second, np.clip(ratio(2 * information, entropies, otherwise=0.0), 0.0, 1.0), 0.0)


def _xlogx(x: Floats) -> Floats:
    return x * np.log(np.where(x > 0, x, 1.0))


def silhouettes_each(vectors: ArrayLike, membership: ArrayLike, *, limit: int = LIMIT, seed: int = 0) -> Floats:
    """The silhouette of each window in each class that it has, the class and its rest being the two sets.

    Parameters
    ----------
    vectors
        float[n, d].
    membership
        bool[n, K]; a window of no class is in the rest of all.
    limit, seed
        Above `limit` windows a seeded sample of so many is measured, and the other windows are NaN.

    Returns
    -------
    float64[n, K]; NaN where a window doesn't have a class, or the class has no rest. 0 for a class of one window.
    """
    points = validate_vectors(vectors)
    member = validate_membership(membership, len(points))
    measured = np.arange(len(points))
    if len(points) > limit:
        measured = np.sort(np.random.default_rng(seed).choice(len(points), size=limit, replace=False))
    values = np.full(member.shape, np.nan)
    points, own = points[measured], member[measured]
    sizes = own.sum(axis=0)
    columns = own.astype(np.float64)
    for rows, distances in distance_blocks(points, points):
        distances[np.arange(len(distances)), np.arange(rows.start, rows.stop)] = 0.0
        inside = distances @ columns
        outside = ratio(distances.sum(axis=1, keepdims=True) - inside, len(points) - sizes)
        inside = ratio(inside, np.broadcast_to(sizes - 1, inside.shape), otherwise=0.0)
        # A class of one window has the silhouette 0, as scikit-learn's.
        of_two = np.where(sizes > 1, ratio(outside - inside, np.maximum(inside, outside), otherwise=0.0), 0.0)
        values[measured[rows]] = np.where(own[rows] & (sizes < len(points)), of_two, np.nan)
    return values


def shares_each(near: Neighbourhoods, membership: ArrayLike, counted: ArrayLike | None = None) -> Floats:
    """The share of each window's neighbours that have each class: float64[n, K], NaN for a window without neighbours.

    Parameters
    ----------
    near
        Of n windows among themselves.
    membership
        bool[n, K].
    counted
        bool[n]: the windows that count as neighbours; all when not given.
    """
    member = validate_membership(membership, len(near.indices))
    there = np.ones(len(member), dtype=bool) if counted is None else np.asarray(counted, dtype=bool)
    counts = class_counts(near, np.concatenate([member & there[:, None], there[:, None]], axis=1)).counts
    return ratio(counts[:, :-1], counts[:, -1:])


def purities_each(shares: Floats, membership: ArrayLike, groups: Sequence[str] | None = None) -> Floats:
    """`shares_each` of the classes that a window has, less what chance gives: float64[n, K], NaN elsewhere and without a rest.

    Parameters
    ----------
    shares
        float64[n, K].
    membership
        bool[n, K].
    groups
        The group of each window, where windows of its own are not among its neighbours.
    """
    member = validate_membership(membership, len(shares))
    own = np.arange(len(member)) if groups is None else np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
    within = indicator(own, np.arange(len(member)), int(own.max(initial=-1)) + 1, len(member))
    others = len(member) - (within @ np.ones(len(member)))[own, None]
    expected = ratio(member.sum(axis=0) - (within @ member.astype(np.float64))[own], others)
    return np.where(member & (expected < 1), ratio(shares - expected, 1 - expected), np.nan)
