"""What a run has to say to the study's questions: its scores by encoder and regime, and what would have to be added to it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from callspace.adaptation.background import CLEAN_ALL
from callspace.bench.background_chance import chances_of
from callspace.bench.choice import choice_of
from callspace.bench.finished import FinishedRun
from callspace.bench.plan import Choice
from callspace.bench.verdicts import Estimate
from callspace.bench.words import SILENT_KINDS, SOUND_KINDS, listed, main_metric
from callspace.encoders.registry import is_known
from callspace.progress import SILENT
from callspace.tables import COMPARISONS, SUMMARY, read_json, read_parquet

__all__ = [
    "INVENTED",
    "WHOLE",
    "Evidence",
    "Policy",
    "Side",
    "estimate_of",
    "lacking",
    "most_first",
    "percent",
    "share_words",
    "whole_lacking",
]

#: Pretrained on sounds that were invented, not recorded: of no weight for what pretraining on sound brings.
INVENTED = ("callspace-small",)

#: The amount and the kind of a background policy.
Policy = tuple[float, str]
#: An encoder, a regime, and the background policy it was fitted with.
Side = tuple[str, str, Policy]

#: All the background; also what is kept of a frozen encoder that is judged on all test windows.
WHOLE: Policy = (1.0, "share")


@dataclass(frozen=True)
class Evidence:
    """What a run says. Sides of a comparison are judged in the full space, over all classes together, and as they are read by default.

    Attributes
    ----------
    dataset : str
        Its dataset's name.
    about : mapping
        Its ``dataset.json``.
    summary, comparisons : sequence of mappings
        Rows of `callspace.tables.SUMMARY` and `callspace.tables.COMPARISONS`.
    chances : mapping of Choice to float
        The share of background among a call's neighbours by chance (`callspace.bench.background_chance`), where it was measured.
    defaults : mapping of str to (str, str)
        The layer and pooling that are each encoder's own default, where it was so read.
    """

    dataset: str
    about: Mapping[str, Any]
    summary: Sequence[Mapping[str, Any]]
    comparisons: Sequence[Mapping[str, Any]]
    chances: Mapping[Choice, float] = field(default_factory=dict)
    defaults: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, name: str | None = None) -> Evidence:
        """The evidence of a finished run's folder."""
        about = read_json(folder / "dataset.json")
        summary = read_parquet(folder / "summary.parquet", SUMMARY).to_pylist()
        comparisons = read_parquet(folder / "comparisons.parquet", COMPARISONS).to_pylist()
        cells = FinishedRun(folder, None, None, SILENT).cells
        chances = chances_of(folder, cells) if about["task"] == "detection" else {}
        defaults = {cell.encoder: (cell.layer, cell.pool) for cell in cells if not cell.reading}
        return cls(name or about["name"], about, summary, comparisons, chances, defaults)

    @property
    def metric(self) -> str:
        """The main score."""
        return main_metric(self.about["task"])

    @cached_property
    def networks(self) -> dict[str, str]:
        """The pretraining of every published or random encoder; what was tuned before the bench is no party to the study's questions."""
        return {row["encoder"]: row["pretraining"] for row in self.summary if is_known(row["encoder"])}

    @cached_property
    def readings(self) -> dict[str, tuple[str, str]]:
        """The one layer and pooling that each encoder is judged by: its own default, else the first."""
        first = {row["encoder"]: (row["layer"], row["pool"]) for row in reversed(self.summary)}
        return first | dict(self.defaults)

    @cached_property
    def shares(self) -> list[Policy]:
        """The shares of the background that networks were fully fine-tuned with, most first.

        Clean-all is none: its scores are of test windows without background, and compare with no others.
        """
        return [policy for policy in most_first(self.tuned_with) if policy[1] == "share"]

    @cached_property
    def tuned_with(self) -> set[Policy]:
        """All background policies that networks were fully fine-tuned with."""
        return {_policy(row) for row in self.summary if row["regime"] == "full"}

    @property
    def holds_background(self) -> bool:
        """Whether test windows are background, in any fold."""
        test = (self.about.get("splits") or {}).get("test") or {}
        return bool(self.chances) or 0 < (test.get("background") or 0) < (test.get("windows") or 0)

    def named(self, *, sound: bool) -> list[str]:
        """The encoders that were pretrained on recorded sound, or those that never heard any; what knows invented sounds alone is neither."""
        kinds = SOUND_KINDS if sound else SILENT_KINDS
        return [encoder for encoder, pretraining in self.networks.items() if pretraining in kinds and encoder not in INVENTED]

    def score(self, side: Side, metric: str, clusterer: str | None = None) -> Estimate | None:
        """An overall score in the full space; a frozen encoder's by its probe, unless a reader is named."""
        row = self._row(side, metric, clusterer)
        return None if row is None else self._of_score(row)

    def difference(self, a: Side, b: Side, metric: str, what: Mapping[str, Any], clusterer: str | None = None) -> Estimate | None:
        """The score of b less that of a, over the same test windows: paired where the run compared the two, else as of independent scores."""
        for row in self.comparisons:
            if row["metric"] != metric or row["space"] != "full" or any(self._reading(row, f"{side}_") is None for side in "ab"):
                continue
            sides = [(row[f"{side}_encoder"], row[f"{side}_regime"], _policy(row, f"{side}_")) for side in "ab"]
            if sides == [a, b]:
                return estimate_of(row, what)
            if sides == [b, a]:
                return estimate_of(row, what).flipped()
        both = [self._row(side, metric, clusterer) for side in (a, b)]
        if any(row is None or not self._is_whole(row) for row in both):
            return None
        first, second = (self._of_score(row) for row in both if row is not None)
        return second.minus(first, dict(what))

    def below_chance(self, side: Side) -> Estimate | None:
        """How far the share of background among a call's neighbours is below chance in the folds it is of."""
        row, chance = self._row(side, "background_neighbours", ""), self.chance(side)
        if row is None or chance is None:
            return None
        found = self._of_score(row)
        return found.below(chance, found.what | {"quantity": "below chance"})

    def chance(self, side: Side) -> float | None:
        """The share of background among a call's neighbours by chance, in the folds that it was measured in."""
        row = self._row(side, "background_neighbours", "")
        return None if row is None else self.chances.get(choice_of(row))

    def _row(self, side: Side, metric: str, clusterer: str | None) -> Mapping[str, Any] | None:
        encoder, regime, policy = side
        reader = clusterer if clusterer is not None else "linear" if regime == "frozen" else "head"
        for row in self.summary:
            if (row["encoder"], row["regime"], row["metric"], row["space"], row["class"]) != (encoder, regime, metric, "full", None):
                continue
            if _policy(row) == policy and (row["clusterer"] or "") == reader and self._reading(row) is not None:
                return row
        return None

    def _reading(self, row: Mapping[str, Any], prefix: str = "") -> tuple[str, str] | None:
        """The layer and pooling of a row, where they are those that the encoder is judged by."""
        own = row[f"{prefix}layer"], row[f"{prefix}pool"]
        return own if self.readings.get(row[f"{prefix}encoder"]) == own else None

    def _is_whole(self, row: Mapping[str, Any]) -> bool:
        """Whether a score is of as many folds and seeds as any of its kind: folds are not equally hard."""
        most = max(other.get("cells") or 0 for other in self.summary if other["metric"] == row["metric"])
        return (row.get("cells") or 0) == most

    def _of_score(self, row: Mapping[str, Any]) -> Estimate:
        what = {"dataset": self.dataset, **{name: row[name] for name in ("encoder", "regime", "metric", "space")}}
        return Estimate(row["value"], row["ci_low"], row["ci_high"], None, what, _freedom(row))


def estimate_of(row: Mapping[str, Any], what: Mapping[str, Any]) -> Estimate:
    """The difference that a row of the comparisons holds."""
    return Estimate(row["difference"], row["ci_low"], row["ci_high"], row.get("p"), dict(what), _freedom(row))


def _freedom(row: Mapping[str, Any]) -> float:
    return math.inf if row.get("freedom") is None else float(row["freedom"])


def _policy(row: Mapping[str, Any], prefix: str = "") -> Policy:
    return row[f"{prefix}background"], row.get(f"{prefix}policy") or "share"


def most_first(policies: Iterable[Policy]) -> list[Policy]:
    """The shares among background policies, most background first, then clean-all; other kinds are left out."""
    found = set(policies)
    return sorted((one for one in found if one[1] == "share"), reverse=True) + [one for one in found if one[1] == CLEAN_ALL]


def lacking(sources: Sequence[Evidence], regimes: Sequence[str], tuned: str = "", policies: Sequence[str] = (), sound: str = "") -> str:
    """What to add to the command, in words.

    Parameters
    ----------
    sources : sequence of Evidence
    regimes : sequence of str
        Those that the question needs.
    tuned : str
        The encoder to suggest where no network that never heard sound was fully fine-tuned.
    policies : sequence of str
        The background policies to suggest, where others are needed.
    sound : str
        A regime that some network that knows sound must have been in as well.
    """
    heard = {(source.dataset, name) for source in sources for name in source.named(sound=True)}
    ran = {(source.dataset, row["encoder"]) for source in sources for row in source.summary if row["regime"] == sound}
    untuned = bool(sound) and any(ran) and not heard & ran  # others were tuned, but none of sound's can be or did
    encoders = ["yamnet"] if (not heard or untuned) and "yamnet" not in {name for _, name in heard} else []
    full = {(source.dataset, row["encoder"]) for source in sources for row in source.summary if row["regime"] == "full"}
    if tuned and not any((source.dataset, name) in full for source in sources for name in source.named(sound=False)):
        encoders.append(tuned)
    there = {row["regime"] for source in sources for row in source.summary}
    wanted = {
        "encoders": encoders,
        "regimes": [regime for regime in regimes if regime not in there],
        "background": list(policies),
    }
    parts = [f"{listed(names)} to --{option}" for option, names in wanted.items() if names]
    return f"add {listed(parts)}" if parts else "look at why its cells failed (skipped.csv) and run the same command again"


def whole_lacking(sources: Sequence[Evidence]) -> list[str]:
    """The background policy to suggest where no network was fully fine-tuned with a share of it, or none will be: all of it."""
    full = {policy for source in sources for policy in source.tuned_with}
    given = full or {_policy(row) for source in sources for row in source.summary}
    return [] if any(kind == "share" for _, kind in given) else ["1"]


def share_words(kept: Policy) -> str:
    """``none``, ``all`` or a percentage of the background."""
    return {(0.0, "share"): "none", (1.0, "share"): "all"}.get(kept, "clean-all" if kept[1] == CLEAN_ALL else percent(kept[0]))


def percent(value: float) -> str:
    """``12 %``."""
    return f"{100 * value:.3g} %"
