"""The study's published numbers beside a run's own: a section of the page, and a table for the terminal."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callspace.report.reading import Run, finite
from callspace.report.words import number, short, signed
from callspace.tables import read_json

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["compared_in_words", "published_rows", "published_section", "published_table"]

#: The columns of `published.csv` that say which number a row is of.
_METRICS = {"nmi": "NMI", "ari": "ARI", "silhouette": "silhouette"}

_WHAT = (
    "Fully fine-tuned with all the background; k-means on each UMAP, against the labels; the silhouette is of the clusters in the full space. "
    "The published numbers are of one run each, without intervals."
)


def published_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's ``published.csv``, numbers as numbers; none where the run has no such file."""
    path = folder / "published.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    return [row | {name: finite(row[name]) for name in ("published", "ours", "ci_low", "ci_high", "difference")} for row in rows]


def compared_in_words(folder: Path) -> str:
    """One sentence on how far the run's numbers compare with the published ones."""
    path = folder / "provenance.json"
    about = read_json(path) if path.is_file() else {}
    if reasons := about.get("not_as_published"):
        return f"Not comparable as they stand: {'; '.join(reasons)}."
    if not (count := len(about.get("deviations") or [])):
        return ""
    return f"The study's recipe, but for {count} deviations, which the report and provenance.json list."


def published_section(run: Run) -> dict[str, Any] | None:
    """A table of the published numbers and the run's own; None where the study has none for it."""
    rows = published_rows(run.folder)
    if not rows:
        return None
    columns = [("encoder", False), ("space", False), ("score", False), ("published", True), ("ours", True), ("95 % interval", True)]
    columns.append(("ours minus published", True))
    cells = [
        [
            _called(row, rows),
            row["space"],
            _METRICS[row["metric"]],
            number(row["published"]),
            number(row["ours"]),
            _interval(row),
            signed(row["difference"]),
        ]
        for row in rows
    ]
    tables = [{"title": "Published and ours", "open": True, "columns": _columns(columns), "rows": cells}]
    if deviations := run.provenance.get("deviations"):
        tables.append(
            {"title": "What differs from the study", "open": False, "columns": _columns([("", False)]), "rows": [[d] for d in deviations]}
        )
    lead = [sentence for sentence in (_WHAT, compared_in_words(run.folder)) if sentence]
    return {"id": "published", "title": "Beside the study's numbers", "lead": lead, "findings": [], "data_tables": tables}


def published_table(folder: Path) -> Table | None:
    """The same for a terminal of 80 columns: under each encoder a row a space, each score as published, ours, and the difference."""
    rows = published_rows(folder)
    if not rows:
        return None
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    caption = "published | ours | ours minus published; silhouette: of the clusters, in the full space"
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, caption=caption, caption_justify="left")
    table.add_column("", no_wrap=True)
    for name in _METRICS.values():
        table.add_column(name, justify="right", no_wrap=True)
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        said = f"{number(row['published'])} {number(row['ours'])} {signed(row['difference'])}"
        lines.setdefault((_called(row, rows), row["space"]), {})[row["metric"]] = said
    shown = ""
    for (encoder, space), scores in lines.items():
        if encoder != shown:
            table.add_row(Text(short(encoder, 18), style="bold"))  # Text, not str: a name with brackets is no markup
            shown = encoder
        table.add_row(*[Text(cell) for cell in (f" {space}", *(scores.get(metric, "") for metric in _METRICS))])
    return table


def _called(row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The encoder; with where it is read, if it is read in several ways."""
    ways = {(other["layer"], other["pool"]) for other in rows if other["encoder"] == row["encoder"]}
    return row["encoder"] if len(ways) == 1 else f"{row['encoder']} {row['layer']} {row['pool']}"


def _interval(row: dict[str, Any]) -> str:
    return "" if row["ci_low"] is None or row["ci_high"] is None else f"{number(row['ci_low'])} to {number(row['ci_high'])}"


def _columns(columns: list[tuple[str, bool]]) -> list[dict[str, Any]]:
    return [{"name": name, "numeric": numeric} for name, numeric in columns]
