"""From a name or a path to an encoder that is ready to embed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from callspace.encoders.checksums import sha256_of
from callspace.encoders.downloads import cached_weights
from callspace.encoders.licences import say_once
from callspace.encoders.placing import hub_revision, published_sums
from callspace.encoders.registry import RANDOM, Entry, find, is_known, split_name
from callspace.encoders.shared import PREFIX, shared_folder
from callspace.errors import CallspaceError, MissingWeightsError
from callspace.progress import SILENT, Progress

if TYPE_CHECKING:
    from callspace.encoders.contract import Encoder
    from callspace.encoders.specs import EncoderSpec

__all__ = ["check_weights", "load_encoder", "saved_folder"]


class _Request(NamedTuple):
    entry: Entry
    file: Path | None  # given by hand, or the encoder itself

    @property
    def spec(self) -> EncoderSpec:
        return self.entry.spec


def load_encoder(
    name_or_path: str | Path,
    weights: str | Path | None = None,
    *,
    layer: str | None = None,
    pool: str | None = None,
    front_end: str | None = None,
    sample_rate_hz: int | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Encoder:
    """An encoder by name, or a tuned one by its folder, in evaluation mode.

    Parameters
    ----------
    name_or_path : str or path
        ``NAME`` (published weights), ``NAME:random``, the folder of a saved encoder, or ``hub:USER/NAME[@COMMIT]`` for one on the hub.
    weights : "random" | path, optional
        Random weights, or a file in the published layout; the published ones (from the cache, or downloaded) when not given.
    layer, pool, front_end : str, optional
        Named choices of the encoder's spec; its defaults when not given.
    sample_rate_hz : int, optional
        Binds an encoder that works at the dataset's own rate; see `Encoder.bind`.
    seed : int
        Of random weights: the same seed gives the same weights, and torch's own generator is left as it was.
    progress : Progress
        Shows a download.

    Raises
    ------
    MissingWeightsError
        When there are no weights; random ones are never taken instead.
    CallspaceError
        For a name, layer, pool, front end or file that is none.

    Examples
    --------
    >>> load_encoder("resnet18:random", sample_rate_hz=16_000).spec.embedding_dim
    512
    """
    if (folder := saved_folder(name_or_path, progress)) is not None:
        return _tuned(folder, progress, {"weights": weights, "layer": layer, "pool": pool, "front end": front_end})
    request = _request(str(name_or_path), weights)
    choices = _choices(request.spec, layer, pool, front_end)
    _check_packages(request.entry)
    path = _weights_path(request, progress)
    encoder = _built(request.entry, choices, seed)
    if path is not None:
        encoder.load_weights(path)
        encoder.origin = _origin(path, request.spec)
    elif request.spec.name.endswith(RANDOM):
        encoder.origin = {"kind": "random", "seed": seed}
    if sample_rate_hz is not None:
        encoder.bind(sample_rate_hz)
    return encoder.eval()


def check_weights(name_or_path: str | Path, weights: str | Path | None = None, *, progress: Progress = SILENT) -> Path | None:
    """Whether all that `load_encoder` needs can be had, without building anything.

    Published weights that are not in the cache are downloaded.

    Returns
    -------
    Path | None
        The file of the weights; None for an encoder that needs none.

    Raises
    ------
    MissingWeightsError, CallspaceError
        As `load_encoder`.
    """
    if (folder := saved_folder(name_or_path, progress)) is not None:
        _no_choice(folder, {"weights": weights})
        from callspace.encoders.saved import network_file

        return network_file(folder)
    request = _request(str(name_or_path), weights)
    _check_packages(request.entry)
    return _weights_path(request, progress)


def saved_folder(name_or_path: str | Path, progress: Progress = SILENT) -> Path | None:
    """The folder that is meant, or None where an encoder's name is; of ``hub:USER/NAME``, fetched first where it is not here."""
    if isinstance(name_or_path, str) and name_or_path.startswith(PREFIX):
        return shared_folder(name_or_path, progress)
    if (isinstance(name_or_path, str) or name_or_path.is_file()) and is_known(str(name_or_path)):
        return None
    path = Path(name_or_path).expanduser()
    if path.is_file() and not (path.parent / "card.json").is_file():
        raise CallspaceError(f"{path} is a file: say which encoder its weights are for, with --weights NAME={path} (weights= in Python)")
    folder = path.parent if path.is_file() else path
    if folder.is_dir():
        from callspace.encoders.saved import is_saved

        if not is_saved(folder):
            raise CallspaceError(f"{folder} is not a saved encoder: it should hold card.json and model.safetensors")
        return folder
    if isinstance(name_or_path, Path) or any(mark in name_or_path for mark in "/\\~"):
        raise CallspaceError(f"there is no saved encoder at {name_or_path}")
    return None


def _tuned(folder: Path, progress: Progress, given: dict[str, Any]) -> Encoder:
    from callspace.encoders.saved import load_saved

    _no_choice(folder, given)
    encoder = load_saved(folder)
    say_once(encoder.spec, progress)
    return encoder


def _no_choice(folder: Path, given: dict[str, Any]) -> None:
    named = [what for what, value in given.items() if value is not None]
    if named:
        raise CallspaceError(
            f"the saved encoder at {folder} has its own {' and '.join(named)}: leave {'it' if len(named) == 1 else 'them'} out"
        )


def _request(name: str, weights: str | Path | None) -> _Request:
    base, random = split_name(name)
    if weights is None:
        entry = find(name)
        return _Request(entry, entry.file)
    if weights == "random":
        return _Request(find(base + RANDOM), None)
    if random:
        raise CallspaceError(f"'{name}' asks for random weights, but the weights {weights} are given too: leave one out")
    published = find(base)
    if published.spec.weights is None:
        raise CallspaceError(f"'{base}' has no weights: leave {weights} out")
    return _Request(published, Path(weights).expanduser())


def _check_packages(entry: Entry) -> None:
    """Refuse where an optional package is missing that the encoder needs, before anything is downloaded for it."""
    check = getattr(entry.build, "check_packages", None)
    if check is not None:
        check(entry.spec)


def _weights_path(request: _Request, progress: Progress) -> Path | None:
    if request.file is not None:
        if not request.file.is_file():
            raise MissingWeightsError(f"there is no weights file for '{request.spec.name}' at {request.file}")
        path = request.file
    elif request.spec.weights is None:
        return None
    else:
        path = cached_weights(request.spec.weights, request.spec.name, progress=progress)
    say_once(request.spec, progress)
    return path


def _choices(wanted: EncoderSpec, layer: str | None, pool: str | None, front_end: str | None) -> dict[str, Any]:
    """Keyword arguments of the encoder's class; a front end only where there is a choice."""
    if front_end is None or wanted.front_ends:
        return {"layer": layer, "pool": pool, **({"front_end": front_end} if front_end else {})}
    if front_end != wanted.front_end:
        raise CallspaceError(f"encoder '{wanted.name}' has no front end '{front_end}'; it has {wanted.front_end}")
    return {"layer": layer, "pool": pool}


def _built(entry: Entry, choices: dict[str, Any], seed: int) -> Encoder:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return entry.build(entry.spec, **choices)


def _origin(path: Path, wanted: EncoderSpec) -> dict[str, Any]:
    """Whether the file in use is the published one can be told by its checksum only; of Hugging Face's cache, the commit is known too."""
    found = sha256_of(path)
    sums = published_sums(path, wanted.weights) if wanted.weights is not None else []
    published = bool(sums) and all(found.startswith(known) for known in sums)
    origin = {"kind": "published" if published else "file", "file": path.name, "sha256": found}
    revision = hub_revision(path)
    return origin if revision is None else {**origin, "revision": revision}
