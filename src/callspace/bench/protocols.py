"""Protocols: the fixed choices of a comparison, each a small TOML file that a user can read, copy and edit."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
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
    """The fields of `callspace.adaptation.recipes.Recipe`, which says what they mean, and the rates of single encoders."""

    model_config = ConfigDict(extra="forbid")

    learning_rates: list[_Rate] = Field(min_length=1)
    learning_rates_of: dict[str, list[_Rate]] = {}
    head_rate: float = Field(default=1.0, gt=0)
    max_epochs: int = Field(ge=1)
    patience: int = Field(ge=1)
    batch_size: int = Field(default=32, ge=1)
    optimiser: Literal["adam", "adamw"] = "adam"
    weight_decay: float = Field(default=0.0, ge=0)
    warmup: float = Field(default=0.0, ge=0, lt=1)
    schedule: Literal["constant", "cosine"] = "constant"
    clip: float = Field(default=0.0, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    accumulate: int = Field(default=1, ge=1)
    precision: Literal["auto", "32", "bf16", "fp16"] = "auto"
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    unfreeze_every: int = Field(default=0, ge=0)
    probe_first: bool = False
    augment: Literal["off", "light", "strong"] = "off"
    mixup: float = Field(default=0.0, ge=0)
    cutmix: float = Field(default=0.0, ge=0)
    sampling: Literal["all", "sqrt", "balanced"] = "all"
    loss: Literal["plain", "focal", "asymmetric"] = "plain"
    class_weights: Literal["none", "sqrt", "balanced"] = "none"
    logit_adjustment: float = Field(default=0.0, ge=0)

    def recipe(self, name: str) -> Recipe:
        """The recipe that all encoders without rates of their own have."""
        return Recipe(
            name=name, learning_rates=tuple(self.learning_rates), **self.model_dump(exclude={"learning_rates", "learning_rates_of"})
        )


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


def load_protocol(name: str | Path, changes: Sequence[str] = ()) -> Protocol:
    """A shipped protocol by name, or a user's TOML file.

    Parameters
    ----------
    name : str or path
    changes : sequence of str
        Entries to be changed, such as ``training.max_epochs=15`` or ``spaces=["full"]``; with any, the protocol's name says so.

    Raises
    ------
    CallspaceError
        There is none of that name, or the file or a change has a wrong or unknown entry.
    """
    if str(name) in protocol_names():
        text = (_shipped() / f"{name}.toml").read_text(encoding="utf-8")
    elif Path(name).is_file():
        text = _read(Path(name))
    else:
        raise CallspaceError(f"there is no protocol '{name}': choose {' or '.join(protocol_names())}, or name a TOML file")
    for change in changes:
        text = changed(text, change)
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
    if changes:
        file.name = f"{file.name} (changed)"
    return Protocol(
        name=file.name,
        seeds=file.seeds,
        spaces=tuple(file.spaces),
        clusterers=tuple(file.clusterers),
        label_rule=file.label_rule,
        bootstrap=file.bootstrap,
        front_end=file.front_end,
        recipe=training.recipe(file.name),
        rates_of={key: tuple(rates) for key, rates in training.learning_rates_of.items()},
        text=text,
    )


def changed(text: str, change: str) -> str:
    """A protocol's text with one entry set to something else, in its place or, where it is not there, first of its section.

    Parameters
    ----------
    text : str
    change : str
        ``section.key=value`` or ``key=value``; the value as TOML has it, a bare word as text.
    """
    path, equals, value = (part.strip() for part in change.partition("="))
    section, _, key = path.rpartition(".")
    if not equals or not key or not value:
        raise CallspaceError(f"--set takes KEY=VALUE, such as training.max_epochs=15, not '{change}'")
    try:
        tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        value = json.dumps(value)
    kept, inside, at, place = [], "", 0, None
    for line in text.splitlines():
        if header := re.match(r"\[([^\]]+)\]", line.strip()):
            inside = header[1].strip()
        kept.append(line)
        if inside == section and line.strip():
            at = len(kept)
        if inside == section and re.match(rf'"?{re.escape(key)}"?\s*=', line.strip()):
            place = len(kept) - 1
    entry = f"{json.dumps(key) if ':' in key else key} = {value}"
    if place is not None:
        kept[place] = entry
    elif section and not any(line.strip().startswith(f"[{section}]") for line in kept):
        kept += ["", f"[{section}]", entry]
    else:
        kept.insert(at, entry)
    return "\n".join(kept) + "\n"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CallspaceError(f"protocol '{path}' is not UTF-8 text: save it as UTF-8") from None


def _shipped() -> resources.abc.Traversable:
    return resources.files("callspace.bench") / "protocols"
