"""The background policy: what share of the background windows of the train split an encoder is fitted on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from callspace.datasets import Dataset
from callspace.errors import CallspaceError

__all__ = ["keep_background", "training_rows"]


def keep_background(is_background: Sequence[bool], share: float, *, seed: int) -> np.ndarray:
    """Which windows stay when a share of the background is kept.

    Labelled windows all stay. A smaller share is a subset of a larger one under the same seed, so that policies differ in how much
    background there is and in nothing else.

    Parameters
    ----------
    is_background : sequence of bool
    share : float
        From 0 to 1; ``round(share * background windows)`` are kept.
    seed : int

    Returns
    -------
    bool[n]
    """
    if not 0 <= share <= 1:
        raise CallspaceError(f"the share of background kept must lie between 0 and 1, not {share:g}")
    background = np.asarray(is_background, dtype=bool)
    keep = ~background
    candidates = np.random.default_rng([seed, 0xBAC6]).permutation(np.flatnonzero(background))
    keep[candidates[: round(share * len(candidates))]] = True
    return keep


def training_rows(dataset: Dataset, share: float, *, seed: int) -> list[int]:
    """Rows of the train split that remain under a background policy."""
    rows = dataset.rows("train")
    labels = dataset.windows["labels"]
    keep = keep_background([not labels[row].as_py() for row in rows], share, seed=seed)
    return [row for row, kept in zip(rows, keep, strict=True) if kept]
