"""One door for every kind of data: what `callspace bench DATA` and `callspace.load_dataset(DATA)` take."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callspace.datasets.dataset import Dataset, Task
from callspace.datasets.hearing import at_speed
from callspace.datasets.label_tables import TABLE_SUFFIXES
from callspace.datasets.options import DatasetOptions
from callspace.datasets.windows import MIN_OVERLAP
from callspace.errors import CallspaceError
from callspace.progress import SILENT, Progress

if TYPE_CHECKING:
    import pyarrow as pa

    from callspace.datasets.findings import Findings

__all__ = ["check_source", "describes_itself", "load_dataset"]

_BUILT_IN: dict[str, Task] = {"demo": "detection", "demo-clips": "classification"}
_BEANS = "beans/"
_HUGGING_FACE = "hf:"


def load_dataset(
    source: str | os.PathLike[str],
    annotations: str | os.PathLike[str] | None = None,
    *,
    format: str | None = None,  # noqa: A002 - the word users know
    window_s: float | None = None,
    hop_s: float | None = None,
    windows: str = "grid",
    min_overlap: float = MIN_OVERLAP,
    chunk_s: float | None = None,
    background_windows: int | None = None,
    speed: float = 1.0,
    band: bool = False,
    split: str | None = None,
    split_by: str | None = None,
    group: str | None = None,
    fold: str | None = None,
    n_folds: int | None = None,
    test_fold: int | None = None,
    shots: int | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
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
        A folder of class folders, or one laid out as on Hugging Face (Parquet, or a metadata table beside recordings); a table (CSV,
        TSV, Parquet, JSON Lines, Excel) with a row a clip; a folder of soundscapes, with `annotations`; a file of annotations that
        names its recordings; ``"hf:ID"``, a dataset on Hugging Face; ``"beans/NAME"``, one of BEANS's; or a built-in set: ``"demo"``
        (soundscapes) or ``"demo-clips"``, with a number of recordings behind it where it shall be another size: ``"demo:120"``.
    annotations : path, optional
        A file of annotations, or a folder of such: a table with a row an annotation (path, onset_s, offset_s, label), Raven selection
        tables, Audacity labels, or another format in `formats.FORMATS`.
    format : str, optional
        The annotations' format, where it should not be told by content.
    window_s, hop_s : float, optional
        Seconds that an encoder is given at once, and between the onsets of a soundscape's windows. Chosen from the data otherwise.
    windows : "grid" | "events"
        Every hop over the recordings; or one centred on each annotation, shifted at the recording's start and end, with background
        windows from time that no annotation touches. Events without background and with one label each are a classification.
    min_overlap : float
        A label is on in a window when the overlap with an annotation, divided by the shorter of the two, exceeds this.
    chunk_s : float, optional
        Cut recordings into chunks of so many seconds, each windowed by itself: 60 is BEANS's, whose windows and labels it gives.
    background_windows : int, optional
        With ``windows="events"``: how many, at most; as many as the mean label has otherwise.
    speed : float
        How fast encoders hear the recordings: 0.1 is slowed tenfold, for ultrasound; 10 is sped up, for infrasound. All times and
        frequencies, here and in every table, are the recordings' own.
    band : bool
        With ``windows="events"``: filter each window to its annotation's low to high frequency.
    split, group, fold, path_column, label_column : str, optional
        Columns of the table, where they are not called split, group, fold, path and label. A group is what must not lie in both
        train and test: a recording, an individual, a site. Of a BEANS dataset, `split` is "official" or "grouped".
    split_by : str, optional
        Make splits by "group", "recording", "site", "date", "recorder" (from file names, folders and metadata, or a column) or "time".
    n_folds : int, optional
        Make so many folds for cross-validation, of whole groups.
    test_fold : int, optional
        The fold that is the test split; the next is valid.
    shots : int, optional
        Few-shot: so many training windows a label.
    channel : int, optional
        The channel to read, from 0; all are averaged otherwise.
    sample_rate_hz : int, optional
        For encoders without a rate of their own, as they hear it; most recordings' otherwise.
    unlisted : "skip" | "background"
        What becomes of soundscapes that no annotation names.
    seed : int
        Of the splits, where none are given, and of the background windows that are drawn.
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
        format=format,
        windows=windows,
        min_overlap=min_overlap,
        chunk_s=chunk_s,
        background_windows=background_windows,
        speed=speed,
        band=band,
        split_by=split_by,
        n_folds=n_folds,
        shots=shots,
        seed=seed,
        strict=strict,
    )
    return at_speed(_read(source, annotations, options, confound, progress), options)


def _read(
    source: str | os.PathLike[str],
    annotations: str | os.PathLike[str] | None,
    options: DatasetOptions,
    confound: float,
    progress: Progress,
) -> Dataset:
    check_source(source, annotations)
    path = Path(source).expanduser()
    if not path.exists():
        return _by_name(str(source), options, confound, progress)
    if annotations is None and path.is_dir():
        from callspace.datasets.clips import read_class_folders
        from callspace.datasets.formats import is_hub_folder

        if _is_export(path):
            from callspace.datasets.export import read_export

            return read_export(path, options, progress=progress)
        return _hugging_face(path, options, progress) if is_hub_folder(path) else read_class_folders(path, options, progress)
    if annotations is not None or _is_annotations(path, options):
        from callspace.datasets.soundscapes import read_soundscapes

        return read_soundscapes(path if path.is_dir() else path.parent, Path(annotations or path).expanduser(), options, progress)
    if path.suffix.casefold() not in TABLE_SUFFIXES:
        raise CallspaceError(
            f"'{source}' is neither a folder nor a table ({', '.join(sorted(TABLE_SUFFIXES))}): name the folder that holds the recordings"
        )
    from callspace.datasets.clips import read_clip_table

    return read_clip_table(path, options, progress)


def describes_itself(folder: Path) -> bool:
    """Whether a folder says what it holds: what callspace exported, and what is laid out as on Hugging Face."""
    from callspace.datasets.formats import is_hub_folder

    return _is_export(folder) or is_hub_folder(folder)


def _is_export(folder: Path) -> bool:
    from callspace.datasets.export import is_export

    return is_export(folder)


def _is_annotations(path: Path, options: DatasetOptions) -> bool:
    """Whether a file is in a format of annotations alone; a table is one of clips, whatever times it carries along."""
    from callspace.datasets.formats import detect

    kind = options.format or detect(path)
    return kind is not None and kind != "table"


def _by_name(source: str, options: DatasetOptions, confound: float, progress: Progress) -> Dataset:
    if source.startswith(_BEANS):
        return _beans(source, options, progress)
    if source.startswith(_HUGGING_FACE):
        return _hugging_face(source, options, progress)
    return _built_in(source, options, confound, progress)


def check_source(source: str | os.PathLike[str], annotations: str | os.PathLike[str] | None = None) -> None:
    """Whether the files that `load_dataset` starts from are there at all.

    Raises
    ------
    CallspaceError
        With a near name, where there is one.
    """
    path = Path(source).expanduser()
    elsewhere = _built_in_name(str(source)) is not None or str(source).startswith((_BEANS, _HUGGING_FACE))
    if elsewhere and not path.exists():
        if annotations is not None:
            raise CallspaceError(f"'{source}' has annotations of its own: leave out --annotations")
        return
    if not path.exists():
        raise CallspaceError(f"there is no file or folder '{source}'{_suggestion(path)}")
    if annotations is None:
        return
    table = Path(annotations).expanduser()
    if not path.is_dir():
        raise CallspaceError(f"with --annotations, DATA is the folder that holds the recordings, but '{source}' is a file")
    if not table.exists():
        raise CallspaceError(f"there is no annotations file '{annotations}'{_suggestion(table)}")


def _beans(source: str, options: DatasetOptions, progress: Progress) -> Dataset:
    try:
        from callspace.datasets.beans import load_beans
    except ImportError as error:
        raise CallspaceError(f"'{source}': this version of callspace has no BEANS datasets ({error})") from None
    if options.windows == "events" or options.chunk_s is not None or options.min_overlap != MIN_OVERLAP:
        raise CallspaceError(
            f"'{source}' has the study's windows: leave out --windows, --chunk and --min-overlap, or export its annotations and read those"
        )
    return load_beans(source.removeprefix(_BEANS), options, progress, options.split or "official")


def _hugging_face(source: str | Path, options: DatasetOptions, progress: Progress) -> Dataset:
    from callspace.datasets.findings import Findings
    from callspace.datasets.formats import read_hub
    from callspace.datasets.soundscapes import dataset_of

    findings = Findings(strict=options.strict)
    found = read_hub(source, findings=findings, options=options, progress=progress)
    return dataset_of(
        _without_a_lone_split(found.annotations, findings),
        found.root,
        options,
        findings,
        name=found.name,
        source=found.source,
        said=str(source),
        near=found.root,
        progress=progress,
    )


def _without_a_lone_split(annotations: pa.Table, findings: Findings) -> pa.Table:
    """Hugging Face calls a dataset without splits ``train``: that is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    given = pc.unique(annotations["split"].drop_null()).to_pylist()
    if len(given) != 1:
        return annotations
    findings.notes.append(f"All of it is called '{given[0]}', which is no split: train, valid and test were made.")
    place = annotations.schema.get_field_index("split")
    return annotations.set_column(place, "split", pa.nulls(len(annotations), pa.string()))


def _built_in_name(source: str) -> tuple[str, int | None] | None:
    """The built-in set that is meant, and how many recordings it shall have: ``demo``, ``demo:120``; None for anything else."""
    name, colon, count = source.partition(":")
    if name not in _BUILT_IN or (colon and not (count.isdecimal() and int(count))):
        return None
    return name, int(count) if colon else None


def _built_in(name: str, options: DatasetOptions, confound: float, progress: Progress) -> Dataset:
    from dataclasses import replace

    from callspace.datasets.synthetic import built_in

    found = _built_in_name(name)
    assert found is not None
    task = _BUILT_IN[found[0]]
    folder = built_in(task, seed=options.seed, n_recordings=found[1], confound=confound, progress=progress)
    extra: dict[str, Any] = {"name": name, "source": f"built-in ({folder.name})"}
    if task == "classification":
        from callspace.datasets.clips import read_clip_table

        return replace(read_clip_table(folder / "clips.csv", options, progress), **extra)
    from callspace.datasets.soundscapes import read_soundscapes

    if options.windows == "grid":
        options = replace(options, window_s=options.window_s or 0.5, hop_s=options.hop_s or 0.5)
    return replace(read_soundscapes(folder, folder / "annotations.csv", options, progress), **extra)


def _suggestion(path: Path) -> str:
    """A file of nearly the same name beside the missing one."""
    try:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()], n=1, cutoff=0.7)
    except OSError:
        return ""
    return f"; did you mean '{path.parent / near[0]}'?" if near else ""
