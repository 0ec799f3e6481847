"""The training card: what a tuned encoder knows of its making, as plain JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from callspace.adaptation.background import BackgroundPolicy
from callspace.adaptation.imbalance import class_report
from callspace.adaptation.recipes import Recipe
from callspace.adaptation.regimes import Regime
from callspace.datasets import SPLITS, Dataset
from callspace.encoders.contract import Encoder
from callspace.encoders.licences import notice

__all__ = ["VALID_METRICS", "training_card"]

#: What an epoch, a learning rate and a choice are judged by on valid.
VALID_METRICS = {"classification": "accuracy", "detection": "map"}


def training_card(
    dataset: Dataset,
    encoder: Encoder,
    regime: Regime,
    policy: BackgroundPolicy,
    recipe: Recipe,
    rows: Sequence[int],
    targets: np.ndarray,
    *,
    seed: int,
) -> dict[str, Any]:
    """All but what came of training.

    Parameters
    ----------
    encoder : Encoder
        The one that it started from.
    recipe : Recipe
        As it was used.
    rows : sequence of int
        Of the windows table, those that are trained on.
    targets : float32[rows, outputs]
    """
    from importlib.metadata import version

    return {
        "regime": regime.name,
        "background": policy.amount,
        "policy": policy.name,
        "seed": seed,
        "recipe": recipe.name,
        "recipe_fields": asdict(recipe) | {"learning_rates": list(recipe.learning_rates)},
        "dataset": dataset.name,
        "source": dataset.source,
        "dataset_fingerprint": dataset.fingerprint(),
        "task": dataset.task,
        "window_s": dataset.window_s,
        "speed": dataset.speed,
        "band": dataset.band,
        "splits": {split: _of_split(dataset, split) for split in SPLITS},
        "train_windows": len(rows),
        "classes": class_report(dataset, rows, recipe, targets),
        "base": encoder.spec.name,
        "base_fingerprint": encoder.fingerprint(),
        "base_origin": encoder.origin,
        "licence": encoder.spec.weights.licence if encoder.spec.weights else None,
        "licence_notice": notice(encoder.spec),
        "valid_metric": VALID_METRICS[dataset.task],
        "versions": {name: version(name) for name in ("callspace", "torch")},
    }


def _of_split(dataset: Dataset, split: str) -> dict[str, int]:
    windows = dataset.windows.take(dataset.rows(split))
    return {
        "windows": windows.num_rows,
        "labelled": sum(bool(held) for held in windows["labels"].to_pylist()),
        "recordings": len(windows["recording"].unique()),
        "groups": len(windows["group"].unique()),
    }
