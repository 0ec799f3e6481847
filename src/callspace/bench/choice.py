"""The recommendation: which encoder, regime and policy to use on this dataset, chosen on valid and reported on test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from callspace.adaptation.background import CLEAN_ALL
from callspace.adaptation.regimes import regime_of
from callspace.bench.plan import Choice
from callspace.bench.words import METRIC_WORDS, is_alike, would_show
from callspace.datasets import Dataset
from callspace.encoders.registry import RANDOM
from callspace.errors import CallspaceError
from callspace.metrics.multiple import ALIKE, LEVEL
from callspace.metrics.power import can_show

__all__ = ["Candidate", "best_of", "beyond_chance", "choice_of", "choose", "compared", "probed"]


@dataclass(frozen=True)
class Candidate:
    """One choice: its mean score on valid, by which it is chosen, and on test, which is reported with its interval."""

    choice: Choice
    pretraining: str
    valid: float | None
    test: float | None
    ci_low: float | None
    ci_high: float | None
    complete: bool = True
    reading: str = ""

    @property
    def encoder(self) -> str:
        """The encoder's name."""
        return self.choice.encoder

    @property
    def regime(self) -> str:
        """How it meets the labels."""
        return self.choice.regime

    @property
    def called(self) -> str:
        """'aves (layer6)'; the encoder's name alone, where it is read in its own default way."""
        return f"{self.encoder} ({self.reading})" if self.reading else self.encoder

    def describe(self) -> str:
        """'resnet18 fully fine-tuned on 10 % of the background'."""
        return " ".join(filter(None, (self.called, regime_of(self.regime).words, self.choice.kept.words)))


def compared(choices: Iterable[Choice]) -> set[Choice]:
    """Those that compare: judged on the whole test split, or where none is, on test windows without background."""
    choices = set(choices)
    return {choice for choice in choices if not choice.clean} or choices


def probed(choices: Iterable[Choice]) -> set[Choice]:
    """The frozen choices whose own linear head, fitted with all the background as their probe is, is there: the two predict the same."""
    whole = ("share", 1.0), (CLEAN_ALL, 0.0)
    return {choice.frozen for choice in choices if choice.regime == "linear" and (choice.policy, choice.background) in whole}


def best_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """The best on valid; of equals, the cheapest regime, then the first in the order of the plan.

    A frozen encoder stands aside for its own linear head, which is the same thing ready to use. A choice with cells that failed is
    no candidate: its average is over other folds or seeds than the others'. Nor is one that was judged on test windows without
    background, where others were judged on all.
    """
    alike = compared(c.choice for c in candidates)
    linear = probed(c.choice for c in candidates if c.complete)
    scored = [c for c in candidates if c.valid is not None and c.complete and c.choice in alike and c.choice not in linear]
    return max(scored, key=lambda c: (c.valid, -regime_of(c.regime).cost), default=None)


def choose(
    candidates: Sequence[Candidate],
    comparisons: Sequence[dict[str, Any]],
    dataset: Dataset,
    metric: str,
    encoders: Sequence[Mapping[str, Any]] = (),
    *,
    folds: int = 1,
    tuned: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """What `choice.json` holds: the choice in words a biologist reads, its reasons, what is tied with it, and caveats.

    `encoders` are those of the provenance: what must be known of their licences is a caveat, whichever of them is chosen. `folds` says how
    many splits were tested, and `tuned`, by the names of encoders that were tuned before, on what (`callspace.embedding.embed.tuned_on`).
    """
    candidates = _told_apart(candidates)
    best = best_of(candidates)
    if best is None:
        unfinished = bool(candidates) and not any(candidate.complete for candidate in candidates)
        why = (
            "no choice completed all folds and seeds: the same command again goes on with them"
            if unfinished
            else "no cell has a score on valid"
        )
        return {
            "encoder": None,
            "regime": None,
            "background": None,
            "layer": None,
            "pool": None,
            "policy": None,
            "headline": f"Nothing could be chosen: {why}.",
            "reasons": [],
            "tied": [],
            "caveats": _unfinished(candidates),
            "metric": metric,
        }
    rivals = [row for row in comparisons if row["question"] == "best" and row["metric"] == metric]
    unsure = bool(rivals) and all(row["ci_low"] is None for row in rivals)
    others = _others(rivals, best.choice)
    tied = [row for row in others if row["ci_low"] is not None and not beyond_chance(row)]
    tested = "on the test split" if folds == 1 else f"on average over {folds} folds, each the test split once"
    called = {candidate.choice: candidate.called for candidate in candidates}
    return {
        **best.choice._asdict(),
        "metric": metric,
        "headline": f"Use {best.describe()}: {METRIC_WORDS[metric]} {_with_interval(best)} {tested}.",
        "reasons": [
            *_against_others(others, tied, called, rivals),
            *_tuning(comparisons, metric, called),
            *_separation(best, comparisons),
        ],
        "tied": [choice_of(row, "b_")._asdict() for row in tied],
        "caveats": [
            *_caveats(candidates, dataset, unsure=unsure),
            *_tuned_before(candidates, tuned or {}, dataset, folds),
            *_of_encoders(encoders),
        ],
    }


def _told_apart(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The same, with the default layer named too of an encoder that is read at others as well: its name alone would mean all of them."""
    several = {candidate.encoder for candidate in candidates if candidate.reading}
    return [
        replace(candidate, reading=candidate.choice.layer) if candidate.encoder in several and not candidate.reading else candidate
        for candidate in candidates
    ]


def _of_encoders(encoders: Sequence[Mapping[str, Any]]) -> list[str]:
    """Licences that forbid or do not say, and what else should be known of an encoder; each once, however many layers are read."""
    notices = [str(encoder["licence_notice"]) for encoder in encoders if encoder.get("licence_notice")]
    notes = [f"{encoder['name']}: {encoder['note']}" for encoder in encoders if encoder.get("note")]
    sentences = [*(notice[0].upper() + notice[1:] for notice in notices), *notes]
    return [f"{sentence.rstrip('.')}." for sentence in dict.fromkeys(sentences)]


def choice_of(row: Mapping[str, Any], prefix: str = "") -> Choice:
    """The choice that some columns of a row name."""
    named = {name: row[prefix + name] for name in Choice._fields if name != "policy"}
    return Choice(**named, policy=row.get(f"{prefix}policy") or "share")


def beyond_chance(row: Mapping[str, Any]) -> int:
    """1 or -1 where the second of a comparison is higher or lower beyond chance, else 0.

    By the comparison's verdict, which heeds how many comparisons were made. A comparison that could not be tested (its p is None) never is; what is no
    comparison but foreseen, and has no p at all, is by its interval.
    """
    if row.get("verdict") is not None:
        return {"higher": 1, "lower": -1}.get(row["verdict"], 0)
    if row.get("p", 1.0) is None or row.get("ci_low") is None or row.get("ci_high") is None:
        return 0
    within = row.get("p_holm") is not None and row["p_holm"] > LEVEL
    return 0 if within else 1 if row["ci_low"] > 0 else -1 if row["ci_high"] < 0 else 0


def _called(row: Mapping[str, Any], prefix: str, called: Mapping[Choice, str]) -> str:
    return called.get(choice_of(row, prefix), row[f"{prefix}encoder"])


def _ready(choice: Choice) -> Choice:
    """A frozen encoder's own linear head, fitted with all the background as the probe is: the same thing ready to use; else the choice."""
    return choice._replace(regime="linear") if choice.regime == "frozen" else choice


def _others(rivals: Sequence[dict[str, Any]], best: Choice) -> list[dict[str, Any]]:
    """The comparisons with another thing than the best: a frozen encoder and its own linear head are one, under the head's name."""
    held = {choice_of(row, "b_") for row in rivals}
    found = [(row, choice_of(row, "b_")) for row in rivals]
    return [row for row, other in found if _ready(other) != _ready(best) and (other.regime != "frozen" or _ready(other) not in held)]


def _with_interval(candidate: Candidate) -> str:
    if candidate.test is None:
        return "not defined"
    if candidate.ci_low is None:
        return f"{candidate.test:.3f} (no interval: too few groups)"
    return f"{candidate.test:.3f} (95 % interval {candidate.ci_low:.3f} to {candidate.ci_high:.3f})"


def _against_others(
    others: Sequence[dict[str, Any]], tied: Sequence[dict[str, Any]], called: dict[Choice, str], rivals: Sequence[dict[str, Any]]
) -> list[str]:
    if not rivals:
        return []
    sentences = ["It was chosen by its score on the valid split; the test split had no part in the choice."]
    alike = [row for row in tied if row.get("verdict") == "alike"]
    if alike:
        sentences.append(f"As good on this test split, within {ALIKE:g} at most: {_names(alike, called)}.")
    if open_ := [row for row in tied if row not in alike]:
        sentences.append(f"Not distinguishable from it on this test split{_least(open_, rivals)}: {_names(open_, called)}.")
    ahead = [row for row in others if beyond_chance(row) == 1]
    if ahead:
        sentences.append(
            f"{len(ahead)} other choice{'s' if len(ahead) > 1 else ''} did better on test than this one, beyond chance: valid and test disagree, so look at both."
        )
    return sentences


def _least(rows: Sequence[dict[str, Any]], rivals: Sequence[dict[str, Any]]) -> str:
    """What the test split could have shown of some comparisons, which were tested together with all rivals."""
    needed = [row["detectable"] for row in rows if row.get("detectable") is not None]
    if needed:
        return f" (with its {_groups(rows)}only a difference of about {max(needed):.2f} would show)"
    tested = sum(row.get("p") is not None for row in rivals)
    if tested and all(row.get("n_groups") and not can_show(row["n_groups"], tested) for row in rows):
        return f" (its {_groups(rows)}are too few to tell any pair apart among {tested} comparison{'s' if tested > 1 else ''})"
    return ""


def _names(rows: Sequence[dict[str, Any]], called: Mapping[Choice, str]) -> str:
    names = [" ".join(filter(None, (_called(row, "b_", called), row["b_regime"], choice_of(row, "b_").kept.words))) for row in rows]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _groups(rows: Sequence[dict[str, Any]]) -> str:
    counts = {row.get("n_groups") for row in rows}
    return f"{counts.pop()} groups " if len(counts) == 1 and None not in counts else "groups "


def _tuning(comparisons: Sequence[dict[str, Any]], metric: str, called: dict[Choice, str]) -> list[str]:
    """What tuning changed for each encoder, beyond its interval or not."""
    rows = [r for r in _with_most_background(comparisons, "tuning", metric) if regime_of(r["b_regime"]).tunes]
    if not rows:
        return []
    word = METRIC_WORDS[metric]
    full = {r["b_regime"] for r in rows} == {"full"}

    def who(row: Mapping[str, Any], *more: str) -> str:
        told = ", ".join([*([] if full else [row["b_regime"]]), *more])
        return _called(row, "a_", called) + (f" ({told})" if told else "")

    better, worse = ([who(r, f"{r['difference']:+.3f}") for r in rows if beyond_chance(r) == sign] for sign in (1, -1))
    rest = [r for r in rows if not beyond_chance(r)]
    even, open_ = [who(r) for r in rest if is_alike(r)], [who(r, *filter(None, [would_show(r)])) for r in rest if not is_alike(r)]
    parts = [f"raised the {word} of {', '.join(better)}"] if better else []
    parts += [f"lowered that of {', '.join(worse)}" if better else f"lowered the {word} of {', '.join(worse)}"] if worse else []
    parts += [f"made no difference that matters ({ALIKE:g} at most) for {', '.join(even)}"] if even else []
    tuning = "full fine-tuning" if full else "fine-tuning"
    told = [f"{tuning.capitalize()}, against a linear probe on the frozen network, {'; '.join(parts)}."] if parts else []
    if open_:
        told.append(f"Whether {tuning} changes the {word} of {', '.join(open_)} is open: this test split holds too little data to say.")
    return told


def _with_most_background(comparisons: Sequence[dict[str, Any]], question: str, metric: str) -> list[dict[str, Any]]:
    """The answers to a question that have an interval, at the largest share of background; at the first policy, where no share was tried."""
    rows = [r for r in comparisons if r["question"] == question and r["metric"] == metric]
    policies = [choice_of(r, "b_").kept for r in rows]
    shares = [policy for policy in policies if policy.name == "share"]
    wanted = max(shares, key=lambda policy: policy.amount) if shares else next(iter(policies), None)
    return [r for r, policy in zip(rows, policies, strict=True) if policy == wanted and r["ci_low"] is not None]


def _separation(best: Candidate, comparisons: Sequence[dict[str, Any]]) -> list[str]:
    rows = [r for r in comparisons if r["question"] == "tuning" and r["metric"] == "separation_auroc" and choice_of(r, "b_") == best.choice]
    before = "before tuning" if regime_of(best.regime).tunes else "in the encoder's own embedding"
    return [f"Background against calls in its embedding: AUROC {r['b_value']:.3f}, {r['a_value']:.3f} {before}." for r in rows[:1]]


def _tuned_before(candidates: Sequence[Candidate], tuned: Mapping[str, Mapping[str, Any]], dataset: Dataset, folds: int) -> list[str]:
    """Which encoders had been tuned on this very dataset before they were compared."""
    sentences = []
    for name in dict.fromkeys(candidate.encoder for candidate in candidates):
        about = tuned.get(name) or {}
        tunings = [one for one in (about, *about.get("before", [])) if one.get("dataset") and _changed(one.get("regime"))]
        mark = dataset.fingerprint() if tunings else ""
        here = [one for one in tunings if one.get("dataset_fingerprint") == mark or (one.get("source") or "") == dataset.source]
        if not here:
            continue
        other = folds > 1 or any(one.get("dataset_fingerprint") != mark for one in here)
        leaked = ", and its test windows may have been among those it was trained on" if other else ""
        sentences.append(f"{name} was itself tuned on this dataset: its scores are not those of an untouched encoder{leaked}.")
    return sentences


def _changed(regime: str | None) -> bool:
    """Whether an encoder tuned so has another embedding than before; a head beside it changes nothing."""
    try:
        return regime is None or regime_of(regime).changes_embedding
    except CallspaceError:  # a regime of another version
        return True


def _unfinished(candidates: Sequence[Candidate]) -> list[str]:
    """Which choices lack folds or seeds that others have."""
    names = [candidate.describe() for candidate in candidates if not candidate.complete]
    return (
        [f"Not all folds and seeds of {', '.join(names)} could be completed (skipped.csv): not compared with the others."] if names else []
    )


def _caveats(candidates: Sequence[Candidate], dataset: Dataset, *, unsure: bool) -> list[str]:
    sentences = list(dataset.warnings)
    if unsure:
        sentences.append("The test split has too few groups for intervals: treat differences as undecided.")
    sentences += _unfinished(candidates)
    if len(compared(c.choice for c in candidates)) < len(candidates):
        sentences.append(
            "What had background dropped from train, valid and test (clean-all) was judged on other test windows: its scores are not compared with the "
            "others', and it had no part in the choice."
        )
    there = {c.encoder for c in candidates}
    random_weights = sorted(
        name
        for name in {c.encoder for c in candidates if c.pretraining == "none"}
        if name.endswith(RANDOM) and name.removesuffix(RANDOM) not in there
    )
    if random_weights:
        sentences.append(f"{', '.join(random_weights)} started from random weights: their published weights may do better.")
    return sentences
