"""The page of a matrix: encoders by datasets, ranks over datasets, matched pairs, and the study's numbers beside ours; one file, no request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callspace import tables
from callspace.adaptation.background import CLEAN_ALL
from callspace.bench.matched import matched_pairs, shown, tallies, together
from callspace.bench.published import cells_of_runs
from callspace.bench.words import METRIC_WORDS
from callspace.report.colours import MUTED, encoder_colours
from callspace.report.critical_difference import critical_difference, rank_sentences
from callspace.report.matched import pair_names, what_differs, which_won
from callspace.report.matrix import choice_names, matrix_sentences
from callspace.report.study import claims_section, every_cell_section
from callspace.report.words import count, metric_name, number, regime_name, signed

if TYPE_CHECKING:
    from callspace.bench.matrix import Matrix

__all__ = ["write_matrix_page"]

_MAIN = "accuracy or mAP"
_RANKINGS = {"use": "main score", "nmi": "NMI, full space"}


def write_matrix_page(matrix: Matrix, path: Path | None = None) -> Path:
    """Write the page of a matrix.

    Parameters
    ----------
    matrix : Matrix
    path : Path, optional
        ``matrix.html`` in the matrix's folder, when not given.

    Returns
    -------
    Path
        The page, written whole or not at all. The same matrix gives the same bytes.
    """
    from callspace.report.page import inline_json, page_policy, plotly_script, template, template_file

    path = matrix.folder / "matrix.html" if path is None else Path(path)
    rows = matrix.cells.to_pylist()
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    claims = claims_section(matrix.about.get("study") or [], theirs=matrix.is_the_studys, several=True)
    parts = [_scores(matrix, rows, datasets), _ranks(matrix, rows), claims, _matched(matrix), _published(matrix)]
    shown = [part for part in parts if part]
    figures: dict[str, Any] = {}
    for part in shown:
        for pane in part.get("panes", []):
            for figure in pane["figures"]:
                chart = figure.pop("chart")
                figure |= {"name": f"{part['id']}-{len(figures) + 1}", "height": chart.pop("height")}
                figures[figure["name"]] = chart
    scripts = [plotly_script(), template_file("page.js")]
    page = template("matrix_page.html.j2").render(
        name=f"{count(len(datasets), 'dataset')}: {', '.join(datasets)}",
        runs=[{"name": name, "report": f"{folder}/report.html"} for name, folder in matrix.about["runs"].items()],
        failed=matrix.failed,
        sections=shown,
        style=template_file("style.css"),
        data=inline_json({"figures": figures, "maps": None}),
        scripts=scripts,
        policy=page_policy(scripts),
    )
    tables.write_text(page, path)
    return path


def _scores(matrix: Matrix, rows: Sequence[Mapping[str, Any]], datasets: Sequence[str]) -> dict[str, Any]:
    names = choice_names(rows)
    metrics = {row["dataset"]: metric_name(row["metric"]) for row in rows}
    panes = [
        _pane(_MAIN, rows, names, [f"{name} ({metrics[name]})" for name in datasets], datasets, "value", "ci"),
        _pane("NMI", [row if row["space"] == "full" else {**row, "nmi": None} for row in rows], names, datasets, datasets, "nmi", "nmi_ci"),
    ]
    note = " What ran without background in every split comes last: it was judged on other test windows."
    caption = "Test split; means over seeds and folds with 95 % intervals over groups." + (
        note if any(row["policy"] == CLEAN_ALL for row in rows) else ""
    )
    return {
        "id": "scores",
        "title": "Scores by dataset",
        "lead": [sentence for sentence in matrix_sentences(matrix) if not sentence.startswith("Failed: ")],
        "panes": [{**pane, "caption": caption} for pane in panes if pane["table"]["rows"]],
    }


def _pane(
    label: str,
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    heads: Sequence[str],
    datasets: Sequence[str],
    column: str,
    ends: str,
) -> dict[str, Any]:
    found = {
        (name, row["dataset"]): _with_ends(row[column], row[f"{ends}_low"], row[f"{ends}_high"])
        for name, row in zip(names, rows, strict=True)
        if row[column] is not None
    }
    ordered = dict.fromkeys(name for name, row in sorted(zip(names, rows, strict=True), key=lambda pair: pair[1]["policy"] == CLEAN_ALL))
    lines = [[name, *(found.get((name, dataset), "–") for dataset in datasets)] for name in ordered]
    table = {"columns": _columns("", *heads), "rows": [line for line in lines if set(line[1:]) != {"–"}]}
    return {"label": label, "figures": [], "table": table}


def _ranks(matrix: Matrix, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    panes = []
    colours = encoder_colours(list(dict.fromkeys(row["encoder"] for row in rows)))
    lead: list[str] = []
    for key, label in _RANKINGS.items():
        ranking = (matrix.about.get("rankings") or {}).get(key)
        if ranking is None:
            continue
        names = choice_names(rows, ranking["choices"])
        own = [colours.get(choice["encoder"], MUTED) for choice in ranking["choices"]]
        figure = {"title": f"Average rank, {label}", "chart": critical_difference(ranking, names, own)}
        panes.append({"label": label, "figures": [figure], "caption": " ".join(rank_sentences(ranking, names))})
    if not panes:
        return None
    lead = [
        "Ranks, not scores, are averaged over datasets: what is good on one dataset is poor on another. Black bars, and dots on one thin line, join what can't "
        "be told apart."
    ]
    return {"id": "ranks", "title": "Which is best over all datasets?", "lead": lead, "panes": panes}


def _matched(matrix: Matrix) -> dict[str, Any] | None:
    """Every matched pair of every run, and how many of each kind are clear; all of one score are tested together, since they are counted together."""
    found: list[dict[str, Any]] = []
    for name, run in matrix.runs.items():
        pretraining = {row["encoder"]: row["pretraining"] for row in run.summary.select(["encoder", "pretraining"]).to_pylist()}
        found += [row | {"dataset": name} for row in shown(matched_pairs(run.comparisons.to_pylist(), pretraining))]
    if not found:
        return None
    rows = together(found)
    by_score: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_score.setdefault(_MAIN if row["metric"] in METRIC_WORDS else metric_name(row["metric"]), []).append(row)
    tested = "p and what is clear are adjusted (Holm) over all pairs of one score, datasets together; accuracy and mAP are one score."
    panes = [
        {
            "label": "counted",
            "figures": [],
            "table": _tally_table(by_score),
            "caption": f"Clearly: beyond chance, by p and interval. {tested}",
        },
        {"label": "every pair", "figures": [], "table": _pair_table(rows), "caption": f"Paired over the same test windows. {tested}"},
    ]
    return {
        "id": "matched",
        "title": "What is pretraining worth? Matched pairs",
        "lead": [what_differs(rows), *which_won(by_score.get(_MAIN, []), _MAIN)],
        "panes": panes,
    }


def _tally_table(by_score: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, Any]:
    lines = [
        [f"{b} − {a}", score, *(str(own[name]) for name in ("pairs", "higher", "lower", "open")), signed(own["mean"])]
        for score, rows in by_score.items()
        for (a, b), own in tallies(rows).items()
    ]
    heads = ("pretraining", "score", "pairs", "first clearly higher", "second clearly higher", "undecided", "mean difference")
    return {"columns": _columns(*heads, text=2), "rows": lines}


def _pair_table(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    lines = []
    for row, (pair, regime, *more) in zip(rows, pair_names(rows), strict=True):
        between = "no interval" if row["ci_low"] is None else f"{signed(row['ci_low'])} to {signed(row['ci_high'])}"
        p = "–" if row["p_holm"] is None else f"{row['p_holm']:.3f}"
        kinds = f"{row['b_pretraining']} − {row['a_pretraining']}"
        way = " · ".join([regime_name(regime), *more])
        lines.append(
            [row["architecture"], pair, kinds, way, row["dataset"], metric_name(row["metric"]), signed(row["difference"]), between, p]
        )
    heads = ("architecture", "encoders", "pretraining", "regime", "dataset", "score", "difference", "95 % interval", "p (Holm)")
    return {"columns": _columns(*heads, text=6), "rows": lines}


def _published(matrix: Matrix) -> dict[str, Any] | None:
    """Every number that the study published, with ours or why it is lacking; None where none of the runs is on one of its datasets."""
    rows = cells_of_runs(run.folder for run in matrix.runs.values())
    return every_cell_section(rows) if rows else None


def _with_ends(value: float, low: float | None, high: float | None) -> str:
    return number(value) if low is None or high is None else f"{number(value)} ({number(low)} to {number(high)})"


def _columns(*names: str, text: int = 1) -> list[dict[str, Any]]:
    return [{"name": name, "numeric": at >= text} for at, name in enumerate(names)]
