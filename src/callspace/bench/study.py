"""The study's three claims, each put to a run, or to the runs of a matrix, as a question and marked by their own intervals.

1. *Networks pretrained on sound and left frozen cluster worse than a fine-tuned AlexNet.* Estimates: NMI of k-means on a map (the study's
   ``umap-50-0.5`` where it was made, else the first map, else the full space) of each fully fine-tuned AlexNet, with the most background that
   was tried, minus that of each frozen network pretrained on sound, paired over the test windows. Above 0 supports the claim. Where no
   AlexNet was tuned, the other networks that never heard sound stand in for it, and that is said.
2. *Networks pretrained on sound, fine-tuned or not, do not separate background from labelled sounds; ResNets do.* Asked only where networks
   that know recorded sound are there both frozen and fully fine-tuned, and a ResNet fully fine-tuned beside them (another network that never
   heard sound stands in, and that is said): any network at all separates somewhat, random weights too. Estimates: the AUROC of background
   against calls (a linear probe on the embedding) of each such ResNet minus that of each network that knows sound, frozen and tuned, paired
   over the test windows where the run compared them; and, without a probe, how far the share of background among a call's neighbours lies
   below chance in each of these embeddings, and in sound's how far short that falls of 0.05, the least that matters. The claim is supported
   where the ResNets separate better by the probe, calls lie apart from background in theirs, and in at least half of sound's embeddings lie
   apart by clearly less than matters and in none of the others beyond chance (a wide interval is no evidence that they do not); contradicted
   where sound's networks separate better by the probe and calls do lie apart in theirs; undecided otherwise.
3. *With less background in fine-tuning, the networks pretrained on sound come out ahead.* For each pair of fully fine-tuned networks, one
   pretrained on sound and one not: the difference of the main score with the least share of the background that was tried, and how much that
   difference is more than with the most. The pair supports the claim where both are above 0; it contradicts it where either is below. It takes
   two shares: ``clean-all``, the study's own second condition, drops background from the test windows too, so that a lead there is one on
   other windows, and what it is more than a lead with background may come of the windows alone.

A network that was read in several ways is judged by one, its own default, in all three. *Networks that know sound* were pretrained on recorded
sound: one that heard invented sounds alone is neither of the two kinds.
What is beyond chance, and how many estimates make one verdict, is defined in `callspace.bench.verdicts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from callspace.adaptation.background import CLEAN_ALL
from callspace.bench.answers import CLIPS, answer, base_name, many, of_pairs, span, unasked
from callspace.bench.evidence import INVENTED, Evidence, Policy, estimate_of, lacking, most_first, share_words, whole_lacking
from callspace.bench.study_background import background_told
from callspace.bench.verdicts import Decided, Estimate, combine, decide
from callspace.bench.words import METRIC_WORDS, listed
from callspace.metrics.rank_correlation import rank_correlation

__all__ = ["CLAIMS", "study_answers"]

#: The claims, and the question that each is on any data.
CLAIMS = (
    (
        "Networks pretrained on sound and left frozen cluster worse than a fine-tuned AlexNet.",
        "Do networks that know sound, used as they come, cluster worse than one that was fine-tuned without ever having heard any?",
    ),
    (
        "Networks pretrained on sound, fine-tuned or not, do not separate background from labelled sounds; ResNets do.",
        "Do networks that know sound tell calls from background less well than ResNets do?",
    ),
    (
        "With less background in fine-tuning, the networks pretrained on sound come out ahead.",
        "Does the amount of background in training decide which network wins?",
    ),
)

_THEIR_MAP = "umap-50-0.5"


def study_answers(sources: Sequence[Evidence]) -> list[dict[str, Any]]:
    """The three claims, marked.

    Parameters
    ----------
    sources : sequence of Evidence
        One run's, or those of all runs of a matrix, whose estimates then count together.

    Returns
    -------
    list of dict
        Of each claim: ``claim``, ``question``, ``verdict`` (supported, contradicted or undecided), ``mixed`` (whether estimates point both ways
        beyond chance), ``sentence``, ``missing`` (what to add to the command to have it answered; empty where it could be), ``evidence`` (the
        estimates, each with its interval, adjusted p and sign) and ``beside`` (what else bears on it, in sentences).
    """
    found = [_frozen_against_tuned(sources), background_told(sources), _background_decides(sources)]
    return [{"claim": claim, "question": question} | own for (claim, question), own in zip(CLAIMS, found, strict=True)]


# ---------------------------------------------------------------------------------------------------------------- frozen against tuned


def _frozen_against_tuned(sources: Sequence[Evidence]) -> dict[str, Any]:
    pairs = [(source, row) for source in sources for row in _tuned_minus_frozen(source)]
    theirs = [(source, row) for source, row in pairs if base_name(row["b_encoder"]) == "alexnet"]
    taken = theirs or pairs
    clusters = [(source, row) for source, row in taken if row["metric"] == "nmi"]
    if not clusters:
        scored = "" if not taken else "let clusters be scored (spaces and clusterers of the protocol): there is no NMI of these networks"
        tuned_with = {policy for source in sources for policy in source.tuned_with}
        policies = ["1"] if tuned_with and not most_first(tuned_with) else []
        return unasked(scored or lacking(sources, ("frozen", "full"), tuned="alexnet", policies=policies))
    decided = decide([_estimate(source, row) for source, row in clusters])
    verdict, mixed = combine([one.sign for one in decided])
    tuned, space = listed([one.estimate.what["b"] for one in decided]), listed([one.estimate.what["space"] for one in decided])
    sentence = (
        f"In {of_pairs(decided, 1)} {tuned}, fully fine-tuned, clusters clearly better (NMI, {space}) than a frozen network that knows sound, in "
        f"{many(decided, -1)} clearly worse. Tuned minus frozen: {span(decided)}."
    )
    use = decide([_estimate(source, row) for source, row in taken if row["metric"] == source.metric])
    beside = [_use_in_words(use, sources)] if use else []
    if not theirs:
        beside.append(
            f"No AlexNet was fine-tuned here, so that {tuned} stand{'s' if tuned.count(',') + tuned.count(' and ') == 0 else ''} in for it."
        )
    elif any(row["b_encoder"].endswith(":random") for _, row in theirs):
        beside.append(
            "alexnet:random started from random weights, the study's from images: this illustrates its claim and does not repeat it."
        )
    if any((row.get("b_policy") or "share") == CLEAN_ALL for _, row in clusters):
        beside.append("Where background was left out of all splits (clean-all), this is of test windows without background.")
    return answer(verdict, sentence, decided, mixed=mixed, missing="" if theirs else "add alexnet to --encoders", beside=beside)


def _tuned_minus_frozen(source: Evidence) -> Iterator[Mapping[str, Any]]:
    """The comparisons of each frozen network that knows sound with each fully fine-tuned one that does not: NMI on one space, and the main score."""
    rows = [
        row for row in source.comparisons
        if row["question"] == "study" and row["b_regime"] == "full" and row["a_encoder"] not in INVENTED
        and row["a_encoder"] in source.networks and row["b_encoder"] in source.networks
    ]  # fmt: skip
    kept = [(row["b_background"], row.get("b_policy") or "share") for row in rows]
    most = next(iter(most_first(kept)), None)
    rows = [row for row, policy in zip(rows, kept, strict=True) if policy == most]
    space = _space([row["space"] for row in rows if row["metric"] == "nmi" and row["clusterer"] == "kmeans"])
    for row in rows:
        if row["metric"] == source.metric or (row["metric"] == "nmi" and row["clusterer"] == "kmeans" and row["space"] == space):
            yield row


def _space(spaces: Sequence[str]) -> str | None:
    """The study's first map, else the first map, else the full space."""
    maps = [space for space in spaces if space.startswith(("umap", "tsne", "pacmap"))]
    return _THEIR_MAP if _THEIR_MAP in maps else next(iter([*maps, *spaces]), None)


def _estimate(source: Evidence, row: Mapping[str, Any]) -> Estimate:
    what = {"dataset": source.dataset, "metric": row["metric"], "space": row["space"], "a": row["a_encoder"], "b": row["b_encoder"]}
    return estimate_of(row, what | {"a_regime": row["a_regime"], "b_regime": row["b_regime"]})


def _use_in_words(use: Sequence[Decided], sources: Sequence[Evidence]) -> str:
    metrics = listed([METRIC_WORDS[source.metric] for source in sources], "or")
    return (
        f"By use rather than by clusters ({metrics}): the fine-tuned network is clearly better in {of_pairs(use, 1)}, clearly worse in {many(use, -1)}; tuned "
        f"minus frozen: {span(use)}."
    )


# ------------------------------------------------------------------------------------------------- how much background in fine-tuning


def _background_decides(sources: Sequence[Evidence]) -> dict[str, Any]:
    sources = [source for source in sources if source.about["task"] == "detection"]
    if not sources:
        return unasked(CLIPS)
    asked = [source for source in sources if len(source.shares) > 1]
    leads, grown = [], []
    for source in asked:
        for lead, more in _leads(source):
            leads.append(lead)
            grown.append(more)
    if not leads:
        lack = lacking(sources, ("full",), tuned="resnet18", policies=[] if asked else _shares_lacking(sources))
        return unasked(lack if asked else lack + _why_not_clean(sources))
    decided = decide([*leads, *grown])
    pairs = list(zip(decided[: len(leads)], decided[len(leads) :], strict=True))
    signs = [1 if one.sign == more.sign == 1 else -1 if -1 in (one.sign, more.sign) else 0 for one, more in pairs]
    verdict, mixed = combine(signs)
    least = listed([share_words(source.shares[-1]) for source in asked], "or")
    most = listed([share_words(source.shares[0]) for source in asked], "or")
    metrics = listed([METRIC_WORDS[source.metric] for source in asked], "or")
    ahead, growth = ([one for one, _ in pairs], [more for _, more in pairs])
    sentence = (
        f"Fine-tuned with {least} of the background, the network that knows sound has the clearly higher {metrics} in {of_pairs(ahead, 1)}, the clearly lower in "
        f"{many(ahead, -1)}; from {most} to {least} it clearly gains on the other in {many(growth, 1)}, clearly loses in {many(growth, -1)}."
    )
    beside = list(_orders(asked))
    if _clean(asked):
        beside.append("What was tuned with clean-all is left out: it is judged on other test windows, without background.")
    return answer(verdict, sentence, decided, mixed=mixed, beside=beside)


def _shares_lacking(sources: Sequence[Evidence]) -> list[str]:
    """The shares of background to suggest where fewer than two were tried."""
    wanted = whole_lacking(sources)
    tried = {share for source in sources for share, _ in source.shares}
    wanted += ["1" if tried == {0.1} else "0.1"]
    return [*wanted, "0"] if _clean(sources) and 0.0 not in tried else wanted


def _clean(sources: Sequence[Evidence]) -> bool:
    """Whether networks were tuned with clean-all."""
    return any(kind == CLEAN_ALL for source in sources for _, kind in source.tuned_with)


def _why_not_clean(sources: Sequence[Evidence]) -> str:
    """Why clean-all does not answer the question, where it was tried."""
    return " (clean-all leaves background out of the test windows too: its scores are not compared with others)" if _clean(sources) else ""


def _leads(source: Evidence) -> Iterator[tuple[Estimate, Estimate]]:
    """Of each pair of fully fine-tuned networks: how far the one that knows sound leads with the least background, and how much more than with the most."""
    most, least = source.shares[0], source.shares[-1]
    for ours in source.named(sound=True):
        for other in source.named(sound=False):
            first, last = (_lead(source, ours, other, kept) for kept in (most, least))
            if first is None or last is None:
                continue
            what = last.what | {"quantity": "how much the lead grew", "against": share_words(most)}
            mine, theirs = (
                source.difference((encoder, "full", most), (encoder, "full", least), source.metric, what) for encoder in (ours, other)
            )
            yield last, mine.minus(theirs, what) if mine and theirs else last.minus(first, what)


def _lead(source: Evidence, ours: str, other: str, kept: Policy) -> Estimate | None:
    """How far one network leads another, both fully fine-tuned with the same background."""
    what = {"dataset": source.dataset, "metric": source.metric, "space": "full", "a": other, "b": ours}
    what |= {"quantity": "lead", "background": share_words(kept)}
    return source.difference((other, "full", kept), (ours, "full", kept), source.metric, what)


def _orders(sources: Sequence[Evidence]) -> Iterator[str]:
    """Whether the ranking of all fine-tuned networks is the same with the least background as with the most."""
    for source in sources:
        most, least = source.shares[0], source.shares[-1]
        both = [
            (first.value, last.value)
            for encoder in source.networks
            if (first := source.score((encoder, "full", most), source.metric)) and (last := source.score((encoder, "full", least), source.metric))
        ]  # fmt: skip
        found = rank_correlation([first for first, _ in both], [last for _, last in both]) if len(both) > 2 else None
        if found is not None:
            where = f"{source.dataset}: the" if len(sources) > 1 else "The"
            ends = "" if found.ci_low is None else f", {found.ci_low:+.2f} to {found.ci_high:+.2f}"
            yield (
                f"{where} ranking of {found.n} fine-tuned networks with {share_words(least)} and with {share_words(most)} of the background: rank correlation "
                f"{found.rho:+.2f}{ends} (p {found.p:.2f}; 1: the same order)."
            )
