"""What intervals say together: estimates told from a reference beyond chance, and a verdict on a claim about several of them.

An estimate is beyond chance where its own 95 % interval leaves out the reference and its p-value, adjusted by Holm's procedure over all
estimates that a claim rests on (S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6,
1979), is at most 0.05. Where a run gives an interval and no p, the p is that of a normal distribution with such an interval; of a score
from 0 to 1 against a reference inside, on the logit scale, where its interval is about even, and from the side that faces the reference, so
that p and interval agree.

A claim about several networks is supported where at least half of its estimates are beyond chance in its direction and none in the other;
contradicted, the other way round; undecided otherwise: where some point one way and some the other (mixed), or too few are beyond chance.
When nothing is true but chance, at most one claim in twenty is marked, however many estimates it rests on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

from callspace.metrics.multiple import LEVEL, holm

__all__ = ["CONTRADICTED", "SUPPORTED", "UNDECIDED", "Decided", "Estimate", "Mark", "combine", "decide"]

Mark = Literal["supported", "contradicted", "undecided"]
SUPPORTED: Mark = "supported"
CONTRADICTED: Mark = "contradicted"
UNDECIDED: Mark = "undecided"


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval and two-sided p-value, where it has them; `what` says of what, in plain JSON values.

    `freedom` are the degrees of freedom of the interval; infinite where its standard error is known.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None = None
    what: dict[str, Any] = field(default_factory=dict)
    freedom: float = math.inf

    @property
    def error(self) -> float | None:
        """The standard error that the interval amounts to."""
        return None if self.low is None or self.high is None else (self.high - self.low) / (2 * _half_width(self.freedom))

    def minus(self, other: Estimate, what: dict[str, Any]) -> Estimate:
        """The difference as of independent estimates: too wide an interval, where both were judged on the same windows."""
        value = self.value - other.value
        if self.error is None or other.error is None:
            return Estimate(value, None, None, None, what)
        freedom = _welch((self.error, self.freedom), (other.error, other.freedom))
        reach = _half_width(freedom) * math.hypot(self.error, other.error)
        return Estimate(value, value - reach, value + reach, None, what, freedom)

    def flipped(self) -> Estimate:
        """The same the other way round."""
        return replace(self, value=-self.value, low=_negative(self.high), high=_negative(self.low))

    def below(self, reference: float, what: dict[str, Any]) -> Estimate:
        """How far it lies below a number."""
        low, high = (None if end is None else reference - end for end in (self.high, self.low))
        return Estimate(reference - self.value, low, high, None, what, self.freedom)


@dataclass(frozen=True)
class Decided:
    """An estimate, its p-value against the reference, adjusted, and its sign: 1 above, -1 below beyond chance, else 0."""

    estimate: Estimate
    p_holm: float | None
    sign: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        own = self.estimate
        return own.what | {"value": own.value, "ci_low": own.low, "ci_high": own.high, "p_holm": self.p_holm, "sign": self.sign}


@lru_cache
def _half_width(freedom: float) -> float:
    """Half a 95 % interval in standard errors."""
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


def _welch(*parts: tuple[float, float]) -> float:
    """The degrees of freedom of a difference, from the standard error and the degrees of freedom of each side."""
    spread = sum(error**4 / freedom for error, freedom in parts)
    return float(sum(error**2 for error, _ in parts) ** 2 / spread) if spread > 0 else math.inf


def _negative(end: float | None) -> float | None:
    return None if end is None else -end


def decide(estimates: Sequence[Estimate], reference: float = 0.0) -> list[Decided]:
    """Which estimates are told from a reference beyond chance, together.

    Parameters
    ----------
    estimates : sequence of Estimate
        All that one claim rests on; their own p-values count only against 0. One without an interval tells nothing.
    reference : float
    """
    adjusted = holm([_p(one, reference) for one in estimates])
    return [Decided(one, p, _sign(one, reference, p)) for one, p in zip(estimates, adjusted, strict=True)]


def _p(one: Estimate, reference: float) -> float | None:
    if one.error is None:
        return None
    if one.p is not None and reference == 0:
        return one.p
    value, low, high = one.value, one.low, one.high
    assert low is not None and high is not None  # or there is no error
    if 0 < reference < 1 and 0 <= low <= value <= high <= 1:
        value, low, high, reference = (_logit(number) for number in (value, low, high, reference))
    off, side = (value - reference, value - low) if value >= reference else (reference - value, high - value)
    if side <= 0:
        return float(off == 0)
    from scipy.stats import t

    return float(2 * t.sf(off / side * _half_width(one.freedom), one.freedom))


def _logit(share: float) -> float:
    """The log odds; at most those of one in ten thousand, since 0 and 1 have none."""
    share = min(max(share, 1e-4), 1 - 1e-4)
    return math.log(share / (1 - share))


def _sign(one: Estimate, reference: float, p_holm: float | None) -> int:
    if p_holm is None or p_holm > LEVEL or one.low is None or one.high is None:
        return 0
    return 1 if one.low > reference else -1 if one.high < reference else 0


def combine(signs: Sequence[int]) -> tuple[Mark, bool]:
    """The verdict on a claim that all signs are 1, and whether they are mixed: some 1, some -1."""
    up, down = (sum(sign == way for sign in signs) for way in (1, -1))
    if up and down:
        return UNDECIDED, True
    if up and 2 * up >= len(signs):
        return SUPPORTED, False
    if down and 2 * down >= len(signs):
        return CONTRADICTED, False
    return UNDECIDED, False
