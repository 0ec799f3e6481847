"""How many windows of each class there were, and what training made of it: what the card of a tuned encoder says of its classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from callspace.adaptation.losses import effective_weights, logit_adjustments
from callspace.adaptation.recipes import Recipe
from callspace.adaptation.sampling import drawn_a_window
from callspace.adaptation.targets import targets_of
from callspace.datasets import Dataset
from callspace.datasets.soundscapes import BACKGROUND

__all__ = ["class_counts", "class_report"]


def class_counts(dataset: Dataset, rows: Sequence[int]) -> dict[str, int]:
    """Windows that have each label, in the vocabulary's order; of soundscapes those without any, too, as ``background``.

    A window with several labels counts for each, so that the numbers of a soundscape can add up to more than the windows.
    """
    labels = dataset.windows["labels"].take(np.asarray(rows, dtype=np.int64))
    held = [set(names or ()) for names in labels.to_pylist()]
    found = Counter(name for names in held for name in names)
    counts = {label: found[label] for label in dataset.labels}
    if dataset.task == "detection":
        counts[BACKGROUND] = sum(not names for names in held)
    return counts


def class_report(dataset: Dataset, rows: Sequence[int], recipe: Recipe, targets: NDArray | None = None) -> list[dict[str, Any]]:
    """One line a class of what training on `rows` does with it, ready for JSON.

    Parameters
    ----------
    dataset : Dataset
    rows : sequence of int
    recipe : Recipe
        That training ran with: after a search, the one found.
    targets : float32[rows, labels or labels + 1], optional
        What training saw, where background is an output of its own, the last; else `targets_of` the rows.

    Returns
    -------
    list of dict
        ``class``; ``windows`` that have it; ``draws``: how often an epoch takes one of them, on average (None where there is none);
        ``weight``: its weight in the loss; ``logit_adjustment``: what is added to its logit in training. The last two are None for
        background without an output.
    """
    targets = targets_of(dataset, rows) if targets is None else targets
    outputs = [*dataset.labels, BACKGROUND][: targets.shape[1]]
    weights = effective_weights(recipe, targets, outputs)
    shifts = dict(zip(outputs, logit_adjustments(dataset.task, recipe.logit_adjustment, targets).tolist(), strict=True))
    draws = drawn_a_window(targets, recipe.sampling)
    members = {BACKGROUND: ~targets.any(axis=1)} | dict(zip(outputs, (targets > 0).T, strict=True))
    return [
        {
            "class": name,
            "windows": count,
            "draws": float(draws[members[name]].mean()) if count else None,
            "weight": weights.get(name),
            "logit_adjustment": shifts.get(name),
        }
        for name, count in class_counts(dataset, rows).items()
    ]
