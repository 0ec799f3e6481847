"""What a recording holds, and the reasons for which one is left out."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from awkward_files import FORMATS, call, cut_off, write_format, write_sound
from callspace.audio import AUDIO_SUFFIXES, UnreadableRecording, examine, is_audio, probe
from callspace.errors import CallspaceError

RATE = 16_000


def refusal(path: Path) -> UnreadableRecording:
    with pytest.raises(UnreadableRecording) as caught:
        examine(path)
    error = caught.value
    assert error.path == str(path)
    assert error.reason.endswith(".") and error.remedy.strip()
    assert str(error) == f"{path}: {error.reason} {error.remedy}"
    return error


def test_audio_is_known_by_its_suffix_in_any_letter_case() -> None:
    assert is_audio("a/b.WAV") and is_audio(Path("x.y.Flac")) and is_audio("dawn.mp3") and is_audio("a.OGG")
    assert not is_audio("wav") and not is_audio("notes.txt") and not is_audio("clip.wav.bak")
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in AUDIO_SUFFIXES)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_probed_and_examined(name: str, tmp_path: Path) -> None:
    rate = 48_000 if name == "opus" else 44_100
    path = write_format(tmp_path, name, call(1.7, rate), rate)
    assert is_audio(path)
    _, kind, subtype, _ = FORMATS[name]
    examined = examine(path)
    assert examined == probe(path)
    assert (examined.sample_rate_hz, examined.channels, examined.format) == (rate, 1, f"{kind} {subtype}")
    assert examined.duration_s == pytest.approx(1.7, abs=0.07)  # the ADPCMs fill up their last block
    assert examined.frames == soundfile.info(str(path)).frames


@pytest.mark.parametrize(("rate", "channels"), [(2_000, 1), (22_255, 1), (96_000, 2), (250_000, 1), (500_000, 1), (48_000, 6)])
def test_rates_from_2_to_500_khz_and_several_channels_are_read(rate: int, channels: int, tmp_path: Path) -> None:
    info = examine(write_sound(tmp_path / "a.wav", call(0.3, rate, channels), rate))
    assert (info.sample_rate_hz, info.channels, info.frames) == (rate, channels, round(0.3 * rate))


def test_a_missing_file_and_a_folder_are_refused_as_such(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.wav").reason
    assert "folder" in refusal(tmp_path).reason


def test_an_error_is_a_sentence_for_the_user() -> None:
    assert issubclass(UnreadableRecording, CallspaceError)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty (0 bytes)"),
        (b"some notes\n" * 30, "text"),
        ("Ein schöner Morgen. ".encode() * 900, "text"),
        (bytes(5_000), "zeros"),
        (b"\0\0\0\x20ftypM4A " + bytes(range(256)) * 4, "AAC"),
        (b"RIFF\x10\0\0\0WAVEfm", "header is damaged"),
        (bytes(range(1, 256)) * 9, "not a sound file"),
    ],
    ids=["empty", "text", "long text", "zeros", "m4a", "cut header", "noise"],
)
@pytest.mark.parametrize("name", ["a.wav", "b.flac"])
def test_what_is_not_sound_is_refused_for_what_it_is(content: bytes, expected: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert expected in refusal(path).reason


@pytest.mark.parametrize("name", ["wav 16-bit", "rf64", "aiff", "w64", "au", "caf", "ogg vorbis"])
def test_a_header_without_samples_is_refused(name: str, tmp_path: Path) -> None:
    assert "not one sample" in refusal(write_format(tmp_path, name, call(0, RATE), RATE)).reason


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "caf"])
def test_a_truncated_file_is_refused_in_every_format(name: str, share: float, tmp_path: Path) -> None:
    path = cut_off(write_format(tmp_path, name, call(3.0, 48_000), 48_000), share)
    error = refusal(path)
    assert "cut off" in error.reason or "damaged" in error.reason
    assert "again" in error.remedy


def test_a_truncated_caf_is_refused(tmp_path: Path) -> None:
    refusal(cut_off(write_format(tmp_path, "caf", call(3.0, 48_000), 48_000), 0.6))


def test_a_damaged_flac_is_refused_with_where(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.flac", call(10.0, RATE), RATE)
    content = bytearray(path.read_bytes())
    content[len(content) * 7 // 10 : len(content) * 7 // 10 + 60] = bytes(60)
    path.write_bytes(content)
    assert "between 4.1 and 8.2 s" in refusal(path).reason


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000], ids=hex)
def test_a_wav_streamed_without_a_known_size_is_not_truncated(size: int, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", call(1.0, RATE), RATE)
    content = bytearray(path.read_bytes())
    where = content.index(b"data") + 4
    content[where : where + 4] = struct.pack("<I", size)
    path.write_bytes(content)
    assert examine(path).frames == RATE


def test_a_wav_whose_recorder_died_before_writing_the_size_is_told_from_an_empty_one(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", call(1.0, RATE), RATE)
    content = bytearray(path.read_bytes())
    where = content.index(b"data") + 4
    content[where : where + 4] = bytes(4)
    path.write_bytes(content)
    assert "stopped before completing the header" in refusal(path).reason


def test_a_chunk_after_the_sound_and_a_recorder_that_counts_its_header_are_no_truncation(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", call(1.0, RATE), RATE)
    content = bytearray(path.read_bytes())
    where = content.index(b"data") + 4
    content[where : where + 4] = struct.pack("<I", 2 * RATE + 44)
    path.write_bytes(content)
    assert examine(path).frames == RATE
    content[where : where + 4] = struct.pack("<I", 2 * RATE)
    path.write_bytes(bytes(content) + b"LIST" + struct.pack("<I", 1_000) + bytes(1_000))
    assert examine(path).frames == RATE


def test_a_flac_stream_of_unknown_length_is_decoded_to_its_end(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.flac", call(3.0, RATE), RATE)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the total of samples stands in 36 bits from here (RFC 9639, STREAMINFO)
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert examine(path).frames == probe(path).frames == 3 * RATE


def test_an_mp3_of_variable_rate_without_an_index_is_refused_since_most_of_it_would_be_lost(tmp_path: Path) -> None:
    loud_then_quiet = call(20.0, 44_100) * np.linspace(1, 1e-4, 20 * 44_100).astype(np.float32)
    path = write_sound(tmp_path / "a.mp3", loud_then_quiet, 44_100, "MPEG_LAYER_III", "MP3")
    assert examine(path).frames == 20 * 44_100
    content = path.read_bytes()
    bits = content[2] >> 4
    first_frame = 144 * (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)[bits] * 1000 // 44_100 + (content[2] >> 1 & 1)
    assert b"Xing" in content[:first_frame] or b"Info" in content[:first_frame]
    path.write_bytes(content[first_frame:])
    read = soundfile.info(str(path)).frames
    assert read < 0.9 * 20 * 44_100  # what libsndfile would silently have read
    assert "variable bit rate" in refusal(path).reason


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize(("value", "expected"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_a_sample_that_is_not_finite_is_refused_with_its_time(value: float, expected: str, subtype: str, tmp_path: Path) -> None:
    samples = call(6.0, RATE, channels=2)
    samples[5 * RATE, 1] = value
    error = refusal(write_sound(tmp_path / "a.wav", samples, RATE, subtype))
    assert expected in error.reason and "5.000 s" in error.reason


@pytest.mark.parametrize("level", [0.0, 0.25])
@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_a_recording_silent_to_the_bit_is_refused(level: float, kind: str, tmp_path: Path) -> None:
    samples = np.full((6 * RATE, 2), level, np.float32)
    path = write_sound(tmp_path / "a", samples, RATE, kind=kind)
    assert "silent to the bit" in refusal(path).reason
    samples[-1, 1] = 0.5  # one click is a sound
    assert examine(write_sound(tmp_path / "b", samples, RATE, kind=kind)).frames == 6 * RATE


@pytest.mark.parametrize("rate", [100, 2_000_000])
def test_an_impossible_sample_rate_is_refused(rate: int, tmp_path: Path) -> None:
    assert f"{rate:,} Hz" in refusal(write_sound(tmp_path / "a.wav", call(1.0, RATE), rate)).reason


def test_the_real_clips_are_good_and_as_long_as_their_last_page_says(test_data: Path) -> None:
    clips = sorted((test_data / "esc10" / "audio").glob("*.ogg"))[:40]
    assert clips
    for clip in clips:
        content = clip.read_bytes()
        granule = content.rindex(b"OggS") + 6  # RFC 3533: samples up to the end of the page
        assert examine(clip).frames == int.from_bytes(content[granule : granule + 8], "little")
