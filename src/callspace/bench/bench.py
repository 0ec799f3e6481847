"""The bench: from a dataset and a list of encoders to a run folder with results and a choice."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from callspace.bench.execute import FrozenEncoder, cell_folder, frozen_encoder, is_complete, run_cell
from callspace.bench.plan import Cell, make_plan, plan_table
from callspace.bench.protocols import Protocol, load_protocol
from callspace.bench.provenance import provenance
from callspace.bench.results import keep_best_encoder, write_results
from callspace.bench.run import Run
from callspace.datasets import Dataset, load_dataset
from callspace.embedding.embed import describe_encoder
from callspace.embedding.pipeline import choose_device
from callspace.errors import CallspaceError, MissingWeightsError
from callspace.progress import SILENT, Progress
from callspace.tables import SKIPPED, from_rows, read_json, write_csv, write_json, write_parquet, write_text

__all__ = ["bench", "default_folder"]

DEFAULT_ENCODERS = ("mfcc", "alexnet", "resnet18", "yamnet")


def bench(
    source: Dataset | str | os.PathLike[str],
    encoders: Sequence[str] = DEFAULT_ENCODERS,
    regimes: Sequence[str] = ("frozen", "linear", "full"),
    background: Sequence[float] = (1.0,),
    *,
    seeds: int | None = None,
    folds: str | None = None,
    protocol: str | Path = "fair",
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
        The factors of the comparison; every combination that makes sense is a cell.
    seeds : int, optional
        Repetitions, with seeds 0, 1, ...; the protocol's when not given.
    folds : "all", optional
        Each fold of the dataset is the test split once.
    protocol : str or path
        "fair", "quick", or a TOML file.
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
    dataset = source if isinstance(source, Dataset) else load_dataset(source, progress=progress)
    chosen = load_protocol(protocol)
    given = {name: str(path) for name, path in (weights or {}).items()}
    if unused := sorted(set(given) - set(encoders)):
        raise CallspaceError(f"weights are given for '{unused[0]}', which is not among the encoders ({', '.join(encoders)})")
    skipped: list[dict[str, Any]] = []
    sources = _check_all_weights(list(dict.fromkeys(encoders)), given, skip_missing, skipped, progress)
    trainable = {name: _is_trainable(name) for name in sources}
    fold_list: Sequence[int | None] = dataset.folds if folds == "all" else (None,)
    if folds == "all" and not fold_list:
        raise CallspaceError(f"{dataset.name} has no folds: add a 'fold' column to its table, or leave out --folds")
    cells, notes = make_plan(
        dataset, list(sources), regimes, background, chosen, seeds=seeds, folds=fold_list, trainable=trainable, sources=sources
    )
    where = str(choose_device(device))
    folder = Path(out) if out is not None else default_folder(dataset)
    _claim(folder, dataset)
    for sentence in [*dataset.notes, *dataset.warnings, *notes]:
        progress.say(sentence)
    write_text(chosen.text, folder / "protocol.toml")
    write_parquet(plan_table(cells), folder / "plan.parquet")
    described = _work(folder, cells, dataset, chosen, given, sources, where, strict, keep_encoders, skipped, progress)
    done = [cell for cell in cells if is_complete(folder, cell)]
    if not done:
        raise CallspaceError(f"no cell could be completed; the first: {skipped[0]['path']}: {skipped[0]['reason']}")
    shown = _with_folds(dataset, folds, notes)
    write_json(shown.describe(), folder / "dataset.json")
    write_csv(from_rows([*dataset.skipped, *skipped], SKIPPED), folder / "skipped.csv")
    created = time.strftime("%Y-%m-%d %H:%M:%S")
    write_json(provenance(dataset, done, described, where, command, created), folder / "provenance.json")
    with progress.task("averaging, comparing", None):
        write_results(folder, done, dataset, chosen)
    return Run(folder)


def default_folder(dataset: Dataset) -> Path:
    """``runs/NAME-DIGITS`` in the current folder; the same data and splits give the same name, so that the same command resumes."""
    import re

    return Path("runs") / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', dataset.name)}-{dataset.fingerprint()[:6]}"


def _check_all_weights(
    names: list[str], given: dict[str, str], skip_missing: bool, skipped: list[dict[str, Any]], progress: Progress
) -> dict[str, str]:
    """What each encoder's weights are, by a fingerprint; everything is there before any work begins."""
    from callspace.encoders.load import check_weights
    from callspace.encoders.weights import sha256_of

    sources: dict[str, str] = {}
    missing: list[MissingWeightsError] = []
    for name in names:
        try:
            path = check_weights(name, given.get(name), progress=progress)
        except MissingWeightsError as error:
            missing.append(error)
            skipped.append(
                {"path": name, "what": "encoder", "reason": str(error), "remedy": "give its weights with --weights, or leave it out"}
            )
            continue
        sources[name] = sha256_of(path) if path is not None else "none"
    if missing and not skip_missing:
        others = f" ({len(missing) - 1} more lack theirs)" if len(missing) > 1 else ""
        raise MissingWeightsError(f"{missing[0]}{others}; --skip-missing goes on without")
    if not sources:
        raise CallspaceError(f"no encoder is left: {missing[0]}" if missing else "a bench needs at least one encoder")
    return sources


def _is_trainable(name: str) -> bool:
    from callspace.encoders.registry import ENCODERS, RANDOM, spec

    if name.removesuffix(RANDOM) in ENCODERS:
        return spec(name).trainable
    card = read_json(Path(name).expanduser() / "card.json")
    return spec(card["name"]).trainable


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
    folder: Path,
    cells: list[Cell],
    dataset: Dataset,
    protocol: Protocol,
    given: dict[str, str],
    sources: dict[str, str],
    device: str,
    strict: bool,
    keep_encoders: bool,
    skipped: list[dict[str, Any]],
    progress: Progress,
) -> list[dict[str, Any]]:
    """Do the cells that are not done, and describe the encoders. An encoder and its embeddings are shared by its cells."""
    described: list[dict[str, Any]] = []
    for leftover in (folder / "cells").glob(".*.part"):
        shutil.rmtree(leftover, ignore_errors=True)
    fold_data: dict[int | None, Dataset] = {None: dataset}
    frozen: dict[tuple[str, int], FrozenEncoder] = {}
    with progress.task("bench", len(cells)) as advance:
        for number, cell in enumerate(cells):
            if cell.fold not in fold_data:
                fold_data[cell.fold] = dataset.with_test_fold(cell.fold)  # type: ignore[arg-type]
            # Only random weights differ from seed to seed.
            key = cell.encoder, cell.seed if cell.encoder.endswith(":random") else 0
            if key not in frozen:
                frozen = {other: held for other, held in frozen.items() if other[0] == cell.encoder}
                frozen[key] = _frozen(folder, cell, dataset, protocol, given, key[1], device, progress)
            about = folder / "encoders" / f"{_digest(cell.encoder, sources[cell.encoder], key[1], protocol.front_end, dataset)}.json"
            try:
                if not is_complete(folder, cell):
                    run_cell(folder, cell, fold_data[cell.fold], frozen[key], protocol, device=device, progress=progress)
                    progress.say(f"done: {cell.describe()} ({read_json(cell_folder(folder, cell) / 'cost.json')['seconds']:.0f} s)")
                if not about.exists():
                    write_json(describe_encoder(frozen[key].encoder), about)
                if (entry := read_json(about)) not in described:
                    described.append(entry)
            except CallspaceError as error:
                if strict:
                    raise
                skipped.append(
                    {"path": cell.describe(), "what": "cell", "reason": str(error), "remedy": "mend it and run the same command again"}
                )
                progress.say(f"failed: {cell.describe()}: {error}")
            if not keep_encoders and (number + 1 == len(cells) or cells[number + 1].choice != cell.choice):
                keep_best_encoder(folder, [done for done in cells[: number + 1] if is_complete(folder, done)])
            advance(1)
    return described


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr([part.sample_rate_hz if isinstance(part, Dataset) else part for part in parts]).encode()).hexdigest()[:16]


def _frozen(
    folder: Path, cell: Cell, dataset: Dataset, protocol: Protocol, given: dict[str, str], seed: int, device: str, progress: Progress
) -> FrozenEncoder:
    return FrozenEncoder(
        lambda: frozen_encoder(cell.encoder, given.get(cell.encoder), seed, protocol.front_end),
        dataset,
        lambda encoder: folder / "embeddings" / encoder.fingerprint(),
        device,
        progress,
    )


def _with_folds(dataset: Dataset, folds: str | None, notes: list[str]) -> Dataset:
    extra = [f"Each of the {len(dataset.folds)} folds is the test split once; scores are averaged over them."] if folds == "all" else []
    kept = [note for note in dataset.notes if not (folds == "all" and note.startswith("Fold "))]
    return replace(dataset, notes=[*kept, *extra, *notes])
