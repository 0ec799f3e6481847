"""All that can be asked of one embedding, with false alarms held down together.

A person who runs all checks on a good embedding and gets an alarm from each in twenty would learn to ignore them. So a ``problem`` is said
only far beyond chance: ties of nuisances with the label at a family-wise level of 0.005, label errors beyond a 99 % interval and half as many
again as overlap explains, lost classes beyond a 99.5 % bound, collapse and hubs beyond what structureless noise has. How often these five alarm on
clean embeddings (small and large, of several readers, some with a class that can't be learnt), and find what is planted, is measured by
``benchmarks/diagnosis.py``, not assumed: at most 2 of 100 is the target. The other checks of a run (band, invariance, overlap, layers) are not in that number.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from callspace.evaluation.diagnosis.classes import class_codes, groups_of
from callspace.evaluation.diagnosis.collapse import collapse, hubs
from callspace.evaluation.diagnosis.confounds import confounds, nuisances_of
from callspace.evaluation.diagnosis.confusions import confusions
from callspace.evaluation.diagnosis.finding import Finding
from callspace.evaluation.diagnosis.label_errors import label_errors
from callspace.evaluation.diagnosis.nuisances import Nuisances
from callspace.metrics.distances import validate_vectors
from callspace.threads import one_thread

__all__ = ["diagnose_embedding"]


def diagnose_embedding(
    vectors: ArrayLike,
    windows: pa.Table,
    labels: Sequence[str],
    task: str,
    *,
    nuisances: Nuisances | None = None,
    recordings: pa.Table | None = None,
    predictions: pa.Table | None = None,
    tuned_on: Collection[str] = (),
    subject: dict[str, Any] | None = None,
    seed: int = 0,
) -> list[Finding]:
    """Confounds, collapse, hubs, label errors and confusions of one embedding.

    Parameters
    ----------
    vectors
        float[n, d], all splits, in the order of `windows`.
    windows
        `callspace.tables.WINDOWS`.
    labels, task
        The vocabulary, and ``"classification"`` or ``"detection"``.
    nuisances
        As `nuisances_of` gathers them; gathered from `windows` and `recordings` when not given.
    recordings
        `callspace.tables.RECORDINGS`, if at hand.
    predictions
        One row a test window; without them confusions are not looked at.
    tuned_on
        The splits that a tuned encoder has learnt the labels of, its wrong ones included; label errors are looked for in the others.
    subject
        Encoder, layer, pool, regime, ..., which goes into the findings.
    seed
        The same seed gives the same findings.

    Raises
    ------
    CallspaceError
        Where the numbers of windows don't fit, or a vector holds NaN.
    """
    points = validate_vectors(vectors)
    labels = list(labels)
    if nuisances is None:
        nuisances = nuisances_of(windows, recordings)
    _, codes = class_codes(windows, labels, task)
    n_classes = len(np.unique(codes[codes >= 0]))
    with one_thread():
        findings = confounds(points, windows, labels, task, nuisances, subject=subject, seed=seed)
        of_windows = windows.column("recording").to_pylist()
        unseen = np.array([split not in tuned_on for split in windows.column("split").to_pylist()], dtype=bool)
        # Labels that a tuned encoder has learnt by heart say nothing of what it kept.
        told_of = {"codes": np.where(unseen, codes, -1), "groups": groups_of(windows)}
        findings.append(collapse(points, n_classes=n_classes, **told_of, recordings=of_windows, subject=subject, seed=seed))
        findings.append(hubs(points, windows, subject=subject, seed=seed))
        wrong = label_errors(points[unseen], windows.filter(pa.array(unseen)), labels, task, subject=subject, seed=seed)
        findings.append(_in_view_of(findings, wrong))
        if predictions is not None:
            findings += confusions(predictions, windows, labels, task, subject=subject, seed=seed)
    return findings


def _in_view_of(confounded: list[Finding], wrong: Finding) -> Finding:
    """Label errors where the label is confounded: a window of the rarer species of a site sounds like the site's commonest, its label right."""
    tied = any(finding.check == "confounds" and finding.verdict == "problem" for finding in confounded)
    if not tied or wrong.verdict != "problem":
        return wrong
    caution = "They may be right: the label goes with a confound here, and a window sounds like where it was recorded: see the confounds."
    return replace(wrong, verdict="look", sentence=f"{wrong.sentence} {caution}")
