"""Every encoder by name. A new one is a file in `families/` and a line here.

The line says where the class is; its module holds the specs, as ``SPECS`` (name to `EncoderSpec`) or, for a family of one, ``SPEC``, and
``brought_file`` (to a path or None) where an installed package brings the weights.
Listing the names imports nothing; asking for a spec imports the one module. A name that is not built in is looked for `ELSEWHERE`:
installed plug-ins, a user's own Python file, the models of other packages, a model file.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from callspace.errors import CallspaceError

if TYPE_CHECKING:
    from callspace.encoders.contract import Encoder
    from callspace.encoders.specs import EncoderSpec

__all__ = ["ELSEWHERE", "ENCODERS", "RANDOM", "Entry", "encoder_class", "find", "is_known", "names", "spec", "split_name"]

#: The suffix that asks for random weights.
RANDOM = ":random"

#: "file:class" in `families/` to the names it builds, in the order in which they are listed.
FAMILIES: dict[str, tuple[str, ...]] = {
    "mfcc:MfccEncoder": ("mfcc",),
    "small:SmallEncoder": ("callspace-small",),
    "alexnet:AlexNetEncoder": ("alexnet",),
    "resnet:ResNetEncoder": ("resnet18", "resnet50", "resnet152"),
    "swin:SwinEncoder": ("swin-s",),
    "convnext:ConvNeXtEncoder": ("convnext-base",),
    "vggish:VGGishEncoder": ("vggish",),
    "yamnet:YAMNet": ("yamnet",),
    "beats:BeatsEncoder": (
        "beats",
        "beats-ft",
        "esp-aves2-sl-beats-all",
        "esp-aves2-sl-beats-bio",
        "esp-aves2-naturelm-audio-v1-beats",
    ),
    "eat:EatEncoder": (
        "eat-base",
        "eat-base-ft",
        "eat-large",
        "eat-large-ft",
        "esp-aves2-eat-all",
        "esp-aves2-eat-bio",
        "esp-aves2-sl-eat-all-ssl-all",
        "esp-aves2-sl-eat-bio-ssl-all",
    ),
    "ast:AstEncoder": ("ast",),
    "audiomae:AudioMaeEncoder": ("audiomae", "audiomae-ft"),
    "dasheng:DashengEncoder": ("dasheng-base", "dasheng-0.6b", "dasheng-1.2b"),
    "speech:SpeechEncoder": (
        "hubert-base",
        "hubert-large",
        "wav2vec2-base",
        "wav2vec2-large-lv60",
        "wav2vec2-xls-r-300m",
        "wavlm-base",
        "wavlm-base-plus",
        "wavlm-large",
        "data2vec-audio-base",
        "data2vec-audio-base-960h",
        "data2vec-audio-large-960h",
    ),
    "whisper:WhisperEncoder": (
        "whisper-tiny",
        "whisper-base",
        "whisper-small",
        "whisper-medium",
        "whisper-large-v3",
        "whisper-large-v3-turbo",
    ),
    "clap:ClapEncoder": ("clap", "clap-larger-general", "biolingual"),
    "aves:AvesEncoder": (
        "aves",
        "aves-bio",
        "aves-core",
        "aves-nonbio",
        "aves-all",
        "birdaves-biox-base",
        "birdaves-biox-large",
        "birdaves-bioxn-large",
    ),
    "birdmae:BirdMaeEncoder": ("birdmae-base", "birdmae-large", "birdmae-huge"),
    "birdset:BirdSetEncoder": ("birdset-convnext", "birdset-efficientnet"),
    "esp_effnet:EspEffNetEncoder": ("esp-aves2-effnetb0-all", "esp-aves2-effnetb0-bio", "esp-aves2-effnetb0-audioset"),
    "birdnet:BirdNetEncoder": ("birdnet-v2.4", "birdnet-v3"),
    "perch:PerchEncoder": ("perch-v2",),
    "batdetect2:BatDetect2Encoder": ("batdetect2",),
}

#: Name to "module:class".
ENCODERS: dict[str, str] = {name: f"callspace.encoders.families.{where}" for where, own in FAMILIES.items() for name in own}

#: Where a name that is not built in is looked for, in this order: "module:function", each from a name to an `Entry` or None.
ELSEWHERE: tuple[str, ...] = (
    "callspace.encoders.plugins:find",
    "callspace.encoders.model_files:find",
    "callspace.encoders.bridges:find",
)


@dataclass(frozen=True)
class Entry:
    """What is found under a name.

    Attributes
    ----------
    spec : EncoderSpec
    build : Callable[..., Encoder]
        Called as ``build(spec, layer=, pool=)``, and with ``front_end=`` where the spec has several; may import torch.
    file : Path | None
        A local file that `Encoder.load_weights` reads, for an encoder that is itself a file, or whose own package brings it.
    depends_on : tuple[Path, ...]
        Further local files that the embeddings depend on: a user's Python file, a sidecar.
    """

    spec: EncoderSpec
    build: Callable[..., Encoder]
    file: Path | None = None
    depends_on: tuple[Path, ...] = ()


def names() -> list[str]:
    """The names of the built-in encoders, without ``:random``."""
    return list(ENCODERS)


def find(name: str) -> Entry:
    """What is found under a name as users write it; of ``NAME:random``, with pretraining "none" and no weights.

    Raises
    ------
    CallspaceError
        When no encoder has the name, with the nearest ones; or it has no weights that could be random.
    """
    base = name.removesuffix(RANDOM)
    if (entry := _built_in(base) or _elsewhere(base)) is None:
        near = _nearest(base.lower())
        hint = f"; did you mean {' or '.join(near)}?" if near else ": `callspace models list` shows all"
        raise CallspaceError(f"no encoder is called '{name}'{hint} (a tuned encoder is given as the path of its folder)")
    if base == name:
        return entry
    if entry.spec.weights is None or entry.spec.options.get("backend") is not None:
        raise CallspaceError(f"'{base}' has no weights that could be random: write '{base}' without '{RANDOM}'")
    return replace(entry, file=None, spec=replace(entry.spec, name=base + RANDOM, pretraining="none", weights=None))


def _nearest(base: str) -> list[str]:
    """The names that begin as this one, those that hold it, or those that are spelled nearly so."""
    begin = [name for name in ENCODERS if base and name.startswith(base)]
    hold = [name for name in ENCODERS if len(base) > 2 and base in name]
    return (begin or hold)[:4] or difflib.get_close_matches(base, ENCODERS, n=3, cutoff=0.6)


def is_known(name: str) -> bool:
    """Whether `find` has something under the name (or under it without ``:random``)."""
    base = name.removesuffix(RANDOM)
    return base in ENCODERS or _elsewhere(base) is not None


def split_name(name: str) -> tuple[str, bool]:
    """A name as users write it to the name without ``:random``, and whether random weights are asked for; refuses unknown names."""
    base = name.removesuffix(RANDOM)
    if base not in ENCODERS:
        find(base)
    return base, base != name


def spec(name: str) -> EncoderSpec:
    """What the encoder says of itself; see `find`."""
    return find(name).spec


def encoder_class(name: str) -> Callable[..., Encoder]:
    """What builds the encoder; see `Entry.build`."""
    return find(split_name(name)[0]).build


def _built_in(base: str) -> Entry | None:
    if base not in ENCODERS:
        return None
    module_name, _, attribute = ENCODERS[base].partition(":")
    module = import_module(module_name)
    brought = module.brought_file() if hasattr(module, "brought_file") else None
    return Entry(module.SPECS[base] if hasattr(module, "SPECS") else module.SPEC, getattr(module, attribute), file=brought)


def _elsewhere(base: str) -> Entry | None:
    for where in ELSEWHERE:
        module, _, function = where.partition(":")
        if (entry := getattr(import_module(module), function)(base)) is not None:
            return entry
    return None
