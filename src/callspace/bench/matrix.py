"""Several datasets: a bench of each, one table of all their cells, and what holds across them.

Two questions need several datasets. Do our numbers order encoders as the study's published ones do? And does NMI, by which the study
orders them, follow accuracy (clips) or mAP (soundscapes), by which a user would? Both are asked of all cells at once and within datasets,
which is the fairer question (`callspace.metrics.rank_correlation` says why).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from callspace.adaptation.background import CLEAN_ALL
from callspace.bench.bench import DEFAULT_ENCODERS, bench, default_folder
from callspace.bench.choice import choice_of
from callspace.bench.evidence import Evidence
from callspace.bench.plan import Choice
from callspace.bench.published import published, study_dataset, write_every_cell
from callspace.bench.ranking import rankings
from callspace.bench.request import check_request
from callspace.bench.results import complete, main_key
from callspace.bench.run import Run, load_run
from callspace.bench.study import study_answers
from callspace.datasets import Dataset, load_dataset
from callspace.datasets.load import check_source
from callspace.errors import CallspaceError
from callspace.metrics.rank_correlation import Correlation, rank_correlation, within_groups
from callspace.progress import SILENT, Progress
from callspace.tables import SUMMARY, from_rows, read_json, write_csv, write_json

__all__ = ["MATRIX", "Matrix", "bench_matrix", "correlations", "load_matrix", "matrix_rows"]

_CHOICE = [(name, SUMMARY.field(name).type) for name in SUMMARY.names[: SUMMARY.names.index("space")]]

#: One row a (dataset, choice, space): the main score (`metric`: accuracy or mAP), the NMI of k-means in the space, and the published NMI where
#: there is one and the choice is what was published. What has no structure of its own (a head on a frozen encoder) has one row without space.
MATRIX = pa.schema(
    [
        *_CHOICE,
        ("metric", pa.string()),
        *((name, pa.float64()) for name in ("value", "ci_low", "ci_high")),
        ("space", pa.string()),
        *((name, pa.float64()) for name in ("nmi", "nmi_ci_low", "nmi_ci_high", "published_nmi")),
    ]
)


@dataclass(frozen=True)
class Matrix:
    """What a bench of several datasets leaves: ``matrix.csv`` and ``matrix.json`` in `folder`, and a run a dataset.

    ``published_cells.csv`` too, all of the study's published cells with ours, where a run is on one of its datasets.
    """

    folder: Path

    def __repr__(self) -> str:
        return f"<Matrix in {self.folder}>"

    @property
    def about(self) -> dict[str, Any]:
        """``matrix.json``: the runs' folders by dataset, the datasets that failed, and the correlations."""
        return read_json(self.folder / "matrix.json")

    @property
    def runs(self) -> dict[str, Run]:
        """The runs by dataset."""
        return {name: load_run(self.folder / folder) for name, folder in self.about["runs"].items()}

    @property
    def failed(self) -> list[dict[str, str]]:
        """The datasets without a run: ``dataset`` and ``reason``."""
        return self.about["failed"]

    @property
    def cells(self) -> pa.Table:
        """All cells, schema `MATRIX`."""
        import pyarrow.csv

        options = pyarrow.csv.ConvertOptions(column_types=MATRIX, strings_can_be_null=True, quoted_strings_can_be_null=False)
        return pyarrow.csv.read_csv(self.folder / "matrix.csv", convert_options=options)

    @property
    def is_the_studys(self) -> bool:
        """Whether all its runs are on datasets of the study, so that its claims are put to their own data."""
        return all(study_dataset(read_json(run.folder / "dataset.json")) for run in self.runs.values())

    @property
    def correlations(self) -> dict[str, Any]:
        """Rank correlations; see `correlations`."""
        return self.about["correlations"]


def load_matrix(folder: str | Path) -> Matrix:
    """A finished matrix by its folder.

    Raises
    ------
    CallspaceError
        There is none.
    """
    folder = Path(folder)
    if not (folder / "matrix.json").is_file():
        raise CallspaceError(f"'{folder}' holds no matrix: run `callspace bench` with several DATA and --out {folder}")
    return Matrix(folder)


def bench_matrix(
    sources: Sequence[Dataset | str | os.PathLike[str]],
    encoders: Sequence[str] = DEFAULT_ENCODERS,
    regimes: Sequence[str] = ("frozen", "linear", "full"),
    background: Sequence[Any] = (1.0,),
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
    load: Callable[[Any], Dataset] | None = None,
    after: Callable[[Run], None] = lambda run: None,
    progress: Progress = SILENT,
) -> Matrix:
    """Compare encoders on several datasets, one after the other.

    A dataset that fails is told and listed, and the others go on; the same call goes on where an interrupted one stopped.

    Parameters
    ----------
    sources : sequence of Dataset, path or str
        Datasets, or what `load_dataset` takes.
    encoders, regimes, background, layers, pool, seeds, folds, protocol, changes, weights, skip_missing, device, keep_encoders, command
        Of each dataset's bench; see `callspace.bench`.
    out : path, optional
        Each run goes into ``out/NAME``; into ``runs/NAME-DIGITS``, and the matrix into ``runs/matrix-DIGITS``, when not given.
    strict : bool
        Stop at the first dataset or cell that fails.
    load : callable, optional
        From a source that is no `Dataset` to one; `load_dataset`, when not given.
    after : callable
        Called with each run as it ends.
    progress : Progress

    Returns
    -------
    Matrix

    Raises
    ------
    CallspaceError
        What is asked for is wrong whatever the data (an encoder, a protocol), or no dataset could be worked on.
    """
    if not sources:
        raise CallspaceError("a matrix needs at least one dataset")
    check_request(
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
    read = load or (lambda source: load_dataset(source, progress=progress))
    folder = Path(out) if out is not None else _default_matrix_folder(sources)
    if (folder / "run.json").exists():
        raise CallspaceError(f"'{folder}' holds the run of one dataset: choose another folder with --out")
    runs: dict[str, Run] = {}
    failed = [] if strict else _absent(sources, progress)  # a typo is told before hours of work on the others
    taken: dict[str, str] = {}
    for source in sources:
        called = _called(source)
        if any(row["dataset"] == called for row in failed):
            continue
        try:
            dataset = source if isinstance(source, Dataset) else read(source)
            name = _name_of(dataset, taken)
            progress.say(f"{name}:")
            run = bench(
                dataset,
                encoders,
                regimes,
                background,
                layers=layers,
                pool=pool,
                seeds=seeds,
                folds=folds,
                protocol=protocol,
                changes=changes,
                weights=weights,
                skip_missing=skip_missing,
                out=folder / name if out is not None else default_folder(dataset),
                device=device,
                strict=strict,
                keep_encoders=keep_encoders,
                command=command,
                progress=progress,
            )
        except (CallspaceError, RuntimeError, MemoryError, OSError) as error:
            if strict:
                raise
            reason = str(error) if isinstance(error, CallspaceError) else f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            failed.append({"dataset": called, "reason": reason})
            progress.say(f"failed: {called}: {reason}")
            continue
        runs[name] = run
        after(run)
    if not runs:
        raise CallspaceError(f"no dataset could be worked on; the first: {failed[0]['dataset']}: {failed[0]['reason']}")
    return _write(folder, runs, failed)


def _called(source: Any) -> str:
    return source.name if isinstance(source, Dataset) else str(source)


def _absent(sources: Sequence[Any], progress: Progress) -> list[dict[str, str]]:
    """The sources that are not there at all, and why."""
    failed = []
    for source in sources:
        if isinstance(source, Dataset):
            continue
        try:
            check_source(source)
        except CallspaceError as error:
            failed.append({"dataset": str(source), "reason": str(error)})
            progress.say(f"failed: {source}: {error}")
    return failed


def _default_matrix_folder(sources: Sequence[Any]) -> Path:
    named = sorted(_called(source) for source in sources)
    return Path("runs") / f"matrix-{hashlib.sha256(repr(named).encode()).hexdigest()[:6]}"


def _name_of(dataset: Dataset, taken: dict[str, str]) -> str:
    """The dataset's name as a folder's, with digits behind it where another one has it already.

    Raises
    ------
    CallspaceError
        The very same data was named before.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", dataset.name)
    mark = dataset.fingerprint()
    if mark in taken.values():
        raise CallspaceError(f"'{dataset.name}' was named before: name each dataset once")
    name = name if name not in taken else f"{name}-{mark[:6]}"
    taken[name] = mark
    return name


def _write(folder: Path, runs: Mapping[str, Run], failed: list[dict[str, str]]) -> Matrix:
    whole = {name: _whole(run) for name, run in runs.items()}
    broken = "no choice has all folds and seeds that another has: the same command tries again what failed"
    failed = [*failed, *({"dataset": name, "reason": broken} for name, summary in whole.items() if not summary)]
    rows = [row for name, run in runs.items() for row in matrix_rows(name, read_json(run.folder / "dataset.json"), whole[name])]
    write_csv(from_rows(rows, MATRIX), folder / "matrix.csv")
    about = {
        "runs": {name: Path(os.path.relpath(run.folder, folder)).as_posix() for name, run in runs.items()},
        "failed": failed,
        "not_as_published": {name: read_json(run.folder / "provenance.json").get("not_as_published", []) for name, run in runs.items()},
        "correlations": correlations(rows),
        "rankings": rankings(rows),
        "study": study_answers([Evidence.of(run.folder, name) for name, run in runs.items()]),
    }
    write_json(about, folder / "matrix.json")
    write_every_cell(folder, [run.folder for run in runs.values()])
    return Matrix(folder)


def _whole(run: Run) -> list[dict[str, Any]]:
    """The rows of a run's summary of those choices that have all its folds and seeds."""
    done = run.results.select([*Choice._fields, "fold", "seed"]).to_pylist()
    whole = complete((choice_of(row), row["fold"], row["seed"]) for row in done)
    return [row for row in run.summary.to_pylist() if choice_of(row) in whole]


def matrix_rows(name: str, about: Mapping[str, Any], summary: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows of `MATRIX` of one run.

    Parameters
    ----------
    name : str
        What the matrix calls the dataset.
    about : mapping
        The run's ``dataset.json``.
    summary : iterable of rows of `tables.SUMMARY`
    """
    study = study_dataset(about)
    by_choice: dict[Any, list[Mapping[str, Any]]] = {}
    for row in summary:
        if row["class"] is None:
            by_choice.setdefault(choice_of(row), []).append(row)
    for own in by_choice.values():
        first = own[0]
        main = main_key(about["task"], first["regime"])
        score = next(
            (row for row in own if (row["space"], row["clusterer"], row["metric"]) == (main.space, main.clusterer, main.metric)), None
        )
        ends = {end: None if score is None else score[end] for end in ("value", "ci_low", "ci_high")}
        shared = {column: first[column] for column, _ in _CHOICE} | {"dataset": name, "metric": main.metric} | ends
        as_published = (
            study is not None and first["regime"] == "full" and first["background"] == 1.0 and first.get("policy", "share") == "share"
        )
        structure = [row for row in own if row["metric"] == "nmi" and row["clusterer"] == "kmeans"]
        for row in structure:
            theirs = published(study, first["encoder"], row["space"]) if as_published and study else None
            found = {"space": row["space"], "nmi": row["value"], "nmi_ci_low": row["ci_low"], "nmi_ci_high": row["ci_high"]}
            yield shared | found | {"published_nmi": None if theirs is None else theirs["nmi"]}
        if not structure:
            yield shared


def correlations(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What holds over the cells of a matrix: Spearman's rank correlations.

    Returns
    -------
    dict
        ``published``: our NMI with the published one; ``use``: NMI with the main score (accuracy of clips, mAP of soundscapes). Of each, by
        space: ``overall`` over all cells, and ``within``, the mean of the datasets' own; each a `Correlation` as a dictionary, or None where
        there are too few cells (three, or three in one dataset) or one of the two does not vary. Of a dataset, what was judged on test windows
        without background (``clean-all``) counts only where all was.
    """
    whole = {row["dataset"] for row in rows if row["policy"] != CLEAN_ALL}
    rows = [row for row in rows if row["policy"] != CLEAN_ALL or row["dataset"] not in whole]
    found: dict[str, Any] = {}
    for question, x, y in (("published", "nmi", "published_nmi"), ("use", "nmi", "value")):
        spaces = list(dict.fromkeys(row["space"] for row in rows if row.get("space")))
        found[question] = {}
        for space in spaces:
            cells = [row for row in rows if row.get("space") == space and row.get(x) is not None and row.get(y) is not None]
            if not cells:
                continue
            ours, theirs = [cell[x] for cell in cells], [cell[y] for cell in cells]
            within = within_groups(ours, theirs, [cell["dataset"] for cell in cells])
            found[question][space] = {"overall": _plain(rank_correlation(ours, theirs)), "within": _plain(within)}
    return found


def _plain(found: Correlation | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)
