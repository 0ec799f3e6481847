"""Clusterings by name: each takes vectors, a number of clusters and a seed, and gives a cluster a window.

- ``kmeans``: Lloyd's algorithm from 10 k-means++ starts, the best kept.
- ``gmm``: a Gaussian mixture, of full covariances up to 10 dimensions and diagonal ones above, which is what the windows of a
  class can determine.
- ``ward``: agglomerative, by least growth of variance (J. H. Ward, 1963); no seed.
"""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callspace.errors import CallspaceError
from callspace.metrics.distances import validate_vectors
from callspace.metrics.weights import Floats

__all__ = ["CLUSTERERS", "cluster"]


def _kmeans(points: Floats, k: int, seed: int) -> NDArray:
    from sklearn.cluster import KMeans

    return KMeans(n_clusters=k, n_init=10, max_iter=300, random_state=seed).fit_predict(points)


def _gmm(points: Floats, k: int, seed: int) -> NDArray:
    from sklearn.mixture import GaussianMixture

    kind = "full" if points.shape[1] <= 10 else "diag"
    scale = max(float(points.var(axis=0).mean()), np.finfo(float).tiny)
    return GaussianMixture(k, covariance_type=kind, reg_covar=1e-6, max_iter=300, random_state=seed).fit_predict(points / np.sqrt(scale))


def _ward(points: Floats, k: int, seed: int) -> NDArray:
    from sklearn.cluster import AgglomerativeClustering

    return AgglomerativeClustering(k, linkage="ward").fit_predict(points)


#: Name -> function; a new clustering is one line here.
CLUSTERERS: dict[str, Callable[[Floats, int, int], NDArray]] = {"kmeans": _kmeans, "gmm": _gmm, "ward": _ward}


def cluster(name: str, vectors: ArrayLike, k: int, seed: int = 0) -> tuple[NDArray[np.int32], list[str]]:
    """Cluster vectors.

    Parameters
    ----------
    name
        One of `CLUSTERERS`.
    vectors
        float[n, d], n at least 1.
    k
        Number of clusters; lowered to the number of distinct vectors where there are fewer.
    seed
        Of the starts.

    Returns
    -------
    int32[n], from 0, and what is to be said of it.
    """
    if name not in CLUSTERERS:
        raise CallspaceError(f"unknown clustering {name!r}: choose one of {', '.join(CLUSTERERS)}")
    points = validate_vectors(vectors)
    distinct = min(len(np.unique(points, axis=0)), len(points))
    possible = min(k, distinct)
    notes = [] if possible == k else [f"{possible} clusters instead of {k}: only so many windows differ."]
    if possible < 2:
        return np.zeros(len(points), dtype=np.int32), notes
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        found = CLUSTERERS[name](points, possible, seed)
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        notes.append("it did not converge within its iterations.")
    return found.astype(np.int32), notes
