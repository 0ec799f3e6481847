"""The tables that travel between the rooms: their Arrow schemas, and reading and writing them whole or not at all.

Every file that callspace writes goes through `atomic_path`: it is written beside its final place and renamed, so that a reader
finds the old file, the new file or none, never half of one.
"""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from callspace.errors import CallspaceError

__all__ = [
    "COMPARISONS",
    "MAPS",
    "RECORDINGS",
    "RESULTS",
    "SKIPPED",
    "SUMMARY",
    "WINDOWS",
    "DamagedFileError",
    "atomic_path",
    "from_rows",
    "read_json",
    "read_parquet",
    "write_csv",
    "write_json",
    "write_parquet",
    "write_text",
]

#: One row a recording. `duration_s` is what can be decoded, not what the header claims.
RECORDINGS = pa.schema(
    [
        ("recording", pa.string()),
        ("duration_s", pa.float64()),
        ("sample_rate_hz", pa.int64()),
        ("channels", pa.int32()),
        ("frames", pa.int64()),
        ("format", pa.string()),
    ]
)

#: One row a window; further columns may follow. `recording` is relative to the dataset's root.
WINDOWS = pa.schema(
    [
        ("window_id", pa.int64()),
        ("recording", pa.string()),
        ("onset_s", pa.float64()),
        ("offset_s", pa.float64()),
        ("labels", pa.list_(pa.string())),
        ("split", pa.dictionary(pa.int8(), pa.string())),
        ("fold", pa.int32()),
        ("group", pa.string()),
    ]
)

#: What was left out and why: one row a thing (a recording, an annotation, a class, a cell).
SKIPPED = pa.schema([("path", pa.string()), ("what", pa.string()), ("reason", pa.string()), ("remedy", pa.string())])

#: One row a (cell, metric). `class` is null for an overall score; `ci_low` and `ci_high` are null where no interval can be had, and
#: `ci_method` says how it was found (``t``, ``percentile`` or ``exact``: `callspace.metrics.intervals`).
#: `policy` is the kind of background policy (``share``, ``ratio``, ``hard``, ``clean-all``, with ``+class`` where background is a class
#: of its own in training) and `background` its amount: the share of train's background that is kept, or the background windows for
#: each labelled one. Scores of ``clean-all`` are of test windows without background and don't compare with any others.
RESULTS = pa.schema(
    [
        ("dataset", pa.string()),
        ("encoder", pa.string()),
        ("pretraining", pa.string()),
        ("layer", pa.string()),
        ("pool", pa.string()),
        ("regime", pa.string()),
        ("recipe", pa.string()),
        ("background", pa.float64()),
        ("policy", pa.string()),
        ("fold", pa.int32()),
        ("seed", pa.int64()),
        ("protocol", pa.string()),
        ("space", pa.string()),
        ("clusterer", pa.string()),
        ("label_rule", pa.string()),
        ("class", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("ci_method", pa.string()),
        ("n", pa.int64()),
    ]
)

_WHAT = [
    (name, RESULTS.field(name).type)
    for name in ("dataset", "encoder", "pretraining", "layer", "pool", "regime", "recipe", "background", "policy", "protocol")
]
_SCORE = [
    (name, RESULTS.field(name).type)
    for name in ("space", "clusterer", "label_rule", "class", "metric", "value", "ci_low", "ci_high", "ci_method", "n")
]

#: Results averaged over folds and seeds: `value` is the mean of `cells` cells, whose own values are `values`; the interval is a
#: bootstrap over the test groups of all of them, of which `freedom` are its degrees of freedom. `n` counts the test windows of all folds
#: together.
SUMMARY = pa.schema([*_WHAT, *_SCORE, ("freedom", pa.int64()), ("cells", pa.int32()), ("values", pa.list_(pa.float64()))])

#: Paired differences b - a over the same test windows. `question` is `tuning` (frozen against fitted, same encoder and policy, but for its own
#: linear head), `background` (another policy against the largest share, same encoder and regime), `study` (frozen and pretrained on sound
#: against tuned and not), `best` (each other choice against the best) or `pair` (any two choices). `p` is two-sided, by sign flips over the
#: `n_groups` test groups of all folds, and `freedom` are the interval's degrees of freedom; `p_holm` is adjusted within the question and
#: metric (NMI: over all spaces and clusterers); `detectable` is the smallest difference that a test on these groups, corrected for the number
#: of comparisons, would show with a chance of 80 %. `verdict` is ``higher`` or ``lower`` (b against a: `p_holm` of at most 0.05, and an interval
#: without 0), ``alike`` (the whole interval within 0.05 of 0) or ``undecided`` (too little data to say). What cannot be had is null.
COMPARISONS = pa.schema(
    [
        ("dataset", pa.string()),
        ("question", pa.string()),
        *[
            (f"{side}_{name}", kind)
            for side in "ab"
            for name, kind in (
                *((name, pa.string()) for name in ("encoder", "layer", "pool", "regime")),
                ("background", pa.float64()),
                ("policy", pa.string()),
            )
        ],
        ("space", pa.string()),
        ("clusterer", pa.string()),
        ("metric", pa.string()),
        ("a_value", pa.float64()),
        ("b_value", pa.float64()),
        ("difference", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("ci_method", pa.string()),
        ("n", pa.int64()),
        ("p", pa.float64()),
        ("p_holm", pa.float64()),
        ("detectable", pa.float64()),
        ("n_groups", pa.int64()),
        ("freedom", pa.int64()),
        ("verdict", pa.string()),
    ]
)

#: Two-dimensional maps of the test windows, one row a (cell, space, window).
MAPS = pa.schema(
    [
        ("encoder", pa.string()),
        ("layer", pa.string()),
        ("pool", pa.string()),
        ("regime", pa.string()),
        ("background", pa.float64()),
        ("policy", pa.string()),
        ("fold", pa.int32()),
        ("seed", pa.int64()),
        ("space", pa.string()),
        ("window_id", pa.int64()),
        ("recording", pa.string()),
        ("onset_s", pa.float64()),
        ("offset_s", pa.float64()),
        ("label", pa.string()),
        ("x", pa.float32()),
        ("y", pa.float32()),
    ]
)


class DamagedFileError(CallspaceError, ValueError, pa.ArrowException):
    """A file that callspace wrote and that can't be read any more; also what the readers of JSON and Parquet raise for such a file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(f"'{path}' is damaged or no such table: run the same bench again")


def from_rows(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """A table of `schema` from dictionaries; a missing key is null, an unknown one is an error."""
    rows = list(rows)
    unknown = {key for row in rows for key in row} - set(schema.names)
    if unknown:
        raise ValueError(f"columns {sorted(unknown)} are not in the schema {schema.names}")
    return pa.table({field.name: pa.array([row.get(field.name) for row in rows], type=field.type) for field in schema}, schema=schema)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield temporary
        with temporary.open("r+b") as written:  # Windows flushes only what may be written
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_parquet(table: pa.Table, path: str | os.PathLike[str]) -> None:
    """Write `table` as Parquet, atomically."""
    with atomic_path(path) as temporary:
        pa.parquet.write_table(table, temporary, compression="zstd")


def read_parquet(path: str | os.PathLike[str], schema: pa.Schema | None = None) -> pa.Table:
    """Read a Parquet table whole.

    With `schema`, in its columns: one that an older version did not write yet is null, one that is not in it is left out.

    Raises
    ------
    DamagedFileError
        The file is there and no such table.
    FileNotFoundError
        There is none.
    """
    try:
        table = pa.parquet.read_table(path)
        if schema is None:
            return table
        columns = [
            table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
            for field in schema
        ]
        return pa.table(columns, schema=schema)
    except pa.ArrowException as error:
        raise DamagedFileError(path) from error
    except OSError as error:
        if error.errno is not None or isinstance(error, FileNotFoundError):  # the system's: no file, no right to read it
            raise
        raise DamagedFileError(path) from error  # Arrow's, of a file that ends too early


def write_csv(table: pa.Table, path: str | os.PathLike[str]) -> None:
    """Write `table` as UTF-8 CSV with a header, atomically; lists are joined with ``;`` and dictionaries decoded."""
    for index, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            joined = pa.array(
                [None if items is None else ";".join(map(str, items)) for items in table.column(index).to_pylist()], pa.string()
            )
            table = table.set_column(index, field.name, joined)
        elif pa.types.is_dictionary(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(field.type.value_type))
    with atomic_path(path) as temporary:
        pyarrow.csv.write_csv(table, temporary)


def write_text(text: str, path: str | os.PathLike[str]) -> None:
    """Write UTF-8 text, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(value: Any, path: str | os.PathLike[str]) -> None:
    """Write `value` as indented JSON, atomically; NaN and infinity are refused, since JSON has neither."""
    write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises
    ------
    DamagedFileError
        The file is there and no JSON.
    FileNotFoundError
        There is none.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, or no UTF-8
        raise DamagedFileError(path) from error
