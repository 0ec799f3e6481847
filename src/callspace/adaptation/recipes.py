"""How an encoder is fitted: the numbers of a training recipe, in one frozen place."""

from __future__ import annotations

from dataclasses import dataclass

from callspace.errors import CallspaceError

__all__ = ["REGIMES", "Recipe", "check_regime"]

#: Name of each regime, and what it fits.
REGIMES = {
    "frozen": "nothing: the encoder as it is, judged by probes",
    "linear": "a linear head on the frozen encoder",
    "full": "the whole encoder and a linear head",
}


@dataclass(frozen=True)
class Recipe:
    """A training recipe.

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
    """

    name: str = "fair"
    learning_rates: tuple[float, ...] = (5e-5, 5e-4)
    head_rate: float = 10.0
    max_epochs: int = 30
    patience: int = 5
    batch_size: int = 32

    def __post_init__(self) -> None:
        if not self.learning_rates or min(self.learning_rates) <= 0:
            raise CallspaceError("a recipe needs at least one learning rate, each above 0")
        if min(self.max_epochs, self.patience, self.batch_size) < 1 or self.head_rate <= 0:
            raise CallspaceError("a recipe's epochs, patience and batch size must be at least 1, and its head rate above 0")


def check_regime(regime: str) -> str:
    """The regime, if there is one of that name."""
    if regime not in REGIMES:
        raise CallspaceError(f"there is no regime '{regime}'; there are {', '.join(REGIMES)}")
    return regime
