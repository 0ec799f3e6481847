"""The data of a run, kept in its folder so that they are found again: all tables of the dataset, and where its recordings lie.

::

    data/about.json           what the dataset is, the folder of its recordings, and weights that were given by hand
    data/recordings.parquet
    data/windows.parquet
    data/annotations.parquet  where it has annotations

No sound is copied. A run of an older version has no such folder; then the data are read again from what the run was given.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callspace.datasets import Dataset, load_dataset
from callspace.errors import CallspaceError
from callspace.progress import SILENT, Progress
from callspace.tables import read_json, read_parquet, write_json, write_parquet

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["missing_recordings", "read_run_data", "refuse_other_data", "weights_by_hand", "without_recordings", "write_run_data"]

_FOLDER, _ABOUT = "data", "about.json"
_FIELDS = ("name", "source", "task", "labels", "window_s", "hop_s", "sample_rate_hz", "channel", "speed", "band")
_TABLES = ("recordings", "windows", "annotations")


def write_run_data(folder: Path, dataset: Dataset, weights: Mapping[str, str | os.PathLike[str]] | None = None) -> None:
    """Keep a dataset's tables and the place of its recordings in a run's folder.

    ``about.json`` is written last, so that it is there whole or not.

    Parameters
    ----------
    folder : Path
        The run's.
    dataset : Dataset
    weights : mapping of encoder to path, optional
        Weights that were given by hand, which nothing else would find again.
    """
    data = folder / _FOLDER
    for name in _TABLES:
        if (table := getattr(dataset, name)) is not None:
            write_parquet(table, data / f"{name}.parquet")
    about = {name: getattr(dataset, name) for name in _FIELDS}
    about |= {"root": str(dataset.root.resolve()), "fingerprint": dataset.fingerprint(), "annotated": dataset.annotations is not None}
    about["weights"] = {name: str(Path(file).resolve()) for name, file in (weights or {}).items()}
    write_json(about, data / _ABOUT)


def read_run_data(folder: Path, *, root: Path | None = None, progress: Progress = SILENT) -> Dataset:
    """The dataset that a run was made on.

    Parameters
    ----------
    folder : Path
        The run's.
    root : Path, optional
        Where its recordings lie now, if they were moved.

    Raises
    ------
    CallspaceError
        It cannot be had: the run does not keep its tables, and what it was given gives other windows now.
    """
    data = folder / _FOLDER
    if not (data / _ABOUT).is_file():
        return _read_again(folder, progress)
    about = read_json(data / _ABOUT)
    tables = {name: _read(data / f"{name}.parquet") for name in _TABLES if name != "annotations" or about["annotated"]}
    return Dataset(root=root or Path(about["root"]), **{name: about[name] for name in _FIELDS}, **tables)


def _read(path: Path) -> pa.Table:
    """A table as it was written: Parquet calls the items of a list otherwise, which the dataset's fingerprint would see."""
    import pyarrow as pa

    table = read_parquet(path)
    for at, field in enumerate(table.schema):
        if pa.types.is_list(field.type) and not table.column(at).null_count:
            lists = table.column(at).combine_chunks()
            table = table.set_column(at, field.name, pa.ListArray.from_arrays(lists.offsets, lists.values))
    return table


def missing_recordings(dataset: Dataset) -> list[str]:
    """Recordings of a dataset that are not where they were, in their order."""
    return [name for name in dataset.recordings["recording"].to_pylist() if not (dataset.root / name).is_file()]


def without_recordings(dataset: Dataset, names: Collection[str]) -> Dataset:
    """The same dataset without some recordings, their windows and their annotations."""
    import pyarrow as pa
    import pyarrow.compute as pc

    left_out = pa.array(sorted(names), pa.string())
    tables = {name: getattr(dataset, name) for name in _TABLES}
    return replace(
        dataset, **{name: own.filter(pc.invert(pc.is_in(own["recording"], left_out))) for name, own in tables.items() if own is not None}
    )


def refuse_other_data(folder: Path, root: Path, progress: Progress = SILENT) -> None:
    """Make sure that a folder holds recordings of a run.

    Raises
    ------
    CallspaceError
        It holds none of them.
    """
    try:
        names = read_run_data(folder, root=root, progress=progress).recordings["recording"].to_pylist()
    except CallspaceError:
        return  # what the run was made on can't be had at all, which the checks say
    if names and not any((root / name).is_file() for name in names):
        raise CallspaceError(
            f"--data: '{root}' holds none of the run's {len(names):,} recordings, such as '{names[0]}': name the folder that holds this file"
        )


def weights_by_hand(folder: Path) -> dict[str, str]:
    """Where the weights lie that the run was given by hand, by encoder."""
    path = folder / _FOLDER / _ABOUT
    return dict(read_json(path).get("weights") or {}) if path.is_file() else {}


def _read_again(folder: Path, progress: Progress) -> Dataset:
    marker = folder / "run.json"
    about: Mapping[str, Any] = read_json(marker) if marker.is_file() else {}
    if not about.get("source"):
        raise CallspaceError(f"'{folder}' does not say what data it was made on: run the same bench again with this version")
    try:
        dataset = load_dataset(about["source"], progress=progress)
    except CallspaceError as error:
        raise CallspaceError(f"the run's data can't be read again from '{about['source']}' ({error}): run the same bench again") from error
    if dataset.fingerprint() != about.get("dataset_fingerprint"):
        raise CallspaceError(
            f"'{about['source']}' gives other windows than the run was made on (with other options, or other files): run the same bench again"
        )
    return dataset
