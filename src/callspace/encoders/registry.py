"""Every encoder by name. A new one is a file and a line here.

The line says where the class is; its module holds the specs, as ``SPECS`` (name to `EncoderSpec`) or, for a family of one, ``SPEC``.
Listing the names imports nothing; asking for a spec imports the one module.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from callspace.errors import CallspaceError

if TYPE_CHECKING:
    from callspace.encoders.contract import Encoder
    from callspace.encoders.specs import EncoderSpec

__all__ = ["ENCODERS", "RANDOM", "encoder_class", "names", "spec", "split_name"]

#: The suffix that asks for random weights.
RANDOM = ":random"

#: Name to "module:class", in the order in which they are listed.
ENCODERS: dict[str, str] = {
    "mfcc": "callspace.encoders.mfcc:MfccEncoder",
    "alexnet": "callspace.encoders.alexnet:AlexNetEncoder",
    "resnet18": "callspace.encoders.resnet:ResNetEncoder",
    "resnet50": "callspace.encoders.resnet:ResNetEncoder",
    "resnet152": "callspace.encoders.resnet:ResNetEncoder",
    "yamnet": "callspace.encoders.yamnet:YAMNet",
    "aves": "callspace.encoders.aves:AvesEncoder",
    "aves-bio": "callspace.encoders.aves:AvesEncoder",
    "aves-core": "callspace.encoders.aves:AvesEncoder",
    "aves-nonbio": "callspace.encoders.aves:AvesEncoder",
    "aves-all": "callspace.encoders.aves:AvesEncoder",
}


def names() -> list[str]:
    """The names of all encoders, without ``:random``."""
    return list(ENCODERS)


def split_name(name: str) -> tuple[str, bool]:
    """A name as users write it to the registered name and whether random weights are asked for.

    Raises
    ------
    CallspaceError
        When no encoder has the name, with the nearest ones.
    """
    base = name.removesuffix(RANDOM)
    if base in ENCODERS:
        return base, base != name
    near = difflib.get_close_matches(base.lower(), ENCODERS, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(ENCODERS)};"
    raise CallspaceError(f"no encoder is called '{name}'; {hint} (a tuned encoder is given as the path of its folder)")


def spec(name: str) -> EncoderSpec:
    """What the encoder says of itself; of ``NAME:random``, with pretraining "none" and no weights.

    Raises
    ------
    CallspaceError
        When no encoder has the name, or it has no weights that could be random.
    """
    base, random = split_name(name)
    module = import_module(ENCODERS[base].split(":")[0])
    published: EncoderSpec = module.SPECS[base] if hasattr(module, "SPECS") else module.SPEC
    if not random:
        return published
    if published.weights is None:
        raise CallspaceError(f"'{base}' has no weights that could be random: write '{base}' without '{RANDOM}'")
    return replace(published, name=base + RANDOM, pretraining="none", weights=None)


def encoder_class(name: str) -> type[Encoder]:
    """The class that builds the encoder, called as ``cls(spec, layer=, pool=)``, and with ``front_end=`` where its spec has several."""
    module, _, attribute = ENCODERS[split_name(name)[0]].partition(":")
    return getattr(import_module(module), attribute)
