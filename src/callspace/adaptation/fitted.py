"""What probes take and give: features with their targets, and a head with what was chosen on valid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["NEVER", "Examples", "Fitted", "Loss", "can_judge"]

#: The logit of a label that train never shows: as good as never, and finite.
NEVER = -20.0

#: From logits and targets, float32[batch, labels] both, to the mean loss of the batch.
Loss = Callable[["Tensor", "Tensor"], "Tensor"]

Features = TypeVar("Features")


@dataclass(frozen=True)
class Examples(Generic[Features]):
    """The windows of a split.

    Attributes
    ----------
    features : float32[n, d], or a `callspace.adaptation.attentive.TokenSource`
    targets : float32[n, labels]
        0 and 1; exactly one 1 a row where the task is classification.
    """

    features: Features
    targets: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """bool[labels]: which labels any of the windows has."""
        return np.asarray(self.targets.any(axis=0))


@dataclass(frozen=True)
class Fitted:
    """A fitted probe.

    Attributes
    ----------
    head : nn.Module
        From an embedding to one logit a label, in evaluation mode.
    choice : dict
        The settings that were best on valid; of equals the first, which is the most regularised, and for a linear head the likeliest.
    valid_score : float | None
        Its accuracy or mAP on valid; None where valid has nothing to judge by.
    history : list of dict
        A row an epoch and setting, of probes that are trained.
    trials : list of dict
        What came of each setting that was tried: its numbers, ``valid_score`` and ``outcome``.
    pooler : nn.Module | None
        What makes the embedding from tokens, of the attentive probe.
    notes : list of str
        What a reader of the result should know, in sentences.
    """

    head: nn.Module
    choice: dict[str, Any]
    valid_score: float | None
    history: list[dict[str, Any]] = field(default_factory=list)
    trials: list[dict[str, Any]] = field(default_factory=list)
    pooler: nn.Module | None = None
    notes: list[str] = field(default_factory=list)


def can_judge(task: str, valid_targets: np.ndarray, known: np.ndarray | None = None) -> bool:
    """Whether a choice can be made on valid: it has windows, and where average precision judges, labelled ones.

    With `known`, bool[labels], the labels that train has: any of the windows has one of those, since of others every fit says the same.
    """
    if known is not None:
        return bool(valid_targets[:, known].any())
    return bool(len(valid_targets)) and (task == "classification" or bool(valid_targets.any()))
