"""A tuned encoder as a folder: what is saved is what is loaded, and anything else is refused."""

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from callspace.encoders import load_encoder
from callspace.encoders.heads import LinearHead
from callspace.encoders.load import check_weights
from callspace.encoders.saved import save_encoder
from callspace.errors import CallspaceError
from onnx_files import picture_file, waveform_file

RATE = 8_000
CARD = {"dataset": "frogs", "epochs": 3, "note": "größer"}


def tuned(name: str = "resnet18:random", **options):
    encoder = load_encoder(name, sample_rate_hz=RATE, seed=3, **options)
    generator = torch.Generator().manual_seed(0)
    size = encoder.spec.embedding_dim
    encoder.labels = ["a", "b,c", "<d>"]
    encoder.head = LinearHead(size, 3, mean=torch.randn(size, generator=generator), scale=torch.rand(size, generator=generator) + 0.5)
    encoder.card = CARD
    return encoder


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned") / "my encoder"
    encoder = tuned()
    encoder.save(folder)
    return encoder, folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy to spoil."""
    for file in saved[1].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_a_saved_encoder_embeds_and_classifies_as_before(saved):
    encoder, folder = saved
    loaded = load_encoder(folder)
    clip = torch.randn(2, RATE)
    with torch.inference_mode():
        assert torch.equal(loaded(clip), encoder.eval()(clip))
        assert torch.equal(loaded.head(loaded(clip)), encoder.head(encoder(clip)))
    assert (loaded.labels, loaded.card, loaded.layer, loaded.spec.front_end) == (encoder.labels, CARD, "pooled", "logmel")
    assert loaded.fingerprint() == encoder.fingerprint()
    assert not loaded.training
    assert loaded.origin["kind"] == "tuned"


def test_the_files_can_be_read_by_whom_the_umask_allows(tmp_path):
    encoder = load_encoder("mfcc", sample_rate_hz=RATE)
    encoder.head = LinearHead(80, 2)
    for umask, mode in ((0o022, 0o644), (0o027, 0o640), (0o077, 0o600)):
        before = os.umask(umask)
        try:
            folder = encoder.save(tmp_path / f"{umask:o}")
        finally:
            os.umask(before)
        assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {mode}


def test_a_tuned_encoder_keeps_the_sample_rate_it_was_tuned_at(saved):
    loaded = load_encoder(saved[1]).bind(44_100)
    assert loaded.sample_rate_hz == loaded.spec.sample_rate_hz == RATE


def test_the_folder_can_be_checked_without_building(saved):
    assert check_weights(saved[1]) == saved[1] / "model.safetensors"
    assert check_weights(str(saved[1] / "card.json")) == saved[1] / "model.safetensors"


def test_the_models_file_is_in_the_published_layout_and_serves_as_weights(saved):
    encoder, folder = saved
    assert "layer4.1.bn2.running_var" in load_file(folder / "model.safetensors")
    as_weights = load_encoder("resnet18", weights=folder / "model.safetensors", sample_rate_hz=RATE).eval()
    clip = torch.randn(1, RATE)
    with torch.inference_mode():
        assert torch.equal(as_weights(clip), encoder.eval()(clip))


@pytest.mark.parametrize("head", [None, nn.Linear(80, 2), nn.Linear(80, 2, bias=False)])
def test_any_head_or_none_comes_back(head, tmp_path):
    encoder = load_encoder("mfcc", sample_rate_hz=RATE)
    encoder.head = head
    save_encoder(encoder, tmp_path / "tuned")
    loaded = load_encoder(tmp_path / "tuned")
    assert type(loaded.head) is type(head)
    if head is not None:
        assert {key: value.tolist() for key, value in loaded.head.state_dict().items()} == {
            key: value.tolist() for key, value in head.state_dict().items()
        }


def test_a_layer_and_a_front_end_come_back(tmp_path):
    tuned(layer="logits", front_end="power").save(tmp_path / "tuned")
    loaded = load_encoder(tmp_path / "tuned")
    assert (loaded.layer, loaded.spec.front_end, loaded.spec.embedding_dim) == ("logits", "power", 1000)


def test_saving_again_replaces_and_leaves_nothing_else_behind(tmp_path):
    first, second = (load_encoder("mfcc", sample_rate_hz=rate) for rate in (8_000, 16_000))
    first.save(tmp_path / "tuned")
    second.save(tmp_path / "tuned")
    assert [path.name for path in tmp_path.iterdir()] == ["tuned"]
    assert load_encoder(tmp_path / "tuned").sample_rate_hz == 16_000


def test_another_folder_is_never_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CallspaceError, match="exists and is not a saved encoder"):
        load_encoder("mfcc", sample_rate_hz=RATE).save(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_card_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        load_encoder("mfcc", sample_rate_hz=RATE).save(tmp_path / "tuned", {"score": float("nan")})
    assert list(tmp_path.iterdir()) == []


def change(folder, **entries):
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(json.dumps({key: value for key, value in (card | entries).items() if value != "gone"}))


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({"format": 99}, "has format 99"),
        ({"version": "0"}, "is version 0 of 'resnet18:random'"),
        ({"name": "resnet19"}, "no encoder is called 'resnet19'"),
        ({"layer": "conv9"}, "no layer 'conv9'"),
        ({"sample_rate_hz": 16_000}, "does not hold the weights that card.json describes"),
        ({"fingerprint": "0" * 16}, "does not hold the weights that card.json describes"),
        ({"labels": ["a"]}, "names 1 labels, but the head has 3 outputs"),
        ({"head": "gone"}, "not the card of a saved encoder"),
        ({"head": {"kind": "attention", "in_features": 512, "out_features": 3}}, "kind 'attention' is not known"),
    ],
)
def test_a_card_that_breaks_its_word_is_refused(folder, entries, sentence):
    change(folder, **entries)
    with pytest.raises(CallspaceError, match=sentence):
        load_encoder(folder)


def test_exchanged_broken_or_missing_files_are_refused(folder):
    state = load_file(folder / "model.safetensors")
    save_file({**state, "fc.bias": state["fc.bias"] + 1}, folder / "model.safetensors")
    with pytest.raises(CallspaceError, match="does not hold the weights"):
        load_encoder(folder)
    save_file({key: value for key, value in state.items() if key != "fc.bias"}, folder / "model.safetensors")
    with pytest.raises(CallspaceError, match=r"missing fc\.bias"):
        load_encoder(folder)
    (folder / "model.safetensors").write_bytes(b"half")
    with pytest.raises(CallspaceError, match="can't be read as weights"):
        load_encoder(folder)
    (folder / "card.json").write_text("{")
    with pytest.raises(CallspaceError, match="is not JSON"):
        load_encoder(folder)
    (folder / "card.json").unlink()
    with pytest.raises(CallspaceError, match=r"should hold card\.json"):
        load_encoder(folder)


def test_a_missing_head_is_a_sentence(folder):
    (folder / "head.safetensors").unlink()
    with pytest.raises(CallspaceError, match=r"no weights file at .*head\.safetensors"):
        load_encoder(folder)


def test_a_saved_encoder_leaves_no_choice(saved):
    with pytest.raises(CallspaceError, match="has its own layer and front end: leave them out"):
        load_encoder(saved[1], layer="logits", front_end="power")


def test_the_head_standardises_and_then_is_linear():
    mean, scale = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0])
    head = LinearHead(2, 1, mean=mean, scale=scale)
    nn.init.ones_(head.linear.weight)
    nn.init.zeros_(head.linear.bias)
    assert head(torch.tensor([[3.0, 10.0]])).item() == pytest.approx(1 + 2)
    assert [name for name, _ in head.named_parameters()] == ["linear.weight", "linear.bias"]


@pytest.fixture
def model_file(tmp_path):
    """A model file of someone's own, with a head trained on top."""
    pytest.importorskip("onnxruntime")
    path = waveform_file(tmp_path / "my_model.onnx", 200, order=("label", "embedding"))
    encoder = load_encoder(f"{path}:rate=1000:output=embedding:normalise=peak0.25:licence=CC BY-NC 4.0:pretraining=bioacoustic")
    encoder.head, encoder.labels = LinearHead(6, 2), ["a", "b"]
    return path, encoder


def test_a_saved_model_file_stands_alone(model_file, tmp_path):
    path, encoder = model_file
    folder = encoder.save(tmp_path / "tuned", CARD)
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "card.json", "head.safetensors", "model.onnx", "model.toml"]
    path.unlink()
    loaded, clip = load_encoder(folder), torch.randn(2, 450)
    with torch.inference_mode():
        assert torch.equal(loaded.head(loaded(clip)), encoder.head(encoder(clip)))
    assert (loaded.labels, loaded.card, loaded.layer, loaded.spec.name) == (["a", "b"], CARD, "embedding", encoder.spec.name)
    assert (loaded.spec.pretraining, loaded.spec.weights.terms) == ("bioacoustic", "non-commercial")
    assert loaded.fingerprint() == encoder.fingerprint()
    assert check_weights(folder) == folder / "model.onnx"


def test_a_saved_model_file_is_saved_again_onto_itself_and_elsewhere(model_file, tmp_path):
    folder = model_file[1].save(tmp_path / "tuned")
    loaded = load_encoder(folder)
    loaded.save(folder)
    again = load_encoder(load_encoder(folder).save(tmp_path / "other"))
    assert again.fingerprint() == model_file[1].fingerprint()
    assert again.spec.name == model_file[1].spec.name


def test_a_saved_model_file_at_the_datasets_rate_keeps_the_rate_it_was_tuned_at(tmp_path):
    pytest.importorskip("onnxruntime")
    encoder = load_encoder(f"{picture_file(tmp_path / 'net.onnx')}:pixels=0..1", sample_rate_hz=RATE, front_end="power")
    loaded, clip = load_encoder(encoder.save(tmp_path / "tuned")).bind(44_100), torch.randn(1, RATE)
    assert (loaded.sample_rate_hz, loaded.spec.front_end) == (RATE, "power")
    assert torch.equal(loaded(clip), encoder(clip))


def test_weights_beside_a_model_file_are_saved_with_it(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    (tmp_path / "own").mkdir()
    path = waveform_file(tmp_path / "own" / "net.onnx", 200, inner=True)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    encoder = load_encoder(f"{path}:rate=1000:output=embedding")
    folder, clip = encoder.save(tmp_path / "tuned"), torch.randn(1, 200)
    assert torch.equal(load_encoder(folder)(clip), encoder(clip))
    data = folder / "net.onnx.data"
    data.write_bytes(data.read_bytes()[:-4] + bytes(4))
    with pytest.raises(CallspaceError, match=r"model\.onnx does not hold the weights"):
        load_encoder(folder)


def test_an_exchanged_model_file_is_refused(model_file, tmp_path):
    folder = model_file[1].save(tmp_path / "tuned")
    waveform_file(folder / "model.onnx", 200, order=("label", "embedding"), seed=5)
    with pytest.raises(CallspaceError, match=r"model\.onnx does not hold the weights that card\.json describes"):
        load_encoder(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(CallspaceError, match="is not a saved encoder"):
        load_encoder(folder)
