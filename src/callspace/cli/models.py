"""``callspace models``: what encoders there are."""

from __future__ import annotations

from typing import Annotated, Any

import typer

__all__ = ["app"]

app = typer.Typer(help="The encoders: what they expect, where their weights come from, under which licence.", invoke_without_command=True)


@app.callback()
def models(context: typer.Context) -> None:
    """List the encoders."""
    if context.invoked_subcommand is None:
        list_models()


@app.command("list")
def list_models() -> None:
    """List the encoders, and whether their weights are here."""
    from rich.console import Console
    from rich.table import Table

    from callspace.encoders.registry import names, spec

    table = Table(box=None, pad_edge=False)
    for column in ("encoder", "pretraining", "rate", "dim", "tunable", "weights", "licence"):
        table.add_column(column, justify="right" if column in ("rate", "dim") else "left", overflow="fold")
    for name in names():
        found = spec(name)
        rate = "data's" if found.sample_rate_hz is None else f"{found.sample_rate_hz:,} Hz"
        licence = found.weights.licence.split(" (")[0] if found.weights else "–"
        table.add_row(
            name, found.pretraining, rate, str(found.embedding_dim), "yes" if found.trainable else "no", _presence(found), licence
        )
    Console().print(table)
    typer.echo("\nNAME:random takes random weights; --weights NAME=FILE takes a file; `callspace models show NAME` says more.")


@app.command("show")
def show(name: Annotated[str, typer.Argument(help="An encoder's name.")]) -> None:
    """Say all that is known of one encoder."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from callspace.encoders.registry import spec
    from callspace.paths import cache_folder

    found = spec(name)
    rows: list[tuple[str, Any]] = [
        ("encoder", found.name),
        ("pretraining", found.pretraining),
        ("sample rate", "the dataset's own" if found.sample_rate_hz is None else f"{found.sample_rate_hz:,} Hz"),
        ("window", _window(found)),
        ("embedding", f"{found.embedding_dim} dimensions"),
        ("layers", ", ".join(found.layers)),
        ("front end", found.front_end),
        ("regimes", "frozen, linear, full" if found.trainable else "frozen, linear"),
    ]
    if found.weights is not None:
        rows += [
            ("weights", _presence(found)),
            ("from", found.weights.url),
            ("by hand", f"save it as {cache_folder('weights') / found.weights.name}, or pass --weights {name}=FILE"),
            ("sha256", found.weights.sha256 or "none published"),
            ("licence", found.weights.licence),
        ]
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in [*rows, ("citation", found.citation)]:
        table.add_row(key, Text(str(value), overflow="fold"))
    Console().print(table)


def _presence(found: Any) -> str:
    from callspace.paths import cache_folder

    if found.weights is None:
        return "none needed"
    return "here" if (cache_folder("weights") / found.weights.name).exists() else "to download"


def _window(found: Any) -> str:
    low = "any length" if found.min_window_s is None else f"from {found.min_window_s:g} s (shorter ones are padded)"
    return low + ("" if found.max_window_s is None else f"; longer than {found.max_window_s:g} s is framed, embeddings averaged")
