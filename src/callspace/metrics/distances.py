"""Distances between all vectors, a block of rows at a time: exact, in float64, in bounded memory.

Euclidean distances come from matrix products of the centred vectors. What is left of the distance between two equal vectors by
rounding is set to 0, so that duplicates are duplicates. The centre is the mean; where a few vectors are so large that they drag it far away
from all others, whose distances would be lost in rounding, it is the median. Cosine distances are 1 - the cosine, and a vector of zeros is at distance
1 from everything.
"""

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from callspace.errors import CallspaceError
from callspace.metrics.weights import Floats

__all__ = ["Metric", "distance_blocks", "validate_vectors"]

Metric = Literal["euclidean", "cosine"]

_BLOCK_CELLS = 4_000_000
_ROUNDING = 1e-13  # of the squared norms: a few hundred products of float64, below what float32 vectors can tell apart
_SAMPLE = 500  # about so many vectors show where the median lies
_FAR = 10.0  # from the median to the mean, in median distances from the median: more than any but a few huge vectors cause


def validate_vectors(vectors: ArrayLike, name: str = "vectors") -> Floats:
    """Vectors as float64[n, d].

    Raises
    ------
    CallspaceError
        Where they are not two-dimensional, or hold NaN or infinity.
    """
    array = np.asarray(vectors, dtype=np.float64)
    if array.ndim != 2:
        raise CallspaceError(f"{name} must have shape (windows, dimensions), not {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise CallspaceError(f"{len(bad)} of {len(array)} {name} hold NaN or infinity, the first at row {bad[0]}: leave those windows out")
    return array


def distance_blocks(queries: Floats, reference: Floats, metric: Metric = "euclidean") -> Iterator[tuple[slice, Floats]]:
    """Distances from each of `queries` to each of `reference`.

    Parameters
    ----------
    queries, reference
        float64[m, d] and float64[n, d].
    metric
        ``"euclidean"`` or ``"cosine"``.

    Yields
    ------
    The rows of a block as a slice of 0..m, and its distances, float64[rows, n], which the caller may overwrite.
    """
    if metric not in get_args(Metric):
        raise CallspaceError(f"unknown distance {metric!r}: choose one of {', '.join(get_args(Metric))}")
    rows = max(1, _BLOCK_CELLS // max(1, len(reference)))
    if metric == "cosine":
        a, b = _unit(queries), _unit(reference)
        for at in range(0, len(a), rows):
            yield slice(at, min(at + rows, len(a))), np.clip(1.0 - a[at : at + rows] @ b.T, 0.0, 2.0)
        return
    centre = _centre(reference)
    b = reference - centre
    a = b if queries is reference else queries - centre  # a copy less of what may be large
    a_squared, b_squared = np.einsum("ij,ij->i", a, a), np.einsum("ij,ij->i", b, b)
    for at in range(0, len(a), rows):
        sums = a_squared[at : at + rows, None] + b_squared
        squared = a[at : at + rows] @ b.T
        squared *= -2.0
        squared += sums
        sums *= _ROUNDING
        squared[squared <= sums] = 0.0
        yield slice(at, min(at + rows, len(a))), np.sqrt(squared, out=squared)


def _centre(vectors: Floats) -> Floats:
    """float64[d]: the mean, or the median of a sample where the mean lies far from most."""
    if not len(vectors):
        return np.zeros(vectors.shape[1])
    mean = vectors.mean(axis=0)
    sample = vectors[:: max(1, len(vectors) // _SAMPLE)]
    median = np.median(sample, axis=0)
    spread = np.median(np.linalg.norm(sample - median, axis=1))
    return mean if np.linalg.norm(mean - median) <= _FAR * spread else median


def _unit(vectors: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
