"""Embedding a dataset with an encoder: into memory, or into a store that is continued where it stopped."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from callspace.datasets import Dataset, load_dataset
from callspace.embedding.pipeline import BATCH_SIZE, choose_device, embed_rows
from callspace.embedding.store import Embeddings, Store, window_keys
from callspace.encoders.contract import Encoder
from callspace.encoders.licences import notice
from callspace.errors import CallspaceError
from callspace.progress import SILENT, Progress

__all__ = ["SHARD_ROWS", "describe_encoder", "embed", "embed_layers", "tuned_on"]

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
    stores = None if out is None else {encoder.layer: Path(out)}
    return embed_layers(source, encoder, (encoder.layer,), stores, engine=engine, device=device, batch_size=batch_size, progress=progress)[
        encoder.layer
    ]


def embed_layers(
    source: Dataset | str | os.PathLike[str],
    encoder: Encoder,
    layers: Sequence[str] | None = None,
    out: str | os.PathLike[str] | Mapping[str, Path] | None = None,
    *,
    engine: str = "local",
    device: str | None = None,
    batch_size: int = BATCH_SIZE,
    progress: Progress = SILENT,
) -> dict[str, Embeddings]:
    """Embed every window of a dataset at several layers of an encoder, in one pass.

    Parameters
    ----------
    layers : sequence of str, optional
        All of ``encoder.spec.layers``, when not given.
    out : path or mapping of layer to path, optional
        A folder with a store for each layer, ``out/LAYER``; or each layer's own folder.

    The other parameters, what is raised, and a store that is continued are those of `embed`.

    Returns
    -------
    dict of str to Embeddings
    """
    if engine != "local":
        raise CallspaceError(f"engine '{engine}' is not available: use 'local'")
    dataset = source if isinstance(source, Dataset) else load_dataset(source, progress=progress)
    encoder.bind(dataset.sample_rate_hz)
    read_at = {layer: encoder.at(layer) for layer in (layers or encoder.spec.layers)}
    about = {layer: {"dataset": dataset.describe(), "encoder": describe_encoder(at)} for layer, at in read_at.items()}
    where = choose_device(device)
    encoder.to(where)
    _say_tuned_otherwise(dataset, encoder, progress)
    _say_unheard(dataset, encoder, progress)
    total = dataset.windows.num_rows
    with progress.task(f"embedding with {encoder.spec.name}", total) as advance:

        def compute(rows: list[int]) -> dict[str, np.ndarray]:
            found = embed_rows(dataset, encoder, rows, layers=tuple(read_at), device=where, batch_size=batch_size, advance=advance)
            if not all(np.isfinite(vectors).all() for vectors in found.values()):
                raise CallspaceError(
                    f"encoder '{encoder.spec.name}' gave embeddings that are not finite: its weights or its input are damaged"
                )
            return found

        if out is None:
            parts = [compute(rows) for rows in _shards(range(total))]
            return {layer: Embeddings(np.concatenate([part[layer] for part in parts]), dataset.windows, about[layer]) for layer in read_at}
        folders = out if isinstance(out, Mapping) else {layer: Path(out) / layer for layer in read_at}
        stores = {layer: Store(Path(folders[layer]), about[layer]) for layer in read_at}
        keys = window_keys(dataset)
        lacking = {layer: set(keys) - set(store.stored_keys()) for layer, store in stores.items()}
        missing = [row for row, key in enumerate(keys) if any(key in own for own in lacking.values())]
        advance(total - len(missing))
        for rows in _shards(missing):
            found = compute(rows)
            for layer, store in stores.items():
                if kept := [number for number, row in enumerate(rows) if keys[row] in lacking[layer]]:
                    store.append([keys[rows[number]] for number in kept], found[layer][kept])
    for store in stores.values():
        store.finish(dataset.windows, keys)
    return {layer: store.read() for layer, store in stores.items()}


def _say_tuned_otherwise(dataset: Dataset, encoder: Encoder, progress: Progress) -> None:
    """Warn where a tuned encoder is given sound at another speed, or with another filter, than it was tuned on."""
    card = encoder.card
    if not card:
        return
    if (speed := card.get("speed", 1.0)) != dataset.speed:
        progress.say(
            f"'{encoder.spec.name}' was tuned on sound at a speed of {speed:g} and hears this at {dataset.speed:g}: its embeddings are of "
            f"another sound than it has learnt; --speed {speed:g} gives it what it knows."
        )
    if (band := card.get("band", False)) != dataset.band:
        told = "each window filtered to its annotation's frequencies (--band)", "unfiltered windows (without --band)"
        progress.say(f"'{encoder.spec.name}' was tuned on {told[not band]}, and is given {told[band]} here.")


def _say_unheard(dataset: Dataset, encoder: Encoder, progress: Progress) -> None:
    """Warn of windows whose band lies wholly above what the encoder can hear."""
    import pyarrow.compute as pc

    highest = encoder.sample_rate_hz / dataset.speed / 2
    if dataset.band and (silent := pc.sum(pc.greater_equal(dataset.windows["low_hz"], highest)).as_py()):
        progress.say(
            f"{silent:,} windows lie above {highest:,.0f} Hz, the highest frequency that '{encoder.spec.name}' hears here: it is given silence; "
            "slow the sound with --speed, or leave out --band."
        )


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
        "origin": encoder.origin,
        "tuned_on": tuned_on(encoder.card),
        "licence": spec.weights.licence if spec.weights else None,
        "licence_notice": notice(spec),
        "note": spec.remarks,
        "citation": spec.citation,
    }


def tuned_on(card: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a tuned encoder was tuned on, by its card: ``dataset``, ``source``, ``dataset_fingerprint`` and ``regime``.

    Where it had been tuned before that, ``before`` has the same of each earlier time. None for an encoder that was never tuned.
    """
    if not card.get("dataset"):
        return None
    earlier = [_tuning(one) for one in card.get("before") or []]
    return _tuning(card) | ({"before": earlier} if earlier else {})


def _tuning(card: Mapping[str, Any]) -> dict[str, Any]:
    return {name: card.get(name) for name in ("dataset", "source", "dataset_fingerprint", "regime")}


def _shards(rows: Sequence[int]) -> list[list[int]]:
    return [list(rows[start : start + SHARD_ROWS]) for start in range(0, len(rows), SHARD_ROWS)]
