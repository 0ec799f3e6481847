"""``callspace report``: the HTML page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a bench.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where the page goes; RUN/report.html otherwise.")] = None,
) -> None:
    """Write the page of a run again: one HTML file that needs no network."""
    from callspace.errors import CallspaceError
    from callspace.report.page import write_report

    if not (run / "summary.parquet").exists():
        raise CallspaceError(
            f"'{run}' is no finished run: give the folder that `callspace bench` named, or run the same bench again to finish it"
        )
    typer.echo(f"Report: {write_report(run, out)}")
