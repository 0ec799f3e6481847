"""Tuned encoders of the Hugging Face hub by name: ``hub:USER/NAME``, or ``hub:USER/NAME@COMMIT``.

They are what `callspace models push` put there: the folder of a saved encoder. Of a repository only the card and safetensors are fetched,
into Hugging Face's own cache, each held against the checksum that the hub states, and the whole against the card's fingerprint. What is in
the cache is taken from there without asking the hub, so an encoder stays what it was until another commit is named.
"""

from __future__ import annotations

import re
from pathlib import Path

from callspace.encoders.downloads import cached_weights
from callspace.encoders.specs import Weights
from callspace.errors import CallspaceError
from callspace.progress import SILENT, Progress
from callspace.tables import read_json

__all__ = ["PREFIX", "shared_folder"]

PREFIX = "hub:"
_NAME = re.compile(r"hub:(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def shared_folder(name: str, progress: Progress = SILENT) -> Path:
    """The folder of a tuned encoder of the hub, fetched first where it is not here.

    Parameters
    ----------
    name : str
        ``hub:USER/NAME`` with ``@`` and a commit, a tag or a branch, or without: then ``main``, as it was when it was fetched.
    progress : Progress

    Returns
    -------
    Path
        Of one commit, in Hugging Face's cache.

    Raises
    ------
    MissingWeightsError
        When it can't be had.
    CallspaceError
        When it is no name of a repository, or the repository holds no tuned encoder.
    """
    if (match := _NAME.fullmatch(name)) is None:
        raise CallspaceError(f"'{name}' is no encoder of the hub: write hub:USER/NAME, or hub:USER/NAME@COMMIT")
    return _folder(match["repository"], match["revision"] or "main", name, progress)


def _folder(repository: str, revision: str, name: str, progress: Progress) -> Path:
    def fetched(file: str) -> Path:
        return cached_weights(Weights.on_hub(repository, file, licence="", revision=revision), name, progress=progress)

    card = fetched("card.json")
    try:
        said = read_json(card)
    except ValueError:
        said = None
    if not isinstance(said, dict) or "fingerprint" not in said:
        raise CallspaceError(f"'{name}' is not a tuned encoder: its card.json is not one that callspace wrote")
    files = [card, fetched("model.safetensors")]
    files += [fetched(f"{part}.safetensors") for part in ("head", "pooler") if said.get(part) is not None]
    if len({file.parent for file in files}) > 1:
        raise CallspaceError(f"'{name}' changed while it was fetched: name its commit, {name.partition('@')[0]}@COMMIT")
    return card.parent
