"""TFLite files made for tests with the flatbuffers package: an independent writer for the parser to read."""

from dataclasses import dataclass, field

import flatbuffers
import numpy as np

TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "int8": 9}
CODES = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "DEQUANTIZE": 6, "FULLY_CONNECTED": 9, "MEAN": 40, "COMPLEX_ABS": 135}


@dataclass
class Made:
    """A tensor to write; `shape` where there is no data."""

    name: str
    data: np.ndarray | None = None
    shape: tuple[int, ...] = ()
    scale: list[float] = field(default_factory=list)
    zero_point: list[int] = field(default_factory=list)
    axis: int = 0


@dataclass
class Step:
    """An operator to write; strides and activation (0 none, 1 ReLU) of a convolution or a dense layer."""

    name: str
    inputs: list[int]
    outputs: list[int]
    stride: int = 1
    activation: int = 0
    padding: int = 0


def tflite_bytes(tensors: list[Made], steps: list[Step], inputs: list[int], outputs: list[int]) -> bytes:
    """A whole file: buffer 0 empty, then one a constant."""
    builder = flatbuffers.Builder(1 << 16)
    kept = [tensor for tensor in tensors if tensor.data is not None]
    buffers = [_table(builder, 3, {})] + [_table(builder, 3, {0: ("o", _raw(builder, tensor.data.tobytes()))}) for tensor in kept]
    place = {id(tensor): index + 1 for index, tensor in enumerate(kept)}
    written = [_tensor(builder, tensor, place.get(id(tensor), 0)) for tensor in tensors]
    names = sorted({step.name for step in steps})
    codes = [_table(builder, 4, {0: ("b", min(CODES[name], 127)), 3: ("i", CODES[name])}) for name in names]
    operators = [_operator(builder, step, names.index(step.name)) for step in steps]
    subgraph = _table(
        builder,
        5,
        {
            0: ("o", _offsets(builder, written)),
            1: ("o", _numbers(builder, inputs, "i4")),
            2: ("o", _numbers(builder, outputs, "i4")),
            3: ("o", _offsets(builder, operators)),
        },
    )
    model = _table(
        builder,
        5,
        {
            0: ("I", 3),
            1: ("o", _offsets(builder, codes)),
            2: ("o", _offsets(builder, [subgraph])),
            4: ("o", _offsets(builder, buffers)),
        },
    )
    builder.Finish(model, file_identifier=b"TFL3")
    return bytes(builder.Output())


def _tensor(builder: flatbuffers.Builder, tensor: Made, buffer: int) -> int:
    shape = tensor.shape if tensor.data is None else tensor.data.shape
    code = 0 if tensor.data is None else TYPES[tensor.data.dtype.name]
    fields = {
        0: ("o", _numbers(builder, list(shape), "i4")),
        1: ("b", code),
        2: ("I", buffer),
        3: ("o", builder.CreateString(tensor.name)),
    }
    if tensor.scale:
        scale, zero = _numbers(builder, tensor.scale, "f4"), _numbers(builder, tensor.zero_point, "i8")
        fields[4] = ("o", _table(builder, 7, {2: ("o", scale), 3: ("o", zero), 6: ("i", tensor.axis)}))
    return _table(builder, 10, fields)


def _operator(builder: flatbuffers.Builder, step: Step, code: int) -> int:
    inputs, outputs = _numbers(builder, step.inputs, "i4"), _numbers(builder, step.outputs, "i4")
    strided = {0: ("b", step.padding), 1: ("i", step.stride), 2: ("i", step.stride)}
    options = {
        "CONV_2D": (1, strided | {3: ("b", step.activation)}),
        "DEPTHWISE_CONV_2D": (2, strided | {3: ("i", 1), 4: ("b", step.activation)}),
        "FULLY_CONNECTED": (8, {0: ("b", step.activation)}),
    }
    fields = {0: ("I", code), 1: ("o", inputs), 2: ("o", outputs)}
    if step.name in options:
        kind, values = options[step.name]
        fields |= {3: ("B", kind), 4: ("o", _table(builder, 7, values))}
    return _table(builder, 9, fields)


def _table(builder: flatbuffers.Builder, slots: int, fields: dict[int, tuple[str, float]]) -> int:
    prepend = {
        "b": builder.PrependInt8Slot,
        "B": builder.PrependUint8Slot,
        "i": builder.PrependInt32Slot,
        "I": builder.PrependUint32Slot,
        "o": builder.PrependUOffsetTRelativeSlot,
    }
    builder.StartObject(slots)
    for slot, (kind, value) in fields.items():
        prepend[kind](slot, value, 0)
    return builder.EndObject()


def _offsets(builder: flatbuffers.Builder, items: list[int]) -> int:
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        builder.PrependUOffsetTRelative(item)
    return builder.EndVector()


def _numbers(builder: flatbuffers.Builder, values: list[float], kind: str) -> int:
    return builder.CreateNumpyVector(np.array(values, dtype=kind))


def _raw(builder: flatbuffers.Builder, data: bytes) -> int:
    builder.StartVector(1, len(data), 16)
    builder.head = builder.head - len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return builder.EndVector()
