"""Losses of training: what a recipe asks for where classes are unlike in number, or labels not quite to be trusted.

- ``plain``: cross-entropy of a clip, binary cross-entropy of each label of a soundscape's window.
- ``focal``: what is already told well counts little: each term times ``(1 - p)^2``, p the probability of what is right (T.-Y. Lin et al.,
  "Focal Loss for Dense Object Detection", ICCV 2017; gamma 2, its alpha is the class weights here).
- ``asymmetric``: of soundscapes only: a label that is off counts as ``p^4``, and not at all where p is at most 0.05, while one that is on
  counts in full (T. Ridnik et al., "Asymmetric Loss for Multi-Label Classification", ICCV 2021; gamma- 4, gamma+ 0, margin 0.05).

Any of them goes with label smoothing, class weights and logit adjustment (A. K. Menon et al., "Long-Tail Learning via Logit Adjustment",
ICLR 2021: training sees the logits plus tau times the logarithm of the prior, or of its odds for a sigmoid; nothing else does). Valid is
judged by `callspace.adaptation.targets.loss_of` whatever the recipe.

Conventions: logits float[batch, labels]; targets float[batch, labels] from 0 to 1, soft where clips are mixed; a window of background is
all zeros; a loss is the mean over the batch, of soundscapes over the labels too. Weights of a batch are not normalised once more, so that
the mean over an epoch is that over its windows; PyTorch does so too where targets are probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from callspace.adaptation.fitted import Loss
from callspace.adaptation.recipes import Recipe
from callspace.adaptation.targets import loss_of
from callspace.errors import CallspaceError

__all__ = ["class_weights", "effective_weights", "logit_adjustments", "loss_function"]

_FOCAL_GAMMA = 2
_ASYMMETRIC_GAMMA = 4
_ASYMMETRIC_MARGIN = 0.05
#: What a label counts as that no window of train has, or all have: log odds stay finite, even of a single window.
_LEAST_COUNT = 0.5


def loss_function(task: str, recipe: Recipe, train_targets: NDArray[np.float32]) -> Loss:
    """The loss that `recipe` is trained with.

    Parameters
    ----------
    task : "classification" | "detection"
    recipe : Recipe
        Its `loss`, `label_smoothing`, `class_weights` and `logit_adjustment`; targets are soft if its `mixup` or `cutmix` is above 0.
    train_targets : float32[windows, labels]
        Of all windows that are trained on, 0 and 1: what the classes' shares are known from.

    Returns
    -------
    Callable
        From logits and targets, both float[batch, labels], to the loss. With nothing asked for it is `loss_of` itself. It computes in 32
        bits at least, and has a finite gradient at finite logits, labels that train never shows included.

    Raises
    ------
    CallspaceError
        ``asymmetric`` for clips: where one label is on and the others therefore off, it is the plain loss.
    """
    if recipe.loss == "asymmetric" and task == "classification":
        raise CallspaceError(
            "the asymmetric loss weighs labels that are off against those that are on, each apart, which the one label of a clip is not: "
            "choose the focal loss, or class weights"
        )
    asked = recipe.label_smoothing or recipe.class_weights != "none" or recipe.logit_adjustment or recipe.loss != "plain"
    soft = recipe.mixup > 0 or recipe.cutmix > 0
    if not asked and (task == "detection" or not soft):
        return lambda logits, targets: loss_of(task, _full_precision(logits), targets)
    weights = torch.from_numpy(class_weights(recipe.class_weights, train_targets))
    shift = torch.from_numpy(logit_adjustments(task, recipe.logit_adjustment, train_targets))
    terms = _exclusive if task == "classification" else _independent

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        logits = _full_precision(logits)
        if recipe.logit_adjustment:
            logits = logits + shift.to(logits)
        least = 1 / targets.shape[1] if task == "classification" else 0.5
        targets = targets.to(logits) * (1 - recipe.label_smoothing) + recipe.label_smoothing * least
        return terms(recipe.loss, logits, targets, weights.to(logits))

    return loss


def class_weights(how: Literal["none", "sqrt", "balanced"], train_targets: NDArray) -> NDArray[np.float64]:
    """How much a label counts in the loss where it is on: one over its count or the square root of that, on average 1.

    The average is that over all labels of all windows of train, so that weights move the loss from frequent to rare labels and leave its
    size, and with it the learning rate, as they were. Where a label is off it counts 1: a window of background, which has none, is
    weighed by the background policy alone, and a soundscape's weights are PyTorch's `pos_weight`. A label that train never shows counts 1.

    Parameters
    ----------
    how : "none" | "sqrt" | "balanced"
    train_targets : float[windows, labels]

    Returns
    -------
    float64[labels]
    """
    counts = np.asarray(train_targets, dtype=np.float64).sum(axis=0)
    shown = counts > 0
    weights = np.ones(len(counts))
    if how == "none" or not shown.any():
        return weights
    raw = counts[shown] ** (-1.0 if how == "balanced" else -0.5)
    weights[shown] = raw * counts.sum() / (raw * counts[shown]).sum()
    return weights


def logit_adjustments(task: str, tau: float, train_targets: NDArray) -> NDArray[np.float64]:
    """What training adds to each logit: `tau` times the logarithm of the label's share of the windows, or of the odds of it.

    The shares are those of the windows, not of what balanced sampling draws: asked for together, both count. A label that train never
    shows, or always, counts as if half a window were otherwise.

    Returns
    -------
    float64[labels]
    """
    counts = np.asarray(train_targets, dtype=np.float64).sum(axis=0)
    windows = max(len(train_targets), 1)
    on = np.maximum(counts, _LEAST_COUNT)
    if task == "classification":
        return tau * np.log(on / windows)
    on = np.minimum(on, windows - _LEAST_COUNT)
    return tau * np.log(on / (windows - on))


def effective_weights(recipe: Recipe, train_targets: NDArray, labels: Sequence[str]) -> dict[str, float]:
    """The weight of each label as training used it, ready for JSON."""
    return dict(zip(labels, class_weights(recipe.class_weights, train_targets).tolist(), strict=True))


def _exclusive(kind: str, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of a softmax, or its focal form; the weights go with the labels, smoothed ones too, as in PyTorch."""
    log_p = functional.log_softmax(logits, dim=1)
    surprise = -log_p
    if kind == "focal":
        surprise = surprise * (-torch.expm1(log_p)) ** _FOCAL_GAMMA
    return (targets * weights * surprise).sum(dim=1).mean()


def _independent(kind: str, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of a sigmoid each, or its focal or asymmetric form, the mean over windows and labels."""
    on, off = -functional.logsigmoid(logits), -functional.logsigmoid(-logits)
    if kind == "focal":
        on, off = on * torch.sigmoid(-logits) ** _FOCAL_GAMMA, off * torch.sigmoid(logits) ** _FOCAL_GAMMA
    elif kind == "asymmetric":
        p = (torch.sigmoid(logits) - _ASYMMETRIC_MARGIN).clamp(min=0)
        off = -torch.log1p(-p) * p**_ASYMMETRIC_GAMMA
    return (targets * weights * on + (1 - targets) * off).mean()


def _full_precision(logits: Tensor) -> Tensor:
    """Logits in 32 bits where the network computes in 16: logarithms of shares need them."""
    return logits if logits.dtype in (torch.float32, torch.float64) else logits.float()
