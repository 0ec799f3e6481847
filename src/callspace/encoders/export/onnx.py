"""An encoder, with its head where it has one, as an ONNX file: waveforms in, embeddings and logits out.

The file takes windows of one length, as many at once as one likes, and gives for each what the torch encoder gives: its front end is in it.
The network is traced for one clip, with the transforms of `callspace.encoders.export.spectra`, and an ONNX ``Scan`` does that clip by clip:
so a clip's embedding can't depend on its batch-mates, in the file as in the encoder.

Before the file is put in its place, ONNX Runtime answers random, quiet, loud and silent waveforms with it, and the answers are held against the
encoder's own. What it needs to be an encoder again is written into it: ``--encoder FILE.onnx`` takes no further word.

=====================  ===============================================================================================================
input                  ``waveforms``, float32[batch, samples], at the rate of ``sample_rate_hz``
outputs                ``embedding``, float32[batch, dim]; ``logits``, float32[batch, labels], of an encoder with a head
metadata               callspace (its version), encoder, layer, pool, fingerprint, sample_rate_hz, window_s, samples, licence, terms,
                       labels (JSON), and ``callspace.model_file`` (JSON), the settings of `callspace.encoders.model_files`
=====================  ===============================================================================================================
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from callspace.encoders.contract import Encoder
from callspace.encoders.export.spectra import Formulation
from callspace.encoders.model_files import METADATA
from callspace.errors import CallspaceError, MissingDependencyError
from callspace.tables import atomic_path

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

__all__ = ["TOLERANCE", "export_onnx", "worst_error"]

#: The most that an output may differ, as a share of its greatest magnitude.
TOLERANCE = 1e-4

_OPSET = 18
_INPUT, _OUTPUTS = "waveforms", ("embedding", "logits")
#: What Google's protocol buffers, and so an ONNX file, can hold.
_LIMIT_BYTES = 2**31 - 2**20


def export_onnx(encoder: Encoder, path: str | Path, *, window_s: float) -> dict[str, Any]:
    """Write an encoder as an ONNX file.

    Parameters
    ----------
    encoder : Encoder
        Bound to a sample rate; it is not changed.
    path : path
        Ends in ``.onnx``. A file that is there is replaced once the new one has been found right.
    window_s : float
        The length of the windows that the file takes, in seconds.

    Returns
    -------
    dict
        ``path``, ``bytes``, ``samples`` and ``sample_rate_hz`` of the input, ``outputs`` (name to dimension), ``error`` (the greatest
        difference of an output, as a share of its greatest magnitude).

    Raises
    ------
    MissingDependencyError
        When the packages that write and run ONNX files are not installed.
    CallspaceError
        When the encoder can't be written so, the file does not answer as the encoder does, or the place can't be written to.

    Examples
    --------
    >>> import callspace
    >>> export_onnx(callspace.load_encoder("mfcc", sample_rate_hz=16_000), "mfcc.onnx", window_s=2.0)["outputs"]  # doctest: +SKIP
    {'embedding': 80}
    """
    path = Path(path)
    _check_packages()
    samples = _samples(encoder, window_s)
    if path.suffix.lower() != ".onnx" or path.is_dir():
        raise CallspaceError(f"'{path}' is no name for an ONNX file: give one that ends in .onnx")
    if encoder.model_file is not None or not any(True for _ in encoder.network.modules()):
        raise CallspaceError(f"'{encoder.spec.name}' is a finished model file already, {encoder.model_file}: there is nothing to export")
    module = _Outputs(encoder)
    dims = dict(zip(_OUTPUTS, module.dims(samples), strict=False))
    model = _scanned(_traced(module, encoder.spec.name, samples), samples, dims)
    for key, value in _metadata(encoder, samples, dims).items():
        model.metadata_props.add(key=key, value=value)
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(model.SerializeToString())
            try:
                error = worst_error(module, temporary, samples)
            except CallspaceError as problem:  # of the runtime, in words about the file that is not yet in its place
                reason = str(problem).replace(str(temporary), "the file")
                raise CallspaceError(f"'{encoder.spec.name}' can't be written as ONNX ({reason}): use the encoder's folder") from None
            if not error <= TOLERANCE:
                raise CallspaceError(
                    f"the ONNX file of '{encoder.spec.name}' does not answer as the encoder does (they differ by {error:.1g} of the greatest "
                    f"value, and {TOLERANCE:g} is allowed), so it was not kept: use the encoder's folder"
                )
    except OSError as problem:
        raise CallspaceError(f"{path} can't be written: {problem.strerror or problem}; give another place") from None
    size = path.stat().st_size
    return {"path": path, "bytes": size, "samples": samples, "sample_rate_hz": encoder.sample_rate_hz, "outputs": dims, "error": error}


def _check_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError:
        raise MissingDependencyError(
            "writing ONNX files needs the packages onnx and onnxruntime: pip install 'callspace[export]'"
        ) from None


def _samples(encoder: Encoder, window_s: float) -> int:
    samples = round(window_s * encoder.sample_rate_hz) if np.isfinite(window_s) else 0
    if samples < 1:
        raise CallspaceError(
            f"a window of {window_s:g} s holds no sample at {encoder.sample_rate_hz} Hz: give its length in seconds, such as 2"
        )
    return samples


class _Outputs(nn.Module):
    """Waveforms of one length to the embedding, and to the logits where there is a head; in evaluation mode, on the CPU."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(encoder).cpu().eval().requires_grad_(False)

    def forward(self, waveforms: Tensor) -> tuple[Tensor, ...]:
        embedding = self.encoder(waveforms)
        return (embedding,) if self.encoder.head is None else (embedding, self.encoder.head(embedding))

    def dims(self, samples: int) -> list[int]:
        with torch.no_grad():
            return [found.shape[1] for found in self(torch.zeros(1, samples))]


class _Formulated(nn.Module):
    """The same outputs for float32[1, samples], computed as ONNX can."""

    def __init__(self, outputs: _Outputs) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, waveforms: Tensor) -> tuple[Tensor, ...]:
        with Formulation():
            return self.outputs(waveforms)


def _traced(outputs: _Outputs, name: str, samples: int) -> ModelProto:
    """The ONNX model for one clip, float32[1, samples]."""
    import onnx

    size = sum(value.numel() * value.element_size() for value in outputs.state_dict().values())
    if size > _LIMIT_BYTES:
        raise CallspaceError(f"'{name}' has {size / 1e9:.1f} GB of weights, and an ONNX file holds 2 GB at most: use the encoder's folder")
    generator = torch.Generator().manual_seed(0)
    example = 0.1 * torch.randn(1, samples, generator=generator)
    try:
        with torch.no_grad(), _quiet(), tempfile.TemporaryDirectory(prefix="callspace-") as folder:
            # Traced, not compiled: an encoder sorts clips by length and cuts them in parts in plain Python, of which one clip's way is kept.
            torch.onnx.export(
                _Formulated(outputs).eval(),
                (example,),
                Path(folder) / "one.onnx",
                dynamo=False,
                input_names=[_INPUT],
                output_names=list(_OUTPUTS[: len(outputs.dims(samples))]),
                opset_version=_OPSET,
                do_constant_folding=False,
            )
            return onnx.load(Path(folder) / "one.onnx")
    except CallspaceError:
        raise
    except Exception as error:  # a dozen kinds, from torch, its exporter and what networks do
        reason = (" ".join(str(error).split()) or type(error).__name__).split(" [Caused by")[0][:200]
        raise CallspaceError(f"'{name}' can't be written as ONNX ({reason}): use the encoder's folder") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Tracing warns of each number that becomes a constant, which is what is wanted here, and prints graphs when it fails."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _scanned(one: ModelProto, samples: int, dims: dict[str, int]) -> ModelProto:
    """The model for any number of clips, from the one for a single clip: the weights outside, the clip's way inside a ``Scan``."""
    from onnx import TensorProto, checker, helper, numpy_helper

    def floats(name: str, *shape: int | str) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    # What is inside must bear other names than what is outside.
    names = {name: f"one_{name}" for name in (_INPUT, *dims)}
    for node in one.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    nodes = [
        helper.make_node("Unsqueeze", ["clip", "clip_axis"], [names[_INPUT]]),
        *one.graph.node,
        *(helper.make_node("Squeeze", [names[name], "clip_axis"], [f"clip_{name}"]) for name in dims),
    ]
    body = helper.make_graph(nodes, "clip", [floats("clip", samples)], [floats(f"clip_{name}", dim) for name, dim in dims.items()])
    graph = helper.make_graph(
        [helper.make_node("Scan", [_INPUT], list(dims), num_scan_inputs=1, body=body)],
        "callspace",
        [floats(_INPUT, "batch", samples)],
        [floats(name, "batch", dim) for name, dim in dims.items()],
        [*one.graph.initializer, numpy_helper.from_array(np.array([0], dtype=np.int64), "clip_axis")],
    )
    model = helper.make_model(graph, opset_imports=list(one.opset_import), ir_version=one.ir_version, producer_name="callspace")
    checker.check_model(model)
    return model


def _metadata(encoder: Encoder, samples: int, dims: dict[str, int]) -> dict[str, str]:
    """What the file says of itself."""
    spec, weights = encoder.spec, encoder.spec.weights
    window_s = samples / encoder.sample_rate_hz
    licence = weights.licence if weights is not None else str(encoder.card.get("licence") or "")
    settings = {
        "rate_hz": encoder.sample_rate_hz,
        "window_s": window_s,
        "output": {name: name for name in dims},
        "pretraining": spec.pretraining,
        "licence": licence,
        "terms": weights.terms if weights is not None else None,
        "citation": spec.citation,
        "note": f"exported from {spec.name}, at {window_s:g} s a window",
    }
    said = {
        "callspace": version("callspace"),
        "encoder": spec.name,
        "layer": encoder.layer,
        "pool": encoder.pool,
        "fingerprint": encoder.fingerprint(),
        "sample_rate_hz": encoder.sample_rate_hz,
        "window_s": window_s,
        "samples": samples,
        "licence": licence,
        "terms": weights.terms if weights is not None else "",
        "labels": json.dumps(encoder.labels, ensure_ascii=False),
        METADATA: json.dumps({key: value for key, value in settings.items() if value is not None}, ensure_ascii=False),
    }
    return {key: str(value) for key, value in said.items()}


def worst_error(module: nn.Module, path: Path, samples: int, *, seed: int = 0) -> float:
    """The most that a file's outputs differ from a module's on waveforms of several kinds, as a share of their greatest magnitude.

    Parameters
    ----------
    module : nn.Module
        float32[batch, samples] to a tuple of tensors.
    path : Path
        An ONNX file with the same outputs in the same order.
    samples : int
    seed : int

    Returns
    -------
    float
        Infinite where one is finite and the other is not.
    """
    from callspace.encoders.runtimes import OnnxModel

    file = OnnxModel(path, _OUTPUTS[: len(OnnxModel(path).outputs)])
    worst = 0.0
    for waveforms in _waveforms(samples, seed):
        with torch.no_grad():
            wanted = [value.numpy() for value in module(waveforms)]
        for found, own in zip(file.run(waveforms.numpy()), wanted, strict=True):
            worst = max(worst, _error(found, own))
    return worst


def _waveforms(samples: int, seed: int) -> list[Tensor]:
    """Noise, the same far quieter and so loud that it is clipped, a falling tone in noise, and silence; as batches of 1, 2 and 3."""
    generator = torch.Generator().manual_seed(seed)

    def noise(clips: int) -> Tensor:
        return torch.randn(clips, samples, generator=generator)

    time = torch.arange(samples) / max(1, samples)
    tone = 0.3 * torch.sin(2 * torch.pi * samples * (0.2 * time - 0.08 * time.square())) + 1e-3 * noise(1)
    return [0.1 * noise(3), 1e-4 * noise(2), (2 * noise(2)).clamp(-1, 1), tone, torch.zeros(1, samples)]


def _error(found: np.ndarray, own: np.ndarray) -> float:
    if found.shape != own.shape or not (np.isfinite(found) == np.isfinite(own)).all():
        return float("inf")
    difference = float(np.abs(np.nan_to_num(found) - np.nan_to_num(own)).max())
    return difference / float(np.abs(np.nan_to_num(own)).max() or np.finfo(np.float32).tiny) if difference else 0.0
