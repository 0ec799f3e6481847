"""The dataset: recordings, their windows, and what is known of both. Every reader ends in one, every encoder starts from one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from callspace.errors import CallspaceError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SPLITS", "Dataset", "natural_order"]

SPLITS = ("train", "valid", "test")
Task = Literal["classification", "detection"]


@dataclass(frozen=True)
class Dataset:
    """Labelled windows in recordings.

    Attributes
    ----------
    name, source : str
        What to call it, and where it was read from.
    root : Path
        What the `recording` column is relative to.
    task : "classification" | "detection"
        One label a clip, or annotations in soundscapes, where a window without labels is background.
    labels : list[str]
        The vocabulary, in the order that label indices follow.
    recordings, windows : pyarrow.Table
        Schemas `tables.RECORDINGS` and `tables.WINDOWS` (further columns are carried along).
    window_s : float
        What an encoder is given at once. A longer clip is framed in windows of this length, and their embeddings averaged.
    hop_s : float | None
        Between the onsets of a soundscape's windows; None for clips.
    sample_rate_hz : int
        Most recordings' rate: what encoders without a rate of their own work at.
    channel : int | None
        The channel read, from 0; None: the mean of all.
    notes, warnings : list[str]
        Sentences on what was chosen, and on what deserves doubt.
    skipped : list[dict]
        Rows of `tables.SKIPPED`.
    """

    name: str
    source: str
    root: Path
    task: Task
    labels: list[str]
    recordings: pa.Table
    windows: pa.Table
    window_s: float
    hop_s: float | None
    sample_rate_hz: int
    channel: int | None = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)

    def __repr__(self) -> str:
        return (
            f"<Dataset {self.name}: {self.task}, {self.recordings.num_rows} recordings, {self.windows.num_rows} windows, "
            f"{len(self.labels)} labels>"
        )

    @property
    def folds(self) -> list[int]:
        """The numbers in the `fold` column, in order; empty where there are none."""
        import pyarrow.compute as pc

        return sorted(value for value in pc.unique(self.windows["fold"]).to_pylist() if value is not None)

    def rows(self, split: str) -> list[int]:
        """Row numbers of the windows of a split, in order."""
        return [row for row, value in enumerate(self.windows["split"].to_pylist()) if value == split]

    def with_splits(self, splits: Sequence[str | None]) -> Dataset:
        """The same dataset with another `split` column."""
        import pyarrow as pa

        from callspace.tables import WINDOWS

        column = pa.array(list(splits), pa.string()).cast(WINDOWS.field("split").type)
        index = self.windows.schema.get_field_index("split")
        return replace(self, windows=self.windows.set_column(index, WINDOWS.field("split"), column))

    def with_test_fold(self, fold: int) -> Dataset:
        """Fold `fold` becomes test, the next one (cyclically) valid, the others train."""
        folds = self.folds
        if not folds:
            raise CallspaceError(
                f"{self.name} has no folds: add a 'fold' column (1, 2, ...) to its table, or leave out --test-fold and --folds"
            )
        if fold not in folds:
            raise CallspaceError(f"{self.name} has no fold {fold}; its folds are {', '.join(map(str, folds))}")
        if len(folds) < 3:
            raise CallspaceError(f"{self.name} has {len(folds)} folds; at least 3 are needed for train, valid and test")
        valid = folds[(folds.index(fold) + 1) % len(folds)]
        return self.with_splits(
            [None if f is None else "test" if f == fold else "valid" if f == valid else "train" for f in self.windows["fold"].to_pylist()]
        )

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with the windows, labels, splits or recordings' lengths."""
        digest = hashlib.sha256()
        digest.update(repr((self.task, self.labels, self.window_s, self.hop_s, self.sample_rate_hz, self.channel)).encode())
        for table in (self.recordings, self.windows):
            for name in table.column_names:
                digest.update(repr((name, table[name].to_pylist())).encode())
        return digest.hexdigest()[:16]

    def counts(self) -> dict[str, Any]:
        """Windows, groups and windows a label for each split."""
        columns = self.windows.select(["split", "group", "labels"]).to_pylist()
        summary: dict[str, Any] = {}
        for split in SPLITS:
            rows = [row for row in columns if row["split"] == split]
            by_label = {label: sum(label in row["labels"] for row in rows) for label in self.labels}
            summary[split] = {
                "windows": len(rows),
                "groups": len({row["group"] for row in rows}),
                "labels": by_label,
                "background": sum(not row["labels"] for row in rows),
            }
        return summary

    def describe(self) -> dict[str, Any]:
        """What a report says of the dataset, as plain JSON values."""
        return {
            "name": self.name,
            "source": self.source,
            "task": self.task,
            "labels": self.labels,
            "window_s": self.window_s,
            "hop_s": self.hop_s,
            "sample_rate_hz": self.sample_rate_hz,
            "recordings": self.recordings.num_rows,
            "hours": sum(self.recordings["duration_s"].to_pylist()) / 3600,
            "splits": self.counts(),
            "folds": self.folds,
            "notes": self.notes,
            "warnings": self.warnings,
        }


def natural_order(label: str) -> tuple[Any, ...]:
    """Sort key that puts '2' before '10' and is otherwise alphabetical, upper and lower case together."""
    import re

    parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in re.split(r"(\d+)", label) if part]
    return (*parts, (2, 0, label))
