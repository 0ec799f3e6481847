"""Soundscape datasets: recordings in a folder, and a table of timed annotations in them; unlabelled time is background."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from callspace.datasets.assembly import (
    Findings,
    audio_files,
    count_of,
    drop_duplicates,
    examine_recordings,
    most_common_rate,
    read_split,
    settle_splits,
)
from callspace.datasets.clips import LABEL_NAMES, PATH_NAMES
from callspace.datasets.dataset import Dataset, natural_order
from callspace.datasets.label_tables import find_column, read_table, to_seconds
from callspace.datasets.options import DatasetOptions
from callspace.datasets.windows import choose_event_window, label_windows, window_onsets
from callspace.errors import CallspaceError
from callspace.progress import SILENT, Progress

__all__ = ["read_soundscapes"]

#: What windows without a label are called.
BACKGROUND = "background"
ONSET_NAMES = ("onset_s", "onset", "start_s", "start", "begin_s", "begin", "start_time", "begin time (s)", "begin_time")
OFFSET_NAMES = ("offset_s", "offset", "end_s", "end", "stop", "stop_s", "end_time", "end time (s)")
# Annotation programs round to milliseconds and more; what ends this little past the recording is cut without a word.
_SLACK_S = 0.05


@dataclass
class _Listed:
    """What the table says of one recording."""

    onsets: list[float]
    offsets: list[float]
    labels: list[str]
    carried: dict[str, set[str]]

    def add(self, other: _Listed) -> None:
        """Take over what is said of the same recording under another name."""
        self.onsets += other.onsets
        self.offsets += other.offsets
        self.labels += other.labels
        for column, values in other.carried.items():
            self.carried[column] |= values


def read_soundscapes(folder: Path, annotations: Path, options: DatasetOptions, progress: Progress = SILENT) -> Dataset:
    """Recordings below `folder`, windowed whole, labelled from a table of path, onset_s, offset_s, label[, split, group, fold].

    A row with a path and nothing else lists a recording without events. A recording that no row names is left out (or, with
    ``unlisted="background"``, taken as annotated and empty).
    """
    findings = Findings(strict=options.strict)
    columns, lines = read_table(annotations)
    special = _special_columns(columns, annotations, options)
    listed = _read_lines(lines, columns, special, annotations, findings)
    root, names = _match_recordings(folder, annotations, listed, findings, options)
    recordings = examine_recordings(root, sorted(names), findings, options, progress)
    if recordings.num_rows == 0:
        raise CallspaceError(
            f"none of the recordings that '{annotations.name}' names can be used: see the first reason: {_reason(findings)}"
        )
    copies = drop_duplicates(root, recordings["recording"].to_pylist(), findings)
    recordings = recordings.filter([name not in copies for name in recordings["recording"].to_pylist()])
    durations = dict(zip(recordings["recording"].to_pylist(), recordings["duration_s"].to_pylist(), strict=True))
    events = {name: _within(name, names[name], durations[name], findings, options) for name in durations}
    lengths = [length for on, off, _ in events.values() for length in (off - on).tolist()]
    if not lengths:
        raise CallspaceError(f"'{annotations.name}' has no usable annotation in the recordings of '{folder}'{_because(findings)}")
    window, hop = _choose_window(lengths, findings, options)
    labels = sorted({label for *_, names_ in events.values() for label in names_}, key=natural_order)
    windows = _windows_table(names, durations, events, labels, window, hop, special)
    dataset = Dataset(
        name=folder.name or folder.resolve().name,
        source=f"{folder} with {annotations.name}",
        root=root,
        task="detection",
        labels=labels,
        recordings=recordings,
        windows=windows,
        window_s=window,
        hop_s=hop,
        sample_rate_hz=most_common_rate(recordings, options, findings),
        channel=options.channel,
        notes=findings.notes,
        warnings=findings.warnings,
        skipped=findings.skipped,
    )
    if BACKGROUND in labels:
        raise CallspaceError(
            f"'{BACKGROUND}' is what time without annotations is called: rename that label in '{annotations.name}', or remove its rows"
        )
    dataset = settle_splits(dataset, options, grouped=special["group"] is not None)
    if not any(not held for held in windows["labels"].to_pylist()):
        dataset.warnings.append("Every window holds a labelled sound: there is no background, so its separation cannot be judged.")
    return dataset


def _special_columns(columns: list[str], path: Path, options: DatasetOptions) -> dict[str, str | None]:
    def find(names: Sequence[str], given: str | None, option: str, required: bool = False) -> str | None:
        return find_column(columns, names, given=given, path=path, option=option, required=required)

    return {
        "path": find(PATH_NAMES, options.path_column, "--path-column", True),
        "onset": find(ONSET_NAMES, None, "the header onset_s", True),
        "offset": find(OFFSET_NAMES, None, "the header offset_s", True),
        "label": find(LABEL_NAMES, options.label_column, "--label-column", True),
        "split": find(["split", "subset"], options.split, "--split"),
        "group": find(["group"], options.group, "--group"),
        "fold": find(["fold"], options.fold, "--fold-column"),
    }


def _read_lines(
    lines: list[dict[str, str]], columns: list[str], special: dict[str, str | None], path: Path, findings: Findings
) -> dict[str, _Listed]:
    carried = [name for name in columns if name not in {special[key] for key in ("path", "onset", "offset", "label")}]
    listed: dict[str, _Listed] = {}
    seen: set[tuple[str, ...]] = set()
    for number, line in enumerate(lines, start=2):
        name = line[special["path"] or ""].replace("\\", "/")
        where = f"'{path.name}' line {number}"
        if not name:
            findings.skip(where, "annotation", "it names no recording", "fill in the path, or delete the line")
            continue
        recording = listed.setdefault(name, _Listed([], [], [], defaultdict(set)))
        for column in carried:
            recording.carried[column].add(line[column])
        texts = [line[special[key] or ""] for key in ("onset", "offset", "label")]
        if not any(texts):
            continue
        onset, offset, label = to_seconds(texts[0]), to_seconds(texts[1]), texts[2]
        if onset is None or offset is None:
            findings.skip(
                name,
                "annotation",
                f"{where}: onset '{texts[0]}' or offset '{texts[1]}' is no number of seconds",
                "write seconds, such as 12.5",
            )
        elif not label:
            findings.skip(name, "annotation", f"{where} has no label", "fill in the label, or delete the line")
        elif offset < onset:
            findings.skip(
                name, "annotation", f"{where}: the offset {offset:g} s comes before the onset {onset:g} s", "swap or correct them"
            )
        elif (name, texts[0], texts[1], label) in seen:
            findings.skip(name, "annotation", f"{where} repeats an earlier line", "delete one of the two")
        else:
            seen.add((name, texts[0], texts[1], label))
            recording.onsets.append(onset)
            recording.offsets.append(offset)
            recording.labels.append(label)
    if not any(recording.labels for recording in listed.values()):
        raise CallspaceError(f"'{path}' has no usable annotation: each needs a path, an onset, an offset and a label{_because(findings)}")
    return listed


def _match_recordings(
    folder: Path, annotations: Path, listed: dict[str, _Listed], findings: Findings, options: DatasetOptions
) -> tuple[Path, dict[str, _Listed]]:
    """Names relative to the folder, the table's own folder, or the bare file name where it is unique."""
    found = audio_files(folder)
    if not found:
        raise CallspaceError(f"'{folder}' holds no audio files (WAV, FLAC, OGG, MP3, AIFF)")
    known = {_plain(name): name for name in found}
    by_name: dict[str, list[str]] = defaultdict(list)
    for name in found:
        by_name[_file_name(name)].append(name)
    times_listed = Counter(_file_name(name) for name in listed)
    matched: dict[str, _Listed] = {}
    for name, recording in listed.items():
        alike = by_name[_file_name(name)]
        actual = _exact(name, folder, annotations, known) or _by_file_name(name, alike, times_listed[_file_name(name)])
        if actual is None:
            why = f"{len(alike)} recordings have this file name" if len(alike) > 1 else f"there is no such recording below '{folder.name}'"
            findings.skip(name, "recording", why, "correct the path in the annotations, relative to the folder of recordings")
        elif actual in matched:  # one recording, written in two ways
            matched[actual].add(recording)
        else:
            matched[actual] = recording
    unlisted = sorted(set(found) - set(matched))
    if unlisted and options.unlisted == "background":
        matched |= {name: _Listed([], [], [], defaultdict(set)) for name in unlisted}
        findings.notes.append(
            f"{count_of(len(unlisted), 'recording')} that no annotation names {'is' if len(unlisted) == 1 else 'are'} background throughout."
        )
    elif unlisted:
        findings.notes.append(
            f"{count_of(len(unlisted), 'recording')} that no annotation names {'is' if len(unlisted) == 1 else 'are'} left out (such as '{unlisted[0]}'); if "
            "they were annotated and hold nothing, add a row with their path and nothing else, or --unlisted background."
        )
    if not matched:
        raise CallspaceError(
            f"no path in '{annotations.name}' is a recording below '{folder}': paths are relative to that folder ({_reason(findings)})"
        )
    return folder, matched


def _exact(name: str, folder: Path, annotations: Path, known: dict[str, str]) -> str | None:
    """The recording that a path means, relative to the folder or to the table beside it."""
    if (found := known.get(_plain(name))) is not None:
        return found
    beside = (annotations.parent / name).resolve()
    return known.get(_plain(beside.relative_to(folder.resolve()).as_posix())) if beside.is_relative_to(folder.resolve()) else None


def _plain(name: str) -> str:
    """Accented letters in one form: a Mac's file system and a spreadsheet write them differently."""
    return unicodedata.normalize("NFC", name)


def _file_name(name: str) -> str:
    return _plain(name).rsplit("/", 1)[-1]


def _by_file_name(name: str, alike: list[str], times_listed: int) -> str | None:
    """The recording meant by a bare file name, or by a path from another computer, where nothing else can be meant."""
    if "/" not in name:
        return alike[0] if len(alike) == 1 else None
    if not (name.startswith("/") or name[1:3] == ":/"):
        return None
    ending = [candidate for candidate in alike if _plain(name).endswith("/" + _plain(candidate))]
    if len(ending) == 1:
        return ending[0]
    return alike[0] if len(alike) == 1 and times_listed == 1 else None


def _within(
    name: str, recording: _Listed, duration: float, findings: Findings, options: DatasetOptions
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The events that lie in the recording, cut to it; others are listed."""
    kept: list[tuple[float, float, str]] = []
    for onset, offset, label in zip(recording.onsets, recording.offsets, recording.labels, strict=True):
        span = f"annotation '{label}' from {onset:g} to {offset:g} s"
        problem = None
        if offset <= 0 or onset >= duration:
            problem = (f"{span} lies outside the recording, which lasts {duration:.3f} s", "correct its times or its path")
        elif offset == onset:
            problem = (f"{span} has no length", "give it an offset after its onset")
        elif onset < -_SLACK_S or offset > duration + _SLACK_S:
            problem = (f"{span} passes the end of the recording, which lasts {duration:.3f} s; it was cut there", "correct its offset")
        if problem:
            findings.skip(name, "annotation", *problem)
        if problem is None or "was cut" in problem[0]:
            kept.append((max(onset, 0.0), min(offset, duration), label))
    on, off = np.array([k[0] for k in kept]), np.array([k[1] for k in kept])
    return on, off, [k[2] for k in kept]


def _choose_window(lengths: list[float], findings: Findings, options: DatasetOptions) -> tuple[float, float]:
    window, hop = choose_event_window(lengths)
    if options.window_s is None:
        why = "at least twice" if window >= 2 * np.median(lengths) else "the longest default, for"
        findings.notes.append(
            f"The window is {window:g} s, {why} the median annotation ({np.median(lengths):.3g} s), every {options.hop_s or hop:g} s; "
            "--window and --hop choose others."
        )
        return window, options.hop_s or hop
    if options.hop_s is None:
        findings.notes.append(f"Windows of {options.window_s:g} s start every {options.window_s / 2:g} s; --hop chooses another hop.")
    return options.window_s, options.hop_s or options.window_s / 2


def _windows_table(
    listed: dict[str, _Listed],
    durations: dict[str, float],
    events: dict[str, tuple[np.ndarray, np.ndarray, list[str]]],
    labels: list[str],
    window: float,
    hop: float,
    special: dict[str, str | None],
) -> Any:
    import pyarrow as pa

    from callspace.tables import WINDOWS, from_rows

    place = {label: number for number, label in enumerate(labels)}
    rows: list[dict[str, Any]] = []
    for name, duration in durations.items():
        onsets = window_onsets(duration, window, hop)
        on, off, names = events[name]
        fixed = {
            "recording": name,
            "split": read_split(_only(listed[name], special["split"], name), name),
            "fold": _fold(_only(listed[name], special["fold"], name), name),
            "group": _only(listed[name], special["group"], name) or name,
        }
        for onset, held in zip(onsets.tolist(), label_windows(onsets, window, on, off), strict=True):
            present = sorted({names[event] for event in held}, key=place.__getitem__)
            rows.append(fixed | {"window_id": len(rows), "onset_s": onset, "offset_s": onset + window, "labels": present})
    table = from_rows(rows, WINDOWS)
    per_recording = Counter(row["recording"] for row in rows)
    for column in _constant_columns(listed, durations):
        values = [value for name in durations for value in [next(iter(listed[name].carried[column]), None)] * per_recording[name]]
        table = table.append_column(column, pa.array(values, pa.string()))
    return table


def _only(recording: _Listed, column: str | None, name: str) -> str:
    """The recording's one value of a column that must not vary within it."""
    values = sorted(recording.carried[column] - {""}) if column else []
    if len(values) > 1:
        raise CallspaceError(f"recording '{name}' has more than one {column} ('{values[0]}', '{values[1]}'): give all its rows the same")
    return values[0] if values else ""


def _fold(text: str, name: str) -> int | None:
    try:
        return int(float(text)) if text else None
    except ValueError:
        raise CallspaceError(f"recording '{name}': fold '{text}' is not a number") from None


def _constant_columns(listed: dict[str, _Listed], durations: dict[str, float]) -> list[str]:
    """Carried columns that say something of the recording (a site, a date), not of one event."""
    from callspace.tables import WINDOWS

    columns = list(dict.fromkeys(column for name in durations for column in listed[name].carried))
    return [c for c in columns if c not in WINDOWS.names and all(len(listed[name].carried[c]) <= 1 for name in durations)]


def _reason(findings: Findings) -> str:
    return f"{findings.skipped[0]['path']}: {findings.skipped[0]['reason']}" if findings.skipped else "none given"


def _because(findings: Findings) -> str:
    return f"; the first problem: {_reason(findings)}" if findings.skipped else ""
