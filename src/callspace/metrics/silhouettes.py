"""Silhouettes: how much nearer a window lies to its own set than to the nearest other one (P. J. Rousseeuw, 1987).

Conventions: vectors are float[n, d], Euclidean distance; labels int[n], and a negative label leaves its window out. The value of a
window is (b - a) / max(a, b), from -1 to 1, with a the mean distance to the others of its set and b the smallest mean distance to
another set; 0 for a set of one, as in scikit-learn. It is not defined (NaN) where there is one set only, or every window is its own.

Exact and blocked up to `LIMIT` windows; above it, measured on a seeded sample of so many, the rest NaN.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callspace.errors import CallspaceError
from callspace.metrics.distances import distance_blocks, validate_vectors
from callspace.metrics.weights import Floats, ratio

__all__ = ["LIMIT", "silhouettes", "validate_labellings"]

#: The most windows whose silhouettes are measured exactly: time and work grow with the square.
LIMIT = 20_000


def validate_labellings(labellings: Sequence[ArrayLike], n: int) -> list[NDArray[np.intp]]:
    """Each labelling as int[n]."""
    arrays = [np.asarray(labels) for labels in labellings]
    for array in arrays:
        if array.shape != (n,) or array.dtype.kind not in "iu":
            raise CallspaceError(f"labels must be {n} whole numbers, one a vector, not {array.dtype} of shape {array.shape}")
    return [array.astype(np.intp) for array in arrays]


def silhouettes(vectors: ArrayLike, labellings: Sequence[ArrayLike], *, limit: int = LIMIT, seed: int = 0) -> list[Floats]:
    """The silhouette of each window under each of several labellings, from one pass over the distances.

    Parameters
    ----------
    vectors
        float[n, d].
    labellings
        Each int[n]; negative for a window to leave out.
    limit
        Above so many windows a seeded sample of `limit` is measured, and the other windows are NaN.
    seed
        Of the sample.

    Returns
    -------
    float64[n] for each labelling.

    Raises
    ------
    CallspaceError
        Where shapes don't fit, or a vector holds NaN or infinity.
    """
    points = validate_vectors(vectors)
    n = len(points)
    sets = validate_labellings(labellings, n)
    if n <= limit:
        return _exact(points, sets)
    sample = np.sort(np.random.default_rng(seed).choice(n, size=limit, replace=False))
    results = []
    for measured in _exact(points[sample], [labels[sample] for labels in sets]):
        everywhere = np.full(n, np.nan)
        everywhere[sample] = measured
        results.append(everywhere)
    return results


def _exact(points: Floats, sets: list[NDArray[np.intp]]) -> list[Floats]:
    n = len(points)
    members = [_membership(labels) for labels in sets]
    results = [np.full(n, np.nan) for _ in sets]
    wanted = [at for at, (sizes, _) in enumerate(members) if 2 <= len(sizes) < sizes.sum()]
    if not wanted:
        return results
    for rows, distances in distance_blocks(points, points):
        distances[np.arange(len(distances)), np.arange(rows.start, rows.stop)] = 0.0
        for at in wanted:
            sizes, matrix = members[at]
            results[at][rows] = _values((matrix.T @ distances.T).T, sizes, _compact(sets[at])[rows])
    return results


def _compact(labels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Labels renumbered from 0 without gaps; -1 for those left out."""
    codes = np.full(len(labels), -1)
    kept = labels >= 0
    codes[kept] = np.unique(labels[kept], return_inverse=True)[1]
    return codes


def _membership(labels: NDArray[np.intp]):
    """The size of each set, and the sparse matrix (windows, sets) of what belongs where."""
    from scipy.sparse import csr_array

    codes = _compact(labels)
    kept = np.flatnonzero(codes >= 0)
    sizes = np.bincount(codes[kept])
    return sizes, csr_array((np.ones(len(kept)), (kept, codes[kept])), shape=(len(labels), len(sizes)))


def _values(sums: Floats, sizes: NDArray[np.intp], codes: NDArray[np.intp]) -> Floats:
    """Silhouettes of a block, from its summed distances to each set, float64[rows, sets]."""
    values = np.full(len(codes), np.nan)
    kept = np.flatnonzero(codes >= 0)
    own, sums = codes[kept], sums[kept]
    here = np.arange(len(kept))
    within = ratio(sums[here, own], sizes[own] - 1, otherwise=0.0)
    means = sums / sizes
    means[here, own] = np.inf
    nearest = means.min(axis=1)
    inside = ratio(nearest - within, np.maximum(nearest, within), otherwise=0.0)
    values[kept] = np.where(sizes[own] > 1, inside, 0.0)
    return values
