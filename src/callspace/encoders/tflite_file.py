"""Read the tensors and operators of a TFLite file without the TFLite runtime.

A ``.tflite`` file is a FlatBuffer [1]_ whose tables TensorFlow's schema [2]_ names: a model holds operator codes, subgraphs and
buffers; a subgraph holds tensors, which point at buffers, and operators, which point at tensors. Only what is needed to take
trained weights out of subgraph 0 is read here; nothing is executed.

The file is not trusted. Every offset is checked against the file's size before it is followed, and what has been read is counted, so
that a truncated, damaged or malicious file ends in one sentence and never in a stray exception, an endless loop or a flood of memory.

References
----------
.. [1] FlatBuffers, "FlatBuffer Internals", https://flatbuffers.dev/internals/
.. [2] TensorFlow, ``tensorflow/compiler/mlir/lite/schema/schema.fbs`` (version 3, 3a to 3c)
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from callspace.errors import CallspaceError

__all__ = ["Operator", "TFLiteModel", "Tensor", "read_model", "read_tensors"]

#: What each code of the schema's TensorType is in NumPy; the types left out (strings, 4-bit integers, ...) hold no weights we read.
_DTYPES = dict(
    enumerate(("<f4", "<f2", "<i4", "|u1", "<i8", None, "|b1", "<i2", "<c8", "|i1", "<f8", "<c16", "<u8", None, None, "<u4", "<u2"))
)

#: The operators that are told by name; any other is "BUILTIN_<code>", a custom one "CUSTOM:<its name>".
_OPERATORS = {
    **{0: "ADD", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE", 9: "FULLY_CONNECTED", 14: "LOGISTIC", 18: "MUL", 19: "RELU"},
    **{22: "RESHAPE", 32: "CUSTOM", 34: "PAD", 36: "GATHER", 40: "MEAN", 73: "LOG", 131: "RFFT2D", 135: "COMPLEX_ABS"},
}

#: Of each option its field in its table, struct code and default; and of each operator the code of that table in the schema's union.
_CONVOLUTION = {"padding": (0, "b", 0), "stride_w": (1, "i", 0), "stride_h": (2, "i", 0)}
_OPTIONS: dict[str, tuple[int, dict[str, tuple[int, str, int]]]] = {
    "CONV_2D": (1, _CONVOLUTION | {"activation": (3, "b", 0), "dilation_w": (4, "i", 1), "dilation_h": (5, "i", 1)}),
    "DEPTHWISE_CONV_2D": (2, _CONVOLUTION | {"activation": (4, "b", 0), "dilation_w": (5, "i", 1), "dilation_h": (6, "i", 1)}),
    "FULLY_CONNECTED": (8, {"activation": (0, "b", 0)}),
}
_NAMED_OPTIONS = {
    "padding": {0: "SAME", 1: "VALID"},
    "activation": {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH", 5: "SIGN_BIT"},
}

_MOST_DIMENSIONS = 8


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of subgraph 0.

    Attributes
    ----------
    index : int
        Its place in the subgraph, by which operators name it.
    name : str
    shape : tuple of int
    dtype : str
        NumPy's name, or ``type <code>`` for one that is not read.
    scale, zero_point : float64[channels], int64[channels]
        Of the quantisation, real = scale x (stored - zero_point); empty where the tensor is not quantised.
    axis : int
        The axis that channels lie along, where there is more than one scale.
    data : ndarray or None
        The stored numbers as they are; None for what is computed when the model runs.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int
    data: np.ndarray | None = field(repr=False)

    def values(self) -> np.ndarray:
        """The constants as float32, dequantised channel by channel, float16 widened.

        Returns
        -------
        float32 ndarray, shape=self.shape

        Raises
        ------
        CallspaceError
            The tensor holds no constants, or the quantisation does not fit its shape.
        """
        if self.data is None or self.data.dtype.kind == "c":
            raise CallspaceError(
                f"TFLite tensor {self.index} ('{_short(self.name)}') holds no stored numbers of a type that callspace reads"
            )
        if len(self.scale) == 0:
            with np.errstate(all="ignore"):
                return self.data.astype(np.float32)
        return _dequantised(self)


@dataclass(frozen=True)
class Operator:
    """One step of subgraph 0, in the order of execution.

    Attributes
    ----------
    name : str
        The schema's name, such as ``CONV_2D``.
    inputs, outputs : tuple of int
        Indices of tensors; -1 is an input left out.
    options : dict
        For convolutions and dense layers: ``stride_h``, ``stride_w``, ``padding`` (SAME or VALID), ``activation`` (NONE, RELU, ...).
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclass(frozen=True, eq=False)
class TFLiteModel:
    """Subgraph 0 of a TFLite file."""

    path: Path
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def constant(self, index: int) -> np.ndarray:
        """The dequantised constant that tensor `index` is, seen through a DEQUANTIZE step (float16 files have one a weight)."""
        if not 0 <= index < len(self.tensors):
            raise CallspaceError(f"'{self.path.name}' has no tensor {index} (it has {len(self.tensors)})")
        tensor = self.tensors[index]
        if tensor.data is None:
            source = next((op.inputs[0] for op in self.operators if op.name == "DEQUANTIZE" and index in op.outputs and op.inputs), -1)
            if 0 <= source < len(self.tensors):
                tensor = self.tensors[source]
        return tensor.values()


def read_model(path: str | os.PathLike[str]) -> TFLiteModel:
    """Read subgraph 0 of a TFLite file.

    Parameters
    ----------
    path : path
        A ``.tflite`` file.

    Returns
    -------
    TFLiteModel
        The tensors' `data` are read-only views of the file's bytes, held in memory.

    Raises
    ------
    CallspaceError
        The file is not there, is not a TFLite file, or is truncated or damaged.
    """
    path = Path(path)
    data = _bytes_of(path)
    reader = _Reader(data, path.name)
    model = _Table(reader, reader.scalar("I", 0))
    names = [_operator_name(code) for code in model.tables(1)]
    subgraph = next(model.tables(2), None)
    if subgraph is None:
        raise reader.damaged("it holds no subgraph")
    buffers = [_buffer_bytes(reader, table) for table in model.tables(4)]
    tensors = tuple(_tensor(reader, index, table, buffers) for index, table in enumerate(subgraph.tables(0)))
    operators = tuple(_operator(reader, table, names, len(tensors)) for table in subgraph.tables(3))
    return TFLiteModel(path, tensors, operators, subgraph.integers(1), subgraph.integers(2))


def read_tensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The constants of a TFLite file by name, dequantised to float32; see `read_model` for the rest.

    Where several tensors bear one name, the first keeps it and the others get ``#<index>`` after it.
    """
    constants: dict[str, np.ndarray] = {}
    for tensor in read_model(path).tensors:
        if tensor.data is None or tensor.data.dtype.kind == "c":
            continue
        name = tensor.name if tensor.name not in constants else f"{tensor.name}#{tensor.index}"
        constants[name] = tensor.values()
    return constants


def _bytes_of(path: Path) -> bytes:
    """The file's bytes, once its first eight say that it is a TFLite file (so that no huge other file is read)."""
    try:
        with path.open("rb") as file:
            if file.read(8)[4:] != b"TFL3":
                raise CallspaceError(f"'{path}' is not a TFLite file (its fifth to eighth bytes are not 'TFL3'); give a .tflite file")
            file.seek(0)
            return file.read()
    except OSError as error:
        raise CallspaceError(f"can't read '{path}': {error.strerror or error}; check the path") from None


class _Reader:
    """Bounds-checked little-endian reads, which together may not exceed a budget."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name
        # A sound file is read about once; only tables that point at each other's bytes, over and over, read it many times.
        self.budget = 8 * len(data) + 1_000_000

    def damaged(self, how: str) -> CallspaceError:
        return CallspaceError(f"'{self.name}' is not a whole TFLite file: {how}; get it again")

    def claim(self, position: int, size: int) -> None:
        """Check that `size` bytes at `position` lie in the file, and count them."""
        if position < 0 or size < 0 or position + size > len(self.data):
            raise self.damaged(f"it is {len(self.data):,} bytes long and points at byte {position + size:,}")
        self.budget -= size + 1
        if self.budget < 0:
            raise self.damaged("its tables overlap")

    def scalar(self, code: str, position: int) -> int:
        layout = "<" + code
        self.claim(position, struct.calcsize(layout))
        return struct.unpack_from(layout, self.data, position)[0]

    def vector(self, position: int, dtype: str) -> np.ndarray:
        """The vector whose length stands at `position`, as a view."""
        count = self.scalar("I", position)
        self.claim(position + 4, count * np.dtype(dtype).itemsize)
        return np.frombuffer(self.data, dtype, count, position + 4)


class _Table:
    """A FlatBuffer table: fields by number, absent ones by their default."""

    def __init__(self, reader: _Reader, position: int) -> None:
        self.reader = reader
        self.position = position
        self.vtable = position - reader.scalar("i", position)
        self.vtable_size = reader.scalar("H", self.vtable)

    def at(self, number: int) -> int | None:
        """Where field `number` is stored; None where it is absent."""
        slot = 4 + 2 * number
        if slot + 2 > self.vtable_size:
            return None
        offset = self.reader.scalar("H", self.vtable + slot)
        return self.position + offset if offset else None

    def scalar(self, number: int, code: str, default: int = 0) -> int:
        position = self.at(number)
        return default if position is None else self.reader.scalar(code, position)

    def target(self, number: int) -> int | None:
        """Where the vector, string or table of field `number` begins."""
        position = self.at(number)
        return None if position is None else position + self.reader.scalar("I", position)

    def table(self, number: int) -> _Table | None:
        position = self.target(number)
        return None if position is None else _Table(self.reader, position)

    def vector(self, number: int, dtype: str) -> np.ndarray:
        position = self.target(number)
        return np.empty(0, dtype) if position is None else self.reader.vector(position, dtype)

    def integers(self, number: int) -> tuple[int, ...]:
        return tuple(self.vector(number, "<i4").tolist())

    def text(self, number: int) -> str:
        return self.vector(number, "|u1").tobytes().decode("utf-8", "replace")

    def tables(self, number: int) -> Iterator[_Table]:
        position = self.target(number)
        if position is None:
            return
        for index, offset in enumerate(self.reader.vector(position, "<u4").tolist()):
            yield _Table(self.reader, position + 4 + 4 * index + offset)


def _operator_name(code: _Table) -> str:
    # The older field is a byte; codes above 127 stand in the newer one, and the greater of the two counts.
    number = max(code.scalar(0, "b"), code.scalar(3, "i"))
    name = _OPERATORS.get(number, f"BUILTIN_{number}")
    return f"CUSTOM:{code.text(1)}" if name == "CUSTOM" else name


def _buffer_bytes(reader: _Reader, buffer: _Table) -> np.ndarray:
    """The bytes of a buffer, in its table or (schema 3c) elsewhere in the file."""
    offset = buffer.scalar(1, "Q")
    if offset <= 1:
        return buffer.vector(0, "|u1")
    size = buffer.scalar(2, "Q")
    reader.claim(offset, size)
    return np.frombuffer(reader.data, "|u1", size, offset)


def _tensor(reader: _Reader, index: int, table: _Table, buffers: list[np.ndarray]) -> Tensor:
    shape = table.integers(0)
    if len(shape) > _MOST_DIMENSIONS:
        raise reader.damaged(f"tensor {index} has {len(shape):,} dimensions")
    code, place = table.scalar(1, "b"), table.scalar(2, "I")
    if place >= max(len(buffers), 1):
        raise reader.damaged(f"tensor {index} names buffer {place:,} of {len(buffers):,}")
    stored = buffers[place] if buffers else np.empty(0, np.uint8)
    dtype = _DTYPES.get(code)
    quantisation = table.table(4)
    readable = dtype is not None and len(stored) > 0 and table.at(6) is None and _plain(quantisation)
    return Tensor(
        index=index,
        name=table.text(3),
        shape=shape,
        dtype=np.dtype(dtype).name if dtype else f"type {code}",
        scale=(quantisation.vector(2, "<f4") if quantisation else np.empty(0)).astype(np.float64),
        zero_point=(quantisation.vector(3, "<i8") if quantisation else np.empty(0)).astype(np.int64),
        axis=quantisation.scalar(6, "i") if quantisation else 0,
        data=_shaped(reader, index, stored, dtype, shape) if readable and dtype else None,
    )


def _plain(quantisation: _Table | None) -> bool:
    """Whether scale and zero point say all: no custom scheme stands beside them."""
    return quantisation is None or quantisation.scalar(4, "B") == 0


def _shaped(reader: _Reader, index: int, stored: np.ndarray, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    if min(shape, default=1) < 0 or needed != len(stored):
        raise reader.damaged(f"tensor {index} of shape {shape} and type {np.dtype(dtype).name} does not fill its {len(stored):,} bytes")
    return np.frombuffer(stored, dtype).reshape(shape)


def _operator(reader: _Reader, table: _Table, names: list[str], tensors: int) -> Operator:
    code = table.scalar(0, "I")
    if code >= len(names):
        raise reader.damaged(f"an operator names code {code:,} of {len(names):,}")
    inputs, outputs = table.integers(1), table.integers(2)
    if any(not -1 <= index < tensors for index in inputs + outputs):
        raise reader.damaged(f"an operator {names[code]} names a tensor that is not there")
    return Operator(names[code], inputs, outputs, _options(table, names[code]))


def _options(operator: _Table, name: str) -> dict[str, Any]:
    if name not in _OPTIONS:
        return {}
    kind, fields = _OPTIONS[name]
    stored = operator.table(4) if operator.scalar(3, "B") == kind else None
    options: dict[str, Any] = {}
    for option, (number, code, default) in fields.items():
        value = stored.scalar(number, code, default) if stored else default
        options[option] = _NAMED_OPTIONS[option].get(value, value) if option in _NAMED_OPTIONS else value
    return options


def _dequantised(tensor: Tensor) -> np.ndarray:
    """Numbers as scale x (stored - zero point), one scale for all or one a channel."""
    assert tensor.data is not None
    channels = len(tensor.scale)
    rank = len(tensor.shape)
    fits = channels == 1 or (0 <= tensor.axis < rank and tensor.shape[tensor.axis] == channels)
    if not fits or len(tensor.zero_point) not in {0, 1, channels}:
        raise CallspaceError(
            f"TFLite tensor {tensor.index} ('{_short(tensor.name)}') has {channels} scales and {len(tensor.zero_point)} zero points, "
            f"which do not fit its shape {tensor.shape}: the file is damaged; get it again"
        )
    along = [1] * rank
    if channels > 1:
        along[tensor.axis] = channels
    zero = np.broadcast_to(tensor.zero_point if len(tensor.zero_point) else 0, channels).reshape(along)
    with np.errstate(all="ignore"):  # a damaged scale gives numbers that are not finite; whoever uses them checks
        return ((tensor.data.astype(np.float64) - zero) * tensor.scale.reshape(along)).astype(np.float32)


def _short(name: str) -> str:
    """The first of the names that the converter joins with semicolons."""
    return name.split(";", 1)[0][:80]
