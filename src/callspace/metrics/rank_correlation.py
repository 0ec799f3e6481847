"""Spearman's rank correlation of few pairs, with what can honestly be said of its certainty.

C. Spearman, "The Proof and Measurement of Association between Two Things", American Journal of Psychology 15, 1904. A matrix of encoders and
datasets has tens of cells, so that p-values come from permutations (all of them where there are few) and intervals from the bootstrap.

Overall, cells of easy and hard datasets lie apart, and any two scores correlate for that alone; `within_groups` asks in each dataset by itself
and averages.

Conventions
-----------
x, y   : float[n], finite
groups : n hashable values, one a pair
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callspace.metrics.weights import Floats

__all__ = ["FEWEST", "Correlation", "rank_correlation", "within_groups"]

#: Fewer pairs have no rank correlation worth a number.
FEWEST = 3

#: Fewer pairs have no interval: drawn anew, four cells are perfectly ordered often enough to make it say nothing, or far too much.
_FEWEST_FOR_INTERVAL = 10
_PERMUTATIONS = 9_999
_REPLICATES = 2_000


@dataclass(frozen=True)
class Correlation:
    """A rank correlation.

    Attributes
    ----------
    rho : float
        From -1 to 1; the mean over groups, where it is within them.
    ci_low, ci_high : float | None
        95 % percentile bootstrap over the pairs (within groups: over the pairs of each); None for fewer than ten pairs in all.
    p : float
        Two-sided, by permutation.
    exact : bool
        Whether all permutations were counted.
    n : int
        Pairs.
    groups : int
        Groups that were averaged over; 1 overall.
    """

    rho: float
    ci_low: float | None
    ci_high: float | None
    p: float
    exact: bool
    n: int
    groups: int = 1


def rank_correlation(x: ArrayLike, y: ArrayLike, seed: int = 0) -> Correlation | None:
    """Spearman's rho of two scores over all pairs; None for fewer than three pairs, or where one of the two does not vary.

    Examples
    --------
    >>> rank_correlation([1, 2, 3, 4], [2, 3, 5, 9]).rho
    1.0
    """
    return within_groups(x, y, [0] * len(np.atleast_1d(np.asarray(x))), seed)


def within_groups(x: ArrayLike, y: ArrayLike, groups: Sequence[Hashable], seed: int = 0) -> Correlation | None:
    """The mean over groups of Spearman's rho within each; groups of fewer than three pairs, or in which one does not vary, are left out.

    Permutations are within groups: what a dataset does to both scores alike stays.
    """
    parts = [
        (own_x, own_y)
        for own_x, own_y in _grouped(np.asarray(x, dtype=float), np.asarray(y, dtype=float), groups)
        if len(own_x) >= FEWEST and len(set(own_x.tolist())) > 1 and len(set(own_y.tolist())) > 1
    ]
    if not parts:
        return None
    rng = np.random.default_rng(seed)
    ranked = [(_standard_ranks(own_x), _standard_ranks(own_y)) for own_x, own_y in parts]
    rho = float(np.mean([a @ b for a, b in ranked]))
    p, exact = _permuted(ranked, rho, rng)
    n = sum(len(a) for a, _ in parts)
    low, high = _interval(parts, rng) if n >= _FEWEST_FOR_INTERVAL else (None, None)
    return Correlation(_bounded(rho), low, high, p, exact, n, len(parts))


def _bounded(rho: float) -> float:
    """Without what rounding adds: from -1 to 1, and no negative zero."""
    return max(-1.0, min(1.0, round(rho, 12))) + 0.0


def _grouped(x: Floats, y: Floats, groups: Sequence[Hashable]) -> list[tuple[Floats, Floats]]:
    if not len(x) == len(y) == len(groups):
        raise ValueError(f"x, y and groups must be of one length, not {len(x)}, {len(y)} and {len(groups)}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("x and y must be finite")
    places: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        places.setdefault(group, []).append(place)
    return [(x[own], y[own]) for own in places.values()]


def _standard_ranks(values: Floats) -> Floats:
    """Average ranks with zero mean and unit norm along the last axis: the product of two such is Spearman's rho. NaN where nothing varies."""
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=-1)
    ranks = ranks - ranks.mean(axis=-1, keepdims=True)
    norm = np.sqrt((ranks**2).sum(axis=-1, keepdims=True))
    return np.divide(ranks, norm, out=np.full_like(ranks, np.nan), where=norm > 0)


def _permuted(ranked: list[tuple[Floats, Floats]], rho: float, rng: np.random.Generator) -> tuple[float, bool]:
    """The share of permutations at least as far from 0, and whether all were counted; of drawn ones, the found order is one more."""
    count = math.prod(math.factorial(len(a)) for a, _ in ranked)
    tolerance = 1e-9
    if len(ranked) == 1 and count <= _PERMUTATIONS:
        from itertools import permutations

        a, b = ranked[0]
        found = b[np.array(list(permutations(range(len(b)))))] @ a
        return float(np.mean(np.abs(found) >= abs(rho) - tolerance)), True
    drawn = np.zeros(_PERMUTATIONS)
    for a, b in ranked:
        drawn += rng.permuted(np.tile(b, (_PERMUTATIONS, 1)), axis=1) @ a
    return float((1 + np.sum(np.abs(drawn / len(ranked)) >= abs(rho) - tolerance)) / (1 + _PERMUTATIONS)), False


def _interval(parts: list[tuple[Floats, Floats]], rng: np.random.Generator) -> tuple[float | None, float | None]:
    sums, defined = np.zeros(_REPLICATES), np.zeros(_REPLICATES)
    for x, y in parts:
        drawn: NDArray[np.intp] = rng.integers(len(x), size=(_REPLICATES, len(x)))
        found = (_standard_ranks(x[drawn]) * _standard_ranks(y[drawn])).sum(axis=1)
        sums += np.nan_to_num(found)
        defined += ~np.isnan(found)
    kept = defined > 0
    if kept.mean() < 0.5:
        return None, None
    low, high = np.percentile(sums[kept] / defined[kept], [2.5, 97.5])
    return _bounded(float(low)), _bounded(float(high))
