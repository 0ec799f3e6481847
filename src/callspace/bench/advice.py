"""What is said at the end of a bench beyond the choice itself: what it costs, what would improve it, and the study's questions.

Added to a run's folder: ``learning_curve.json``; in ``choice.json`` ``gains``, ``study`` and, among the caveats, the problems that the diagnosis
found, all of which follow from the data alone; ``costs.json``, which holds the times and memory that were measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from callspace.bench.caveats import with_problems
from callspace.bench.choice import choice_of
from callspace.bench.comparisons import main_key
from callspace.bench.costs import write_costs
from callspace.bench.diagnose import read_diagnosis
from callspace.bench.evidence import Evidence
from callspace.bench.gains import gains_of
from callspace.bench.provenance import described_as
from callspace.bench.study import study_answers
from callspace.datasets import Dataset
from callspace.embedding.store import Store
from callspace.errors import CallspaceError
from callspace.evaluation.diagnosis.finding import Finding
from callspace.evaluation.learning_curve import learning_curve
from callspace.evaluation.scores import Key
from callspace.progress import SILENT, Progress
from callspace.tables import read_json, read_parquet, write_json

__all__ = ["write_advice", "write_learning_curve"]

CURVE = "learning_curve.json"


def write_advice(folder: Path, dataset: Dataset, *, folds: str | None = None, learning: bool = True, progress: Progress = SILENT) -> None:
    """Write what is to be said of a finished run; the same run and data give the same ``choice.json`` and ``learning_curve.json``.

    Parameters
    ----------
    folder : Path
        With results, summary, comparisons, choice, provenance and the stored embeddings.
    dataset : Dataset
        What was benched.
    folds : "all", optional
        Each fold was the test split once: the learning curve is of the first.
    learning : bool
        Whether to measure a learning curve.
    """
    choice = read_json(folder / "choice.json")
    gains = None
    if choice.get("encoder"):
        curve = write_learning_curve(folder, dataset, choice, folds=folds, progress=progress) if learning else None
        comparisons = read_parquet(folder / "comparisons.parquet").to_pylist()
        about = _described(folder, choice["encoder"], choice["layer"], choice["pool"])
        trainable, score = (about or {}).get("trainable"), _score(folder, choice, dataset.task)
        gains = gains_of(choice, comparisons, dataset.task, trainable, curve, score)
    choice = with_problems(choice, _diagnosed(folder))
    write_json(choice | {"gains": gains, "study": study_answers([Evidence.of(folder)])}, folder / "choice.json")
    write_costs(folder)


def _diagnosed(folder: Path) -> list[Finding]:
    """What the diagnosis found; nothing where it can't be read: it can be made again, and stops nothing."""
    try:
        return read_diagnosis(folder) or []
    except (CallspaceError, ValueError):
        return []


def _described(folder: Path, encoder: str, layer: str, pool: str) -> dict[str, Any] | None:
    """What the provenance says of an encoder so called and so read whose embeddings are stored whole; else of the first so read."""
    found = described_as(read_json(folder / "provenance.json"), encoder, layer, pool)
    return next((one for one in found if _is_stored(folder, one)), next(iter(found), None))


def _score(folder: Path, choice: Mapping[str, Any], task: str) -> float | None:
    """The choice's main score on test; None where it has none."""
    chosen, wanted = choice_of(choice), main_key(task, choice["regime"])
    for row in read_parquet(folder / "summary.parquet").to_pylist():
        if choice_of(row) == chosen and Key(row["space"], row["clusterer"], row["class"], row["metric"]) == wanted:
            return None if row["value"] is None else float(row["value"])
    return None


def _is_stored(folder: Path, encoder: Mapping[str, Any]) -> bool:
    return (folder / "embeddings" / encoder["fingerprint"] / "windows.parquet").is_file()


def write_learning_curve(
    folder: Path, dataset: Dataset, choice: Mapping[str, Any], *, folds: str | None = None, progress: Progress = SILENT
) -> dict[str, Any] | None:
    """Measure the learning curve of the chosen encoder's frozen embedding and write ``learning_curve.json``.

    Returns
    -------
    What the file holds: `LearningCurve.to_json`, with ``encoder``, ``layer``, ``pool``, ``fingerprint``, ``fold`` and ``unit`` (what a group is
    called). None, and no file, where no frozen embedding of it is stored.
    """
    path = folder / CURVE
    about = _described(folder, *(choice[name] for name in ("encoder", "layer", "pool")))
    if about is None or not _is_stored(folder, about):
        path.unlink(missing_ok=True)
        return None
    fold = dataset.folds[0] if folds == "all" and dataset.folds else None
    split = dataset if fold is None else dataset.with_test_fold(fold)
    mark = {name: about[name] for name in ("fingerprint", "layer", "pool")} | {"encoder": about["called"], "fold": fold}
    mark |= {"dataset_fingerprint": split.fingerprint(), "unit": _unit(split)}
    kept = _kept_curve(path)
    if kept is not None and mark.items() <= kept.items():
        return kept  # a resumed run's: the same embedding of the same windows
    try:
        vectors = Store(folder / "embeddings" / about["fingerprint"]).read().vectors
        with progress.task("what more labels would bring", None) as advance:
            curve = learning_curve(vectors, split.windows, split.labels, split.task, advance=advance)
    except CallspaceError as error:
        path.unlink(missing_ok=True)
        progress.say(f"The learning curve could not be measured: {error}")
        return None
    found = mark | curve.to_json()
    write_json(found, path)
    return found


def _kept_curve(path: Path) -> dict[str, Any] | None:
    """The learning curve that an earlier run left; None where there is none or it can't be read, so that it is measured anew."""
    try:
        found = read_json(path) if path.is_file() else None
    except (CallspaceError, ValueError, OSError):
        return None
    return found if isinstance(found, dict) and {"expected", "reason", "groups", "points"} <= set(found) else None


def _unit(dataset: Dataset) -> str:
    """What a group is called."""
    names = (dataset.windows[name].to_pylist() for name in ("recording", "group"))
    return "recordings" if len(set(zip(*names, strict=True))) == len(set(dataset.windows["group"].to_pylist())) else "groups"
