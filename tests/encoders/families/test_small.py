"""callspace-small: what the package ships, and that it is what it was."""

import json
from importlib import resources

import numpy as np
import pytest
import torch
from safetensors import safe_open

from callspace.encoders import load_encoder
from callspace.encoders.checksums import sha256_of
from callspace.encoders.families.small import SPEC, SmallNetwork, brought_file
from callspace.encoders.pooling import AttentivePooling
from callspace.encoders.registry import find
from callspace.errors import MissingWeightsError

RATE = 16_000
DATA = resources.files("callspace.encoders") / "data"


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("callspace-small")


def sound(seconds=0.5, seed=0):
    """A rising tone in noise."""
    t = np.arange(round(seconds * RATE)) / RATE
    tone = 0.3 * np.sin(2 * np.pi * (1500 * t + 1000 * t**2))
    return torch.from_numpy((tone + 0.02 * np.random.RandomState(seed).standard_normal(len(t))).astype(np.float32))


def test_the_shipped_file_is_small_and_the_one_that_the_spec_names():
    path = brought_file()
    assert path == find("callspace-small").file
    assert path.stat().st_size == SPEC.weights.size_bytes <= 3_000_000
    assert sha256_of(path) == SPEC.weights.sha256


def test_the_shipped_file_holds_the_network_and_nothing_else():
    expected = {key: tuple(value.shape) for key, value in SmallNetwork().state_dict().items() if not key.endswith("num_batches_tracked")}
    with safe_open(brought_file(), "pt") as file:
        found = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
        assert {key: tuple(part.get_shape()) for key, part in found.items()} == expected
        assert {part.get_dtype() for key, part in found.items() if len(expected[key]) > 1} == {"F16"}
        assert {part.get_dtype() for key, part in found.items() if len(expected[key]) == 1} == {"F32"}


def test_the_loaded_network_is_float32_and_in_evaluation_mode(encoder):
    assert {value.dtype for key, value in encoder.network.state_dict().items() if not key.endswith("num_batches_tracked")} == {
        torch.float32
    }
    assert not encoder.training
    assert encoder.origin == {"kind": "published", "file": "callspace-small.safetensors", "sha256": SPEC.weights.sha256}


def test_it_is_found_without_a_network_or_a_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CALLSPACE_OFFLINE", "1")
    monkeypatch.setenv("CALLSPACE_CACHE", str(tmp_path))
    assert load_encoder("callspace-small").origin["kind"] == "published"


def test_golden_embedding(encoder):
    """Of this sound, as the weights were when they were made: the means of eight stretches of 64 numbers each."""
    with torch.inference_mode():
        found = encoder(sound()[None])[0].unflatten(0, (8, 64)).mean(dim=1)
    golden = [0.44887, 0.41486, 0.83698, 0.33983, 1.0488, 0.99556, 1.86254, 0.88975]
    np.testing.assert_allclose(found, golden, atol=1e-4)


def test_the_record_tells_of_the_shipped_file():
    record = json.loads((DATA / "callspace-small.json").read_text())
    assert record["sha256"] == SPEC.weights.sha256
    assert record["bytes"] == SPEC.weights.size_bytes
    assert record["held_out"]["retrieval"] > 20 * record["held_out"]["chance"]


def test_the_card_says_what_it_is_and_repeats_the_record():
    card, record = (DATA / "callspace-small.md").read_text(), json.loads((DATA / "callspace-small.json").read_text())
    assert "not a model of animal sounds" in card
    assert f"{record['settings']['steps']:,}" in card
    assert f"{100 * record['held_out']['retrieval']:.0f} %" in card
    assert f"{round(record['seconds']['training'] / 60)} min" in card


def test_the_embedding_is_the_mean_of_the_tokens_and_their_maximum(encoder):
    with torch.inference_mode():
        tokens, counts = encoder.tokens(sound()[None])
        found = encoder(sound()[None])
    assert tokens.shape == (1, 7, 256)
    assert counts.tolist() == [7]
    torch.testing.assert_close(found, torch.cat([tokens.mean(dim=1), tokens.amax(dim=1)], dim=1))


def test_a_louder_recording_is_the_same_to_it(encoder):
    with torch.inference_mode():
        torch.testing.assert_close(encoder(3 * sound()[None]), encoder(sound()[None]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("layer", ["pooled", "stage4", "stage2"])
def test_cut_anywhere_it_goes_on_to_the_same_embedding(layer):
    encoder = load_encoder("callspace-small", layer=layer)
    waveforms = torch.stack([sound(seed=1), sound(seed=2)])
    with torch.inference_mode():
        whole = encoder(waveforms)
        for number in range(len(encoder.blocks()) + 1):
            torch.testing.assert_close(encoder.rest(encoder.stem(waveforms, number), number), whole)


def test_its_blocks_are_its_stages_up_to_the_layer_that_is_read():
    assert [block.name for block in load_encoder("callspace-small").blocks()] == ["stage1", "stage2", "stage3", "stage4", "join"]
    shallow = load_encoder("callspace-small", layer="stage2")
    assert [block.name for block in shallow.blocks()] == ["stage1", "stage2"]
    assert (shallow.spec.embedding_dim, shallow.token_dim) == (64, 32)
    assert all(name.startswith(("stage1", "stage2")) for name in shallow.lora_targets())


def test_the_picture_has_frequency_before_time(encoder):
    picture = encoder.stem(sound(1.0)[None], 0)
    assert picture.shape[encoder.picture_axes[0]] == 64
    assert picture.shape[encoder.picture_axes[1]] == 101
    high = encoder.stem(0.3 * torch.sin(2 * torch.pi * 6000 * torch.arange(RATE) / RATE)[None], 0)
    assert int(high.squeeze().mean(dim=1).argmax()) > 48


def test_it_can_be_pooled_anew(encoder):
    again = load_encoder("callspace-small")
    again.pooler = AttentivePooling(again.token_dim)
    assert again.spec.embedding_dim == 256
    with torch.inference_mode():
        assert again(sound()[None]).shape == (1, 256)


def test_random_weights_follow_from_the_seed(encoder):
    one, again, other = (load_encoder("callspace-small:random", seed=seed) for seed in (0, 0, 1))
    assert one.fingerprint() == again.fingerprint() != other.fingerprint()
    assert encoder.fingerprint() != one.fingerprint()
    assert one.spec.pretraining == "none"


def test_a_saved_encoder_comes_back(encoder, tmp_path):
    loaded = load_encoder(encoder.save(tmp_path / "saved"))
    with torch.inference_mode():
        assert torch.equal(loaded(sound()[None]), encoder(sound()[None]))


def test_a_package_without_its_weights_says_so(monkeypatch):
    monkeypatch.setattr("callspace.encoders.families.small._FILE", "gone.safetensors")
    with pytest.raises(MissingWeightsError, match=r"no weights file for 'callspace-small' at .*gone\.safetensors"):
        load_encoder("callspace-small")
