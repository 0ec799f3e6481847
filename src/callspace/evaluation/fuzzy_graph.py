"""UMAP's weighted neighbour graph, from an exact neighbour graph.

The fuzzy simplicial set of L. McInnes, J. Healy and J. Melville, "UMAP" (2018), algorithms 2 and 3, as umap-learn computes it
(``fuzzy_simplicial_set``), whose version takes four seconds to compile in every process and starts threads; this one is NumPy.
"""

import numpy as np
from numpy.typing import NDArray

from callspace.metrics.weights import Floats

__all__ = ["fuzzy_graph"]

_STEPS = 64  # of the bisection
_TOLERANCE = 1e-5
_SMALLEST_WIDTH = 1e-3  # of the mean distance


def fuzzy_graph(indices: NDArray[np.int64], distances: Floats):
    """Symmetric edge weights in (0, 1].

    Parameters
    ----------
    indices, distances
        int64[n, k - 1] and float64[n, k - 1], nearest first, without the window itself, which UMAP counts as the first of its k.

    Returns
    -------
    A sparse float32 matrix (n, n) in COO format.
    """
    from scipy.sparse import csr_array

    n, others = indices.shape
    width, nearest = _widths(distances)
    beyond = distances - nearest[:, None]
    strength = np.where(beyond > 0, np.exp(-np.maximum(beyond, 0) / width[:, None]), 1.0) if others else np.zeros((n, 0))
    rows = np.repeat(np.arange(n), others)
    directed = csr_array((strength.ravel(), (rows, indices.ravel())), shape=(n, n))
    both = directed.T.tocsr()
    union = directed + both - directed.multiply(both)
    union = union.astype(np.float32).tocoo()
    union.eliminate_zeros()
    return union


def _widths(distances: Floats) -> tuple[Floats, Floats]:
    """The scale of each window's neighbourhood, which makes its strengths sum to log2(k), and the distance to its nearest."""
    n, others = distances.shape
    apart = np.where(distances > 0, distances, np.inf).min(axis=1, initial=np.inf)
    nearest = np.where(np.isfinite(apart), apart, 0.0)
    beyond = np.maximum(distances - nearest[:, None], 0.0)
    target = np.log2(others + 1)
    low, high, width = np.zeros(n), np.full(n, np.inf), np.ones(n)
    open_ = np.ones(n, dtype=bool)
    for _ in range(_STEPS):
        total = np.exp(-beyond[open_] / width[open_, None]).sum(axis=1)
        at = np.flatnonzero(open_)
        done = np.abs(total - target) < _TOLERANCE
        wide = ~done & (total > target)
        narrow = ~done & ~wide
        high[at[wide]] = width[at[wide]]
        low[at[narrow]] = width[at[narrow]]
        moved = at[~done]
        width[moved] = np.where(np.isfinite(high[moved]), (low[moved] + high[moved]) / 2, width[moved] * 2)
        open_[at[done]] = False
        if not open_.any():
            break
    # umap-learn's means count the window itself, at distance 0.
    mean = np.where(nearest > 0, distances.sum(axis=1) / (others + 1), distances.sum() / (n * (others + 1)))
    return np.maximum(width, np.maximum(_SMALLEST_WIDTH * mean, np.finfo(np.float32).tiny)), nearest
