"""The kinds of chart of the page, as plain Plotly dictionaries (``{"data": [...], "layout": {...}, "height": pixels}``).

Plotly reads texts as a small HTML of its own, so that every text that comes from a user goes through `plain`. Hover texts are given
whole, never as templates, in which a label such as ``%{x}`` would mean something.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

from callspace.report.colours import INK, MUTED, RULE, tint

__all__ = ["Dot", "Line", "Point", "RowGroup", "dot_rows", "line_chart", "plain", "scatter_chart"]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

_ROW, _HEADING, _GAP = 1.0, 1.1, 0.45
_PIXELS_A_ROW = 25


class Dot(NamedTuple):
    """One dot of a row, with its whisker and what hovering over it says."""

    value: float
    low: float | None
    high: float | None
    hover: str
    hollow: bool = False
    symbol: str = "circle"


class RowGroup(NamedTuple):
    """Rows under a heading, in one colour; `reference` draws a dotted line down the group."""

    heading: str
    colour: str
    rows: Sequence[tuple[str, Sequence[Dot]]]
    reference: float | None = None


class Line(NamedTuple):
    """A line with one point for each x; `low` and `high` hold nothing where there is no interval."""

    name: str
    colour: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float | None]
    high: Sequence[float | None]
    hover: Sequence[str]
    dash: str = "solid"
    marked: bool = True
    symbol: str = "circle"


class Point(NamedTuple):
    """A dot of a scatter chart; `symbol` is one of Plotly's."""

    x: float
    y: float
    colour: str
    symbol: str
    hover: str


def plain(text: str) -> str:
    """A text that Plotly shows as it is."""
    return html.escape(" ".join(text.split()), quote=False)


def _hover(text: str) -> str:
    """A text of several lines, as Plotly breaks them."""
    return "<br>".join(plain(line) for line in text.split("\n"))


def dot_rows(groups: Sequence[RowGroup], x_title: str, span: tuple[float, float], zero: bool = False) -> dict[str, Any]:
    """Dots with whiskers, a row each, under headings in the colour of their group.

    Parameters
    ----------
    groups : sequence of RowGroup
    x_title : str
        What is measured, and its unit where it has one.
    span : (float, float)
        The ends of the axis.
    zero : bool
        Draw a line at zero, for differences.
    """
    data: list[dict[str, Any]] = []
    annotations, shapes, ticks, names = [], [], [], []
    longest = max((len(name) for group in groups for name, _ in group.rows), default=0)
    margin = 16 + 7.2 * longest
    y = 0.0
    for group in groups:
        annotations.append(_heading(group, y, margin))
        y += _HEADING
        first = y
        for name, dots in group.rows:
            ticks.append(y)
            names.append(plain(name))
            # Hollow dots lie on top, since they are a second reading of the same row.
            data += [_dot(dot, y, group.colour) for dot in sorted(dots, key=lambda dot: dot.hollow)]
            y += _ROW
        if group.reference is not None:
            line = {"color": tint(group.colour, 0.6), "width": 1, "dash": "dot"}
            ends = {"x0": group.reference, "x1": group.reference, "y0": first - 0.35, "y1": y - 0.65}
            shapes.append({"type": "line", "layer": "below", "line": line} | ends)
        y += _GAP
    layout = _layout(x_title, list(span))
    layout["margin"] = {"l": margin, "r": 14, "t": 4, "b": 42}
    layout["yaxis"] = {"range": [y - _GAP - 0.3, -0.7], "tickvals": ticks, "ticktext": names, "showgrid": False, "zeroline": False}
    layout["yaxis"] |= {"fixedrange": True, "tickfont": {"size": 12, "color": MUTED}, "ticklabelstandoff": 6}
    layout["xaxis"] |= {"zeroline": zero, "zerolinecolor": INK, "zerolinewidth": 1}
    layout |= {"annotations": annotations, "shapes": shapes, "hovermode": "closest"}
    return {"data": data, "layout": layout, "height": round(_PIXELS_A_ROW * (y + 0.4)) + 46}


def _heading(group: RowGroup, y: float, margin: float) -> dict[str, Any]:
    font = {"size": 13, "color": group.colour, "weight": 600}
    place = {"x": 0, "xref": "paper", "xanchor": "left", "xshift": -margin + 2, "y": y, "yref": "y", "yanchor": "middle"}
    return {"text": plain(group.heading), "showarrow": False, "font": font, "align": "left"} | place


def _dot(dot: Dot, y: float, colour: str) -> dict[str, Any]:
    marker = {"size": 9, "symbol": dot.symbol, "color": "#ffffff" if dot.hollow else colour, "line": {"color": colour, "width": 1.6}}
    trace: dict[str, Any] = {"type": "scatter", "mode": "markers", "x": [dot.value], "y": [y], "marker": marker, "cliponaxis": False}
    if dot.low is not None and dot.high is not None and not dot.hollow:
        whisker = {"type": "data", "symmetric": False, "array": [max(dot.high - dot.value, 0)], "arrayminus": [max(dot.value - dot.low, 0)]}
        trace["error_x"] = whisker | {"color": colour, "thickness": 1.6, "width": 0}
    return trace | {"hovertext": [_hover(dot.hover)], "hoverinfo": "text", "showlegend": False}


def line_chart(
    lines: Sequence[Line],
    x_title: str,
    y_title: str,
    ticks: Sequence[tuple[float, str]] | None = None,
    height: int = 330,
    span: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Lines with whiskers at their points, each named at its right end where it has a name; `span` fixes the ends of the y axis."""
    data: list[dict[str, Any]] = []
    ends = []
    for line in lines:
        data.append(_line(line))
        if line.name:
            ends.append((line.y[-1], line))
    layout = _layout(x_title, None)
    longest = max((len(line.name) for line in lines), default=0)
    layout["margin"] = {"l": 46, "r": 12 + 7.8 * longest, "t": 8, "b": 42}
    layout["yaxis"] = {"title": {"text": y_title, "font": {"size": 12, "color": MUTED}, "standoff": 6}} | _axis()
    if ticks:
        positions = [position for position, _ in ticks]
        layout["xaxis"] |= {"tickvals": positions, "ticktext": [text for _, text in ticks], "showgrid": False}
        layout["xaxis"] |= {"range": [min(positions) - 0.17, max(positions) + 0.17]}
    if span:
        layout["yaxis"]["range"] = list(span)
    layout["annotations"] = _end_labels(ends, lines, height - 50, span)
    layout["hovermode"] = "closest"
    return {"data": data, "layout": layout, "height": height}


def _line(line: Line) -> dict[str, Any]:
    trace: dict[str, Any] = {"type": "scatter", "x": list(line.x), "y": list(line.y), "showlegend": False}
    trace |= {"mode": "lines+markers" if line.marked else "lines", "cliponaxis": False}
    trace |= {
        "line": {"color": line.colour, "width": 2, "dash": line.dash},
        "marker": {"size": 8, "color": line.colour, "symbol": line.symbol},
    }
    if all(value is not None for value in (*line.low, *line.high)) and line.low:
        above = [max(high - y, 0) for high, y in zip(line.high, line.y, strict=True) if high is not None]
        below = [max(y - low, 0) for low, y in zip(line.low, line.y, strict=True) if low is not None]
        trace["error_y"] = {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.3, "width": 0}
        trace["error_y"]["color"] = tint(line.colour, 0.7)
    return trace | {"hovertext": [_hover(text) for text in line.hover], "hoverinfo": "text"}


def _end_labels(
    ends: list[tuple[float, Line]], lines: Sequence[Line], pixels: int, span: tuple[float, float] | None
) -> list[dict[str, Any]]:
    """Names at the right ends, pushed apart so that they do not overlap."""
    values = [value for line in lines for value in (*line.y, *line.low, *line.high) if value is not None]
    if not values or not ends:
        return []
    low, high = span or (min(values), max(values))
    apart = 15 * (high - low or 1) / pixels
    labels = []
    last = float("-inf")
    for value, line in sorted(ends, key=lambda end: end[0]):
        place = max(value, last + apart)
        last = place
        font = {"size": 12, "color": line.colour, "weight": 600 if line.dash == "solid" else 400}
        at = {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 4, "y": place, "yanchor": "middle"}
        labels.append({"text": plain(line.name), "showarrow": False, "font": font} | at)
    return labels


def scatter_chart(points: Sequence[Point], x_title: str, y_title: str, height: int = 380) -> dict[str, Any]:
    """Dots of two measures against one another."""
    data = []
    for colour, symbol in dict.fromkeys((point.colour, point.symbol) for point in points):
        same = [point for point in points if (point.colour, point.symbol) == (colour, symbol)]
        marker = {"size": 11, "color": colour, "symbol": symbol, "line": {"color": colour, "width": 1.8}}
        places = {"x": [point.x for point in same], "y": [point.y for point in same]}
        texts = {"hovertext": [_hover(point.hover) for point in same], "hoverinfo": "text", "showlegend": False}
        data.append({"type": "scatter", "mode": "markers", "marker": marker, "cliponaxis": False} | places | texts)
    layout = _layout(x_title, None)
    layout["margin"] = {"l": 50, "r": 14, "t": 8, "b": 44}
    layout["yaxis"] = {"title": {"text": y_title, "font": {"size": 12, "color": MUTED}, "standoff": 6}} | _axis()
    layout["hovermode"] = "closest"
    return {"data": data, "layout": layout, "height": height}


def _axis() -> dict[str, Any]:
    look = {"gridcolor": RULE, "zeroline": False, "fixedrange": True, "tickfont": {"size": 12, "color": MUTED}}
    return look | {"tickformat": "~g", "minexponent": 6}


def _layout(x_title: str, span: list[float] | None) -> dict[str, Any]:
    xaxis = {"title": {"text": x_title, "font": {"size": 12, "color": MUTED}, "standoff": 8}} | _axis()
    if span:
        xaxis["range"] = span
    return {
        "xaxis": xaxis,
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "dragmode": False,
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": MUTED, "font": {"size": 12, "color": INK, "family": FONT}, "align": "left"},
    }
