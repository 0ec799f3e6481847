"""What several modules of the bench say or ask alike: the main score, which pretraining heard sound, undecided differences, and lists in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from callspace.metrics.multiple import ALIKE

__all__ = ["METRIC_WORDS", "SILENT_KINDS", "SOUND_KINDS", "is_alike", "listed", "main_metric", "would_show"]

#: The main scores as they are written.
METRIC_WORDS = {"accuracy": "accuracy", "map": "mAP"}

#: Kinds of pretraining that heard sound, and those that never did.
SOUND_KINDS = ("audio", "speech", "bioacoustic")
SILENT_KINDS = ("none", "image")


def main_metric(task: str) -> str:
    """What encoders are ranked by: accuracy for clips, mAP for soundscapes."""
    return "accuracy" if task == "classification" else "map"


def is_alike(row: Mapping[str, Any]) -> bool:
    """Whether a comparison says that there is no difference that matters, and not that there is too little data: by its verdict, else its interval."""
    if row.get("verdict") is not None:
        return bool(row["verdict"] == "alike")
    return row.get("ci_low") is not None and row.get("ci_high") is not None and row["ci_low"] >= -ALIKE and row["ci_high"] <= ALIKE


def would_show(row: Mapping[str, Any]) -> str:
    """``only a difference of about 0.12 would show``, with how many groups there are, where both are known; empty where it is not."""
    if row.get("detectable") is None:
        return ""
    groups = f"with its {row['n_groups']} groups " if row.get("n_groups") else ""
    return f"{groups}only a difference of about {row['detectable']:.2f} would show"


def listed(names: Sequence[str], last: str = "and") -> str:
    """``a, b and c``, each once."""
    names = list(dict.fromkeys(names))
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else "".join(names)
