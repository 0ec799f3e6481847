"""A model file as an encoder: ``--encoders ./my_model.onnx:rate=32000:output=embedding``, without code.

What the file does not say is said after it, in ``:key=value`` parts, or in a file beside it with the same name and the suffix
``.toml`` (the parts win). Most of it is read from the model where it is left out; an ONNX file that `callspace models export` wrote says
all of it itself.

=====================  ===============================================================================================================
rate_hz (rate)         the waveform's sample rate in hertz; needed by a file that takes waveforms, unless ``window`` is given and the
                       length is fixed. A file that takes pictures works at the dataset's own rate, when not given.
window_s (window)      seconds the file takes at once; the fixed length of its input, else clips of any length go in whole
hop_s (hop)            seconds between the windows of a longer clip; a window
min_window_s           seconds that a shorter clip is filled up to, where the window is not fixed
(min_window)
output                 the embedding: a tensor's name or number, or ``penultimate`` (what the last dense layer is given); the only
                       output. In the TOML file also several, which become layers: ``["a", 176]`` or ``{pooled = 176, logits = "out"}``
input                  ``waveform`` or ``spectrogram``; a picture (four axes, 1 or 3 of them colours) takes spectrograms
front_end              of spectrograms: ``logmel`` or ``power``
size                   of spectrograms: ``224`` or ``128x256`` (mels x frames), where the file leaves it open
pixels                 of spectrograms: ``standardised``, ``0..1``, ``-1..1``, ``0..255`` or ``range``. When not given ``range`` for
                       integer inputs, ``standardised`` for ONNX files and ``-1..1`` for TFLite ones, as these are mostly trained
normalise              of waveforms: ``none``, ``peak0.25``, ``centred-peak0.25``
scale                  of waveforms: a factor, for files that expect integers' range
pad                    of waveforms: zeros at the ``end`` of a short clip, or on both sides (``centre``)
dim_axis               of outputs with more than two axes: ``last`` or ``first`` (after the batch) holds the embedding; the others are
                       averaged
pretraining            ``none``, ``image``, ``audio``, ``speech`` or ``bioacoustic``; image for pictures, else audio
licence, terms,        for reports; ``terms`` is ``open``, ``non-commercial`` or ``unstated``
citation, note
=====================  ===============================================================================================================
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from callspace.encoders.specs import EncoderSpec, Pretraining, Terms, Weights
from callspace.errors import CallspaceError

if TYPE_CHECKING:
    from callspace.encoders.registry import Entry
    from callspace.encoders.runtimes import Runtime, TensorInfo

__all__ = ["METADATA", "ModelFileSettings", "find", "write_sidecar"]

#: Under which key of an ONNX file's metadata its settings are, as JSON; what stands beside the file or after its name wins over them.
METADATA = "callspace.model_file"

_NAME = re.compile(r"(?P<file>.+?\.(?:onnx|tflite))(?P<parts>(?::.*)?)", re.IGNORECASE)
_SHORT = {"rate": "rate_hz", "window": "window_s", "hop": "hop_s", "min_window": "min_window_s", "license": "licence"}
_FRONT_ENDS = ("logmel", "power")
_PEAK = r"none|(centred-)?peak\d*\.?\d+"


class ModelFileSettings(BaseModel):
    """What may be said of a model file; see the module."""

    model_config = ConfigDict(extra="forbid")

    rate_hz: int | None = Field(default=None, ge=1000, le=1_000_000)
    window_s: float | None = Field(default=None, gt=0)
    hop_s: float | None = Field(default=None, gt=0)
    min_window_s: float | None = Field(default=None, gt=0)
    output: str | int | list[str | int] | dict[str, str | int] | None = None
    input: Literal["waveform", "spectrogram"] | None = None
    front_end: Literal["logmel", "power"] | None = None
    size: str | None = Field(default=None, pattern=r"^\d+(x\d+)?$")
    pixels: Literal["standardised", "0..1", "-1..1", "0..255", "range"] | None = None
    normalise: str = Field(default="none", pattern=f"^({_PEAK})$")
    scale: float = 1.0
    pad: Literal["end", "centre"] = "end"
    dim_axis: Literal["last", "first"] = "last"
    pretraining: Pretraining | None = None
    licence: str = ""
    terms: Terms | None = None
    citation: str = ""
    note: str = ""

    @field_validator("size", mode="before")
    @classmethod
    def _size_as_text(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return "x".join(map(str, value))
        return str(value) if isinstance(value, int) else value

    @field_validator("output", mode="after")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        if isinstance(value, list):
            return [_number(one) for one in value]
        return {key: _number(one) for key, one in value.items()} if isinstance(value, dict) else _number(value)


def find(name: str) -> Entry | None:
    """The encoder that a path to an ``.onnx`` or ``.tflite`` file names, with ``:key=value`` parts or none; None for any other name.

    Raises
    ------
    CallspaceError
        When there is no such file, it can't be opened, or what is said of it is wrong or not enough.
    MissingDependencyError
        When the package that runs such files is not installed.
    """
    if (match := _NAME.fullmatch(name)) is None:
        return None
    from callspace.encoders.frozen import ModelFileEncoder, companions
    from callspace.encoders.registry import Entry

    path = Path(match["file"]).expanduser()
    if not path.is_file():
        raise CallspaceError(f"there is no model file at {match['file']}: check the path")
    sidecar = path.with_suffix(".toml")
    beside = (sidecar,) if sidecar.is_file() else ()
    depends_on = (*beside, *companions(path))
    state = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in (path, *depends_on))
    return Entry(_spec(name, path, match["parts"], state), ModelFileEncoder, file=path, depends_on=depends_on)


@lru_cache(maxsize=64)
def _spec(name: str, path: Path, parts: str, state: tuple[tuple[int, int], ...]) -> EncoderSpec:
    """The spec; `state` makes what was read of a file that has changed since count no more."""
    return _spec_of(name, path, _settings(path, parts))


def _settings(path: Path, parts: str) -> ModelFileSettings:
    sidecar = path.with_suffix(".toml")
    said: dict[str, Any] = {}
    if sidecar.is_file():
        try:
            said = tomllib.loads(sidecar.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise CallspaceError(f"{sidecar} is not TOML: {error}") from None
    said = _long(said, str(sidecar))
    # An output's name may hold colons: only a colon before "key=" parts.
    before, *after = re.split(r":(?=[A-Za-z_]+=)", parts)
    if before:
        raise CallspaceError(
            f"'{before}' after {path.name} says nothing: write :key=value, such as {path.name}:rate=32000:output=embedding"
        )
    pairs = [part.partition("=") for part in after]
    said |= _long({key: value for key, _, value in pairs}, f"what follows {path.name}")
    inside = _said_inside(path)
    if "licence" in said:  # what another licence means is another thing
        inside.pop("terms", None)
    try:
        return ModelFileSettings.model_validate(inside | said)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "it"
        raise CallspaceError(f"'{key}' of {path.name} can't be {first['input']!r}: {first['msg'].lower()}") from None


def _said_inside(path: Path) -> dict[str, Any]:
    """The settings in an ONNX file's own metadata; nothing where it has none, or none that are settings."""
    from callspace.encoders.runtimes import open_model

    try:
        said = json.loads(open_model(path).metadata.get(METADATA, "{}"))
    except ValueError:
        return {}
    return {key: value for key, value in said.items() if key in ModelFileSettings.model_fields} if isinstance(said, dict) else {}


def _long(said: dict[str, Any], where: str) -> dict[str, Any]:
    """The same with every key in its long form; refuses unknown ones."""
    known = [*ModelFileSettings.model_fields, *_SHORT]
    for key in said:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(ModelFileSettings.model_fields)}"
            raise CallspaceError(f"{where} has an unknown key '{key}'; {hint}")
    return {_SHORT.get(key, key): value for key, value in said.items()}


def _number(output: str | int | None) -> str | int | None:
    return int(output) if isinstance(output, str) and output.isdigit() else output


def _spec_of(name: str, path: Path, said: ModelFileSettings) -> EncoderSpec:
    from callspace.encoders.frozen import Feed
    from callspace.encoders.runtimes import open_model

    outputs = _outputs(said, path)
    runtime = open_model(path, tuple(outputs.values()))
    if len(runtime.inputs) != 1:
        raise CallspaceError(f"{path} has {len(runtime.inputs)} inputs ({', '.join(i.name for i in runtime.inputs)}), not one")
    shape = runtime.inputs[0].shape
    kind = said.input or ("spectrogram" if len(shape) == 4 else "waveform")
    common: dict[str, Any] = {"backend": runtime.backend, "outputs": outputs, "input": kind, "dim_axis": said.dim_axis}
    rate = said.rate_hz
    if kind == "spectrogram":
        feed = Feed(**common, **_picture(said, runtime, path))
    else:
        rate, samples = _window(said, shape, path)
        hop = round((said.hop_s or 0) * rate) or None
        if hop and (samples is None or hop > samples):
            raise CallspaceError(f"the hop of {path.name} is {said.hop_s} s: it takes a window that is not shorter (window=)")
        shortest = max(1, round((said.min_window_s or 0) * rate))
        how: dict[str, Any] = {"normalise": said.normalise, "scale": said.scale, "pad": said.pad}
        feed = Feed(**common, samples=samples, hop=hop, shortest=shortest, **how)
    dims = _dims(name, feed, runtime, rate)
    window_s = feed.samples / rate if feed.samples and rate else None
    least = feed.shortest / rate if feed.shortest > 1 and rate else None
    first = next(iter(dims))
    return EncoderSpec(
        name=name,
        version="1",
        sample_rate_hz=rate,
        embedding_dim=dims[first],
        pretraining=said.pretraining or ("image" if kind == "spectrogram" else "audio"),
        citation=said.citation,
        layers=tuple(dims),
        layer_dims={layer: dim for layer, dim in dims.items() if dim != dims[first]},
        front_end=(said.front_end or "logmel") if kind == "spectrogram" else "waveform",
        front_ends=_FRONT_ENDS if kind == "spectrogram" else (),
        min_window_s=window_s or least,
        max_window_s=window_s,
        weights=_licence(said, path),
        trainable=False,
        family="model file",
        options=feed.options(),
        note=said.note,
    )


def _outputs(said: ModelFileSettings, path: Path) -> dict[str, str | int]:
    """Layers by name, each with its tensor; the first output, under the name "embedding", where nothing is said."""
    from callspace.encoders.runtimes import open_model

    if isinstance(said.output, dict):
        return dict(said.output)
    if isinstance(said.output, list):
        return {re.sub(r"[^\w.+-]+", "_", str(one)): one for one in said.output}
    if said.output is not None:
        return {"embedding": said.output}
    runtime = open_model(path)
    if len(runtime.outputs) > 1:
        names = ", ".join(info.name for info in runtime.outputs)
        raise CallspaceError(
            f"{path} has {len(runtime.outputs)} outputs ({names}): say which is the embedding, with :output=NAME after the file's name"
        )
    return {"embedding": runtime.outputs[0].name if runtime.backend == "onnx" else runtime.outputs[0].number}


def _window(said: ModelFileSettings, shape: tuple[int | None, ...], path: Path) -> tuple[int, int | None]:
    """The sample rate, and the samples of a window, or None where any number goes."""
    long = [size for size in shape[-2:] if size is None or size > 1] if len(shape) <= 3 else []
    if not long:
        text = " x ".join("any" if size is None else str(size) for size in shape)
        raise CallspaceError(f"{path} takes {text}: that is no waveform (batch x samples); is it input=spectrogram?")
    fixed = next((size for size in long if size is not None), None) if len(shape) > 1 else long[0]
    if said.rate_hz is None and (fixed is None or said.window_s is None):
        raise CallspaceError(
            f"the sample rate of {path.name} is not known: say it, with {path.name}:rate=32000 or rate_hz in {path.stem}.toml"
        )
    rate = said.rate_hz or round(fixed / said.window_s)  # type: ignore[operator]
    wanted = None if said.window_s is None else round(said.window_s * rate)
    if fixed is not None and wanted not in (None, fixed):
        raise CallspaceError(
            f"{path} takes {fixed} samples, which are {fixed / rate:g} s at {rate} Hz, not {said.window_s:g} s: mend rate or window"
        )
    return rate, fixed or wanted


def _picture(said: ModelFileSettings, runtime: Runtime, path: Path) -> dict[str, Any]:
    """Axes, size and pixels of a file that takes pictures."""
    info: TensorInfo = runtime.inputs[0]
    shape = info.shape
    last, first = len(shape) == 4 and shape[3] in (1, 3), len(shape) == 4 and shape[1] in (1, 3)
    if not (last or first):
        text = " x ".join("any" if size is None else str(size) for size in shape)
        raise CallspaceError(f"{path} takes {text}: that is no picture (batch x 3 x rows x columns, or the 3 last)")
    channels_last = last and not first
    rows, columns = (shape[1], shape[2]) if channels_last else (shape[2], shape[3])
    size = [int(one) for one in said.size.split("x")] * 2 if said.size else [rows, columns]
    if None in size[:2]:
        raise CallspaceError(f"{path} takes pictures of any size: say one, with {path.name}:size=224")
    if any(own is not None and own != one for own, one in zip((rows, columns), size, strict=False)):
        raise CallspaceError(f"{path} takes pictures of {rows}x{columns}, not {said.size}: leave size out")
    integer = not info.dtype.startswith("float")
    usual = "range" if integer else "standardised" if runtime.backend == "onnx" else "-1..1"
    channels = shape[3] if channels_last else shape[1]
    pixels = said.pixels or usual
    if pixels == "range" and not integer:
        raise CallspaceError(f"{path} takes real numbers, which have no range: give pixels=0..1, -1..1, 0..255 or standardised")
    return {"size": size[:2], "channels_last": channels_last, "channels": channels, "pixels": pixels}


def _dims(name: str, feed: Any, runtime: Runtime, rate: int | None) -> dict[str, int]:
    """The dimension of each layer: the output's fixed axis, or what comes out for silence."""
    axis = -1 if feed.dim_axis == "last" else 1
    infos = dict(zip(feed.outputs, runtime.wanted, strict=True))
    if all(len(info.shape) > max(axis, 0) and info.shape[axis] is not None for info in infos.values()):
        return {layer: int(info.shape[axis]) for layer, info in infos.items()}  # type: ignore[arg-type]
    import torch

    from callspace.encoders.frozen import ModelFileEncoder

    spec = EncoderSpec(name, "1", rate or 16_000, 1, "none", "", tuple(infos), front_end="logmel", options=feed.options(), trainable=False)
    encoder = ModelFileEncoder(spec)
    encoder.network.runtime = runtime
    return dict(zip(infos, encoder.dims_for(torch.zeros(1, feed.samples or rate or 16_000)), strict=True))


def _licence(said: ModelFileSettings, path: Path) -> Weights | None:
    """What reports say of the file's licence; nothing where nothing is said."""
    if not said.licence and said.terms is None:
        return None
    closed = re.search(r"\bNC\b|non-?commercial", said.licence, re.IGNORECASE)
    return Weights(path.name, said.licence or "not stated", terms=said.terms or ("non-commercial" if closed else "open"))


def write_sidecar(spec: EncoderSpec, path: Path) -> None:
    """Write what a model file's spec says to a TOML file, so that a copy of the file gives the same encoder anywhere."""
    from callspace.encoders.frozen import Feed

    feed, rate = Feed.of(spec), spec.sample_rate_hz
    said: dict[str, Any] = {"rate_hz": rate, "output": feed.outputs, "input": feed.input, "dim_axis": feed.dim_axis}
    if feed.input == "spectrogram":
        said |= {"size": "x".join(map(str, feed.size or [])), "pixels": feed.pixels, "front_end": spec.front_end}
    else:
        assert rate is not None
        lengths = {"window_s": feed.samples, "hop_s": feed.hop, "min_window_s": feed.shortest if feed.shortest > 1 else None}
        said |= {key: samples / rate for key, samples in lengths.items() if samples is not None}
        said |= {"normalise": feed.normalise, "scale": feed.scale, "pad": feed.pad}
    said |= {"pretraining": spec.pretraining, "citation": spec.citation, "note": spec.note}
    if spec.weights is not None:
        said |= {"licence": spec.weights.licence, "terms": spec.weights.terms}
    lines = [f"{key} = {_toml(value)}" for key, value in said.items() if value is not None]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: Any) -> str:
    """A string, number or flat table as TOML, whose strings and numbers are JSON's."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
