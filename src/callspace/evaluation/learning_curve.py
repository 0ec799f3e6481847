"""The learning curve: what a linear probe on a frozen embedding reaches with fewer labelled groups, and what more of them would bring.

Groups of the train split (recordings, sites) are added in several random orders, in each of which every subset holds the smaller ones; the
kinds of call keep about their shares on the way, as they would had less been labelled. At each size a logistic regression is fitted to the
subset's windows, its penalty chosen on valid, and scored on the whole test split: accuracy for clips, mAP for soundscapes.

How far the curve would have moved with other groups comes of the draws and of a bootstrap over the test groups, widened as Student's t widens
an interval of so few; the power law of `callspace.evaluation.power_law` carries it, with that uncertainty, to groups that are not there yet.

Conventions: vectors float[n, d]; labels bool[n, K] (one True a window in classification); sizes are numbers of train groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from callspace.adaptation.logistic import C_GRID, Link, regularisation_path, standardiser
from callspace.errors import CallspaceError
from callspace.evaluation.power_law import PowerLaw, fit_power_law
from callspace.metrics.bootstrap import MAX_MISSING, MIN_GROUPS, group_weights
from callspace.metrics.classification import accuracy
from callspace.metrics.ranking import mean_average_precision
from callspace.metrics.weights import Floats

__all__ = ["FEWEST_GROUPS", "FEWEST_TEST_GROUPS", "MULTIPLES", "LearningCurve", "Point", "learning_curve"]

#: With fewer train groups there is nothing to extrapolate from.
FEWEST_GROUPS = 8
#: With fewer test groups intervals of what is foreseen hold the truth too rarely (mAP of five: 84 % in simulations).
FEWEST_TEST_GROUPS = 8
#: How many times the labelled groups are looked ahead to.
MULTIPLES = (2, 4)

_SMALLEST = 2
#: Standard deviations of a normal distribution in half a 95 % interval.
_NORMAL = 1.959963984540054
#: Two sizes lie about this factor apart, over a factor of eight.
_STEP, _SPAN = np.sqrt(2.0), 8
#: More train windows are not fitted at a time: a random share of every group stands for it.
_MOST_WINDOWS = 6_000
_THINNED = f"Of more than {_MOST_WINDOWS:,} train windows, so many are fitted, evenly spread over each group's own."


@dataclass(frozen=True)
class Point:
    """The score with so many train groups: its mean over the draws, a 95 % interval for other train and test groups, and each draw's own.

    Without an interval where there are too few test groups.
    """

    groups: int
    windows: float
    value: float
    ci_low: float | None
    ci_high: float | None
    draws: list[float]


@dataclass(frozen=True)
class LearningCurve:
    """A learning curve.

    Attributes
    ----------
    metric : str
        "accuracy" or "map".
    points : list of Point
        By rising number of groups.
    groups, test_groups : int
        In the train and the test split.
    reason : str
        Why nothing can be said of more labels; empty where something can.
    notes : list of str
    covariance : float64[P, P]
        Of the points' values, had there been other train and test groups.
    seed : int
    """

    metric: str
    points: list[Point]
    groups: int
    test_groups: int
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    covariance: list[list[float]] = field(default_factory=list)
    seed: int = 0

    @cached_property
    def fit(self) -> PowerLaw | None:
        """The power law through the points; None where there are too few groups for one."""
        if self.reason:
            return None
        sizes, values = ([getattr(point, name) for point in self.points] for name in ("groups", "value"))
        return fit_power_law(sizes, values, self.covariance, seed=self.seed)

    def expected(self, multiple: float) -> tuple[float, float, float] | None:
        """The score with so many times the groups, and its 95 % interval; never above 1. None where it can't be said."""
        return None if self.fit is None else self.fit.summary(self.fit.score(multiple * self.groups))

    def gain(self, multiple: float) -> tuple[float, float, float] | None:
        """How much that would bring beyond the score with all groups, and its 95 % interval; at least 0. None where it can't be said."""
        return None if self.fit is None else self.fit.summary(self.fit.gain(multiple * self.groups))

    @property
    def unsaid(self) -> str:
        """Why nothing is said of more labels; empty where something is."""
        if self.reason or self.fit is not None:
            return self.reason
        return "No power law that ends at a score of 1 or below comes near the points."

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: the curve, the fitted law between and beyond the points, and what more groups would bring."""
        ahead = []
        for multiple in MULTIPLES if self.fit else ():
            score, gain = self.expected(multiple), self.gain(multiple)
            ahead.append({"multiple": multiple, "groups": multiple * self.groups, "score": _named(score), "gain": _named(gain)})
        law = self.fit
        return {
            "metric": self.metric,
            "groups": self.groups,
            "test_groups": self.test_groups,
            "points": [asdict(point) for point in self.points],
            "covariance": self.covariance,
            "seed": self.seed,
            "fit": None if law is None else {name: _named(law.summary(getattr(law, name))) for name in "abc"},
            "line": [] if law is None else [{"groups": n} | _named(law.summary(law.score(n))) for n in self._places()],
            "expected": ahead,
            "reason": self.unsaid,
            "notes": self.notes,
        }

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> LearningCurve:
        """What `to_json` gave."""
        kept = {name: about[name] for name in ("metric", "groups", "test_groups", "notes", "covariance", "seed")}
        return cls(points=[Point(**point) for point in about["points"]], reason="" if about["fit"] else about["reason"], **kept)

    def _places(self) -> list[float]:
        return [round(float(n), 3) for n in np.geomspace(self.points[0].groups, max(MULTIPLES) * self.groups, 25)]


def _named(found: tuple[float, float, float] | None) -> dict[str, float]:
    return {} if found is None else dict(zip(("value", "ci_low", "ci_high"), found, strict=True))


def learning_curve(
    vectors: ArrayLike,
    windows: pa.Table,
    labels: Sequence[str],
    task: str,
    *,
    draws: int = 8,
    seed: int = 0,
    n_bootstrap: int = 200,
    advance: Callable[[int], None] = lambda n: None,
) -> LearningCurve:
    """Measure a learning curve.

    Parameters
    ----------
    vectors : float[n, d]
        Of all windows, in their order.
    windows : pyarrow.Table
        Schema `callspace.tables.WINDOWS`.
    labels : sequence of str
        The vocabulary.
    task : str
        "classification" or "detection".
    draws : int
        Random orders of the train groups, at least 3.
    seed : int
        Of the orders and of the bootstrap.
    n_bootstrap : int
        Replicates.
    advance : callable
        Called with 1 after each fit.

    Returns
    -------
    LearningCurve
        Without points, and with a reason, where nothing can be measured; with points and a reason, where it can't be carried further.

    Raises
    ------
    CallspaceError
        Vectors that do not fit the windows, or are not finite.
    """
    features = np.asarray(vectors)
    if features.ndim != 2 or len(features) != windows.num_rows:
        raise CallspaceError(f"vectors have shape {features.shape}, but there are {windows.num_rows} windows: give one row a window")
    if not np.isfinite(features).all():
        raise CallspaceError("an embedding is not finite: embed those windows again before asking for a learning curve")
    if draws < 3:
        raise CallspaceError(f"a learning curve needs at least 3 draws, not {draws}")
    data = _Data.of(features, windows, labels, task)
    metric = "accuracy" if task == "classification" else "map"
    n_groups, n_test = len(set(data.groups["train"])), len(set(data.groups["test"]))
    if reason := _unmeasured(data, n_groups, n_test):
        return LearningCurve(metric, [], n_groups, n_test, reason, seed=seed)
    sizes = _sizes(n_groups)
    weights = group_weights(data.groups["test"].tolist(), n_bootstrap, seed)
    once = np.ones((1, weights.shape[1]), dtype=weights.dtype)
    scored: list[list[Floats]] = []
    counts: list[list[int]] = []
    for order in _orders(data, draws, seed):
        own, windows_of = [], []
        for size in sizes:
            if size == n_groups and scored:  # all groups are the same in every order
                own.append(scored[0][-1])
                windows_of.append(counts[0][-1])
                continue
            rows = np.flatnonzero(np.isin(data.groups["train"], order[:size]))
            own.append(data.score(rows, np.concatenate([once, weights])))
            windows_of.append(len(rows))
            advance(1)
        scored.append(own)
        counts.append(windows_of)
    return _curve(np.array(scored), np.array(counts), sizes, metric, n_groups, n_test, data.notes, seed)


def _unmeasured(data: _Data, n_groups: int, n_test: int) -> str:
    """Why there is no curve at all."""
    if n_groups < FEWEST_GROUPS:
        return f"Too few groups: the train split has {n_groups}, and fewer than {FEWEST_GROUPS} say nothing of more."
    if not n_test or not data.labels["test"].any():
        return "The test split has no labelled window to be scored on."
    if data.labels["train"].any(axis=0).sum() < (2 if data.link == "softmax" else 1):
        return "The train split has nothing to tell apart."
    return ""


def _sizes(n_groups: int) -> list[int]:
    """Numbers of groups, a factor of the root of 2 apart, down to an eighth; at least two groups."""
    steps = round(np.log(_SPAN) / np.log(_STEP))
    return sorted({size for step in range(steps + 1) if (size := round(n_groups / _STEP**step)) >= _SMALLEST})


def _curve(
    scored: Floats, counts: NDArray, sizes: list[int], metric: str, n_groups: int, n_test: int, notes: list[str], seed: int
) -> LearningCurve:
    """Points and their covariance from scores, float64[D, P, 1 + R], whose first replicate is the test split as it is."""
    n_draws, n_points, _ = scored.shape
    values, replicates = scored[:, :, 0], scored[:, :, 1:]
    defined = ~np.isnan(replicates).any(axis=(0, 1))
    means = values.mean(axis=0)
    if n_test < MIN_GROUPS or defined.mean() < 1 - MAX_MISSING:
        reason = f"Too few groups: with {n_test} in the test split, nothing can be said of how sure the curve is."
        points = [_point(sizes[p], counts[:, p], means[p], None, values[:, p]) for p in range(n_points)]
        return LearningCurve(metric, points, n_groups, n_test, reason, notes, seed=seed)
    tests = _of_test_groups(replicates[:, :, defined].mean(axis=0), n_test)
    among = np.cov(values, rowvar=False) / n_draws
    covariance = tests + among + _of_these_groups(values, np.array(sizes), n_groups)
    points = []
    for p in range(n_points):
        reach = _NORMAL * float(np.sqrt(covariance[p, p]))
        points.append(_point(sizes[p], counts[:, p], means[p], reach, values[:, p]))
    few = f"Too few groups: the test split has {n_test}, and fewer than {FEWEST_TEST_GROUPS} don't show how sure what is foreseen would be."
    reason = few if n_test < FEWEST_TEST_GROUPS else ""
    return LearningCurve(metric, points, n_groups, n_test, reason, notes, covariance.tolist(), seed)


def _of_test_groups(replicates: Floats, n_test: int) -> Floats:
    """The covariance that comes of having these test groups and not others, float64[P, P], from bootstrap replicates, float64[P, R].

    So few groups say little of how the points vary together: the correlations are drawn to their mean, the more the fewer groups there are for the
    points, or differences that happen to vary little would be taken for known (O. Ledoit and M. Wolf, "Honey, I Shrunk the Sample Covariance
    Matrix", Journal of Portfolio Management 30, 2004). The variances are as large as make an interval of a normal distribution that of Student's t.
    """
    from scipy.stats import t

    found = np.atleast_2d(np.cov(replicates)) * n_test / (n_test - 1)  # what a bootstrap of few units lacks of the variance
    n_points = len(found)
    deviations = np.sqrt(np.diag(found))
    scale = np.outer(deviations, deviations)
    apart = (scale > 0) & ~np.eye(n_points, dtype=bool)
    mean = float((found[apart] / scale[apart]).mean()) if apart.any() else 0.0
    alike = scale * np.where(np.eye(n_points, dtype=bool), 1.0, mean)
    weight = n_points / (n_points + n_test - 1)
    widened = (float(t.ppf(0.975, n_test - 1)) / _NORMAL) ** 2
    return np.asarray(widened * ((1 - weight) * found + weight * alike), dtype=np.float64)


def _of_these_groups(values: Floats, sizes: NDArray, n_groups: int) -> Floats:
    """The covariance that comes of having these train groups and not others, float64[P, P].

    Subsets of one set of groups are more alike than sets drawn anew: the variance among draws of m of G groups is (1 - m / G) of that
    among sets of m, and what is left, m / G of it, all draws share. It is smoothed over sizes, since each is of a few draws.
    """
    inner = sizes < n_groups
    shares = sizes / n_groups
    variance = values[:, inner].var(axis=0, ddof=1) / (1 - shares[inner])
    rate = float(np.mean(variance * sizes[inner]))  # a variance that falls as 1 / m
    shared = np.sqrt(rate / sizes * shares)
    return np.outer(shared, shared)


def _point(groups: int, windows: NDArray, value: float, reach: float | None, draws: Floats) -> Point:
    low, high = (None, None) if reach is None else (max(0.0, float(value) - reach), min(1.0, float(value) + reach))
    return Point(int(groups), float(windows.mean()), float(value), low, high, [float(own) for own in draws])


@dataclass(frozen=True)
class _Data:
    """Features, labels and groups by split, and how windows are scored."""

    features: dict[str, Floats]
    labels: dict[str, NDArray[np.bool_]]
    groups: dict[str, NDArray]
    link: Link
    notes: list[str]

    @classmethod
    def of(cls, features: NDArray, windows: pa.Table, labels: Sequence[str], task: str) -> _Data:
        split = np.asarray(windows["split"].to_pylist())
        names = np.asarray([str(group) for group in windows["group"].to_pylist()])
        place = {label: at for at, label in enumerate(labels)}
        truth = np.zeros((len(features), len(labels)), dtype=bool)
        for row, held in enumerate(windows["labels"].to_pylist()):
            truth[row, [place[label] for label in held if label in place]] = True
        if task == "classification":  # one class a window: what has none can't be scored
            split = np.where(truth.any(axis=1), split, "")
        rows = {name: np.flatnonzero(split == name) for name in ("train", "valid", "test")}
        return cls(
            {name: features[own].astype(np.float64) for name, own in rows.items()},
            {name: truth[own] for name, own in rows.items()},
            {name: names[own] for name, own in rows.items()},
            "softmax" if task == "classification" else "sigmoid",
            [_THINNED] if len(rows["train"]) > _MOST_WINDOWS else [],
        )

    def score(self, rows: NDArray[np.intp], weights: NDArray) -> Floats:
        """float64[R]: the test score under each set of weights of a probe that was fitted to some train windows."""
        rows = _thinned(rows, self.groups["train"][rows])
        mean, deviation = standardiser(self.features["train"][rows])
        train, valid, test = (
            (part - mean) / deviation for part in (self.features["train"][rows], self.features["valid"], self.features["test"])
        )
        labels = self.labels["train"][rows]
        known = np.asarray(labels.any(axis=0))
        if known.sum() < (2 if self.link == "softmax" else 1):  # one kind of call, or none: nothing to learn, the same is said of all
            return self.measured("test", np.tile(labels.mean(axis=0), (len(test), 1)), weights)
        by_c = regularisation_path(train, labels[:, known].astype(np.float64), self.link, C_GRID if len(valid) else (0.01,))

        def scores(features: Floats, c: float) -> Floats:
            spread = np.zeros((len(features), len(known)))
            spread[:, known] = by_c[c].probabilities(features)
            return spread

        on_valid = {c: float(self.measured("valid", scores(valid, c), None)[0]) if len(valid) else np.nan for c in by_c}
        best = max(by_c, key=lambda c: -np.inf if np.isnan(on_valid[c]) else on_valid[c])
        best = 0.01 if all(np.isnan(own) for own in on_valid.values()) and 0.01 in by_c else best
        return self.measured("test", scores(test, best), weights)

    def measured(self, split: str, scores: Floats, weights: NDArray | None) -> Floats:
        truth = self.labels[split]
        found = (
            accuracy(truth.argmax(axis=1), scores.argmax(axis=1), weights)
            if self.link == "softmax"
            else mean_average_precision(truth, scores, weights)
        )
        return np.atleast_1d(np.asarray(found, dtype=np.float64))


def _thinned(rows: NDArray[np.intp], groups: NDArray) -> NDArray[np.intp]:
    """At most `_MOST_WINDOWS` of them, evenly spread over each group's own."""
    if len(rows) <= _MOST_WINDOWS:
        return rows
    keep = len(rows) / _MOST_WINDOWS
    order = np.argsort(groups, kind="stable")
    return np.sort(rows[order[np.floor(np.arange(_MOST_WINDOWS) * keep).astype(int)]])


def _orders(data: _Data, draws: int, seed: int) -> list[NDArray]:
    """Random orders of the train groups, along which each kind of group keeps about its share.

    A group's kind is the rarest label that it holds (none, where it holds background alone).
    """
    names, index = np.unique(data.groups["train"], return_inverse=True)
    held = np.zeros((len(names), data.labels["train"].shape[1]))
    np.add.at(held, index, data.labels["train"])
    rarity = np.where(held > 0, (held > 0).sum(axis=0), len(names) + 1)
    kind = np.where(held.any(axis=1), rarity.argmin(axis=1), -1)
    rng = np.random.default_rng([seed, 0])
    orders = []
    for _ in range(draws):
        place = np.empty(len(names))
        for own in np.unique(kind):
            members = rng.permutation(np.flatnonzero(kind == own))
            place[members] = (np.arange(len(members)) + rng.random(len(members))) / len(members)
        orders.append(names[np.argsort(place, kind="stable")])
    return orders
