"""The section on the separation of background: whether it is told from calls."""

from __future__ import annotations

from typing import Any

from callspace.report.charts import Dot, RowGroup, dot_rows
from callspace.report.colours import encoder_colours, shade
from callspace.report.figures import bracketed, ends_of, score_of, span_of
from callspace.report.reading import Run, is_frozen, tunes
from callspace.report.words import background_short, contender_name, ordered_regimes, reader_name, short

__all__ = ["separation_section"]


def separation_section(run: Run) -> dict[str, Any] | None:
    """The AUROC of background against labelled windows for every contender, and the background among the neighbours of each class."""
    groups = []
    for encoder in run.encoders:
        group = _separation_group(run, encoder)
        if group.rows:
            groups.append(group)
    table = _neighbour_table(run)
    if not groups and not table:
        return None
    section: dict[str, Any] = {"id": "separation", "title": "Is background told from calls?", "lead": [], "panes": [], "table": table}
    if groups:
        values = [end for group in groups for _, dots in group.rows for dot in dots for end in (dot.value, dot.low, dot.high)]
        low, _ = span_of(values)
        chart = dot_rows(groups, "AUROC (0.5 guessing, 1 perfect)", (low, 1.003))
        caption = (
            "How well windows with any call are told from windows without. Circles: by a linear probe on the embedding, fitted with all "
            "the background of the train split; squares: from nearest neighbours; diamonds: by the regime's own head, which never learnt "
            "the question as such. Filled, with its 95 % interval: the first of these that a row has. Dotted line: the encoder left frozen."
        )
        section["panes"] = [{"label": "", "figures": [{"title": "", "chart": chart}], "caption": caption}]
        section["lead"] = [_separation_verdict(run)]
    return section


def _separation_group(run: Run, encoder: str) -> RowGroup:
    rows, reference = [], None
    own = [contender for contender in run.alike if contender.encoder == encoder]
    regimes = ordered_regimes(contender.regime for contender in own)
    for contender in sorted(own, key=lambda c: (regimes.index(c.regime), c.policy, -(c.background or 0))):
        readers = run.readers(contender, "separation_auroc")
        dots: list[Dot] = []
        for reader, symbol in (("linear", "circle"), ("head", "diamond"), ("knn", "square")):
            if score := readers.get(reader):
                hover = f"{contender_name(contender)}\n{reader_name(reader)}: AUROC {bracketed(score)}"
                dots.append(Dot(*ends_of(score), hover, bool(dots), symbol))
        if not dots:
            continue
        kept = background_short(contender.background, contender.policy) if run.policies_differ and not is_frozen(contender.regime) else ""
        name = " · ".join(filter(None, (contender.regime, kept, contender.variant)))
        if contender.regime == "frozen" and reference is None:
            reference = dots[0].value
        rows.append((name, dots))
    return RowGroup(short(encoder), encoder_colours(run.encoders)[encoder], rows, reference)


def _separation_verdict(run: Run) -> str:
    scored = [(found[1], c) for c in run.alike if (found := score_of(run, c, "separation_auroc"))]
    if not scored:
        return "Only heads were read, which never learnt the question as such: add the regime 'frozen' to see how far each embedding answers it."
    best, contender = max(scored, key=lambda pair: pair[0].value)
    sentence = f"Best told apart by {contender_name(contender, run.policies_differ)}: AUROC {bracketed(best)}."
    frozen = [pair for pair in scored if pair[1].regime == "frozen"]
    if frozen and contender.regime != "frozen":
        still, other = max(frozen, key=lambda pair: pair[0].value)
        sentence += f" Best of the frozen encoders: {short(other.encoder)}, {bracketed(still)}."
    return sentence


def _neighbour_table(run: Run) -> dict[str, Any] | None:
    columns = []
    for encoder in run.encoders:
        for contender in (run.best(encoder, is_frozen), run.best(encoder, tunes)):
            by_class = (
                (run.readers(contender, "background_neighbours", label=label) for label in run.dataset["labels"]) if contender else ()
            )
            columns += [contender] if contender and any(by_class) else []
    if not columns:
        return None
    rows = []
    for label in (None, *run.dataset["labels"]):
        cells = [run.score(contender, "background_neighbours", "full", ("", "knn"), label) for contender in columns]
        if any(cells):
            rows.append({"label": label, "cells": [None if cell is None else _shaded(cell[1].value) for cell in cells]})
    colours = encoder_colours(run.encoders)
    heads = [
        {
            "encoder": short(c.encoder, 22),
            "colour": colours[c.encoder],
            "regime": c.regime,
            "share": background_short(c.background, c.policy) if run.policies_differ and not is_frozen(c.regime) else "",
        }
        for c in columns
    ]
    return {"columns": heads, "rows": rows}


def _shaded(value: float) -> dict[str, str]:
    background, ink = shade(value)
    return {"text": f"{100 * value:.0f} %", "background": background, "ink": ink}
