"""Sound in: decode, resample, cut windows of samples, mel front ends, and the quarantine of bad files.

`callspace.audio.mel` needs torch and is imported by its own name.
"""

from callspace.audio.recordings import (
    AUDIO_SUFFIXES,
    UNDECODED_SUFFIXES,
    RecordingInfo,
    UnreadableRecording,
    examine,
    is_audio,
    probe,
)
from callspace.audio.scan import scan
from callspace.audio.windows import RecordingReader, read_window, sample_count

__all__ = [
    "AUDIO_SUFFIXES",
    "UNDECODED_SUFFIXES",
    "RecordingInfo",
    "RecordingReader",
    "UnreadableRecording",
    "examine",
    "is_audio",
    "probe",
    "read_window",
    "sample_count",
    "scan",
]
