"""Is a nuisance tied to the label?

*How much it tells*: the label told from the nuisance alone, fitted on train and scored on test: the likeliest class of each value, classes
counting alike; ties are guesses, so that a nuisance that says nothing scores 1 / K exactly. *Whether that is chance*: the mutual information
of nuisance and label over both splits together (which takes all groups, where test alone may have a dozen), against what it comes to when whole
groups (recordings, sites) swap their nuisance within their split: windows of a group are not independent, and a test that swaps windows would
find every recorder tied to every label. Where the nuisance varies within groups, a group gets the sequence of another, stretched or thinned to
its own length. Permutations stop once 20 have done as well (J. Besag and P. Clifford, Biometrika 78, 1991), so that data without a tie cost little.

*Whether chance could be ruled out at all*: with few groups, or few that differ, even the strongest tie comes about by swapping now and then. The least p
that could be attained is the share of arrangements (999 permutations at least, and one that lays the groups sorted by value beside those sorted by class)
that are as informative as the most informative of them. After 199 the rest are spared where one is further above all others than they are apart.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from callspace.metrics.weights import Floats

__all__ = ["PERMUTATIONS", "Tie", "tie"]

PERMUTATIONS = 4_999
#: Of the least p that could be attained; and how many show that it is far less than one in so many.
_FOR_LEAST, _PLAIN = 999, 199
_ENOUGH = 20
_ROUNDING = 1e-9

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Tie:
    """How the label is told from a nuisance.

    Attributes
    ----------
    score, credit
        The balanced accuracy of the label told from the nuisance, and each test window's credit in it.
    p, permutations
        The p of the tie, and of how many permutations.
    least_p
        The p that the strongest tie would have that these groups could show.
    """

    score: float
    credit: Floats
    p: float
    permutations: int
    least_p: float


def tie(
    train: tuple[Codes, Codes, Codes],
    test: tuple[Codes, Codes, Codes],
    n_values: int,
    n_classes: int,
    *,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> Tie:
    """Tell the label from the nuisance, and test the tie.

    Parameters
    ----------
    train, test
        Values of the nuisance, classes and groups of the windows of each, int[n] from 0; not empty.
    n_values, n_classes
        How many values and classes there are.
    seed, permutations
        Of the permutations, and at most how many.

    Returns
    -------
    A `Tie`; its p is (1 + those that did as well) / (1 + all), or 20 / L where 20 of the first L did.
    """
    rng = np.random.default_rng(seed)
    said = _said(_table(train[0], train[1], n_values, n_classes))
    credit = said[test[0], test[1]]
    present = np.unique(test[1])
    score = float(np.mean([credit[test[1] == code].mean() for code in present]))
    dealers = [_Dealer(*split, n_values, n_classes) for split in (train, test)]
    observed = _information(_table(train[0], train[1], n_values, n_classes) + _table(test[0], test[1], n_values, n_classes))
    drawn: list[float] = []
    as_good = 0
    while len(drawn) < permutations and as_good < _ENOUGH:
        drawn.append(_information(dealers[0].shuffled(rng) + dealers[1].shuffled(rng)))
        as_good += drawn[-1] >= observed - _ROUNDING
    done = len(drawn)
    p = as_good / done if as_good == _ENOUGH else (1 + as_good) / (1 + done)
    strongest = max(observed, _information(dealers[0].sorted() + dealers[1].sorted()))
    while len(drawn) < min(_FOR_LEAST, permutations) and not (len(drawn) >= _PLAIN and strongest > 2 * max(drawn) - min(drawn) + _ROUNDING):
        drawn.append(_information(dealers[0].shuffled(rng) + dealers[1].shuffled(rng)))
    every = np.array([strongest, *drawn])
    best = int((every >= every.max() - _ROUNDING).sum())
    least_p = best / len(every) if best > 1 else 1 / (1 + max(len(drawn), min(_FOR_LEAST, permutations)))
    return Tie(score, credit, p, done, least_p)


def _table(values: Codes, classes: Codes, n_values: int, n_classes: int) -> Floats:
    """float64[values, classes]: how many windows have both."""
    counts = np.bincount(values * n_classes + classes, minlength=n_values * n_classes)
    return counts.reshape(n_values, n_classes).astype(np.float64)


def _said(counts: Floats) -> Floats:
    """float64[values, classes]: the share of a guess that each class gets where the nuisance has each value."""
    totals = counts.sum(axis=0)
    likelihood = counts / np.maximum(totals, 1)
    # A class that train does not have is never said.
    best = np.isclose(likelihood, likelihood.max(axis=1, keepdims=True), rtol=1e-9, atol=0) & (totals > 0)
    return best / np.maximum(best.sum(axis=1, keepdims=True), 1)


def _information(counts: Floats) -> float:
    """The mutual information of rows and columns, in nats a window."""
    from scipy.special import xlogy

    total = counts.sum()
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    return float((xlogy(counts, counts).sum() - xlogy(rows, rows).sum() - xlogy(columns, columns).sum()) / total + np.log(total))


class _Dealer:
    """Deals the groups' values of one split anew, and counts values and classes."""

    def __init__(self, values: Codes, classes: Codes, groups: Codes, n_values: int, n_classes: int) -> None:
        order = np.argsort(groups, kind="stable")
        _, self.starts, self.sizes = np.unique(groups[order], return_index=True, return_counts=True)
        self.values, self.classes, self.shape = values[order], classes[order], (n_values, n_classes)
        self.group = np.repeat(np.arange(len(self.sizes)), self.sizes)
        self.place = (np.arange(len(values)) - self.starts[self.group]) / self.sizes[self.group]
        self.of_group = self.values[self.starts]
        self.constant = bool((self.of_group[self.group] == self.values).all())
        # One value a group: what is dealt are the rows of its classes.
        self.by_group = _table(self.group, self.classes, len(self.sizes), n_classes) if self.constant else None

    def shuffled(self, rng: np.random.Generator) -> Floats:
        """float64[values, classes] where each group has the values of a random one."""
        return self._counts(rng.permutation(len(self.sizes)))

    def sorted(self) -> Floats:
        """The same where groups sorted by their commonest class have the values of groups sorted by their commonest value."""
        by_class, by_value = (
            np.argsort(_table(self.group, codes, len(self.sizes), n).argmax(axis=1), kind="stable")
            for codes, n in ((self.classes, self.shape[1]), (self.values, self.shape[0]))
        )
        dealt = np.empty_like(by_class)
        dealt[by_class] = by_value
        return self._counts(dealt)

    def _counts(self, dealt: Codes) -> Floats:
        if self.by_group is not None:
            counts = np.zeros(self.shape)
            np.add.at(counts, self.of_group[dealt], self.by_group)
            return counts
        partner = dealt[self.group]
        taken = self.starts[partner] + (self.place * self.sizes[partner]).astype(np.intp)
        return _table(self.values[taken], self.classes, *self.shape)
