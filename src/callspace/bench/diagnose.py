"""Why a run's scores are what they are: all checks of the diagnosis, from what lies in its folder to ``RUN/diagnosis.json``.

The cheap checks read what the run left: its audit, its stored embeddings, its predictions, scores and histories. The others listen to the
recordings again (the calls' frequencies, embeddings of changed windows, the embedding of the tuned encoder that was kept). A check that
fails becomes a finding that says why, and stops no other.

``diagnosis.json`` holds ``results``, the SHA-256 of the run's results.parquet, ``recordings_missing``, how many recordings were not there to be
listened to, and ``findings``. What was measured of the same results stays where a later diagnosis can't measure it, or less of it: without sound,
without recordings, or without an encoder's weights. Problems of the choice become caveats in the run's ``choice.json``.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from callspace.bench.caveats import with_problems
from callspace.bench.execute import cell_folder
from callspace.bench.finished import FinishedRun
from callspace.bench.plan import Cell
from callspace.bench.run import load_run
from callspace.bench.run_data import refuse_other_data
from callspace.bench.words import main_metric
from callspace.embedding.embed import embed
from callspace.encoders.load import load_encoder
from callspace.encoders.registry import RANDOM, is_known
from callspace.encoders.registry import spec as spec_of
from callspace.errors import CallspaceError
from callspace.evaluation.diagnosis.finding import Finding, findings_from_json, findings_to_json
from callspace.progress import SILENT, Progress
from callspace.tables import read_json, read_parquet, write_json

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DIAGNOSIS", "diagnose", "read_diagnosis"]

DIAGNOSIS = "diagnosis.json"

_SEED = 0
_SOUND_CHECKS = ("band", "invariance")
#: Checks that read the run's folder and nothing else: they are never kept from an earlier diagnosis.
_READING_CHECKS = ("leakage", "overlap", "layers", "training_curves")

Subject = dict[str, Any]


def diagnose(
    run_folder: str | Path,
    *,
    sound: bool = True,
    device: str | None = None,
    data: str | Path | None = None,
    progress: Progress = SILENT,
) -> list[Finding]:
    """Look into a finished run, and write what was found to its ``diagnosis.json``.

    Parameters
    ----------
    run_folder : path
        The folder of a bench.
    sound : bool
        False: only what needs no sound, as the bench does at its end.
    device : str, optional
        Where encoders run.
    data : path, optional
        The folder of the recordings, if they are not where they were.
    progress : Progress

    Returns
    -------
    list of Finding
        Of the data first, then of each encoder, then of what was tuned.

    Raises
    ------
    CallspaceError
        There is no finished run; or `data` holds none of its recordings, in which case nothing is written.
    """
    folder = load_run(run_folder).folder
    if data is not None:
        refuse_other_data(folder, Path(data), progress)
    run = FinishedRun(folder, None if data is None else Path(data), device, progress)
    results = _digest(folder / "results.parquet")
    checks = [*_checks_of_data(run), *_checks_of_embeddings(run, sound), *_checks_of_tuning(run, sound)]
    if sound:
        checks += _checks_of_sound(run)
    findings: list[Finding] = []
    failed: set[tuple[str, str]] = set()
    with progress.task("diagnosing", len(checks)) as advance:
        for name, subject, check in checks:
            found, failure = _tried(check)
            if failure:
                found = [Finding(name, subject, "unmeasured", failure)]
                failed.add(_of(found[0]))
            findings += found
            advance(1)
    if not sound:
        findings += [_not_listened(name) for name in _SOUND_CHECKS]
    earlier, missed_before = _earlier(folder, results)
    missed = _missed(run) if sound else None
    # With fewer recordings than an earlier diagnosis, what that heard stands.
    listened = missed is not None and (missed_before is None or missed <= missed_before)
    findings = _with_earlier(findings, earlier, failed, listened=listened)
    about = {"results": results, "recordings_missing": missed if listened else missed_before}
    write_json(about | {"findings": findings_to_json(findings)}, folder / DIAGNOSIS)
    _tell_the_choice(folder, findings)
    return findings


def _tell_the_choice(folder: Path, findings: Sequence[Finding]) -> None:
    """What is a problem of the choice is among its caveats."""
    path = folder / "choice.json"
    choice = read_json(path) if path.is_file() else None
    if isinstance(choice, dict) and (told := with_problems(choice, findings)) != choice:
        write_json(told, path)


def read_diagnosis(run_folder: Path) -> list[Finding] | None:
    """What an earlier diagnosis found; None where there was none.

    Raises
    ------
    CallspaceError
        The file is no diagnosis.
    """
    path = run_folder / DIAGNOSIS
    return _read(path)[1] if path.is_file() else None


def _read(path: Path) -> tuple[dict[str, Any], list[Finding]]:
    """What a diagnosis is of, and what it found; an older one is a list of findings alone."""
    content = read_json(path)
    if isinstance(content, dict):
        return content, findings_from_json(content.get("findings"))
    return {}, findings_from_json(content)


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _earlier(folder: Path, results: str | None) -> tuple[list[Finding], int | None]:
    """What an earlier diagnosis of the same results found, and without how many recordings; nothing where there is none, or it can't be read.

    One that did not listen, or didn't say, has None.
    """
    try:
        about, findings = _read(folder / DIAGNOSIS)
    except (CallspaceError, OSError):
        return [], None
    if results is None or about.get("results") != results:
        return [], None
    missed = about.get("recordings_missing")
    return findings, missed if isinstance(missed, int) else None


def _with_earlier(
    findings: Sequence[Finding], earlier: Sequence[Finding], failed: set[tuple[str, str]], *, listened: bool
) -> list[Finding]:
    """New findings; in place of those of checks that failed or, without sound, could measure less, what was measured before."""
    before: dict[tuple[str, str], list[Finding]] = {}
    for finding in earlier:
        if finding.check not in _READING_CHECKS:
            before.setdefault(_of(finding), []).append(finding)
    # What was tried in vain has no evidence; what was measured and says too little to judge has some.
    measured = {key: own for key, own in before.items() if any(finding.verdict != "unmeasured" or finding.evidence for finding in own)}
    again = {check for check, _ in measured}
    new: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        new.setdefault(_of(finding), []).append(finding)
    kept: list[Finding] = []
    for key, own in new.items():
        if key in measured and (key in failed or not listened):
            kept += measured[key]
        elif listened or own[0].subject or key[0] not in again:  # else of no encoder: why a check was not made that was made before
            kept += own
    return kept + [finding for key, own in measured.items() if key not in new for finding in own]


def _of(finding: Finding) -> tuple[str, str]:
    return finding.check, json.dumps(finding.subject, sort_keys=True)


def _missed(run: FinishedRun) -> int | None:
    """How many recordings are not there to be listened to; None where too many are not."""
    try:
        return len(run.lost) if run.heard else None
    except CallspaceError:
        return None


_Check = tuple[str, Subject, Callable[[], Finding | Sequence[Finding]]]


def _tried(check: Callable[[], Finding | Sequence[Finding]]) -> tuple[list[Finding], str]:
    """What a check found; where it failed, nothing and the sentence that says why."""
    try:
        found = check()
    except CallspaceError as error:
        return [], f"Not measured: {error}."
    except Exception as error:  # whatever it is, the other checks do not depend on it
        return [], f"Not measured, because the check failed ({type(error).__name__}: {' '.join(str(error).split())[:300]})."
    return ([found] if isinstance(found, Finding) else list(found)), ""


def _not_listened(name: str) -> Finding:
    what = {
        "band": "Whether the encoders hear the calls' frequencies",
        "invariance": "Whether the embeddings hold still under gain, noise and shifts",
    }
    return Finding(
        name, {}, "unmeasured", f"{what[name]} is not looked at yet.", remedy="Run `callspace diagnose RUN`: it listens to the recordings."
    )


def _checks_of_data(run: FinishedRun) -> list[_Check]:
    from callspace.evaluation.diagnosis.leakage import leakage
    from callspace.evaluation.diagnosis.overlap import overlap

    def of_audit() -> Finding:
        path = run.folder / "audit.json"
        return leakage(read_json(path) if path.is_file() else None)

    def of_overlap() -> list[Finding]:
        tuned = {entry["called"]: entry["tuned_on"] for entry in run.encoders if entry.get("tuned_on")}
        names = [entry["called"] for entry in run.encoders]
        bases = {entry["called"]: str(entry["name"]) for entry in run.encoders if entry["called"] != entry["name"]}
        of = run.about["name"], run.about["source"]
        return overlap(names, *of, tuned=tuned, bases=bases, dataset_fingerprint=run.provenance.get("dataset_fingerprint"))

    return [("leakage", {}, of_audit), ("overlap", {}, of_overlap)]


def _checks_of_embeddings(run: FinishedRun, sound: bool) -> list[_Check]:
    """Of each encoder as it is frozen, and of the choice's own predictions."""
    checks: list[_Check] = []
    for entry in run.encoders:
        subject = _subject(entry)

        def check(entry: dict[str, Any] = entry, subject: Subject = subject) -> list[Finding]:
            vectors, windows = run.embeddings(entry["fingerprint"])
            predictions = run.predictions(entry["called"], entry["layer"], entry["pool"], "frozen")
            return _of_embedding(run, vectors, windows, subject, predictions, listen_on=sound)

        checks.append(("embedding", subject, check))
    return checks


def _of_embedding(
    run: FinishedRun,
    vectors: np.ndarray,
    windows: pa.Table,
    subject: Subject,
    predictions: pa.Table | None,
    *,
    listen_on: bool,
    tuned_on: Sequence[str] = (),
) -> list[Finding]:
    from callspace.evaluation.diagnosis.nuisances import nuisances_of
    from callspace.evaluation.diagnosis.summary import diagnose_embedding

    nuisances = nuisances_of(windows, run.recordings(), **run.levels(windows, listen_on=listen_on))
    findings = diagnose_embedding(
        vectors,
        windows,
        run.about["labels"],
        run.about["task"],
        nuisances=nuisances,
        predictions=predictions,
        subject=subject,
        seed=_SEED,
        tuned_on=tuned_on,
    )
    said = run.levels_said if listen_on else ""
    return [_and(finding, said) if _is_of_levels(finding) else finding for finding in findings]


def _is_of_levels(finding: Finding) -> bool:
    return finding.check == "confounds" and "level_db" in (finding.evidence.get("nuisance"), *finding.evidence.get("same_as", []))


def _and(finding: Finding, said: str) -> Finding:
    """A finding that says something more."""
    return replace(finding, sentence=f"{finding.sentence} {said}") if said else finding


def _checks_of_tuning(run: FinishedRun, sound: bool) -> list[_Check]:
    from callspace.evaluation.diagnosis.layers import layer_profiles
    from callspace.evaluation.diagnosis.training_curves import training_curves

    def of_layers() -> list[Finding]:
        defaults = {cell.encoder: cell.layer for cell in run.cells if not cell.reading}
        comparisons = read_parquet(run.folder / "comparisons.parquet").to_pylist()
        return layer_profiles(
            read_parquet(run.folder / "summary.parquet").to_pylist(), comparisons, main_metric(run.about["task"]), defaults=defaults
        )

    def of_curves() -> list[Finding]:
        path = run.folder / "history.csv"
        if not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            history = list(csv.DictReader(file))
        failed = [
            cell.factors() | trial
            for cell, about in run.described
            for trial in about.get("trials") or []
            if isinstance(trial, dict) and trial.get("state") == "failed"
        ]
        return training_curves(history, failed)

    checks: list[_Check] = [("layers", {}, of_layers), ("training_curves", {}, of_curves)]
    if (tuned := _tuned_cell(run)) is not None:
        subject = {name: value for name, value in tuned.factors().items() if name not in ("fold", "seed")}
        if sound:
            checks.append(("embedding", subject, lambda: _of_tuned(run, tuned, subject)))
        else:
            checks.append(("confusions", subject, lambda: _of_predictions(run, tuned, subject)))
    return checks


def _tuned_cell(run: FinishedRun) -> Cell | None:
    """The cell of the choice, where it tuned or at least fitted something."""
    path = run.folder / "choice.json"
    choice = read_json(path) if path.is_file() else {}
    kept = choice.get("tuned_encoder")
    name = Path(kept).parent.name if kept else None
    return next((cell for cell in run.cells if cell.name == name), None)


def _of_predictions(run: FinishedRun, cell: Cell, subject: Subject) -> list[Finding]:
    from callspace.evaluation.diagnosis.confusions import confusions

    return confusions(run.pooled(cell), run.dataset.windows, run.about["labels"], run.about["task"], subject=subject, seed=_SEED)


def _of_tuned(run: FinishedRun, cell: Cell, subject: Subject) -> list[Finding]:
    """The embedding of the tuned encoder that was kept; of a head on a frozen encoder only what it confuses."""
    from callspace.adaptation.regimes import regime_of

    if not regime_of(cell.regime).changes_embedding:
        return _of_predictions(run, cell, subject)
    dataset = run.heard if cell.fold is None else run.heard.with_test_fold(cell.fold)
    tuned = load_encoder(cell_folder(run.folder, cell) / "encoder").bind(dataset.sample_rate_hz)
    store = run.folder / "embeddings" / tuned.fingerprint()
    vectors = embed(dataset, tuned, store, device=run.device, progress=run.progress).vectors
    return _of_embedding(run, vectors, dataset.windows, subject, run.pooled(cell), listen_on=True, tuned_on=("train", "valid"))


def _checks_of_sound(run: FinishedRun) -> list[_Check]:
    from callspace.evaluation.diagnosis.band import band_limit, heard_band
    from callspace.evaluation.diagnosis.invariance import invariance

    def of_band(entry: dict[str, Any]) -> Finding:
        calls, counts = run.calls
        low, high = heard_band(_family(entry), entry["sample_rate_hz"], speed=run.heard.speed)
        found = band_limit(calls, counts, low, high, speed=run.heard.speed, subject={"encoder": entry["called"]}, seed=_SEED)
        return _and(found, run.unheard)

    def of_changes(entry: dict[str, Any]) -> Finding:
        vectors, encoder = run.heard_embeddings(entry["fingerprint"]), run.frozen(entry)
        found = invariance(run.heard, encoder, vectors, subject=_subject(entry), seed=_SEED, device=run.device, progress=run.progress)
        return _and(found, run.unheard)

    try:
        _ = run.heard
    except CallspaceError as error:
        said = f"The recordings are needed, and can't be had: {error}."
        return [(name, {}, lambda name=name: Finding(name, {}, "unmeasured", said)) for name in _SOUND_CHECKS]  # type: ignore[misc]
    checks: list[_Check] = [("band", {"encoder": entry["called"]}, lambda entry=entry: of_band(entry)) for entry in run.encoders]  # type: ignore[misc]
    checks += [("invariance", _subject(entry), lambda entry=entry: of_changes(entry)) for entry in run.encoders]  # type: ignore[misc]
    return checks


def _subject(entry: Mapping[str, Any]) -> Subject:
    return {"encoder": entry["called"], "layer": entry["layer"], "pool": entry["pool"], "regime": "frozen"}


def _family(entry: Mapping[str, Any]) -> str:
    """An encoder's family; of a tuned one that of what it was tuned from."""
    for name in (entry["called"], entry["name"], str(entry["name"]).removesuffix(RANDOM)):
        if is_known(name):
            return spec_of(name).family
    return ""
