"""Where a run's numbers come from: versions, seeds, fingerprints, licences, and the command."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from typing import Any

from callspace.bench.plan import Cell
from callspace.datasets import Dataset

__all__ = ["provenance"]

_PACKAGES = (
    "torch",
    "transformers",
    "lightning-fabric",
    "numpy",
    "scipy",
    "scikit-learn",
    "umap-learn",
    "openTSNE",
    "soundfile",
    "soxr",
    "pyarrow",
)


def provenance(
    dataset: Dataset, cells: Sequence[Cell], encoders: Sequence[dict[str, Any]], device: str, command: str | None, created: str
) -> dict[str, Any]:
    """What `provenance.json` holds."""
    import torch

    return {
        "callspace": importlib.metadata.version("callspace"),
        "created": created,
        "command": command,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": device,
        "torch_threads": torch.get_num_threads(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "seeds": sorted({cell.seed for cell in cells}),
        "dataset_fingerprint": dataset.fingerprint(),
        "encoders": list(encoders),
    }
