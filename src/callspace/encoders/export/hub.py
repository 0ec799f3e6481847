"""A tuned encoder on the Hugging Face hub: put there on request, by Hugging Face's own library, and nothing else.

What goes there is written anew from the folder: its weights, its labels, its cards, without anything else that lies in it and without the
place of the recordings on this computer. `load_encoder("hub:USER/NAME")` reads it; see `callspace.encoders.shared`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from callspace.encoders.contract import Encoder
from callspace.encoders.licences import notice
from callspace.encoders.saved import is_saved, load_saved
from callspace.errors import CallspaceError

__all__ = ["push_to_hub"]

#: What a new repository holds before anything was put there.
_EMPTY = {".gitattributes", "README.md", "LICENSE"}


def push_to_hub(
    folder: str | Path,
    repository: str,
    *,
    private: bool = True,
    token: str | None = None,
    revision: str | None = None,
    licence_accepted: bool = False,
) -> str:
    """Put a saved encoder on the Hugging Face hub.

    Parameters
    ----------
    folder : path
        Of `Encoder.save`.
    repository : str
        ``USER/NAME``; made, where there is none. One that holds something else is left alone.
    private : bool
        Whether a new repository can be read by nobody else; one that is there stays as it is.
    token : str, optional
        Of an account that may write there; the one that is logged in (``hf auth login``, or ``HF_TOKEN``) when not given.
    revision : str, optional
        The branch; ``main``, when not given.
    licence_accepted : bool
        Needed where the weights that the encoder started from are not for commercial use, or no licence is stated for them: whoever passes
        them on answers for it.

    Returns
    -------
    str
        The web address of the commit, which ends in its hash.

    Raises
    ------
    CallspaceError
        The folder is no saved encoder, its licence was not accepted, or the hub refuses or can't be reached.
    """
    folder, name = Path(folder), _repository(repository)
    if not is_saved(folder):
        raise CallspaceError(f"{folder} is not a saved encoder: it should hold card.json and model.safetensors")
    encoder = load_saved(folder)
    sentence = notice(encoder.spec)
    if sentence is not None and not licence_accepted:
        raise CallspaceError(f"{sentence}; to put it on the hub all the same, say that you may: --yes (licence_accepted=True in Python)")
    api = _api(token)
    with tempfile.TemporaryDirectory(prefix="callspace-") as place:
        staged = encoder.save(Path(place) / "encoder", _public(encoder))
        try:
            api.create_repo(name, private=private, exist_ok=True)
            if revision not in (None, "main"):
                api.create_branch(name, branch=str(revision), exist_ok=True)
            _check_empty_or_ours(api, name, revision)
            done = api.upload_folder(
                repo_id=name,
                folder_path=staged,
                revision=revision,
                commit_message=f"{encoder.card.get('base') or encoder.spec.name}, saved by callspace",
            )
        except CallspaceError:
            raise
        except Exception as error:  # of the hub's library and of its connections: told apart below
            raise CallspaceError(f"{folder} was not put on the hub: {_reason(error, name)}") from None
    return str(done.commit_url)


def _api(token: str | None) -> Any:
    """The hub's interface; refuses where nobody is logged in, before anything is asked."""
    from huggingface_hub import HfApi, constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise CallspaceError("HF_HUB_OFFLINE is set, so nothing can be put on the hub: unset it")
    if not (token or get_token()):
        raise CallspaceError(
            "nobody is logged in to the Hugging Face hub: run `hf auth login` with a token that may write "
            "(https://huggingface.co/settings/tokens), or set HF_TOKEN to one"
        )
    return HfApi(token=token, library_name="callspace")


def _repository(repository: str) -> str:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    name = repository.removeprefix("hub:")
    try:
        validate_repo_id(name)
    except HFValidationError:
        name = ""
    if name.count("/") != 1:
        raise CallspaceError(f"'{repository}' is no name of a repository: write USER/NAME, in letters, digits, '-', '_' and '.'")
    return name


def _public(encoder: Encoder) -> dict[str, Any]:
    """The training card without the places of recordings, where they are on this computer; those of earlier tunings too."""
    card = _without_place(encoder.card)
    return card | {"before": [_without_place(row) for row in card["before"]]} if card.get("before") else card


def _without_place(card: dict[str, Any]) -> dict[str, Any]:
    source = str(card.get("source") or "")
    here = Path(source).is_absolute() or any(mark in source for mark in "\\~") or source.startswith(".") or Path(source).exists()
    return {key: value for key, value in card.items() if key != "source" or not here}


def _check_empty_or_ours(api: Any, name: str, revision: str | None) -> None:
    """Refuse a repository that holds something else."""
    there = set(api.list_repo_files(name, revision=revision))
    if "card.json" not in there and not there <= _EMPTY:
        some = ", ".join(sorted(there - _EMPTY)[:3])
        raise CallspaceError(f"the repository {name} holds something else ({some}): give another name")


def _reason(error: Exception, name: str) -> str:
    """What the hub answered, or that it did not."""
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        said = (error.server_message or "").strip().splitlines()
        own = {
            401: "the token is not one that the hub knows: run `hf auth login` again",
            403: f"this account, or this token, may not write to {name}: take a name under your own account, and a token that may write",
            404: f"the hub has no repository {name} that this account may write to",
        }.get(status, f"the hub answered {status}")
        return own + (f" ({said[0][:200]})" if said else "")
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return f"the hub can't be reached, or broke off ({first})"
