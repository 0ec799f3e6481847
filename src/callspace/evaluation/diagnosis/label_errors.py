"""The most typical and the most misplaced windows of each class, and those whose label is likely wrong.

Every window is judged by others only: a shrunk discriminant fitted on four fifths of the groups tells the classes of the last fifth, and its
10 nearest neighbours are of other groups. A window's *self-confidence* is the probability of the label it has (C. G. Northcutt, L. Jiang,
I. L. Chuang, JAIR 70, 2021): typical windows have the highest of their class, misplaced ones the lowest. A label is likely wrong where

- another class is the most probable, and as probable as it is on average for its own windows (their *confident joint*),
- the given label's probability is at most a tenth, and
- at least half of the neighbours are of that other class, and at most a fifth of the given one.

Classes that overlap have such windows with every label right. How many is known: a window of posterior q has label j with probability q_j,
so that the windows that would be suspected, summed with q, are what overlap explains. For that the posterior must be calibrated where no
label error pulls at it: its temperature is fitted together with a rate of labels drawn at random. It is a problem only when the suspects
are, beyond one and a half times that number, more than a two-hundredth of the windows, at the lower end of a 99 % interval over groups; and
only where classes can be told at all, three tenths of the way from chance to 1: with less, a recording that sounds odd is taken for many errors.

A class whose windows are all of one group can't be judged by other groups: it is named, with the reason. Below ten groups no label is called wrong.
The most typical and the most misplaced windows are listed of each class all the same (`label_examples`).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from callspace.errors import CallspaceError
from callspace.evaluation.diagnosis.classes import balanced, class_codes, groups_of
from callspace.evaluation.diagnosis.discriminant import Discriminant, compact
from callspace.evaluation.diagnosis.finding import Finding
from callspace.evaluation.diagnosis.label_examples import Example, listed, of_class, of_class_alone
from callspace.metrics.bootstrap import group_weights
from callspace.metrics.neighbours import k_nearest
from callspace.metrics.weights import Floats

__all__ = ["Judged", "judge_labels", "label_errors"]

FOLDS = 5
NEIGHBOURS = 10
REPLICATES = 1_000
_MOST = 20_000
_MIN_GROUPS = 10
_UNLIKELY, _MOST_NEIGHBOURS, _FEW_NEIGHBOURS = 0.1, 0.5, 0.2
_MARGIN, _RATE, _TOLD = 1.5, 0.005, 0.3
_SHOWN_SUSPECTS, _NAMED = 50, 8

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Judged:
    """Out-of-sample judgement of each window's label.

    Attributes
    ----------
    confidence
        float64[n], the probability of the label that the window has.
    suspected
        int[n], the class that it likely is of instead; -1 where the label is not suspected.
    explained
        float64[n], the probability that a window like it is suspected though its label is right.
    error_rate
        The share of labels drawn at random that the calibration fitted.
    told
        The balanced accuracy of the out-of-sample discriminant.
    """

    confidence: Floats
    suspected: Codes
    explained: Floats
    error_rate: float
    told: float


def label_errors(
    vectors: ArrayLike,
    windows: pa.Table,
    labels: Sequence[str],
    task: str,
    *,
    subject: dict[str, Any] | None = None,
    seed: int = 0,
) -> Finding:
    """Likely label errors; in `windows`, the suspects, and the most typical and the most misplaced windows of each class.

    Parameters
    ----------
    vectors
        float[n, d], all splits, in the order of `windows`.
    windows
        `callspace.tables.WINDOWS`. Windows of several labels are left out.
    labels, task
        The vocabulary, and ``"classification"`` or ``"detection"``.
    subject
        Goes into the finding.
    seed
        Of folds, bootstrap and the sample of 20,000 windows, where there are more.

    Raises
    ------
    CallspaceError
        Where the numbers of windows don't fit, or a vector holds NaN.
    """
    subject = subject or {}
    if np.shape(vectors)[:1] != (windows.num_rows,):
        raise CallspaceError(
            f"embeddings have shape {np.shape(vectors)}, but there are {windows.num_rows} windows: one row a window is wanted"
        )
    names, codes = class_codes(windows, labels, task)
    groups = groups_of(windows)
    points, rows = compact(vectors, seed), _judgeable(codes, groups, seed)
    spread, n_groups = np.unique(codes[rows]), len(np.unique(groups[rows]))
    judged = judge_labels(points[rows], codes[rows], groups[rows], len(names), seed=seed) if len(spread) >= 2 else None
    examples: list[Example] = []
    for code in np.unique(codes[codes >= 0]):
        own = rows[codes[rows] == code]
        if judged is not None and len(own):
            examples += of_class(names[code], own, judged.confidence[codes[rows] == code])
        else:
            own = np.flatnonzero(codes == code)
            examples += of_class_alone(names[code], own, points[own])
    of_class_names = [names[code] for code in codes]
    if judged is not None and n_groups >= _MIN_GROUPS:
        found = _Found(judged, codes[rows], groups[rows], names, _not_judged(codes, groups, spread, names), seed)
        suspects = [("suspect", int(rows[at]), said, float(judged.confidence[at])) for at, said in found.suspects()]
        return found.finding(subject, listed([*suspects, *examples], windows, of_class_names))
    reason = f"{n_groups} groups of windows is fewer than {_MIN_GROUPS}"
    if judged is None:
        reason = "fewer than two classes have windows in two groups or more"
    not_judged = dict.fromkeys((names[code] for code in spread), reason) | _not_judged(codes, groups, spread, names)
    also = "; the most typical and the most misplaced windows of each class are listed all the same" if examples else ""
    sentence, evidence = f"Label errors are not looked for: {reason}{also}.", {"groups": n_groups, "not_judged": not_judged}
    return Finding("label_errors", subject, "unmeasured", sentence, evidence, "", listed(examples, windows, of_class_names))


def judge_labels(points: Floats, codes: Codes, groups: NDArray, n_classes: int, *, seed: int = 0) -> Judged:
    """Judge each window's label by windows of other groups.

    Parameters
    ----------
    points
        float64[n, d].
    codes
        int[n], from 0.
    groups
        The group of each window.
    n_classes
        K.
    seed
        Of the folds.
    """
    n = len(points)
    discriminants = _out_of_sample(points, codes, groups, n_classes, seed)
    prior = np.log(np.maximum(np.bincount(codes, minlength=n_classes), 1e-300) / n)
    temperature, error_rate = _calibrated(discriminants + prior, codes)
    probabilities = _softmax(discriminants / temperature)
    posterior = _softmax((discriminants + prior) / temperature)

    near, _ = k_nearest(points, min(NEIGHBOURS, n - 1), metric="cosine", groups=groups.tolist())
    at, rank = np.nonzero(near >= 0)
    shares = np.bincount(at * n_classes + codes[near[at, rank]], minlength=n * n_classes).reshape(n, n_classes)
    shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1)

    confidence = probabilities[np.arange(n), codes]
    sums = np.bincount(codes, weights=confidence, minlength=n_classes)
    usual = sums / np.maximum(np.bincount(codes, minlength=n_classes), 1)
    other = probabilities.argmax(axis=1)
    sure = (probabilities[np.arange(n), other] >= usual[other]) & (shares[np.arange(n), other] >= _MOST_NEIGHBOURS)
    # Whether a window would be suspected if it had label j, for every j.
    would = sure[:, None] & (probabilities <= _UNLIKELY) & (shares <= _FEW_NEIGHBOURS) & (np.arange(n_classes) != other[:, None])
    told = float(balanced((other == codes).astype(np.float64), codes)[0])
    suspected = np.where(would[np.arange(n), codes], other, -1)
    return Judged(confidence, suspected, (posterior * would).sum(axis=1), error_rate, told)


def _judgeable(codes: Codes, groups: NDArray, seed: int) -> Codes:
    """The rows whose class has windows in two groups or more, at most 20,000 of them."""
    rows = np.flatnonzero(codes >= 0)
    spread = {code for code in np.unique(codes[rows]) if len(np.unique(groups[codes == code])) > 1}
    rows = rows[np.isin(codes[rows], list(spread))]
    return rows if len(rows) <= _MOST else np.sort(np.random.default_rng(seed).choice(rows, _MOST, replace=False))


def _not_judged(codes: Codes, groups: NDArray, judged: Codes, names: list[str]) -> dict[str, str]:
    """Of each class that is not among those judged, why."""
    reasons = ("no window of this class alone", "all windows of one group")
    n_groups = {code: len(np.unique(groups[codes == code])) for code in range(len(names)) if code not in judged}
    return {names[code]: reasons[n] if n < 2 else f"too rare to be in the sample of {_MOST:,} windows" for code, n in n_groups.items()}


def _out_of_sample(points: Floats, codes: Codes, groups: NDArray, n_classes: int, seed: int) -> Floats:
    """Each window's discriminants from a fit without its fold's groups; a class that a fit does not know is far below the others."""
    from sklearn.model_selection import StratifiedGroupKFold

    answer = np.empty((len(points), n_classes))
    folds = StratifiedGroupKFold(min(FOLDS, len(np.unique(groups))), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Classes of fewer windows than folds are spread as evenly as can be; scikit-learn warns of them.
        warnings.filterwarnings("ignore", "The least populated class")
        parts = list(folds.split(points, np.zeros_like(codes) if np.bincount(codes).max() < FOLDS else codes, groups))
    for known, asked in parts:
        answer[asked] = Discriminant(points[known]).scores(codes[known], n_classes, points[asked])
    lowest = np.where(np.isfinite(answer), answer, np.inf).min(axis=1, keepdims=True)
    return np.where(np.isfinite(answer), answer, lowest - 10.0)


def _calibrated(logits: Floats, codes: Codes) -> tuple[float, float]:
    """The temperature, and the share of labels drawn at random, that make the labels likeliest."""
    from scipy.optimize import minimize
    from scipy.special import expit

    n, k = logits.shape
    frequency = np.bincount(codes, minlength=k)[codes] / n

    def loss(parameters: Floats) -> float:
        rate = 0.5 * expit(parameters[1])
        right = _softmax(logits / np.exp(parameters[0]))[np.arange(n), codes]
        return float(-np.log(np.maximum((1 - rate) * right + rate * frequency, 1e-300)).mean())

    starts = [np.array([0.0, -3.0]), np.array([1.0, -6.0])]
    bounds = [(-2.0, 5.0), (-12.0, 12.0)]
    best = min((minimize(loss, start, bounds=bounds, method="L-BFGS-B") for start in starts), key=lambda found: found.fun)
    return float(np.exp(best.x[0])), float(0.5 * expit(best.x[1]))


def _softmax(logits: Floats) -> Floats:
    from scipy.special import softmax

    return softmax(logits, axis=1)


@dataclass(frozen=True)
class _Found:
    """The judged windows: classes int[n] and groups, and the classes that could not be judged, with why."""

    judged: Judged
    codes: Codes
    groups: NDArray
    names: list[str]
    not_judged: dict[str, str]
    seed: int

    def finding(self, subject: dict[str, Any], listed_windows: list[dict[str, Any]]) -> Finding:
        """The verdict: suspects against what overlap explains."""
        judged, n = self.judged, len(self.codes)
        flagged = (judged.suspected >= 0).astype(np.float64)
        suspects = np.flatnonzero(flagged)
        weights = group_weights(self.groups.tolist(), REPLICATES, self.seed).astype(np.float64)
        sizes = weights.sum(axis=1)
        share = np.quantile(weights @ flagged / sizes, [0.005, 0.995]).tolist()
        beyond = float(np.quantile(weights @ (flagged - judged.explained) / sizes, 0.005))
        far_beyond = float(np.quantile(weights @ (flagged - _MARGIN * judged.explained) / sizes, 0.005))
        in_groups = len(np.unique(self.groups[suspects]))
        evidence: dict[str, Any] = {
            "suspected": len(suspects),
            "share": {"value": len(suspects) / n, "interval": share},
            "explained_by_overlap": float(judged.explained.sum()),
            "classes_told": judged.told,
            "fitted_error_rate": judged.error_rate,
            "groups_with_suspects": in_groups,
            "windows": n,
            "by_class": self._by_class(),
            "not_judged": self.not_judged,
        }
        counted = (
            f"{len(suspects)} of {n} windows sound like another class than their label says; overlap of the classes explains "
            f"{judged.explained.sum():.0f}"
        )
        chance, left_out = 1 / len(np.unique(self.codes)), self._left_out()
        if far_beyond > _RATE and (judged.told - chance) / (1 - chance) > _TOLD and in_groups >= 3:
            sentence = f"{counted}: likely label errors, mostly {self._pairs()}.{left_out}"
            remedy = "Listen to the windows listed here, correct their labels, and judge again; until then all scores are a little too low."
            return Finding("label_errors", subject, "problem", sentence, evidence, remedy, listed_windows)
        if beyond > 0 and len(suspects) >= 3:
            remedy = "Listen to the windows listed here."
            return Finding("label_errors", subject, "look", f"{counted}.{left_out}", evidence, remedy, listed_windows)
        sentence = f"{counted}: no more than right labels would show.{left_out}"
        return Finding("label_errors", subject, "fine", sentence, evidence, "", listed_windows)

    def suspects(self) -> list[tuple[int, str]]:
        """The suspected windows, the least confident first, and what is said of each."""
        suspects = np.flatnonzero(self.judged.suspected >= 0)
        suspects = suspects[np.argsort(self.judged.confidence[suspects], kind="stable")][:_SHOWN_SUSPECTS]
        return [(int(at), f"label likely wrong: sounds like {self.names[self.judged.suspected[at]]}") for at in suspects]

    def _by_class(self) -> dict[str, Any]:
        return {
            self.names[code]: {
                "windows": int((self.codes == code).sum()),
                "suspected": int((self.judged.suspected[self.codes == code] >= 0).sum()),
                "self_confidence": float(self.judged.confidence[self.codes == code].mean()),
            }
            for code in np.unique(self.codes)
        }

    def _pairs(self) -> str:
        """The commonest pairs of given and suspected label, in words."""
        wrong = self.judged.suspected >= 0
        pairs, counts = np.unique(np.stack([self.codes[wrong], self.judged.suspected[wrong]]), axis=1, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:3]
        return ", ".join(f"{self.names[pairs[0, at]]} that sounds like {self.names[pairs[1, at]]} ({counts[at]})" for at in order)

    def _left_out(self) -> str:
        """A sentence that names the classes that could not be judged, those of one reason together."""
        parts = []
        for reason in dict.fromkeys(self.not_judged.values()):
            of = [name for name, why in self.not_judged.items() if why == reason]
            more = f" and {len(of) - _NAMED} more" if len(of) > _NAMED else ""
            parts.append(f"{', '.join(of[:_NAMED])}{more} ({reason})")
        return f" Not judged: {'; '.join(parts)}." if parts else ""
