"""One door for every kind of data: what `callspace bench DATA` and `callspace.load_dataset(DATA)` take."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from callspace.datasets.dataset import Dataset, Task
from callspace.datasets.label_tables import TABLE_SUFFIXES
from callspace.datasets.options import DatasetOptions
from callspace.errors import CallspaceError
from callspace.progress import SILENT, Progress

__all__ = ["check_source", "load_dataset"]

_BUILT_IN: dict[str, Task] = {"demo": "detection", "demo-clips": "classification"}


def load_dataset(
    source: str | os.PathLike[str],
    annotations: str | os.PathLike[str] | None = None,
    *,
    window_s: float | None = None,
    hop_s: float | None = None,
    split: str | None = None,
    group: str | None = None,
    fold: str | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    test_fold: int | None = None,
    channel: int | None = None,
    sample_rate_hz: int | None = None,
    unlisted: str = "skip",
    seed: int = 0,
    strict: bool = False,
    confound: float = 0.0,
    progress: Progress = SILENT,
) -> Dataset:
    """Read labelled recordings.

    Parameters
    ----------
    source : path or str
        A folder of class folders; a table (CSV, TSV) with a row a clip; a folder of soundscapes, with `annotations`; or a
        built-in set: ``"demo"`` (soundscapes) or ``"demo-clips"``.
    annotations : path, optional
        A table with a row an annotation: path, onset_s, offset_s, label.
    window_s, hop_s : float, optional
        Seconds that an encoder is given at once, and between the onsets of a soundscape's windows. Chosen from the data otherwise.
    split, group, fold, path_column, label_column : str, optional
        Columns of the table, where they are not called split, group, fold, path and label. A group is what must not lie in both
        train and test: a recording, an individual, a site.
    test_fold : int, optional
        The fold that is the test split; the next is valid.
    channel : int, optional
        The channel to read, from 0; all are averaged otherwise.
    sample_rate_hz : int, optional
        For encoders without a rate of their own; most recordings' otherwise.
    unlisted : "skip" | "background"
        What becomes of soundscapes that no annotation names.
    seed : int
        Of the splits, where none are given.
    strict : bool
        Stop at the first bad recording or annotation instead of listing it.
    confound : float
        Of the built-in sets: 0, every species at every site, to 1, one species a site.

    Raises
    ------
    CallspaceError
        The source is no dataset, with the reason and the remedy.
    """
    options = DatasetOptions(
        window_s=window_s,
        hop_s=hop_s,
        split=split,
        group=group,
        fold=fold,
        path_column=path_column,
        label_column=label_column,
        test_fold=test_fold,
        channel=channel,
        sample_rate_hz=sample_rate_hz,
        unlisted=unlisted,
        seed=seed,
        strict=strict,
    )
    if str(source) in _BUILT_IN and not Path(source).exists():
        return _built_in(str(source), options, confound, progress)
    check_source(source, annotations)
    path = Path(source).expanduser()
    if annotations is not None:
        table = Path(annotations).expanduser()
        from callspace.datasets.soundscapes import read_soundscapes

        return read_soundscapes(path, table, options, progress)
    from callspace.datasets.clips import read_class_folders, read_clip_table

    if path.is_dir():
        return read_class_folders(path, options, progress)
    if path.suffix.casefold() in TABLE_SUFFIXES:
        return read_clip_table(path, options, progress)
    raise CallspaceError(
        f"'{source}' is neither a folder nor a table ({', '.join(sorted(TABLE_SUFFIXES))}): name the folder that holds the recordings"
    )


def check_source(source: str | os.PathLike[str], annotations: str | os.PathLike[str] | None = None) -> None:
    """Whether the files that `load_dataset` starts from are there at all.

    Raises
    ------
    CallspaceError
        With a near name, where there is one.
    """
    path = Path(source).expanduser()
    if str(source) in _BUILT_IN:
        return
    if not path.exists():
        raise CallspaceError(f"there is no file or folder '{source}'{_suggestion(path)}")
    if annotations is None:
        return
    table = Path(annotations).expanduser()
    if not path.is_dir():
        raise CallspaceError(f"with --annotations, DATA is the folder that holds the recordings, but '{source}' is a file")
    if not table.is_file():
        raise CallspaceError(f"there is no annotations file '{annotations}'{_suggestion(table)}")


def _built_in(name: str, options: DatasetOptions, confound: float, progress: Progress) -> Dataset:
    from dataclasses import replace

    from callspace.datasets.synthetic import built_in

    folder = built_in(_BUILT_IN[name], seed=options.seed, confound=confound, progress=progress)
    extra: dict[str, Any] = {"name": name, "source": f"built-in ({folder.name})"}
    if _BUILT_IN[name] == "classification":
        from callspace.datasets.clips import read_clip_table

        return replace(read_clip_table(folder / "clips.csv", options, progress), **extra)
    from callspace.datasets.soundscapes import read_soundscapes

    options = replace(options, window_s=options.window_s or 0.5, hop_s=options.hop_s or 0.5)
    return replace(read_soundscapes(folder, folder / "annotations.csv", options, progress), **extra)


def _suggestion(path: Path) -> str:
    """A file of nearly the same name beside the missing one."""
    try:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()], n=1, cutoff=0.7)
    except OSError:
        return ""
    return f"; did you mean '{path.parent / near[0]}'?" if near else ""
