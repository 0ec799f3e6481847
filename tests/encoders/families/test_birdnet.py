"""BirdNET's two files: small ones with the published inputs and outputs, fed and read as the authors' package does."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from callspace.encoders import load_encoder
from callspace.encoders.families.birdnet import SPECS, BirdNetEncoder
from callspace.errors import CallspaceError, MissingDependencyError, MissingWeightsError
from frozen_checks import check_contract, clip
from onnx_files import waveform_file, waveform_weights
from tflite_files import Made, Step, tflite_bytes

pytest.importorskip("ai_edge_litert.interpreter")
pytest.importorskip("onnxruntime")

V2, V3 = SPECS["birdnet-v2.4"], SPECS["birdnet-v3"]


@pytest.fixture(scope="module")
def v2_file(tmp_path_factory):
    """1 x 144000 samples to 1024 numbers to 7 classes (published: 6522)."""
    random = np.random.default_rng(0)
    first, second, third = (
        (random.standard_normal(shape) / np.sqrt(shape[1])).astype(np.float32) for shape in ((3, 144_000), (1024, 3), (7, 1024))
    )
    biases = [random.standard_normal(size).astype(np.float32) * 0.1 for size in (3, 1024, 7)]
    tensors = [
        Made("INPUT", shape=(1, 144_000)),
        *(Made(f"constant{index}", data) for index, data in enumerate([first, second, third, *biases])),
        Made("HIDDEN", shape=(1, 3)),
        Made("GLOBAL_AVG_POOL/Mean", shape=(1, 1024)),
        Made("CLASS_DENSE_LAYER", shape=(1, 7)),
    ]
    steps = [
        Step("FULLY_CONNECTED", [0, 1, 4], [7], activation=1),
        Step("FULLY_CONNECTED", [7, 2, 5], [8], activation=1),
        Step("FULLY_CONNECTED", [8, 3, 6], [9]),
    ]
    path = tmp_path_factory.mktemp("birdnet") / "audio-model.tflite"
    path.write_bytes(tflite_bytes(tensors, steps, [0], [9]))

    def by_numpy(windows):
        embedding = np.maximum(np.maximum(windows @ first.T + biases[0], 0) @ second.T + biases[1], 0)
        return embedding, embedding @ third.T + biases[2]

    return path, by_numpy


@pytest.fixture(scope="module")
def v2(v2_file):
    encoder = BirdNetEncoder(replace(V2, layer_dims={"logits": 7}))
    encoder.load_weights(v2_file[0])
    return encoder


@pytest.fixture(scope="module")
def v3_file(tmp_path_factory):
    """batch x 96000 samples to 5 scores (published: about 11,000) and, second, the 1280 numbers."""
    folder = tmp_path_factory.mktemp("birdnet3")
    order = ("label", "embedding")
    return waveform_file(folder / "v3.onnx", 96_000, dim=1280, classes=5, order=order, name="input")


def test_the_specs_say_what_is_published():
    assert (V2.sample_rate_hz, V2.embedding_dim, V2.max_window_s, V2.options["backend"]) == (48_000, 1024, 3.0, "tflite")
    assert (V3.sample_rate_hz, V3.embedding_dim, V3.max_window_s, V3.options["backend"]) == (32_000, 1280, 3.0, "onnx")
    assert {spec.weights.terms for spec in SPECS.values()} == {"non-commercial"}
    assert {spec.weights.licence for spec in SPECS.values()} == {"CC BY-NC-SA 4.0"}
    assert not any(spec.trainable for spec in SPECS.values())


def test_the_embedding_is_what_the_last_dense_layer_is_given(v2, v2_file):
    sound = clip(3.0, 1, 48_000)
    embedding, logits = v2_file[1](sound.numpy())
    found = v2.layer_embeddings(sound[None])
    np.testing.assert_allclose(found["embedding"][0], embedding, rtol=1e-3, atol=1e-3 * np.abs(embedding).max())
    np.testing.assert_allclose(found["logits"][0], logits, rtol=1e-3, atol=1e-3 * np.abs(logits).max())


def test_a_short_clip_gets_zeros_at_its_end_and_a_long_one_is_averaged_over_3_s(v2, v2_file):
    sound = clip(4.0, 1, 48_000)
    windows = np.pad(sound, (0, 96_000)).reshape(2, 144_000)
    expected = v2_file[1](windows)[0]
    np.testing.assert_allclose(v2(sound[None])[0], expected.mean(axis=0), rtol=1e-3, atol=1e-3 * expected.max())
    short = v2_file[1](np.pad(sound[:48_000], (0, 96_000)))[0]
    np.testing.assert_allclose(v2(sound[None, :48_000])[0], short, rtol=1e-3, atol=1e-3 * short.max())


def test_version_2_keeps_the_contract(v2):
    check_contract(v2, 2.0)


def test_version_3_keeps_the_contract(v3_file):
    encoder = load_encoder("birdnet-v3", weights=v3_file)
    check_contract(encoder, 2.0)
    first, second, _ = waveform_weights(96_000, 1280, 5)
    sound = clip(3.0, 1, 32_000)
    expected = np.maximum(sound.numpy() @ first, 0) @ second
    np.testing.assert_allclose(encoder(sound[None])[0], expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_another_file_is_refused(tmp_path, v3_file):
    with pytest.raises(CallspaceError, match="takes any x 99, not 96000 samples: it is another model"):
        load_encoder("birdnet-v3", weights=waveform_file(tmp_path / "other.onnx", 99, order=("label", "embedding")))
    with pytest.raises(CallspaceError, match=r"'birdnet-v2\.4' runs a tflite file"):
        load_encoder("birdnet-v2.4", weights=v3_file)


@pytest.mark.parametrize("name", list(SPECS))
def test_a_file_that_is_not_here_is_a_sentence_and_never_random(name, monkeypatch):
    monkeypatch.setenv("CALLSPACE_OFFLINE", "1")
    with pytest.raises(MissingWeightsError, match=f"no weights for '{name}'.*{re.escape(SPECS[name].weights.url)}"):
        load_encoder(name)
    with pytest.raises(CallspaceError, match="has no weights that could be random"):
        load_encoder(f"{name}:random")


def test_a_missing_runtime_is_said_before_anything_is_downloaded(monkeypatch):
    monkeypatch.setattr("callspace.encoders.load.cached_weights", lambda *rest, **more: pytest.fail("downloaded"))
    monkeypatch.setattr("callspace.encoders.runtimes._INTERPRETERS", ("no_such_package",))
    with pytest.raises(MissingDependencyError, match=r"pip install 'callspace\[tflite\]'"):
        load_encoder("birdnet-v2.4")


def test_a_saved_encoder_holds_its_file(v2, v2_file, tmp_path):
    encoder = load_encoder("birdnet-v3", weights=waveform_file(tmp_path / "v3.onnx", 96_000, dim=1280, order=("label", "embedding")))
    folder = encoder.save(tmp_path / "saved")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "card.json", "model.onnx"]
    loaded = load_encoder(folder)
    sound = torch.randn(1, 50_000)
    assert torch.equal(loaded(sound), encoder(sound))
    assert (loaded.spec.name, loaded.fingerprint()) == ("birdnet-v3", encoder.fingerprint())
