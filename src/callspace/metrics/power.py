"""The smallest difference that a test set of this size would show: "no difference" is told from "too little data" by it.

From the spread of the groups' influences on the difference that was found, by the noncentral t distribution: the difference that a two-sided
test at `alpha` finds with a chance of `power` (J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd ed. 1988, chapter 2). The
spread is that of these two things on these groups; two that are more alike are told apart by a smaller difference.
"""

from functools import lru_cache

import numpy as np

from callspace.metrics.multiple import LEVEL
from callspace.metrics.sign_flips import N_FLIPS, ROUNDING, smallest_p

__all__ = ["can_show", "detectable", "flips_for"]

#: With more degrees of freedom the noncentral t is a normal distribution to three digits, and SciPy's overflows somewhere beyond.
_MANY = 300


def flips_for(n_comparisons: int) -> int:
    """How many sign flips give p-values small enough for this many comparisons: the smallest, adjusted, is half the level."""
    return max(N_FLIPS, int(2 * n_comparisons / LEVEL))


def can_show(n_groups: int, n_comparisons: int = 1) -> bool:
    """Whether sign flips of this many groups could show any difference at all, adjusted for this many comparisons by Holm.

    Examples
    --------
    >>> can_show(8, 3), can_show(8, 19)
    (True, False)
    """
    return smallest_p(n_groups, flips_for(n_comparisons)) <= LEVEL / max(n_comparisons, 1)


def detectable(
    error: float, n_groups: int, *, freedom: int | None = None, alpha: float = LEVEL, power: float = 0.8, n_flips: int = N_FLIPS
) -> float | None:
    """The smallest difference that would be found beyond chance with this chance.

    Parameters
    ----------
    error
        The standard error of the difference (`callspace.metrics.jackknife.standard_error`).
    n_groups
        How many groups it was estimated from.
    freedom
        The degrees of freedom of the error; one less than groups where it is not given.
    alpha
        Of the test: for one of several comparisons, the level over their number (the first step of `callspace.metrics.multiple.holm`).
    power
        The chance.
    n_flips
        That the test draws.

    Returns
    -------
    None where the error is unknown, or 0 but for rounding (two things that never differ say nothing of the size of a difference), or where sign flips of so
    few groups can give no p as small as `alpha`, so that no difference would be shown.

    Examples
    --------
    >>> round(detectable(0.01, 40), 4)
    0.0287
    """
    if not np.isfinite(error) or error <= ROUNDING or smallest_p(n_groups, n_flips) > alpha:
        return None
    return error * _standard_errors(n_groups - 1 if freedom is None else freedom, alpha, power)


@lru_cache(maxsize=256)
def _standard_errors(freedom: int, alpha: float, power: float) -> float:
    """How many standard errors a difference must be away from 0."""
    from scipy.optimize import brentq
    from scipy.stats import nct, norm, t

    critical = float(t.ppf(1 - alpha / 2, freedom))
    if freedom > _MANY:
        return critical + float(norm.ppf(power))
    # A find in the wrong direction does not count.
    return float(brentq(lambda away: float(nct.sf(critical, freedom, away)) - power, 0.1, critical + 4))
