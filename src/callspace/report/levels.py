"""The section on levels: how well each encoder hears a call, by how loud it is over its background."""

from __future__ import annotations

import re
from typing import Any

from callspace.evaluation.levels import FLOOR_DB
from callspace.evaluation.scoring.levels import BAND_DB, FLOOR_BAND, low_end, why_no_threshold
from callspace.report.charts import Line, line_chart
from callspace.report.colours import encoder_colours
from callspace.report.figures import bracketed
from callspace.report.reading import Contender, Run, Score
from callspace.report.words import capital, contender_name, listed, ordered_regimes, regime_name, short
from callspace.tables import read_parquet

__all__ = ["decibels", "levels_section"]

_CURVE = "separation_auroc_by_level"
_METRICS = {
    _CURVE: ("AUROC of calls against background", ("linear", "head", "knn")),
    "accuracy_by_level": ("accuracy", ("head", "linear", "knn")),
}
#: On the axis, where a band's name is too long.
_FLOOR_TICK = "≤ noise"
_MOST_NAMED = 4
_NOT_PLACED = "the mean curve crosses 0.75, but in no single fold and seed does it cross where that can be placed"


def levels_section(run: Run) -> dict[str, Any] | None:
    """A curve an encoder, a pane a regime; None where the levels of the calls are not known."""
    metric = next((name for name in _METRICS if any(row["metric"] == name for row in run.summary)), None)
    if metric is None:
        return None
    bands = sorted({row["class"] for row in run.summary if row["metric"] == metric}, key=low_end)
    if len(bands) < 2:
        return None
    panes = []
    for regime in ordered_regimes(contender.regime for contender in run.alike):
        lines = [line for contender in _shown(run, regime) if (line := _line(run, contender, metric, bands))]
        if lines:
            ticks = [(_middle(band), _FLOOR_TICK if band == FLOOR_BAND else _minus(band.removesuffix(" dB"))) for band in bands]
            title = _METRICS[metric][0]
            chart = line_chart(lines, "signal-to-noise ratio of the call, dB", title, ticks=ticks, span=_span(lines))
            panes.append({"label": regime_name(regime), "figures": [{"title": "", "chart": chart}], "caption": _caption(run, metric)})
    if not panes:
        return None
    lead = ["Loud calls are easy. What decides in the field is how an encoder does with faint ones.", *_thresholds(run, bands)]
    return {"id": "levels", "title": "How faint a call is still heard?", "lead": lead, "panes": panes}


def decibels(value: float) -> str:
    """A level to one decimal, with a true minus sign."""
    return _minus(f"{value:.1f} dB")


def _minus(text: str) -> str:
    """A text with true minus signs before its numbers."""
    return re.sub(r"-(?=\d)", "−", text)


def _middle(band: str) -> float:
    return (FLOOR_DB - BAND_DB if band == FLOOR_BAND else low_end(band)) + BAND_DB / 2


def _shown(run: Run, regime: str) -> list[Contender]:
    """The contenders of a regime at the usual policy; each reading of an encoder once."""
    own = [c for c in run.alike if c.regime == regime and ((c.background, c.policy) == run.usual or regime == "frozen")]
    found: dict[tuple[str, str], Contender] = {}
    for contender in own:
        found.setdefault((contender.encoder, contender.variant), contender)
    return list(found.values())


def _curve(run: Run, contender: Contender, metric: str, bands: list[str]) -> tuple[str, dict[str, Score]]:
    """What read the curve of a contender, the first in the order of `_METRICS`, and its score in each band that has one."""
    for reader in _METRICS[metric][1]:
        if found := {band: own[reader] for band in bands if reader in (own := run.readers(contender, metric, "full", band))}:
            return reader, found
    return "", {}


def _line(run: Run, contender: Contender, metric: str, bands: list[str]) -> Line | None:
    scores = list(_curve(run, contender, metric, bands)[1].items())
    if len(scores) < 2:
        return None
    name = contender_name(contender)
    colour = encoder_colours(run.encoders)[contender.encoder]
    low, high = ([getattr(score, end) for _, score in scores] for end in ("low", "high"))
    hover = [f"{name}, {band}\n{bracketed(score)}, {score.n} windows" for band, score in scores]
    label = " ".join(filter(None, (short(contender.encoder), contender.variant)))
    return Line(label, colour, [_middle(band) for band, _ in scores], [score.value for _, score in scores], low, high, hover)


def _span(lines: list[Line]) -> tuple[float, float]:
    ends = [value for line in lines for value in (*line.y, *line.low, *line.high) if value is not None]
    return max(0.0, min(ends) - 0.03), min(1.03, max(ends) + 0.03)


def _thresholds(run: Run, bands: list[str]) -> list[str]:
    """At which level each encoder half hears a call, by its embedding, before and after tuning; or why that can't be said."""
    said: dict[str, list[str]] = {}
    without: dict[str, list[str]] = {}
    for regime in ordered_regimes(contender.regime for contender in run.alike):
        for contender in _shown(run, regime):
            reader, curve = _curve(run, contender, _CURVE, bands)
            score = run.readers(contender, "hearing_threshold_db").get(reader)
            if score is not None:
                between = "" if score.low is None or score.high is None else f" ({decibels(score.low)} to {decibels(score.high)})"
                name = " ".join(filter(None, (short(contender.encoder), contender.variant)))
                said.setdefault(regime, []).append(f"{name} at {decibels(score.value)}{between}")
            elif curve:
                reason = why_no_threshold({band: (own.value, own.n or 1) for band, own in curve.items()}) or _NOT_PLACED
                without.setdefault(reason, []).append(contender_name(contender))
    sentences = [f"Half heard (AUROC 0.75), {regime_name(regime)}: {listed(names)}." for regime, names in said.items()]
    for reason, names in without.items():
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        named = ", ".join(names[:_MOST_NAMED]) + more if more else listed(names)
        sentences.append(f"At which level calls are half heard can't be said of {named}: {_minus(reason)}.")
    return [capital(sentence) for sentence in sentences]


def _caption(run: Run, metric: str) -> str:
    path = run.folder / "levels.parquet"
    metadata = read_parquet(path).schema.metadata or {} if path.is_file() else {}
    known = metadata.get(b"source") == b"known"
    source = (
        "Levels as the data gives them (snr_db)."
        if known
        else "Levels were estimated: the call's energy in its time and band over that of the same recording where no annotation is."
    )
    what = (
        "Each point: the calls of a band of 5 dB against all background windows of the test split."
        if metric.startswith("separation")
        else "Each point: the clips of a band of 5 dB."
    )
    floor = any(row["metric"] == metric and row["class"] == FLOOR_BAND for row in run.summary)
    source += f" {_FLOOR_TICK}: calls that were no louder than their background, as far as could be told." if floor else ""
    return f"{what} {source} Whiskers are 95 % intervals over groups; a window counts with its loudest call."
