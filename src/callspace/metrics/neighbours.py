"""Nearest neighbours: exact, blocked, and what they say of labels and of a map.

Conventions: vectors are float[n, d]; neighbours int[n, k], nearest first, equal distances in order of index; a window is never its
own neighbour, though its duplicates may be. Where neighbours of the same group are excluded and fewer than k are left, the places
hold -1 at an infinite distance.

- `k_nearest`: the graph itself.
- `neighbour_share`: for each window, the share of its neighbours that meet a condition; `label_purity`: that share its label.
- `trustworthiness_samples`: for each window, 1 less the penalty for neighbours on the map that are none in the full space; the
  mean is the trustworthiness of J. Venna and S. Kaski (ICANN 2001) and of scikit-learn.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callspace.errors import CallspaceError
from callspace.metrics.distances import Metric, distance_blocks, validate_vectors
from callspace.metrics.weights import Floats, ratio

__all__ = ["LIMIT", "k_nearest", "label_purity", "neighbour_share", "trustworthiness_samples", "validate_k"]

#: The most windows whose trustworthiness is measured.
LIMIT = 5_000


def validate_k(k: int, available: int) -> int:
    """`k`, if there are so many neighbours."""
    if not 1 <= k <= available:
        raise CallspaceError(f"{k} neighbours were asked for, but each window has {available}")
    return k


def k_nearest(
    reference: ArrayLike,
    k: int,
    *,
    queries: ArrayLike | None = None,
    metric: Metric = "euclidean",
    groups: Sequence[str] | None = None,
) -> tuple[NDArray[np.int64], Floats]:
    """The k nearest of `reference` to each query.

    Parameters
    ----------
    reference
        float[n, d].
    k
        At most n, or n - 1 without queries.
    queries
        float[m, d]; without them each of `reference` is a query and not its own neighbour.
    metric
        ``"euclidean"`` or ``"cosine"``.
    groups
        The group of each of `reference`; neighbours of the query's own group are excluded. Only without queries.

    Returns
    -------
    indices, int64[m, k], and distances, float64[m, k].

    Raises
    ------
    CallspaceError
        Where k is more than there are neighbours, the shapes don't fit, or a vector holds NaN or infinity.
    """
    known = validate_vectors(reference)
    asked = known if queries is None else validate_vectors(queries, "queries")
    if asked.shape[1] != known.shape[1]:
        raise CallspaceError(f"queries have {asked.shape[1]} dimensions and the reference {known.shape[1]}")
    validate_k(k, len(known) - (queries is None))
    codes = None if groups is None else np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
    if codes is not None and (queries is not None or len(codes) != len(known)):
        raise CallspaceError("groups must be one a vector, and are only for neighbours among the vectors themselves")
    indices, distances = np.empty((len(asked), k), dtype=np.int64), np.empty((len(asked), k))
    for rows, block in distance_blocks(asked, known, metric):
        if queries is None:
            block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = np.inf
        if codes is not None:
            block[codes[rows, None] == codes] = np.inf
        indices[rows], distances[rows] = _smallest(block, k)
    indices[np.isinf(distances)] = -1
    return indices, distances


def _smallest(block: Floats, k: int) -> tuple[NDArray[np.int64], Floats]:
    """The k smallest of each row, by value and then by index."""
    kth = np.partition(block, k - 1, axis=1)[:, k - 1 : k]
    # Of those equal to the k-th smallest only the first by index have a place: count them off.
    below, equal = block < kth, block == kth
    places = k - below.sum(axis=1, keepdims=True)
    crowded = np.flatnonzero(equal.sum(axis=1) > places[:, 0])
    if len(crowded):
        equal[crowded] &= np.cumsum(equal[crowded], axis=1) <= places[crowded]
    columns = np.nonzero(below | equal)[1].reshape(len(block), k)
    values = np.take_along_axis(block, columns, axis=1)
    order = np.argsort(values, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(values, order, axis=1)


def neighbour_share(indices: NDArray[np.int64], condition: ArrayLike) -> Floats:
    """The share of each window's neighbours that meet a condition.

    Parameters
    ----------
    indices
        int64[m, k] into the reference, -1 for no neighbour.
    condition
        bool[n], one a vector of the reference, or bool[m, n] read at (query, neighbour).

    Returns
    -------
    float64[m]; NaN for a window without neighbours.
    """
    holds = np.asarray(condition, dtype=bool)
    met = holds[indices] if holds.ndim == 1 else np.take_along_axis(holds, np.maximum(indices, 0), axis=1)
    there = indices >= 0
    return ratio((met & there).sum(axis=1), there.sum(axis=1))


def label_purity(indices: NDArray[np.int64], labels: ArrayLike) -> Floats:
    """The share of each window's neighbours that have its label.

    Parameters
    ----------
    indices
        int64[n, k] among the same n windows, -1 for no neighbour.
    labels
        int[n]; a window with a negative label is no one's neighbour and has no purity.

    Returns
    -------
    float64[n]; NaN where a window has no label or no neighbour.
    """
    codes = np.asarray(labels)
    there = (indices >= 0) & (codes[indices] >= 0)
    same = there & (codes[indices] == codes[:, None])
    return np.where(codes >= 0, ratio(same.sum(axis=1), there.sum(axis=1)), np.nan)


def trustworthiness_samples(
    vectors: ArrayLike, maps: Sequence[ArrayLike], k: int = 15, *, limit: int = LIMIT, seed: int = 0
) -> list[Floats]:
    """Each window's part in the trustworthiness of each of several maps, from one pass over the distances.

    Parameters
    ----------
    vectors
        float[n, d], the full space.
    maps
        Each float[n, 2].
    k
        Size of the neighbourhood, below n / 2.
    limit, seed
        Above `limit` windows a seeded sample of so many is measured, each against all; the other windows are NaN.

    Returns
    -------
    float64[n] for each map; its mean is the map's trustworthiness.

    Raises
    ------
    CallspaceError
        Where there are too few windows for `k`, or NaN or infinity anywhere.
    """
    full = validate_vectors(vectors)
    n = len(full)
    if not 1 <= k < n / 2:
        raise CallspaceError(f"trustworthiness among {k} neighbours needs more than {2 * k} windows; there are {n}")
    near = [k_nearest(validate_vectors(places, "map places"), k)[0] for places in maps]
    measured = np.arange(n) if n <= limit else np.sort(np.random.default_rng(seed).choice(n, size=limit, replace=False))
    penalties = [np.full(n, np.nan) for _ in maps]
    for rows, block in distance_blocks(full[measured], full):
        windows = measured[rows]
        block[np.arange(len(block)), windows] = np.inf
        ranked = np.sort(block, axis=1)
        for of_map, penalty in zip(near, penalties, strict=True):
            theirs = np.take_along_axis(block, of_map[windows], axis=1)
            ranks = np.stack([np.searchsorted(row, values) + 1 for row, values in zip(ranked, theirs, strict=True)])
            penalty[windows] = np.maximum(ranks - k, 0).sum(axis=1)
    return [1 - penalty * 2 / (k * (2 * n - 3 * k - 1)) for penalty in penalties]
