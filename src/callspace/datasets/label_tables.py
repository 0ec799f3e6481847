"""Reading the tables that people keep beside their recordings: CSV or TSV with a header, in the encodings they come in."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from callspace.errors import CallspaceError

__all__ = ["find_column", "read_table", "to_seconds"]

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})


def read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Column names and rows of a CSV or TSV file, every cell a stripped string.

    UTF-8 with or without its mark, else Windows-1252; comma, semicolon or tab, whichever the header holds most of.

    Raises
    ------
    CallspaceError
        The file is missing, empty, not text, has no rows, or names a column twice.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise CallspaceError(f"there is no file '{path}'") from None
    except OSError as error:
        raise CallspaceError(f"'{path}' cannot be read: {error.strerror}") from None
    if b"\0" in raw:
        raise CallspaceError(f"'{path}' is not a text table: save it as CSV in UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    if not text.strip():
        raise CallspaceError(f"'{path}' is empty: it needs a header line and a line for each recording or annotation")
    text = text.lstrip("\r\n")
    header = text.splitlines()[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        lines = [line for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise CallspaceError(f"'{path}' is not a table that can be read, near line {reader.line_num}: {error}") from None
    if not lines:
        raise CallspaceError(f"'{path}' holds nothing but separators: it needs a header line and a line for each recording or annotation")
    columns = [name.strip() for name in lines[0]]
    twice = {name for name in columns if name and columns.count(name) > 1}
    if twice:
        raise CallspaceError(f"'{path}' has more than one column '{sorted(twice)[0]}': rename one of them")
    if len(lines) == 1:
        raise CallspaceError(f"'{path}' has a header ({', '.join(columns)}) but no rows")
    rows = [dict(zip(columns, (cell.strip() for cell in line + [""] * len(columns)), strict=False)) for line in lines[1:]]
    return columns, rows


def find_column(
    columns: Sequence[str], names: Sequence[str], *, given: str | None = None, path: Path, option: str, required: bool = True
) -> str | None:
    """The column called by one of `names` in any letter case, or the one `given` by the user.

    Raises
    ------
    CallspaceError
        There is none and it is required, or the given one is not there.
    """
    lower = {column.casefold(): column for column in columns}
    if given is not None:
        if given.casefold() not in lower:
            raise CallspaceError(f"'{path}' has no column '{given}' ({option}); its columns are {', '.join(columns)}")
        return lower[given.casefold()]
    for name in names:
        if name.casefold() in lower:
            return lower[name.casefold()]
    if required:
        raise CallspaceError(
            f"'{path}' has no column '{names[0]}'; its columns are {', '.join(columns)} (name the right one with {option})"
        )
    return None


def to_seconds(text: str) -> float | None:
    """Seconds from a cell, with a decimal point or comma; None where it is no number."""
    try:
        value = float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
