"""``callspace models export`` and ``push``: a tuned encoder as an ONNX file, and on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from callspace.errors import CallspaceError

if TYPE_CHECKING:
    from callspace.encoders.contract import Encoder

__all__ = ["export", "push"]

_Folder = Annotated[
    str, typer.Argument(metavar="FOLDER", help="Of a tuned encoder, as `callspace finetune` writes it.", show_default=False)
]


def export(
    folder: _Folder,
    onnx: Annotated[Path, typer.Option("--onnx", metavar="FILE", help="Where the ONNX file goes; ends in .onnx.", show_default=False)],
    window: Annotated[
        float | None,
        typer.Option(
            "--window", metavar="SECONDS", help="What the file takes at once; the window it was tuned on, otherwise.", show_default=False
        ),
    ] = None,
) -> None:
    """Write a tuned encoder as an ONNX file: waveforms in, embeddings and logits out, the front end inside.

    The file is kept only where it answers as the encoder does. It is an encoder itself: --encoder FILE.onnx.
    """
    from callspace.downloads import size_text
    from callspace.encoders.export.onnx import export_onnx
    from callspace.encoders.licences import notice
    from callspace.progress import terminal_progress

    encoder = _tuned(folder)
    window_s = _window(encoder, folder, window)
    progress = terminal_progress()
    if (sentence := notice(encoder.spec)) is not None:
        progress.say(sentence)
    found = export_onnx(encoder, onnx, window_s=window_s)
    outputs = ", ".join(f"{name} ({dim} {'numbers' if name == 'embedding' else 'labels'})" for name, dim in found["outputs"].items())
    typer.echo(f"Wrote {onnx}, {size_text(found['bytes'])}.")
    typer.echo(
        f"  takes    windows of {found['samples'] / found['sample_rate_hz']:g} s: {found['samples']} samples at {found['sample_rate_hz']} Hz"
    )
    typer.echo(f"  gives    {outputs}")
    typer.echo(
        f"  checked  with ONNX Runtime: within {found['error']:.1g} of the encoder's own answers (allowed: 1e-4 of the greatest value)"
    )
    typer.echo(f"  use      callspace embed DATA --encoder {onnx} --window {found['samples'] / found['sample_rate_hz']:g} --out store")


def push(
    folder: _Folder,
    repository: Annotated[str, typer.Argument(metavar="USER/NAME", help="The repository; made where there is none.", show_default=False)],
    public: Annotated[bool, typer.Option("--public", help="Let everybody read a new repository; private, otherwise.")] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="BRANCH", help="A branch other than main.", show_default=False)
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Pass on what is made from weights that are non-commercial, or without a licence.")
    ] = False,
) -> None:
    """Put a tuned encoder on the Hugging Face hub: --encoder hub:USER/NAME then uses it anywhere.

    Nothing is sent but its weights, labels and cards. Log in first: hf auth login, or HF_TOKEN.
    """
    from callspace.encoders.export.hub import push_to_hub
    from callspace.encoders.licences import notice
    from callspace.progress import terminal_progress

    encoder = _tuned(folder)
    if yes and (sentence := notice(encoder.spec)) is not None:
        terminal_progress().say(sentence)
    address = push_to_hub(folder, repository, private=not public, revision=revision, licence_accepted=yes)
    commit = address.rstrip("/").rpartition("/")[2]
    typer.echo(f"Pushed: {address}")
    typer.echo(f"Use it as --encoder hub:{repository.removeprefix('hub:')}@{commit}")


def _tuned(folder: str) -> Encoder:
    """The encoder of a folder; an encoder's name is none."""
    from callspace.encoders.load import saved_folder
    from callspace.encoders.saved import load_saved

    if (found := saved_folder(folder)) is not None:
        return load_saved(found)
    from callspace.encoders.registry import is_known

    if is_known(folder):
        raise CallspaceError(
            f"'{folder}' is an encoder's name, not the folder of a tuned one: callspace finetune DATA --encoder {folder} --out FOLDER makes one"
        )
    raise CallspaceError(f"there is no folder '{folder}': give that of a tuned encoder, as callspace finetune writes it")


def _window(encoder: Encoder, folder: str, window: float | None) -> float:
    chosen = encoder.card.get("window_s") if window is None else window
    if chosen is None and encoder.spec.max_window_s is not None:
        return encoder.spec.max_window_s
    if chosen is None:
        raise CallspaceError(f"the card of {folder} does not say how long its windows were: say it, with --window SECONDS")
    return float(chosen)
