"""Principal components, exact and with signs that don't depend on the machine.

They come from the eigenvectors of a product of the windows with themselves, whose rounding hides what varies less than about a millionth as much
as the largest component; where such are wanted, from a singular value decomposition, which is slower and sees to about 1e-13.
"""

import numpy as np

from callspace.metrics.weights import Floats

__all__ = ["principal_components"]

_SURE = 1e-9  # of the largest variance: far above what is left of it by rounding


def principal_components(points: Floats, n_components: int) -> Floats:
    """The first principal components, float64[n, n_components], the largest loading of each positive; zeros where there are no more."""
    centred = points - points.mean(axis=0)
    loadings, variances = _by_products(centred, n_components)
    if variances.min(initial=np.inf) <= _SURE * variances.max(initial=0.0):
        loadings = _by_singular_values(centred, n_components)
    loadings = loadings * np.where(loadings[np.abs(loadings).argmax(axis=0), np.arange(loadings.shape[1])] < 0, -1.0, 1.0)
    components = np.zeros((len(points), n_components))
    components[:, : loadings.shape[1]] = centred @ loadings
    return components


def _by_products(centred: Floats, n_components: int) -> tuple[Floats, Floats]:
    """Loadings float64[d, components] and summed squares along them, the largest first."""
    if centred.shape[1] <= len(centred):
        values, vectors = np.linalg.eigh(centred.T @ centred)
        return vectors[:, ::-1][:, :n_components], values[::-1][:n_components]
    values, vectors = np.linalg.eigh(centred @ centred.T)
    kept = values[::-1][:n_components]
    scale = np.sqrt(np.maximum(kept, 0))
    scaled = np.divide(vectors[:, ::-1][:, :n_components], scale, out=np.zeros((len(centred), len(kept))), where=scale > 0)
    return centred.T @ scaled, kept


def _by_singular_values(centred: Floats, n_components: int) -> Floats:
    """Loadings float64[d, components], zeros for directions without variance."""
    n, d = centred.shape
    # The triangle of a QR decomposition has the same singular values and loadings, and is small where windows are many.
    _, singular, rows = np.linalg.svd(np.linalg.qr(centred, mode="r") if n > d else centred, full_matrices=False)
    rows[singular <= np.finfo(float).eps * max(n, d) * singular[0]] = 0.0
    return rows[:n_components].T
