"""Scores averaged over folds and seeds, and differences between two such averages, with intervals.

Each part (the predictions of one fold and seed) is resampled over its groups. Parts with the same groups (the seeds of a fold, two
encoders on the same windows) are drawn alike, so that what they share cancels in a difference; parts with other groups are drawn
independently. A replicate of the average is the average of the parts' replicates.

The interval is for other groups like these with the networks as trained: the spread between seeds is shown beside it, not in it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from callspace.errors import CallspaceError
from callspace.evaluation.scores import Key, bounded, replicated
from callspace.metrics.bootstrap import interval
from callspace.metrics.weights import Floats, mean_defined

__all__ = ["Average", "Difference", "average", "difference"]


class Average(NamedTuple):
    """The mean of a score over parts; ``n_groups`` is that of the part with the fewest."""

    value: float
    replicates: Floats
    n_parts: int
    n_groups: int
    metric: str = ""

    def interval(self, level: float = 0.95) -> tuple[float | None, float | None]:
        """(low, high), or (None, None) where there is none."""
        return bounded(interval(self.replicates, level, self.n_groups), self.metric)


class Difference(NamedTuple):
    """One average less another, with its interval and a two-sided bootstrap p-value; None where there is no interval."""

    value: float
    ci_low: float | None
    ci_high: float | None
    p: float | None


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
    n_groups = [len(set(part.column("group").to_pylist())) for part in parts]
    results = {}
    for key in dict.fromkeys(key for part in scored for key in part):
        having = [at for at, part in enumerate(scored) if key in part]
        replicates = mean_defined(np.stack([scored[at][key].replicates for at in having]), axis=0)
        value = float(np.mean([scored[at][key].value for at in having]))
        results[key] = Average(value, replicates, len(having), min(n_groups[at] for at in having), key.metric)
    return results


def difference(a: Average, b: Average, level: float = 0.95) -> Difference:
    """`a` less `b`.

    The interval is the percentile interval of the differences of the replicates, paired where the two have the same groups. The p
    is twice the smaller share of differences on either side of 0, ends counted in (B. Efron and R. Tibshirani, "An Introduction to
    the Bootstrap", 1993, section 15.4, turned two-sided).

    Raises
    ------
    CallspaceError
        Where the two have different numbers of replicates.
    """
    if len(a.replicates) != len(b.replicates):
        raise CallspaceError(f"averages of {len(a.replicates)} and {len(b.replicates)} replicates can't be compared: use the same number")
    differences = a.replicates - b.replicates
    ends = interval(differences, level, min(a.n_groups, b.n_groups))
    if ends is None:
        return Difference(a.value - b.value, None, None, None)
    defined = differences[~np.isnan(differences)]
    side = min((defined <= 0).sum(), (defined >= 0).sum())
    return Difference(a.value - b.value, *ends, min(1.0, 2 * float(side + 1) / (len(defined) + 1)))
