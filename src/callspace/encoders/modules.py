"""A plain torch module as an encoder: whatever maps waveforms to vectors.

The module takes float32[batch, samples] at its sample rate and answers float32[batch, dim], or float32[batch, time, dim], which is pooled
over time. All that must be known of it is the rate; its dimension is found by running it once.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from callspace.encoders.contract import Encoder
from callspace.encoders.parts import called_targets, packed
from callspace.encoders.registry import Entry
from callspace.encoders.sequences import POOLS
from callspace.encoders.specs import EncoderSpec, Weights
from callspace.errors import CallspaceError

__all__ = ["ModuleEncoder", "entry_of", "where_it_broke"]

_SHORTHAND = "SAMPLE_RATE_HZ"
_NEEDED = "SPEC = EncoderSpec(...), or SAMPLE_RATE_HZ = 32_000, say"


class ModuleEncoder(Encoder):
    """An encoder whose network answers with vectors, or with frames that are pooled.

    Parameters
    ----------
    spec : EncoderSpec
    network : nn.Module
    """

    def __init__(
        self, spec: EncoderSpec, network: nn.Module, *, layer: str | None = None, pool: str | None = None, front_end: str | None = None
    ) -> None:
        super().__init__(spec, layer=layer, pool=pool, front_end=front_end)
        self.network = network

    def _embed(self, waveforms: Tensor) -> Tensor:
        answer = self._answer(waveforms)
        return POOLS[self.pool](answer.float()) if answer.ndim == 3 else answer

    def _answer(self, waveforms: Tensor) -> Tensor:
        lacking = round((self.spec.min_window_s or 0.0) * self.sample_rate_hz) - waveforms.shape[1]
        if lacking > 0:
            waveforms = nn.functional.pad(waveforms, (0, lacking))
        return _checked_answer(self.network(waveforms), waveforms, self.spec.name)

    def _tokens_of_length(self, waveforms: Tensor) -> tuple[Tensor, Tensor]:
        answers = [self._answer(part) for part in self._framed_parts(waveforms)]
        return packed(torch.cat(answers, dim=1).float(), None) if answers[0].ndim == 3 else super()._tokens_of_length(waveforms)

    @property
    def token_dim(self) -> int:
        """The dimension of the frames that the network answers with."""
        return self._registered.dim_of(self.layer, "mean") if len(self.spec.pools) > 1 else super().token_dim

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Those that require a gradient."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad] if self.spec.trainable else []

    def lora_targets(self) -> list[str]:
        """As `Parts.lora_targets`, of the modules that are called: an adapter on one whose weight is read past it would do nothing."""
        return called_targets(self, lambda: self._embed(self._noise()))

    def _noise(self) -> Tensor:
        """A second of noise, or as much as the network takes."""
        seconds = max(min(1.0, self.spec.max_window_s or 1.0), self.spec.min_window_s or 0.0)
        noise = 0.1 * torch.randn(1, round(seconds * self.sample_rate_hz), generator=torch.Generator().manual_seed(0))
        return noise.to(next((parameter.device for parameter in self.network.parameters()), torch.device("cpu")))


def entry_of(module: Any, class_name: str, name: str, *, key: str, source: str, stamp: str = "", folder: Path | None = None) -> Entry:
    """What a class in a Python module builds, under a name.

    Parameters
    ----------
    module
        That holds the class and what is to be known of it: the attribute ``spec`` of the class, ``SPECS[key]``, ``SPEC`` or
        ``SAMPLE_RATE_HZ``, the first that is there.
    class_name : str
    name : str
        That the encoder gets.
    key : str
        In ``SPECS``.
    source : str
        For the sentences: the file or the package.
    stamp : str
        Added to the spec's version: what changes when the code does.
    folder : Path, optional
        Where a weights file that is named without a web address lies.

    Raises
    ------
    CallspaceError
        There is no such class, it is no torch module, or its facts are missing or wrong.
    """
    cls = _class(module, class_name, source)
    given = _facts(module, cls, key, source)
    if issubclass(cls, Encoder):
        if not isinstance(given, EncoderSpec):
            raise CallspaceError(
                f"{source}: {class_name} is an Encoder, so its SPEC must be a whole EncoderSpec, not {type(given).__name__}"
            )
        spec = given
    else:
        spec = given if isinstance(given, EncoderSpec) else _found_out(given, cls, name, source)
    spec = replace(spec, name=name, version=spec.version + (f"+{stamp}" if stamp else ""))
    return Entry(spec, _builder(cls, source), file=_weights_file(spec.weights, folder))


def _class(module: Any, class_name: str, source: str) -> type[nn.Module]:
    own = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, nn.Module)]
    own = [key for key in own if getattr(module, key).__module__ == module.__name__]
    found = getattr(module, class_name, None)
    if found is None:
        near = difflib.get_close_matches(class_name, own, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(own) or 'no torch module'}"
        raise CallspaceError(f"{source} has no class '{class_name}': {hint}")
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise CallspaceError(f"{source}: {class_name} is not a class of torch.nn.Module or callspace's Encoder, so it can't be an encoder")
    return found


def _facts(module: Any, cls: type, key: str, source: str) -> EncoderSpec | Mapping[str, Any]:
    specs = getattr(module, "SPECS", None)
    candidates = (
        vars(cls).get("spec"),
        specs.get(key) if isinstance(specs, Mapping) else None,
        getattr(module, "SPEC", None),
        {"sample_rate_hz": getattr(module, _SHORTHAND)} if hasattr(module, _SHORTHAND) else None,
    )
    given = next((candidate for candidate in candidates if candidate is not None), None)
    if given is None:
        raise CallspaceError(f"{source} does not say what {cls.__name__} expects: add {_NEEDED}")
    if not isinstance(given, EncoderSpec | Mapping):
        raise CallspaceError(f"{source}: SPEC must be an EncoderSpec or a dict of its fields, not {type(given).__name__}")
    return given


def _found_out(given: Mapping[str, Any], cls: type[nn.Module], name: str, source: str) -> EncoderSpec:
    """The whole spec from a few facts: the rest follows from running the module once."""
    known = [field.name for field in fields(EncoderSpec)]
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            raise CallspaceError(
                f"{source}: SPEC has '{key}', which is no field of EncoderSpec{f'; did you mean {near[0]}?' if near else ''}"
            )
    rate = given.get("sample_rate_hz")
    if not isinstance(rate, int) or isinstance(rate, bool) or rate < 1:
        raise CallspaceError(f"{source}: the sample rate of {cls.__name__} must be a whole number of hertz, such as 32_000, not {rate!r}")
    weights = given.get("weights")
    facts: dict[str, Any] = {
        "version": "1",
        "pretraining": "none",
        "citation": f"{cls.__name__} of {Path(source).name}",
        **given,
        "weights": Weights(weights, licence="your own") if isinstance(weights, str) else weights,
    }
    with torch.random.fork_rng(devices=[]):
        network = _made(cls, source)
        answer = _tried(network, rate, given, source)
    parameters = list(network.parameters())
    facts.setdefault("parameters", sum(parameter.numel() for parameter in parameters))
    facts.setdefault("trainable", any(parameter.requires_grad for parameter in parameters))
    facts.setdefault("pools", tuple(POOLS) if answer.ndim == 3 else ("mean",))
    return EncoderSpec(**{**facts, "name": name, "embedding_dim": given.get("embedding_dim", answer.shape[-1])})


def _tried(network: nn.Module, rate: int, given: Mapping[str, Any], source: str) -> Tensor:
    seconds = max(1.0, given.get("min_window_s") or 0.0)
    seconds = min(seconds, given.get("max_window_s") or seconds)
    waveforms = 0.1 * torch.randn(1, round(seconds * rate), generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            answer = network.eval()(waveforms)
    except Exception as error:  # whatever the user's code raises
        raise CallspaceError(
            f"{source}: {type(network).__name__} failed on {seconds:g} s of sound, float32[1, {waveforms.shape[1]}]: {where_it_broke(error, source)}"
        ) from None
    return _checked_answer(answer, waveforms, f"{source}:{type(network).__name__}")


def _checked_answer(answer: Any, waveforms: Tensor, name: str) -> Tensor:
    if isinstance(answer, Tensor) and answer.ndim in (2, 3) and len(answer) == len(waveforms):
        return answer
    found = f"{list(answer.shape)}" if isinstance(answer, Tensor) else f"a {type(answer).__name__}"
    raise CallspaceError(
        f"{name} answered {found} to waveforms of {list(waveforms.shape)}: a tensor [batch, dim] or [batch, time, dim] is expected"
    )


def _builder(cls: type[nn.Module], source: str) -> Callable[..., Encoder]:
    def build(spec: EncoderSpec, **choices: Any) -> Encoder:
        if not issubclass(cls, Encoder):
            return ModuleEncoder(spec, _made(cls, source), **choices)
        encoder = _made(cls, source, spec, **choices)
        assert isinstance(encoder, Encoder)
        return encoder

    return build


def _made(cls: type[nn.Module], source: str, *arguments: Any, **choices: Any) -> nn.Module:
    try:
        return cls(*arguments, **choices)
    except CallspaceError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise CallspaceError(f"{source}: {cls.__name__} can't be built: {where_it_broke(error, source)}") from None


def where_it_broke(error: BaseException, source: str) -> str:
    """The error's kind, first line, and the line of the file in which it was raised, where the file is a user's."""
    first_line = (str(error).strip().splitlines() or [""])[0][:200]
    line, trace = None, error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).name == Path(source).name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{type(error).__name__}{f': {first_line}' if first_line else ''}{f' (line {line})' if line else ''}"


def _weights_file(weights: Weights | None, folder: Path | None) -> Path | None:
    """A file beside the user's Python file; None for weights on the web."""
    if weights is None or folder is None or "://" in weights.url:
        return None
    return folder / weights.url
