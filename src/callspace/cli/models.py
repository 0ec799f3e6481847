"""``callspace models``: what encoders there are, what is known of each, and their weights."""

from __future__ import annotations

import typer

from callspace.cli.models_check import check
from callspace.cli.models_files import download, verify
from callspace.cli.models_list import list_models
from callspace.cli.models_share import export, push
from callspace.cli.models_show import show

__all__ = ["app"]

app = typer.Typer(help="The encoders: what they expect, where their weights come from, under which licence.", invoke_without_command=True)


@app.callback()
def models(context: typer.Context) -> None:
    """List the encoders."""
    if context.invoked_subcommand is None:
        list_models()


app.command("list")(list_models)
app.command("show")(show)
app.command("download")(download)
app.command("verify")(verify)
app.command("check")(check)
app.command("export")(export)
app.command("push")(push)
