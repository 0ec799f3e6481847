"""Which parts of an encoder a regime trains, in what order they thaw, and at what learning rate each.

What is not trained is left as it is in every way: its parameters get no gradient, and its batch normalisation and dropout behave as in
evaluation, or a "frozen" network would drift with the statistics of the batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from callspace.adaptation.recipes import Recipe
from callspace.adaptation.regimes import Regime
from callspace.errors import CallspaceError

if TYPE_CHECKING:
    from callspace.encoders.contract import Encoder

__all__ = ["Trained", "ask_gradients_of", "only_training", "parameter_groups", "set_modes", "trained_by"]


@dataclass(frozen=True)
class Trained:
    """What a regime trains of an encoder.

    Attributes
    ----------
    groups : tuple of tuple of nn.Parameter
        From the input to the output: the blocks, or all adapters together.
    first : int
        The number of the block before which nothing is trained: what goes into it can be computed once.
    """

    groups: tuple[tuple[nn.Parameter, ...], ...]
    first: int = 0

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All of them."""
        return [parameter for group in self.groups for parameter in group]

    def thawed(self, epoch: int, every: int) -> tuple[tuple[nn.Parameter, ...], ...]:
        """The groups that are trained in an epoch (from 1) when one more thaws every so many epochs, from the last; 0: all at once."""
        if not every:
            return self.groups
        return self.groups[-min(len(self.groups), 1 + (epoch - 1) // every) :]


def trained_by(regime: Regime, encoder: Encoder) -> Trained:
    """The parameters of an encoder that a regime trains; for adapters, `callspace.adaptation.lora` says.

    Raises
    ------
    CallspaceError
        There is nothing to train: such a regime must not call itself fine-tuning.
    """
    blocks = encoder.blocks()
    pooler = tuple(encoder.pooler.parameters()) if encoder.pooler is not None else ()
    if not blocks:
        raise CallspaceError(f"encoder '{encoder.spec.name}' has nothing to train: use a probe such as the regime 'linear'")
    if regime.trains == "blocks" and (regime.number or 1) > len(blocks):
        raise CallspaceError(f"encoder '{encoder.spec.name}' has {len(blocks)} blocks: choose last:1 to last:{len(blocks)}, or full")
    kept = blocks if regime.trains == "everything" else blocks[-(regime.number or 1) :]
    groups = [block.parameters for block in kept] + ([pooler] if pooler else [])
    return Trained(tuple(groups), first=len(blocks) - len(kept))


@contextmanager
def only_training(module: nn.Module, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """A block in which `parameters` alone want a gradient; afterwards every parameter wants what it wanted before."""
    own = {parameter: parameter.requires_grad for parameter in module.parameters()}
    try:
        ask_gradients_of(module, parameters)
        yield
    finally:  # or tuning it again at a deeper layer would leave out what this fit did not train
        for parameter, wanted in own.items():
            parameter.requires_grad_(wanted)


def ask_gradients_of(module: nn.Module, parameters: Sequence[nn.Parameter]) -> None:
    """Let `parameters` alone, of a module's, want a gradient."""
    chosen = set(parameters)
    for parameter in module.parameters():
        parameter.requires_grad_(parameter in chosen)


def set_modes(module: nn.Module) -> None:
    """Training mode for what is trained, evaluation mode for whatever has parameters and trains none of them.

    Parts without parameters (dropout, activations) behave as what they are part of.
    """
    module.train()
    whole = all(parameter.requires_grad for parameter in module.parameters())
    for part in module.modules():
        own = list(part.parameters())
        frozen = bool(own) and not any(parameter.requires_grad for parameter in own)
        # Statistics are no parameters, but they are part of what must not change.
        if frozen or (not own and not whole and getattr(part, "track_running_stats", False)):
            part.eval()


def parameter_groups(trained: Trained, head: nn.Module, recipe: Recipe, rate: float) -> list[dict[str, Any]]:
    """The groups an optimiser takes: each block's learning rate, and weight decay for weights alone.

    A bias, and what a normalisation learns, has one axis: shrinking it would not make the network simpler.
    """
    depth = len(trained.groups)
    rates = [rate * recipe.layer_decay ** (depth - 1 - number) for number in range(depth)]
    groups: list[dict[str, Any]] = []
    for own, parameters in [*zip(rates, trained.groups, strict=True), (rate * recipe.head_rate, tuple(head.parameters()))]:
        if not recipe.weight_decay:
            groups.append({"params": list(parameters), "lr": own})
            continue
        for kind, decay in ((True, recipe.weight_decay), (False, 0.0)):
            if some := [parameter for parameter in parameters if (parameter.ndim > 1) is kind]:
                groups.append({"params": some, "lr": own, "weight_decay": decay})
    return groups
