"""The probes on labels, and the splits they are fitted, chosen and scored on.

Columns: ``scores:PROBE`` and, in detection, ``decisions:PROBE``, list<bool>, by thresholds chosen on valid (kept in the choices).
"""

import numpy as np

from callspace.evaluation.decisions import choose_thresholds, decide, decision_column
from callspace.evaluation.predictions import list_column
from callspace.evaluation.probes import PROBES, Probe, Split, criterion, splits_of
from callspace.evaluation.scoring.use import without_contrast, without_top
from callspace.evaluation.steps.work import Work

__all__ = ["probe", "split_for_probes"]


def split_for_probes(work: Work) -> tuple[Split, Split, Split] | None:
    """Train, valid and test with standardised features; None, and a note, where there is nothing to fit to."""
    labelled = np.asarray(work.matrix.any(axis=1))
    # Without a label there is nothing to learn or choose by in classification; in detection it is background.
    split = np.array(work.split)
    if work.task == "classification":
        split[~labelled & (split != "test")] = "unused"
    if not labelled[split == "train"].any():
        work.notes.append("The probes are not fitted: the train split has no labelled windows.")
        return None
    return splits_of(work.points, work.matrix, split.tolist())


def probe(work: Work, splits: tuple[Split, Split, Split]) -> None:
    """The probes on labels, and their decisions."""
    train, valid, test = splits
    if work.task == "classification" and (sentence := without_top(train.labels.shape[1])):
        work.notes.append(sentence)
    if sentence := without_contrast(test.labels[work.labelled] if work.task == "classification" else test.labels):
        work.notes.append(sentence)
    for name, fit in PROBES.items():
        found = fit(train, valid, test, work.task, criterion(work.task))
        work.keep(name, found)
        work.add(f"scores:{name}", list_column(found.scores))
        if work.task == "detection":
            _decide(work, name, valid, found)


def _decide(work: Work, name: str, valid: Split, found: Probe) -> None:
    thresholds = choose_thresholds(valid.labels, found.on_valid) if len(valid.features) else None
    if thresholds is None:
        work.notes.append(f"{name} probe: there is no F1, since the valid split has nothing to choose thresholds by.")
        return
    work.choices[f"decisions:{name}"] = {"thresholds": thresholds.tolist()}  # in the order of the vocabulary
    work.add(f"decisions:{name}", decision_column(decide(found.scores, thresholds)))
