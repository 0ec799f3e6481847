"""What would improve a choice, and by how much: tuning it, cleaning background from its training, and more labels.

The first two are differences that the run itself measured, paired over the test windows, with their 95 % intervals; the third is carried
beyond the data by a learning curve (`callspace.evaluation.learning_curve`). What was not tried is said, with how to try it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from callspace.adaptation.regimes import regime_of
from callspace.bench.choice import beyond_chance, choice_of, probed
from callspace.bench.plan import Choice
from callspace.bench.words import METRIC_WORDS, is_alike, would_show
from callspace.metrics.multiple import ALIKE

__all__ = ["gains_of", "signed", "with_interval"]

_MOST = {
    "tuning": "What would help most, of what is known: tuning it.",
    "background": "What would help most, of what is known: less background in its training.",
    "labels": "What would help most, of what is known: more labels.",
    None: "Nothing that was tried or can be foreseen would clearly help, as far as this test split can show.",
}


def gains_of(
    choice: Mapping[str, Any],
    comparisons: Sequence[Mapping[str, Any]],
    task: str,
    trainable: bool | None,
    curve: Mapping[str, Any] | None = None,
    score: float | None = None,
) -> dict[str, Any]:
    """The expected gains for a choice.

    Parameters
    ----------
    choice : mapping
        ``choice.json``: the chosen encoder, regime and policy, and the metric.
    comparisons : sequence of rows of `tables.COMPARISONS`
    task : str
    trainable : bool | None
        Whether the chosen encoder can be tuned at all; None where that is not known.
    curve : mapping, optional
        What `LearningCurve.to_json` gave; with ``encoder``, whose frozen embedding it is of, and ``unit``, what a group is called.
    score : float, optional
        What the choice scores on test: no gain that is foreseen goes beyond 1.

    Returns
    -------
    dict
        ``tuning``, ``background`` and ``labels``: each with ``value``, ``ci_low``, ``ci_high`` (null where nothing is known) and a
        ``sentence``; ``most``: which of the three would gain most, of those beyond chance that the choice does not have already, or null; and
        ``sentence``, which says that.
    """
    chosen, metric = choice_of(choice), choice["metric"]
    found = {
        "tuning": _tuning(chosen, comparisons, metric, trainable),
        "background": _background(chosen, comparisons, metric, task),
        "labels": _labels(chosen, curve, metric, score),
    }
    sure = {name: gain["value"] for name, gain in found.items() if gain["sure"] and gain["open"]}
    best = max(sure, key=lambda name: sure[name], default=None)
    kept = {name: {key: value for key, value in gain.items() if key not in ("open", "sure")} for name, gain in found.items()}
    return kept | {"most": best, "sentence": _MOST[best]}


def _gain(sentence: str, row: Mapping[str, Any] | None = None, *, still_open: bool = False, **more: Any) -> dict[str, Any]:
    """A gain as it is kept, whether it is beyond chance, and whether it is open: not had already by the choice as it is."""
    ends = {
        name: None if row is None else row[source]
        for name, source in (("value", "difference"), ("ci_low", "ci_low"), ("ci_high", "ci_high"))
    }
    return ends | {"sentence": sentence, "open": still_open, "sure": row is not None and beyond_chance(row) == 1} | more


def _tuning(chosen: Choice, comparisons: Sequence[Mapping[str, Any]], metric: str, trainable: bool | None) -> dict[str, Any]:
    """What tuning the chosen encoder's network brought, or would bring."""
    own, word = _tuned(chosen, comparisons, "tuning", metric), METRIC_WORDS[metric]
    if regime_of(chosen.regime).tunes:
        mine = next((row for row in own if choice_of(row, "b_") == chosen), None)
        if mine is None:
            return _gain(
                f"How much of its score tuning brought can't be said without {chosen.encoder} left frozen: add frozen to --regimes."
            )
        sentence = f"Tuning it brought {with_interval(mine)} {word} over a linear probe on the same network frozen"
        return _gain(sentence + _told(mine), mine, regime=chosen.regime)
    against, is_probe = "a linear probe", chosen.regime == "frozen" or bool(probed([chosen]))
    if not own or not is_probe:  # against the choice itself: another head may do better than the probe
        others = [row for row in _tuned(chosen, comparisons, "best", metric) if choice_of(row, "a_") == chosen]
        own, against = (others, "the choice as it is") if others else (own, against)
    if not own:
        if trainable is False:
            return _gain(f"{chosen.encoder} cannot be tuned.")
        return _gain(f"What tuning {chosen.encoder} would bring was not tried: add lora or full to --regimes.")
    kept = [row for row in own if (row["b_background"], choice_of(row, "b_").policy) == (chosen.background, chosen.policy)] or own
    best = max(kept, key=lambda row: row["difference"])
    sentence = f"Tuning it instead ({best['b_regime']} tuning{_of(kept)}) changes {word} by {with_interval(best)} against {against}"
    return _gain(sentence + _told(best), best, still_open=is_probe or against != "a linear probe", regime=best["b_regime"])


def _tuned(chosen: Choice, comparisons: Sequence[Mapping[str, Any]], question: str, metric: str) -> list[Mapping[str, Any]]:
    """The answers to a question whose second side is the chosen encoder's network, tuned and judged on the same test windows."""
    found = ((row, choice_of(row, "b_")) for row in _asked(comparisons, question, metric))
    return [row for row, b in found if regime_of(b.regime).tunes and _same_reading(b, chosen) and b.clean == chosen.clean]


def _background(chosen: Choice, comparisons: Sequence[Mapping[str, Any]], metric: str, task: str) -> dict[str, Any]:
    """What dropping background from training changed for the chosen encoder and regime."""
    word = METRIC_WORDS[metric]
    if task == "classification":
        return _gain("Clips hold no background windows: there is none to clean away.")
    own = [
        row
        for row in _asked(comparisons, "background", metric)
        if choice_of(row, "b_")[:2] == chosen[:2] and _same_reading(choice_of(row, "b_"), chosen)
    ]
    if not own:
        if chosen.regime == "frozen":
            return _gain("Nothing was trained on background here, so that less of it changes nothing.")
        return _gain("Whether less background in training helps was not tried: add --background 1,0.1.")
    mine = next((row for row in own if choice_of(row, "b_") == chosen), None)
    if mine is not None:
        return _gain(
            f"Keeping less background in training ({chosen.kept.text}) brought {with_interval(mine)} {word}" + _told(mine),
            mine,
            policy=chosen.kept.text,
        )
    best = max(own, key=lambda row: row["difference"])
    policy = choice_of(best, "b_").kept
    sentence = f"With less background in training ({policy.text}{_of(own)}) {word} changes by {with_interval(best)}"
    return _gain(sentence + _told(best), best, still_open=True, policy=policy.text)


def _labels(chosen: Choice, curve: Mapping[str, Any] | None, metric: str, score: float | None) -> dict[str, Any]:
    """What twice and four times the labelled groups would bring a probe; of a network that is tuned on them that is an illustration."""
    if curve is None:
        return _gain("What more labels would bring was not measured.")
    ahead = {one["multiple"]: one["gain"] for one in curve["expected"]}
    if not ahead:
        return _gain(f"What more labels would bring can't be said. {curve['reason']}")
    unit, word = curve.get("unit", "groups"), METRIC_WORDS[metric]
    tunes = regime_of(chosen.regime).tunes
    room = None if score is None else max(0.0, 1 - score)
    gains = {multiple: _within(gain, None if tunes else room) for multiple, gain in ahead.items()}
    what = f"about {with_interval(gains[2], signs=False)} {word}"
    if 4 in gains:
        what += f", four times as many {with_interval(gains[4], signs=False)}"
    of = f" of {curve['encoder']}" if curve.get("encoder") else ""
    if not tunes:
        by = f"by a linear probe on the frozen embedding{of}, from {curve['groups']} {unit} on"
        return _gain(f"Twice as many labelled {unit} would bring {what} ({by}).", gains[2], still_open=True, multiple=2)
    most = "" if room is None else f", and is at most {signed(room)}"
    return _gain(
        f"What more labels would bring the tuned network is not known{most}. A linear probe on the frozen embedding{of}, for comparison: "
        f"twice as many labelled {unit} would bring it {what} (from {curve['groups']} {unit} on)."
    )


def _within(gain: Mapping[str, float], room: float | None) -> dict[str, float]:
    """A gain as the difference that it is, no part of which is above what is left to gain."""
    ends = {"difference": gain["value"], "ci_low": gain["ci_low"], "ci_high": gain["ci_high"]}
    return ends if room is None else {name: min(value, room) for name, value in ends.items()}


def _asked(comparisons: Sequence[Mapping[str, Any]], question: str, metric: str) -> list[Mapping[str, Any]]:
    return [row for row in comparisons if row["question"] == question and row["metric"] == metric]


def _same_reading(one: Choice, other: Choice) -> bool:
    return (one.encoder, one.layer, one.pool) == (other.encoder, other.layer, other.pool)


def _of(rows: Sequence[Mapping[str, Any]]) -> str:
    return f", the best of {len(rows)} tried" if len(rows) > 1 else ""


def _told(row: Mapping[str, Any]) -> str:
    if row["ci_low"] is None:
        return "; with so few test groups nothing can be said of how sure that is."
    if sign := beyond_chance(row):
        return ": a gain beyond chance." if sign == 1 else ": a loss beyond chance."
    if is_alike(row):
        return f": no difference that matters ({ALIKE:g} at most)."
    corrected = "" if row["ci_low"] <= 0 <= row["ci_high"] else ", once corrected for the number of comparisons"
    shows = f" ({least})" if (least := would_show(row)) else ""
    return f": too little data to say{corrected}{shows}."


def with_interval(row: Mapping[str, Any], *, signs: bool = True) -> str:
    """``+0.03 (−0.01 to +0.06)``; the ends without a plus where `signs` is False."""
    value = signed(row["difference"])
    if row["ci_low"] is None:
        return f"{value} (no interval: too few groups)"
    low, high = (signed(row[end]) if signs else signed(row[end]).lstrip("+") for end in ("ci_low", "ci_high"))
    return f"{value} ({low} to {high})"


def signed(value: float) -> str:
    """Two decimals with a sign and a true minus; three where two would say 0.00 of something."""
    text = f"{value:+.2f}"
    if float(text) == 0 and abs(value) >= 0.0005:
        text = f"{value:+.3f}"
    return "0.00" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")
