"""What an embedding may hold beside the animal: recording, site, date, device, format, length, level, as one value a window.

They come from the columns of the windows table whose names say so (site, date, recorder, ...), from the recordings table (format, sample
rate, channels, duration), from the recordings' names where recorders write site, date and number into them, and from what was measured of
the sound. What belongs to the animal (individual, frequencies, signal-to-noise ratio) is none.

Numbers are cut into eight parts of equal size at the quantiles of the train split, so that one test serves all; a date counts as its day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from callspace.datasets.audit.columns import PLACE_LIKE, carried_columns
from callspace.datasets.recorders import describe_name
from callspace.errors import CallspaceError
from callspace.evaluation.diagnosis.days import days_of

__all__ = ["Coded", "Nuisances", "coded", "nuisances_of"]

#: name -> one value a window: numbers (NaN unknown) or strings (None unknown).
Nuisances = dict[str, list[Any]]

PARTS = 8
_OF_RECORDINGS = ("duration_s", "sample_rate_hz", "channels", "format")
#: A number with at most so many values is a name: 44,100 Hz, 2 channels.
_FEW_VALUES = 8


@dataclass(frozen=True)
class Coded:
    """A nuisance as codes: int[n], -1 unknown, and what each code stands for."""

    codes: NDArray[np.intp]
    names: list[str]


def nuisances_of(windows: pa.Table, recordings: pa.Table | None = None, **measured: ArrayLike) -> Nuisances:
    """All nuisances that are known of the windows.

    Parameters
    ----------
    windows
        `callspace.tables.WINDOWS`.
    recordings
        `callspace.tables.RECORDINGS`, if at hand.
    measured
        Further ones, one value a window, such as ``level_db``.

    Raises
    ------
    CallspaceError
        Where something measured has not one value a window.
    """
    of_windows = windows.column("recording").to_pylist()
    found: Nuisances = {"recording": of_windows}
    carried = carried_columns(SimpleNamespace(windows=windows))  # type: ignore[arg-type]  # of a dataset it reads the windows only
    for column, kind in carried:
        if kind in PLACE_LIKE:
            values = windows.column(column).to_pylist()
            found[column] = days_of(values) if kind == "date" else values
    for name in ("site", "recorder", "date"):
        if name not in {kind for _, kind in carried}:
            found |= _from_names(of_windows, name)
    if recordings is not None:
        row = {name: at for at, name in enumerate(recordings.column("recording").to_pylist())}
        for name in _OF_RECORDINGS:
            if name in recordings.column_names:
                values = recordings.column(name).to_pylist()
                found[name] = [values[row[recording]] if recording in row else None for recording in of_windows]
    for name, values in measured.items():
        given = np.asarray(values)
        if given.shape != (windows.num_rows,):
            raise CallspaceError(f"{name!r} has shape {given.shape}, but there are {windows.num_rows} windows: give one value a window")
        found[name] = given.tolist()
    return found


def coded(values: Sequence[Any], in_train: NDArray[np.bool_]) -> Coded:
    """A nuisance as codes; numbers of more than eight values in eight parts, cut at the quantiles of the train split."""
    known = [value is not None and value == value and value != "" for value in values]  # noqa: PLR0124  NaN is not itself
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value, ok in zip(values, known, strict=True) if ok)
    there = np.array(known, dtype=bool)
    if numbers and len({value for value, ok in zip(values, known, strict=True) if ok}) > _FEW_VALUES:
        return _parts(np.array([value if ok else np.nan for value, ok in zip(values, known, strict=True)], dtype=np.float64), in_train)
    texts = [_text(value) if ok else "" for value, ok in zip(values, known, strict=True)]
    names = sorted({text for text, ok in zip(texts, known, strict=True) if ok})
    place = {name: at for at, name in enumerate(names)}
    codes = np.array([place.get(text, -1) for text in texts], dtype=np.intp)
    return Coded(np.where(there, codes, -1), names)


def _parts(numbers: NDArray[np.float64], in_train: NDArray[np.bool_]) -> Coded:
    known = np.isfinite(numbers)
    learnt = numbers[known & in_train] if (known & in_train).any() else numbers[known]
    edges = np.unique(np.quantile(learnt, np.linspace(0, 1, PARTS + 1)[1:-1]))
    codes = np.where(known, np.searchsorted(edges, np.where(known, numbers, 0.0), side="right"), -1)
    bounds = [f"{edge:.4g}" for edge in edges]
    names = [f"below {bounds[0]}", *(f"{low} to {high}" for low, high in pairwise(bounds)), f"{bounds[-1]} and more"]
    return Coded(codes.astype(np.intp), names)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _from_names(recordings: Sequence[str], what: str) -> Nuisances:
    """Site, recorder or date as recorders write them into file names; {} where no two names differ in it."""
    infos = {name: describe_name(name) for name in dict.fromkeys(recordings)}
    read: dict[str, Any] = {}
    for name, info in infos.items():
        value: Any = {"site": info.site, "recorder": info.recorder, "date": info.start and info.start.date().toordinal()}[what]
        # A folder is as often the label as the site.
        read[name] = None if what == "site" and info.source.get("site") != "file name" else value
    values = {value for value in read.values() if value is not None}
    return {what: [read[name] for name in recordings]} if len(values) > 1 else {}
