"""Protocols: the fixed choices of a comparison, each a small TOML file that a user can read, copy and edit."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from callspace.adaptation.recipes import Recipe
from callspace.errors import CallspaceError
from callspace.evaluation.clusterers import CLUSTERERS
from callspace.evaluation.spaces import parse_space

__all__ = ["Protocol", "load_protocol", "protocol_names"]

_Rate = Annotated[float, Field(gt=0, lt=1)]


class _Training(BaseModel):
    model_config = ConfigDict(extra="forbid")

    learning_rates: list[_Rate] = Field(min_length=1)
    learning_rates_of: dict[str, list[_Rate]] = {}
    head_rate: float = Field(default=1.0, gt=0)
    max_epochs: int = Field(ge=1)
    patience: int = Field(ge=1)
    batch_size: int = Field(default=32, ge=1)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    seeds: int = Field(ge=1)
    spaces: list[str] = Field(min_length=1)
    clusterers: list[str] = Field(min_length=1)
    label_rule: Literal["first", "drop"] = "first"
    bootstrap: int = Field(default=1000, ge=0)
    front_end: Literal["logmel", "power"] = "logmel"
    training: _Training


@dataclass(frozen=True)
class Protocol:
    """A protocol, checked. `text` is the file as the user can read it."""

    name: str
    seeds: int
    spaces: tuple[str, ...]
    clusterers: tuple[str, ...]
    label_rule: str
    bootstrap: int
    front_end: str
    recipe: Recipe
    rates_of: dict[str, tuple[float, ...]]
    text: str

    def recipe_for(self, encoder: str) -> Recipe:
        """The training recipe of an encoder: by its full name, without ``:random``, by its family (before the first ``-``), or the common one."""
        from dataclasses import replace

        base = encoder.split(":", maxsplit=1)[0]
        for name in (encoder, base, base.split("-")[0]):
            if name in self.rates_of:
                return replace(self.recipe, learning_rates=self.rates_of[name])
        return self.recipe


def protocol_names() -> list[str]:
    """The protocols that come with callspace."""
    return sorted(entry.name.removesuffix(".toml") for entry in _shipped().iterdir() if entry.name.endswith(".toml"))


def load_protocol(name: str | Path) -> Protocol:
    """A shipped protocol by name, or a user's TOML file.

    Raises
    ------
    CallspaceError
        There is none of that name, or the file has a wrong or unknown entry.
    """
    if str(name) in protocol_names():
        text = (_shipped() / f"{name}.toml").read_text(encoding="utf-8")
    elif Path(name).is_file():
        text = _read(Path(name))
    else:
        raise CallspaceError(f"there is no protocol '{name}': choose {' or '.join(protocol_names())}, or name a TOML file")
    try:
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise CallspaceError(f"protocol '{name}' is not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise CallspaceError(f"protocol '{name}': {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for space in file.spaces:
        parse_space(space)
    if unknown := [clusterer for clusterer in file.clusterers if clusterer not in CLUSTERERS]:
        raise CallspaceError(f"protocol '{name}': there is no clusterer '{unknown[0]}'; there are {', '.join(CLUSTERERS)}")
    training = file.training
    return Protocol(
        name=file.name,
        seeds=file.seeds,
        spaces=tuple(file.spaces),
        clusterers=tuple(file.clusterers),
        label_rule=file.label_rule,
        bootstrap=file.bootstrap,
        front_end=file.front_end,
        recipe=Recipe(
            name=file.name,
            learning_rates=tuple(training.learning_rates),
            head_rate=training.head_rate,
            max_epochs=training.max_epochs,
            patience=training.patience,
            batch_size=training.batch_size,
        ),
        rates_of={key: tuple(rates) for key, rates in training.learning_rates_of.items()},
        text=text,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CallspaceError(f"protocol '{path}' is not UTF-8 text: save it as UTF-8") from None


def _shipped() -> resources.abc.Traversable:
    return resources.files("callspace.bench") / "protocols"
