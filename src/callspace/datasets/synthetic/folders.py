"""Making the built-in dataset: the folder with its sound, its table and a note; and the copy in the cache."""

import os
import shutil
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from callspace.datasets.synthetic.sites import N_SITES, site_name, split_of
from callspace.errors import CallspaceError
from callspace.paths import cache_folder
from callspace.progress import SILENT, Progress

if TYPE_CHECKING:
    import pyarrow as pa

    from callspace.datasets.synthetic.scenes import Scene

__all__ = ["DEFAULT_RECORDINGS", "TABLES", "VERSION", "Task", "built_in", "generate"]

#: Changes whenever the same seed and options would give other bytes.
VERSION = 1

Task = Literal["detection", "classification"]

#: The table of each set, written last: a folder that holds it is whole.
TABLES: dict[str, str] = {"detection": "annotations.csv", "classification": "clips.csv"}

#: One 12-s recording a site, and eight 1-s clips a site.
DEFAULT_RECORDINGS: dict[str, int] = {"detection": N_SITES, "classification": 8 * N_SITES}

_COLUMNS = {
    "detection": ["path", "onset_s", "offset_s", "label", "split", "group", "site", "individual", "snr_db", "low_hz", "high_hz"],
    "classification": ["path", "label", "split", "group", "site", "individual", "snr_db"],
}

_ABANDONED_S = 3600.0


def generate(
    folder: str | os.PathLike[str],
    *,
    task: Task,
    seed: int = 0,
    n_recordings: int | None = None,
    confound: float = 0.0,
    progress: Progress = SILENT,
) -> None:
    """Make a set: ``audio/*.flac`` (16-bit, mono, 16 kHz), the table and ``README.txt``.

    Recording `k` depends on `seed`, `task`, `k` and `confound` alone: a larger set begins with the recordings of a smaller one, and the same
    call gives the same bytes.

    Parameters
    ----------
    folder : path
        Made where it is not there; must be empty.
    task : "detection" | "classification"
        Long recordings with an annotation a call (``annotations.csv``: path, onset_s, offset_s, label, split, group, site, individual, snr_db,
        low_hz, high_hz; a recording without a call has one row with its path, split, group and site only), or clips of one call
        (``clips.csv``: path, label, split, group, site, individual, snr_db). Paths are relative to the table.
    seed : int
        Not negative.
    n_recordings : int, optional
        40 recordings or 320 clips when not given; the sites take turns.
    confound : float
        From 0 (every species at every site) to 1 (one species at each site): the probability that a call is of its site's own species
        whatever its turn. As it rises the calls go over to that species one by one, each keeping its distance and ratio.
    progress : Progress

    Raises
    ------
    CallspaceError
        Where an option is out of its range, or `folder` holds something.
    """
    _check(task, seed, confound)
    n_recordings = DEFAULT_RECORDINGS[task] if n_recordings is None else n_recordings
    if n_recordings < 1:
        raise CallspaceError(f"a built-in dataset needs at least one recording, not {n_recordings}")
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CallspaceError(f"'{folder}' is not an empty folder: give another one for the built-in dataset, or empty it")

    from callspace import tables
    from callspace.datasets.synthetic.scenes import clip_scene, soundscape_scene

    make = soundscape_scene if task == "detection" else clip_scene
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with progress.task(f"making the built-in {task} set", n_recordings) as advance:
        for k in range(n_recordings):
            scene = make(seed, k, confound)
            path = f"audio/{task}-{k:04d}.flac"
            _write_flac(folder / path, scene)
            rows += _rows(path, scene)
            advance(1)
    tables.write_text(_readme(task, seed, n_recordings, confound), folder / "README.txt")
    tables.write_csv(tables.from_rows(({key: row[key] for key in _COLUMNS[task]} for row in rows), _schema(task)), folder / TABLES[task])


def built_in(
    task: Task = "detection",
    *,
    seed: int = 0,
    n_recordings: int | None = None,
    confound: float = 0.0,
    progress: Progress = SILENT,
) -> Path:
    """The folder of a built-in set in the cache, made at first use.

    It is made beside its place and renamed, so that a first use that is killed, or two at once, never leave a half-made set.

    Parameters
    ----------
    task, seed, n_recordings, confound, progress
        As for `generate`.

    Returns
    -------
    Path
        Of a folder with ``annotations.csv`` (detection) or ``clips.csv`` (classification).
    """
    _check(task, seed, confound)
    count = "" if n_recordings in (None, DEFAULT_RECORDINGS[task]) else f"-{n_recordings}"
    folder = cache_folder("synthetic", f"{task}-v{VERSION}-seed{seed}-confound{float(confound)!r}{count}")
    wanted = n_recordings or DEFAULT_RECORDINGS[task]
    if _is_whole(folder, task, wanted):
        return folder
    _clear_abandoned(folder)
    making = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        generate(making, task=task, seed=seed, n_recordings=n_recordings, confound=confound, progress=progress)
        _put_in_place(making, folder, task, wanted)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def _check(task: str, seed: int, confound: float) -> None:
    if task not in get_args(Task):
        raise CallspaceError(f"there is no built-in set for task '{task}': choose 'detection' or 'classification'")
    if seed < 0:
        raise CallspaceError(f"the built-in dataset's seed is a whole number from 0, not {seed}")
    if not 0 <= confound <= 1:
        raise CallspaceError(f"confound goes from 0 (every species at every site) to 1 (one species a site), not {confound}")


def _write_flac(path: Path, scene: "Scene") -> None:
    import numpy as np
    import soundfile

    from callspace.datasets.synthetic.calls import SAMPLE_RATE_HZ

    soundfile.write(path, np.round(scene.mix() * 32767).astype(np.int16), SAMPLE_RATE_HZ, subtype="PCM_16", format="FLAC")


def _rows(path: str, scene: "Scene") -> list[dict[str, Any]]:
    site = site_name(scene.site)
    common = {"path": path, "split": split_of(scene.site), "group": site, "site": site}
    if not scene.calls:
        return [common | dict.fromkeys(("onset_s", "offset_s", "label", "individual", "snr_db", "low_hz", "high_hz"))]
    return [
        common
        | {"onset_s": round(call.onset_s, 6), "offset_s": round(call.offset_s, 6), "label": call.label, "individual": call.individual}
        | {"snr_db": round(call.snr_db, 2), "low_hz": round(call.low_hz, 1), "high_hz": round(call.high_hz, 1)}
        for call in scene.calls
    ]


def _schema(task: str) -> "pa.Schema":
    import pyarrow as pa

    numbers = {"onset_s", "offset_s", "snr_db", "low_hz", "high_hz"}
    return pa.schema([(name, pa.float64() if name in numbers else pa.string()) for name in _COLUMNS[task]])


def _readme(task: str, seed: int, n_recordings: int, confound: float) -> str:
    return (
        f"The built-in {task} set of callspace: invented animals in invented places. Nothing in it was recorded.\n\n"
        f"Made by callspace.datasets.synthetic.generate(task={task!r}, seed={seed}, n_recordings={n_recordings}, confound={confound:g}), version {VERSION}.\n"
        f"The sound is in audio/ (FLAC, 16-bit, mono, 16 kHz), what is heard in it in {TABLES[task]}.\n\n"
        "Licence: CC0 1.0 (public domain dedication), https://creativecommons.org/publicdomain/zero/1.0/\n"
    )


def _is_whole(folder: Path, task: str, n_recordings: int) -> bool:
    """Whether the table is there, and as many recordings as there should be (caches get tidied behind our back)."""
    return (folder / TABLES[task]).is_file() and sum(1 for _ in (folder / "audio").glob("*.flac")) == n_recordings


def _put_in_place(made: Path, folder: Path, task: str, n_recordings: int) -> None:
    """Rename `made` to `folder`; keep what another process put there meanwhile, replace what is not whole."""
    try:
        made.rename(folder)
    except OSError:
        if _is_whole(folder, task, n_recordings):
            return
        shutil.rmtree(folder)
        made.rename(folder)


def _clear_abandoned(folder: Path) -> None:
    """Remove what killed first uses left more than an hour ago."""
    for left in folder.parent.glob(f".{folder.name}.*.part"):
        if time.time() - left.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(left, ignore_errors=True)
