"""One label a window, by a rule that has a name: what clustering needs and a window with several labels does not have.

- ``first`` (the default, and the study's): the first of its labels in the order of the vocabulary.
- ``drop``: a window with several labels has none and is left out of whatever needs one.
- ``each``: a window counts for each of its labels. Every label in turn is set against the rest, and the scores whose names end in
  ``_each`` are means over the labels present (`callspace.metrics.one_against_rest` says what they are). What needs one label a window
  all the same (NMI, the number of clusters) takes the ``first``, and its rows say so.

A window without labels in a detection set is of class ``background``; in a classification set it is left out.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from callspace.errors import CallspaceError

__all__ = ["BACKGROUND", "LabelRule", "Task", "label_matrix", "membership", "several", "single_labels", "validate_labels"]

BACKGROUND = "background"
LabelRule = Literal["first", "drop", "each"]
Task = Literal["classification", "detection"]


def validate_labels(window_labels: Sequence[Sequence[str]], vocabulary: Sequence[str], task: str) -> None:
    """Refuse an unknown task, a vocabulary that repeats itself or calls a class background, and labels that do not fit it or the task.

    Raises
    ------
    CallspaceError
        Naming what is wrong.
    """
    if task not in get_args(Task):
        raise CallspaceError(f"unknown task {task!r}: choose one of {', '.join(get_args(Task))}")
    if len(set(vocabulary)) != len(vocabulary):
        raise CallspaceError("the vocabulary names a label twice")
    if task == "detection" and BACKGROUND in vocabulary:
        raise CallspaceError(f"{BACKGROUND!r} is what windows without a label are called: rename that label, or remove its annotations")
    unknown = sorted({label for labels in window_labels for label in labels or ()} - set(vocabulary))
    if unknown:
        raise CallspaceError(f"windows have labels that the vocabulary does not: {', '.join(unknown[:5])}")
    if task == "classification" and (many := [set(labels) for labels in window_labels if len(set(labels or ())) > 1]):
        raise CallspaceError(
            f"{len(many)} of {len(window_labels)} windows have several labels, the first {' and '.join(sorted(many[0]))}: "
            "in classification each window has one; judge them as detection"
        )


def label_matrix(window_labels: Sequence[Sequence[str]], vocabulary: Sequence[str]) -> NDArray[np.bool_]:
    """bool[n, labels]: which labels each window has, in the order of the vocabulary."""
    position = {label: at for at, label in enumerate(vocabulary)}
    matrix = np.zeros((len(window_labels), len(vocabulary)), dtype=bool)
    for row, labels in enumerate(window_labels):
        matrix[row, [position[label] for label in labels or ()]] = True
    return matrix


def membership(matrix: NDArray[np.bool_], task: str) -> NDArray[np.bool_]:
    """The classes of each window for the rule ``each``: bool[n, labels], and in detection one more, background."""
    if task != "detection":
        return matrix
    return np.concatenate([matrix, ~matrix.any(axis=1, keepdims=True)], axis=1)


def several(matrix: NDArray[np.bool_]) -> float:
    """The share of the labelled windows that have several labels; 0 without any."""
    counts = matrix.sum(axis=1)
    return float((counts > 1).sum() / max((counts > 0).sum(), 1))


def single_labels(window_labels: Sequence[Sequence[str]], vocabulary: Sequence[str], task: str, rule: str = "first") -> list[str | None]:
    """The label of each window by `rule`; None for a window that has none.

    Parameters
    ----------
    window_labels
        The labels of each window, in any order.
    vocabulary
        All labels, in order.
    task
        ``"classification"`` or ``"detection"``.
    rule
        ``"first"``, ``"drop"`` or ``"each"``, which takes the first where there must be one.

    Raises
    ------
    CallspaceError
        For an unknown rule or task, or labels that are not in the vocabulary.
    """
    validate_labels(window_labels, vocabulary, task)
    if rule not in get_args(LabelRule):
        raise CallspaceError(f"unknown label rule {rule!r}: choose one of {', '.join(get_args(LabelRule))}")
    position = {label: at for at, label in enumerate(vocabulary)}
    without = BACKGROUND if task == "detection" else None

    def one(labels: Sequence[str]) -> str | None:
        if not labels:
            return without
        if rule == "drop" and len(set(labels)) > 1:
            return None
        return min(labels, key=position.__getitem__)

    return [one(labels) for labels in window_labels]
