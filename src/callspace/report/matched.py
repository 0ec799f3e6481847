"""The section on matched pairs: one architecture under several pretrainings, paired differences and what they say of image against sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from callspace.adaptation.background import CLEAN_ALL
from callspace.bench.matched import architecture_of, fed_otherwise, image_against_sound, matched_pairs, shown, with_image_and_sound
from callspace.report.charts import Dot, RowGroup, dot_rows
from callspace.report.colours import encoder_colours
from callspace.report.figures import bracketed, ends_of, score_of, short_metric, span_of, switchable_metrics
from callspace.report.reading import Run, Score, finite
from callspace.report.words import background_short, capital, count, interval, listed, metric_name, short, signed

__all__ = ["matched_section", "pair_names", "what_differs", "which_won"]


def matched_section(run: Run) -> dict[str, Any] | None:
    """Scores and paired differences of the same architecture under several pretrainings; None where a run has no such pair."""
    pretraining = {contender.encoder: row["pretraining"] or "" for contender, row in run.contenders.items()}
    rows = shown(matched_pairs(run.comparisons, pretraining))
    if not rows:
        return None
    panes = []
    for metric in switchable_metrics(run):
        own = [row for row in rows if row["metric"] == metric]
        if not own:
            continue
        figures = [
            {"title": capital(f"{metric_name(metric)} by pretraining"), "chart": _scores(run, own, metric, pretraining)},
            {"title": "The one nearer to animals minus the other, paired", "chart": _differences(run, own, metric)},
        ]
        notes = sorted({row["note"] for row in own if row["note"]})
        panes.append({"label": short_metric(metric), "figures": figures, "caption": _caption(own, notes)})
    if not panes:
        return None
    return {"id": "matched", "title": "What is pretraining worth? Matched pairs", "lead": _lead(run, rows), "panes": panes}


def _scores(run: Run, rows: list[dict[str, Any]], metric: str, pretraining: dict[str, str]) -> dict[str, Any]:
    colours = encoder_colours(run.encoders)
    groups = []
    for architecture, regime in dict.fromkeys((row["architecture"], row["regime"]) for row in rows):
        lines = []
        for contender in run.alike:
            if architecture_of(contender.encoder) != architecture or contender.regime != regime:
                continue
            if found := score_of(run, contender, metric):
                hover = f"{contender.encoder}, {regime}\n{metric_name(metric)} {bracketed(found[1])}"
                kept = background_short(contender.background, contender.policy) if run.policies_differ and regime != "frozen" else ""
                name = " · ".join(filter(None, (pretraining[contender.encoder], short(contender.encoder), contender.variant, kept)))
                lines.append((name, [Dot(*ends_of(found[1]), hover)]))
        if lines:
            first = next(c.encoder for c in run.alike if architecture_of(c.encoder) == architecture)
            groups.append(RowGroup(f"{architecture}, {regime}", colours[first], lines))
    low, high = span_of(end for group in groups for _, dots in group.rows for dot in dots for end in (dot.value, dot.low, dot.high))
    return dot_rows(groups, metric_name(metric), (low, min(high, 1.003)))


def _differences(run: Run, rows: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    colours = encoder_colours(run.encoders)
    named = list(zip(rows, pair_names(rows), strict=True))
    groups = []
    for architecture, encoders in dict.fromkeys((row["architecture"], pair[0]) for row, pair in named):
        lines = []
        for row, pair in named:
            if (row["architecture"], pair[0]) != (architecture, encoders):
                continue
            score = Score(row["difference"], finite(row["ci_low"]), finite(row["ci_high"]), None, None)
            between = f"{signed(score.low)} to {signed(score.high)}" if interval(score) else "no interval"
            adjusted = "" if row["p_holm"] is None else f", p {row['p_holm']:.3f} (Holm)"
            hover = (
                f"{row['b_encoder']} ({row['b_pretraining']}) minus {row['a_encoder']} ({row['a_pretraining']}), {row['regime']}\n"
                f"{metric_name(metric)} {signed(score.value)} ({between}{adjusted})"
            )
            lines.append((" · ".join(pair[1:]), [Dot(*ends_of(score), hover)]))
        first = next(c.encoder for c in run.alike if architecture_of(c.encoder) == architecture)
        groups.append(RowGroup(encoders, colours[first], lines))
    ends = [end for row in rows for end in (row["difference"], finite(row["ci_low"]), finite(row["ci_high"]))]
    return dot_rows(groups, f"difference in {metric_name(metric)}", span_of([*ends, 0.0]), zero=True)


def _lead(run: Run, rows: list[dict[str, Any]]) -> list[str]:
    return [what_differs(rows), *which_won([row for row in rows if row["metric"] == run.main_metric], metric_name(run.main_metric))]


def which_won(rows: Sequence[Mapping[str, Any]], score: str) -> list[str]:
    """Image against sound, by matched pairs of one score that are counted together; or what could answer it."""
    found = image_against_sound(rows)
    if found is None:
        return ["No architecture was run with weights from images and from sound, so image against sound stays open here.", _could_answer()]
    return [
        f"Image against sound, {score}: of {count(found['pairs'], 'matched pair')}, {found['sound']} clearly better from sound, "
        f"{found['image']} clearly better from images, {found['undecided']} undecided; sound less image {signed(found['mean'])} on average."
    ]


def pair_names(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """What tells each of some pairs from the others: the encoders b − a, the regime, and where several are there, layer, pooling and policy.

    The first two are always there.
    """
    ways: dict[tuple[str, str, str], set[str]] = {}
    for row in rows:
        for part in ("layer", "pool"):
            ways.setdefault((row["b_encoder"], row["a_encoder"], part), set()).add(row[f"b_{part}"])
    several = len({(row["background"], row["policy"]) for row in rows if row["regime"] != "frozen" or row["policy"] == CLEAN_ALL}) > 1
    names = []
    for row in rows:
        parts = [row[f"b_{part}"] for part in ("layer", "pool") if len(ways[row["b_encoder"], row["a_encoder"], part]) > 1]
        if several and (row["regime"] != "frozen" or row["policy"] == CLEAN_ALL):
            parts.append(background_short(row["background"], row["policy"]))
        names.append((f"{short(row['b_encoder'])} − {short(row['a_encoder'])}", row["regime"], *parts))
    return names


def what_differs(rows: Sequence[Mapping[str, Any]]) -> str:
    """Whether the sides of matched pairs differ in their pretraining alone."""
    said = "The same network with other weights, in the same regime: what differs is what it was pretrained on"
    noted = sum(bool(row["note"]) for row in rows)
    if not noted:
        return f"{said}, and nothing else."
    which = "all pairs" if noted == len(rows) else "some pairs"
    return f"{said}, and in {which} also what it is fed: {'; '.join(sorted({row['note'] for row in rows if row['note']}))}."


def _could_answer() -> str:
    """Which of the built-in encoders would set image against sound on one architecture."""
    able = with_image_and_sound()
    if not able:
        return "No architecture of this version's encoders has weights of both kinds."
    said = [
        f"{architecture} (add -e {','.join(own)}{', whose inputs differ too' if fed_otherwise(own[0], own[-1]) else ''})"
        for architecture, own in able.items()
    ]
    return f"Of this version's encoders, weights of both kinds are there for {listed(said)} only."


def _caption(rows: list[dict[str, Any]], notes: list[str]) -> str:
    clear = sum(row["verdict"] in ("higher", "lower") for row in rows)
    said = (
        f"{clear} of {count(len(rows), 'difference')} beyond chance (group sign-flips, Holm over these pairs, and an interval without 0); whiskers are 95 % "
        "intervals."
    )
    return said + (f" Not the pretraining alone: {'; '.join(notes)}." if notes else "")
