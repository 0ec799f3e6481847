"""An encoder as an ONNX file answers as it did, says what it is, and is an encoder again."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from callspace import load_encoder
from callspace.encoders.export import onnx as export
from callspace.encoders.export.onnx import export_onnx
from callspace.encoders.heads import LinearHead, MlpHead
from callspace.encoders.pooling import AttentivePooling
from callspace.errors import CallspaceError, MissingDependencyError
from tiny_encoders import tiny_encoder

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

#: One of each kind: photographs' networks in stages and with attention, frames and patches, waveforms, patches of Kaldi's filterbank.
KINDS = ["convnext-base", "swin-s", "mfcc", "vggish", "hubert-base", "beats", "ast"]


def with_head(encoder, labels=("frog", "größer", "a,b")):
    generator = torch.Generator().manual_seed(0)
    size = encoder.spec.embedding_dim
    encoder.labels = list(labels)
    encoder.head = LinearHead(size, len(labels), mean=0.1 * torch.randn(size, generator=generator), scale=torch.full((size,), 2.0))
    return encoder


def answers(path, waveforms):
    return onnxruntime.InferenceSession(path).run(None, {"waveforms": waveforms.numpy()})


def apart(found, wanted):
    return float(np.abs(found - wanted.numpy()).max() / wanted.abs().max())


@pytest.mark.parametrize("name", KINDS)
def test_a_file_answers_as_the_encoder_does_for_any_number_of_clips(name, tmp_path):
    encoder = with_head(tiny_encoder(name, seed=1))
    found = export_onnx(encoder, tmp_path / "net.onnx", window_s=0.7)
    generator = torch.Generator().manual_seed(5)
    for clips, loudness in ((1, 0.3), (4, 0.01)):
        waveforms = loudness * torch.randn(clips, found["samples"], generator=generator)
        with torch.no_grad():
            embedding = encoder(waveforms)
            wanted = [embedding, encoder.head(embedding)]
        for values, own in zip(answers(tmp_path / "net.onnx", waveforms), wanted, strict=True):
            assert values.shape == own.shape
            assert apart(values, own) <= 1e-4
    assert found["error"] <= 1e-4
    assert found["outputs"] == {"embedding": encoder.spec.embedding_dim, "logits": 3}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    encoder = with_head(tiny_encoder("wavlm-base", seed=2))
    encoder.card = {"window_s": 0.5}
    path = tmp_path_factory.mktemp("onnx") / "my net.onnx"
    export_onnx(encoder, path, window_s=0.5)
    return encoder, path


def test_the_file_says_what_it_is(exported):
    encoder, path = exported
    said = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert json.loads(said["labels"]) == ["frog", "größer", "a,b"]
    assert (said["encoder"], said["layer"], said["pool"]) == (encoder.spec.name, encoder.layer, encoder.pool)
    assert (float(said["window_s"]), int(said["sample_rate_hz"]), int(said["samples"])) == (0.5, 16_000, 8_000)
    assert said["fingerprint"] == encoder.fingerprint()
    assert said["licence"] == encoder.spec.weights.licence
    assert said["callspace"]


def test_the_file_is_an_encoder_again_without_a_word(exported):
    encoder, path = exported
    again, waveforms = load_encoder(path), 0.1 * torch.randn(2, 8_000)
    assert (again.sample_rate_hz, again.spec.max_window_s, again.spec.layers) == (16_000, 0.5, ("embedding", "logits"))
    assert (again.spec.weights.licence, again.spec.pretraining) == (encoder.spec.weights.licence, encoder.spec.pretraining)
    with torch.no_grad():
        assert apart(again(waveforms).numpy(), encoder(waveforms)) <= 1e-4
        assert apart(again.at("logits")(waveforms).numpy(), encoder.head(encoder(waveforms))) <= 1e-4


def test_what_is_said_after_the_file_or_beside_it_wins_over_what_it_says_itself(exported, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(exported[1].read_bytes())
    assert load_encoder(f"{path}:output=logits").spec.embedding_dim == 3
    path.with_suffix(".toml").write_text('licence = "CC BY-NC 4.0"\n')
    assert load_encoder(path).spec.weights.terms == "non-commercial"


def test_learnt_pooling_and_a_hidden_layer_go_into_the_file(tmp_path):
    encoder = tiny_encoder("hubert-base")
    encoder.pooler, encoder.head, encoder.labels = (
        AttentivePooling(encoder.token_dim, 4),
        MlpHead(encoder.spec.embedding_dim, 2, 8),
        ["a", "b"],
    )
    found = export_onnx(encoder, tmp_path / "net.onnx", window_s=0.5)
    waveforms = 0.1 * torch.randn(2, found["samples"])
    with torch.no_grad():
        assert apart(answers(tmp_path / "net.onnx", waveforms)[1], encoder.eval().head(encoder(waveforms))) <= 1e-4


def test_a_batch_mate_changes_nothing(exported):
    waveforms = 0.1 * torch.randn(3, 8_000)
    together = answers(exported[1], waveforms)[0]
    alone = [answers(exported[1], waveforms[number][None])[0][0] for number in range(3)]
    assert np.array_equal(together, np.stack(alone))


def test_silence_is_not_taken_for_sound(tmp_path):
    """A spectrogram without any variation gives zeros: the error of a long float32 sum must not look like one."""
    encoder = tiny_encoder("convnext-base")
    export_onnx(encoder, tmp_path / "net.onnx", window_s=3.0)
    silent = torch.zeros(1, 48_000)
    with torch.no_grad():
        assert np.allclose(answers(tmp_path / "net.onnx", silent)[0], encoder(silent).numpy(), atol=1e-6)


def test_a_window_longer_than_the_network_takes_is_framed_as_the_encoder_does(tmp_path):
    encoder = tiny_encoder("ast")
    longest = encoder.spec.max_window_s
    found = export_onnx(encoder, tmp_path / "net.onnx", window_s=1.5 * longest)
    waveforms = 0.1 * torch.randn(1, found["samples"])
    with torch.no_grad():
        assert apart(answers(tmp_path / "net.onnx", waveforms)[0], encoder(waveforms)) <= 1e-4


def test_a_file_that_answers_otherwise_is_refused_and_the_old_one_stays(tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"the old one")
    right = export._traced

    def wrong(outputs, name, samples):
        with torch.no_grad():
            outputs = export._Outputs(outputs.encoder)
            outputs.encoder.head.linear.bias += 0.01
            return right(outputs, name, samples)

    monkeypatch.setattr(export, "_traced", wrong)
    with pytest.raises(CallspaceError, match=r"'mfcc' does not answer as the encoder does .* it was not kept"):
        export_onnx(with_head(tiny_encoder("mfcc")), path, window_s=1.0)
    assert path.read_bytes() == b"the old one"
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]


def test_a_network_that_onnx_has_no_words_for_is_refused_with_a_sentence(tmp_path):
    class Inverse(nn.Module):
        def forward(self, embedding):
            return torch.fft.irfft(torch.fft.fft(embedding))

    encoder = tiny_encoder("mfcc")
    encoder.head, encoder.labels = Inverse(), ["a"]
    with pytest.raises(CallspaceError, match=r"'mfcc' can't be written as ONNX \(.*\): use the encoder's folder"):
        export_onnx(encoder, tmp_path / "net.onnx", window_s=1.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "window_s", "words"),
    [("net.txt", 1.0, r"ends in \.onnx"), ("net.onnx", 0.0, "holds no sample"), ("net.onnx", float("nan"), "holds no sample")],
)
def test_wrong_names_and_windows_are_refused(name, window_s, words, tmp_path):
    with pytest.raises(CallspaceError, match=words):
        export_onnx(tiny_encoder("mfcc"), tmp_path / name, window_s=window_s)


def test_a_model_file_is_not_exported_again(exported, tmp_path):
    with pytest.raises(CallspaceError, match="is a finished model file already"):
        export_onnx(load_encoder(exported[1]), tmp_path / "net.onnx", window_s=0.5)


def test_without_the_packages_the_extra_is_named(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependencyError, match=r"callspace\[export\]"):
        export_onnx(tiny_encoder("mfcc"), tmp_path / "net.onnx", window_s=1.0)


def test_neither_the_encoder_nor_torchs_generator_changes(tmp_path):
    encoder = with_head(tiny_encoder("mfcc")).train()
    state = torch.random.get_rng_state()
    export_onnx(encoder, tmp_path / "net.onnx", window_s=1.0)
    assert encoder.training
    assert all(parameter.requires_grad for parameter in encoder.head.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)
