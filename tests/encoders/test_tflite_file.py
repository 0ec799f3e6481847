"""Tensors and operators of TFLite files, against the TFLite interpreter and against files written by the flatbuffers package."""

import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callspace.encoders.tflite_file import read_model, read_tensors
from callspace.errors import CallspaceError
from tflite_files import Made, Step, tflite_bytes

RANDOM = np.random.default_rng(7)
KERNEL = RANDOM.integers(-127, 128, (4, 3, 3, 2)).astype(np.int8)
SCALES = [0.5, 0.25, 2.0, 1e-3]


def _small_file() -> bytes:
    tensors = [
        Made("input", shape=(1, 8, 8, 2)),
        Made("kernel", KERNEL, scale=SCALES, zero_point=[0, 3, -5, 0], axis=0),
        Made("bias", np.arange(4, dtype=np.float32)),
        Made("output", shape=(1, 4, 4, 4)),
        Made("half", np.array([1.5, -2.25, 65504.0], dtype=np.float16)),
        Made("whole", shape=(3,)),
        Made("bytes", np.array([[0, 128, 255]], dtype=np.uint8), scale=[0.1], zero_point=[128]),
        Made("bias", np.array([9], dtype=np.int32)),
    ]
    steps = [
        Step("CONV_2D", [0, 1, 2], [3], stride=2, activation=1),
        Step("DEQUANTIZE", [4], [5]),
        Step("COMPLEX_ABS", [5], [3]),
    ]
    return tflite_bytes(tensors, steps, [0], [3])


SMALL = _small_file()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(SMALL)
    return path


def test_tensors_and_operators_come_as_they_were_written(small: Path) -> None:
    model = read_model(small)
    assert [tensor.name for tensor in model.tensors[:4]] == ["input", "kernel", "bias", "output"]
    assert model.tensors[0].shape == (1, 8, 8, 2)
    assert model.tensors[0].data is None
    assert model.tensors[1].dtype == "int8"
    np.testing.assert_array_equal(model.tensors[1].data, KERNEL)
    assert (model.inputs, model.outputs) == ((0,), (3,))
    convolution, dequantise, complex_abs = model.operators
    assert (convolution.name, convolution.inputs, convolution.outputs) == ("CONV_2D", (0, 1, 2), (3,))
    assert (convolution.options["stride_h"], convolution.options["padding"], convolution.options["activation"]) == (2, "SAME", "RELU")
    assert (dequantise.name, complex_abs.name) == ("DEQUANTIZE", "COMPLEX_ABS")  # 135 does not fit the older byte


def test_quantised_numbers_are_scaled_channel_by_channel(small: Path) -> None:
    zero = np.array([0, 3, -5, 0]).reshape(4, 1, 1, 1)
    expected = (KERNEL.astype(np.float64) - zero) * np.array(SCALES).reshape(4, 1, 1, 1)
    np.testing.assert_allclose(read_model(small).tensors[1].values(), expected, rtol=1e-6)


def test_one_scale_serves_all_channels(small: Path) -> None:
    np.testing.assert_allclose(read_model(small).tensors[6].values(), [[-12.8, 0.0, 12.7]], rtol=1e-6)


def test_float16_is_widened_and_found_behind_its_dequantize_step(small: Path) -> None:
    model = read_model(small)
    np.testing.assert_array_equal(model.constant(5), np.array([1.5, -2.25, 65504.0], dtype=np.float32))
    assert model.constant(5).dtype == np.float32


def test_tensors_of_one_name_are_all_kept(small: Path) -> None:
    tensors = read_tensors(small)
    assert set(tensors) == {"kernel", "bias", "half", "bytes", "bias#7"}
    assert tensors["bias#7"].tolist() == [9.0]


def test_a_tensor_without_numbers_says_so(small: Path) -> None:
    with pytest.raises(CallspaceError, match=r"tensor 0 \('input'\) holds no stored numbers"):
        read_model(small).tensors[0].values()


def test_scales_that_do_not_fit_the_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scales.tflite"
    path.write_bytes(tflite_bytes([Made("kernel", KERNEL, scale=[1.0, 2.0, 3.0], zero_point=[0, 0, 0])], [], [], []))
    with pytest.raises(CallspaceError, match="has 3 scales and 3 zero points"):
        read_model(path).tensors[0].values()


@pytest.mark.parametrize("name", ["yamnet.tflite", "mobilenet_v2_imagenet_int8.tflite"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_real_file_reads_as_the_interpreter_reads_it(test_data: Path, name: str) -> None:
    interpreter_module = pytest.importorskip("ai_edge_litert.interpreter")
    path = test_data / "weights" / name
    interpreter = interpreter_module.Interpreter(
        str(path), experimental_op_resolver_type=interpreter_module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    model = read_model(path)
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    compared = 0
    for tensor in model.tensors:
        detail = details[tensor.index]
        assert tensor.name == detail["name"]
        assert tensor.shape == tuple(detail["shape"])
        assert tensor.dtype == np.dtype(detail["dtype"]).name
        np.testing.assert_array_equal(tensor.scale, detail["quantization_parameters"]["scales"])
        np.testing.assert_array_equal(tensor.zero_point, detail["quantization_parameters"]["zero_points"])
        if tensor.data is not None:
            assert tensor.axis == detail["quantization_parameters"]["quantized_dimension"]
            np.testing.assert_array_equal(tensor.data, interpreter.get_tensor(tensor.index))
            compared += 1
    assert compared > 60
    assert model.inputs == tuple(detail["index"] for detail in interpreter.get_input_details())
    assert model.outputs == tuple(detail["index"] for detail in interpreter.get_output_details())


def _outcome(path: Path) -> str:
    """Read all there is; only a sentence may come instead."""
    try:
        read_tensors(path)
        for index in range(len(model := read_model(path).tensors)):
            assert model[index].index == index
    except CallspaceError as error:
        return str(error)
    return ""


@settings(max_examples=150, deadline=None)
@given(length=st.integers(0, len(SMALL) - 1))
def test_a_truncated_file_gives_a_sentence(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = tmp_path_factory.getbasetemp() / "truncated.tflite"
    path.write_bytes(SMALL[:length])
    assert "TFLite file" in _outcome(path)


@settings(max_examples=300, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(8, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_file_gives_a_sentence_or_numbers(tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(SMALL)
    for position, value in flips:
        damaged[position] = value
    path = tmp_path_factory.getbasetemp() / "damaged.tflite"
    path.write_bytes(bytes(damaged))
    _outcome(path)


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=400), root=st.integers(0, 64))
def test_noise_behind_the_identifier_gives_a_sentence_or_nothing(tmp_path_factory: pytest.TempPathFactory, data: bytes, root: int) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.tflite"
    path.write_bytes(struct.pack("<I", root) + b"TFL3" + data)
    _outcome(path)


def test_tables_that_all_point_at_the_same_bytes_are_refused_at_once(tmp_path: Path) -> None:
    """A million tensors that share one shape of a million numbers would fill the memory of any machine."""
    data = bytearray(struct.pack("<I", 40) + b"TFL3")
    data += struct.pack("<HHHHH", 10, 12, 0, 0, 8) + bytes(2)  # 8: vtable of the model, subgraphs at 8
    data += struct.pack("<HHH", 6, 8, 4) + bytes(2)  # 20: vtable of the subgraph and of its tensors: field 0 at 4
    data += bytes(40 - len(data))
    data += struct.pack("<iii", 40 - 8, 0, 4)  # 40: the model; its subgraphs begin at 52
    data += struct.pack("<II", 1, 4)  # 52: one subgraph, at 60
    data += struct.pack("<iI", 60 - 20, 4)  # 60: the subgraph; its tensors begin at 68
    count = 50_000
    tensor = 72 + 4 * count
    data += struct.pack("<I", count) + b"".join(struct.pack("<I", tensor - (72 + 4 * index)) for index in range(count))
    data += struct.pack("<iI", tensor - 20, 4) + struct.pack("<I", 8) + bytes(32)
    path = tmp_path / "overlap.tflite"
    path.write_bytes(bytes(data))
    begun = time.process_time()
    with pytest.raises(CallspaceError, match="overlap"):
        read_model(path)
    assert time.process_time() - begun < 5


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    for name, content in {"empty.tflite": b"", "text.tflite": b"this is a text, not a network", "zip.tflite": b"PK\x03\x04" * 9}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CallspaceError, match=f"{name}' is not a TFLite file"):
            read_model(tmp_path / name)
    with pytest.raises(CallspaceError, match="can't read"):
        read_model(tmp_path / "absent.tflite")
    with pytest.raises(CallspaceError, match="can't read"):
        read_model(tmp_path)
