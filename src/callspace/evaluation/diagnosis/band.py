"""The band limit: does an encoder hear the frequencies that the animals use?

From the recordings at their own rate, the energy of the annotated calls over frequency, less what sounds there without a call, and how
much of it (`callspace.evaluation.diagnosis.calls`) lies above or below what the encoder's front end lets through.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from callspace.evaluation.diagnosis.calls import Call, measure_calls, power_spectra
from callspace.evaluation.diagnosis.finding import Finding
from callspace.metrics.bootstrap import group_weights
from callspace.metrics.intervals import score_interval

__all__ = ["HEARD", "Call", "band_limit", "heard_band", "measure_calls", "power_spectra"]

_CHECK = "band"

#: What front ends let through, in hertz, by the encoder's family: the edges of the lowest and the highest mel filter. A family that is not
#: here, and None, reach to half the encoder's rate. From the families' own modules; of the finished models from their authors' papers.
HEARD: dict[str, tuple[float, float | None]] = {
    "ast": (20.0, None),
    "audiomae": (20.0, None),
    "batdetect2": (10_000.0, 120_000.0),
    "beats": (20.0, None),
    "birdmae": (20.0, None),
    "birdnet": (0.0, 15_000.0),
    "clap": (50.0, 14_000.0),
    "eat": (20.0, None),
    "perch": (60.0, 16_000.0),
    "small": (60.0, 8_000.0),
    "vggish": (125.0, 7_500.0),
    "yamnet": (125.0, 7_500.0),
}

_REPLICATES = 1000
_REACH = 0.95
#: Shares of the energy outside: a problem where it is surely more than the first, a look from the second on, or from the third of one class.
_PROBLEM, _LOOK, _LOOK_AT_CLASS = 0.3, 0.1, 0.25
#: Recordings end within the calls where more than this share of the energy lies in their topmost tenth of frequencies.
_TOPMOST, _CUT_OFF = 0.9, 0.05
#: The speeds that are advised, of those that `callspace.datasets` takes; and the share of the energy that may stay outside at one.
_SPEEDS = tuple(float(f"{step}e{power}") for power in range(-3, 3) for step in (1, 2, 5))
_LEFT_OUTSIDE = 0.05


def heard_band(family: str, sample_rate_hz: float, *, speed: float = 1.0) -> tuple[float, float]:
    """The lowest and the highest frequency of a recording that an encoder of a family hears, in the recording's own hertz.

    Parameters
    ----------
    family : str
        ``spec.family``.
    sample_rate_hz : float
        The encoder's rate.
    speed : float
        How fast it hears the recordings.

    Examples
    --------
    >>> heard_band("yamnet", 16_000, speed=0.1)
    (1250.0, 75000.0)
    """
    low, high = HEARD.get(family, (0.0, None))
    return low / speed, min(math.inf if high is None else high, sample_rate_hz / 2) / speed


def band_limit(
    calls: Sequence[Call],
    counts: Mapping[str, int],
    low_hz: float,
    high_hz: float,
    *,
    speed: float = 1.0,
    subject: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Finding:
    """How much of the calls an encoder cannot hear.

    Parameters
    ----------
    calls, counts
        From `measure_calls`.
    low_hz, high_hz : float
        What it hears, in the recordings' own hertz, from `heard_band`.
    speed : float
        The speed at which it hears that, as given to `heard_band`; the remedy names another one in its place.

    Returns
    -------
    Finding
        Its evidence has ``share_outside`` (each call counts alike) with its 95 % bootstrap interval over groups, ``share_above`` and
        ``share_below`` of it, the same ``by_class``, and ``lowest_hz`` and ``reach_hz``, below which 5 and 95 % of the energy lie; where the
        recordings themselves end below what the encoder hears, ``recordings_end_hz`` and ``share_at_the_end``, that of the energy in the topmost tenth below it.
    """
    subject = dict(subject or {})
    name = subject.get("encoder", "the encoder")
    if not calls:
        said = (
            "There are no labelled calls"
            if not counts.get("measured")
            else f"None of {counts['measured']} calls stands out of the background"
        )
        return Finding(_CHECK, subject, "unmeasured", f"{said}, so that their frequencies are not known.", dict(counts))
    below, above = np.array([call.share(low_hz, high_hz) for call in calls]).T
    outside = below + above
    groups = [call.group for call in calls]
    overall = _estimate(outside, groups, seed)
    labels = np.array([call.label for call in calls])
    by_class = {
        str(label): _estimate(outside[labels == label], [group for group, own in zip(groups, labels, strict=True) if own == label], seed)
        for label in sorted(set(labels.tolist()))
    }
    lowest, reach = _below_which(calls, 1 - _REACH), _below_which(calls, _REACH)
    evidence = {
        "low_hz": low_hz,
        "high_hz": high_hz,
        "share_outside": overall["share"],
        "share_outside_ci": overall["ci"],
        "share_above": _clipped(float(above.mean())),
        "share_below": _clipped(float(below.mean())),
        "lowest_hz": lowest,
        "reach_hz": reach,
        "speed": speed,
        "calls": len(calls),
        "counts": dict(counts),
        "by_class": by_class,
    }
    end_hz, at_the_end = _end_of_the_recordings(calls, high_hz)
    evidence |= {"recordings_end_hz": end_hz, "share_at_the_end": at_the_end}
    verdict = _verdict(overall, by_class)
    where = _outside_words(low_hz, high_hz, float(below.mean()), float(above.mean()))
    if verdict in ("look", "problem"):
        farther = f"reach up to {reach:,.0f} Hz" if above.mean() >= below.mean() else f"reach down to {lowest:,.0f} Hz"
        remedy = _remedy(farther, _speed(calls, low_hz * speed, high_hz * speed, speed), speed)
        return _not_heard(subject, verdict, overall, by_class, where, remedy, evidence)
    if end_hz is not None and at_the_end is not None and at_the_end > _CUT_OFF:
        sentence = (
            f"The recordings end at {end_hz:,.0f} Hz with {_percent(at_the_end)} % of the calls' energy in their topmost tenth: what of the "
            "calls lies above, and is not heard, they can't say."
        )
        return Finding(_CHECK, subject, "unmeasured", sentence, evidence, "Record at a higher rate, if the animals may call higher.")
    if verdict == "unmeasured":
        sentence = (
            "The calls that were measured are too few, or come of too few groups, to say that less than a tenth of their energy is lost."
        )
        return Finding(_CHECK, subject, "unmeasured", sentence, evidence, "Label calls in recordings of more groups.")
    sentence = f"{name} hears the calls: {_percent(overall['share'])} % of their energy lies {where}."
    if end_hz is not None:
        sentence = f"{name} hears the calls, as far as the recordings hold them: they end at {end_hz:,.0f} Hz, and the calls' energy below."
    return Finding(_CHECK, subject, "fine", sentence, evidence)


def _not_heard(
    subject: dict[str, Any],
    verdict: str,
    overall: Mapping[str, Any],
    by_class: Mapping[str, Mapping[str, Any]],
    where: str,
    remedy: str,
    evidence: dict[str, Any],
) -> Finding:
    worst = max(by_class, key=lambda label: by_class[label]["share"])
    ends = overall["ci"]
    interval_words = f" ({_percent(ends[0])} to {_percent(ends[1])} %)" if ends else ""
    sentence = (
        f"{_percent(overall['share'])} %{interval_words} of the calls' energy lies {where}, which {subject.get('encoder', 'the encoder')} "
    )
    sentence += "does not hear"
    sentence += f"; most of all of '{worst}', {_percent(by_class[worst]['share'])} %." if len(by_class) > 1 else "."
    return Finding(_CHECK, subject, verdict, sentence, evidence, remedy)  # type: ignore[arg-type]


def _end_of_the_recordings(calls: Sequence[Call], high_hz: float) -> tuple[float | None, float | None]:
    """Where the recordings end that end below what the encoder hears, and the share of the calls' energy just below that; None without any.

    Of calls in recordings of several rates, the median end, and the share over all calls.
    """
    cut = [call for call in calls if call.nyquist_hz <= high_hz]
    if not cut:
        return None, None
    at_the_end = sum(max(0.0, call.share(0.0, _TOPMOST * call.nyquist_hz)[1]) for call in cut) / len(calls)
    return float(np.median([call.nyquist_hz for call in cut])), _clipped(at_the_end)


def _estimate(shares: np.ndarray, groups: Sequence[str], seed: int) -> dict[str, Any]:
    """The mean over calls, with its interval over groups where there are enough."""
    weights, n_groups = group_weights(groups, _REPLICATES, seed), len(set(groups))
    replicates = weights @ shares / np.maximum(weights.sum(axis=1), 1)
    # Shares keep their signs, so that noise cancels: their mean is no proportion, whose logit would be taken.
    ends = score_interval(float(shares.mean()), replicates, n_groups, lowest=-1.0, highest=2.0)
    return {
        "share": _clipped(float(shares.mean())),
        "ci": None if ends is None else [_clipped(ends.low), _clipped(ends.high)],
        "calls": len(shares),
        "groups": n_groups,
    }


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _clipped(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def _verdict(overall: Mapping[str, Any], by_class: Mapping[str, Mapping[str, Any]]) -> str:
    """A problem where surely a third is lost; a look where a tenth is, or a quarter of some class; fine where it is surely less.

    Without an interval, for lack of groups, the share itself counts, and less than a tenth is not measured.
    """
    ends = overall["ci"]
    if ends is not None and ends[0] > _PROBLEM:
        return "problem"
    if (overall["share"] if ends is None else ends[0]) >= _LOOK:
        return "look"
    if any((own["share"] if own["ci"] is None else own["ci"][0]) > _LOOK_AT_CLASS for own in by_class.values()):
        return "look"
    if ends is not None and ends[1] < _LOOK:
        return "fine"
    return "look" if overall["share"] >= _LOOK else "unmeasured"


def _below_which(calls: Sequence[Call], share: float) -> float:
    """The frequency below which a share of the calls' energy lies, each call counting alike."""
    hz = np.unique(np.concatenate([call.hz for call in calls]))
    mean = np.mean([np.interp(hz, call.hz, np.cumsum(call.energy) / call.energy.sum(), right=1.0) for call in calls], axis=0)
    return float(hz[np.argmax(np.maximum.accumulate(mean) >= share)])


def _outside_words(low_hz: float, high_hz: float, below: float, above: float) -> str:
    if low_hz > 0 and below > 0.2 * max(above, 0.0):
        return f"below {low_hz:,.0f} Hz" if above < 0.2 * below else f"below {low_hz:,.0f} or above {high_hz:,.0f} Hz"
    return f"above {high_hz:,.0f} Hz"


def _speed(calls: Sequence[Call], low_hz: float, high_hz: float, now: float) -> float | None:
    """The speed nearest to the present one at which nearly all of the calls' energy lies in what the encoder itself hears; None where none does it."""

    def outside(speed: float) -> float:
        return float(np.mean([sum(call.share(low_hz / speed, high_hz / speed)) for call in calls]))

    nearest = sorted(_SPEEDS, key=lambda speed: abs(math.log(speed / now)))
    return next((speed for speed in nearest if outside(speed) <= _LEFT_OUTSIDE), None)


def _remedy(farther: str, speed: float | None, now: float) -> str:
    """`farther` says how far the calls reach on the side on which most is lost."""
    which = "that hears lower frequencies" if "down" in farther else "with a higher rate"
    where = "" if "down" in farther else ": `callspace models list` shows the rates"
    choose = f"Choose an encoder {which} (the calls {farther}{where})"
    if speed is None:
        return f"{choose}; no speed alone brings the whole of the calls into what this one hears."
    how = "slowed down" if speed < 1 else "sped up" if speed > 1 else "as they are"
    instead = "" if now == 1 else f" in place of {now:g}"
    return f"{choose}, or let it hear the recordings {how} (--speed {speed:g}{instead})."
