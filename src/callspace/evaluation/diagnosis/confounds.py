"""Is the label's score the animal's? Whether a nuisance is in the embedding, is tied to the label, and could have made the score.

For each nuisance (site, recorder, date, format, length, level, ...), on the split that the label is judged on:

1. Can it be read from the embedding? Shrunk discriminant and 15 nearest neighbours, fitted on train, scored on test.
2. Can the label be told from it alone (`ties`)? P, from groups that swap their nuisances, is corrected over the nuisances (Holm).
3. How much of the label's own score could that explain, and what agreement with the label is left among windows of the same nuisance (`strata`)?

A confound is a problem only where both 1 and 2 hold, a quarter of the score or more could be the nuisance's, and the label is not told as well among
windows of the same nuisance: a site that can be heard but has all species, or that has few species but leaves no trace, is none. All scores are
balanced accuracies, with 99 % intervals over groups. Where recordings are too few for any tie to stand out from chance, nothing is said to be fine.

A nuisance that no window in test shares with train (sites that the split keeps apart) can't have been learnt by heart, and is fine; that it can be
heard all the same stands beside, from the first half of each value's train windows, which tells the second. A call makes its own window louder, so
that in soundscapes the level is compared among windows with a call only. A nuisance that is not known of some
windows has that as a value of its own (a site that is written down for one species only tells that species); one that is known of none is
unmeasured. Nuisances that divide the windows into the same parts (one recording a site) are one finding.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from callspace.errors import CallspaceError
from callspace.evaluation.diagnosis.classes import balanced, class_codes, groups_of
from callspace.evaluation.diagnosis.confound_words import Examined, as_finding, heard
from callspace.evaluation.diagnosis.discriminant import Discriminant, compact
from callspace.evaluation.diagnosis.finding import Finding
from callspace.evaluation.diagnosis.nuisances import Coded, Nuisances, coded, nuisances_of
from callspace.evaluation.diagnosis.resampling import Resampled
from callspace.evaluation.diagnosis.strata import comparable, kappa
from callspace.evaluation.diagnosis.ties import tie
from callspace.metrics.multiple import holm
from callspace.metrics.neighbours import k_nearest
from callspace.metrics.weights import Floats

__all__ = ["confounds", "nuisances_of"]

NEIGHBOURS = 15
REPLICATES = 500
#: Of the intervals.
_COVERAGE = 0.99
_MOST_TRAIN, _MOST_TEST = 20_000, 10_000
_MOST_WITHIN, _MIN_WITHIN = 50, 4

#: What a call adds to, so that windows without one can't be compared with those that hold one.
_HOLDS_THE_CALL = ("level_db",)

Codes = NDArray[np.intp]


def confounds(
    vectors: ArrayLike,
    windows: pa.Table,
    labels: list[str],
    task: str,
    nuisances: Nuisances,
    *,
    subject: dict[str, Any] | None = None,
    seed: int = 0,
) -> list[Finding]:
    """One finding for each nuisance, or for several that divide the windows into the same parts.

    Parameters
    ----------
    vectors
        float[n, d], all splits, in the order of `windows`.
    windows
        `callspace.tables.WINDOWS`.
    labels, task
        The vocabulary, and ``"classification"`` or ``"detection"``.
    nuisances
        name -> one value a window, as `nuisances_of` gathers them.
    subject
        Goes into the findings.
    seed
        Of permutations, bootstrap and samples.

    Raises
    ------
    CallspaceError
        Where the numbers of windows don't fit, or a vector holds NaN.
    """
    n = windows.num_rows
    if np.shape(vectors)[:1] != (n,):
        raise CallspaceError(f"embeddings have shape {np.shape(vectors)}, but there are {n} windows: one row a window is wanted")
    if wrong := [name for name, values in nuisances.items() if len(values) != n]:
        raise CallspaceError(f"the nuisance {wrong[0]!r} has {len(nuisances[wrong[0]])} values for {n} windows")
    parts = _Parts(compact(vectors, seed), windows, labels, task, seed)
    found = []
    for names, nuisance in _merged({name: coded(of, parts.in_train & parts.comparable(name)) for name, of in nuisances.items()}, parts):
        found.append(parts.look_at(names, nuisance))
    _correct(found)
    return [as_finding(each, subject or {}) for each in found]


def _merged(nuisances: dict[str, Coded], parts: "_Parts") -> list[tuple[list[str], Coded]]:
    """Nuisances that divide the windows into the same parts, together; the recording is named last, since the others say more."""
    together: dict[tuple[bool, bool, bytes], list[str]] = {}
    for name, nuisance in nuisances.items():
        _, first, codes = np.unique(nuisance.codes, return_index=True, return_inverse=True)
        # Values numbered as they first appear: two nuisances with the same parts have the same numbers.
        number = np.argsort(np.argsort(first))
        apart = len(first) > 1 and not parts.comparable(name).all()
        together.setdefault((apart, bool((nuisance.codes >= 0).any()), number[codes].tobytes()), []).append(name)
    ordered = [sorted(names, key=lambda name: name == "recording") for names in together.values()]
    return [(names, nuisances[names[0]]) for names in ordered]


@dataclass(frozen=True)
class _Fitted:
    """The rows of train and test that are compared, a probe fitted to the first, and the neighbours of the second in the first."""

    train: Codes
    test: Codes
    probe: Discriminant
    near: NDArray[np.int64]


class _Parts:
    """The train and test windows that have one class, and what is fitted to them once for all nuisances."""

    def __init__(self, points: Floats, windows: pa.Table, labels: list[str], task: str, seed: int) -> None:
        self.seed = seed
        self.names, self.codes = class_codes(windows, labels, task)
        self.points = points
        self.groups = groups_of(windows)
        self.group_codes = np.unique(self.groups, return_inverse=True)[1]
        split = np.array(windows.column("split").to_pylist(), dtype=object)
        self.in_train, self.in_test = split == "train", split == "test"
        self.all = np.ones(len(points), dtype=bool)
        self.with_call = self.codes != len(labels) if task == "detection" else self.all
        self._fits: dict[bool, _Fitted | None] = {}

    def comparable(self, nuisance: str) -> NDArray[np.bool_]:
        """The windows that can be compared in a nuisance."""
        return self.with_call if nuisance in _HOLDS_THE_CALL else self.all

    def _fitted(self, rows: NDArray[np.bool_]) -> _Fitted | None:
        """What is fitted to these rows, once; None where train or test has none."""
        key = bool(rows.all())
        if key not in self._fits:
            rng = np.random.default_rng(self.seed)
            train = _at_most(np.flatnonzero(self.in_train & rows & (self.codes >= 0)), _MOST_TRAIN, rng)
            test = _at_most(np.flatnonzero(self.in_test & rows & (self.codes >= 0)), _MOST_TEST, rng)
            if not len(train) or not len(test):
                self._fits[key] = None
                return None
            near, _ = k_nearest(self.points[train], min(NEIGHBOURS, len(train)), queries=self.points[test], metric="cosine")
            self._fits[key] = _Fitted(train, test, Discriminant(self.points[train]), near)
        return self._fits[key]

    def look_at(self, called: list[str], nuisance: Coded) -> Examined:
        values, names = nuisance.codes, nuisance.names
        known = values >= 0
        rows = self.comparable(called[0])
        counted = {"values": len(np.unique(values[known & rows])), "unknown": int((rows & ~known).sum())}
        found = Examined(called[0], called[1:], {"nuisance": called[0], **counted}, with_call_only=not rows.all())
        if called[1:]:
            found.evidence["same_as"] = called[1:]
        if not known.any():
            found.state = "unknown"
            return found
        fit = self._fitted(rows)
        if rows.any() and known[rows].all() and found.evidence["values"] < 2:
            found.state = "constant"
            return found
        if fit is None:
            found.reason = "there are no labelled windows in train or in test"
            return found
        if not known[rows].all():
            values, names = np.where(known, values, len(names)), [*names, "not known"]
        if not len(np.intersect1d(values[self.in_train & rows], values[self.in_test & rows])):
            found.state = "apart"
            self._within_train(found, values, fit.train)
            return found
        of_train, of_test = values[fit.train], values[fit.test]
        recurring = np.intersect1d(of_train, of_test)
        # Only windows whose value and class are in both splits can be told from each other.
        in_train, in_test = np.isin(of_train, recurring), np.isin(of_test, recurring)
        shared = np.intersect1d(self.codes[fit.train[in_train]], self.codes[fit.test[in_test]])
        in_test &= np.isin(self.codes[fit.test], shared)
        in_train &= np.isin(self.codes[fit.train], shared)
        recurring = np.intersect1d(of_train[in_train], of_test[in_test])
        if len(recurring) < 2 or len(shared) < 2:
            found.reason = (
                "fewer than two of its values are in both train and test"
                if len(recurring) < 2
                else "fewer than two labels are in both train and test"
            )
            self._within_train(found, values, fit.train)
            return found
        self._measure(found, values, names, fit, in_train, in_test)
        found.state = "scored"
        return found

    def _measure(
        self, found: Examined, values: Codes, names: list[str], fit: _Fitted, in_train: NDArray[np.bool_], in_test: NDArray[np.bool_]
    ) -> None:
        """The four numbers: nuisance and label from the embedding, label from the nuisance, label within the nuisance."""
        train, test = fit.train[in_train], fit.test[in_test]
        n_values, n_classes = len(names), len(self.names)
        resampled = Resampled(self.groups[test], REPLICATES, self.seed)
        value_chance = 1 / len(np.unique(values[test]))
        label_chance = 1 / len(np.unique(self.codes[test]))

        best: dict[str, tuple[float, Any]] = {}
        told: Codes | None = None
        for what, targets, n_targets in (("nuisance", values, n_values), ("label", self.codes, n_classes)):
            of_train = np.where(in_train, targets[fit.train], -1)
            guesses = {
                "linear": fit.probe.scores(of_train, n_targets, self.points[test]).argmax(axis=1),
                "knn": _votes(of_train[fit.near[in_test]], n_targets, of_train).argmax(axis=1),
            }
            for probe, guess in guesses.items():
                credit = (guess == targets[test]).astype(np.float64)
                scored = _scored(credit, targets[test], resampled)
                found.evidence[f"{what}_by_{probe}"] = scored
                if what not in best or scored["value"] > best[what][0]:
                    best[what] = (scored["value"], scored["interval"])
                    if what == "label":
                        told = np.asarray(guess)
        found.tie = tie(
            (values[train], self.codes[train], self.group_codes[train]),
            (values[test], self.codes[test], self.group_codes[test]),
            n_values,
            n_classes,
            seed=self.seed,
        )
        alone, (of_nuisance, its_interval), (of_label, _) = found.tie.score, best["nuisance"], best["label"]
        found.heard = heard(of_nuisance, its_interval, value_chance)
        found.better_than_label = found.heard == "told" and _above(of_nuisance, value_chance) > _above(of_label, label_chance)
        found.gain = _above(alone, label_chance)
        # Where the embedding does not tell the label, there is no score that a nuisance could explain.
        found.explained = min((alone - label_chance) / (of_label - label_chance), 1.0) if of_label > label_chance + 0.02 else np.nan
        found.n_groups = len(np.union1d(self.group_codes[train], self.group_codes[test]))
        if told is None:
            raise AssertionError("the label is always told")
        whole, strata = np.zeros_like(values[test]), values[test]
        several = comparable(self.codes[test], strata)
        alone_there = np.bincount(self.codes[test], weights=~np.isin(strata, several), minlength=n_classes)
        found.alone = [self.names[code] for code in np.flatnonzero(2 * alone_there > np.bincount(self.codes[test], minlength=n_classes))]
        found.evidence |= {
            "nuisance_chance": value_chance,
            "label_chance": label_chance,
            "label_by_nuisance": _scored(found.tie.credit, self.codes[test], resampled),
            "explained": found.explained,
            "p": found.tie.p,
            "permutations": found.tie.permutations,
            "least_p": found.tie.least_p,
            "kappa": _agreement(told, self.codes[test], whole, n_classes, resampled),
            "kappa_within": _agreement(told, self.codes[test], strata, n_classes, resampled)
            | {"strata": len(several), "of": len(np.unique(strata))},
            "adjusted_mutual_information": _mutual(values[train], self.codes[train]),
            "windows": len(test),
            "groups": resampled.n_groups,
        }

    def _within_train(self, found: Examined, values: Codes, train: Codes) -> None:
        """Decodability where values don't recur: the second half of each value's train windows told from the first halves."""
        of_train = values[train]
        sizes = np.bincount(of_train[of_train >= 0]) if (of_train >= 0).any() else np.zeros(0, dtype=np.intp)
        chosen = np.flatnonzero(sizes >= _MIN_WITHIN)
        if len(chosen) < 2:
            return
        chosen = np.sort(np.random.default_rng(self.seed).permutation(chosen)[:_MOST_WITHIN])
        first = np.full(len(train), -1, dtype=np.intp)
        second: list[int] = []
        for at, value in enumerate(chosen):
            rows = np.flatnonzero(of_train == value)
            first[rows[: len(rows) // 2]] = at
            second += rows[(len(rows) + 1) // 2 :].tolist()
        later = np.array(second)
        truth = np.searchsorted(chosen, of_train[later])
        learnt = first >= 0
        guess = Discriminant(self.points[train[learnt]]).scores(first[learnt], len(chosen), self.points[train[later]]).argmax(axis=1)
        found.evidence |= {
            "nuisance_within_train": float(balanced((guess == truth).astype(np.float64), truth)[0]),
            "nuisance_chance": 1 / len(chosen),
            "adjusted_mutual_information": _mutual(of_train, self.codes[train]),
        }


def _votes(near: Codes, n_targets: int, of_train: Codes) -> Floats:
    """The share of the train windows of each target that are among the neighbours, so that targets count alike."""
    at, rank = np.nonzero(near >= 0)
    votes = np.bincount(at * n_targets + near[at, rank], minlength=len(near) * n_targets).reshape(len(near), n_targets)
    return votes / np.maximum(np.bincount(of_train[of_train >= 0], minlength=n_targets), 1)


def _correct(found: list[Examined]) -> None:
    """Holm's correction of the p of all nuisances that were tested, and of the least p that each could have had."""
    tested = [(each, each.tie) for each in found if each.tie is not None]
    p = [of.p for _, of in tested]
    for at, (each, of) in enumerate(tested):
        each.p_holm = each.evidence["p_holm"] = _holm(p, at)
        each.least_p_holm = _holm([*p[:at], min(of.p, of.least_p), *p[at + 1 :]], at)


def _holm(p: list[float], at: int) -> float:
    adjusted = holm(p)[at]
    assert adjusted is not None  # each is a number
    return adjusted


def _scored(credit: Floats, codes: Codes, resampled: Resampled) -> dict[str, Any]:
    """Balanced accuracy and its interval."""
    value = float(balanced(credit, codes)[0])
    return {"value": value, "interval": resampled.interval(value, lambda weights: balanced(credit, codes, weights), _COVERAGE)}


def _agreement(told: Codes, truth: Codes, strata: Codes, n_classes: int, resampled: Resampled) -> dict[str, Any]:
    """Kappa within strata and its interval; NaN where no stratum has two classes."""
    value = float(kappa(told, truth, strata, n_classes, np.ones((1, len(truth))))[0])
    ends = resampled.interval(value, lambda weights: kappa(told, truth, strata, n_classes, weights), _COVERAGE, lowest=-1.0)
    return {"value": value, "interval": ends}


def _mutual(values: Codes, codes: Codes) -> float:
    from sklearn.metrics import adjusted_mutual_info_score

    known = (values >= 0) & (codes >= 0)
    return float(adjusted_mutual_info_score(codes[known], values[known])) if known.any() else float("nan")


def _above(score: float, chance: float) -> float:
    return (score - chance) / (1 - chance) if chance < 1 else 0.0


def _at_most(rows: Codes, most: int, rng: np.random.Generator) -> Codes:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))
