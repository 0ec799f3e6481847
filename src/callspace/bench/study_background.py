"""The study's second claim: do networks that know sound tell calls from background less well than ResNets do?

How it is judged, `callspace.bench.study` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from callspace.bench.answers import CLIPS, answer, base_name, many, of_pairs, span, unasked
from callspace.bench.evidence import WHOLE, Evidence, Side, lacking, percent, whole_lacking
from callspace.bench.verdicts import CONTRADICTED, SUPPORTED, UNDECIDED, Decided, Estimate, combine, decide
from callspace.bench.words import listed
from callspace.encoders.registry import RANDOM
from callspace.metrics.multiple import ALIKE

__all__ = ["background_told"]


def background_told(sources: Sequence[Evidence]) -> dict[str, Any]:
    """The answer, as `answer` keeps it, from runs on recordings whose test split holds background."""
    sources = [source for source in sources if source.about["task"] == "detection"]
    if not sources:
        return unasked(CLIPS)
    sources = [source for source in sources if source.holds_background]
    if not sources:
        return unasked("give a test split that holds background windows: there are none in this one")
    if not any(row["metric"] == "separation_auroc" for source in sources for row in source.summary) and any(one.chances for one in sources):
        return unasked("give a train split that holds background windows: there are none in this one for a probe to learn from")
    told = [_told_by(source) for source in sources]
    differences, ours, others = ([one for own in told for one in own[part]] for part in range(3))
    beside = [*_probed(sources), *_as_they_lie(sources)]
    if {one.what["a_regime"] for one in differences} != {
        "frozen",
        "full",
    }:  # both halves of the claim, beside a network that never heard sound
        lack = lacking(sources, ("frozen", "full"), tuned="resnet18", policies=whole_lacking(sources), sound="full")
        return unasked(lack, beside)
    short = [one.below(ALIKE, one.what | {"quantity": f"short of {ALIKE} below chance"}) for one in ours]
    parts = (differences, ours, short, others)
    decided = decide([one for part in parts for one in part])
    each = iter(decided)
    compared, of_sound, of_sound_short, of_others = (list(islice(each, len(part))) for part in parts)
    better, mixed = combine([one.sign for one in compared])
    verdict = UNDECIDED
    if better == SUPPORTED and _lie_apart(of_others) and combine(_not_apart(of_sound, of_sound_short))[0] == SUPPORTED:
        verdict = SUPPORTED
    elif better == CONTRADICTED and _lie_apart(of_sound):
        verdict = CONTRADICTED
    rivals = listed([one.estimate.what["b"] for one in compared])
    sentence = (
        f"By a linear probe, {rivals}, fully fine-tuned, tells calls from background clearly better than a network that knows sound in {of_pairs(compared, 1)}, "
        f"clearly worse in {many(compared, -1)} (AUROC, the former minus the latter: {span(compared)})."
    )
    if of_sound:
        sentence += (
            f" Without a probe, calls lie clearly apart from background in {many(of_sound, 1)} of {len(of_sound)} embeddings of networks that know sound and "
            f"in {many(of_others, 1)} of {len(of_others)} of the others; in {many(of_sound_short, 1)} of the former they clearly do not (background among their "
            f"neighbours is less than {ALIKE} below chance)."
        )
    missing = "" if all(base_name(one.estimate.what["b"]).startswith("resnet") for one in compared) else "add resnet18 to --encoders"
    if any(one.estimate.what["b"].endswith(RANDOM) for one in compared):
        beside.append(
            "What is compared with started from random weights, the study's ResNets from images: this illustrates its claim and does not repeat it."
        )
    return answer(verdict, sentence, decided, mixed=mixed, missing=missing, beside=beside)


def _lie_apart(below: Sequence[Decided]) -> bool:
    """Whether calls lie apart from background in these embeddings."""
    return combine([one.sign for one in below])[0] == SUPPORTED


def _not_apart(below: Sequence[Decided], short: Sequence[Decided]) -> list[int]:
    """Of each embedding: 1 where calls clearly lie apart by less than matters, -1 where they clearly lie apart and may do so by more, else 0."""
    return [1 if falls.sign == 1 else -1 if lies.sign == 1 else 0 for lies, falls in zip(below, short, strict=True)]


def _told_by(source: Evidence) -> tuple[list[Estimate], list[Estimate], list[Estimate]]:
    """What a run says of background: differences of separation, and how far background among neighbours is below chance, of sound's and of others."""
    rivals = _rivals(source)
    heard = [_side(source, encoder, regime) for encoder in source.named(sound=True) for regime in ("frozen", "full")] if rivals else []
    differences = [found for other in rivals for ours in heard if (found := _more_apart(source, ours, other)) is not None]
    below = [[found for side in some if (found := source.below_chance(side)) is not None] for some in (heard, rivals)]
    return differences, below[0], below[1]


def _side(source: Evidence, encoder: str, regime: str) -> Side:
    """An encoder, frozen or fully fine-tuned with the largest share of the background that was tried."""
    return encoder, regime, source.shares[0] if regime == "full" and source.shares else WHOLE


def _rivals(source: Evidence) -> list[Side]:
    """The fully fine-tuned ResNets that never heard sound, from images where there are any; where no ResNet was tuned, the other such networks."""
    sides = [_side(source, name, "full") for name in source.named(sound=False)] if source.shares else []
    tuned = [side for side in sides if source.score(side, "separation_auroc", "linear")]
    resnets = [side for side in tuned if side[0].startswith("resnet")]
    return [side for side in resnets if not side[0].endswith(RANDOM)] or resnets or tuned


def _more_apart(source: Evidence, ours: Side, other: Side) -> Estimate | None:
    """How much better another network separates background than one that knows sound."""
    what = {"dataset": source.dataset, "metric": "separation_auroc", "space": "full", "a": ours[0], "b": other[0]}
    return source.difference(ours, other, "separation_auroc", what | {"a_regime": ours[1], "b_regime": other[1]}, "linear")


def _shown(source: Evidence) -> Iterator[Side]:
    """The networks that bear on background; what never heard sound, random weights too, beside."""
    for encoder in [*source.named(sound=True), *source.named(sound=False)]:
        yield from (_side(source, encoder, regime) for regime in (("frozen", "full") if source.shares else ("frozen",)))


def _probed(sources: Sequence[Evidence]) -> Iterator[str]:
    """The AUROC of background against calls by a linear probe, of every network, random weights among them."""
    for source in sources:
        found = [
            f"{_called(side)} {score.value:.2f}" for side in _shown(source) if (score := source.score(side, "separation_auroc", "linear"))
        ]
        if found:
            yield f"AUROC of calls against background by a linear probe{_where(source, sources)}: {', '.join(found)}."


def _as_they_lie(sources: Sequence[Evidence]) -> Iterator[str]:
    """Without a probe: how much of a call's neighbourhood is background, and how much would be by chance."""
    for source in sources:
        found = [
            (f"{_called(side)} {percent(score.value)}", chance)
            for side in _shown(source)
            if (score := source.score(side, "background_neighbours", "")) and (chance := source.chance(side)) is not None
        ]
        if found:
            chances = sorted({chance for _, chance in found})
            by_chance = " to ".join(dict.fromkeys(percent(chance) for chance in (chances[0], chances[-1])))
            yield (
                f"Background among the neighbours of a call{_where(source, sources)}, by chance {by_chance}: {', '.join(one for one, _ in found)}."
            )


def _called(side: Side) -> str:
    return f"{side[0]} {'frozen' if side[1] == 'frozen' else 'tuned'}"


def _where(source: Evidence, sources: Sequence[Evidence]) -> str:
    return f" in {source.dataset}" if len(sources) > 1 else ""
