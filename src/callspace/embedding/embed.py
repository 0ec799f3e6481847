"""Embedding a dataset with an encoder: into memory, or into a store that is continued where it stopped."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from callspace.datasets import Dataset, load_dataset
from callspace.embedding.pipeline import BATCH_SIZE, choose_device, embed_rows
from callspace.embedding.store import Embeddings, Store, window_keys
from callspace.encoders.contract import Encoder
from callspace.errors import CallspaceError
from callspace.progress import SILENT, Progress

__all__ = ["SHARD_ROWS", "describe_encoder", "embed"]

SHARD_ROWS = 512


def embed(
    source: Dataset | str | os.PathLike[str],
    encoder: Encoder,
    out: str | os.PathLike[str] | None = None,
    *,
    engine: str = "local",
    device: str | None = None,
    batch_size: int = BATCH_SIZE,
    progress: Progress = SILENT,
) -> Embeddings:
    """Embed every window of a dataset.

    Parameters
    ----------
    source : Dataset, path or str
        A dataset, or what `load_dataset` takes.
    encoder : Encoder
        From `load_encoder` or `finetune`.
    out : path, optional
        A folder for the store; windows already in it are not computed again. Without it, embeddings stay in memory.
    engine : "local"
    device : str, optional
        "cpu", "cuda", "cuda:1", "mps"; the best there is, when not given.
    batch_size : int

    Returns
    -------
    Embeddings

    Raises
    ------
    CallspaceError
        The source is no dataset, the store belongs to another encoder, or an embedding is not finite.
    """
    if engine != "local":
        raise CallspaceError(f"engine '{engine}' is not available: use 'local'")
    dataset = source if isinstance(source, Dataset) else load_dataset(source, progress=progress)
    encoder.bind(dataset.sample_rate_hz)
    about = {"dataset": dataset.describe(), "encoder": describe_encoder(encoder)}
    where = choose_device(device)
    encoder.to(where)
    total = dataset.windows.num_rows
    with progress.task(f"embedding with {encoder.spec.name}", total) as advance:

        def compute(rows: list[int]) -> np.ndarray:
            vectors = embed_rows(dataset, encoder, rows, device=where, batch_size=batch_size, advance=advance)
            if not np.isfinite(vectors).all():
                raise CallspaceError(
                    f"encoder '{encoder.spec.name}' gave embeddings that are not finite: its weights or its input are damaged"
                )
            return vectors

        if out is None:
            return Embeddings(np.concatenate([compute(rows) for rows in _shards(range(total))]), dataset.windows, about)
        store = Store(Path(out), about)
        keys = window_keys(dataset)
        stored = store.stored_keys()
        missing = [row for row, key in enumerate(keys) if key not in stored]
        advance(total - len(missing))
        for rows in _shards(missing):
            store.append([keys[row] for row in rows], compute(rows))
    store.finish(dataset.windows, keys)
    return store.read()


def describe_encoder(encoder: Encoder) -> dict[str, Any]:
    """What provenance and reports say of an encoder, as plain JSON values."""
    spec = encoder.spec
    return {
        "name": spec.name,
        "pretraining": spec.pretraining,
        "fingerprint": encoder.fingerprint(),
        "layer": encoder.layer,
        "pool": encoder.pool,
        "front_end": spec.front_end,
        "sample_rate_hz": encoder.sample_rate_hz,
        "embedding_dim": spec.embedding_dim,
        "parameters": sum(parameter.numel() for parameter in encoder.parameters()),
        "weights": spec.weights.url if spec.weights else None,
        "licence": spec.weights.licence if spec.weights else None,
        "citation": spec.citation,
    }


def _shards(rows: Sequence[int]) -> list[list[int]]:
    return [list(rows[start : start + SHARD_ROWS]) for start in range(0, len(rows), SHARD_ROWS)]
