"""Finished model files and what runs them: ONNX Runtime for ``.onnx``, LiteRT (TensorFlow Lite) for ``.tflite``.

Two classes with one interface: `Runtime.inputs` and `Runtime.outputs` say what the file takes and gives, `Runtime.tensor` finds any
tensor in it, and `Runtime.run` goes from a float32 array to float32 arrays, quantised on the way in and dequantised on the way out by
the file's own scale and zero point.

A tensor is asked for by its name; by its number, which in a TFLite file is the tensor's index and in an ONNX file the place among the
outputs; as `OUTPUT`, the first of its outputs; or as `PENULTIMATE`, what the last dense layer is given. Inner tensors of an ONNX file
need the ``onnx`` package, which makes outputs of them.

The runtimes are optional packages. A file is opened where it is used, with as many threads as torch has, and opened again after a copy
or a pickle.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from callspace.errors import CallspaceError, MissingDependencyError

__all__ = ["OUTPUT", "PENULTIMATE", "SUFFIXES", "OnnxModel", "Runtime", "TFLiteModel", "TensorInfo", "check_package", "open_model"]

#: Ask, where no tensor bears the name, for the first output, and for what the last dense layer is given: the embedding of most classifiers.
OUTPUT, PENULTIMATE = "output", "penultimate"

#: A file's suffix to the name of its backend.
SUFFIXES = {".onnx": "onnx", ".tflite": "tflite"}

#: What runs a TFLite file, the first that is installed.
_INTERPRETERS = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow.lite")

#: What ONNX Runtime puts before the reason of an error.
_ONNX_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Non-zero status code returned while running .*? Status Message: )?")
_ONNX_DTYPES = {"float": "float32", "double": "float64"}


@dataclass(frozen=True)
class TensorInfo:
    """What is known of a tensor before the model runs.

    Attributes
    ----------
    name : str
    number : int
        A TFLite file's tensor index; an ONNX file's place among its inputs or outputs, -1 for an inner tensor.
    shape : tuple of int or None
        None for a dimension that is not fixed; empty for an inner ONNX tensor, of which none is known.
    dtype : str
        NumPy's name.
    scale, zero_point : float, int
        real = scale x (stored - zero_point); the scale is 0 where the tensor is not quantised.
    """

    name: str
    number: int
    shape: tuple[int | None, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0

    def stored(self, values: np.ndarray) -> np.ndarray:
        """Real numbers as the tensor stores them: integers are rounded and clipped."""
        if np.dtype(self.dtype).kind == "f":
            return values.astype(self.dtype, copy=False)
        if self.scale:
            values = values / self.scale + self.zero_point
        limits = np.iinfo(self.dtype)
        return np.clip(np.rint(values), limits.min, limits.max).astype(self.dtype)

    def real(self, stored: np.ndarray) -> np.ndarray:
        """What the tensor stores, as float32."""
        values = stored.astype(np.float32)
        return (values - self.zero_point) * np.float32(self.scale) if self.scale else values

    def limits(self) -> tuple[float, float]:
        """The least and the greatest real number that an integer tensor can store."""
        integers = np.iinfo(self.dtype)
        scale = self.scale or 1.0
        return scale * (integers.min - self.zero_point), scale * (integers.max - self.zero_point)


class Runtime:
    """A model file that is open; see `open_model`.

    Parameters
    ----------
    path : path
    wanted : sequence of str or int
        The tensors that `run` gives, in this order; the first output, when not given.

    Raises
    ------
    MissingDependencyError
        When the package that runs such files is not installed.
    CallspaceError
        When the file is not there, can't be opened or has no such tensor.
    """

    backend = ""

    def __init__(self, path: str | Path, wanted: Sequence[str | int] = ()) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise CallspaceError(f"there is no model file at {path}: check the path")
        check_package(self.backend)
        self._wanted = tuple(wanted)
        self._session: Any = None
        self._open()

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    #: The tensors that `run` gives.
    wanted: tuple[TensorInfo, ...]
    #: What an ONNX file says of itself, in words of its maker's choice.
    metadata: dict[str, str] = {}  # noqa: RUF012  empty for files that can't say anything

    def run(self, array: np.ndarray) -> list[np.ndarray]:
        """Run the model on its one input.

        Parameters
        ----------
        array : float32 ndarray
            Of the input's shape.

        Returns
        -------
        list of float32 ndarray
            One for each tensor that is wanted.
        """
        if self._session is None:
            self._open()
        try:
            return self._run(array)
        except Exception as error:  # a dozen kinds, from C++
            self._session = None  # a failed run leaves a TFLite interpreter unusable
            raise self._cannot("run on an input of shape " + "x".join(map(str, array.shape)), error) from None

    def tensor(self, which: str | int) -> TensorInfo:
        """Any tensor of the file by name or number."""
        raise NotImplementedError

    def _open(self) -> None:
        raise NotImplementedError

    def _run(self, array: np.ndarray) -> list[np.ndarray]:
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}

    def _cannot(self, what: str, error: BaseException) -> CallspaceError:
        reason = _ONNX_PREFIX.sub("", " ".join(str(error).split()))[:300] or type(error).__name__
        return CallspaceError(f"{self.path} can't {what}: {reason}")

    def _no_tensor(self, which: str | int, names: Sequence[str], hint: str = "") -> CallspaceError:
        """Says what there is: the names most like the one asked for, else the first."""
        short = list(dict.fromkeys(name.split(";")[0] for name in names))
        near = difflib.get_close_matches(str(which), short, n=3, cutoff=0.5) or short[:5]
        return CallspaceError(f"{self.path} has no tensor {which!r}; there {'are' if len(near) > 1 else 'is'} {', '.join(near)}{hint}")


class OnnxModel(Runtime):
    """An ONNX file in ONNX Runtime, on the CPU."""

    backend = "onnx"

    def _open(self) -> None:
        session = self._start(str(self.path))
        self.inputs = tuple(_onnx_info(number, node) for number, node in enumerate(session.get_inputs()))
        self.outputs = tuple(_onnx_info(number, node) for number, node in enumerate(session.get_outputs()))
        self.metadata = dict(session.get_modelmeta().custom_metadata_map)
        self.wanted = tuple(self.tensor(which) for which in self._wanted) or self.outputs[:1]
        if inner := [info.name for info in self.wanted if info.number < 0]:
            session = self._start(self._with_outputs(inner))
        self._session = session

    def _start(self, model: str | bytes) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised, and said by us
        if isinstance(model, bytes):  # weights beside the file would be looked for in the working folder
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(self.path.resolve().parent))
        try:
            return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # a dozen kinds, from C++
            raise self._cannot("be opened by ONNX Runtime", error) from None

    def _run(self, array: np.ndarray) -> list[np.ndarray]:
        found = self._session.run([info.name for info in self.wanted], {self.inputs[0].name: self.inputs[0].stored(array)})
        return [info.real(np.asarray(values)) for info, values in zip(self.wanted, found, strict=True)]

    def tensor(self, which: str | int) -> TensorInfo:
        """An output by name or number, or any inner tensor by name."""
        if isinstance(which, int):
            if not 0 <= which < len(self.outputs):
                raise self._no_tensor(which, [f"{info.number} ('{info.name}')" for info in self.outputs])
            return self.outputs[which]
        if (found := next((info for info in self.outputs if info.name == which), None)) is not None:
            return found
        if which == OUTPUT:
            return self.outputs[0]
        nodes = self._graph(which).graph.node
        if which == PENULTIMATE:
            return TensorInfo(self._before_last_dense(), -1, (), "float32")
        names = [name for node in nodes for name in node.output if name]
        if which not in names:
            raise self._no_tensor(which, [info.name for info in self.outputs] + names)
        return TensorInfo(which, -1, (), "float32")

    def _graph(self, which: str) -> Any:
        try:
            import onnx
        except ImportError:
            raise MissingDependencyError(
                f"'{which}' is not an output of {self.path} (those are {', '.join(info.name for info in self.outputs)}), and reading "
                "an inner tensor takes the onnx package: pip install onnx"
            ) from None
        return onnx.load(self.path, load_external_data=False)

    def _before_last_dense(self) -> str:
        graph = self._graph(PENULTIMATE).graph
        constants = {tensor.name for tensor in graph.initializer} | {
            name for node in graph.node if node.op_type in ("Constant", "DequantizeLinear") for name in node.output
        }
        for node in reversed(graph.node):
            if node.op_type in ("Gemm", "MatMul") and any(name in constants for name in node.input):
                return next(name for name in node.input if name not in constants)
        raise CallspaceError(f"{self.path} has no dense layer, so nothing is {PENULTIMATE}: name the output tensor")

    def _with_outputs(self, names: list[str]) -> bytes:
        from onnx import ValueInfoProto

        model = self._graph(names[0])
        model.graph.output.extend(ValueInfoProto(name=name) for name in dict.fromkeys(names))
        return model.SerializeToString()


class TFLiteModel(Runtime):
    """A TFLite file in LiteRT, on the CPU; where an inner tensor is wanted, all of them are kept, which takes memory."""

    backend = "tflite"

    def _open(self) -> None:
        session = self._interpreter(keep=False)
        self.inputs = tuple(_tflite_info(detail) for detail in session.get_input_details())
        self.outputs = tuple(_tflite_info(detail) for detail in session.get_output_details())
        self._all = tuple(_tflite_info(detail) for detail in session.get_tensor_details())
        self.wanted = tuple(self.tensor(which) for which in self._wanted) or self.outputs[:1]
        given = {info.number for info in self.outputs}
        if any(info.number not in given for info in self.wanted):
            session = self._interpreter(keep=True)
        self._session = session

    def _interpreter(self, *, keep: bool) -> Any:
        module = _interpreter_module()
        options: dict[str, Any] = {"num_threads": _threads()}
        if keep:
            options["experimental_preserve_all_tensors"] = True
        try:
            with warnings.catch_warnings(), _without_its_greeting():
                warnings.simplefilter("ignore")  # that kept tensors take memory, that an interpreter is deprecated
                interpreter = module.Interpreter(model_path=str(self.path), **options)
                interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise self._cannot("be opened by the TFLite interpreter", error) from None
        return interpreter

    def _run(self, array: np.ndarray) -> list[np.ndarray]:
        session, first = self._session, self.inputs[0]
        if tuple(session.get_input_details()[0]["shape"]) != array.shape:
            session.resize_tensor_input(first.number, array.shape)
            session.allocate_tensors()
        session.set_tensor(first.number, first.stored(array))
        session.invoke()
        return [info.real(session.get_tensor(info.number)) for info in self.wanted]

    def tensor(self, which: str | int) -> TensorInfo:
        """Any tensor by name or index; of a name the converter joined from several with semicolons, one is enough."""
        if isinstance(which, int):
            found = [info for info in self._all if info.number == which]
        else:
            same = [info for info in self._all if info.name == which]
            found = same or [info for info in self._all if which in info.name.split(";")]
        if not found and which == OUTPUT:
            return self.outputs[0]
        if not found and which == PENULTIMATE:
            return self.tensor(self._before_last_dense())
        if not found:
            names = [info.name for info in (*self.outputs, *reversed(self._all)) if info.name]
            raise self._no_tensor(which, names, f" (and numbers up to {len(self._all) - 1})")
        return found[0]

    def _before_last_dense(self) -> int:
        from callspace.encoders.tflite_file import read_model

        dense = [operator for operator in read_model(self.path).operators if operator.name == "FULLY_CONNECTED"]
        if not dense:
            raise CallspaceError(f"{self.path} has no dense layer, so nothing is {PENULTIMATE}: give the output tensor's name or number")
        return dense[-1].inputs[0]


def open_model(path: str | Path, wanted: Sequence[str | int] = ()) -> Runtime:
    """Open a model file by its suffix; see `Runtime`."""
    kinds: dict[str, type[Runtime]] = {"onnx": OnnxModel, "tflite": TFLiteModel}
    backend = SUFFIXES.get(Path(path).suffix.lower())
    if backend is None:
        raise CallspaceError(f"{path} is not a model file that callspace runs: those end in {' or '.join(SUFFIXES)}")
    return kinds[backend](path, wanted)


def check_package(backend: str) -> None:
    """Refuse where what runs the files of a backend is not installed."""
    if backend == "tflite":
        _interpreter_module()
        return
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        raise MissingDependencyError("ONNX files need the onnxruntime package: pip install 'callspace[onnx]'") from None


def _interpreter_module() -> Any:
    for name in _INTERPRETERS:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise MissingDependencyError("TFLite files need the ai-edge-litert package: pip install 'callspace[tflite]'")


def _onnx_info(number: int, node: Any) -> TensorInfo:
    kind = node.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape)
    return TensorInfo(node.name, number, shape, _ONNX_DTYPES.get(kind, kind))


def _tflite_info(detail: dict[str, Any]) -> TensorInfo:
    signature = detail.get("shape_signature", detail["shape"])
    shape = tuple(int(size) if size > 0 else None for size in (signature if len(signature) else detail["shape"]))
    scale, zero_point = detail["quantization"]
    integer = np.dtype(detail["dtype"]).kind in "iu"
    return TensorInfo(
        detail["name"], detail["index"], shape, np.dtype(detail["dtype"]).name, float(scale) if integer else 0.0, int(zero_point)
    )


def _threads() -> int:
    import torch

    return torch.get_num_threads()


@contextlib.contextmanager
def _without_its_greeting() -> Iterator[None]:
    """The interpreter's C++ side says on standard error which delegate it made, past anything that Python could hush."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
