"""What is said of a nuisance that was looked at: verdict, sentence and remedy."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from callspace.evaluation.diagnosis.finding import Finding, Verdict
from callspace.evaluation.diagnosis.ties import Tie

__all__ = ["LEVEL", "Examined", "Heard", "as_finding", "heard"]

#: Whether the embedding tells a nuisance beyond chance; ``"unsure"`` where test has too few groups to say so of what looks like it.
Heard = Literal["told", "not told", "unsure"]

#: The family-wise level of the test of ties, over the nuisances of a dataset.
LEVEL = 0.005
_SUSPECT = 0.05
#: How much of the way from chance to 1, and of the label's own score above chance, the nuisance must go.
_MIN_GAIN, _MIN_EXPLAINED = 0.1, 0.25
#: A gain that is not beyond chance, but too large to be called none.
_LARGE_GAIN = 0.25
#: The label is told as well within the nuisance where so much of the agreement is left.
_KEPT = 0.9
_NAMED = 5

_WORDS = {
    "duration_s": "length of the recording",
    "level_db": "level",
    "sample_rate_hz": "sample rate",
    "channels": "number of channels",
    "format": "file format",
}
_REMEDIES = {
    "level_db": "See with the check of invariance whether the encoder hears the gain; if it does, set all windows to one level before embedding. "
    "Where one animal calls louder than another, its level belongs to it.",
    "duration_s": "Cut windows of one length; where clips end with the call, its length belongs to the animal and this is none of a recorder's doing.",
    "sample_rate_hz": "Resample all recordings to the lowest rate among them, then embed again.",
    "format": "Convert all recordings to one format (the poorest of them), then embed again.",
    "channels": "Use one channel of all recordings, then embed again.",
}
_WHERE_UNKNOWN = {"level_db": "Run `callspace diagnose RUN` where the recordings are: it listens to them."}


@dataclass
class Examined:
    """What was found of one nuisance, and of those that change with it.

    Attributes
    ----------
    name, same_as
        The nuisance, and others that divide the windows into the same parts, so that what is said of it is said of them.
    evidence
        Plain numbers.
    state
        ``"unknown"`` for all windows; ``"constant"`` and wholly known; ``"apart"``, no value in both train and test; ``"unscored"``, with the reason;
        ``"scored"``.
    reason
        Why it could not be scored.
    with_call_only
        Windows without a call were left out.
    tie, heard, better_than_label, gain, explained, p_holm, least_p_holm, n_groups
        Of a scored one: the tie with the label; whether the embedding tells it, and better than the label; how far the label is told by it alone
        from chance to 1; which share of the label's score that is; the tie's p after Holm's correction, and the least that it could have been;
        and of how many groups, train and test together.
    alone
        The labels most of whose test windows are of a value that holds no other label, so that there is nothing to tell them from within it.
    """

    name: str
    same_as: list[str]
    evidence: dict[str, Any] = field(default_factory=dict)
    state: str = "unscored"
    reason: str = ""
    with_call_only: bool = False
    tie: Tie | None = None
    heard: Heard = "not told"
    better_than_label: bool = False
    gain: float = np.nan
    explained: float = np.nan
    p_holm: float = np.nan
    least_p_holm: float = np.nan
    n_groups: int = 0
    alone: list[str] = field(default_factory=list)

    @property
    def called(self) -> str:
        return _word(self.name)


def heard(value: float, interval: list[float] | None, chance: float) -> Heard:
    """Whether a balanced accuracy is beyond chance, by its interval; None for an interval of too few groups."""
    if interval is not None and interval[0] > chance:
        return "told"
    near_chance = chance == 1 or (value - chance) / (1 - chance) < _LARGE_GAIN
    return "not told" if near_chance and interval is not None else "unsure"


def as_finding(found: Examined, subject: dict[str, Any]) -> Finding:
    """The finding of a nuisance."""
    verdict, sentence, remedy = _said(found)
    if found.with_call_only and found.state != "unknown":
        sentence += " Windows without a call are left out, since a call makes its own window louder."
    if found.same_as:
        sentence += f" The same holds of the {_listed([_word(name) for name in found.same_as])}, which {_change(found)}."
    return Finding("confounds", subject, verdict, sentence, found.evidence, remedy)


def _said(found: Examined) -> tuple[Verdict, str, str]:
    name = found.called
    if found.state == "unknown":
        return (
            "unmeasured",
            f"The {name} is not known of any window, so that whether it makes the label's score can't be measured.",
            _WHERE_UNKNOWN.get(found.name, ""),
        )
    if found.state == "constant":
        return "fine", f"The {name} is the same for all windows, so that it can't be mistaken for the label.", ""
    if found.state == "apart":
        return "fine", f"No {name} is in both train and test, so that it can't have been memorised into the score.", ""
    if found.tie is None:
        return "unmeasured", f"Whether the {name} makes the label's score can't be measured: {found.reason}.", ""
    return _of_scored(found, found.tie)


def _of_scored(found: Examined, tie: Tie) -> tuple[Verdict, str, str]:
    name, evidence = found.called, found.evidence
    label = max(evidence[f"label_by_{probe}"]["value"] for probe in ("linear", "knn"))
    alone = (
        f"the {name} alone tells the label at {tie.score:.2f} (chance {evidence['label_chance']:.2f}; the embedding {label:.2f}; "
        f"{_p(found.p_holm)})"
    )
    told = _heard_words(found)
    if found.p_holm <= LEVEL and found.gain >= _MIN_GAIN and found.heard == "told" and found.explained >= _MIN_EXPLAINED:
        if _kept(found):
            return (
                "look",
                f"The {name} goes with the label, but the label is told as well among windows of the same {name}: {alone}, and {told}. "
                f"{_left(found)}",
                f"Compare scores within one {name}.",
            )
        return (
            "problem",
            f"Part of the label's score may be the {name}: {alone}, and {told}. "
            f"Up to {100 * found.explained:.0f} % of what the score has above chance could come from that. {_left(found)}",
            _remedy(found),
        )
    if found.p_holm <= _SUSPECT and found.gain >= _MIN_GAIN / 2:
        return "look", f"The {name} goes with the label: {alone}; {told}.", f"Compare scores within one {name}."
    return _untied(found, alone, told, label)


def _untied(found: Examined, alone: str, told: str, label: float) -> tuple[Verdict, str, str]:
    """What is said where no tie is beyond chance that tells the label."""
    name = found.called
    few = f"There are too few recordings ({found.n_groups} groups in train and test) to tell whether the {name} makes the label's score: "
    if found.least_p_holm > _SUSPECT:
        strongest = f"the strongest tie that they could show would come about by chance with {_p(found.least_p_holm)}"
        return "unmeasured", f"{few}{strongest}; {alone}; {told}.", ""
    if found.p_holm > _SUSPECT and found.gain >= _LARGE_GAIN:
        return "unmeasured", f"{few}{alone}, which may be chance; {told}.", ""
    if found.better_than_label:
        return (
            "look",
            f"The embedding tells the {name} better than the label, though the two are not tied beyond chance: {told}, the label at {label:.2f}.",
            f"A layer further on, or tuning, if the encoder can be tuned, may hold less of the {name}.",
        )
    if found.p_holm <= _SUSPECT:
        return "fine", f"The {name} hardly tells the label, though beyond chance: {alone}.", ""
    return "fine", f"The {name} is not tied to the label beyond chance: {alone}.", ""


def _heard_words(found: Examined) -> str:
    """Whether the embedding tells the nuisance."""
    name, evidence = found.called, found.evidence
    its = max(evidence[f"nuisance_by_{probe}"]["value"] for probe in ("linear", "knn"))
    at = f"at {its:.2f} (chance {evidence['nuisance_chance']:.2f})"
    groups = evidence["groups"]
    few = f"{groups} {'group' if groups == 1 else 'groups'} in test {'is' if groups == 1 else 'are'} too few to say that this is beyond chance"
    words = {
        "told": f"the embedding tells the {name} {at}",
        "not told": f"the embedding does not tell the {name} beyond chance",
        "unsure": f"the embedding tells the {name} {at}, but {few}",
    }[found.heard]
    if evidence.get("unknown"):
        words += f"; where it is not known counts as a value of its own ({evidence['unknown']:,} windows)"
    return words


def _kept(found: Examined) -> bool:
    """Whether the label is told as well among windows of the same value."""
    overall, within = found.evidence["kappa"]["value"], found.evidence["kappa_within"]["value"]
    return not found.alone and within >= _KEPT * overall


def _left(found: Examined) -> str:
    """What is left of the agreement within the nuisance, as far as that can be said."""
    name, evidence = found.called, found.evidence
    overall, within = evidence["kappa"]["value"], evidence["kappa_within"]
    if np.isnan(within["value"]):
        return f"In test each {name} holds one label only, so that it can't be said what is left of the score within one."
    some = "" if within["strata"] == within["of"] else f", of which {within['strata']} of {within['of']} hold two labels or more"
    if found.alone:
        more = [f"{len(found.alone) - _NAMED} more"] if len(found.alone) > _NAMED else []
        of = _listed([*found.alone[:_NAMED], *more])
        return f"It can't be said what is left of the score within one {name}, since most windows of {of} are of a {name} that holds no other label in test."
    return f"Among windows of the same {name}{some} the agreement with the label goes from {overall:.2f} to {within['value']:.2f} (kappa)."


def _remedy(found: Examined) -> str:
    split = f"Split so that no {found.called} is in both train and test, or balance labels over its values; then judge again."
    return " ".join(dict.fromkeys(_REMEDIES.get(name, split) for name in (found.name, *found.same_as)))


def _change(found: Examined) -> str:
    one = len(found.same_as) == 1
    if found.state == "unknown":
        return "is not known either" if one else "are not known either"
    if found.state == "constant":
        return "never changes either" if one else "never change either"
    return "changes with it" if one else "change with it"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _word(name: str) -> str:
    return _WORDS.get(name, name.replace("_", " "))


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
