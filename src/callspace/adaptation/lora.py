"""Adapters of low rank on a network's linear maps and convolutions (LoRA: E. Hu et al., ICLR 2022), through peft.

Each family of encoders says which of its modules take adapters (`Encoder.lora_targets`). After training they are merged: the tuned network
has the published layout again, and embeds as fast as before.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import torch

from callspace.adaptation.parts import Trained
from callspace.errors import CallspaceError

if TYPE_CHECKING:
    from callspace.encoders.contract import Encoder

__all__ = ["add_adapters", "merge_adapters"]


def add_adapters(encoder: Encoder, rank: int, *, seed: int) -> Trained:
    """Put adapters of a rank into an encoder's network, in place; they change nothing until they are trained.

    Their scale is 2 (alpha is twice the rank), as is common. First weights are drawn from `seed`.

    Raises
    ------
    CallspaceError
        The encoder has no module that takes any.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    targets = encoder.lora_targets()
    if not targets:
        raise CallspaceError(f"encoder '{encoder.spec.name}' has nothing that takes adapters: choose the regime 'full', 'last' or 'linear'")
    first = _first_block(encoder, targets)
    own = {parameter: parameter.requires_grad for parameter in encoder.network.parameters()}
    pattern = "|".join(re.escape(name) for name in targets)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=f"(?:{pattern})", lora_dropout=0.0, bias="none")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        inject_adapter_in_model(config, encoder.network)
    for parameter, wanted in own.items():  # peft freezes all but the adapters; which parameters are trained, the fit itself says
        parameter.requires_grad_(wanted)
    parameters = [
        parameter
        for module in encoder.network.modules()
        if isinstance(module, LoraLayer)
        for name, parameter in module.named_parameters()
        if "lora_" in name
    ]
    return Trained((tuple(parameters),), first=first)


def merge_adapters(encoder: Encoder) -> None:
    """Add what the adapters have learnt to the weights, and take them out, in place."""
    from peft.tuners.lora import LoraLayer

    adapted = [(name, module) for name, module in encoder.network.named_modules() if isinstance(module, LoraLayer)]
    for name, module in adapted:
        module.merge()
        parent, _, own = name.rpartition(".")
        setattr(encoder.network.get_submodule(parent), own, module.get_base_layer())


def _first_block(encoder: Encoder, targets: list[str]) -> int:
    """The number of the first block that has an adapter in it."""
    blocks = [set(block.parameters) for block in encoder.blocks()]
    adapted = {parameter for name in targets for parameter in encoder.network.get_submodule(name).parameters()}
    return next((number for number, block in enumerate(blocks) if block & adapted), 0)
