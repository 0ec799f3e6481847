"""What each choice of a run costs: time to embed, memory, time to fit, size, licence; and where as good a choice costs less.

Measured while the bench embedded and fitted, on its machine; a number that was not measured is missing. A head or a tuned network embeds
at the speed of its encoder. Kept in ``costs.json``, apart from ``choice.json``, whose bytes follow from the data alone.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from callspace.adaptation.regimes import regime_of
from callspace.bench.choice import choice_of
from callspace.bench.meter import EMBEDDING_COST
from callspace.bench.plan import Choice
from callspace.bench.provenance import described_as
from callspace.tables import read_json, write_json

__all__ = ["Cost", "cheaper", "costs_of", "in_words", "write_costs"]

#: How many times less is worth a word: to embed or in memory, to fit (of fits that take a while), in size.
_FASTER, _LIGHTER, _QUICKER, _SMALLER = 2.0, 2.0, 5.0, 4.0
_LONG_FIT_S = 30.0
_LEAST_MIB = 100.0


@dataclass(frozen=True)
class Cost:
    """What a choice costs.

    Attributes
    ----------
    choice : Choice
    embed_ms_per_s : float | None
        Milliseconds to embed a second of recordings, decoding included; where windows overlap, each second counts once.
    embed_mib : float | None
        The most memory held while embedding, by the GPU, where one worked, else by the whole process.
    grown_mib : float | None
        What of it the embedding itself took: of the GPU all, of the process the peak less what was held at the start; None where unknown.
    fit_s : float | None
        Seconds to fit once, without embedding the dataset; None where nothing is fitted or it was not measured.
    parameters : int | None
        Of the encoder.
    licence : str | None
        Of its weights; None where there are no published weights, none is stated, or nothing is known.
    restricted : bool | None
        Whether the licence forbids commercial use or none is stated; False where there are no published weights, None where nothing is
        known.
    device : str
    """

    choice: Choice
    embed_ms_per_s: float | None
    embed_mib: float | None
    fit_s: float | None
    parameters: int | None
    licence: str | None
    restricted: bool | None
    device: str
    grown_mib: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, the choice's own beside the others."""
        return self.choice._asdict() | {name: value for name, value in asdict(self).items() if name != "choice"}


def costs_of(folder: Path) -> list[Cost]:
    """The cost of every choice of a finished run, in the order of its plan."""
    about = read_json(folder / "provenance.json")
    fits: dict[Choice, list[float]] = {}
    for row in _rows(folder / "costs.csv"):
        choice = choice_of(row | {"background": float(row["background"])})
        times = fits.setdefault(choice, [])
        if (seconds := _number(row.get("seconds_fit"))) is not None and regime_of(choice.regime).head:
            times.append(seconds)
    found = []
    for choice, fitted in fits.items():
        known = described_as(about, choice.encoder, choice.layer, choice.pool)
        encoder = known[0] if known else {}
        embedding = _embedding(folder, encoder.get("fingerprint"))
        audio_s, spent_s = embedding.get("audio_s"), embedding.get("seconds")
        found.append(
            Cost(
                choice,
                embed_ms_per_s=round(1000 * spent_s / audio_s, 3) if audio_s and spent_s is not None else None,
                embed_mib=embedding.get("gpu_mib", embedding.get("peak_mib")),
                fit_s=round(sum(fitted) / len(fitted), 3) if fitted else None,
                parameters=encoder.get("parameters"),
                licence=encoder.get("licence"),
                restricted=bool(encoder.get("licence_notice")) if known else None,
                device=embedding.get("device") or about.get("device") or "cpu",
                grown_mib=embedding.get("gpu_mib", embedding.get("grown_mib")),
            )
        )
    return found


def _embedding(folder: Path, fingerprint: str | None) -> dict[str, Any]:
    path = folder / "embeddings" / (fingerprint or "") / EMBEDDING_COST
    return read_json(path) if fingerprint and path.is_file() else {}


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _number(text: Any) -> float | None:
    return float(text) if text not in (None, "") else None


def write_costs(folder: Path) -> dict[str, Any]:
    """Write ``costs.json`` into a run's folder: ``costs``, one a choice, and ``sentences`` on the chosen one and on what costs less.

    Returns
    -------
    What the file holds.
    """
    costs, choice = costs_of(folder), read_json(folder / "choice.json")
    by_choice = {cost.choice: cost for cost in costs}
    sentences: list[str] = []
    chosen = by_choice.get(choice_of(choice)) if choice.get("encoder") else None
    if chosen is not None:
        tied = [by_choice[other] for row in choice.get("tied", []) if (other := choice_of(row)) in by_choice]
        sentences = [*in_words(chosen), *cheaper(chosen, tied)]
    about = {"costs": [cost.to_json() for cost in costs], "sentences": sentences}
    write_json(about, folder / "costs.json")
    return about


def in_words(cost: Cost) -> list[str]:
    """What a choice costs, in one sentence; what was not measured is left out."""
    parts = []
    if cost.embed_ms_per_s is not None:
        speed = 1000 / cost.embed_ms_per_s if cost.embed_ms_per_s > 0 else float("inf")
        faster = f", {speed:,.0f} times faster than real time" if 1.5 <= speed < float("inf") else ""
        parts.append(f"{_figure(cost.embed_ms_per_s)} ms to embed a second of sound on {cost.device}{faster}")
    if cost.embed_mib is not None:
        grown = f", {cost.grown_mib:,.0f} of them for that work" if cost.grown_mib is not None and cost.grown_mib < cost.embed_mib else ""
        parts.append(f"{cost.embed_mib:,.0f} MiB of memory meanwhile{grown}")
    if cost.fit_s is not None:
        parts.append(f"{_seconds(cost.fit_s)} to fit once")
    if cost.parameters:
        parts.append(f"{_millions(cost.parameters)} parameters")
    if cost.licence or cost.restricted:
        parts.append(f"licence {(cost.licence or 'not stated').rstrip('.')}" + (" (restricted)" if cost.restricted else ""))
    elif parts and cost.restricted is None:
        parts.append("licence not known")
    return [f"It costs: {'; '.join(parts)}."] if parts else []


def cheaper(chosen: Cost, tied: Sequence[Cost]) -> list[str]:
    """The choices not told apart from the chosen one that cost much less, or whose licence is freer, with by how much; a sentence at most."""
    told = []
    for other in tied:
        gains = [*_times(chosen, other)]
        if chosen.restricted and other.restricted is False:
            gains.append(f"licence {other.licence.rstrip('.')}" if other.licence else "no licence to heed")
        if gains:
            told.append(f"{_called(other)} ({', '.join(gains)}{_stricter(chosen, other)})")
    if not told:
        return []
    shown = "; ".join(told[:3]) + (f"; and {len(told) - 3} more" if len(told) > 3 else "")
    return [f"Not told apart from it, and cheaper or freer: {shown}."]


def _stricter(chosen: Cost, other: Cost) -> str:
    if other.restricted is None:
        return ", but its licence is not known"
    return ", but its licence is restricted" if other.restricted and not chosen.restricted else ""


def _called(cost: Cost) -> str:
    return " ".join(filter(None, (cost.choice.encoder, cost.choice.regime, cost.choice.kept.words)))


def _times(chosen: Cost, other: Cost) -> list[str]:
    measured: Sequence[tuple[float | None, float | None, float, str]] = (
        (chosen.embed_ms_per_s, other.embed_ms_per_s, _FASTER, "embeds {} times faster"),
        (_weighed_mib(chosen), _weighed_mib(other), _LIGHTER, "with {} times less memory"),
        (chosen.parameters, other.parameters, _SMALLER, "{} times smaller"),
    )
    said = [words.format(_figure(mine / theirs)) for mine, theirs, least, words in measured if mine and theirs and mine >= least * theirs]
    if chosen.fit_s is not None and chosen.fit_s > _LONG_FIT_S:
        if not regime_of(other.choice.regime).head:
            said.append("nothing to fit")
        elif other.fit_s is not None and chosen.fit_s >= _QUICKER * other.fit_s:
            said.append(f"fits in {_seconds(other.fit_s)}")
    return said


def _weighed_mib(cost: Cost) -> float | None:
    """The work's own memory as far as it compares: what is less than `_LEAST_MIB` is lost in what the process happens to hold."""
    return None if cost.grown_mib is None else max(cost.grown_mib, _LEAST_MIB)


def _figure(value: float) -> str:
    """Two figures: ``0.34``, ``3.4``, ``34``, ``340``."""
    if value >= 10:
        return f"{float(f'{value:.2g}'):,.0f}"
    return f"{value:.2g}"


def _seconds(seconds: float) -> str:
    if seconds < 90:
        return f"{_figure(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} million" if count >= 1e5 else f"{count:,}"
