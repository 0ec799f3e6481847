"""``callspace demo``: the main job on the built-in data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["demo"]

ENCODERS = ("mfcc", "resnet18:random", "callspace-small:random", "callspace-small")


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="The run's folder.")] = Path("runs/demo"),
    device: Annotated[str | None, typer.Option("--device", metavar="NAME", help="cpu, cuda, mps; the best there is otherwise.")] = None,
) -> None:
    """Run the bench on the built-in soundscapes: no download, a few minutes."""
    from callspace.bench.bench import bench
    from callspace.cli.bench import show_run
    from callspace.datasets import load_dataset
    from callspace.progress import terminal_progress

    progress = terminal_progress()
    progress.say(
        "The built-in soundscapes: invented species, made from a seed. Nothing is downloaded: callspace-small comes with callspace, pretrained on "
        "other invented sounds; NAME:random starts from random weights."
    )
    dataset = load_dataset("demo", progress=progress)
    run = bench(
        dataset,
        ENCODERS,
        ("frozen", "linear", "full"),
        (1.0, 0.0),
        protocol="quick",
        out=out,
        device=device,
        command="callspace demo",
        progress=progress,
    )
    show_run(run.folder)
