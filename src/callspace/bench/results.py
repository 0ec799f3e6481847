"""From cells to tables: all results, their averages over folds and seeds, and what follows from them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from callspace.bench.choice import Candidate, best_of, choice_of, choose
from callspace.bench.comparisons import Averages, comparisons, main_key, main_metric, not_compared
from callspace.bench.execute import HISTORY, cell_folder, read_cell
from callspace.bench.plan import Cell, Choice
from callspace.bench.protocols import Protocol
from callspace.datasets import Dataset
from callspace.embedding.embed import tuned_on
from callspace.encoders.load import saved_folder
from callspace.encoders.registry import is_known
from callspace.evaluation.averages import Average, average
from callspace.evaluation.confusion_table import summed_confusions
from callspace.evaluation.scores import Key
from callspace.evaluation.scoring.structure import rule_of
from callspace.tables import COMPARISONS, RESULTS, SUMMARY, from_rows, read_json, read_parquet, write_csv, write_json, write_parquet

__all__ = ["CONFUSIONS", "COSTS", "complete", "keep_best_encoder", "main_key", "main_metric", "write_results"]

COSTS = pa.schema(
    [(name, HISTORY.field(name).type) for name in ("encoder", "layer", "pool", "regime", "background", "policy", "fold", "seed")]
    + [("seconds", pa.float64()), ("seconds_fit", pa.float64()), ("seconds_embed", pa.float64()), ("peak_mib", pa.float64())]
)

#: What each choice takes for what: one row a reader (``head``, ``linear``, ``kmeans`` in the full space), true and predicted class that occur.
#: `n` is summed over folds and seeds, so that a window counts once a seed; `share` is that of the true class. `predicted` is null for
#: clusters that no class was assigned to. Rows of ``clean-all`` are of test windows without background.
CONFUSIONS = pa.schema(
    [(name, SUMMARY.field(name).type) for name in Choice._fields]
    + [("reader", pa.string()), ("true", pa.string()), ("predicted", pa.string()), ("n", pa.int64()), ("share", pa.float64())]
)


def write_results(
    folder: Path, cells: Sequence[Cell], dataset: Dataset, protocol: Protocol, encoders: Sequence[dict[str, Any]] = ()
) -> None:
    """Write results, summary, comparisons, confusions, maps, costs, history and choice of the completed cells.

    `encoders` are the provenance's: their licences and notes are caveats of the choice.

    The tables hold no times and follow from the cells alone, in the order of the plan, so that a resumed run's are the bytes of an
    uninterrupted one's.
    """
    # Cells of a run that an older version began lack columns that are new.
    results = pa.concat_tables([read_parquet(cell_folder(folder, cell) / "results.parquet", RESULTS) for cell in cells])
    write_parquet(results, folder / "results.parquet")
    write_csv(results, folder / "results.csv")
    maps = pa.concat_tables([read_parquet(cell_folder(folder, cell) / "maps.parquet") for cell in cells])
    write_parquet(maps, folder / "maps.parquet")
    write_csv(_history(folder, cells), folder / "history.csv")
    costs = [cell.factors() | read_json(cell_folder(folder, cell) / "cost.json") for cell in cells]
    write_csv(from_rows(costs, COSTS), folder / "costs.csv")
    by_choice: dict[Choice, list[Cell]] = {}
    for cell in cells:
        by_choice.setdefault(cell.choice, []).append(cell)
    own: dict[Choice, list[dict[str, Any]]] = {}
    for row in results.to_pylist():
        own.setdefault(choice_of(row), []).append(row)
    whole = complete((cell.choice, cell.fold, cell.seed) for cell in cells)
    averages: Averages = {}
    summary: list[dict[str, Any]] = []
    confused: list[dict[str, Any]] = []
    for choice, held in by_choice.items():
        parts = [read_parquet(cell_folder(folder, cell) / "predictions.parquet") for cell in held]
        averages[choice] = average(parts, dataset.labels, dataset.task, n_bootstrap=protocol.bootstrap, seed=0)
        summary += _summary_rows(own[choice], averages[choice], protocol)
        confused += [choice._asdict() | row for row in summed_confusions(parts, dataset.labels, dataset.task)]
    write_parquet(from_rows(summary, SUMMARY), folder / "summary.parquet")
    write_csv(from_rows(summary, SUMMARY), folder / "summary.csv")
    write_parquet(from_rows(confused, CONFUSIONS), folder / "confusions.parquet")
    write_csv(from_rows(confused, CONFUSIONS), folder / "confusions.csv")
    candidates = [
        _candidate(folder, choice, held, averages[choice], dataset.task, complete=choice in whole) for choice, held in by_choice.items()
    ]
    compared = {choice: found for choice, found in averages.items() if choice in whole}
    differences = comparisons(compared, candidates, dataset, protocol)
    write_parquet(from_rows(differences, COMPARISONS), folder / "comparisons.parquet")
    write_csv(from_rows(differences, COMPARISONS), folder / "comparisons.csv")
    folds = len({cell.fold for cell in cells})
    tuned = _tuned_before({cell.encoder for cell in cells})
    chosen = choose(candidates, differences, dataset, main_metric(dataset.task), encoders, folds=folds, tuned=tuned)
    chosen["caveats"] = [*chosen["caveats"], *filter(None, [not_compared(compared, candidates, protocol)])]
    kept = [
        path
        for path in (
            cell_folder(folder, cell) / "encoder" for cell in cells if chosen["encoder"] is not None and cell.choice == choice_of(chosen)
        )
        if path.exists()
    ]
    write_json(chosen | {"tuned_encoder": kept[0].relative_to(folder).as_posix() if kept else None}, folder / "choice.json")


def complete(done: Iterable[tuple[Choice, int | None, int]]) -> set[Choice]:
    """The choices that have every fold and seed that any has: as many of others make another average, since folds are not equally hard.

    Parameters
    ----------
    done
        The choice, fold and seed of every cell that there is; any of them more than once.
    """
    by_choice: dict[Choice, set[tuple[int | None, int]]] = {}
    for choice, fold, seed in done:
        by_choice.setdefault(choice, set()).add((fold, seed))
    every = set().union(*by_choice.values())
    return {choice for choice, own in by_choice.items() if own == every}


def _tuned_before(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What the encoders that are folders were tuned on, by what the user calls them."""
    folders = {name: saved_folder(name) for name in names if not is_known(name)}
    cards = {name: read_json(folder / "card.json")["card"] for name, folder in folders.items() if folder is not None}
    return {name: found for name, card in cards.items() if (found := tuned_on(card)) is not None}


def keep_best_encoder(folder: Path, cells: Sequence[Cell]) -> Path | None:
    """Delete the tuned encoders of all cells but one: the best on valid of the choice that is the best on valid of those that are complete.

    A tuned network may weigh hundreds of megabytes, and a bench makes dozens; the same command with ``--keep-encoders`` keeps all. While no
    choice is complete none can be the best, and all are kept.

    Returns
    -------
    Path | None
        The folder of the one that is kept, if any is.
    """
    scored = [(cell, read_cell(folder, cell)) for cell in cells]
    by_choice: dict[Choice, list[float]] = {}
    for cell, about in scored:
        if about.get("valid_score") is not None:
            by_choice.setdefault(cell.choice, []).append(about["valid_score"])
    whole = complete((cell.choice, cell.fold, cell.seed) for cell in cells)
    if not whole:
        return None
    candidates = [
        Candidate(choice, pretraining="", valid=sum(v) / len(v), test=None, ci_low=None, ci_high=None, complete=choice in whole)
        for choice, v in by_choice.items()
    ]
    best = best_of(candidates)
    kept: Path | None = None
    if best is not None:
        mine = [(about["valid_score"], -number, cell) for number, (cell, about) in enumerate(scored) if cell.choice == best.choice]
        kept = cell_folder(folder, max(mine, key=lambda entry: entry[:2])[2]) / "encoder"
    for cell in cells:
        encoder = cell_folder(folder, cell) / "encoder"
        if encoder != kept:
            shutil.rmtree(encoder, ignore_errors=True)
    return kept if kept is not None and kept.exists() else None


def _history(folder: Path, cells: Sequence[Cell]) -> pa.Table:
    import pyarrow.csv

    options = pyarrow.csv.ConvertOptions(column_types=HISTORY)
    files = [cell_folder(folder, cell) / "history.csv" for cell in cells]
    tables = [pyarrow.csv.read_csv(file, convert_options=options) for file in files if file.exists()]
    return pa.concat_tables([HISTORY.empty_table(), *tables])


def _summary_rows(own: Sequence[dict[str, Any]], averages: dict[Key, Average], protocol: Protocol) -> Iterator[dict[str, Any]]:
    """One row a score; `values` are the cells' own, and `n` counts the windows of all folds, each once."""
    values: dict[Key, list[float]] = {}
    counts: dict[Key, dict[int | None, int]] = {}
    for row in own:
        key = Key(row["space"], row["clusterer"], row["class"], row["metric"])
        values.setdefault(key, []).append(row["value"])
        counts.setdefault(key, {})[row["fold"]] = row["n"]
    shared = {
        name: own[0][name]
        for name in ("dataset", "encoder", "pretraining", "layer", "pool", "regime", "recipe", "background", "policy", "protocol")
    }
    for key, found in averages.items():
        low, high, method = found.interval() or (None, None, None)
        yield shared | {
            "space": key.space,
            "clusterer": key.clusterer,
            "label_rule": rule_of(key.metric, protocol.label_rule),
            "class": key.class_,
            "metric": key.metric,
            "value": found.value,
            "ci_low": low,
            "ci_high": high,
            "ci_method": method,
            "freedom": found.freedom,
            "n": sum(counts.get(key, {}).values()),
            "cells": found.n_parts,
            "values": values.get(key, []),
        }


def _candidate(
    folder: Path, choice: Choice, cells: Sequence[Cell], averages: dict[Key, Average], task: str, *, complete: bool
) -> Candidate:
    about = [read_cell(folder, cell) for cell in cells]
    scores = [cell["valid_score"] for cell in about if cell.get("valid_score") is not None]
    test = averages.get(main_key(task, choice.regime))
    low, high, _ = (test.interval() if test is not None else None) or (None, None, None)
    return Candidate(
        choice,
        pretraining=about[0]["pretraining"],
        valid=sum(scores) / len(scores) if scores else None,
        test=None if test is None else test.value,
        ci_low=low,
        ci_high=high,
        complete=complete,
        reading=cells[0].reading,
    )
