"""Intervals of scores, of their differences, and of repetitions with other seeds.

From bootstrap replicates over groups (`callspace.metrics.bootstrap`), two ways:

- ``t``: the estimate plus and minus Student's t, with one degree of freedom less than groups, times its standard error. (An average over folds of other
  groups has one less for each fold.) The error of a difference is the standard deviation of its replicates, scaled by the root of groups over degrees
  of freedom because G groups drawn from G vary too little. The error of a score is
  the mean of that and of the jackknife's (`callspace.metrics.jackknife`): where a class lives in few groups, a replicate that draws none of them
  leaves the class out, so that the bootstrap's is too small, while the jackknife's is too large (B. Efron and C. Stein, "The jackknife estimate of
  variance", Annals of Statistics 9, 1981). For a score from 0 to 1 this is done on its logit (the delta method), so that an interval near 1 is
  longer downward, as it should be, and stays within the range (A. Agresti, "Categorical Data Analysis", 3rd ed. 2013, section 3.1).
- ``percentile``: quantiles of the replicates (B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13), a little further out than
  their names say, as Student's t and the same root ask (the expanded percentile interval: T. Hesterberg, "What Teachers Should Know About the
  Bootstrap", The American Statistician 69, 2015): with 20 groups the quantiles of 1.6 and 98.4 %, with 200 those of 2.4 and 97.6 %.

Which is used depends on the number of groups alone. Differences, whose replicates lie about evenly around them, have ``percentile`` from
`DIFFERENCE_PERCENTILE_FROM` groups (a fold) on, and ``t`` below. Scores have it from `PERCENTILE_FROM` on: with tens of groups percentiles, and BCa's, cover
too seldom the scores near 1 and those that are biased in small samples (mAP, F1, whose replicates are biased once more), and with 200 still less often
than ``t``.
benchmarks/interval_coverage.py measures how often what is used covers the truth.

A score or difference that is the same in every replicate (no group has an error; no group tells the two apart) gets ``exact``: were more than a share
r of all groups unlike these, G without one would be less likely than 2.5 %, with (1 - r)^G = 0.025. So the interval reaches r to each side, within the
range; for a score of 0 or 1 it is Clopper and Pearson's for G groups without an error.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from callspace.metrics.bootstrap import enough, interval
from callspace.metrics.weights import Floats

__all__ = ["DIFFERENCE_PERCENTILE_FROM", "PERCENTILE_FROM", "Interval", "difference_interval", "score_interval", "seed_interval"]

#: From this many groups (a fold) intervals of scores are percentile intervals.
PERCENTILE_FROM = 1_000
#: The same of differences.
DIFFERENCE_PERCENTILE_FROM = 20
#: Replicates that differ by no more are the same but for rounding.
_ROUNDING = 1e-12


class Interval(NamedTuple):
    """Its ends, and how they were found: ``"t"``, ``"percentile"`` or ``"exact"``."""

    low: float
    high: float
    method: str


def score_interval(
    value: float,
    replicates: ArrayLike,
    n_groups: int,
    level: float = 0.95,
    *,
    freedom: int | None = None,
    error: float | None = None,
    lowest: float = 0.0,
    highest: float = 1.0,
) -> Interval | None:
    """The interval of a score.

    Parameters
    ----------
    value
        The score.
    replicates
        float64[R], of the bootstrap over groups; NaN where the score was not defined.
    n_groups
        How many groups were resampled, in all folds together.
    level
        Nominal coverage.
    freedom
        The degrees of freedom: `n_groups` less the number of folds; less 1 where it is not given.
    error
        The jackknife's standard error; the bootstrap's alone is used where it is not known (None or NaN).
    lowest, highest
        The range of the score; the interval is cut to it. The logit is taken of scores from 0 to 1 only.

    Returns
    -------
    None where there are too few groups (degrees of freedom) or defined replicates (`callspace.metrics.bootstrap.enough`).
    """
    from scipy.special import expit, logit

    freedom = n_groups - 1 if freedom is None else freedom
    defined = enough(replicates, freedom + 1)
    if defined is None or not np.isfinite(value):
        return None
    if highest == 1 and _constant(defined):
        reach = _reach(n_groups, level)
        return Interval(*_cut(value - reach, value + reach, lowest, highest), "exact")
    if _many(n_groups, freedom, PERCENTILE_FROM):
        return Interval(*_cut(*_percentile(defined, n_groups, freedom, level), lowest, highest), "percentile")
    half = _half(defined, n_groups, freedom, level, error)
    if (lowest, highest) == (0.0, 1.0) and lowest < value < highest:
        reach = half / (value * (1 - value))
        return Interval(float(expit(logit(value) - reach)), float(expit(logit(value) + reach)), "t")
    return Interval(*_cut(value - half, value + half, lowest, highest), "t")


def difference_interval(
    value: float, replicates: ArrayLike, n_groups: int, level: float = 0.95, *, freedom: int | None = None
) -> Interval | None:
    """The interval of a difference of two scores from 0 to 1, of replicates that are paired; parameters and None as in `score_interval`.

    That two perfect readers agree on six groups does not say that they would on others: their interval is the exact one, not [0, 0].
    """
    freedom = n_groups - 1 if freedom is None else freedom
    defined = enough(replicates, freedom + 1)
    if defined is None or not np.isfinite(value):
        return None
    if _constant(defined):
        reach = _reach(n_groups, level)
        return Interval(value - reach, value + reach, "exact")
    if _many(n_groups, freedom, DIFFERENCE_PERCENTILE_FROM):
        return Interval(*_percentile(defined, n_groups, freedom, level), "percentile")
    half = _half(defined, n_groups, freedom, level)
    return Interval(value - half, value + half, "t")


def seed_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """The t interval of the mean over seeds, for networks fitted again with other seeds on the same data.

    Parameters
    ----------
    values
        The score with each seed; NaN is left out.
    level
        Nominal coverage.

    Returns
    -------
    (low, high), not cut to any range; None for fewer than two values.

    Examples
    --------
    >>> low, high = seed_interval([0.80, 0.82, 0.84])
    >>> round(low, 3), round(high, 3)
    (0.77, 0.87)
    """
    from scipy.stats import t

    kept = np.asarray([value for value in values if not np.isnan(value)], dtype=np.float64)
    if len(kept) < 2:
        return None
    half = float(t.ppf((1 + level) / 2, len(kept) - 1) * kept.std(ddof=1) / np.sqrt(len(kept)))
    return float(kept.mean()) - half, float(kept.mean()) + half


def _constant(defined: Floats) -> bool:
    return bool(np.ptp(defined) <= _ROUNDING)


def _reach(n_groups: int, level: float) -> float:
    """The share of groups unlike those seen that so many groups would have shown."""
    return float(1 - ((1 - level) / 2) ** (1 / n_groups))


def _many(n_groups: int, freedom: int, enough_groups: int) -> bool:
    """Whether a fold has enough groups for percentiles: those of few groups vary too little, however many folds there are."""
    return n_groups >= enough_groups * max(n_groups - freedom, 1)


def _percentile(defined: Floats, n_groups: int, freedom: int, level: float) -> tuple[float, float]:
    """The expanded percentile interval."""
    from scipy.stats import norm, t

    outside = float(norm.sf(np.sqrt(n_groups / freedom) * t.ppf((1 + level) / 2, freedom)))
    ends = interval(defined, 1 - 2 * outside)
    assert ends is not None  # there are enough
    return ends


def _half(defined: Floats, n_groups: int, freedom: int, level: float, error: float | None = None) -> float:
    """Half of a t interval."""
    from scipy.stats import t

    bootstrapped = float(defined.std() * np.sqrt(n_groups / freedom))
    used = bootstrapped if error is None or not np.isfinite(error) else (bootstrapped + error) / 2
    return float(t.ppf((1 + level) / 2, freedom)) * used


def _cut(low: float, high: float, lowest: float, highest: float) -> tuple[float, float]:
    return min(max(low, lowest), highest), min(max(high, lowest), highest)
