"""How much sound a file's header promises, read by ourselves.

libsndfile reads a truncated WAV, AIFF, W64, RF64, AU, CAF or OGG file short without a word, and stops early in an MP3 of variable bit
rate that has no index. So the promise is read from the bytes and held against what is there.

Sizes are in bytes, rates in hertz. Nothing here decodes sound, and nothing raises for a malformed file: it answers None, and the
decoder has the last word.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

__all__ = ["SoundBytes", "mp3_frames_without_index", "sniff", "sound_bytes"]

#: What writers that don't know the length yet leave as a size: nothing is promised. (0x7FFFF000 is SoX's in a pipe.)
_UNKNOWN_SIZES = frozenset({0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFF000, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF})

_MOST_CHUNKS = 10_000  # a damaged header must not cost a walk through the whole file


class SoundBytes(NamedTuple):
    """Bytes of sound that the header promises (None: it doesn't say), and those that the file holds."""

    promised: int | None
    present: int


def sound_bytes(path: str | os.PathLike[str]) -> SoundBytes | None:
    """What the header of a WAV, RF64, W64, AIFF, AU, CAF or OGG file promises; None for any other.

    Of an OGG file the last page counts: promised is where its own table says that it ends.
    """
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        magic = file.read(12)
        parse = _PARSERS.get(magic[:4])
        try:
            return parse(file, size, magic) if parse else None
        except struct.error:
            return None


def _promise(offset: int, promised: int, size: int) -> SoundBytes:
    return SoundBytes(None if promised in _UNKNOWN_SIZES else promised, max(0, size - offset))


def _chunks(file: BinaryIO, layout: str, offset: int, size: int, aligned: int = 2) -> Iterator[tuple[bytes, int, int]]:
    """(name, offset of the content, size of the content) of each chunk; chunks start at multiples of `aligned` bytes."""
    head = struct.calcsize(layout)
    for _ in range(_MOST_CHUNKS):
        if offset + head > size:
            return
        file.seek(offset)
        name, length = struct.unpack(layout, file.read(head))
        yield name, offset + head, length
        offset += head + length + (-length) % aligned


def _found(chunks: Iterator[tuple[bytes, int, int]], wanted: bytes, size: int) -> SoundBytes | None:
    return next((_promise(offset, length, size) for name, offset, length in chunks if name == wanted), None)


def _riff(file: BinaryIO, size: int, magic: bytes) -> SoundBytes | None:
    """WAV, big-endian WAV (RIFX), RF64 and BW64, whose long size stands in a chunk of its own."""
    long_size = None
    for name, offset, length in _chunks(file, ">4sI" if magic[:4] == b"RIFX" else "<4sI", 12, size):
        if name == b"ds64":
            file.seek(offset + 8)
            (long_size,) = struct.unpack("<Q", file.read(8))
        if name == b"data":
            return _promise(offset, long_size if length == 0xFFFFFFFF and long_size else length, size)
    return None


def _aiff(file: BinaryIO, size: int, magic: bytes) -> SoundBytes | None:
    return _found(_chunks(file, ">4sI", 12, size), b"SSND", size)


def _caf(file: BinaryIO, size: int, magic: bytes) -> SoundBytes | None:
    return _found(_chunks(file, ">4sQ", 8, size, aligned=1), b"data", size)


def _au(file: BinaryIO, size: int, magic: bytes) -> SoundBytes | None:
    offset, promised = struct.unpack(">II" if magic[:4] == b".snd" else "<II", magic[4:])
    return _promise(offset, promised, size)


def _w64(file: BinaryIO, size: int, magic: bytes) -> SoundBytes | None:
    """Sony Wave64: names of sixteen bytes, sizes that count their own header, chunks at multiples of eight."""
    offset = 40
    for _ in range(_MOST_CHUNKS):
        if offset + 24 > size:
            return None
        file.seek(offset)
        name, length = struct.unpack("<16sQ", file.read(24))
        if name[:4] == b"data":
            return _promise(offset + 24, max(0, length - 24) if length not in _UNKNOWN_SIZES else length, size)
        offset += max(24, length) + (-length) % 8
    return None


def _last_ogg_page(file: BinaryIO, size: int, magic: bytes) -> SoundBytes | None:
    """RFC 3533: a page is at most 65,307 bytes and starts with OggS; byte 26 counts the entries of its table of sizes."""
    start = max(0, size - 65_307)
    file.seek(start)
    tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0:
        return None
    here = len(tail) - page
    if here < 27:
        return SoundBytes(27, here)
    entries = tail[page + 26]
    table = tail[page + 27 : page + 27 + entries]
    return SoundBytes(27 + entries + sum(table), here)


_PARSERS: dict[bytes, Callable[[BinaryIO, int, bytes], SoundBytes | None]] = {
    b"RIFF": _riff,
    b"RIFX": _riff,
    b"RF64": _riff,
    b"BW64": _riff,
    b"FORM": _aiff,
    b"riff": _w64,
    b"caff": _caf,
    b".snd": _au,
    b"dns.": _au,
    b"OggS": _last_ogg_page,
}

_MP3_KBPS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def mp3_frames_without_index(path: str | os.PathLike[str]) -> int | None:
    """Samples a channel in an MP3 file that has no index (Xing, Info or VBRI), counted header by header.

    None where there is an index (the decoder uses it) or where the headers can't be followed to the end.
    """
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        offset = _after_id3(data)
        first = _mp3_frame(data, offset)
        if first is None or any(data.find(tag, offset, offset + first[0]) >= 0 for tag in (b"Xing", b"Info", b"VBRI")):
            return None
        samples = 0
        while (frame := _mp3_frame(data, offset)) is not None:
            samples += frame[1]
            offset += frame[0]
        return samples if offset >= len(data) - 65_536 else None


def _after_id3(data: mmap.mmap) -> int:
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    a, b, c, d = data[6:10]
    return 10 + (a << 21 | b << 14 | c << 7 | d)


def _mp3_frame(data: mmap.mmap, offset: int) -> tuple[int, int] | None:
    """(bytes, samples) of the MPEG layer III frame at `offset`."""
    head = data[offset : offset + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, rate, bits = head[1] >> 3 & 3, head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or rate == 3 or bits in (0, 15):
        return None
    samples = 1152 if version == 3 else 576
    kbps = _MP3_KBPS[3 if version == 3 else 2][bits]
    return samples // 8 * kbps * 1000 // _MP3_HZ[version][rate] + (head[2] >> 1 & 1), samples


def sniff(path: str | os.PathLike[str]) -> str:
    """What a file that does not open as sound seems to be: ``text``, ``zeros``, ``aac`` (or another unread codec), ``sound`` or ``unknown``."""
    with Path(path).open("rb") as file:
        head = file.read(4096)
    if not head.strip(b"\0"):
        return "zeros"
    if (
        head[4:8] == b"ftyp"
        or head[:4] in (b"\x30\x26\xb2\x75", b"\x1a\x45\xdf\xa3", b"wvpk", b"MAC ")
        or head[:2] in (b"\xff\xf1", b"\xff\xf9")
    ):
        return "aac"
    if (
        head[:4] in (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"FORM", b"caff", b"riff", b".snd")
        or head[:3] == b"ID3"
        or head[:2] in (b"\xff\xfb", b"\xff\xf3")
    ):
        return "sound"
    try:
        text = head[:4000].decode("utf-8", errors="strict" if len(head) < 4000 else "ignore")
    except UnicodeDecodeError:
        return "unknown"
    return "text" if sum(c.isprintable() or c.isspace() for c in text) > 0.95 * len(text) else "unknown"
