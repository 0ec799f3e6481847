"""Weights, one a window, in one or many replicates: what all metrics share.

Conventions: ``weights=None`` is a weight of 1 each; shape (n,) gives one answer; shape (R, n) gives R answers, one a row.
Inside, a metric works on float64[n, r] (replicates in columns, so that gathering windows copies whole rows) for a chunk of r
replicates at a time, which bounds the memory whatever R is.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callspace.errors import CallspaceError

__all__ = ["Floats", "Value", "mean_defined", "over_replicates", "ratio", "validate_weights", "value", "weighted_mean"]

Floats = NDArray[np.float64]
#: A float for one set of weights, float64[R] for R of them.
Value = float | Floats

_CHUNK_CELLS = 4_000_000


def validate_weights(weights: ArrayLike | None, n: int) -> NDArray:
    """Weights as an array of shape (R, n), R = 1 where one set or none is given.

    Raises
    ------
    CallspaceError
        Where the shape does not fit n windows, or a weight is negative, NaN or infinite.
    """
    if weights is None:
        return np.ones((1, n))
    array = np.asarray(weights)
    if array.ndim not in (1, 2) or array.shape[-1] != n:
        raise CallspaceError(f"weights have shape {array.shape}, but there are {n} windows: give ({n},) or (replicates, {n})")
    if array.size and not (np.isfinite(array).all() and array.min() >= 0):
        raise CallspaceError("weights must be finite and not negative")
    return np.atleast_2d(array)


def over_replicates(compute: Callable[[Floats], Floats], weights: ArrayLike | None, n: int, cells_per_replicate: int = 0) -> Floats:
    """Run `compute` on chunks of replicates and put its answers together.

    Parameters
    ----------
    compute
        From float64[n, r] to float64[..., r].
    weights
        None, shape (n,) or (R, n).
    n
        Number of windows.
    cells_per_replicate
        The largest number of values `compute` holds for one replicate beside its weights; bounds the chunk.

    Returns
    -------
    float64[...] for one set of weights, float64[R, ...] for R.
    """
    rows = validate_weights(weights, n)
    chunk = max(1, _CHUNK_CELLS // max(1, n, cells_per_replicate))
    starts = range(0, max(len(rows), 1), chunk)
    parts = [compute(np.ascontiguousarray(rows[at : at + chunk].T, dtype=np.float64)) for at in starts]
    together = np.moveaxis(np.concatenate(parts, axis=-1), -1, 0)
    return together if weights is not None and np.ndim(weights) == 2 else together[0]


def value(result: Floats) -> Value:
    """A float for a single answer, the array for many."""
    return float(result) if np.ndim(result) == 0 else result


def mean_defined(values: Floats, axis: int = -1) -> Floats:
    """The mean over `axis` of what is not NaN; NaN where nothing is."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=axis)
    return ratio(np.where(defined, values, 0.0).sum(axis=axis), count)


def ratio(numerator: ArrayLike, denominator: ArrayLike, otherwise: float = np.nan) -> Floats:
    """`numerator` / `denominator`, and `otherwise` where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, otherwise), where=denominator != 0)


def weighted_mean(values: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """The weighted mean of one value a window; windows whose value is NaN count for nothing.

    Parameters
    ----------
    values
        float[n].
    weights
        None, shape (n,) or (R, n).

    Returns
    -------
    A float, or float64[R]; NaN where no window with a value has any weight.
    """
    array = np.asarray(values, dtype=np.float64)
    defined = ~np.isnan(array)
    kept = array[defined]
    rows = validate_weights(weights, len(array))[:, defined].astype(np.float64)
    means = ratio(rows @ kept, rows.sum(axis=1))
    return means if weights is not None and np.ndim(weights) == 2 else float(means[0])
