"""Recordings: what a file holds, and whether it can be trusted.

Samples are float32 in [-1, 1] (float files may go beyond), times in seconds from the start of the recording, rates in hertz. Nothing here
holds a whole recording in memory. Decoding is by libsndfile.
"""

from __future__ import annotations

import functools
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from callspace.audio.containers import mp3_frames_without_index, sniff, sound_bytes
from callspace.errors import CallspaceError

if TYPE_CHECKING:
    import soundfile

__all__ = [
    "AUDIO_SUFFIXES",
    "UNDECODED_SUFFIXES",
    "UNKNOWN_LENGTH",
    "RecordingInfo",
    "UnreadableRecording",
    "examine",
    "is_audio",
    "open_recording",
    "probe",
    "read_block",
    "seek_frame",
]

#: Suffixes of the files that libsndfile reads, in lower case.
AUDIO_SUFFIXES: frozenset[str] = frozenset(
    [".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"],
)

#: Suffixes of sound that libsndfile does not read: worth listing as skipped rather than passing over.
UNDECODED_SUFFIXES: frozenset[str] = frozenset(
    [".m4a", ".mp4", ".aac", ".wma", ".ape", ".wv", ".amr", ".webm", ".mka", ".ac3", ".dsf", ".3gp"]
)

#: A frame count of at least this is libsndfile's way to say that the header gives none.
UNKNOWN_LENGTH = 1 << 62

_BLOCK = 65_536  # frames decoded at a time while examining
_SLACK_BYTES = 64  # some recorders count their own header as sound


class UnreadableRecording(CallspaceError):  # noqa: N818 - named for what the user sees
    """A recording that must be left out.

    Attributes
    ----------
    path : str
        The file, as it was given.
    reason, remedy : str
        Sentences: what is wrong with it, and how to mend it.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str, remedy: str) -> None:
        super().__init__(f"{os.fspath(path)}: {reason} {remedy}")
        self.path = os.fspath(path)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True)
class RecordingInfo:
    """What a recording holds; `frames` are samples a channel, `format` is like ``FLAC PCM_16``."""

    duration_s: float
    sample_rate_hz: int
    channels: int
    frames: int
    format: str


def is_audio(path: str | os.PathLike[str]) -> bool:
    """Whether the name's suffix, in any letter case, is one of `AUDIO_SUFFIXES`."""
    return Path(path).suffix.lower() in AUDIO_SUFFIXES


def probe(path: str | os.PathLike[str]) -> RecordingInfo:
    """What the header says; the sound itself is decoded only where the header gives no length.

    Raises
    ------
    UnreadableRecording
        Missing, empty or not a sound file, or at an impossible sample rate.
    """
    with open_recording(path) as file:
        if file.frames >= UNKNOWN_LENGTH:
            return examine(path)
        return _info(file, file.frames)


def examine(path: str | os.PathLike[str]) -> RecordingInfo:
    """Decode a recording whole, block by block, and answer what it really holds.

    Returns
    -------
    RecordingInfo
        Its `frames` and `duration_s` are of what was decoded.

    Raises
    ------
    UnreadableRecording
        Missing, empty, not sound, without a sample, shorter than its header promises, damaged, with NaN or infinity, every sample the
        same, or at a sample rate outside 1 kHz to 1 MHz.
    """
    with open_recording(path) as file:
        _refuse_no_samples(path, file)
        _refuse_truncation(path, file)
        frames = _decode_and_check(path, file)
        _refuse_short(path, file, frames)
        return _info(file, frames)


def open_recording(path: str | os.PathLike[str]) -> soundfile.SoundFile:
    """Open for forward reading; `UnreadableRecording` says why not."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:
        raise UnreadableRecording(
            path, "There is no such file, or its folder can't be read.", "Check the name and the letter case."
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableRecording(path, "It is not a file (a folder, perhaps).", "Give the recordings inside it.")
    if status.st_size == 0:
        raise UnreadableRecording(path, "The file is empty (0 bytes).", "Copy it again from the recorder or the backup, or remove it.")
    if not os.access(path, os.R_OK):
        raise UnreadableRecording(path, "You have no permission to read the file.", "Change its permissions (chmod u+r).")
    file = _open_sound(path)
    if 1_000 <= file.samplerate <= 1_000_000:
        return file
    file.close()
    raise UnreadableRecording(
        path,
        f"Its header gives a sample rate of {file.samplerate:,} Hz; recordings have 1,000 to 1,000,000 Hz.",
        "Correct the rate in the header with an audio editor.",
    )


@functools.cache
def _forward_file() -> type[soundfile.SoundFile]:
    """A sound file that is read forward.

    python-soundfile seeks to where it is after every read, which corrupts MP3 read by blocks (errors as large as the sound itself) and
    fails in FLAC streams of unknown length. It does not where the file says that it can't seek; `seek` itself still works.
    """
    import soundfile

    class ForwardFile(soundfile.SoundFile):
        def seekable(self) -> bool:
            return False

    return ForwardFile


def _open_sound(path: str | os.PathLike[str]) -> soundfile.SoundFile:
    import soundfile

    try:
        # Names that are not UTF-8 can only be passed as bytes, which Windows does not take.
        return _forward_file()(os.fsencode(path) if os.name == "posix" else os.fspath(path))
    except (soundfile.LibsndfileError, TypeError, ValueError) as error:
        reason, remedy = _NOT_SOUND[sniff(path)]
        raise UnreadableRecording(path, reason, remedy) from error
    except (OSError, RuntimeError) as error:
        raise UnreadableRecording(path, f"The file can't be opened ({error}).", "Check the disk it is on.") from error


_NOT_SOUND = {
    "text": ("The file holds text, not sound, whatever its name says.", "Find the real recording, or remove the file."),
    "zeros": (
        "The file starts with zeros where its header should be, as after a card failure.",
        "Copy it again from the card or the backup, or remove it.",
    ),
    "aac": (
        "Its sound is in a format that can't be decoded here (AAC, WMA, WavPack or the like).",
        "Convert it to FLAC or WAV, for example: ffmpeg -i FILE NEW.flac",
    ),
    "sound": (
        "It starts like a sound file, but its header is damaged or cut off.",
        "Copy it again from the recorder or the backup, or remove it.",
    ),
    "unknown": ("It is not a sound file of a format known here.", "Convert it to FLAC or WAV, or remove it."),
}
_COPY_AGAIN = (
    "Copy it again from the recorder or the backup; to use the part that is intact, save that part as a new file with an audio editor."
)


def _info(file: soundfile.SoundFile, frames: int) -> RecordingInfo:
    return RecordingInfo(frames / file.samplerate, file.samplerate, file.channels, frames, f"{file.format} {file.subtype}")


def read_block(path: str | os.PathLike[str], file: soundfile.SoundFile, frames: int, position: int) -> np.ndarray:
    """The next `frames`, float32[frames, channels], fewer at the end; `position`, where they start, is for the message about damage."""
    import soundfile

    try:
        return file.read(max(0, frames), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _damaged(path, file, position, position + frames) from error


def seek_frame(path: str | os.PathLike[str], file: soundfile.SoundFile, position: int) -> None:
    """Put the decoder at a frame."""
    import soundfile

    try:
        file.seek(position)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _damaged(path, file, 0, position) from error


def _damaged(path: str | os.PathLike[str], file: soundfile.SoundFile, first: int, last: int) -> UnreadableRecording:
    promised = "" if file.frames >= UNKNOWN_LENGTH else f" (its header promises {file.frames / file.samplerate:.1f} s)"
    between = f"{first / file.samplerate:.1f} and {last / file.samplerate:.1f} s"
    return UnreadableRecording(path, f"The sound is damaged or cut off between {between} after its start{promised}.", _COPY_AGAIN)


def _refuse_no_samples(path: str | os.PathLike[str], file: soundfile.SoundFile) -> None:
    if file.frames > 0:
        return
    found = sound_bytes(path)
    if found is not None and found.promised is None and found.present > _SLACK_BYTES:
        reason = f"Its header says that it holds no sound, yet {found.present:,} bytes follow: the recorder stopped before completing the header."
        raise UnreadableRecording(path, reason, "Repair the header, for example: sox --ignore-length FILE NEW.wav")
    raise UnreadableRecording(path, "It has a header but not one sample of sound.", "Record or export it again, or remove it.")


def _refuse_truncation(path: str | os.PathLike[str], file: soundfile.SoundFile) -> None:
    found = sound_bytes(path)
    if found is not None and found.promised is not None and found.promised - found.present > (0 if file.format == "OGG" else _SLACK_BYTES):
        if file.format == "OGG":
            reason = f"The file is cut off in the middle of a block of sound, {file.frames / file.samplerate:.1f} s after its start."
        else:
            reason = f"The file is cut off: its header promises {found.promised:,} bytes of sound, and {found.present:,} are there."
        raise UnreadableRecording(path, reason, _COPY_AGAIN)
    counted = mp3_frames_without_index(path) if file.format == "MP3" else None
    if counted is not None and counted > 1.01 * file.frames + 5 * 1152:
        share = file.frames / counted
        reason = f"It is an MP3 of variable bit rate without an index, of which only the first {share:.0%} could be decoded."
        raise UnreadableRecording(path, reason, "Convert it to FLAC or WAV, for example: ffmpeg -i FILE NEW.flac")


def _decode_and_check(path: str | os.PathLike[str], file: soundfile.SoundFile) -> int:
    """Frames decoded; raises for NaN, infinity and bit-exact silence."""
    frames, first, silent = 0, None, True
    while len(block := read_block(path, file, min(_BLOCK, file.frames - frames), frames)):
        first = block[0].copy() if first is None else first
        silent = silent and bool((block == first).all())
        _refuse_not_finite(path, file, block, frames)
        frames += len(block)
    if first is None:
        raise UnreadableRecording(path, "Not one sample of its sound can be decoded.", _COPY_AGAIN)
    if silent:
        value = "zero" if not first.any() else "the same value"
        reason = f"It is silent to the bit: all of its {frames:,} samples are {value}."
        raise UnreadableRecording(path, reason, "Check the microphone and the export that made it, or remove it.")
    return frames


def _refuse_not_finite(path: str | os.PathLike[str], file: soundfile.SoundFile, block: np.ndarray, before: int) -> None:
    bad = ~np.isfinite(block)
    if not bad.any():
        return
    frame, channel = np.argwhere(bad)[0]
    what = "not a number (NaN)" if np.isnan(block[frame, channel]) else "infinite"
    reason = f"A sample {(before + frame) / file.samplerate:.3f} s after its start is {what}."
    raise UnreadableRecording(path, reason, "Export it again as 16- or 24-bit WAV or FLAC from the software that made it.")


def _refuse_short(path: str | os.PathLike[str], file: soundfile.SoundFile, frames: int) -> None:
    """MP3 loses up to two of its own frames at a clean cut; elsewhere the header's count is exact."""
    slack = 2 * 1152 if file.subtype.startswith("MPEG_") else 0
    if file.frames < UNKNOWN_LENGTH and frames < file.frames - slack:
        promised = file.frames / file.samplerate
        reason = f"The file is cut off: its header promises {promised:.2f} s of sound, and {frames / file.samplerate:.2f} s can be decoded."
        raise UnreadableRecording(path, reason, _COPY_AGAIN)
