import os
import time

import numpy as np
import pytest
import torch

from callspace.audio import read_window
from callspace.datasets import load_dataset
from callspace.embedding.embed import describe_encoder, embed
from callspace.embedding.frames import frames_of
from callspace.embedding.pipeline import WaveformCache, choose_device, embed_rows, read_ahead
from callspace.embedding.store import Store, window_keys
from callspace.encoders.load import load_encoder
from callspace.errors import CallspaceError
from small_audio import class_folders, tone

CPU = torch.device("cpu")


@pytest.fixture
def clips(tmp_path):
    """Eighteen clips, one of them three windows long."""
    root = class_folders(tmp_path / "clips")
    tone(root / "low" / "low 0.wav", seconds=2.5)
    return load_dataset(root, window_s=1.0)


def test_the_pipeline_gives_what_reading_and_embedding_one_by_one_gives(clips):
    encoder = load_encoder("resnet18:random")
    found = embed(clips, encoder).vectors
    for row in (0, 1, 17):
        parts = []
        for frame in frames_of(clips, [row]):
            wave = read_window(clips.root / frame.recording, frame.onset_s, frame.offset_s, sample_rate_hz=clips.sample_rate_hz)
            with torch.inference_mode():
                parts.append(encoder(torch.from_numpy(wave)[None]).numpy()[0])
        expected = np.mean(parts, axis=0)
        assert np.abs(found[row] - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_long_clip_is_framed_and_averaged(clips):
    row = clips.windows["recording"].to_pylist().index("low/low 0.wav")
    assert len(list(frames_of(clips, [row]))) == 3


def test_batches_come_back_in_order_with_a_cache_and_without(clips):
    frames = list(frames_of(clips, range(clips.windows.num_rows)))
    batches = [frames[start : start + 4] for start in range(0, len(frames), 4)]
    plain = list(read_ahead(clips, batches, 8000))
    cache = WaveformCache()
    list(read_ahead(clips, batches, 8000, cache=cache))
    again = list(read_ahead(clips, batches, 8000, cache=cache))
    assert [batch for batch, _ in plain] == batches
    for (_, one), (_, two) in zip(plain, again, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_cache_without_room_keeps_nothing(clips):
    frame = next(frames_of(clips, [1]))
    cache = WaveformCache(max_bytes=10)
    cache.keep(frame, np.zeros(100, np.float32))
    assert cache.get(frame) is None


def test_a_stored_window_is_never_computed_again(clips, tmp_path, monkeypatch):
    encoder = load_encoder("mfcc")
    first = embed(clips, encoder, tmp_path / "store")
    monkeypatch.setattr("callspace.embedding.embed.embed_rows", lambda *a, **k: pytest.fail("computed again"))
    again = embed(clips, encoder, tmp_path / "store")
    assert np.array_equal(first.vectors, again.vectors)


def test_only_a_changed_recording_is_computed_again(clips, tmp_path, monkeypatch):
    encoder = load_encoder("mfcc")
    embed(clips, encoder, tmp_path / "store")
    name = clips.windows["recording"][5].as_py()
    tone(clips.root / name, seed=99)
    os.utime(clips.root / name, ns=(time.time_ns(), time.time_ns() + 10**9))
    asked = []
    monkeypatch.setattr("callspace.embedding.embed.embed_rows", lambda d, e, rows, **k: asked.extend(rows) or embed_rows(d, e, rows, **k))
    embed(clips, encoder, tmp_path / "store")
    assert asked == [5]


def test_an_interrupted_embedding_goes_on_to_the_same_bytes(clips, tmp_path, monkeypatch):
    monkeypatch.setattr("callspace.embedding.embed.SHARD_ROWS", 5)
    encoder = load_encoder("resnet18:random")
    whole = embed(clips, encoder, tmp_path / "whole")
    calls = []

    def dies(dataset, encoder, rows, **options):
        calls.append(rows)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embed_rows(dataset, encoder, rows, **options)

    with monkeypatch.context() as patch:
        patch.setattr("callspace.embedding.embed.embed_rows", dies)
        with pytest.raises(KeyboardInterrupt):
            embed(clips, encoder, tmp_path / "broken")
    with pytest.raises(CallspaceError, match="not complete"):
        Store(tmp_path / "broken").read()
    assert np.array_equal(embed(clips, encoder, tmp_path / "broken").vectors, whole.vectors)


def test_a_half_written_shard_does_not_count(clips, tmp_path):
    encoder = load_encoder("mfcc")
    embed(clips, encoder, tmp_path / "store")
    (tmp_path / "store" / "shards" / ".abc.arrow.12345678.part").write_bytes(b"half")
    assert len(Store(tmp_path / "store").stored_keys()) == clips.windows.num_rows


def test_a_store_of_another_encoder_is_refused(clips, tmp_path):
    embed(clips, load_encoder("mfcc"), tmp_path / "store")
    with pytest.raises(CallspaceError, match="holds embeddings by mfcc"):
        embed(clips, load_encoder("resnet18:random"), tmp_path / "store")


def test_a_store_of_another_reading_says_which(clips, tmp_path):
    embed(clips, load_encoder("yamnet:random", layer="layer1"), tmp_path / "store")
    with pytest.raises(CallspaceError, match=r"by yamnet:random \(layer1, mean, \w+\), not by yamnet:random \(layer2, mean, \w+\)"):
        embed(clips, load_encoder("yamnet:random", layer="layer2"), tmp_path / "store")


def test_a_folder_without_a_store_says_how_to_make_one(tmp_path):
    with pytest.raises(CallspaceError, match="callspace embed"):
        Store(tmp_path)


def test_what_is_read_is_what_was_written_in_any_order(tmp_path):
    about = {"encoder": {"fingerprint": "f", "name": "n", "embedding_dim": 3}, "dataset": {}}
    store = Store(tmp_path, about)
    vectors = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    keys = [f"k{n}" for n in range(7)]
    store.append(keys[:4], vectors[:4])
    store.append(keys[4:], vectors[4:])
    assert np.array_equal(store.vectors(keys[::-1]), vectors[::-1])
    with pytest.raises(CallspaceError, match="lacks 1 of 2"):
        store.vectors(["k0", "other"])


def test_keys_differ_with_recording_place_and_channel(clips):
    from dataclasses import replace

    keys = window_keys(clips)
    assert len(set(keys)) == len(keys)
    assert not set(keys) & set(window_keys(replace(clips, channel=0)))


def test_damaged_weights_stop_the_embedding_with_a_sentence(clips):
    encoder = load_encoder("resnet18:random")
    with torch.no_grad():
        next(encoder.network.parameters()).fill_(float("nan"))
    with pytest.raises(CallspaceError, match="not finite"):
        embed(clips, encoder)


def test_a_device_that_is_not_there_is_a_sentence():
    with pytest.raises(CallspaceError, match="not available here"):
        choose_device("cuda:7")
    assert choose_device("cpu") == CPU


def test_embeddings_become_a_data_frame(clips):
    frame = embed(clips, load_encoder("mfcc")).to_pandas()
    assert list(frame.columns[-2:]) == ["e78", "e79"]
    assert len(frame) == clips.windows.num_rows


def test_what_a_tuned_encoder_was_tuned_on_is_described_with_what_came_before(clips):
    encoder = load_encoder("mfcc", sample_rate_hz=clips.sample_rate_hz)
    assert describe_encoder(encoder)["tuned_on"] is None
    last = {"dataset": "d", "source": "field/", "dataset_fingerprint": "feed", "regime": "full"}
    encoder.card = last | {"history": [], "before": []}
    assert describe_encoder(encoder)["tuned_on"] == last
    encoder.card = last | {"before": [last | {"dataset": "c", "policy": "share"}]}
    assert describe_encoder(encoder)["tuned_on"] == last | {"before": [last | {"dataset": "c"}]}
