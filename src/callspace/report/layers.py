"""The section on depth: what an encoder's layers hold, one beside the other."""

from __future__ import annotations

import re
from typing import Any

from callspace.report.charts import Line, line_chart
from callspace.report.colours import encoder_colours
from callspace.report.figures import bracketed, score_of, short_metric, switchable_metrics
from callspace.report.reading import Contender, Run
from callspace.report.words import capital, metric_name, regime_name, short

__all__ = ["layers_section"]

_FEWEST = 2


def layers_section(run: Run) -> dict[str, Any] | None:
    """Scores of the frozen encoders against the depth they are read at; None where no encoder is read at several numbered layers."""
    deep = {encoder: found for encoder in run.encoders if len(found := _by_depth(run, encoder)) >= _FEWEST}
    if not deep:
        return None
    panes = []
    for metric in switchable_metrics(run):
        lines = [line for encoder, found in deep.items() if (line := _line(run, encoder, found, metric))]
        if lines:
            depths = sorted({int(x) for line in lines for x in line.x})
            # One encoder's layers have names; of several, only the depth is common.
            names = {depth: run.read_at(contender)[0] for depth, contender in next(iter(deep.values())).items()} if len(deep) == 1 else {}
            ticks = [(float(depth), names.get(depth, str(depth)).removeprefix("layer")) for depth in depths]
            chart = line_chart(lines, "layer, the first one nearest to the sound", metric_name(metric), ticks, max(330, 34 * len(lines)))
            figures = [{"title": capital(f"{metric_name(metric)} by layer, frozen"), "chart": chart}]
            panes.append({"label": short_metric(metric), "figures": figures, "caption": _CAPTION})
    if not panes:
        return None
    lead = "All layers come of one pass over the recordings; only where the embedding is read differs."
    return {"id": "layers", "title": "Which layer holds it?", "lead": [lead], "panes": panes}


#: What a network makes of its last numbered layer, in this order.
_BEHIND = ("pooled", "projection")

_CAPTION = (
    "Whiskers: 95 % intervals over the test groups. Layers of one network are judged on the same windows, so that differences between neighbours are "
    "surer than the whiskers look; but the best of many layers looks better than it is."
)


def _by_depth(run: Run, encoder: str) -> dict[int, Contender]:
    """The frozen contenders of an encoder by the number of their layer, from the first layer; what is pooled behind them comes last."""
    found: dict[int, Contender] = {}
    behind: dict[str, Contender] = {}
    for contender in run.alike:
        layer = run.read_at(contender)[0]
        if (contender.encoder, contender.regime) != (encoder, "frozen"):
            continue
        if number := re.search(r"(\d+)$", layer):
            found.setdefault(int(number[1]), contender)
        elif layer in _BEHIND:
            behind.setdefault(layer, contender)
    for layer in _BEHIND:
        if found and layer in behind:
            found[max(found) + 1] = behind[layer]
    return dict(sorted(found.items()))


def _line(run: Run, encoder: str, found: dict[int, Contender], metric: str) -> Line | None:
    scored = [(depth, score[1]) for depth, contender in found.items() if (score := score_of(run, contender, metric))]
    if len(scored) < _FEWEST:
        return None
    hovers = [f"{encoder}, layer {depth}, {regime_name('frozen')}\n{metric_name(metric)} {bracketed(score)}" for depth, score in scored]
    scores = [score for _, score in scored]
    return Line(
        short(encoder, 20),
        encoder_colours(run.encoders)[encoder],
        [depth for depth, _ in scored],
        [score.value for score in scores],
        [score.low for score in scores],
        [score.high for score in scores],
        hovers,
    )
