"""Sound files of every kind that users have, good and bad, made on the spot.

`make_awkward_folder` fills a folder with the good and bad files that a bench must tell apart.
"""

import struct
from pathlib import Path

import numpy as np
import soundfile

__all__ = ["FORMATS", "call", "cut_off", "make_awkward_folder", "write_format", "write_mp3_in_wav", "write_sound"]

#: name: (suffix, libsndfile's format and subtype, whether it is lossy)
FORMATS = {
    "wav 8-bit": (".wav", "WAV", "PCM_U8", False),
    "wav 16-bit": (".wav", "WAV", "PCM_16", False),
    "wav 24-bit": (".wav", "WAV", "PCM_24", False),
    "wav 24-bit extensible": (".wav", "WAVEX", "PCM_24", False),
    "wav 32-bit": (".WAV", "WAV", "PCM_32", False),
    "wav float": (".wav", "WAV", "FLOAT", False),
    "wav double": (".wav", "WAV", "DOUBLE", False),
    "wav a-law": (".wav", "WAV", "ALAW", True),
    "wav mu-law": (".wav", "WAV", "ULAW", True),
    "wav ima adpcm": (".wav", "WAV", "IMA_ADPCM", True),
    "wav gsm": (".wav", "WAV", "GSM610", True),
    "wav mp3": (".wav", "WAV", "MPEG_LAYER_III", True),
    "rf64": (".rf64", "RF64", "PCM_24", False),
    "w64": (".w64", "W64", "PCM_16", False),
    "flac": (".FLAC", "FLAC", "PCM_16", False),
    "flac 24-bit": (".flac", "FLAC", "PCM_24", False),
    "ogg vorbis": (".Ogg", "OGG", "VORBIS", True),
    "opus": (".opus", "OGG", "OPUS", True),
    "mp3": (".MP3", "MP3", "MPEG_LAYER_III", True),
    "aiff": (".aiff", "AIFF", "PCM_16", False),
    "aifc float": (".aifc", "AIFF", "FLOAT", False),
    "au": (".au", "AU", "PCM_16", False),
    "caf": (".caf", "CAF", "PCM_16", False),
}


def call(seconds: float, sample_rate_hz: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """float32[samples] or float32[samples, channels]: a rising whistle over noise, another in each channel."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    sounds = [
        0.4 * np.sin(2 * np.pi * sample_rate_hz * (0.05 + 0.02 * c) * time * (1 + time / max(seconds, 1e-9)))
        + 0.05 * random.standard_normal(len(time))
        for c in range(channels)
    ]
    samples = np.stack(sounds, axis=1).astype(np.float32)
    return samples[:, 0] if channels == 1 else samples


def write_sound(path: Path, samples: np.ndarray, sample_rate_hz: int, subtype: str = "PCM_16", kind: str | None = None) -> Path:
    """Write by blocks: libsndfile crashes on a long Vorbis file written in one call."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(str(path), "w", sample_rate_hz, channels, subtype, format=kind) as file:
        for start in range(0, len(samples), 4096):
            file.write(samples[start : start + 4096])
    return path


def write_mp3_in_wav(path: Path, samples: np.ndarray, sample_rate_hz: int) -> Path:
    """A WAV that holds an MP3 stream (format tag 0x55), which libsndfile reads but does not write."""
    inner = write_sound(path.with_name(path.name + ".mp3"), samples, sample_rate_hz, "MPEG_LAYER_III", "MP3")
    stream = inner.read_bytes()
    inner.unlink()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    head = struct.pack("<HHIIHHHHIHHH", 0x55, channels, sample_rate_hz, 16_000, 1, 0, 12, 1, 2, 417, 1, 1393)
    fact = b"fact" + struct.pack("<II", 4, len(samples))
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head + fact + b"data" + struct.pack("<I", len(stream)) + stream
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def write_format(folder: Path, name: str, samples: np.ndarray, sample_rate_hz: int) -> Path:
    """A file in the format called `name` in `FORMATS`."""
    suffix, kind, subtype, _ = FORMATS[name]
    path = folder / f"{name}{suffix}"
    if name == "wav mp3":
        return write_mp3_in_wav(path, samples, sample_rate_hz)
    return write_sound(path, samples, sample_rate_hz, subtype, kind)


def cut_off(path: Path, share: float) -> Path:
    """Keep only the first `share` of a file's bytes."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def make_awkward_folder(folder: Path, plain_a_class: int = 0) -> tuple[list[str], list[str]]:
    """Fill a folder of two class folders with the files a field season brings home.

    Parameters
    ----------
    folder : Path
    plain_a_class : int
        Ordinary WAV clips to add to each class, for a dataset large enough to split.

    Returns
    -------
    good, bad : list of str
        Paths relative to `folder`, with forward slashes, sorted.
    """
    one, two = folder / "Zilpzalp", folder / "grillón & sapo"
    good = [
        write_sound(one / "8 kHz a-law.wav", call(1.0, 8_000), 8_000, "ALAW"),
        write_sound(two / "stereo.96k.wav", call(0.5, 96_000, channels=2), 96_000, "PCM_24"),
        write_sound(one / "bat 250 kHz.wav", call(0.25, 250_000), 250_000),
        write_sound(two / "UPPER.FLAC", call(1.0, 22_050), 22_050, kind="FLAC"),
        write_sound(one / "Jötunn ñandú 鳥 (2).v1.final.ogg", call(1.0, 44_100), 44_100, "VORBIS"),
        write_sound(two / "..leading dots.Mp3", call(1.0, 32_000), 32_000, "MPEG_LAYER_III", "MP3"),
        write_sound(one / "twenty-four bit.aif", call(1.0, 48_000), 48_000, "PCM_24", "AIFF"),
        write_sound(two / "float.wav", call(1.0, 16_000), 16_000, "FLOAT"),
    ]
    for number in range(plain_a_class):
        for place, where in enumerate((one, two)):
            good.append(write_sound(where / f"clip {number:02d}.wav", call(1.0, 16_000, seed=100 * place + number + 1), 16_000))
    bad = [one / "empty.wav", two / "text called.wav"]
    bad[0].write_bytes(b"")
    bad[1].write_text("Recorded at dawn near the river.\n" * 20, encoding="utf-8")
    bad.append(cut_off(write_sound(one / "truncated.flac", call(3.0, 44_100), 44_100), 0.6))
    bad.append(cut_off(write_sound(two / "truncated.wav", call(3.0, 44_100), 44_100), 0.6))
    bad.append(write_sound(one / "zero samples.wav", call(0.0, 16_000), 16_000))
    spoilt = call(1.0, 16_000)
    spoilt[8_000] = np.nan
    bad.append(write_sound(two / "not a number.wav", spoilt, 16_000, "FLOAT"))
    bad.append(write_sound(one / "silent.wav", np.zeros(16_000, np.float32), 16_000))
    return _names(good, folder), _names(bad, folder)


def _names(paths: list[Path], folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in paths)
