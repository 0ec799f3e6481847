"""What a reader meets first: the dataset in a sentence, the answer, and the leaderboard."""

from __future__ import annotations

import math
from typing import Any

from callspace.adaptation.background import CLEAN_ALL
from callspace.report import words
from callspace.report.colours import encoder_colours
from callspace.report.costs import advice_sentences, fit_times
from callspace.report.figures import differences, would_show
from callspace.report.reading import Run, background_of, finite

__all__ = ["FILTERS", "board", "opening"]

#: For the templates.
FILTERS = {
    "number": words.number,
    "duration": words.duration,
    "short": words.short,
    "count": words.count,
    "capital": words.capital,
}

#: Rows of the leaderboard that are seen before asking for all.
_FIRST_ROWS = 12

_WHO = ("encoder", "layer", "pool", "regime", "background", "policy")

_POLICIES = (
    "Background kept: a share of the background windows of train, at random; the hardest share, those that a probe of the frozen encoder takes for "
    "labelled ones; or 2 : 1, two for each labelled window; + class: background was a class of its own in training."
)
_ALL_CLEAN = "All were judged on test windows without background (clean-all), as in the study: don't compare these numbers with those of whole test splits."
_CLEAN = (
    "Rows marked clean-all were judged on test windows without background, as in the study: their numbers are not comparable with the others', so that "
    "they come last, with places of their own."
)

_PRETRAINING = {
    "none": "not pretrained",
    "image": "pretrained on images",
    "audio": "pretrained on sounds",
    "speech": "pretrained on speech",
    "bioacoustic": "pretrained on animal sounds",
}


def opening(run: Run, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The title, the dataset's sentence, the answer with its numbers, and how much there is to warn of."""
    choice = run.choice
    return {
        "name": run.dataset["name"],
        "dataset": _dataset_sentence(run),
        "headline": choice.get("headline"),
        "reasons": [*(choice.get("reasons") or []), *advice_sentences(run.folder, choice)],
        "caveats": choice.get("caveats") or [],
        "facts": _facts(run, next((row for row in _timed(run, rows) if row["standing"] == "recommended"), None)),
        "alerts": _alerts(run),
    }


def _dataset_sentence(run: Run) -> str:
    dataset = run.dataset
    hours = finite(dataset.get("hours"))
    recordings = words.count(dataset.get("recordings"), "recording")
    if hours:
        recordings += f" ({hours:.1f} hours)" if hours >= 1 else f" ({60 * hours:.0f} minutes)" if hours >= 1 / 60 else " (under a minute)"
    windows = sum(split.get("windows") or 0 for split in (dataset.get("splits") or {}).values())
    cut = words.count(windows, "window") + (f" of {dataset['window_s']:g} s" if dataset.get("window_s") else "")
    if dataset.get("hop_s"):
        cut += f" every {dataset['hop_s']:g} s"
    kinds = words.count(len(dataset["labels"]), "class", "classes")
    if run.detection:
        return f"{recordings}, {cut}, {kinds}. The task is detection: a window may hold several kinds of call, or only background."
    return f"{recordings}, {cut}, {kinds}. The task is classification: each window has one label."


def _named(run: Run, row: dict[str, Any], side: str, with_background: bool) -> str:
    name = f"{run.called(row, side)}, {words.regime_name(row[f'{side}regime'])}"
    background = words.background_name(*background_of(row, side)) if with_background else ""
    return f"{name}, {background}" if background else name


def _facts(run: Run, row: dict[str, Any] | None) -> list[dict[str, str]]:
    if row is None:
        return []
    facts = []
    if row["value"] is not None:
        facts.append({"name": words.metric_name(row["metric"]), "value": words.number(row["value"]), "note": _between(row, "ci")})
    if row["separation_auroc"] is not None:
        note = _between(row, "separation_ci")
        facts.append({"name": "background separation, AUROC", "value": words.number(row["separation_auroc"]), "note": note})
    if row["nmi"] is not None:
        facts.append(
            {"name": f"NMI, {words.space_name(row['structure_space'])}", "value": words.number(row["nmi"]), "note": _between(row, "nmi_ci")}
        )
    if row["seconds"] is not None:
        facts.append({"name": "time to fit once", "value": words.duration(row["seconds"]), "note": run.provenance.get("device") or ""})
    return facts


def _timed(run: Run, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The leaderboard's rows with the seconds of one fit alone, as the costs have them, where the run measured those."""
    times = fit_times(run.folder)
    if times is None:
        return rows
    own = {
        (who.encoder, who.regime, who.background, who.policy, who.variant): times.get(
            (who.encoder, who.regime, who.background, who.policy, *run.read_at(who))
        )
        for who in run.contenders
    }
    return [
        row | {"seconds": own.get(tuple(row[name] for name in ("encoder", "regime", "background", "policy", "variant")))} for row in rows
    ]


def _between(row: dict[str, Any], prefix: str) -> str:
    low, high = row[f"{prefix}_low"], row[f"{prefix}_high"]
    return "" if low is None or high is None else f"{words.number(low)} to {words.number(high)}"


def _alerts(run: Run) -> list[str]:
    alerts = []
    if warnings := run.dataset.get("warnings"):
        alerts.append(words.count(len(warnings), "warning") + " about the data")
    if run.skipped:
        alerts.append(words.count(len(run.skipped), "thing") + " left out")
    return alerts


def board(run: Run, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The leaderboard for the template: its rows with places on a common scale, and a sentence on what each number is."""
    rows = _timed(run, rows)
    colours = encoder_colours(run.encoders)
    known = [value for row in rows for value in (row["value"], row["ci_low"], row["ci_high"]) if value is not None]
    low, high = (math.floor(min(known) * 10) / 10, math.ceil(max(known) * 10) / 10) if known else (0.0, 1.0)
    high = high if high > low else low + 0.1

    def place(value: float | None) -> float | None:
        return None if value is None else round(100 * (value - low) / (high - low), 2)

    shown = [
        row
        | {
            "colour": colours[row["encoder"]],
            "pretrained": _PRETRAINING.get(row["pretraining"], row["pretraining"]),
            "kept": words.background_short(row["background"], row["policy"]),
            "clean": row["policy"] == CLEAN_ALL,
            "interval": _between(row, "ci"),
            "nmi_interval": _between(row, "nmi_ci"),
            "separation_interval": _between(row, "separation_ci"),
            "at": place(row["value"]),
            "from": place(row["ci_low"]),
            "to": place(row["ci_high"]),
        }
        for row in rows
    ]
    guess = _guess(run)
    return {
        "rows": shown,
        "first": _FIRST_ROWS,
        "metric": words.metric_name(run.main_metric),
        "low": f"{low:g}",
        "high": f"{high:g}",
        "clean": all(row["clean"] for row in shown),
        "guess": place(guess) if guess is not None and low <= guess <= high else None,
        "space": words.space_name(rows[0]["structure_space"]) if rows and rows[0]["structure_space"] else "",
        "with_background": len({(row["background"], row["policy"]) for row in rows}) > 1,
        "with_separation": any(row["separation_auroc"] is not None for row in rows),
        "with_nmi": any(row["nmi"] is not None for row in rows),
        "with_silhouette": any(row["silhouette"] is not None for row in rows),
        "with_cost": any(row["seconds"] is not None for row in rows),
        "time": "to fit once, without embedding" if fit_times(run.folder) is not None else "of one fit and its judgement",
        "best": _from_best(run),
        "sentences": _what_numbers_are(run, rows, guess) if rows else [],
    }


def _from_best(run: Run) -> dict[str, Any] | None:
    """Every other contender minus the best, paired, the nearest first; None where there are no such comparisons."""
    found = differences(run, "best", run.main_metric)
    if not found:
        return None
    # The best stands on the same side of every comparison; whichever side that is, the other is shown minus it.
    best = "a" if len({tuple(row.get(f"a_{name}") for name in _WHO) for row in found}) == 1 else "b"
    other, sign = ("b", 1.0) if best == "a" else ("a", -1.0)
    with_background = run.policies_differ
    rows = []
    for row in sorted(found, key=lambda row: -sign * row["difference"]):
        ends = sorted(sign * end for end in (finite(row["ci_low"]), finite(row["ci_high"])) if end is not None)
        between = f"{words.signed(ends[0])} to {words.signed(ends[1])}" if len(ends) == 2 else ""
        name = _named(run, row, f"{other}_", with_background)
        rows.append({"name": name, "difference": words.signed(sign * row["difference"]), "interval": between, "least": would_show(row)})
    return {"name": _named(run, found[0], f"{best}_", with_background), "rows": rows}


def _guess(run: Run) -> float | None:
    """What guessing would score on the test split: the share of the commonest class, or the mean share of windows with a label."""
    test = (run.dataset.get("splits") or {}).get("test") or {}
    counts = [number for number in (test.get("labels") or {}).values() if number]
    # Where all were judged without background, there are fewer windows to guess.
    windows = (test.get("windows") or 0) - (test.get("background") or 0 if all(contender.clean for contender in run.contenders) else 0)
    if not counts or not windows:
        return None
    if run.main_metric == "accuracy":
        return max(counts) / windows
    return sum(counts) / len(counts) / windows if run.main_metric == "map" else None


def _what_numbers_are(run: Run, rows: list[dict[str, Any]], guess: float | None) -> list[str]:
    first = rows[0]
    metric = words.capital(words.metric_name(run.main_metric))
    meaning = {
        "map": "the mean over the classes of average precision",
        "accuracy": "the share of windows given their right label",
    }.get(run.main_metric, "the main score")
    test = f" on the {words.count(first['n'], 'test window')}" if first["n"] else " on the test windows"
    sentences = [f"{metric}: {meaning}{test}, read from a linear probe where the encoder is frozen, else from the regime's own head."]
    if odd := sorted({words.reader_name(row["reader"]) for row in rows if row["reader"] not in (None, "head", "linear")}):
        sentences.append(f"Where a run has neither, it is read from {words.listed(odd)}.")
    if guess is not None:
        sentences.append(f"Guessing would score about {guess:.2f}.")
    if first["structure_space"]:
        where = words.space_name(first["structure_space"])
        sentences.append(f"NMI: agreement of k-means clusters with the labels, silhouette: of the labels; both in the {where}.")
        if any(contender != run.embedding_of(contender) for contender in run.contenders):
            sentences.append(
                "A head on a frozen encoder leaves the embedding as it was: what is said of the embedding is the frozen one's."
            )
    readers = sorted({words.reader_name(row["separation_reader"]) for row in rows if row["separation_reader"]})
    if readers:
        sentences.append(f"Separation: AUROC of windows with a call against background, full space, read by {words.listed(readers)}.")
    if any(row["policy"] not in ("share", CLEAN_ALL) for row in rows):
        sentences.append(_POLICIES)
    if any(row["policy"] == CLEAN_ALL for row in rows):
        sentences.append(_CLEAN if len(run.alike) < len(run.contenders) else _ALL_CLEAN)
    sentences.append(_uncertainty(run, rows))
    return sentences


def _method(run: Run) -> str:
    """How the intervals of the run were found."""
    methods = {row.get("ci_method") for row in run.summary} - {None}
    return "Student's t with a bootstrap" if "t" in methods else "a bootstrap"


def _uncertainty(run: Run, rows: list[dict[str, Any]]) -> str:
    groups = ((run.dataset.get("splits") or {}).get("test") or {}).get("groups")
    sentence = f"Intervals: 95 %, {_method(run)} over the test groups" + (f" ({groups})" if groups and len(run.folds) < 2 else "")
    cells = sorted({row["cells"] for row in rows if row["cells"]})
    seeds = run.seeds or run.provenance.get("seeds") or []
    parts = [words.count(len(seeds), "seed")] if seeds else []
    parts += [words.count(len(run.folds), "fold")] if run.folds else []
    if cells == [1]:
        sentence += "; one seed" if seeds else ""
    elif parts:
        sentence += f"; scores are means over {words.listed(parts)}"
    elif cells:
        sentence += f"; scores are means over {words.listed([str(cell) for cell in cells], 'or')} cells"
    protocols = sorted({what["protocol"] for what in run.contenders.values() if what["protocol"]})
    if protocols:
        sentence += f"; protocol {words.listed(protocols)}"
    return sentence + "."
