"""The section on more labels: the learning curve, and the law that carries it beyond the groups there are."""

from __future__ import annotations

from math import log2
from typing import Any

from callspace.report.charts import Line, line_chart
from callspace.report.colours import MUTED, encoder_colours, tint
from callspace.report.reading import Run
from callspace.report.words import METRICS, capital, number
from callspace.tables import read_json

__all__ = ["learning_curve_section"]


def learning_curve_section(run: Run) -> dict[str, Any] | None:
    """The score against the number of labelled groups, measured and expected; None where no curve was measured."""
    path = run.folder / "learning_curve.json"
    curve = read_json(path) if path.is_file() else None
    if not curve or not curve["points"]:
        return None
    said = ((run.choice.get("gains") or {}).get("labels") or {}).get("sentence") or curve["reason"]
    metric, unit = METRICS.get(curve["metric"], curve["metric"]), curve.get("unit", "groups")
    colour = encoder_colours(run.encoders).get(curve["encoder"], MUTED)
    pane = {
        "label": "",
        "figures": [{"title": f"{capital(metric)} by labelled {unit} in training", "chart": _chart(curve, metric, unit, colour)}],
        "caption": _caption(curve, unit),
    }
    return {"id": "labels", "title": "What would more labels bring?", "lead": [said, *curve["notes"]], "panes": [pane]}


def _chart(curve: dict[str, Any], metric: str, unit: str, colour: str) -> dict[str, Any]:
    points, law = curve["points"], curve["line"]
    hovers = [
        f"{point['groups']} {unit} ({point['windows']:,.0f} windows)\n{metric} {number(point['value'])}{_between(point)}"
        for point in points
    ]
    measured = Line(
        "",
        colour,
        [log2(point["groups"]) for point in points],
        [point["value"] for point in points],
        [point["ci_low"] for point in points],
        [point["ci_high"] for point in points],
        hovers,
    )
    lines = []
    if law:
        texts = [f"{step['groups']:,.0f} {unit}, expected\n{metric} {number(step['value'])}{_between(step)}" for step in law]
        lines.append(
            Line("", colour, [log2(step["groups"]) for step in law], [step["value"] for step in law], [], [], texts, "dot", marked=False)
        )
    sizes = [point["groups"] for point in points] + [ahead["groups"] for ahead in curve["expected"]]
    names = [f"{size:,}" for size in sizes[: len(points)]] + [f"{ahead['groups']:,} (×{ahead['multiple']})" for ahead in curve["expected"]]
    ticks = [(log2(size), name) for size, name in zip(sizes, names, strict=True)]
    chart = line_chart([*lines, measured], f"labelled {unit} in training", metric, ticks, height=340)
    if law:
        x = [log2(step["groups"]) for step in law]
        band = {"x": [*x, *reversed(x)], "y": [*(step["ci_high"] for step in law), *reversed([step["ci_low"] for step in law])]}
        look = {
            "fill": "toself",
            "fillcolor": tint(colour, 0.18),
            "line": {"width": 0},
            "mode": "lines",
            "hoverinfo": "skip",
            "showlegend": False,
        }
        chart["data"].insert(0, {"type": "scatter"} | band | look)
    return chart


def _between(row: dict[str, Any]) -> str:
    return "" if row["ci_low"] is None else f" ({number(row['ci_low'])} to {number(row['ci_high'])})"


def _caption(curve: dict[str, Any], unit: str) -> str:
    draws = len(curve["points"][0]["draws"])
    parts = [
        f"Dots: a linear probe on the frozen embedding of {curve['encoder']}, fitted to some of the {curve['groups']} labelled {unit} of train and scored "
        f"on the whole test split; means over {draws} random orders, with 95 % intervals for other train and test groups of the same kind."
    ]
    if curve["line"]:
        parts.append(
            "Dotted, with its 95 % band: the power laws that these points allow, each counted by how well it explains them, given how far other train and "
            "test groups would have moved them (a Bayesian posterior). Beyond the last dot it is an expectation for more recordings of the same kind, not a "
            "measurement, and it is of the probe: what a network that is tuned on them would gain is another matter."
        )
    return " ".join(parts)
