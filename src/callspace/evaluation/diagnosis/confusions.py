"""Which classes are confused with background, and which with each other.

From the scores in a predictions table (a head, the linear probe, nearest neighbours): every test window that has one label, or is background,
is given the class of its highest score. In detection the scores of labels say nothing of background; so those windows are called background
that are least likely labelled (``separation:NAME``, else by their highest score), as many as there are in truth: what is confused is then
the order of the windows, not a threshold, and misses and false alarms balance. Rates are shares of the windows of the true class, with
intervals over its groups (`callspace.metrics.intervals`). Where there are several sets of scores, the finding is of the one that the run is judged
by (the head, else the linear probe, ...), and the others stand in its evidence.

Confusions are what an imperfect embedding has, so they are worth a look where one takes a fifth of a class or more (lower end of the 95 %
interval), or where less than half of a class is told (upper end), whatever it is taken for; and a problem where, beside that and from 8 groups up, the class is lost: more often taken for one other than for itself, by a 99.5 %
bound on that difference; or hardly told apart from it. The latter is Youden's J of the two (W. J. Youden, Cancer 3, 1950) among the windows that
are given one or the other, 1 where they are always told apart and 0 for a coin; lost is below 0.25 at the upper 99.5 % bound, so that too little
data is not taken for too little difference. J is low for both classes where one of them is never told, though the other may be told always: so by J
only the class is lost that has the smaller share of its own. Nothing is confused (fine) where the upper ends for all classes are below a fifth; between
the two there are too few recordings to say. With fewer than 5 groups there is no interval.

Of predictions of several folds (a column ``fold``), what is called background is chosen in each fold by its own order, since scores of several fits are on
scales of their own; and the finding's subject says how many ``folds`` it is of.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from callspace.evaluation.diagnosis.classes import class_codes, groups_of
from callspace.evaluation.diagnosis.finding import Finding, Verdict
from callspace.evaluation.diagnosis.resampling import Resampled
from callspace.evaluation.labels import BACKGROUND
from callspace.metrics.bootstrap import MIN_GROUPS
from callspace.metrics.weights import Floats, ratio

__all__ = ["Confusion", "confusions", "most_confused", "told_classes"]

REPLICATES = 1_000
_LOOK, _COIN, _HALF = 0.2, 0.25, 0.5
#: Of the intervals of rates, and of what loses a class (bounds of 99.5 %).
_COVERAGE, _SURE = 0.95, 0.99
_MIN_WINDOWS, _MIN_GROUPS = 10, 8
_NAMED, _SHOWN = 3, 5
#: The first of these that there is, is what the run is judged by.
_READERS = {
    "head": "The head",
    "linear": "The linear probe",
    "knn": "The nearest-neighbour probe",
    "prototype": "The nearest class mean",
}
_PREFIX = "scores:"

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Confusion:
    """How often windows of `true` are taken for `told` ("" for none), whether that loses the class, among how many, and how often they are right."""

    true: str
    told: str
    rate: float
    interval: list[float] | None
    lost: bool  # beyond doubt more often taken for the other than for itself, or not told apart from it
    windows: int
    groups: int
    recall: float
    recall_interval: list[float] | None


def confusions(
    predictions: pa.Table,
    windows: pa.Table,
    labels: Sequence[str],
    task: str,
    *,
    subject: dict[str, Any] | None = None,
    seed: int = 0,
) -> list[Finding]:
    """The confusions of the scores that the run is judged by, and beside them those of the other scores.

    Parameters
    ----------
    predictions
        One row a test window: window_id, group, labels, ``scores:NAME``, perhaps ``separation:NAME`` (`callspace.evaluation.judge`), and
        ``fold`` where they are of several.
    windows
        The windows table, which says where they are.
    labels, task
        The vocabulary, and ``"classification"`` or ``"detection"``.
    subject
        Goes into the findings.
    seed
        Of the bootstrap.

    Returns
    -------
    One finding; none where the predictions hold no scores.
    """
    table = (
        predictions.append_column("recording", predictions.column("group")) if "recording" not in predictions.column_names else predictions
    )
    names, codes = class_codes(table, labels, task)
    groups = groups_of(table)
    order = list(_READERS)
    readers = [column.removeprefix(_PREFIX) for column in predictions.column_names if column.startswith(_PREFIX)]
    readers.sort(key=lambda reader: order.index(reader) if reader in order else len(order))
    if not readers:
        return []
    folds = _folds(predictions)
    if len(folds) > 1:
        subject = (subject or {}) | {"folds": len(folds)}
    told = {reader: _told_by_fold(predictions, folds, reader, len(labels), task) for reader in readers}
    main, *others = readers
    finding = _finding(main, told[main], codes, groups, names, predictions, windows, subject or {}, seed)
    if others:
        finding = replace(
            finding, evidence=finding.evidence | {"other_scores": {name: _in_short(told[name], codes, names) for name in others}}
        )
    return [finding]


def _folds(predictions: pa.Table) -> list[Codes]:
    """The rows of each fold; of one, where the predictions don't say."""
    if "fold" not in predictions.column_names:
        return [np.arange(predictions.num_rows)]
    fold = np.array(predictions.column("fold").to_pylist())
    return [np.flatnonzero(fold == one) for one in dict.fromkeys(fold.tolist())]


def _told_by_fold(predictions: pa.Table, folds: Sequence[Codes], reader: str, n_labels: int, task: str) -> Codes:
    told = np.full(predictions.num_rows, -1, dtype=np.intp)
    for rows in folds:
        told[rows] = told_classes(predictions.take(rows), reader, n_labels, task)
    return told


def told_classes(predictions: pa.Table, reader: str, n_labels: int, task: str) -> Codes:
    """The class that each window is given: int[n], `n_labels` for background, -1 where it has no scores."""
    rows = predictions.column(_PREFIX + reader).to_pylist()
    known = np.array([row is not None and len(row) == n_labels and n_labels > 0 for row in rows], dtype=bool)
    scores = np.array([row if ok else [np.nan] * n_labels for row, ok in zip(rows, known, strict=True)], dtype=np.float64).reshape(
        -1, n_labels
    )
    told = np.full(len(rows), -1, dtype=np.intp)
    if not known.any():
        return told
    told[known] = scores[known].argmax(axis=1)
    if task != "detection":
        return told
    column = f"separation:{reader}"
    labelled = (
        scores.max(axis=1) if column not in predictions.column_names else np.array(predictions.column(column).to_pylist(), dtype=np.float64)
    )
    judged = known & np.isfinite(labelled)
    n_background = sum(1 for items, ok in zip(predictions.column("labels").to_pylist(), judged, strict=True) if ok and not items)
    if n_background:
        # Equal scores are not cut by their order: all of them are called labelled.
        threshold = np.sort(labelled[judged])[n_background - 1]
        after = np.sort(labelled[judged])[n_background] if n_background < judged.sum() else np.inf
        told[judged & (labelled <= threshold if after > threshold else labelled < threshold)] = n_labels
    return told


def most_confused(told: Codes, codes: Codes, groups: NDArray, names: Sequence[str], *, seed: int = 0) -> list[Confusion]:
    """For each true class, what it is most often taken for; the largest rate first.

    Parameters
    ----------
    told, codes
        int[n], the class that each window is given and has, from 0.
    groups
        The group of each window.
    names
        The classes.
    seed
        Of the bootstrap.
    """
    found = []
    for code in np.unique(codes):
        members = np.flatnonzero(codes == code)
        counts = np.bincount(told[members], minlength=len(names))
        other = int(np.where(np.arange(len(names)) == code, -1, counts).argmax())
        # Of a class that is never taken for another, how seldom it is is still estimated; what it would be taken for is not known.
        resampled = Resampled(groups[members], REPLICATES, seed)
        as_other = told[members] == other
        rate = float(as_other.mean()) if counts[other] else 0.0
        interval = resampled.interval(rate, partial(_rate, amounts=as_other), _COVERAGE)
        right = told[members] == code
        recall = float(right.mean())
        of_recall = resampled.interval(recall, partial(_rate, amounts=right), _COVERAGE)
        lost = False
        if interval is not None and interval[0] > _LOOK and resampled.n_groups >= _MIN_GROUPS:
            more = as_other.astype(np.float64) - right
            ends = resampled.difference(float(more.mean()), partial(_rate, amounts=more), _SURE)
            lost = (ends is not None and ends[0] > 0) or _like_a_coin(told, codes, groups, int(code), other, seed)
        name = names[other] if counts[other] else ""
        found.append(Confusion(names[code], name, rate, interval, lost, len(members), resampled.n_groups, recall, of_recall))
    return sorted(found, key=lambda each: -each.rate)


def _like_a_coin(told: Codes, codes: Codes, groups: NDArray, lost: int, other: int, seed: int) -> bool:
    """Whether a class is hardly told apart from another, beyond doubt, and it is this one that the scores don't know.

    The upper bound of Youden's J among windows that are given either; and its share of its own is no larger than the other's.
    """
    rows = np.flatnonzero(np.isin(told, [lost, other]) & np.isin(codes, [lost, other]))
    own, right = codes[rows] == lost, told[rows] == codes[rows]
    if own.all() or not own.any() or right[own].mean() > right[~own].mean():
        return False

    def index(weights: Floats) -> Floats:
        return _rate(weights[:, own], right[own]) + _rate(weights[:, ~own], right[~own]) - 1

    n_groups = min(len(np.unique(groups[rows][which])) for which in (own, ~own))
    resampled = Resampled(groups[rows], REPLICATES, seed)
    ends = resampled.interval(float(index(np.ones((1, len(rows))))[0]), index, _SURE, lowest=-1.0, n_groups=n_groups)
    return ends is not None and ends[1] < _COIN


def _rate(weights: Floats, amounts: NDArray) -> Floats:
    return ratio(weights @ amounts.astype(np.float64), weights.sum(axis=1))


def _in_short(told: Codes, codes: Codes, names: Sequence[str]) -> dict[str, Any]:
    """What other scores make of the same windows: mean recall, and the largest confusion."""
    kept = (told >= 0) & (codes >= 0)
    present = np.unique(codes[kept])
    if not len(present):
        return {"mean_recall": np.nan, "most_confused": "", "rate": np.nan}
    shares = (
        np.bincount(codes[kept] * len(names) + told[kept], minlength=len(names) ** 2).reshape(len(names), -1)[present].astype(np.float64)
    )
    shares /= shares.sum(axis=1, keepdims=True)
    rows = np.arange(len(present))
    recall = float(shares[rows, present].mean())
    shares[rows, present] = -1.0
    at, other = np.unravel_index(int(shares.argmax()), shares.shape)
    rate, true, taken = float(shares[at, other]), int(present[at]), int(other)
    return {
        "mean_recall": recall,
        "most_confused": f"{names[true]} for {names[taken]}" if rate > 0 else "",
        "rate": max(rate, 0.0),
    }


def _finding(
    reader: str,
    told: Codes,
    codes: Codes,
    groups: NDArray,
    names: list[str],
    predictions: pa.Table,
    windows: pa.Table,
    subject: dict[str, Any],
    seed: int,
) -> Finding:
    kept = np.flatnonzero((told >= 0) & (codes >= 0))
    who = _READERS.get(reader, f"The scores {reader!r}")
    if folds := subject.get("folds"):
        who += f" ({folds} folds together)"
    if len(np.unique(codes[kept])) < 2:
        sentence = f"{who}: confusions are not looked at, since fewer than two classes have scored test windows."
        return Finding("confusions", subject, "unmeasured", sentence, {"scores": reader})
    found = most_confused(told[kept], codes[kept], groups[kept], names, seed=seed)
    matrix = np.bincount(codes[kept] * len(names) + told[kept], minlength=len(names) ** 2).reshape(len(names), len(names))
    evidence = {
        "scores": reader,
        "classes": names,
        "matrix": matrix,
        "recall": {names[code]: float(matrix[code, code] / matrix[code].sum()) for code in np.unique(codes[kept])},
        "confusions": [
            {
                "true": each.true,
                "told": each.told,
                "rate": {"value": each.rate, "interval": each.interval},
                "windows": each.windows,
                "groups": each.groups,
            }
            for each in found
            if each.told
        ],
    }
    counted = [each for each in found if each.windows >= _MIN_WINDOWS and each.interval is not None]
    lost = [each for each in counted if each.lost]
    grave = [each for each in counted if each.interval is not None and each.interval[0] > _LOOK]
    listed = _examples(lost or grave, told, codes, kept, names, predictions, windows)
    if lost:
        sentence = f"{who} loses {_classes(lost)}: {_said(lost, grave)}."
        return Finding("confusions", subject, "problem", sentence, evidence, _remedy(lost), listed)
    scattered = [each for each in counted if each.recall_interval is not None and each.recall_interval[1] < _HALF and each not in grave]
    if grave or scattered:
        sentence = f"{who} confuses classes: {'; '.join(filter(None, [_said(grave, grave), _scattered(scattered)]))}."
        grave = grave or scattered
        return Finding("confusions", subject, "look", sentence, evidence, _remedy(grave), listed)
    verdict, sentence, remedy = _not_grave(who, found, counted)
    return Finding("confusions", subject, verdict, sentence, evidence, remedy)


def _not_grave(who: str, found: list[Confusion], counted: list[Confusion]) -> tuple[Verdict, str, str]:
    """What is said where no confusion is certain: that there is none, or that it can't be said."""
    if not counted:
        sentence = f"{who}: no class is in {MIN_GROUPS} groups and {_MIN_WINDOWS} windows of test, too few to say what is confused."
        return "unmeasured", sentence, "Label more recordings."
    confused = [each for each in found if each.told]
    most = f"; most often, {_said(confused[:1], [])}" if confused else ""
    doubtful = [each for each in found if each.windows < _MIN_WINDOWS or each.interval is None or each.interval[1] >= _LOOK]
    if doubtful:
        sentence = (
            f"{who}: too few recordings of {_classes(doubtful)} to say whether another class takes a fifth of the windows or more{most}."
        )
        return "unmeasured", sentence, "Label more recordings of them."
    return "fine", f"{who} takes no class often for another{most}." if confused else f"{who} takes no class for another.", ""


def _classes(found: list[Confusion]) -> str:
    named = [each.true for each in found[:_NAMED]]
    rest = len(found) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def _said(found: list[Confusion], grave: list[Confusion]) -> str:
    """The largest confusions in words; two classes that are taken for each other, often both, are said together."""
    by_pair = {(each.true, each.told): each for each in grave}
    said: list[str] = []
    done: set[tuple[str, str]] = set()
    for each in found:
        if (each.true, each.told) in done or len(said) == _NAMED:
            continue
        back = by_pair.get((each.told, each.true))
        done |= {(each.true, each.told), (each.told, each.true)}
        if back is not None:
            said.append(f"{each.true} and {each.told} are taken for each other ({_percent(each)} and {_percent(back)})")
        else:
            said.append(f"{each.true} is taken for {each.told} in {_percent(each)} of its windows")
    return "; ".join(said)


def _scattered(found: list[Confusion]) -> str:
    """Classes that are seldom told, and for which no one other stands."""
    told = [f"{each.true} is told in {100 * each.recall:.0f} % of its windows, and taken for several others" for each in found[:_NAMED]]
    rest = len(found) - len(told)
    return "; ".join(told) + (f"; and {rest} more are as scattered" if rest > 0 else "")


def _percent(each: Confusion) -> str:
    within = "" if each.interval is None else f" ({100 * each.interval[0]:.0f} to {100 * each.interval[1]:.0f})"
    return f"{100 * each.rate:.0f} %{within}"


def _remedy(found: list[Confusion]) -> str:
    missed = any(each.told == BACKGROUND for each in found)
    called = any(each.true == BACKGROUND for each in found)
    remedies = []
    if missed:
        remedies.append(
            "Listen to the missed calls: where they are faint or short, take shorter windows; else tune with more background, if the encoder can be tuned."
        )
    if called:
        remedies.append("Listen to the background that is taken for calls: it may hold calls that no one annotated.")
    if not (missed and called) and any(BACKGROUND not in (each.true, each.told) for each in found):
        remedies.append(
            "Listen to windows of both classes: label more of them, tune, if the encoder can be tuned, or judge the two as one class where they "
            "can't be told apart."
        )
    return " ".join(remedies)


def _examples(
    found: list[Confusion], told: Codes, codes: Codes, kept: Codes, names: list[str], predictions: pa.Table, windows: pa.Table
) -> list[dict[str, Any]]:
    """Some windows of the largest confusions, spread over groups as they come."""
    place = {window: row for row, window in enumerate(windows.column("window_id").to_pylist())}
    ids = predictions.column("window_id").to_pylist()
    chosen: list[tuple[int, str, str]] = []
    for each in found[:_NAMED]:
        rows = [row for row in kept if names[codes[row]] == each.true and names[told[row]] == each.told and ids[row] in place]
        chosen += [(place[ids[row]], each.true, f"taken for {each.told}") for row in rows[:: max(1, len(rows) // _SHOWN)][:_SHOWN]]
    table = (
        windows.select(["window_id", "recording", "onset_s", "offset_s"]).take([row for row, _, _ in chosen]).to_pylist() if chosen else []
    )
    return [one | {"label": label, "said": said} for one, (_, label, said) in zip(table, chosen, strict=True)]
