"""A finished run as the diagnosis reads it: its data, cells, encoders, stored embeddings and predictions, each when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from callspace.audio.windows import RecordingReader
from callspace.bench.execute import cell_folder, frozen_encoder
from callspace.bench.plan import Cell
from callspace.bench.protocols import load_protocol
from callspace.bench.run_data import missing_recordings, read_run_data, weights_by_hand, without_recordings
from callspace.embedding.store import Embeddings, Store
from callspace.encoders.defects import with_study_defects
from callspace.encoders.registry import is_known
from callspace.errors import CallspaceError
from callspace.progress import Progress
from callspace.tables import read_json, read_parquet

if TYPE_CHECKING:
    import pyarrow as pa

    from callspace.datasets import Dataset
    from callspace.encoders.contract import Encoder
    from callspace.evaluation.diagnosis.band import Call

__all__ = ["FinishedRun"]

#: So much sound is listened to for the levels of windows, at most.
_LISTENED_S = 36_000.0
#: Without some of its recordings a run is listened to where so many, and so large a share of them, are there.
_FEWEST, _LEAST_SHARE = 5, 0.5
#: Digital silence has this level.
_SILENCE_DBFS = -120.0
#: Of samples, the same each time.
_SEED = 0


@dataclass(frozen=True)
class FinishedRun:
    """A finished run, read as far as a check asks.

    Attributes
    ----------
    folder : Path
    root : Path | None
        Where the recordings lie now, if they were moved.
    device : str | None
    progress : Progress
    """

    folder: Path
    root: Path | None
    device: str | None
    progress: Progress

    @cached_property
    def dataset(self) -> Dataset:
        """The run's data, split as its first fold is."""
        dataset = read_run_data(self.folder, root=self.root, progress=self.progress)
        folds = sorted({cell.fold for cell in self.cells if cell.fold is not None})
        return dataset.with_test_fold(folds[0]) if folds else dataset

    @cached_property
    def lost(self) -> list[str]:
        """The recordings that are not where they were."""
        return missing_recordings(self.dataset)

    @cached_property
    def heard(self) -> Dataset:
        """The run's data, of the recordings that are there.

        Raises
        ------
        CallspaceError
            They are few.
        """
        lost, total = self.lost, self.dataset.recordings.num_rows
        there = total - len(lost)
        if lost and (there < _FEWEST or there < _LEAST_SHARE * total):
            raise CallspaceError(f"{self._lost_words()}, such as '{lost[0]}': say where they are with --data")
        return without_recordings(self.dataset, lost) if lost else self.dataset

    def _lost_words(self) -> str:
        are = "is" if len(self.lost) == 1 else "are"
        return f"{len(self.lost):,} of {self.dataset.recordings.num_rows:,} recordings {are} not in '{self.dataset.root}' any more"

    @cached_property
    def unheard(self) -> str:
        """What is said of the recordings that could not be listened to; empty where all could."""
        return f"{self._lost_words()}, and left out here." if self.lost else ""

    @cached_property
    def about(self) -> dict[str, Any]:
        return read_json(self.folder / "dataset.json")  # type: ignore[no-any-return]

    @cached_property
    def provenance(self) -> dict[str, Any]:
        path = self.folder / "provenance.json"
        return read_json(path) if path.is_file() else {}

    @cached_property
    def described(self) -> list[tuple[Cell, dict[str, Any]]]:
        """Each cell of the plan that is done, and what its ``cell.json`` says."""
        plan = read_parquet(self.folder / "plan.parquet")["cell"].to_pylist() if (self.folder / "plan.parquet").is_file() else []
        files = [(self.folder / "cells" / name / "cell.json") for name in plan]
        return [(Cell(**about["cell"]), about) for about in (read_json(file) for file in files if file.is_file())]

    @cached_property
    def cells(self) -> list[Cell]:
        return [cell for cell, _ in self.described]

    @cached_property
    def encoders(self) -> list[dict[str, Any]]:
        """The encoders as the provenance has them, each where it is read by default (or first) and with its first seed."""
        default = {(cell.encoder, cell.layer, cell.pool) for cell in self.cells if not cell.reading}
        found: dict[str, dict[str, Any]] = {}
        entries = [(self._called(entry), entry) for entry in self.provenance.get("encoders", []) if "fingerprint" in entry]
        for name, entry in sorted(entries, key=lambda item: (item[0], item[1].get("layer"), item[1].get("pool")) not in default):
            found.setdefault(name, entry)
        order = list(dict.fromkeys(cell.encoder for cell in self.cells))
        return [found[name] | {"called": name} for name in order if name in found]

    def _called(self, entry: Mapping[str, Any]) -> str:
        """What the user calls an encoder; a tuned one is a folder, and its own name that of what it was tuned from."""
        if "called" in entry:
            return str(entry["called"])
        names = {cell.encoder for cell in self.cells}
        if entry["name"] in names or entry.get("tuned_on") is None:
            return str(entry["name"])
        folders = [name for name in names if not is_known(name)]
        return folders[0] if len(folders) == 1 else str(entry["name"])

    def embeddings(self, fingerprint: str) -> tuple[np.ndarray, pa.Table]:
        """Stored embeddings and their windows, split as the run's first fold is."""
        found: Embeddings = Store(self.folder / "embeddings" / fingerprint).read()
        windows = found.windows
        if any(cell.fold is not None for cell in self.cells):
            windows = self.dataset.windows
            if windows.num_rows != found.windows.num_rows or windows["window_id"] != found.windows["window_id"]:
                raise CallspaceError("the stored embeddings are of other windows than the run's data: run the same bench again")
        return found.vectors, windows

    def heard_embeddings(self, fingerprint: str) -> np.ndarray:
        """Stored embeddings of the windows of `heard`, in their order."""
        vectors, windows = self.embeddings(fingerprint)
        row = {window: at for at, window in enumerate(windows["window_id"].to_pylist())}
        if len(row) != self.dataset.windows.num_rows:
            raise CallspaceError("the stored embeddings are of other windows than the run's data: run the same bench again")
        return vectors[[row[window] for window in self.heard.windows["window_id"].to_pylist()]]  # type: ignore[no-any-return]

    def predictions(self, encoder: str, layer: str, pool: str, regime: str, background: float | None = None) -> pa.Table | None:
        """Of the first cell that fits, and of its choice's other folds: `pooled`."""
        for cell in self.cells:
            fits = (cell.encoder, cell.layer, cell.pool, cell.regime) == (encoder, layer, pool, regime)
            if fits and cell.policy == "share" and background in (None, cell.background):
                return self.pooled(cell)
        return None

    def pooled(self, of: Cell) -> pa.Table:
        """The predictions of a cell and of the same choice and seed in all other folds, each window once.

        Where there are several folds, a column ``fold`` says of which each row is: scores of several fits are on scales of their own.
        """
        import pyarrow as pa

        cells = [cell for cell in self.cells if cell.choice == of.choice and cell.seed == of.seed]
        if len(cells) == 1:
            return read_parquet(cell_folder(self.folder, of) / "predictions.parquet")
        parts, told = [], set[int]()
        for cell in sorted(cells, key=lambda cell: cell.fold or 0):
            part = read_parquet(cell_folder(self.folder, cell) / "predictions.parquet")
            ids = part["window_id"].to_pylist()
            part = part.filter(pa.array([window not in told for window in ids], pa.bool_()))
            told.update(ids)
            parts.append(part.append_column("fold", pa.array([cell.fold] * part.num_rows, pa.int32())))
        return pa.concat_tables(parts, promote_options="default")

    def recordings(self) -> pa.Table | None:
        """The recordings' table, where the run's data can be had."""
        try:
            return self.dataset.recordings
        except CallspaceError:
            return None

    @cached_property
    def calls(self) -> tuple[list[Call], dict[str, int]]:
        """The energy of the calls over frequency, and what was measured."""
        from callspace.evaluation.diagnosis.band import measure_calls

        return measure_calls(self.heard, seed=_SEED, progress=self.progress)

    def levels(self, windows: pa.Table, *, listen_on: bool) -> dict[str, np.ndarray]:
        """The level of each window, ``level_db`` in dB of full scale; NaN where it was not listened to."""
        known = self._levels if listen_on else {}
        return {"level_db": np.array([known.get(window, np.nan) for window in windows["window_id"].to_pylist()], dtype=np.float64)}

    @cached_property
    def _levels(self) -> dict[int, float]:
        """The root mean square of each window's own samples, by window, in one pass over the recordings."""
        try:
            dataset = self.heard
        except CallspaceError:
            return {}
        of: dict[str, list[_Stretch]] = {}
        for stretch in _within(self._stretches(dataset), _LISTENED_S):
            of.setdefault(stretch.recording, []).append(stretch)
        found: dict[int, float] = {}
        with self.progress.task("measuring levels", len(of)) as advance:
            for name, own in of.items():
                found |= _levels_of(dataset.root / name, own, dataset.channel)
                advance(1)
        return found

    def _stretches(self, dataset: Dataset) -> list[_Stretch]:
        length_s = dict(zip(*(dataset.recordings[column].to_pylist() for column in ("recording", "duration_s")), strict=True))
        columns = (dataset.windows[column].to_pylist() for column in ("recording", "onset_s", "offset_s", "window_id"))
        # A window that reaches beyond the end is filled with zeros, which are not part of its level.
        return [
            _Stretch(name, onset_s, min(offset_s, length_s[name]), window) for name, onset_s, offset_s, window in zip(*columns, strict=True)
        ]

    @property
    def levels_said(self) -> str:
        """Why the levels of some windows are not known; empty where all could be listened to."""
        try:
            asked = self._stretches(self.heard)
        except CallspaceError:
            return ""
        within = len(_within(asked, _LISTENED_S))
        limit = (
            f"No more than {_LISTENED_S / 3600:,.4g} hours of sound are listened to for levels: those of {within:,} of {len(asked):,} windows."
            if within < len(asked)
            else ""
        )
        return " ".join(filter(None, (limit, self.unheard)))

    def frozen(self, entry: Mapping[str, Any]) -> Encoder:
        """The encoder that made the stored embeddings, loaded again."""
        origin = entry.get("origin") or {}
        text = self.folder / "protocol.toml"
        protocol = load_protocol(text)
        seed = int(origin.get("seed") or 0)
        known = is_known(entry["called"])
        reading = {"layer": entry["layer"], "pool": entry["pool"]} if known else {}
        encoder = frozen_encoder(entry["called"], weights_by_hand(self.folder).get(entry["called"]), seed, protocol.front_end, **reading)
        if protocol.study_defects:
            encoder = with_study_defects(encoder)
        encoder.bind(self.heard.sample_rate_hz)
        if encoder.fingerprint() != entry["fingerprint"]:
            raise CallspaceError(f"'{entry['called']}' is not the encoder that the run used any more (other weights, or another version)")
        return encoder


class _Stretch(NamedTuple):
    """What is listened to of a window."""

    recording: str
    onset_s: float
    offset_s: float
    window: int


def _within(stretches: Sequence[_Stretch], limit_s: float) -> list[_Stretch]:
    """As many windows as may be listened to, by recording and onset: all, or one of each recording in turn, drawn by chance.

    One that is longer than what is left is passed over, and the next is tried.
    """
    if sum(max(0.0, one.offset_s - one.onset_s) for one in stretches) <= limit_s:
        return sorted(stretches)
    order = sorted(stretches, key=lambda one: sha256(f"{one.recording}|{one.window}".encode("utf-8", "surrogateescape")).digest())
    taken: dict[str, int] = {}
    turns = []
    for one in order:
        turns.append(taken.get(one.recording, 0))
        taken[one.recording] = turns[-1] + 1
    left_s, found = limit_s, []
    for _, one in sorted(zip(turns, order, strict=True), key=lambda pair: pair[0]):
        if (length_s := max(0.0, one.offset_s - one.onset_s)) <= left_s:
            left_s -= length_s
            found.append(one)
    return sorted(found)


def _levels_of(path: Path, windows: Sequence[_Stretch], channel: int | None) -> dict[int, float]:
    """The levels of one recording's windows, in order of onset, so that it is decoded once; none from where it can't be decoded."""
    found = {}
    try:
        with RecordingReader(path) as reader:
            for _, onset_s, offset_s, window in windows:
                if offset_s <= onset_s:
                    continue
                samples = reader.read(onset_s, offset_s, channel=channel)
                power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
                found[window] = max(10 * float(np.log10(power)), _SILENCE_DBFS) if power > 0 else _SILENCE_DBFS
    except CallspaceError:
        pass
    return found
