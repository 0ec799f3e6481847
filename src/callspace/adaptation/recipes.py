"""How an encoder is fitted: the numbers of a training recipe, in one frozen place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints

from callspace.errors import CallspaceError

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """A training recipe. The defaults are those of `fair`, without anything that has to be asked for.

    Attributes
    ----------
    name : str
        Appears in the `recipe` column of results.
    learning_rates : tuple[float, ...]
        Each is tried; the best on valid is kept.
    head_rate : float
        The head's learning rate as a multiple of a pretrained backbone's: the head starts from nothing. A backbone with random
        weights does so too, and has its head's rate.
    max_epochs, patience : int
        At most so many epochs, and at most so many without a better score on valid.
    batch_size : int
    optimiser : "adam" | "adamw"
        The study's Adam adds the weight decay to the gradient; AdamW (I. Loshchilov and F. Hutter, ICLR 2019) shrinks the weights apart
        from it.
    weight_decay : float
        Of weights; never of biases and of what normalisations learn.
    warmup : float
        The share of all steps over which the learning rate rises from nothing.
    schedule : "constant" | "cosine"
        What the learning rate does after that: it stays, or it falls to nothing by the last epoch there can be.
    clip : float
        The greatest norm of all gradients together; 0 for none.
    label_smoothing : float
        The share of a label's 1 that goes to all labels alike (a clip), or the share by which every 0 and 1 moves to a half (a window).
    accumulate : int
        Batches whose gradients are added up for one step.
    precision : "auto" | "32" | "bf16" | "fp16"
        What the network computes in; front ends always in 32 bits. ``auto``: bf16 on a GPU that has it, else 32.
    layer_decay : float
        Each block's learning rate as a multiple of that of the block after it.
    unfreeze_every : int
        Epochs after which one more block is trained, from the last to the first; 0 trains all at once.
    probe_first : bool
        The head starts as a fitted linear probe (A. Kumar et al., "Fine-Tuning can Distort Pretrained Features", ICLR 2022).
    augment : "off" | "light" | "strong"
        Of train only; see `callspace.adaptation.augmentation`.
    mixup, cutmix : float
        The parameter of the Beta distribution that shares are drawn from; 0 for none.
    sampling : "all" | "sqrt" | "balanced"
        Every window once an epoch, or windows drawn so that the classes' shares are as the square roots of their counts, or equal.
    loss : "plain" | "focal" | "asymmetric"
        See `callspace.adaptation.losses`.
    class_weights : "none" | "sqrt" | "balanced"
        The weight of a class in the loss: one over its count, or over the square root of it.
    logit_adjustment : float
        How much of the logarithm of the classes' shares is added to the logits in training (A. Menon et al., ICLR 2021); 0 for none.
    """

    name: str = "fair"
    learning_rates: tuple[float, ...] = (5e-5, 5e-4)
    head_rate: float = 10.0
    max_epochs: int = 30
    patience: int = 5
    batch_size: int = 32
    optimiser: Literal["adam", "adamw"] = "adam"
    weight_decay: float = 0.0
    warmup: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    clip: float = 0.0
    label_smoothing: float = 0.0
    accumulate: int = 1
    precision: Literal["auto", "32", "bf16", "fp16"] = "auto"
    layer_decay: float = 1.0
    unfreeze_every: int = 0
    probe_first: bool = False
    augment: Literal["off", "light", "strong"] = "off"
    mixup: float = 0.0
    cutmix: float = 0.0
    sampling: Literal["all", "sqrt", "balanced"] = "all"
    loss: Literal["plain", "focal", "asymmetric"] = "plain"
    class_weights: Literal["none", "sqrt", "balanced"] = "none"
    logit_adjustment: float = 0.0

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            if get_origin(kind) is Literal and getattr(self, name) not in get_args(kind):
                raise CallspaceError(f"a recipe's {name} is one of {', '.join(get_args(kind))}, not '{getattr(self, name)}'")
        if not self.learning_rates or min(self.learning_rates) <= 0:
            raise CallspaceError("a recipe needs at least one learning rate, each above 0")
        if min(self.max_epochs, self.patience, self.batch_size, self.accumulate) < 1 or self.head_rate <= 0:
            raise CallspaceError("a recipe's epochs, patience, batch size and accumulation must be at least 1, and its head rate above 0")
        if not 0 < self.layer_decay <= 1 or not 0 <= self.warmup < 1 or not 0 <= self.label_smoothing < 1:
            raise CallspaceError(
                "a recipe's layer decay must lie above 0 and at most at 1, its warm-up and its label smoothing from 0 to below 1"
            )
        if min(self.weight_decay, self.clip, self.mixup, self.cutmix, self.logit_adjustment, self.unfreeze_every) < 0:
            raise CallspaceError("a recipe's weight decay, clipping, mixup, cutmix, logit adjustment and unfreezing must not be negative")
