"""A tuned encoder as a folder, which `load_encoder` reads like any other name.

===================  ===============================================================================================
card.json            format, encoder's name and version, layer, pool, front end, sample rate, labels, head, fingerprint,
                     where the starting weights came from, and under "card" what the maker added
model.safetensors    the network's state, in the published layout: it serves as ``--weights NAME=model.safetensors`` too
model.onnx, .tflite  in its place the model file itself, of an encoder that is one, and model.toml, what was said of it
head.safetensors     the head's, where there is one
pooler.safetensors   that of what pools its frames anew, where there is one
README.md            the same for people, and for the Hugging Face hub; see `callspace.encoders.model_cards`. It is not read again
===================  ===============================================================================================

The folder is written beside its final place and renamed: it is complete or absent.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from callspace.encoders.contract import Encoder
from callspace.encoders.defects import front_end_to_build, had_study_defects, with_study_defects
from callspace.encoders.heads import build_head, describe_head
from callspace.encoders.model_cards import model_card
from callspace.encoders.pooling import build_pooler, describe_pooler
from callspace.encoders.registry import Entry, find
from callspace.encoders.weights import fill, read_state
from callspace.errors import CallspaceError
from callspace.tables import read_json, write_json, write_text

__all__ = ["FORMAT", "is_saved", "load_saved", "network_file", "save_encoder"]

FORMAT = 1
CARD, MODEL, HEAD, README = "card.json", "model.safetensors", "head.safetensors", "README.md"
POOLER = "pooler.safetensors"
SETTINGS = "model.toml"
_MODELS = (MODEL, "model.onnx", "model.tflite")


def save_encoder(encoder: Encoder, folder: str | Path, card: dict[str, Any] | None = None) -> Path:
    """Write an encoder, its head and its card.

    Parameters
    ----------
    encoder : Encoder
        From the registry, with or without a `head`.
    folder : path
        Made, or replaced where it holds a saved encoder already.
    card : dict, optional
        What is to be remembered of its making: anything that JSON holds, without NaN.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    CallspaceError
        When `folder` exists and is something else.
    """
    folder = Path(folder)
    if folder.exists() and not is_saved(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise CallspaceError(f"{folder} exists and is not a saved encoder: give another folder, or remove it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    temporary.mkdir()
    try:
        _write_network(encoder, temporary)
        if encoder.head is not None:
            _write_tensors(encoder.head, temporary / HEAD)
        if encoder.pooler is not None:
            _write_tensors(encoder.pooler, temporary / POOLER)
        write_json(_card_of(encoder, card or {}), temporary / CARD)
        write_text(model_card(encoder, card or {}), temporary / README)
        _put_in_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _card_of(encoder: Encoder, card: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": encoder.spec.name,
        "version": encoder.spec.version,
        "layer": encoder.layer,
        "pool": encoder.pool,
        "front_end": encoder.spec.front_end,
        "sample_rate_hz": encoder.sample_rate_hz,
        "embedding_dim": encoder.spec.embedding_dim,
        "labels": encoder.labels,
        "head": None if encoder.head is None else describe_head(encoder.head),
        **({} if encoder.pooler is None else {"pooler": describe_pooler(encoder.pooler)}),
        "fingerprint": encoder.fingerprint(),
        "origin": encoder.origin,
        "card": card,
    }


def _write_network(encoder: Encoder, folder: Path) -> None:
    if encoder.model_file is None:
        _write_tensors(encoder.network, folder / MODEL)
    else:
        encoder.copy_model(folder)  # type: ignore[operator]


def _write_tensors(module: nn.Module, path: Path) -> None:
    from safetensors.torch import save_file

    save_file({key: value.detach().cpu().contiguous().clone() for key, value in module.state_dict().items()}, path)
    path.chmod(path.parent.stat().st_mode & 0o666)  # safetensors writes for the owner alone; the new folder has what the umask allows


def _put_in_place(temporary: Path, folder: Path) -> None:
    if not folder.exists():
        temporary.rename(folder)
        return
    old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.old")
    folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def is_saved(folder: str | Path) -> bool:
    """Whether `folder` has the two files that every saved encoder has."""
    return (Path(folder) / CARD).is_file() and network_file(folder) is not None


def network_file(folder: str | Path) -> Path | None:
    """The file of a saved encoder's network: a state dict, or the model file of an encoder that is one; None where there is none."""
    return next((Path(folder) / name for name in _MODELS if (Path(folder) / name).is_file()), None)


def load_saved(folder: str | Path) -> Encoder:
    """Read what `save_encoder` wrote, in evaluation mode.

    An encoder that works at the dataset's own sample rate keeps the rate it was tuned at: its spec says so, and audio is resampled to it.

    Raises
    ------
    CallspaceError
        When a file is missing or broken, the format or the encoder's version is another, or the weights are not those of the card.
    """
    folder = Path(folder)
    card = _read_card(folder)
    try:
        encoder = _rebuilt(card, folder)
        labels, head, fingerprint = card["labels"], card["head"], card["fingerprint"]
        encoder.card, encoder.origin = card["card"], {**card["origin"], "kind": "tuned"}
    except (KeyError, TypeError, ValueError) as error:
        raise CallspaceError(f"{folder / CARD} is not the card of a saved encoder: {type(error).__name__} {error}") from None
    model = network_file(folder)
    assert model is not None
    if model.name == MODEL:
        fill(encoder.network, read_state(model), model)
    else:
        encoder.load_weights(model)
    if card.get("pooler") is not None:
        pooler = build_pooler(card["pooler"])
        fill(pooler, read_state(folder / POOLER), folder / POOLER)
        encoder.pooler = pooler
    if encoder.fingerprint() != fingerprint:
        raise CallspaceError(
            f"{model if encoder.pooler is None else f'{model} or {POOLER}'} does not hold the weights that {CARD} describes (their fingerprint is {encoder.fingerprint()}, not {fingerprint}): "
            "one of the two was changed or exchanged; save the encoder again"
        )
    encoder.labels = labels
    if head is not None:
        encoder.head = build_head(head)
        fill(encoder.head, read_state(folder / HEAD), folder / HEAD)
        if labels is not None and len(labels) != head["out_features"]:
            raise CallspaceError(f"{folder / CARD} names {len(labels)} labels, but the head has {head['out_features']} outputs")
    return encoder.eval()


def _read_card(folder: Path) -> dict[str, Any]:
    if not is_saved(folder):
        raise CallspaceError(f"{folder} is not a saved encoder: it should hold {CARD} and {MODEL}")
    try:
        card = read_json(folder / CARD)
    except ValueError as error:
        raise CallspaceError(f"{folder / CARD} is not JSON: {error}") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found = card.get("format") if isinstance(card, dict) else None
        raise CallspaceError(
            f"{folder / CARD} has format {found!r}, and this callspace reads format {FORMAT}: was it saved by another version?"
        )
    return card


def _rebuilt(card: dict[str, Any], folder: Path) -> Encoder:
    entry = _entry(card["name"], folder)
    published = entry.spec
    if published.version != card["version"]:
        raise CallspaceError(
            f"the saved encoder is version {card['version']} of '{card['name']}', and this callspace has version {published.version}, which "
            "would embed the same audio differently: tune it again, or use the callspace that saved it"
        )
    choices = {"layer": card["layer"], "pool": card["pool"]}
    if published.front_ends:
        choices["front_end"] = front_end_to_build(card["front_end"])
    rate = int(card["sample_rate_hz"])
    with torch.random.fork_rng(devices=[]):
        encoder = entry.build(published, **choices)
    if had_study_defects(card, published):
        encoder = with_study_defects(encoder)
    encoder.bind(rate)
    encoder.spec = replace(encoder.spec, sample_rate_hz=rate)
    return encoder


def _entry(name: str, folder: Path) -> Entry:
    """What the name stands for; of a model file that was someone's own, the copy in the folder, under the name it had."""
    if not (folder / SETTINGS).is_file():
        return find(name)
    own = find(str(network_file(folder)))
    return replace(own, spec=replace(own.spec, name=name))
