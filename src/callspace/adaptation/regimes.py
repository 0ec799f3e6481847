"""Regimes: how an encoder meets the labels. A new one is a line in `REGIMES`.

Probes leave the encoder as it is and fit a head on its embeddings, which are computed once. What tunes changes the network itself: its
last blocks, adapters of low rank (LoRA), or all of it. A regime is written by its name, and where it has a number of its own, with that:
``last:2`` trains the last two blocks, ``lora:16`` has adapters of rank 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from callspace.errors import CallspaceError

__all__ = ["REGIMES", "Regime", "check_regime", "regime_of"]

Trains = Literal["nothing", "blocks", "adapters", "everything"]


@dataclass(frozen=True)
class Regime:
    """How an encoder meets the labels.

    Attributes
    ----------
    name : str
        As it is written, with its number where that is not the default.
    about : str
        What it fits, in a few words.
    words : str
        As a sentence has it: "resnet18 `words`".
    head : "linear" | "mlp" | "attentive" | "prototype" | ""
        What is fitted on the embedding; nothing for ``frozen``.
    trains : "nothing" | "blocks" | "adapters" | "everything"
        What of the backbone is trained.
    number : int | None
        Blocks or rank, of the regimes that have one.
    recipe : mapping
        Fields of `callspace.adaptation.recipes.Recipe` that the regime fixes.
    cost : int
        Of equals on valid, the regime that costs less is chosen.
    """

    name: str
    about: str
    words: str
    head: str = "linear"
    trains: Trains = "nothing"
    number: int | None = None
    recipe: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    cost: int = 0

    @property
    def tunes(self) -> bool:
        """Whether the backbone is changed: only then is it fine-tuning."""
        return self.trains != "nothing"

    @property
    def changes_embedding(self) -> bool:
        """Whether the tuned encoder's embedding is another than the frozen one's; an attentive probe pools anew."""
        return self.tunes or self.head == "attentive"


REGIMES = {
    regime.name: regime
    for regime in (
        Regime("frozen", "nothing: the encoder as it is, judged by probes", "frozen", head="", cost=1),
        Regime("prototype", "the mean of each class, on the frozen encoder", "with class prototypes", head="prototype"),
        Regime("linear", "a linear head on the frozen encoder", "with a linear head"),
        Regime("mlp", "a head with one hidden layer on the frozen encoder", "with a hidden layer and a linear head", head="mlp", cost=1),
        Regime(
            "attentive", "learnt pooling of the frozen encoder's frames, and a linear head", "with learnt pooling", head="attentive", cost=2
        ),
        Regime(
            "last", "the last block, or last:N blocks, and a linear head", "with its last {number} tuned", trains="blocks", number=1, cost=3
        ),
        Regime("lora", "adapters of rank 8, or lora:RANK, and a linear head", "tuned by LoRA", trains="adapters", number=8, cost=3),
        Regime("full", "the whole encoder and a linear head", "fully fine-tuned", trains="everything", cost=4),
        Regime(
            "lp-ft",
            "the whole encoder, from a linear head that was fitted first",
            "fully fine-tuned after a probe",
            trains="everything",
            recipe=MappingProxyType({"probe_first": True}),
            cost=5,
        ),
        Regime(
            "decay",
            "the whole encoder, each block at three quarters of the learning rate of the one after it",
            "fully fine-tuned with decaying rates",
            trains="everything",
            recipe=MappingProxyType({"layer_decay": 0.75}),
            cost=4,
        ),
        Regime(
            "gradual",
            "the whole encoder, block by block from the last, one more every second epoch",
            "gradually unfrozen",
            trains="everything",
            recipe=MappingProxyType({"unfreeze_every": 2}),
            cost=4,
        ),
    )
}


def regime_of(text: str) -> Regime:
    """The regime that is written so.

    Raises
    ------
    CallspaceError
        There is none of that name, or its number is none.

    Examples
    --------
    >>> regime_of("last:2").number
    2
    """
    name, _, number = text.partition(":")
    if name not in REGIMES:
        raise CallspaceError(f"there is no regime '{text}'; there are {', '.join(REGIMES)}")
    regime = REGIMES[name]
    if not number and ":" not in text:
        return _counted(regime)
    if regime.number is None:
        raise CallspaceError(f"the regime '{name}' takes no number: write '{name}', not '{text}'")
    if not number.isdecimal() or int(number) < 1:
        raise CallspaceError(f"'{text}': write {name}:N, N a whole number from 1 up")
    return _counted(replace(regime, name=name if int(number) == regime.number else f"{name}:{int(number)}", number=int(number)))


def _counted(regime: Regime) -> Regime:
    blocks = "block" if regime.number == 1 else f"{regime.number} blocks"
    return replace(regime, words=regime.words.format(number=blocks))


def check_regime(regime: str) -> str:
    """The regime's name as it is kept in tables, if there is one that is written so."""
    return regime_of(regime).name
