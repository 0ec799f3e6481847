"""Background as a factor: which background windows an encoder is fitted on, and whether background is a class of its own.

A policy is written ``1``, ``0.5``, ``0`` (the share that is kept, at random), ``ratio:2`` (so many background windows for each labelled
one), ``hard:0.1`` (that share, hardest first) or ``clean-all`` (none in any split, as the study has it). All but the last concern the
train split alone, so that whatever was fitted is judged on the same windows. With ``+class`` behind it, background is one more output
of the head in training; without it, a background window is one on which all labels are off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from callspace.adaptation.logistic import regularisation_path, standardiser
from callspace.datasets import Dataset
from callspace.errors import CallspaceError
from callspace.metrics.weights import Floats
from callspace.threads import one_thread

__all__ = [
    "CLEAN_ALL",
    "BackgroundPolicy",
    "background_hardness",
    "keep_background",
    "kept_background",
    "parse_policy",
    "policy_of",
    "training_rows",
    "with_background_class",
    "without_background",
    "without_background_class",
]

Kind = Literal["share", "ratio", "hard", "clean-all"]

#: The policy of the study: no background in train, valid or test.
CLEAN_ALL = "clean-all"
_CLASS = "+class"

#: The strength of the probe that says how hard a background window is: `callspace.evaluation.probes` has it where nothing can be chosen.
_C = 0.01
_FOLDS = 5


@dataclass(frozen=True)
class BackgroundPolicy:
    """Which background windows are kept.

    Attributes
    ----------
    kind : "share" | "ratio" | "hard" | "clean-all"
    amount : float
        The share that is kept, or for ``ratio`` the background windows for each labelled one; 0 for ``clean-all``.
    as_class : bool
        Whether background is a class of its own in training.
    """

    kind: Kind = "share"
    amount: float = 1.0
    as_class: bool = False

    @property
    def name(self) -> str:
        """What the column `policy` of tables has: the kind, and ``+class``; the amount is the column `background`."""
        return self.kind + _CLASS * self.as_class

    @property
    def text(self) -> str:
        """As it is written: ``hard:0.1+class``."""
        amount = f"{self.amount:g}"
        return {"share": amount, CLEAN_ALL: CLEAN_ALL}.get(self.kind, f"{self.kind}:{amount}") + _CLASS * self.as_class

    @property
    def words(self) -> str:
        """As a sentence has it, "resnet18 fully fine-tuned `words`"; nothing where all background is kept and is no class."""
        some = f"on {_percent(self.amount)} of the background" if self.amount else "on none of the background"
        said = {
            "share": "" if self.amount == 1 else some,
            "hard": f"{some}, hardest first",
            "ratio": f"with {_counted(self.amount)} for each labelled one",
            CLEAN_ALL: "with background dropped from train, valid and test",
        }[self.kind]
        return ", ".join(filter(None, (said, "with background as a class" if self.as_class else "")))

    @property
    def plain(self) -> BackgroundPolicy:
        """The same policy by its simplest name: all of it, or none, is the same whatever would have been taken first."""
        if self.kind in ("hard", "ratio") and self.amount == 0:
            return replace(self, kind="share", amount=0.0)
        return replace(self, kind="share") if self.kind == "hard" and self.amount == 1 else self

    def kept(self, background: int, labelled: int) -> int:
        """How many background windows are kept of so many, beside so many labelled ones."""
        if self.kind == CLEAN_ALL:
            return 0
        return min(background, round(self.amount * (labelled if self.kind == "ratio" else background)))


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _counted(ratio: float) -> str:
    words = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}
    return f"{words.get(ratio, f'{ratio:g}')} background window{'' if ratio == 1 else 's'}"  # type: ignore[call-overload]


def parse_policy(text: str | float | BackgroundPolicy, *, clean_all_allowed: bool = False) -> BackgroundPolicy:
    """The policy that is written so; a number is the share that is kept.

    Parameters
    ----------
    text : str, float or BackgroundPolicy
    clean_all_allowed : bool
        Whether the protocol has ``clean-all``.

    Raises
    ------
    CallspaceError
        There is none that is written so, or it is not allowed.

    Examples
    --------
    >>> parse_policy("hard:0.1+class").name
    'hard+class'
    """
    policy = text if isinstance(text, BackgroundPolicy) else _read(str(text).strip())
    if policy.kind == CLEAN_ALL and not clean_all_allowed:
        raise CallspaceError(
            "--background clean-all drops background from valid and test too, so that its scores could not be compared with the others': "
            "only --protocol paper has it, to repeat the study"
        )
    return policy


def _read(text: str) -> BackgroundPolicy:
    wanted, plus, suffix = text.partition("+")
    kind, _, amount = wanted.rpartition(":")
    as_class = bool(plus)
    if wanted == CLEAN_ALL and not plus:
        return BackgroundPolicy("clean-all", 0.0)
    if wanted == CLEAN_ALL and suffix == "class":
        raise CallspaceError(f"--background {text}: clean-all leaves no background that could be a class")
    try:
        number = float(amount)
    except ValueError:
        number = np.nan
    if kind not in ("", "ratio", "hard") or (":" in wanted and not kind) or not np.isfinite(number) or (as_class and suffix != "class"):
        raise CallspaceError(
            "--background takes shares from 0 to 1, ratio:N or hard:SHARE, each with +class behind it where background is to be a class, "
            f"with commas between, such as 1,0.1,0,hard:0.1+class, not '{text}'"
        )
    if kind == "ratio" and number < 0:
        raise CallspaceError(f"--background {text}: the background windows for each labelled one can't be fewer than 0")
    if kind != "ratio" and not 0 <= number <= 1:
        raise CallspaceError(f"--background takes shares from 0 to 1, not {wanted}")
    if as_class and number == 0:
        raise CallspaceError(f"--background {text}: with no background kept there is nothing to learn the class from")
    return BackgroundPolicy(cast(Kind, kind or "share"), number, as_class)


def policy_of(background: float, policy: str | None) -> BackgroundPolicy:
    """The policy that the columns `background` and `policy` of a table name; without the latter, a share."""
    kind, plus, _ = (policy or "share").partition("+")
    return BackgroundPolicy(cast(Kind, kind), float(background), bool(plus))


def keep_background(is_background: Sequence[bool], share: float, *, seed: int) -> np.ndarray:
    """Which windows stay when a share of the background is kept.

    Labelled windows all stay. A smaller share is a subset of a larger one under the same seed, so that policies differ in how much
    background there is and in nothing else.

    Parameters
    ----------
    is_background : sequence of bool
    share : float
        From 0 to 1; ``round(share * background windows)`` are kept.
    seed : int

    Returns
    -------
    bool[n]
    """
    if not 0 <= share <= 1:
        raise CallspaceError(f"the share of background kept must lie between 0 and 1, not {share:g}")
    return kept_background(is_background, BackgroundPolicy("share", share), seed=seed)


def kept_background(
    is_background: Sequence[bool],
    policy: BackgroundPolicy,
    *,
    seed: int,
    hardness: np.ndarray | None = None,
    window_ids: Sequence[int] | None = None,
) -> np.ndarray:
    """Which windows stay under a policy. Labelled windows all stay; of two amounts of one kind, the smaller is a subset of the larger.

    Parameters
    ----------
    is_background : sequence of bool
    policy : BackgroundPolicy
    seed : int
        Of shares and ratios, which are drawn alike: what a ratio comes to as a share has the windows of that share.
    hardness : float[n], optional
        From `background_hardness`; policies of the kind ``hard`` need it, and no seed.
    window_ids : sequence of int, optional
        Of windows that are equally hard, the one with the smaller number comes first; their order, when not given.

    Returns
    -------
    bool[n]
    """
    background = np.asarray(is_background, dtype=bool)
    keep = ~background
    places = np.flatnonzero(background)
    if policy.plain.kind == "hard":
        if hardness is None or len(hardness) != len(background):
            raise CallspaceError(f"the background policy '{policy.text}' needs to know how hard each window of train is")
        ids = np.arange(len(background)) if window_ids is None else np.asarray(window_ids)
        candidates = places[np.lexsort((ids[places], -np.asarray(hardness, dtype=np.float64)[places]))]
    else:
        candidates = np.random.default_rng([seed, 0xBAC6]).permutation(places)
    keep[candidates[: policy.kept(len(places), len(background) - len(places))]] = True
    return keep


def training_rows(dataset: Dataset, policy: BackgroundPolicy | str | float, *, seed: int, hardness: np.ndarray | None = None) -> list[int]:
    """Rows of the train split that remain under a background policy.

    Parameters
    ----------
    dataset : Dataset
    policy : BackgroundPolicy, str or float
    seed : int
    hardness : float[n], optional
        Of the windows of the train split, in their order; see `background_hardness`.
    """
    rows = dataset.rows("train")
    labels = dataset.windows["labels"]
    keep = kept_background(
        [not labels[row].as_py() for row in rows],
        parse_policy(policy, clean_all_allowed=True),
        seed=seed,
        hardness=hardness,
        window_ids=dataset.windows["window_id"].to_numpy()[rows],
    )
    return [row for row, kept in zip(rows, keep, strict=True) if kept]


def background_hardness(embeddings: np.ndarray, labelled: np.ndarray, groups: Sequence[str]) -> Floats:
    """How much each window looks like a labelled one to a probe that never saw its group.

    A logistic regression of labelled against background, on standardised embeddings. Whole groups are dealt into five parts with as
    even numbers of labelled windows as can be, and each part is judged by the probe of the others. Nothing here is drawn at random.

    Parameters
    ----------
    embeddings : float[n, d]
        Of the windows of the train split, by the frozen encoder.
    labelled : bool[n]
    groups : sequence of str
        What must not be on both sides: the windows' `group`.

    Returns
    -------
    float64[n]
        The probability of being labelled. Where all windows of the other groups are of one kind it is 1 or 0.

    Raises
    ------
    CallspaceError
        There are fewer than two groups.
    """
    labelled = np.asarray(labelled, dtype=bool)
    part = _parts(labelled, groups)
    features = np.asarray(embeddings, dtype=np.float64)
    hardness = np.empty(len(features))
    with one_thread():
        for number in np.unique(part):
            held = part == number
            mean, scale = standardiser(features[~held])
            targets = labelled[~held, None].astype(np.float64)
            if targets.min() == targets.max():
                hardness[held] = targets[0, 0]
                continue
            fit = regularisation_path((features[~held] - mean) / scale, targets, "sigmoid", (_C,))[_C]
            hardness[held] = fit.probabilities((features[held] - mean) / scale)[:, 0]
    return hardness


def _parts(labelled: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """int64[n]: a part for each window, whole groups together; the groups with most labelled windows are dealt first."""
    names, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < 2:
        raise CallspaceError(
            "the hardest background is found by a probe that never saw a window's group, and train has one group only: keep a share or a ratio"
        )
    calls, sizes = (np.bincount(group, weights=weights, minlength=len(names)) for weights in (labelled.astype(float), None))
    filled = np.zeros((min(_FOLDS, len(names)), 2))
    part_of = np.empty(len(names), dtype=np.int64)
    for number in np.lexsort((np.arange(len(names)), -sizes, -calls)):
        # The part with the fewest labelled windows so far; of equals, the one with the fewest windows.
        emptiest = np.lexsort((filled[:, 1], filled[:, 0]))[0]
        part_of[number] = emptiest
        filled[emptiest] += calls[number], sizes[number]
    return part_of[group]


def without_background(dataset: Dataset) -> Dataset:
    """The dataset of ``clean-all``: its background windows are in no split. Whatever was computed for its windows fits as it did."""
    splits = dataset.windows["split"].to_pylist()
    labels = dataset.windows["labels"].to_pylist()
    return dataset.with_splits([split if held else None for split, held in zip(splits, labels, strict=True)])


def with_background_class(targets: np.ndarray) -> np.ndarray:
    """float32[n, labels + 1]: the labels' 0 and 1, and a last column that is 1 where a window has none of them."""
    background = ~targets.any(axis=1, keepdims=True)
    return np.concatenate([targets, background.astype(targets.dtype)], axis=1)


def without_background_class(probabilities: np.ndarray, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """What a head says of the labels, and of labelled against background where background was a class of its own.

    Parameters
    ----------
    probabilities : float[n, labels] or float[n, labels + 1]
        Of the head's outputs; the last of one more than there are labels is background's.
    labels : sequence of str

    Returns
    -------
    float[n, labels], float[n] or None
        The probabilities of the labels; 1 less that of background, for `callspace.evaluation.predictions.head_predictions`.
    """
    if probabilities.shape[1] == len(labels):
        return probabilities, None
    if probabilities.shape[1] != len(labels) + 1:
        raise CallspaceError(f"a head with {probabilities.shape[1]} outputs is none of {len(labels)} labels, nor of these and background")
    return probabilities[:, :-1], 1 - probabilities[:, -1]
