"""The paired differences that answer a bench's questions: which is better, by how much, and could this dataset have shown it?

Questions (`callspace.tables.COMPARISONS`): ``tuning``, ``background``, ``study``, ``best`` and ``pair``. Each is a set of pairs of choices that were
judged on the same test windows; p-values are adjusted by Holm within a question and metric (NMI: over all spaces and clusterers together).

Scores that one of two lacks in a fold, such as the NMI of a clustering that failed there, are not compared.

Nothing is compared with its own copy, which would cost the other comparisons in Holm's procedure: a frozen encoder's probe and its own linear
head, fitted with all the background as the probe is, predict the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from callspace.adaptation.regimes import regime_of
from callspace.bench.choice import Candidate, best_of, probed
from callspace.bench.matched import is_matched
from callspace.bench.plan import Choice
from callspace.bench.protocols import Protocol
from callspace.bench.words import SILENT_KINDS, SOUND_KINDS, main_metric
from callspace.datasets import Dataset
from callspace.encoders.registry import is_known
from callspace.evaluation.averages import Average, comparable, differences
from callspace.evaluation.scores import Key
from callspace.metrics.multiple import holm, verdict
from callspace.metrics.power import flips_for

__all__ = ["Averages", "comparisons", "main_key", "main_metric", "not_compared"]

#: Of more pairs of choices with a structure of their own than this, only those that a question needs are compared by it (`_needed`).
_MOST_PAIRS = 250

Averages = dict[Choice, dict[Key, Average]]


class _Asked(NamedTuple):
    """One comparison: the score `key` of b against that of a."""

    question: str
    a: Choice
    b: Choice
    key_a: Key
    key: Key


def main_key(task: str, regime: str) -> Key:
    """The main score: of the regime's own head, or, of a frozen encoder, of a linear probe."""
    return Key("full", "linear" if regime == "frozen" else "head", None, main_metric(task))


def comparisons(averages: Averages, candidates: Sequence[Candidate], dataset: Dataset, protocol: Protocol) -> list[dict[str, Any]]:
    """Rows of `callspace.tables.COMPARISONS`: every pair of choices by its main score, by structure and separation too but for those that `not_compared` tells of.

    Parameters
    ----------
    averages
        Of the choices whose folds and seeds are all there.
    candidates
        The same choices, with their scores on valid.
    dataset, protocol
        What was asked, and of what.
    """
    asked = list(_asked(averages, candidates, dataset.task, protocol))
    families: dict[tuple[str, str], list[int]] = {}
    for at, one in enumerate(asked):
        families.setdefault((one.question, one.key.metric), []).append(at)
    # Many comparisons at once need small p-values, which need many flips: enough for the smallest, adjusted, to be well below the level.
    flips = flips_for(max(map(len, families.values()), default=0))
    found = differences(
        [(averages[one.b][one.key], averages[one.a][one.key_a]) for one in asked],
        families=[(one.question, one.key.metric) for one in asked],
        n_flips=flips,
    )
    adjusted: dict[int, float | None] = {}
    for members in families.values():
        adjusted |= dict(zip(members, holm([found[at].p for at in members]), strict=True))
    rows = []
    for at, (one, own) in enumerate(zip(asked, found, strict=True)):
        sides = {f"{side}_{what}": value for side, choice in (("a", one.a), ("b", one.b)) for what, value in choice._asdict().items()}
        rows.append(
            {
                "dataset": dataset.name,
                "question": one.question,
                **sides,
                "space": one.key.space,
                "clusterer": one.key.clusterer,
                "metric": one.key.metric,
                "a_value": averages[one.a][one.key_a].value,
                "b_value": averages[one.b][one.key].value,
                "difference": own.value,
                "ci_low": own.ci_low,
                "ci_high": own.ci_high,
                "ci_method": own.ci_method,
                "n": None,
                "p": own.p,
                "p_holm": adjusted[at],
                "detectable": own.detectable,
                "n_groups": own.n_groups,
                "freedom": min(averages[one.a][one.key_a].freedom, averages[one.b][one.key].freedom),
                "verdict": verdict(own.value, own.ci_low, own.ci_high, adjusted[at]),
            }
        )
    return rows


def _asked(averages: Averages, candidates: Sequence[Candidate], task: str, protocol: Protocol) -> Iterator[_Asked]:
    """Every comparison whose two scores there are."""
    structure = _shared_keys(protocol)
    copies = probed(averages)
    dropped = _left_out(averages, candidates, protocol)
    for question, a, b in [*_pairs(averages, candidates), *(("pair", a, b) for a, b in _every_pair(averages))]:
        # Structure and separation for all but the ranking. A linear head leaves the structure as it is.
        keys = [] if question == "best" or (question == "pair" and (a, b) in dropped) else [(key, key) for key in structure]
        # A frozen encoder's own linear head stands for it.
        main = (
            [] if question in ("best", "pair") and (a in copies or b in copies) else [(main_key(task, a.regime), main_key(task, b.regime))]
        )
        for key_a, key_b in [*main, *keys]:
            if key_a in averages[a] and key_b in averages[b] and comparable(averages[a][key_a], averages[b][key_b]):
                yield _Asked(question, a, b, key_a, key_b)


def not_compared(averages: Averages, candidates: Sequence[Candidate], protocol: Protocol) -> str | None:
    """A sentence on the pairs of choices that were compared by their main score alone, since there are too many; None where there are none."""
    dropped = _left_out(averages, candidates, protocol)
    if not dropped:
        return None
    n_pairs = len(_with_structure(averages, protocol))
    return (
        f"Among the {len(averages)} choices {len(dropped)} of {n_pairs} pairs were compared by their main score alone, since there are so many. NMI and the "
        "separation of background were compared where a question needs it: with the same encoder frozen or on more background, between networks that know "
        "sound and those that do not (frozen against tuned, and both fully fine-tuned), and between networks that differ in their pretraining alone."
    )


def _left_out(averages: Averages, candidates: Sequence[Candidate], protocol: Protocol) -> set[tuple[Choice, Choice]]:
    """The pairs that could be compared by their structure and are not."""
    pairs = _with_structure(averages, protocol)
    if len(pairs) <= _MOST_PAIRS:
        return set()
    pretraining = {candidate.choice.encoder: candidate.pretraining for candidate in candidates}
    return {(a, b) for a, b in pairs if not _needed(a, b, pretraining)}


def _with_structure(averages: Averages, protocol: Protocol) -> list[tuple[Choice, Choice]]:
    """The pairs that both have a structure of their own; what is but a head on a frozen encoder has none."""
    keys = set(_shared_keys(protocol))
    return [(a, b) for a, b in _every_pair(averages) if keys & averages[a].keys() & averages[b].keys()]


def _needed(a: Choice, b: Choice, pretraining: Mapping[str, str]) -> bool:
    """Whether an answer of the report rests on how two choices differ in structure or separation.

    Matched pairs (`callspace.bench.matched`), and of the study's second claim (`callspace.bench.study_background`) two fully fine-tuned networks of
    which one knows sound; its frozen ones are of the question ``study``.
    """
    heard = {pretraining.get(choice.encoder) in SOUND_KINDS for choice in (a, b)}
    claimed = a.regime == b.regime == "full" and a.kept == b.kept and heard == {True, False}
    return claimed or is_matched(a, b, pretraining)


def _shared_keys(protocol: Protocol) -> list[Key]:
    structure = [Key(space, clusterer, None, "nmi") for space in protocol.spaces for clusterer in protocol.clusterers]
    return [*structure, Key("full", "linear", None, "separation_auroc")]


def _pairs(averages: Collection[Choice], candidates: Sequence[Candidate]) -> list[tuple[str, Choice, Choice]]:
    """The questions, and for each the choices of which the second is compared with the first."""
    pretraining = {c.choice: c.pretraining for c in candidates}
    pairs: list[tuple[str, Choice, Choice]] = []
    for choice in averages:
        if choice.regime != "frozen" and choice.frozen in averages and choice.frozen not in probed([choice]):
            pairs.append(("tuning", choice.frozen, choice))
        whole = _with_most_background(choice, averages)
        if whole is not None and whole != choice:
            pairs.append(("background", whole, choice))
    # The study's first question: a frozen network from sound against a tuned one that never heard any; each read in its own default way.
    read_otherwise = {c.choice for c in candidates if c.reading}
    # What was tuned before the bench is neither of the two.
    asked = [choice for choice in averages if choice not in read_otherwise and is_known(choice.encoder)]
    pairs += [
        ("study", a, b)
        for a in asked
        for b in asked
        if a.regime == "frozen" and regime_of(b.regime).tunes and a.clean == b.clean
        if pretraining[a] in SOUND_KINDS and pretraining[b] in SILENT_KINDS
    ]
    best = best_of(candidates)
    if best is not None:
        pairs += [("best", best.choice, other) for other in averages if other != best.choice and other.clean == best.choice.clean]
    return pairs


def _every_pair(averages: Collection[Choice]) -> list[tuple[Choice, Choice]]:
    """Any two choices that were judged on the same windows, the earlier in the plan first."""
    choices = list(averages)
    return [(a, b) for at, a in enumerate(choices) for b in choices[at + 1 :] if a.clean == b.clean]


def _with_most_background(choice: Choice, averages: Collection[Choice]) -> Choice | None:
    """The same encoder in the same regime with the largest share of background that was tried; none where the test windows are others."""
    if choice.clean or choice.regime == "frozen":
        return None
    alike = choice._replace(background=0.0, policy="share")
    shares = [other for other in averages if other.policy == "share" and other._replace(background=0.0) == alike]
    return max(shares, key=lambda other: other.background, default=None)
