"""Whether two things that were measured on the same groups differ: the sign-flip permutation test over groups.

Were there no difference between a and b, swapping the two within any one group would change nothing but the sign of what that group
contributes to the difference. So the difference is compared with what it is when every group's sign is drawn anew (R. A. Fisher, "The
Design of Experiments", 1935, section 21; P. Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses", 3rd ed. 2005, section 3.7;
for clustered data, A. M. Winkler et al., "Multi-level block permutation", NeuroImage 123, 2015). Windows of one group are never torn apart.

What a group contributes, for a score that is a mean over windows, is its share of the mean, and the test is exact. For any other score
(mAP, AUROC, F1, NMI) it is the group's jackknife contribution (`callspace.metrics.jackknife.contributions`), and the test holds as far as
the score is smooth in its groups: benchmarks/interval_coverage.py measures how often it rejects where there is no difference.

Conventions: contributions are float[G], or float[G, C] for C comparisons over the same groups, which then share the draws.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callspace.errors import CallspaceError
from callspace.metrics.weights import Floats

__all__ = ["N_FLIPS", "ROUNDING", "sign_flip_p", "smallest_p"]

#: Flips that are drawn where not all can be counted.
N_FLIPS = 10_000
#: Sums that differ by no more than this share of their largest possible size are equal: rounding must not part ties.
_TOLERANCE = 1e-9
#: What contributes no more than this to a score from 0 to 1 contributes nothing: scores computed in another order differ by some 1e-16.
ROUNDING = 1e-12
_CHUNK = 2_000


def sign_flip_p(contributions: ArrayLike, n_flips: int = N_FLIPS, seed: int = 0) -> Floats:
    """The two-sided p of each comparison: the share of flips whose sum is at least as far from 0 as the sum that was found.

    All flips are counted where there are no more than `n_flips` of them up to the sign of the whole (14 groups for 10,000); groups that
    contribute nothing to a comparison double every count alike, and are not counted as groups. Else `n_flips` are drawn, and the flip that
    was found is one more (B. Phipson and G. K. Smyth, "Permutation p-values should never be zero", 2010).

    Parameters
    ----------
    contributions
        float[G] or float[G, C], to scores from 0 to 1, so that what is within `ROUNDING` of 0 is 0; NaN where a group's is not defined.
    n_flips
        How many are drawn.
    seed
        Of the draw.

    Returns
    -------
    float64[C] (C = 1 for float[G]): NaN for a comparison with a contribution that is NaN, 1 where all are 0.

    Raises
    ------
    CallspaceError
        Where the shape is another, a value is infinite, or no flips are asked for.

    Examples
    --------
    >>> sign_flip_p([1.0, 2.0, 3.0]).tolist()
    [0.25]
    """
    table = np.asarray(contributions, dtype=np.float64)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or np.isinf(table).any():
        raise CallspaceError(f"contributions must be finite, one a group, not of shape {table.shape}")
    if n_flips < 1:
        raise CallspaceError(f"{n_flips} sign flips were asked for: at least 1 is needed")
    table = np.where(np.abs(table) <= ROUNDING, 0.0, table)
    found = np.full(table.shape[1], np.nan)
    defined = ~np.isnan(table).any(axis=0)
    counted = (table != 0).sum(axis=0)
    drawn = defined & (counted - 1 > math.log2(n_flips))
    for at in np.flatnonzero(defined & ~drawn):
        found[at] = _counted(table[table[:, at] != 0, at])
    if drawn.any():
        found[drawn] = _drawn(table[:, drawn], n_flips, seed)
    return found


def smallest_p(n_groups: int, n_flips: int = N_FLIPS) -> float:
    """The smallest p that this many groups can give: with five, two of 32 flips are as far out as any, so that nothing is ever below 0.06."""
    if n_groups < 1:
        return 1.0
    return 2.0 ** (1 - n_groups) if n_groups - 1 <= math.log2(n_flips) else 1 / (n_flips + 1)


def _counted(values: Floats) -> float:
    """Of all flips; those of the other sign as a whole are as far out, so half of them say it all."""
    if not len(values):
        return 1.0
    sums = np.zeros(1)
    for value in values[1:]:
        sums = np.concatenate([sums - value, sums + value])
    return float(np.mean(_far(sums + values[0], values.sum(), np.abs(values).sum())))


def _drawn(table: Floats, n_flips: int, seed: int) -> Floats:
    found, scale = table.sum(axis=0), np.abs(table).sum(axis=0)
    count = np.zeros(table.shape[1])
    for start in range(0, n_flips, _CHUNK):
        signs = _signs(table.shape[0], start // _CHUNK, seed)[: n_flips - start]
        count += _far(signs @ table, found, scale).sum(axis=0)
    return (1 + count) / (1 + n_flips)


def _far(sums: Floats, found: Floats | float, scale: Floats | float) -> NDArray[np.bool_]:
    return np.abs(sums) >= np.abs(found) - _TOLERANCE * scale


@lru_cache(maxsize=16)
def _signs(n_groups: int, chunk: int, seed: int) -> Floats:
    """1 or -1, float64[flips, groups]; drawn by the chunk, so that more flips go on where fewer end."""
    generator = np.random.default_rng([seed, n_groups, chunk])
    bits = np.unpackbits(generator.integers(0, 256, (_CHUNK, math.ceil(n_groups / 8)), dtype=np.uint8), axis=1, count=n_groups)
    return 2 * bits.astype(np.float64) - 1
