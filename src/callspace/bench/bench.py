"""The bench: from a dataset and a list of encoders to a run folder with results and a choice."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from callspace.adaptation.background import BackgroundPolicy
from callspace.bench.advice import write_advice
from callspace.bench.diagnose import DIAGNOSIS, diagnose
from callspace.bench.execute import FrozenEncoder, cell_folder, frozen_encoder, is_complete, run_cell
from callspace.bench.plan import Cell, make_plan, plan_table
from callspace.bench.provenance import provenance
from callspace.bench.published import differs, write_published
from callspace.bench.request import Request, check_request
from callspace.bench.results import keep_best_encoder, write_results
from callspace.bench.run import Run
from callspace.bench.run_data import write_run_data
from callspace.datasets import Dataset, load_dataset
from callspace.datasets.audit import audit_file
from callspace.datasets.settle import absent_labels
from callspace.embedding.embed import describe_encoder
from callspace.encoders.contract import Encoder
from callspace.encoders.defects import with_study_defects
from callspace.errors import CallspaceError
from callspace.evaluation.levels import window_levels
from callspace.progress import SILENT, Progress
from callspace.tables import SKIPPED, from_rows, read_json, read_parquet, write_csv, write_json, write_parquet, write_text

__all__ = ["bench", "default_folder"]

#: Sound that the audit of a bench decodes at most: a few seconds' work. `callspace datasets audit` hears all.
_AUDITED_S = 1800.0

DEFAULT_ENCODERS = ("mfcc", "alexnet", "resnet18", "yamnet")


def bench(
    source: Dataset | str | os.PathLike[str],
    encoders: Sequence[str] = DEFAULT_ENCODERS,
    regimes: Sequence[str] = ("frozen", "linear", "full"),
    background: Sequence[BackgroundPolicy | str | float] = (1.0,),
    *,
    layers: str | Mapping[str, str] | None = None,
    pool: str | Mapping[str, str] | None = None,
    seeds: int | None = None,
    folds: str | None = None,
    protocol: str | Path = "fair",
    changes: Sequence[str] = (),
    weights: Mapping[str, str | os.PathLike[str]] | None = None,
    skip_missing: bool = False,
    out: str | os.PathLike[str] | None = None,
    device: str | None = None,
    strict: bool = False,
    keep_encoders: bool = False,
    command: str | None = None,
    progress: Progress = SILENT,
) -> Run:
    """Compare encoders on labelled recordings.

    Parameters
    ----------
    source : Dataset, path or str
        A dataset, or what `load_dataset` takes.
    encoders, regimes, background
        The factors of the comparison; every combination that makes sense is a cell. Background policies are shares (0.1) or texts that
        `callspace.adaptation.background.parse_policy` reads ("ratio:2", "hard:0.1+class").
    layers : str or mapping of name to str, optional
        Where the encoders' embeddings are read: "6", "layer6,layer12", "all"; for every encoder, or by its name. Each is a cell, and all
        come of one pass. The encoder's own default, when not given.
    pool : str or mapping of name to str, optional
        How frames become one embedding: "mean", "max", "mean+max" or "cls", where the encoder has it.
    seeds : int, optional
        Repetitions, with seeds 0, 1, ... (from the protocol's first seed); the protocol's when not given.
    folds : "all", optional
        Each fold of the dataset is the test split once.
    protocol : str or path
        "fair", "quick", "paper", or a TOML file.
    changes : sequence of str
        Entries of the protocol to be changed, such as ``training.max_epochs=15``.
    weights : mapping of name to path, optional
        Published weights given by hand.
    skip_missing : bool
        Go on without encoders whose weights are missing, instead of stopping before any work.
    out : path, optional
        The run's folder. Cells that are complete in it are not done again; an interrupted run goes on.
    device : str, optional
    strict : bool
        Stop at the first cell that fails instead of listing it.
    keep_encoders : bool
        Keep the tuned encoder of every cell, not of the best choice alone.
    command : str, optional
        Kept in the provenance.
    progress : Progress

    Returns
    -------
    Run
        `run.results`, `run.summary`, `run.choice`; `run.folder` holds them all, and `callspace.report(run)` makes the page.

    Raises
    ------
    CallspaceError
        The data, an encoder, a regime or the protocol is wrong, or weights are missing.
    """
    request = check_request(
        encoders,
        regimes,
        background,
        layers=layers,
        pool=pool,
        protocol=protocol,
        changes=changes,
        weights=weights,
        skip_missing=skip_missing,
        device=device,
        progress=progress,
    )
    dataset = source if isinstance(source, Dataset) else load_dataset(source, progress=progress)
    fold_list: Sequence[int | None] = dataset.folds if folds == "all" else (None,)
    if folds == "all" and not fold_list:
        raise CallspaceError(f"{dataset.name} has no folds: add a 'fold' column to its table, or let --folds 5 make some")
    cells, notes = make_plan(
        dataset,
        list(request.sources),
        regimes,
        background,
        request.protocol,
        seeds=seeds,
        folds=fold_list,
        trainable=request.trainable,
        sources=request.sources,
        readings=request.readings,
    )
    folder = Path(out) if out is not None else default_folder(dataset)
    shown = _with_folds(dataset, folds, notes)
    _claim(folder, dataset)
    with _alone_in(folder):
        for sentence in [*shown.notes, *shown.warnings]:
            progress.say(sentence)
        write_text(request.protocol.text, folder / "protocol.toml")
        write_parquet(plan_table(cells), folder / "plan.parquet")
        write_run_data(folder, dataset, request.weights)
        skipped = [*dataset.skipped, *request.skipped]
        write_csv(from_rows(skipped, SKIPPED), folder / "skipped.csv")
        skipped += _audit(dataset, folder, progress)
        described, failed = _work(folder, cells, dataset, request, strict, keep_encoders, progress)
        write_csv(from_rows([*skipped, *failed], SKIPPED), folder / "skipped.csv")
        done = [cell for cell in cells if is_complete(folder, cell)]
        if not done:
            raise CallspaceError(f"no cell could be completed; the first: {failed[0]['path']}: {failed[0]['reason']}")
        write_json(shown.describe(), folder / "dataset.json")
        created = time.strftime("%Y-%m-%d %H:%M:%S")
        about = provenance(dataset, done, described, request.device, command, created)
        about |= {"deviations": list(request.protocol.deviations), "not_as_published": differs(request.protocol, shown, described)}
        write_json(about, folder / "provenance.json")
        before = _bytes_of(folder / "results.parquet")
        with progress.task("averaging, comparing", None):
            write_results(folder, done, shown, request.protocol, described)
        write_published(folder, shown, request.protocol, described)
        if before != _bytes_of(folder / "results.parquet"):
            (folder / DIAGNOSIS).unlink(missing_ok=True)  # of other results
        if request.protocol.diagnosis and not (folder / DIAGNOSIS).exists():
            _diagnose(folder, progress)
        # Last: what the diagnosis found of the choice is among its caveats.
        write_advice(folder, dataset, folds=folds, learning=request.protocol.learning_curve, progress=progress)
    return Run(folder)


def _audit(dataset: Dataset, folder: Path, progress: Progress) -> list[dict[str, Any]]:
    """Audit the data and say what is grave; an audit that fails is said and listed, as a row of `tables.SKIPPED`, and stops nothing."""
    path = folder / "audit.json"
    try:
        findings = audit_file(dataset, path, progress, most_s=_AUDITED_S).findings
    except Exception as error:  # whatever it is, the comparison does not depend on it
        path.unlink(missing_ok=True)  # one of an older version
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        progress.say(f"The audit of the data failed ({reason}); the bench goes on without it.")
        return [{"path": dataset.name, "what": "audit", "reason": reason, "remedy": "`callspace datasets audit` tries it again"}]
    for finding in findings:
        if finding.severity == "error":
            progress.say(f"{finding.sentence} To do: {finding.remedy}.")
    return []


def _diagnose(folder: Path, progress: Progress) -> None:
    """The checks that need no new embedding; what `callspace diagnose` found before of other results goes."""
    try:
        diagnose(folder, sound=False, progress=progress)
    except Exception as error:  # whatever it is, the comparison does not depend on it
        progress.say(f"The diagnosis failed ({type(error).__name__}: {' '.join(str(error).split())[:300]}); the results stand without it.")


def _bytes_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One bench at a time in a run's folder; the lock goes with its process, however that ends."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise CallspaceError(f"another bench is working in '{folder}': wait for it, or choose another folder with --out") from None


def default_folder(dataset: Dataset) -> Path:
    """``runs/NAME-DIGITS`` in the current folder; the same data and splits give the same name, so that the same command resumes."""
    import re

    return Path("runs") / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', dataset.name)}-{dataset.fingerprint()[:6]}"


def _claim(folder: Path, dataset: Dataset) -> None:
    """Make the run's folder, or make sure that what is in it is of the same data."""
    marker = folder / "run.json"
    mine = {"dataset": dataset.name, "source": dataset.source, "dataset_fingerprint": dataset.fingerprint()}
    if marker.exists():
        found = read_json(marker)
        if found.get("dataset_fingerprint") != mine["dataset_fingerprint"]:
            raise CallspaceError(
                f"'{folder}' holds a run on other data, windows or splits ({found.get('source')}): choose another folder with --out, or delete it"
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CallspaceError(f"'{folder}' exists and holds something else: choose another folder with --out")
    write_json(mine, marker)


def _work(
    folder: Path, cells: list[Cell], dataset: Dataset, request: Request, strict: bool, keep_encoders: bool, progress: Progress
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Do the cells that are not done. An encoder and its embeddings are shared by its cells.

    Returns
    -------
    described, failed
        The encoders, for the provenance; the cells that failed, as rows of `tables.SKIPPED`.
    """
    described: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for leftover in (folder / "cells").glob(".*.part"):
        shutil.rmtree(leftover, ignore_errors=True)
    fold_data: dict[int | None, Dataset] = {None: dataset}
    frozen: dict[tuple[str, int], FrozenEncoder] = {}
    levels = _levels(folder, dataset, progress)
    with progress.task("bench", len(cells)) as advance:
        for number, cell in enumerate(cells):
            if cell.fold not in fold_data:
                fold_data[cell.fold] = dataset.with_test_fold(cell.fold)  # type: ignore[arg-type]
            # Only random weights differ from seed to seed.
            key = cell.encoder, cell.seed if cell.encoder.endswith(":random") else 0
            if key not in frozen:
                # A few seeds' networks may stay in memory; older ones come back from their seed and the store.
                frozen = dict([entry for entry in frozen.items() if entry[0][0] == cell.encoder][-2:])
                frozen[key] = _frozen(folder, cell, dataset, request, key[1], progress)
            heard = request.protocol.front_end, request.protocol.study_defects, dataset.sample_rate_hz
            about = folder / "encoders" / f"{_digest(*key, cell.layer, cell.pool, request.sources[cell.encoder], *heard)}.json"
            try:
                if not is_complete(folder, cell):
                    own = fold_data[cell.fold]
                    run_cell(folder, cell, own, frozen[key], request.protocol, levels=levels, device=request.device, progress=progress)
                    progress.say(f"done: {cell.describe()} ({read_json(cell_folder(folder, cell) / 'cost.json')['seconds']:.0f} s)")
                if not about.exists():
                    write_json(describe_encoder(frozen[key].read_as(cell)), about)
                entry = read_json(about) | {"called": cell.encoder, "trainable": request.trainable[cell.encoder]}
                if entry not in described:
                    described.append(entry)
            except (CallspaceError, RuntimeError, MemoryError, OSError) as error:
                if strict:
                    raise
                reason = (
                    str(error) if isinstance(error, CallspaceError) else f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
                )
                failed.append(
                    {"path": cell.describe(), "what": "cell", "reason": reason, "remedy": "mend it and run the same command again"}
                )
                progress.say(f"failed: {cell.describe()}: {reason}")
            if not keep_encoders and (number + 1 == len(cells) or cells[number + 1].choice != cell.choice):
                keep_best_encoder(folder, [done for done in cells[: number + 1] if is_complete(folder, done)])
            advance(1)
    return described, failed


def _levels(folder: Path, dataset: Dataset, progress: Progress) -> np.ndarray | None:
    """float64[windows]: how loud each window's call is, from ``levels.parquet`` or measured once and kept there; None where nothing is known of it."""
    path = folder / "levels.parquet"
    if not path.exists():
        rows = None if dataset.folds else dataset.rows("test")
        found = window_levels(dataset, rows, progress)
        for sentence in found.notes:
            progress.say(sentence)
        table = pa.table({"window_id": dataset.windows["window_id"], "level_db": pa.array(found.db, mask=np.isnan(found.db))})
        write_parquet(table.replace_schema_metadata({"source": found.source}), path)
    levels = read_parquet(path)["level_db"].to_numpy(zero_copy_only=False)
    return None if np.isnan(levels).all() else levels


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _frozen(folder: Path, cell: Cell, dataset: Dataset, request: Request, seed: int, progress: Progress) -> FrozenEncoder:
    def make() -> Encoder:
        encoder = frozen_encoder(cell.encoder, request.weights.get(cell.encoder), seed, request.protocol.front_end)
        return with_study_defects(encoder) if request.protocol.study_defects else encoder

    return FrozenEncoder(
        make,
        request.readings[cell.encoder],
        dataset,
        lambda encoder: folder / "embeddings" / encoder.fingerprint(),
        request.device,
        progress,
    )


def _with_folds(dataset: Dataset, folds: str | None, notes: list[str]) -> Dataset:
    """The dataset as a report shows it: of all folds, where each is tested."""
    if folds != "all":
        return replace(dataset, notes=[*dataset.notes, *notes])
    kept = [note for note in dataset.notes if not note.startswith("Fold ")]
    # What is said of the one fold that is tested otherwise does not hold for all.
    of_one = absent_labels(dataset)
    said: dict[str, list[int]] = {}
    for fold in dataset.folds:
        for sentence in absent_labels(dataset.with_test_fold(fold)):
            said.setdefault(sentence, []).append(fold)
    warnings = [warning for warning in dataset.warnings if warning not in of_one]
    warnings += [f"With fold {', '.join(map(str, own))} as test: {sentence[0].lower()}{sentence[1:]}" for sentence, own in said.items()]
    extra = f"Each of the {len(dataset.folds)} folds is the test split once; scores are averaged over them."
    return replace(dataset, notes=[*kept, extra, *notes], warnings=warnings)
