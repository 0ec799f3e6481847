"""Clusters around centres: k-means and Gaussian mixtures."""

import numpy as np
from numpy.typing import NDArray

from callspace.evaluation.clustering.found import Found, Given, NotClusteredError
from callspace.evaluation.clustering.number import by_bic, by_silhouette
from callspace.metrics.weights import Floats

__all__ = ["gmm", "gmm_of_own_number", "kmeans", "kmeans_of_own_number", "mixture"]

#: Starts of each of the two halves.
_STARTS = 5


def kmeans(given: Given) -> Found:
    """Lloyd's algorithm from ten k-means++ starts, the best kept.

    The ten are two lots of five: the best of the other lot is what five other starts would have given, at no cost, and says how stable
    the clusters are.
    """
    from sklearn.cluster import KMeans

    seeds = np.random.SeedSequence(given.seed).generate_state(2)
    lots = [KMeans(n_clusters=given.k, n_init=_STARTS, max_iter=300, random_state=int(seed)).fit(given.points) for seed in seeds]
    best, other = sorted(lots, key=lambda lot: lot.inertia_)
    return Found(best.labels_, again=other.labels_)


def kmeans_of_own_number(given: Given) -> Found:
    """k-means into the number of clusters whose silhouette is largest."""
    from sklearn.cluster import KMeans

    def labelled(sample: Floats, k: int):
        return KMeans(n_clusters=k, n_init=3, max_iter=100, random_state=given.seed).fit_predict(sample)

    k, notes = by_silhouette(given.points, labelled, given.seed)
    found = kmeans(Given(given.points, k, given.seed, given.neighbours))
    return Found(found.clusters, notes, found.again)


def gmm(given: Given) -> Found:
    """A Gaussian mixture, its windows given to the likeliest component."""
    points = _scaled(given.points)
    return Found(_components(points, given.k, given.seed))


def gmm_of_own_number(given: Given) -> Found:
    """A Gaussian mixture of as many components as the Bayesian information criterion likes best."""
    points = _scaled(given.points)

    def criterion(sample: Floats, k: int) -> float:
        try:
            return float(mixture(sample, k, given.seed).fit(sample).bic(sample))
        except ValueError:
            return np.inf  # no mixture of so many

    k, notes = by_bic(points, criterion, given.seed)
    return Found(_components(points, k, given.seed), notes)


def mixture(points: Floats, k: int, seed: int):
    """scikit-learn's mixture: full covariances up to 10 dimensions, diagonal ones above, which is what few windows can determine."""
    from sklearn.mixture import GaussianMixture

    kind = "full" if points.shape[1] <= 10 else "diag"
    return GaussianMixture(k, covariance_type=kind, reg_covar=1e-6, max_iter=300, random_state=seed)


def _components(points: Floats, k: int, seed: int) -> NDArray:
    """The likeliest component of each point.

    Raises
    ------
    NotClusteredError
        With scikit-learn's reason, where it finds no mixture.
    """
    try:
        return mixture(points, k, seed).fit_predict(points)
    except ValueError as error:
        reason = str(error).strip().split(". ")[0].rstrip(".")
        raise NotClusteredError(f"no mixture of {k} components was found: {reason[:1].lower()}{reason[1:]}.") from error


def _scaled(points: Floats) -> Floats:
    """Points of mean 0 and unit mean variance.

    The regularisation of covariances is made for such, and scikit-learn's diagonal ones, the mean square less the square of the mean, would be
    lost in rounding where the mean is large.
    """
    centred = points - points.mean(axis=0)
    return centred / np.sqrt(max(float(centred.var(axis=0).mean()), np.finfo(float).tiny))
