"""Where a run's numbers come from: versions, seeds, fingerprints, licences, and the command.

Each of a run's ``encoders`` is what `callspace.embedding.embed.describe_encoder` says of one reading of it, with ``called``, what the user
calls it (a tuned one is a folder, whose own ``name`` is that of what it was tuned from), and ``trainable``.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from callspace.bench.plan import Cell
from callspace.datasets import Dataset

__all__ = ["described_as", "provenance"]

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


def described_as(about: Mapping[str, Any], called: str, layer: str, pool: str) -> list[dict[str, Any]]:
    """What a `provenance.json` holds says of an encoder that the user calls so, read so: an entry a network, of random weights one a seed."""
    wanted = (called, layer, pool)
    return [one for one in about.get("encoders") or [] if (one.get("called"), one.get("layer"), one.get("pool")) == wanted]
