"""The study beside a run: its published numbers, and its three claims; sections of the page, and tables and sentences for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callspace.bench.published import published_rows
from callspace.report.reading import Run
from callspace.report.words import capital, listed, number, short, signed, space_short
from callspace.tables import read_json

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "claims_section",
    "claims_sentences",
    "compared_in_words",
    "coverage_in_words",
    "every_cell_section",
    "published_rows",
    "published_section",
    "published_table",
]

#: The columns of `published.csv` that say which number a row is of.
_METRICS = {"nmi": "NMI", "ari": "ARI", "silhouette": "silhouette"}

_STUDY = "No Free Lunch from Audio Pretraining in Bioacoustics"

_WHAT = (
    "Fully fine-tuned with all the background; k-means on each UMAP, against the labels; the silhouette is of the clusters in the full space. "
    "The published numbers are of one run each, without intervals."
)


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


def claims_section(answers: Sequence[Mapping[str, Any]], *, theirs: bool = False, several: bool = False) -> dict[str, Any] | None:
    """The study's three claims and how far this run's intervals bear them out; None where a run of an older version has none.

    Parameters
    ----------
    answers : sequence of mappings
        What `callspace.bench.study.study_answers` gave: ``choice.json``'s ``study``, or a matrix's.
    theirs : bool
        Whether the data is the study's own; on any other the same is asked as questions.
    several : bool
        Whether the answers are of several runs together.
    """
    if not answers:
        return None
    rule = (
        "Each claim is marked by intervals, not by point values: supported where at least half of its comparisons bear it out beyond chance and none goes "
        "against it, contradicted the other way round, else undecided. P-values are adjusted over all that a claim rests on (Holm)."
    )
    told = [
        " ".join([f"{at + 1}. {capital(_mark(answer))}.", answer["sentence"], *answer["beside"], *_to_add(answer)])
        for at, answer in enumerate(answers)
    ]
    columns = [("", False), ("The question", False), ("The study's claim", False), ("Here", False)]
    rows = [[str(at + 1), answer["question"], answer["claim"], _mark(answer)] for at, answer in enumerate(answers)]
    panes: list[dict[str, Any]] = [
        {"label": "Verdicts", "figures": [], "table": {"columns": _columns(columns), "rows": rows}, "caption": ""}
    ]
    evidence = [[str(at + 1), *_weighed(one)] for at, answer in enumerate(answers) for one in answer["evidence"]]
    if evidence:
        heads = [
            ("Claim", False),
            ("What", False),
            ("Estimate", True),
            ("95 % interval", True),
            ("p (Holm)", True),
            ("Beyond chance", False),
        ]
        caption = (
            "Claim 1: tuned minus frozen; claim 2: AUROC of background against calls, tuned network minus network that knows sound, and how far background "
            "among a call's neighbours lies below chance, and how far short of 0.05 that falls; claim 3: the lead of the network that knows sound, and how much it grew."
        )
        panes.append(
            {"label": "What they rest on", "figures": [], "table": {"columns": _columns(heads), "rows": evidence}, "caption": caption}
        )
    whose = "these runs'" if several else "this run's"
    title = f"The study's claims, by {whose} own intervals" if theirs else "The study's questions, asked of this data"
    return {"id": "claims", "title": title, "lead": [rule, *told], "panes": panes}


def claims_sentences(answers: Sequence[Mapping[str, Any]], *, theirs: bool = False) -> list[str]:
    """The same for a terminal: a heading, then a sentence a claim, marked; nothing where there are no answers.

    On other data than the study's its questions are asked, not its claims marked; where nothing can be said, a line each at most.
    """
    if not answers:
        return []
    heading = f"The study '{_STUDY}' claimed, and by these intervals:" if theirs else f"Asked as the study '{_STUDY}' did:"
    return [heading, *(_in_a_line(answer, theirs) for answer in answers)]


def _in_a_line(answer: Mapping[str, Any], theirs: bool) -> str:
    asked = answer["claim"] if theirs else answer["question"]
    if not answer["evidence"]:
        return f"{asked} Can't say: {answer['missing']}."
    mark = capital(_mark(answer)) if theirs else f"The study's answer is {_mark(answer)} here"
    return " ".join([f"{asked} {mark}.", answer["sentence"], *_to_add(answer)])


def _mark(answer: Mapping[str, Any]) -> str:
    return f"{answer['verdict']} (mixed)" if answer["mixed"] else answer["verdict"]


def _to_add(answer: Mapping[str, Any]) -> list[str]:
    """The option that would answer it, where the sentence does not name it already."""
    return [f"For the claim as it stands, {answer['missing']}."] if answer["missing"] and answer["evidence"] else []


def _weighed(one: Mapping[str, Any]) -> list[str]:
    """The cells of one estimate: of what, the number, its interval, p, and which way."""
    if "a" in one:
        what = f"{one['b']} {one.get('b_regime', '')} − {one['a']} {one.get('a_regime', '')}".replace("  ", " ").strip()
    else:
        what = f"{one['encoder']} {one['regime']}"
    parts = [one.get("quantity") or "", one["metric"], "" if one["space"] == "full" else space_short(one["space"])]
    parts += [f"{one['background']} of the background" if one.get("background") else "", one["dataset"]]
    shown = number if "encoder" in one else signed
    between = "no interval" if one["ci_low"] is None else f"{shown(one['ci_low'])} to {shown(one['ci_high'])}"
    p = "–" if one["p_holm"] is None else "< 0.001" if one["p_holm"] < 0.001 else f"{one['p_holm']:.3f}"
    way = {1: "above", -1: "below", 0: "no"}[one["sign"]]
    return [f"{what}: {', '.join(part for part in parts if part)}", shown(one["value"]), between, p, way]


def coverage_in_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many of the published cells a matrix has its own numbers for.

    Parameters
    ----------
    rows : sequence of rows of `callspace.bench.published.EVERY_CELL`
    """
    done = [row for row in rows if not row["lacking"]]
    alike = sum(bool(row["comparable"]) for row in done)
    datasets = list(dict.fromkeys(row["dataset"] for row in done))
    of = f" ({listed(datasets)})" if datasets else ""
    return f"{len(done)} of the study's {len(rows)} published cells have a number of this matrix beside them{of}; {alike} were made as the study's were."


def every_cell_section(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All published cells, an encoder on a dataset a row, by score and map as published and ours; what is lacking is a dash.

    Parameters
    ----------
    rows : sequence of rows of `callspace.bench.published.EVERY_CELL`
    """
    spaces = list(dict.fromkeys(row["space"] for row in rows))
    panes = []
    for metric, name in _METRICS.items():
        lines: dict[tuple[str, str], dict[str, str]] = {}
        for row in rows:
            both = f"{number(row[f'published_{metric}'])} | {number(row[f'our_{metric}'])}"
            lines.setdefault((row["dataset"], row["encoder"]), {})[row["space"]] = both
        columns = [("Dataset", False), ("Encoder", False), *((space_short(space), True) for space in spaces)]
        cells = [[dataset, encoder, *(own.get(space, "–") for space in spaces)] for (dataset, encoder), own in lines.items()]
        caption = f"{name}: published | ours. {_WHAT}"
        panes.append({"label": name, "figures": [], "table": {"columns": _columns(columns), "rows": cells}, "caption": caption})
    reasons = list(dict.fromkeys(row["lacking"] for row in rows if row["lacking"]))
    lead = [coverage_in_words(rows)]
    if reasons:
        lead.append(f"Lacking: {'; '.join(reasons[:6])}{f'; and {len(reasons) - 6} more' if len(reasons) > 6 else ''}.")
    return {"id": "every-cell", "title": "Beside the study's numbers, cell by cell", "lead": lead, "panes": panes}
