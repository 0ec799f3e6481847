"""Scores averaged over folds and seeds, and differences between two such averages, with intervals and tests.

Each part (the predictions of one fold and seed) is resampled over its groups. Parts with the same groups (the seeds of a fold, two
encoders on the same windows) are drawn alike, so that what they share cancels in a difference; parts with other groups are drawn
independently. A replicate of the average is the average of the parts' replicates. Two averages are compared only where they are over the same
folds, each with the same share in both: folds are not equally hard, so that any other difference is one between folds as well.

Folds of one group (leave one site out) can't be resampled within: they are resampled together, as if each were a group of one set (collapsed strata:
W. G. Cochran, "Sampling Techniques", 3rd ed. 1977, section 5A.12). A single such fold beside larger ones leaves no interval. Degrees of freedom are
the groups of all folds, less one for each fold; the seeds of a fold share its groups.

What a group contributes to an average is the sum of what it contributes to the parts it is in, over the number of parts; a difference is
tested by flipping the signs of what its groups contribute to it (`callspace.metrics.sign_flips`).

The interval is for other groups like these with the networks as trained: the spread between seeds is shown beside it, not in it
(`callspace.metrics.intervals.seed_interval`).
"""

import hashlib
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from callspace.errors import CallspaceError
from callspace.evaluation.scores import Key, Replicated, interval_of, replicated
from callspace.metrics.bootstrap import group_weights
from callspace.metrics.intervals import Interval, difference_interval
from callspace.metrics.jackknife import contributions, influences, standard_error
from callspace.metrics.multiple import LEVEL
from callspace.metrics.power import detectable
from callspace.metrics.sign_flips import N_FLIPS, sign_flip_p
from callspace.metrics.weights import Floats, mean_defined, ratio
from callspace.threads import one_thread

__all__ = ["Average", "Difference", "average", "comparable", "difference", "differences"]


class Shared(NamedTuple):
    """Parts with the same groups: how many groups bear on the score, and what each (or each block) does to the average, float64[B].

    `bearing`, bool[B], says which bear on it.
    """

    n_groups: int
    contributions: Floats
    influences: Floats
    bearing: NDArray[np.bool_]


class Average(NamedTuple):
    """The mean of a score over parts; ``n_groups`` is that of all folds together, ``shared`` has the parts by a digest of their groups.

    ``folds`` says how many of the parts are of each fold, by the digest of its groups.
    """

    value: float
    replicates: Floats
    n_parts: int
    n_groups: int
    metric: str
    shared: dict[str, Shared]
    folds: Mapping[str, int]

    def interval(self, level: float = 0.95) -> Interval | None:
        """(low, high, method), or None where there is none."""
        return interval_of(self.value, self.replicates, self.n_groups, self.metric, level, freedom=self.freedom, error=_error(self.shared))

    @property
    def freedom(self) -> int:
        """Degrees of freedom: the groups of each fold less one; 0 where a fold has but one."""
        return _freedom(self.shared)


class Difference(NamedTuple):
    """One average less another.

    `p` is two-sided, by sign flips over groups; `detectable` the smallest difference that a test on these groups, adjusted for all that are compared
    with it, finds with a chance of 80 %; `n_groups` the groups of all folds together. What cannot be had is None: interval, p and `detectable` where the
    two are not averages over the same folds in the same shares.
    """

    value: float
    ci_low: float | None
    ci_high: float | None
    ci_method: str | None
    p: float | None
    detectable: float | None
    n_groups: int


def average(parts: Sequence[pa.Table], labels: Sequence[str], task: str, *, n_bootstrap: int = 1000, seed: int = 0) -> dict[Key, Average]:
    """The mean of every score over parts.

    Parameters
    ----------
    parts
        Predictions of each fold and seed.
    labels, task
        As in `callspace.evaluation.scores.score`.
    n_bootstrap, seed
        Of the bootstrap: the same for averages that are to be compared.

    Returns
    -------
    Key -> `Average`. A score that is missing from a part is averaged over the others (``n_parts`` says how many).
    """
    scored = [replicated(part, labels, task, n_bootstrap, seed) for part in parts]
    groups = [sorted(set(part.column("group").to_pylist())) for part in parts]
    digests = [hashlib.sha256("\x1f".join(names).encode()).hexdigest() for names in groups]
    results = {}
    for key in dict.fromkeys(key for part in scored for key in part):
        having = [at for at, part in enumerate(scored) if key in part]
        results[key] = _averaged([(digests[at], scored[at][key]) for at in having], key.metric, n_bootstrap, seed)
    return results


def _averaged(parts: Sequence[tuple[str, Replicated]], metric: str, n_bootstrap: int, seed: int) -> Average:
    value = float(np.mean([part.value for _, part in parts]))
    single = sorted({digest for digest, part in parts if part.n_groups == 1})
    alone = [(digest, part) for digest, part in parts if digest in single] if len(single) > 1 else []
    others = [(digest, part) for digest, part in parts if digest not in single] if alone else parts
    shared: dict[str, Shared] = {}
    for digest, part in others:
        own = _shared(part, 1 / len(parts))
        shared[digest] = _sum(shared[digest], own) if digest in shared else own
    drawn = np.zeros(n_bootstrap)
    if alone:
        whole = np.array(
            [[sum(part.value for name, part in alone if name == one), sum(name == one for name, _ in alone)] for one in single]
        )
        collapsed, drawn = _collapsed(single, *(whole.T / len(parts)), n_bootstrap=n_bootstrap, seed=seed)
        shared[hashlib.sha256("\x1f".join(single).encode()).hexdigest()] = collapsed
        drawn = _scaled(drawn, collapsed.contributions.sum(), len(single), shared)
    replicates = drawn
    if others:
        each = np.stack([_scaled(part.replicates, part.value, part.n_groups, shared) for _, part in others])
        replicates = drawn + mean_defined(each, axis=0) * (len(others) / len(parts))
    folds = Counter(digest for digest, _ in parts)
    return Average(value, replicates, len(parts), sum(part.n_groups for part in shared.values()), metric, shared, folds)


def _shared(of: Replicated, weight: float) -> Shared:
    moved, moving = (weight * measure(of.value, of.left_out, of.shares) for measure in (contributions, influences))
    return Shared(of.n_groups, moved, moving, of.shares > 0)


def _scaled(replicates: Floats, value: float, n_groups: int, shared: Mapping[str, Shared]) -> Floats:
    """The replicates, spread out as much more than those of folds of the mean size as G groups drawn from this fold's G vary too little.

    An interval scales the whole by the root of all groups over the degrees of freedom; where all folds are of one size that is right for each.
    """
    freedom = _freedom(shared)
    usual = sum(one.n_groups for one in shared.values()) / freedom if freedom else 1.0
    if n_groups < 2 or np.isclose(own := n_groups / (n_groups - 1), usual):
        return replicates
    return value + np.sqrt(own / usual) * (replicates - value)


def _collapsed(names: Sequence[str], sums: Floats, weights: Floats, *, n_bootstrap: int, seed: int) -> tuple[Shared, Floats]:
    """Folds of one group as the groups of one set, of their shares of the average and of their weights in it, float64[K]; and the set's replicates."""
    drawn = group_weights(names, n_bootstrap, seed)
    replicates = weights.sum() * ratio(drawn @ sums, drawn @ weights)
    shared = Shared(len(names), sums, sums - weights * sums.sum() / weights.sum(), np.ones(len(names), dtype=bool))
    return shared, replicates


def _sum(one: Shared, other: Shared, sign: float = 1.0) -> Shared:
    return Shared(
        max(one.n_groups, other.n_groups),
        one.contributions + sign * other.contributions,
        one.influences + sign * other.influences,
        one.bearing | other.bearing,
    )


def _freedom(shared: Mapping[str, Shared]) -> int:
    sizes = [part.n_groups for part in shared.values()]
    return sum(sizes) - len(sizes) if min(sizes, default=0) > 1 else 0


def difference(a: Average, b: Average, level: float = 0.95, *, n_flips: int = N_FLIPS, seed: int = 0) -> Difference:
    """`a` less `b`: `differences` of one pair."""
    return differences([(a, b)], level, n_flips=n_flips, seed=seed)[0]


def differences(
    pairs: Sequence[tuple[Average, Average]],
    level: float = 0.95,
    *,
    families: Sequence[Hashable] | None = None,
    n_flips: int = N_FLIPS,
    seed: int = 0,
) -> list[Difference]:
    """The first of each pair less the second.

    The interval is that of the differences of the replicates, which are paired. Pairs over the same groups are tested with the same flips. Two that
    are not over the same folds in the same shares are not compared.

    Parameters
    ----------
    pairs
        Averages of the same number of replicates.
    level
        Nominal coverage of the intervals.
    families
        One a pair: the p-values of pairs with the same one will be adjusted together (`callspace.metrics.multiple.holm`), and `detectable` is that of a
        test at the level over their number. Where they are not given, each is tested alone.
    n_flips, seed
        Of the test.

    Raises
    ------
    CallspaceError
        Where two have different numbers of replicates.
    """
    for a, b in pairs:
        if len(a.replicates) != len(b.replicates):
            raise CallspaceError(
                f"averages of {len(a.replicates)} and {len(b.replicates)} replicates can't be compared: use the same number"
            )
    apart = [_apart(a, b) for a, b in pairs]
    together: dict[tuple[str, ...], list[int]] = {}
    for at, own in enumerate(apart):
        if comparable(*pairs[at]):
            together.setdefault(tuple(own), []).append(at)
    p = np.full(len(pairs), np.nan)
    with one_thread():
        for members in together.values():
            columns = [np.concatenate([part.contributions for part in apart[at].values()]) for at in members]
            p[members] = sign_flip_p(np.stack(columns, axis=1), n_flips, seed)
    ends = [_interval(a, b, level) if comparable(a, b) else None for a, b in pairs]
    p[[found is None for found in ends]] = np.nan
    named = range(len(pairs)) if families is None else families
    tested = Counter(name for name, own in zip(named, p, strict=True) if not np.isnan(own))
    return [
        _difference(a.value - b.value, own, between, float(found), alpha=LEVEL / max(tested[name], 1), n_flips=n_flips)
        for (a, b), own, between, found, name in zip(pairs, apart, ends, p, named, strict=True)
    ]


def comparable(a: Average, b: Average) -> bool:
    """Whether two averages are over the same folds, each with the same share in both."""
    same = set(a.folds) == set(b.folds) and set(a.shared) == set(b.shared)
    return same and all(a.folds[fold] * b.n_parts == b.folds[fold] * a.n_parts for fold in a.folds)


def _apart(a: Average, b: Average) -> dict[str, Shared]:
    """What each group does to the difference; groups that only one of the two has, where the two are not compared, do what they do to that one."""
    nothing = {
        digest: part._replace(contributions=0 * part.contributions, influences=0 * part.influences) for digest, part in a.shared.items()
    }
    nothing |= {
        digest: part._replace(contributions=0 * part.contributions, influences=0 * part.influences) for digest, part in b.shared.items()
    }
    return {digest: _sum(a.shared.get(digest, none), b.shared.get(digest, none), -1.0) for digest, none in sorted(nothing.items())}


def _interval(a: Average, b: Average, level: float) -> Interval | None:
    """Of `a` less `b`; where a fold has fewer groups that bear on one of the two, with the degrees of freedom of that one."""
    fewer = min(a, b, key=lambda one: one.freedom)
    return difference_interval(a.value - b.value, a.replicates - b.replicates, fewer.n_groups, level, freedom=fewer.freedom)


def _difference(value: float, apart: dict[str, Shared], ends: Interval | None, p: float, *, alpha: float, n_flips: int) -> Difference:
    n_groups = sum(part.n_groups for part in apart.values())
    if ends is None:
        return Difference(value, None, None, None, None, None, n_groups)
    if np.isnan(p):  # the score is not defined without some group
        return Difference(value, *ends, None, None, n_groups)
    least = detectable(_error(apart), n_groups, freedom=_freedom(apart), alpha=alpha, n_flips=n_flips)
    return Difference(value, *ends, p, least, n_groups)


def _error(shared: dict[str, Shared]) -> float:
    """The jackknife's standard error. Folds are other groups: their squared errors add up."""
    return float(np.sqrt(sum(standard_error(part.influences[part.bearing]) ** 2 for part in shared.values())))
