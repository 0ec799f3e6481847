"""How often the diagnosis of an embedding cries wolf, and what it finds of what was planted.

Prints, over seeds (`callspace.evaluation.diagnosis.planted`): how many clean embeddings raise any problem, which checks did, and how many
are worth a look; for each trouble, of how many embeddings the right check says so; for label errors, the precision and recall of the windows
suspected, by how far apart the classes are. The target is at most 2 alarms of 100 clean seeds, and every trouble found.

Clean seeds differ in size (80 recordings, and 240 every third), in the reader whose confusions are looked at (linear probe, nearest neighbours,
class means in turn), and every fourth has a class that can't be learnt: that this one is lost is right, and no alarm; that another is lost, is one.
Every tenth has a hundred classes in 16 dimensions. In soundscapes a window with a call is louder than one without.

So confounds, collapse, hubs, label errors and confusions are measured. Of the others, leakage is measured on audits of built-in recordings without
copies (``--audits``), and training curves, which never say more than that something is worth a look, on ordinary ones (``--curves``). Overlap, band,
invariance and layers are not simulated here: the first looks up who was trained on what, the others need encoders and their sound.

    python benchmarks/diagnosis.py [--clean 100] [--planted 20] [--audits 10] [--curves 500] [--first-seed 0]
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from callspace.datasets import load_dataset
from callspace.datasets.audit.audit import audit_dataset
from callspace.datasets.synthetic import generate
from callspace.evaluation.diagnosis.confounds import nuisances_of
from callspace.evaluation.diagnosis.finding import Finding
from callspace.evaluation.diagnosis.label_errors import label_errors
from callspace.evaluation.diagnosis.leakage import leakage
from callspace.evaluation.diagnosis.planted import TROUBLES, Planted, plant
from callspace.evaluation.diagnosis.summary import diagnose_embedding
from callspace.evaluation.diagnosis.training_curves import training_curves

#: A class that sounds like another is lost only when test has enough of both.
N_RECORDINGS = {"lost class": 240}


READERS = ("linear", "knn", "prototype")
#: Of a confound, what it is.
NUISANCES = {"confound": "site", "level": "level_db"}


def diagnose(planted: Planted, seed: int, reader: str = "linear") -> list[Finding]:
    """All checks of one embedding, its confusions by one reader."""
    others = [
        name for name in planted.predictions.column_names if name.startswith(("scores:", "separation:")) and not name.endswith(f":{reader}")
    ]
    return diagnose_embedding(
        planted.vectors,
        planted.windows,
        planted.labels,
        planted.task,
        nuisances=nuisances_of(planted.windows, planted.recordings, **planted.nuisances_measured),
        predictions=planted.predictions.drop_columns(others),
        seed=seed,
    )


def clean(seeds: range) -> None:
    """False alarms."""
    alarms, right, looks, start = Counter[str](), 0, Counter[str](), time.perf_counter()
    kinds = Counter[str]()
    verdicts, unmeasured = Counter[str](), Counter[str]()
    for seed in seeds:
        many = seed % 10 == 7
        large, unlearnable, reader = seed % 3 == 0 or many, seed % 4 == 0, READERS[seed // 3 % 3]
        kind = f"{'240' if large else '80'} recordings{', an unlearnable class' if unlearnable else ''}{', 100 classes' if many else ''}"
        kinds[kind] += 1
        of = plant(seed, n_recordings=240 if large else 80, unlearnable=unlearnable, many=many)
        findings = diagnose(of, seed, reader)
        problems = [finding for finding in findings if finding.verdict == "problem"]
        expected = [finding for finding in problems if finding.check == "confusions" and _loses_only(finding, of.unlearnable)]
        right += bool(expected)
        alarms[kind] += len(problems) > len(expected)
        looks.update({finding.check for finding in findings if finding.verdict == "look"})
        verdicts.update(finding.verdict for finding in findings if finding.check == "confusions")
        unmeasured.update({finding.check for finding in findings if finding.verdict == "unmeasured"})
        for finding in problems:
            if finding not in expected:
                print(f"  false alarm, seed {seed} ({kind}, {reader}): {finding.check}: {finding.sentence}", flush=True)
    seconds = (time.perf_counter() - start) / max(len(seeds), 1)
    print(f"clean: {alarms.total()} of {len(seeds)} raise a problem; worth a look: {dict(looks)}; {seconds:.1f} s each", flush=True)
    print(f"  not measured: {dict(unmeasured)}", flush=True)
    for kind, count in sorted(kinds.items()):
        print(f"  {kind}: {alarms[kind]} of {count}", flush=True)
    print(f"  the unlearnable class, and no other, is said to be lost in {right}; confusions: {dict(verdicts)}", flush=True)


def _loses_only(finding: Finding, unlearnable: str | None) -> bool:
    return unlearnable is not None and f"loses {unlearnable}:" in finding.sentence


def unleaked(seeds: range) -> None:
    """False alarms of the check for leakage, on audits of recordings of which none is a copy of another."""
    verdicts = Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            at = Path(folder) / str(seed)
            generate(at, task="classification", seed=seed, n_recordings=80)
            dataset = load_dataset(at / "clips.csv")
            verdicts[leakage(audit_dataset(dataset).to_json()).verdict] += 1
    print(f"leakage, no copies: {dict(verdicts)} of {len(seeds)}", flush=True)


def ordinary_curves(seeds: range) -> None:
    """Training curves that fall, level out and rise a little until patience ends them, of three seeds at three learning rates."""
    verdicts = Counter[str]()
    for seed in seeds:
        rng = np.random.default_rng(seed)
        rows = []
        for member, (rate, top) in itertools.product(range(3), ((5e-5, 0.86), (5e-4, 0.9), (5e-3, 0.84))):
            at = np.arange(1, int(rng.integers(8, 20)))
            fall, knee = np.exp(-at / rng.uniform(1.5, 3)), np.maximum(0, at - 8)
            train = 2 * fall + 0.05 + 0.01 * rng.random(len(at))
            valid = 2 * fall + 0.4 + 0.01 * knee + 0.01 * rng.standard_normal(len(at))
            score = top * (1 - fall) - 0.004 * knee + 0.01 * rng.standard_normal(len(at))
            shared = {"encoder": "e", "layer": "last", "pool": "mean", "regime": "full", "background": 1.0, "policy": "share", "fold": None}
            rows += [
                shared | {"seed": member, "learning_rate": rate, "epoch": epoch, "train_loss": t, "valid_loss": v, "valid_score": s}
                for epoch, t, v, s in zip(at, train, valid, score, strict=True)
            ]
        verdicts.update(finding.verdict for finding in training_curves(rows))
    print(f"training curves, ordinary: {dict(verdicts)} of {len(seeds)}", flush=True)


def planted(trouble: str, seeds: range) -> None:
    """What is found of a trouble, and what else is said."""
    found, others = 0, Counter[str]()
    for seed in seeds:
        findings = diagnose(plant(seed, trouble, n_recordings=N_RECORDINGS.get(trouble, 80)), seed)
        problems = {(finding.check, finding.evidence.get("nuisance")) for finding in findings if finding.verdict == "problem"}
        right = (TROUBLES[trouble], NUISANCES.get(trouble))
        found += right in problems
        others.update(" ".join(filter(None, problem)) for problem in problems - {right})
        if right not in problems:
            print(f"  missed, seed {seed}: {trouble}", flush=True)
    print(f"{trouble}: found in {found} of {len(seeds)}; other checks that say problem: {dict(others)}", flush=True)


def precision(separation: float, seeds: range) -> None:
    """Precision and recall of the suspected windows, 5 % of the labels wrong."""
    hits = suspects = wrong = 0
    for seed in seeds:
        of = plant(seed, "label errors", separation=separation)
        finding = label_errors(of.vectors, of.windows, of.labels, of.task, seed=seed)
        ids = [window["window_id"] for window in finding.windows if window["kind"] == "suspect"]
        hits += int(np.isin(ids, of.wrong).sum())
        suspects, wrong = suspects + len(ids), wrong + len(of.wrong)
    print(
        f"label errors, separation {separation}: precision {hits / max(suspects, 1):.2f}, recall {hits / max(wrong, 1):.2f} of {wrong}",
        flush=True,
    )


def main() -> None:
    """Run the simulations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", type=int, default=100, help="clean seeds")
    parser.add_argument("--planted", type=int, default=20, help="seeds a trouble")
    parser.add_argument("--audits", type=int, default=10, help="audits without copies")
    parser.add_argument("--curves", type=int, default=500, help="sets of ordinary training curves")
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    first = options.first_seed
    clean(range(first, first + options.clean))
    unleaked(range(first, first + options.audits))
    ordinary_curves(range(first, first + options.curves))
    for trouble in TROUBLES:
        planted(trouble, range(first, first + options.planted))
    for separation in (0.4, 0.6, 0.8, 1.0):
        precision(separation, range(first, first + options.planted))


if __name__ == "__main__":
    main()
