"""How many clusters there are, estimated.

From 2 to 12 every number is tried, then each a quarter larger, to 300 or a fifth of the windows; then the numbers half-way between the best and
those next to it, until no number is left between them. Both criteria look at a seeded sample of at most 2,000 windows, which shows the clusters
that have a few windows in it, and of more than 50 dimensions at the first 50 principal components.

- `by_silhouette`: the largest mean silhouette (P. J. Rousseeuw, 1987).
- `by_bic`: the smallest Bayesian information criterion of a mixture (G. Schwarz, 1978); larger numbers are no longer tried once five in a row
  have not bettered it.

Neither can find that there is one cluster only.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from callspace.evaluation.clustering.found import NotClusteredError
from callspace.evaluation.spaces import principal_components
from callspace.metrics.silhouettes import silhouettes
from callspace.metrics.weights import Floats

__all__ = ["SAMPLE", "by_bic", "by_silhouette", "numbers_tried"]

#: The most windows the estimate looks at.
SAMPLE = 2_000
_EACH, _GROWTH, _MOST = 12, 1.25, 300
_DIMENSIONS = 50
_PATIENCE = 5


def numbers_tried(n: int, distinct: int) -> list[int]:
    """The numbers of clusters to try first for a sample of n windows, `distinct` of them different: at least 2."""
    most = max(2, min(_MOST, n // 5, distinct, n - 1))
    found = list(range(2, min(_EACH, most) + 1))
    while (following := max(found[-1] + 1, int(found[-1] * _GROWTH))) <= most:
        found.append(following)
    return found if found[-1] == most else [*found, most]


def by_silhouette(points: Floats, labelled: Callable[[Floats, int], NDArray], seed: int) -> tuple[int, list[str]]:
    """The number of clusters whose mean silhouette is largest, the smallest of equal ones, and what is to be said of it.

    Parameters
    ----------
    points
        float64[n, d].
    labelled
        From the sample and a number of clusters to clusters int[sample].
    seed
        Of the sample.
    """
    sample, first = _sample(points, seed)

    def measured(numbers: Sequence[int]) -> dict[int, float]:
        values = silhouettes(sample, [labelled(sample, k) for k in numbers])
        return {k: _mean(value) for k, value in zip(numbers, values, strict=True)}

    found = _refined(measured(first), measured)
    return _best(found), _said("the largest silhouette", found, sample, points)


def by_bic(points: Floats, criterion: Callable[[Floats, int], float], seed: int) -> tuple[int, list[str]]:
    """The number of components whose BIC is smallest, and what is to be said of it; parameters as in `by_silhouette`.

    Raises
    ------
    NotClusteredError
        The criterion is infinite for every number tried.
    """
    sample, first = _sample(points, seed)
    found: dict[int, float] = {}
    for k in first:
        found[k] = -criterion(sample, k)
        if first.index(k) - first.index(_best(found)) >= _PATIENCE:
            break
    found = _refined(found, lambda numbers: {k: -criterion(sample, k) for k in numbers})
    if max(found.values()) == -np.inf:
        raise NotClusteredError("no mixture of any number of components was found.")
    return _best(found), _said("the smallest BIC", found, sample, points)


def _refined(found: dict[int, float], measured: Callable[[Sequence[int]], dict[int, float]]) -> dict[int, float]:
    """The values with those of more numbers, half-way between the best and the next tried on either side, until none is left between."""
    while True:
        tried, best = sorted(found), _best(found)
        at = tried.index(best)
        halves = [(best + other) // 2 for other in (*tried[at - 1 : at], *tried[at + 1 : at + 2])]
        if not (new := [k for k in halves if k not in found]):
            return found
        found = found | measured(new)


def _best(found: dict[int, float]) -> int:
    """The number of largest value, the smallest of equals."""
    return max(sorted(found), key=found.__getitem__)


def _mean(values: Floats) -> float:
    return -1.0 if np.isnan(values).all() else float(np.nanmean(values))


def _sample(points: Floats, seed: int) -> tuple[Floats, list[int]]:
    n = len(points)
    sample = points if n <= SAMPLE else points[np.sort(np.random.default_rng(seed).choice(n, size=SAMPLE, replace=False))]
    if sample.shape[1] > _DIMENSIONS:
        sample = principal_components(sample, _DIMENSIONS)
    return sample, numbers_tried(len(sample), len(np.unique(sample, axis=0)))


def _said(best: str, tried: dict[int, float], sample: Floats, points: Floats) -> list[str]:
    low, high = min(tried), max(tried)
    every = len(tried) == high - low + 1
    how = f"from {low} to {high}" if every else f"of {len(tried)} tried from {low} to {high}, ever closer around the best"
    among = "" if len(sample) == len(points) else f", on a sample of {len(sample)} windows"
    return [f"the number of clusters is the one of {best}, {how}{among}."]
