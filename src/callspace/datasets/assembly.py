"""Steps that every reader shares: find the audio, examine it, drop duplicates, choose a rate, and make the splits."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callspace.datasets.dataset import SPLITS, Dataset
from callspace.datasets.options import DatasetOptions
from callspace.datasets.splits import grouped_splits, straddling_groups
from callspace.errors import CallspaceError
from callspace.progress import SILENT, Progress

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "SPLIT_NAMES",
    "Findings",
    "audio_files",
    "count_of",
    "drop_duplicates",
    "drop_small_classes",
    "examine_recordings",
    "most_common_rate",
    "read_split",
    "settle_splits",
]

#: What people call the splits.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
    "eval": "test",
}
_MIN_GROUPS = 3


@dataclass
class Findings:
    """What a reader says of its data as it goes."""

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    strict: bool = False

    def skip(self, path: str, what: str, reason: str, remedy: str) -> None:
        """List something that is left out; when strict, stop with it."""
        if self.strict:
            raise CallspaceError(f"{path}: {reason}; {remedy} (leave out --strict to go on without it)")
        self.skipped.append({"path": path, "what": what, "reason": reason, "remedy": remedy})


def count_of(number: int, thing: str) -> str:
    """'1 clip', '2,000 clips', '3 classes'."""
    plural = thing[:-1] + "ies" if thing.endswith("y") else thing + ("es" if thing.endswith(("s", "x", "ch")) else "s")
    return f"{number:,} {thing if number == 1 else plural}"


def audio_files(folder: Path) -> list[str]:
    """Audio files below a folder, as sorted POSIX paths relative to it; hidden folders and a Mac's ``._`` files are passed over.

    Formats that cannot be decoded (m4a and the like) are among them, so that they are listed with a remedy and not overlooked.
    """
    from callspace.audio import UNDECODED_SUFFIXES, is_audio

    found = (
        path.relative_to(folder)
        for path in folder.rglob("*")
        if (is_audio(path) or path.suffix.casefold() in UNDECODED_SUFFIXES) and path.is_file()
    )
    return sorted(
        path.as_posix() for path in found if not path.name.startswith("._") and not any(part.startswith(".") for part in path.parts[:-1])
    )


def examine_recordings(
    root: Path, recordings: Sequence[str], findings: Findings, options: DatasetOptions, progress: Progress = SILENT
) -> pa.Table:
    """Decode every recording once; the good ones as a table, the bad ones listed (or the first one raised, when strict)."""
    from callspace.audio import scan

    table, bad = scan(root, recordings, progress=progress)
    if bad and options.strict:
        raise CallspaceError(f"{bad[0]['path']}: {bad[0]['reason']}; {bad[0]['remedy']} (leave out --strict to go on without it)")
    findings.skipped.extend(bad)
    if bad:
        findings.warnings.append(
            f"{count_of(len(bad), 'recording')} could not be used and {'is' if len(bad) == 1 else 'are'} listed in skipped.csv."
        )
    if options.channel is not None:
        table = _with_channel(table, options.channel, findings)
    return table


def _with_channel(table: pa.Table, channel: int, findings: Findings) -> pa.Table:
    import pyarrow.compute as pc

    enough = pc.greater(table["channels"], channel)
    for name in table.filter(pc.invert(enough))["recording"].to_pylist():
        findings.skip(
            name, "recording", f"it has no channel {channel + 1}", "choose another --channel, or leave it out to average all channels"
        )
    return table.filter(enough)


def drop_duplicates(root: Path, recordings: Iterable[str], findings: Findings) -> set[str]:
    """Recordings whose bytes equal an earlier one's: listed, and returned to be left out, since a copy in test has been trained on."""
    by_size: dict[int, list[str]] = defaultdict(list)
    for name in recordings:
        by_size[(root / name).stat().st_size].append(name)
    copies: set[str] = set()
    for names in by_size.values():
        if len(names) < 2:
            continue
        first: dict[str, str] = {}
        for name in names:
            with (root / name).open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            if content in first:
                copies.add(name)
                findings.skip(name, "recording", f"it is a copy of '{first[content]}', byte for byte", "delete one of the two")
            first.setdefault(content, name)
    if copies:
        findings.warnings.append(f"{count_of(len(copies), 'copy')} of other recordings left out (skipped.csv).")
    return copies


def most_common_rate(recordings: pa.Table, options: DatasetOptions, findings: Findings) -> int:
    """The rate that encoders without one of their own work at: the user's, else most recordings'; says so where rates differ."""
    if options.sample_rate_hz:
        return options.sample_rate_hz
    rates = Counter(recordings["sample_rate_hz"].to_pylist())
    rate = max(rates, key=lambda value: (rates[value], value))
    if len(rates) > 1:
        findings.notes.append(
            f"The recordings have {len(rates)} sample rates ({min(rates):,} to {max(rates):,} Hz); encoders without a rate of their own "
            f"work at {rate:,} Hz, which most have (--rate chooses another)."
        )
    return rate


def read_split(text: str, where: str) -> str | None:
    """'train', 'valid' or 'test' from the names people give them; None from an empty cell."""
    if not text:
        return None
    if text.casefold() not in SPLIT_NAMES:
        raise CallspaceError(f"{where}: split '{text}' is none of train, valid, test")
    return SPLIT_NAMES[text.casefold()]


def drop_small_classes(rows: list[dict[str, Any]], findings: Findings) -> list[dict[str, Any]]:
    """Clips whose class has too few groups to be trained on, chosen by and tested: listed and left out."""
    groups: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        groups[row["label"]].add(row["group"])
    small = {label for label, held in groups.items() if len(held) < _MIN_GROUPS}
    for row in rows:
        if row["label"] in small:
            held = len(groups[row["label"]])
            findings.skip(
                row["recording"],
                "clip",
                f"class '{row['label']}' has {count_of(held, 'clip' if row['group'] == row['recording'] else 'group')}; train, valid and test need one each",
                "record or label more of it, or give the splits yourself in a 'split' column",
            )
    for label in sorted(small):
        findings.warnings.append(
            f"Class '{label}' is left out: it has {count_of(len(groups[label]), 'group')}, and three are needed (train, valid, test)."
        )
    return [row for row in rows if row["label"] not in small]


def settle_splits(dataset: Dataset, options: DatasetOptions, *, grouped: bool) -> Dataset:
    """Take the splits that were given, or make them, and warn of what leaks or is missing.

    Parameters
    ----------
    grouped : bool
        Whether the user named a group, so that clips of one are known to belong together.
    """
    findings = Findings(list(dataset.notes), list(dataset.warnings), list(dataset.skipped))
    _check_folds(dataset, findings)
    groups, labels = dataset.windows["group"].to_pylist(), dataset.windows["labels"].to_pylist()
    given = dataset.windows["split"].to_pylist()
    if options.test_fold is not None:
        dataset = dataset.with_test_fold(options.test_fold)
        findings.notes.append(f"Fold {options.test_fold} is the test split, the next one valid, the others train.")
    elif any(given):
        dataset = _complete_given(dataset, groups, labels, options, findings)
    elif dataset.folds:
        dataset = dataset.with_test_fold(dataset.folds[-1])
        findings.notes.append(
            f"Fold {dataset.folds[-1]} is the test split, the next one valid, the others train (--test-fold chooses another, --folds all tests each once)."
        )
    else:
        _enough_groups(groups, dataset)
        dataset = dataset.with_splits(grouped_splits(groups, labels, seed=options.seed))
        what = "group" if grouped else ("recording" if dataset.task == "detection" else "clip")
        findings.notes.append(
            f"No splits were given: train, valid and test hold about 60, 20 and 20 % of the windows, whole {what}s, each label spread over them (seed {options.seed})."
        )
        if not grouped and dataset.task == "classification":
            findings.warnings.append(
                "No group is known: clips of one recording, individual or site may lie in both train and test, which flatters every score. "
                "Name a column that says what belongs together with --group."
            )
    splits = dataset.windows["split"].to_pylist()
    if not dataset.folds and (straddling := straddling_groups(groups, splits)):
        findings.warnings.append(
            f"{count_of(len(straddling), 'group')} {'lies' if len(straddling) == 1 else 'lie'} in more than one split (such as '{straddling[0]}'): "
            "test scores may be flattered by what was trained on."
        )
    _check_splits(dataset, findings)
    return replace(dataset, notes=findings.notes, warnings=findings.warnings, skipped=findings.skipped)


def _check_folds(dataset: Dataset, findings: Findings) -> None:
    """What is wrong whichever fold is tested: groups in more than one fold, windows in none."""
    if not dataset.folds:
        return
    folds = [None if fold is None else str(fold) for fold in dataset.windows["fold"].to_pylist()]
    if straddling := straddling_groups(dataset.windows["group"].to_pylist(), folds):
        findings.warnings.append(
            f"{count_of(len(straddling), 'group')} {'lies' if len(straddling) == 1 else 'lie'} in more than one fold (such as '{straddling[0]}'): "
            "test scores may be flattered by what was trained on."
        )
    if without := folds.count(None):
        findings.warnings.append(f"{count_of(without, 'window')} without a fold {'is' if without == 1 else 'are'} not used.")


def _complete_given(dataset: Dataset, groups: list[str], labels: list[list[str]], options: DatasetOptions, findings: Findings) -> Dataset:
    splits: list[str | None] = dataset.windows["split"].to_pylist()
    present = set(splits) - {None}
    if missing := sum(split is None for split in splits):
        findings.warnings.append(f"{count_of(missing, 'window')} without a split {'is' if missing == 1 else 'are'} not used.")
    if "train" not in present or "test" not in present:
        raise CallspaceError(
            f"the split column of {dataset.name} has only {', '.join(sorted(map(str, present)))}: 'train' and 'test' are both needed"
        )
    if "valid" in present:
        return dataset
    rows = [row for row, split in enumerate(splits) if split == "train"]
    carved = grouped_splits([groups[r] for r in rows], [labels[r] for r in rows], seed=options.seed, shares={"train": 0.8, "valid": 0.2})
    for row, split in zip(rows, carved, strict=True):
        splits[row] = split
    findings.notes.append(f"No valid split was given: a fifth of train, whole groups, serves as one (seed {options.seed}).")
    return dataset.with_splits(splits)


def _enough_groups(groups: list[str], dataset: Dataset) -> None:
    held = len(set(groups))
    if held < _MIN_GROUPS:
        what = "recording" if dataset.task == "detection" else "group"
        raise CallspaceError(
            f"{dataset.name} has {count_of(held, what)} with usable labels; train, valid and test need at least one each: "
            f"add recordings, or split long ones into files"
        )


def _check_splits(dataset: Dataset, findings: Findings) -> None:
    counts = dataset.counts()
    for split in SPLITS:
        if counts[split]["windows"] == 0:
            raise CallspaceError(f"{dataset.name} has no usable window in its {split} split: give every split some recordings")
    for label in dataset.labels:
        absent = [split for split in SPLITS if counts[split]["labels"][label] == 0]
        if absent:
            findings.warnings.append(f"Label '{label}' is not in {' or '.join(absent)}: no conclusion on it can be drawn.")
    if not any(counts["train"]["labels"].values()):
        raise CallspaceError(f"no window of {dataset.name}'s train split has a label")
