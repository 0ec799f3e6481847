"""A window equals what would be cut from the whole recording."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from awkward_files import FORMATS, call, cut_off, write_format, write_sound
from callspace.audio import RecordingReader, UnreadableRecording, read_window, sample_count
from callspace.errors import CallspaceError


def whole(path: Path) -> np.ndarray:
    """The recording in one call of soundfile: float32[frames, channels]."""
    with soundfile.SoundFile(str(path)) as file:
        return file.read(file.frames, dtype="float32", always_2d=True)


def cut(samples: np.ndarray, first: int, count: int) -> np.ndarray:
    """samples[first : first + count] with zeros beyond both ends."""
    padded = np.concatenate([np.zeros(max(0, -first), np.float32), samples, np.zeros(max(0, first + count - len(samples)), np.float32)])
    start = max(0, first)
    return padded[start : start + count] if first >= 0 else padded[:count]


@pytest.mark.parametrize("name", FORMATS)
def test_windows_in_any_order_equal_the_whole_in_every_format(name: str, tmp_path: Path) -> None:
    rate = 48_000 if name == "opus" else 44_100
    path = write_format(tmp_path, name, call(4.0, rate), rate)
    reference = whole(path)[:, 0]
    random = np.random.default_rng(1)
    with RecordingReader(path) as reader:
        for _ in range(40):
            first, count = int(random.integers(-2_000, len(reference) + 2_000)), int(random.integers(0, 30_000))
            window = reader.read(first / rate, (first + count) / rate)
            assert window.dtype == np.float32
            np.testing.assert_array_equal(window, cut(reference, first, count))


@pytest.mark.parametrize("name", ["wav 16-bit", "wav 24-bit", "flac", "rf64", "aiff", "wav float", "wav 8-bit", "wav a-law"])
def test_what_is_read_is_what_was_written(name: str, tmp_path: Path) -> None:
    samples = call(0.5, 16_000)
    read = read_window(write_format(tmp_path, name, samples, 16_000), 0.0, 0.5)
    tolerance = {"wav 8-bit": 1 / 100, "wav a-law": 0.02}.get(name, 2**-15)
    np.testing.assert_allclose(read, np.clip(samples, -1, 1), atol=tolerance)


@pytest.mark.parametrize("name", ["ogg vorbis", "mp3", "opus"])
def test_overlapping_windows_of_a_lossy_file_equal_the_whole(name: str, tmp_path: Path) -> None:
    path = write_format(tmp_path, name, call(6.0, 48_000, channels=2), 48_000)
    reference = whole(path).mean(axis=1, dtype=np.float32)
    with RecordingReader(path) as reader:
        for onset in np.arange(0, 6.0, 0.13):
            np.testing.assert_array_equal(reader.read(onset, onset + 0.4), cut(reference, round(onset * 48_000), 19_200))


def test_windows_of_real_vorbis_clips_equal_the_whole_where_libsndfile_alone_seeks_astray(test_data: Path) -> None:
    random = np.random.default_rng(0)
    for clip in sorted((test_data / "esc10" / "audio").glob("*.ogg"))[:6]:
        reference = whole(clip)[:, 0]
        with RecordingReader(clip) as reader:
            for first in random.integers(0, len(reference), 25):
                np.testing.assert_array_equal(reader.read(first / 44_100, (first + 5_000) / 44_100), cut(reference, int(first), 5_000))


def test_overlapping_windows_decode_each_frame_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_sound(tmp_path / "a.flac", call(20.0, 16_000), 16_000)
    with RecordingReader(path) as reader:
        decoded = []
        decode = reader._decode
        monkeypatch.setattr(reader, "_decode", lambda frames: decoded.append(frames) or decode(frames))
        for onset in np.arange(0, 19, 0.25):
            reader.read(onset, onset + 1.0, sample_rate_hz=8_000)
    assert sum(decoded) <= 20 * 16_000


def test_a_window_far_into_a_long_file_decodes_only_its_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_sound(tmp_path / "a.wav", call(60.0, 16_000), 16_000)
    with RecordingReader(path) as reader:
        decoded = []
        decode = reader._decode
        monkeypatch.setattr(reader, "_decode", lambda frames: decoded.append(frames) or decode(frames))
        reader.read(50.0, 51.0)
        assert decoded == [16_000]


RATES = [(44_100, 16_000), (48_000, 16_000), (8_000, 48_000), (22_255, 16_000), (250_000, 16_000), (96_000, 44_100), (44_101, 16_000)]


@pytest.mark.parametrize(("rate", "new"), [*RATES, (500_000, 2_000), (2_000, 16_000), (16_000, 22_050)])
def test_a_resampled_window_equals_the_same_stretch_of_the_whole_resampled(rate: int, new: int, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", call(4.0, rate), rate, "FLOAT")
    reference = soxr.resample(whole(path)[:, 0], rate, new, quality="HQ")
    with RecordingReader(path) as reader:
        for onset, offset in [
            (0.0, 0.5),
            (0.013, 1.2),
            (1.7, 2.9),
            (3.21, 3.99),
            (2.0, 4.0),
            (3.5, 4.6),
            (-0.3, 0.4),
            (5.0, 5.1),
            (0.0, 4.0),
        ]:
            window = reader.read(onset, offset, sample_rate_hz=new)
            expected = cut(reference, round(onset * new), sample_count(offset - onset, new))
            assert len(window) == len(expected) == round(round((offset - onset) * new, 3))
            assert np.abs(window - expected).max() <= 1e-5 * np.abs(reference).max()


def test_resampling_keeps_a_tone_and_removes_what_the_new_rate_cannot_hold(tmp_path: Path) -> None:
    time = np.arange(96_000 * 2) / 96_000
    low, high = np.sin(2 * np.pi * 1_000 * time), np.sin(2 * np.pi * 20_000 * time)
    path = write_sound(tmp_path / "a.wav", (0.4 * low + 0.4 * high).astype(np.float32), 96_000, "FLOAT")
    window = read_window(path, 0.5, 1.5, sample_rate_hz=16_000)
    np.testing.assert_allclose(window, 0.4 * np.sin(2 * np.pi * 1_000 * (0.5 + np.arange(16_000) / 16_000)), atol=1e-5)


def test_channels_are_averaged_unless_one_is_chosen(tmp_path: Path) -> None:
    samples = call(0.5, 96_000, channels=3)
    path = write_sound(tmp_path / "a.wav", samples, 96_000, "FLOAT")
    np.testing.assert_allclose(read_window(path, 0.1, 0.4), samples[9_600:38_400].mean(axis=1), atol=1e-6)
    for channel in range(3):
        np.testing.assert_array_equal(read_window(path, 0.1, 0.4, channel=channel), samples[9_600:38_400, channel])
    with pytest.raises(CallspaceError, match="no channel 3"):
        read_window(path, 0.1, 0.4, channel=3)
    with pytest.raises(CallspaceError, match="no channel -1"):
        read_window(path, 0.1, 0.4, channel=-1)


def test_beyond_both_ends_there_are_zeros(tmp_path: Path) -> None:
    samples = call(0.5, 8_000)
    path = write_sound(tmp_path / "a.wav", samples, 8_000, "FLOAT")
    window = read_window(path, -0.1, 0.7)
    assert len(window) == 6_400
    np.testing.assert_array_equal(window, np.concatenate([np.zeros(800), samples, np.zeros(1_600)]))
    assert not read_window(path, 3.0, 4.0).any() and not read_window(path, 3.0, 4.0, sample_rate_hz=16_000).any()
    assert not read_window(path, -4.0, -3.0).any()


def test_windows_of_one_length_have_one_count_wherever_they_start() -> None:
    assert {sample_count((k * 0.1 + 0.5) - k * 0.1, 22_255) for k in range(10_000)} == {sample_count(0.5, 22_255)}
    assert sample_count(0.96, 16_000) == 15_360


@pytest.mark.parametrize("window", [(1.0, 0.5), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_window_that_is_none_is_a_mistake_in_a_sentence(window: tuple[float, float], tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", call(0.5, 8_000), 8_000)
    with pytest.raises(CallspaceError, match="onset before its offset"):
        read_window(path, *window)


@pytest.mark.parametrize("rate", [10, 2_000_000])
def test_an_impossible_new_rate_is_a_mistake_in_a_sentence(rate: int, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", call(0.5, 8_000), 8_000)
    with pytest.raises(CallspaceError, match=f"{rate} Hz"):
        read_window(path, 0, 0.1, sample_rate_hz=rate)


def test_reading_a_missing_or_damaged_recording_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecording):
        RecordingReader(tmp_path / "none.wav")
    path = cut_off(write_sound(tmp_path / "a.flac", call(5.0, 44_100), 44_100), 0.5)
    assert len(read_window(path, 0.0, 1.0)) == 44_100  # what is intact can still be read
    with pytest.raises(UnreadableRecording):
        read_window(path, 3.0, 4.0)


def test_a_flac_stream_of_unknown_length_is_cut_like_any_other(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.flac", call(3.0, 16_000), 16_000)
    reference = whole(path)[:, 0]
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    with RecordingReader(path) as reader:
        for onset in (1.0, 0.2, 2.5, 3.4):
            np.testing.assert_array_equal(reader.read(onset, onset + 1.0), cut(reference, round(onset * 16_000), 16_000))


@given(
    rate=st.integers(2_000, 60_000),
    new=st.sampled_from([None, 2_000, 16_000, 22_050, 22_255, 48_000]),
    frames=st.integers(1, 40_000),
    channels=st.integers(1, 2),
    kind=st.sampled_from(["WAV", "FLAC", "OGG"]),
    windows=st.lists(st.tuples(st.floats(-0.5, 4.0), st.floats(0.0, 1.5)), min_size=1, max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_any_window_of_any_recording_equals_a_slice_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    rate: int,
    new: int | None,
    frames: int,
    channels: int,
    kind: str,
    windows: list[tuple[float, float]],
) -> None:
    samples = call(frames / rate, rate, channels, seed=frames)
    subtype = {"WAV": "FLOAT", "FLAC": "PCM_24", "OGG": "VORBIS"}[kind]
    if kind == "OGG":
        rate = max(8_000, rate)  # the encoder takes no less
    path = write_sound(tmp_path_factory.getbasetemp() / "any", samples, rate, subtype, kind)
    mixed = whole(path).mean(axis=1, dtype=np.float32)
    reference = mixed if new in (None, rate) else soxr.resample(mixed, rate, new, quality="HQ")
    peak = max(np.abs(mixed).max(), 1e-9)
    with RecordingReader(path) as reader:
        for onset, length in windows:
            window = reader.read(onset, onset + length, sample_rate_hz=new)
            out = new or rate
            expected = cut(reference, sample_count(onset, out), sample_count((onset + length) - onset, out))
            assert len(window) == len(expected)
            assert not len(window) or np.abs(window - expected).max() <= (0 if new in (None, rate) else 2e-5 * peak)
