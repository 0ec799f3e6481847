"""Probes: heads on the features of a frozen encoder, which are computed once. A new one is a line in `PROBES`.

==========  =================================================================  =======================  ===============================
kind        head                                                               features                 chosen on valid
==========  =================================================================  =======================  ===============================
linear      logistic regression, the judgement's linear probe                  embeddings               strength of the penalty
mlp         one hidden layer, trained by AdamW                                 embeddings               learning rate, decay, epoch
prototype   cosine with the mean of each class                                 embeddings               temperature
attentive   learnt pooling and a linear head, trained by AdamW                 tokens                   learning rate, epoch
==========  =================================================================  =======================  ===============================

Features are standardised by the mean and the standard deviation of the train split. The first of equals on valid is taken, which is the most
regularised; of linear heads that under which valid is likeliest. Without anything to choose by in valid (no windows; none with a label that
train has) defaults are used and a note says so. A label that train never shows scores as good as never.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from callspace.adaptation.fitted import Examples, Fitted
from callspace.adaptation.recipes import Recipe
from callspace.errors import CallspaceError
from callspace.progress import SILENT, Progress

if TYPE_CHECKING:
    import torch

    from callspace.adaptation.fitted import Loss
    from callspace.adaptation.grids import Grid

__all__ = ["PROBES", "Fitted", "Probe", "fit_probe"]


@dataclass(frozen=True)
class _Settings:
    task: str
    loss: Loss
    seed: int
    device: torch.device | str
    grid: Grid | None
    advance: Callable[[int], None]


@dataclass(frozen=True)
class Probe:
    """A kind of probe: what it is called in a progress bar, its steps there, and the function that fits it."""

    about: str
    steps: Callable[[], int]
    fit: Callable[[Examples, Examples, _Settings], Fitted]


def _linear(train: Examples, valid: Examples, settings: _Settings) -> Fitted:
    from callspace.adaptation.linear import fit_linear

    return fit_linear(train, valid, task=settings.task, advance=settings.advance)


def _prototype(train: Examples, valid: Examples, settings: _Settings) -> Fitted:
    from callspace.adaptation.prototype import fit_prototype

    return fit_prototype(train, valid, task=settings.task, advance=settings.advance)


def _mlp(train: Examples, valid: Examples, settings: _Settings) -> Fitted:
    from callspace.adaptation.mlp import fit_mlp

    return fit_mlp(train, valid, **_trained(settings))


def _attentive(train: Examples, valid: Examples, settings: _Settings) -> Fitted:
    from callspace.adaptation.attentive import fit_attentive

    return fit_attentive(train, valid, **_trained(settings))


def _trained(settings: _Settings) -> dict[str, Any]:
    given = {name: getattr(settings, name) for name in ("task", "loss", "seed", "device", "advance")}
    return given if settings.grid is None else given | {"grid": settings.grid}


def _mlp_epochs() -> int:
    from callspace.adaptation.mlp import MLP_GRID

    return MLP_GRID.max_epochs


def _attentive_epochs() -> int:
    from callspace.adaptation.attentive import ATTENTIVE_GRID

    return ATTENTIVE_GRID.max_epochs


def _strengths() -> int:
    from callspace.adaptation.logistic import C_GRID

    return len(C_GRID)


#: Name -> what it is; the names are those of `callspace.adaptation.regimes.Regime.head`.
PROBES: dict[str, Probe] = {
    "linear": Probe("a linear head", _strengths, _linear),
    "mlp": Probe("heads with a hidden layer", _mlp_epochs, _mlp),
    "prototype": Probe("class prototypes", lambda: 1, _prototype),
    "attentive": Probe("attentive probes", _attentive_epochs, _attentive),
}


def fit_probe(
    kind: str,
    features: Any,
    targets: np.ndarray,
    valid_features: Any,
    valid_targets: np.ndarray,
    *,
    task: str,
    recipe: Recipe | None = None,
    seed: int = 0,
    loss: Loss | None = None,
    grid: Grid | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = SILENT,
) -> Fitted:
    """Fit a probe on features of a frozen encoder, and choose its settings on valid.

    Parameters
    ----------
    kind : str
        Of `PROBES`.
    features, valid_features : float[n, d], or for ``attentive`` a `callspace.adaptation.attentive.TokenSource`
        Tokens float32[n, tokens, dim] with counts int64[n] are one as ``CachedTokens.padded(tokens, counts)``.
    targets, valid_targets : float32[n, labels]
        0 and 1; exactly one 1 a row where the task is classification.
    task : "classification" | "detection"
    recipe : Recipe, optional
        Of ``mlp`` and ``attentive`` it fixes the loss (`callspace.adaptation.losses`); the rates that are tried and the length of the
        training are a probe's own.
    seed : int
        Of first weights, the order of the windows and dropout; ``linear`` and ``prototype`` have nothing random.
    loss : callable, optional
        In place of the recipe's: from logits and targets, float32[batch, labels], to the mean loss of a batch.
    grid : Grid, optional
        What ``mlp`` and ``attentive`` try, in place of `callspace.adaptation.mlp.MLP_GRID` and
        `callspace.adaptation.attentive.ATTENTIVE_GRID`.
    device : torch.device
        Where ``mlp`` and ``attentive`` are trained.
    progress : Progress

    Returns
    -------
    Fitted

    Raises
    ------
    CallspaceError
        There is no such probe; train has no windows or no labels; a feature is not a number; or training diverged in every setting.
    """
    if kind not in PROBES:
        raise CallspaceError(f"there is no probe '{kind}'; there are {', '.join(PROBES)}")
    train = Examples(features, np.asarray(targets, dtype=np.float32))
    valid = Examples(valid_features, np.asarray(valid_targets, dtype=np.float32))
    for examples, split in ((train, "train"), (valid, "valid")):
        _check(examples, split)
    if not len(train.targets):
        raise CallspaceError(f"the train split has no windows: there is nothing to fit {PROBES[kind].about} to")
    if not train.known.any():
        raise CallspaceError(f"no window of the train split has a label: there is nothing to fit {PROBES[kind].about} to")
    probe = PROBES[kind]
    steps = probe.steps() if grid is None else grid.max_epochs
    with progress.task(f"fitting {probe.about}", steps) as advance:
        return probe.fit(train, valid, _Settings(task, loss or _loss_of(task, recipe, train), seed, device, grid, advance))


def _loss_of(task: str, recipe: Recipe | None, train: Examples) -> Loss:
    from callspace.adaptation.losses import loss_function

    return loss_function(task, recipe or Recipe(), train.targets)


def _check(examples: Examples, split: str) -> None:
    if len(examples.features) != len(examples.targets):
        raise ValueError(f"{len(examples.features)} features and {len(examples.targets)} targets of {split}: they must be as many")
    finite = _finite(examples.features)
    if finite is None or finite.all():
        return
    bad = np.flatnonzero(~finite)
    raise CallspaceError(
        f"{len(bad)} of the {len(finite)} windows of the {split} split have embeddings that are not numbers (NaN or infinite), the first "
        f"is number {bad[0]} of the split: look at its recording, or leave it out"
    )


def _finite(features: Any) -> np.ndarray | None:
    """bool[n]; None of tokens that are made anew each epoch: if they are no numbers, training diverges."""
    if isinstance(features, np.ndarray):
        return np.asarray(np.isfinite(features).all(axis=1))
    return features.finite().numpy() if hasattr(features, "finite") else None
