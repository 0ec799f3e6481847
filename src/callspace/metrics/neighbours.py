"""Nearest neighbours: exact, blocked, and what they say of labels.

Conventions: vectors are float[n, d]; neighbours int[n, k], nearest first, equal distances in order of index; a window is never its
own neighbour, though its duplicates may be. Where neighbours of the same group are excluded and fewer than k are left, the places
hold -1 at an infinite distance.

- `k_nearest`: the graph itself.
- `neighbourhoods`: the k nearest as what is counted among them needs them. Windows that tie for the last places, as duplicates do (silence),
  have no order: each has one of these places with the same chance, and that chance counts. So nothing depends on the order of the windows.
- `neighbour_share`: for each window, the share of its neighbours that meet a condition; `label_purity`: that share its label;
  `class_counts`: how many have each class.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callspace.errors import CallspaceError
from callspace.metrics.distances import Metric, distance_blocks, validate_vectors
from callspace.metrics.weights import Floats, ratio

__all__ = [
    "ClassCounts",
    "Neighbourhoods",
    "class_counts",
    "k_nearest",
    "label_purity",
    "neighbour_share",
    "neighbourhoods",
    "smallest",
    "validate_k",
]

_TIED = 1e-10  # of a Euclidean distance, or of 1 for the cosine: beyond what float32 vectors can tell apart


@dataclass(frozen=True)
class Neighbourhoods:
    """The k nearest of m queries among n vectors.

    Attributes
    ----------
    indices
        int64[m, k] into the n vectors, -1 for no neighbour.
    distances
        float64[m, k].
    crowded
        The queries with more vectors at their k-th distance than there are places left, int[crowded].
    blocks
        Goes over these: numbers of queries int[rows], and their distances to all vectors float64[rows, n], infinite to those excluded.
    slack
        By how much distances that are equal may differ, absolutely and as a share of the distance.
    """

    indices: NDArray[np.int64]
    distances: Floats
    crowded: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    blocks: Callable[[], Iterator[tuple[NDArray[np.intp], Floats]]] = lambda: iter(())
    slack: tuple[float, float] = (0.0, 0.0)

    def chances(self) -> Iterator[tuple[NDArray[np.intp], Floats, Floats]]:
        """Of `crowded`: numbers of queries, the chance of each vector to be a neighbour float64[rows, n], which add up to k, and distances."""
        k = self.indices.shape[1]
        for rows, block in self.blocks():
            kth = self.distances[rows, k - 1 :]
            slack = self.slack[0] + self.slack[1] * kth
            nearer = block < kth - slack
            tied = ~nearer & (block <= kth + slack)
            share = (k - nearer.sum(axis=1, keepdims=True)) / tied.sum(axis=1, keepdims=True)
            yield rows, nearer + tied * share, block


@dataclass(frozen=True)
class ClassCounts:
    """How many neighbours of each query have each class, and the sum of the distances to those: float64[m, K] both."""

    counts: Floats
    distances: Floats


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
        indices[rows], distances[rows] = smallest(block, k)
    indices[np.isinf(distances)] = -1
    return indices, distances


def smallest(block: NDArray, k: int) -> tuple[NDArray[np.int64], NDArray]:
    """The k smallest of each row, by value and then by index: their columns, int64[rows, k], and themselves, [rows, k]."""
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


def neighbourhoods(
    reference: ArrayLike,
    k: int,
    *,
    queries: ArrayLike | None = None,
    metric: Metric = "euclidean",
    groups: Sequence[str] | None = None,
    graph: tuple[NDArray[np.int64], Floats] | None = None,
) -> Neighbourhoods:
    """The k nearest of `reference` to each query, with those that tie for the last places.

    Parameters
    ----------
    reference, k, queries, metric, groups
        As `k_nearest` takes them.
    graph
        What `k_nearest` found for the same, where that is known: with fewer than k + 1 neighbours, which show the ties, it is made anew.
    """
    known = validate_vectors(reference)
    asked = known if queries is None else validate_vectors(queries, "queries")
    validate_k(k, len(known) - (queries is None))
    shown = min(k + 1, len(known) - (queries is None))
    if graph is None or graph[0].shape[1] < shown:
        graph = k_nearest(known, shown, queries=None if queries is None else asked, metric=metric, groups=groups)
    indices, distances = graph
    slack = (_TIED, 0.0) if metric == "cosine" else (0.0, _TIED)
    crowded = np.zeros(0, dtype=np.intp)
    if shown > k:
        kth, following = distances[:, k - 1], distances[:, k]
        there = np.isfinite(following)
        crowded = np.flatnonzero(there & (np.where(there, following, 0.0) <= slack[0] + (1 + slack[1]) * np.where(there, kth, 0.0)))

    def blocks() -> Iterator[tuple[NDArray[np.intp], Floats]]:
        names = None if groups is None else np.asarray(groups, dtype=str)
        for part, block in distance_blocks(asked[crowded], known, metric):
            rows = crowded[part]
            if queries is None:
                block[np.arange(len(rows)), rows] = np.inf
            if names is not None:
                block[names[rows, None] == names] = np.inf
            yield rows, block

    return Neighbourhoods(indices[:, :k], distances[:, :k], crowded, blocks, slack)


def neighbour_share(near: Neighbourhoods, condition: ArrayLike) -> Floats:
    """The share of each window's neighbours that meet a condition: float64[m], NaN for a window without neighbours.

    Parameters
    ----------
    near
        Of m queries among n vectors.
    condition
        bool[n], one a vector.
    """
    holds = np.asarray(condition, dtype=bool)
    there = near.indices >= 0
    shares = ratio((holds[near.indices] & there).sum(axis=1), there.sum(axis=1))
    for rows, chances, _ in near.chances():
        shares[rows] = chances @ holds / near.indices.shape[1]
    return shares


def label_purity(near: Neighbourhoods, labels: ArrayLike) -> Floats:
    """The share of each window's neighbours that have its label.

    Parameters
    ----------
    near
        Of n windows among themselves.
    labels
        int[n]; a window with a negative label is no one's neighbour and has no purity.

    Returns
    -------
    float64[n]; NaN where a window has no label or no neighbour.
    """
    codes = np.asarray(labels)
    there = (near.indices >= 0) & (codes[near.indices] >= 0)
    same = there & (codes[near.indices] == codes[:, None])
    purity = ratio(same.sum(axis=1), there.sum(axis=1))
    for rows, chances, _ in near.chances():
        chances[:, codes < 0] = 0.0
        purity[rows] = ratio((chances * (codes == codes[rows, None])).sum(axis=1), chances.sum(axis=1))
    return np.where(codes >= 0, purity, np.nan)


def class_counts(near: Neighbourhoods, membership: ArrayLike) -> ClassCounts:
    """How many neighbours of each query have each of the classes of `membership`, bool[n, K], and how far these are."""
    from scipy.sparse import csr_array

    member = np.asarray(membership, dtype=np.float64)
    there = near.indices >= 0
    shape = (len(near.indices), len(member))
    places = (np.nonzero(there)[0], near.indices[there])
    counts = csr_array((np.ones(len(places[0])), places), shape=shape) @ member
    distances = csr_array((near.distances[there], places), shape=shape) @ member
    for rows, chances, block in near.chances():
        counts[rows] = chances @ member
        distances[rows] = (chances * np.where(chances > 0, block, 0.0)) @ member
    return ClassCounts(counts, distances)
