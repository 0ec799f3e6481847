"""Every recording examined once: what is good goes on, what is bad is listed with its reason and remedy.

What was found is remembered in the cache folder by path, size and time of change, so that a second look decodes nothing.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa

from callspace import tables
from callspace.audio.recordings import UnreadableRecording, examine
from callspace.paths import cache_folder
from callspace.progress import SILENT, Progress

__all__ = ["scan"]

#: Raise it whenever `examine` judges otherwise than before: older memories are then ignored.
_RULES = b"1"

_FOUND = [field for field in tables.RECORDINGS if field.name != "recording"]
_KEY = [("path", pa.string()), ("size", pa.int64()), ("mtime_ns", pa.int64())]
_MEMORY = pa.schema([*_KEY, *_FOUND, ("reason", pa.string()), ("remedy", pa.string())], metadata={b"callspace.rules": _RULES})
_SAVE_EVERY_S = 60.0

_Row = dict[str, Any]


def scan(
    root: str | os.PathLike[str],
    recordings: Sequence[str],
    *,
    threads: int | None = None,
    progress: Progress = SILENT,
    remember: bool = True,
) -> tuple[pa.Table, list[dict[str, str]]]:
    """Examine recordings in parallel; a bad one is listed, never raised.

    Parameters
    ----------
    root : path
        The folder that the recordings' paths are relative to; absolute ones are taken as they are.
    recordings : sequence of str
        Paths; one named twice is examined and listed once.
    threads : int, optional
        How many to decode at a time; by default one a core, at most eight.
    progress : Progress
        Shows how many are done.
    remember : bool
        Use and update the memory in the cache folder.

    Returns
    -------
    good : pyarrow.Table
        Schema `tables.RECORDINGS`, in the order given.
    bad : list of dict
        Rows of `tables.SKIPPED` (path, what, reason, remedy), in the order given.
    """
    root = Path(root)
    names = list(dict.fromkeys(os.fspath(name) for name in recordings))
    memory = _Memory(root) if remember else None
    threads = threads or min(8, os.cpu_count() or 1)

    def look(name: str) -> _Row:
        return _look(root / name, memory)

    rows: list[_Row] = []
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="scan")
    try:
        with progress.task("examining recordings", len(names)) as advance:
            for row in pool.map(look, names):
                rows.append(row)
                advance(1)
                if memory:
                    memory.save_now_and_then()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        if memory:
            memory.save()
    good = tables.from_rows((_good(name, row) for name, row in zip(names, rows, strict=True) if row["reason"] is None), tables.RECORDINGS)
    return good, [_bad(name, row) for name, row in zip(names, rows, strict=True) if row["reason"] is not None]


def _good(name: str, row: _Row) -> _Row:
    return {"recording": name, **{field.name: row[field.name] for field in _FOUND}}


def _bad(name: str, row: _Row) -> dict[str, str]:
    name = name.encode("utf-8", "backslashreplace").decode()
    return {"path": name, "what": "recording", "reason": row["reason"], "remedy": row["remedy"]}


def _look(path: Path, memory: _Memory | None) -> _Row:
    """A row of `_MEMORY` for one recording, remembered or new."""
    if not _storable(str(path)):
        return dict.fromkeys(_MEMORY.names) | {"reason": "Its name or its folder's is not UTF-8.", "remedy": "Rename it."}
    key = _key(path)
    if memory and key and (known := memory.get(*key)):
        return known
    row: _Row = dict.fromkeys(_MEMORY.names)
    try:
        info = examine(path)
        row |= {field.name: getattr(info, field.name) for field in _FOUND}
    except UnreadableRecording as bad:
        row |= {"reason": bad.reason, "remedy": bad.remedy}
    except (OSError, RuntimeError, MemoryError, ValueError) as error:
        reason = f"It could not be read ({type(error).__name__}: {error})."
        return row | {"reason": reason, "remedy": "Check the disk and the file; convert it to FLAC or WAV."}
    if key:
        row |= dict(zip(("path", "size", "mtime_ns"), key, strict=True))
        if memory:
            memory.put(row)
    return row


def _key(path: Path) -> tuple[str, int, int] | None:
    """What a finding is remembered under; None for what may change without a trace (missing, or not ours to read)."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    absolute = os.path.abspath(path)  # noqa: PTH100 - links are kept as they are
    return (absolute, status.st_size, status.st_mtime_ns) if os.access(path, os.R_OK) else None


def _storable(text: str) -> bool:
    """Names that are not UTF-8 reach Python as surrogates, which no table or report can hold."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


class _Memory:
    """What earlier scans of a root found: one Parquet file a root, replaced whole; a damaged one is as good as none."""

    def __init__(self, root: Path) -> None:
        where = os.path.abspath(root).encode("utf-8", "surrogateescape")  # noqa: PTH100
        self._file = cache_folder("scans", f"{hashlib.sha256(where).hexdigest()[:16]}.parquet")
        self._known = {row["path"]: row for row in self._read()}
        self._fresh: dict[str, _Row] = {}
        self._saved_at = time.monotonic()

    def get(self, path: str, size: int, mtime_ns: int) -> _Row | None:
        row = self._known.get(path)
        return row if row and (row["size"], row["mtime_ns"]) == (size, mtime_ns) else None

    def put(self, row: _Row) -> None:
        self._fresh[row["path"]] = row

    def save_now_and_then(self) -> None:
        if time.monotonic() - self._saved_at > _SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Add what is new to what the file holds now, which another process may have written meanwhile."""
        self._saved_at = time.monotonic()
        fresh = dict(self._fresh)
        if not fresh:
            return
        rows: Iterable[_Row] = ({row["path"]: row for row in self._read()} | fresh).values()
        _quietly(lambda: tables.write_parquet(tables.from_rows(rows, _MEMORY), self._file))

    def _read(self) -> list[_Row]:
        try:
            table = tables.read_parquet(self._file)
        except (OSError, pa.ArrowException):
            return []
        metadata = table.schema.metadata or {}
        if metadata.get(b"callspace.rules") != _RULES or table.schema.names != _MEMORY.names:
            return []
        return table.to_pylist()


def _quietly(write: Callable[[], None]) -> None:
    """A memory that can't be written (a full or read-only disk) costs only time."""
    try:
        write()
    except (OSError, pa.ArrowException):
        return
