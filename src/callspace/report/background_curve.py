"""The section on background in training: every score against how much of it was kept, and by which policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from callspace.adaptation.background import policy_of
from callspace.bench.words import is_alike
from callspace.report.charts import Line, line_chart
from callspace.report.colours import encoder_colours
from callspace.report.figures import bracketed, clear, differences, forest, score_of, short_metric, switchable_metrics, would_show
from callspace.report.reading import Contender, Run, Score, background_of, finite, is_frozen
from callspace.report.words import (
    METRICS,
    background_short,
    capital,
    contender_name,
    count,
    listed,
    metric_name,
    ordered_regimes,
    regime_name,
    share,
    short,
    signed,
)

__all__ = ["background_section", "comes_to"]

#: For each kind of policy its mark, its line, and what the caption says of them; the first kinds come first.
_SERIES = {
    "share": ("circle", "solid", "circles, solid: a share, at random"),
    "ratio": ("triangle-up", "dashdot", "triangles, dash-dotted: so many for each labelled window, at the share that this comes to"),
    "hard": ("diamond", "dash", "diamonds, dashed: a share, hardest first"),
    "share+class": ("circle-open", "longdash", "hollow circles, long dashes: a share, and background is a class of its own in training"),
    "ratio+class": ("triangle-up-open", "longdash", "hollow triangles, long dashes: a ratio, and background is a class"),
    "hard+class": ("diamond-open", "longdash", "hollow diamonds, long dashes: hardest first, and background is a class"),
}

#: A ratio that comes so near to a share that was tried stands with it.
_NEAR = 0.01


def background_section(run: Run) -> dict[str, Any] | None:
    """Scores against the share of background kept in training: a chart a regime, a line an encoder and kind of policy, for each score.

    None where clips have no background, or one policy only was tried.
    """
    fitted = [contender for contender in run.alike if not is_frozen(contender.regime) and not contender.clean]
    if not run.detection or len({(contender.background, contender.policy) for contender in fitted}) < 2:
        return None
    places = _places(run, fitted)
    panes = []
    for metric in _metrics(run, fitted):
        rows = differences(run, "background", metric)
        figures = []
        for regime, curve in _curves(run, fitted, places, metric):
            figures.append(curve)
            if own := [row for row in rows if row["b_regime"] == regime]:
                against = listed(list(dict.fromkeys(background_short(*background_of(row, "a_")) for row in own)), "or")
                figures.append({"title": f"Minus the score at {against}, paired", "chart": forest(run, own, metric, _policy_name)})
        if figures:
            pane = {"label": short_metric(metric), "figures": figures, "caption": _caption(fitted, rows)}
            panes.append(pane | ({"table": verdicts} if (verdicts := _verdicts(run, rows, metric)) else {}))
    if not panes:
        return None
    lead = [
        "Only the background windows of the train split that an encoder was fitted on were varied: the test windows are the same for every "
        "policy, background included.",
        *_summary(run),
    ]
    return {"id": "background", "title": "How much background should training keep?", "lead": lead, "panes": panes}


def comes_to(run: Run, background: float | None, policy: str) -> float | None:
    """The share of train's background that a policy keeps; None where the run does not say how many windows there are."""
    if background is None:
        return None
    if not policy.startswith("ratio"):
        return background
    train = (run.dataset.get("splits") or {}).get("train") or {}
    there = train.get("background") or 0
    return policy_of(background, policy).kept(there, (train.get("windows") or 0) - there) / there if there else None


def _places(run: Run, fitted: Sequence[Contender]) -> dict[tuple[float | None, str], float]:
    """The share at which each policy stands."""
    found = {(c.background, c.policy): comes_to(run, c.background, c.policy) for c in fitted}
    tried = {share for (_, policy), share in found.items() if share is not None and not policy.startswith("ratio")}
    places = {}
    for what, own in found.items():
        if own is not None:
            near = min(tried, key=lambda share: abs(share - own), default=own)
            places[what] = near if abs(near - own) <= _NEAR else round(own, 2)
            tried.add(places[what])
    return places


def _metrics(run: Run, fitted: Sequence[Contender]) -> list[str]:
    """Those that other figures switch between, then every other score of the test split as a whole."""
    first = switchable_metrics(run)
    others = [metric for metric in METRICS if metric not in first and any(score_of(run, contender, metric) for contender in fitted)]
    return first + others


def _curves(
    run: Run, fitted: Sequence[Contender], places: dict[tuple[float | None, str], float], metric: str
) -> list[tuple[str, dict[str, Any]]]:
    """A figure for each regime that has the score, all on one scale."""
    ticks = {place: float(at) for at, place in enumerate(sorted(set(places.values())))}
    charted = {}
    # What changes the network comes first: there background matters most.
    for regime in reversed(ordered_regimes(contender.regime for contender in fitted)):
        own = [contender for contender in fitted if contender.regime == regime]
        if lines := _lines(run, own, {what: ticks[place] for what, place in places.items()}, metric, len(ticks)):
            charted[regime] = lines
    if not charted:
        return []
    ends = [value for lines in charted.values() for line in lines for value in (*line.y, *line.low, *line.high) if value is not None]
    margin = 0.06 * (max(ends) - min(ends)) or 0.05
    span = min(ends) - margin, max(ends) + margin
    figures = []
    for regime, lines in charted.items():
        names = [(at, share(place)) for place, at in ticks.items()]
        height = max(330, 34 * len({line.colour for line in lines}))
        chart = line_chart(lines, "background windows of train that were kept", metric_name(metric), names, height, span)
        figures.append((regime, {"title": capital(f"{metric_name(metric)}, {regime_name(regime)}"), "chart": chart}))
    return figures


def _lines(run: Run, own: Sequence[Contender], at: dict[tuple[float | None, str], float], metric: str, n_ticks: int) -> list[Line]:
    colours = encoder_colours(run.encoders)
    series = list(dict.fromkeys((contender.encoder, contender.variant, contender.policy) for contender in own))
    series.sort(key=lambda one: (run.encoders.index(one[0]), list(_SERIES).index(one[2])))
    lines: list[Line] = []
    flats: list[Line] = []
    named: set[tuple[str, str]] = set()
    for step, (encoder, variant, policy) in enumerate(series):
        # A small step aside for each line keeps their whiskers apart.
        aside = min(0.04, 0.24 / len(series)) * (step - (len(series) - 1) / 2)
        points = sorted(_points(run, own, at, metric, encoder, variant, policy), key=lambda point: point[0])
        if not points:
            continue
        x, scores, hovers = zip(*((place + aside, score, hover) for place, score, hover in points), strict=True)
        values = [[score[part] for score in scores] for part in range(3)]
        symbol, dash, _ = _SERIES[policy]
        name = "" if (encoder, variant) in named else short(" ".join(filter(None, (encoder, variant))), 20)
        lines.append(Line(name, colours[encoder], x, values[0], values[1], values[2], hovers, dash, symbol=symbol))
        frozen = run.best(encoder, is_frozen)
        if frozen and not any(encoder == other for other, _ in named) and (found := score_of(run, frozen, metric)):
            hover = f"{encoder}, frozen\n{metric_name(metric)} {bracketed(found[1])}"
            across = [-0.14, n_ticks - 0.86]
            flats.append(Line("", colours[encoder], across, [found[1].value] * 2, [], [], [hover] * 2, "dot", marked=False))
        named.add((encoder, variant))
    return flats + lines


def _points(
    run: Run, own: Sequence[Contender], at: dict[tuple[float | None, str], float], metric: str, *series: str
) -> Iterator[tuple[float, Score, str]]:
    for contender in own:
        where = at.get((contender.background, contender.policy))
        if where is None or (contender.encoder, contender.variant, contender.policy) != series:
            continue
        if found := score_of(run, contender, metric):
            yield where, found[1], f"{contender_name(contender)}\n{metric_name(metric)} {bracketed(found[1])}"


def _policy_name(row: dict[str, Any]) -> str:
    return background_short(*background_of(row, "b_"))


def _caption(fitted: Sequence[Contender], rows: Sequence[dict[str, Any]]) -> str:
    kinds = {contender.policy for contender in fitted}
    parts = [
        "What was varied: how much of the background of the train split was kept, and how it was chosen; the shares tried stand evenly apart. "
        + capital("; ".join(words for kind, (_, _, words) in _SERIES.items() if kind in kinds))
        + ". Dotted, in the same colour: the encoder left frozen, which no policy changes. Whiskers: 95 % intervals over the test groups."
    ]
    if rows:
        parts.append(
            "Differences: over the same test windows. Each whisker stands for itself; what is called clear, rising or falling is corrected for the number of "
            "comparisons (Holm)."
        )
    return " ".join(parts)


def _ends(run: Run, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each curve of shares, the paired difference of its least share of background and its largest; in the order of the figures."""
    ends: dict[tuple[str, str], dict[str, Any]] = {}
    shares = [row for row in rows if (row.get("b_policy") or "share") == "share"]
    for row in sorted(shares, key=lambda row: -(row["b_background"] or 0.0)):
        ends[run.called(row, "b_"), row["b_regime"]] = row
    regimes = ordered_regimes(row["b_regime"] for row in shares)[::-1]
    return sorted(ends.values(), key=lambda row: (regimes.index(row["b_regime"]), run.encoders.index(row["b_encoder"])))


def _compared(ends: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """What the two ends are, in words: ``none`` and ``all``."""
    least, most = (listed(list(dict.fromkeys(_amount(row[f"{side}background"]) for row in ends)), "or") for side in ("b_", "a_"))
    return least, most


def _amount(background: float) -> str:
    return {0.0: "none", 1.0: "all"}.get(background, share(background))


def _summary(run: Run) -> list[str]:
    """In how many curves of the main score the least background is told from the largest amount."""
    ends = _ends(run, differences(run, "background", run.main_metric))
    if not ends:
        return []
    worse, better = (sum(clear(row) == sign for row in ends) for sign in (-1, 1))
    least, most = _compared(ends)
    metric = capital(metric_name(run.main_metric))
    return [
        f"{metric} with {least} of the background, against {most}: clearly lower in {worse or 'none'} of {count(len(ends), 'curve')}, clearly "
        f"higher in {better or 'none'}."
    ]


def _verdicts(run: Run, rows: Sequence[dict[str, Any]], metric: str) -> dict[str, Any] | None:
    """A table of whether each curve is flat: its least share of background against its largest, paired."""
    ends = _ends(run, rows)
    if not ends:
        return None
    several = len({run.called(row, "b_") for row in ends}) > 1
    least, most = _compared(ends)
    columns = [("Encoder", False)] * several + [("Regime", False), (f"{capital(short_metric(metric))}, {least} minus {most}", True)]
    cells = []
    for row in ends:
        low, high = finite(row["ci_low"]), finite(row["ci_high"])
        known = low is not None and high is not None
        verdict = {1: "rises", -1: "falls"}.get(clear(row), _undecided(row) if known else "no interval, no verdict")
        name = [short(run.called(row, "b_"))] * several
        between = f"{signed(low)} to {signed(high)}" if known else ""
        cells.append([*name, capital(regime_name(row["b_regime"])), signed(row["difference"]), between, verdict])
    heads = [*columns, ("95 % interval", True), ("With less background", False)]
    return {"columns": [{"name": name, "numeric": numeric} for name, numeric in heads], "rows": cells}


def _undecided(row: dict[str, Any]) -> str:
    """What a difference that is not beyond chance says: that there is none that matters, or nothing, for too little data."""
    if is_alike(row):
        return "no difference that matters"
    least = would_show(row)
    return "too little data to say" + (f" (would show from {least})" if least else "")
