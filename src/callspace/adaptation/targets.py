"""Labels as numbers: one index a clip, or a 0 and 1 for each label of a soundscape's window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from callspace.datasets import Dataset
from callspace.metrics.classification import accuracy
from callspace.metrics.ranking import mean_average_precision

__all__ = ["loss_of", "targets_of", "valid_score"]


def targets_of(dataset: Dataset, rows: Sequence[int]) -> np.ndarray:
    """float32[rows, labels]: 1 where a label is on. A clip has one; a background window has none."""
    place = {label: number for number, label in enumerate(dataset.labels)}
    labels = dataset.windows["labels"]
    out = np.zeros((len(rows), len(dataset.labels)), dtype=np.float32)
    for number, row in enumerate(rows):
        for label in labels[row].as_py():
            out[number, place[label]] = 1
    return out


def loss_of(task: str, logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy for clips; binary cross-entropy, one output a label, for soundscapes. The mean over the batch."""
    if task == "classification":
        return functional.cross_entropy(logits, targets.argmax(dim=1))
    return functional.binary_cross_entropy_with_logits(logits, targets)


def valid_score(task: str, logits: np.ndarray, targets: np.ndarray) -> float:
    """What an epoch is chosen by: accuracy for clips, mAP over the labels present for soundscapes; higher is better."""
    if task == "classification":
        return float(accuracy(targets.argmax(axis=1), logits.argmax(axis=1)))
    value = mean_average_precision(targets, torch.from_numpy(logits).sigmoid().numpy())
    return float(np.nan_to_num(value))
