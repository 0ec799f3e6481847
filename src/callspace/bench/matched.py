"""Matched pairs: the same architecture under several pretrainings, which is the fair way to ask what pretraining is worth.

The study sets AlexNet from images against transformers from sound: architecture, size and input differ along with what was pretrained on. Where
a run holds one architecture with several sets of weights (random, image, audio, bioacoustic), their paired differences leave the pretraining
alone. They are read from the run's paired differences (`callspace.tables.COMPARISONS`, question ``pair``), in the same regime and under the
same background policy. Their p-values are adjusted by Holm over all matched pairs of one score: accuracy or mAP, whatever the regime that it is
read in; the separation of background; the NMI of one clusterer in one space.

Few architectures of the registry have weights from images and from sound: `with_image_and_sound` says which.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from callspace.bench.choice import choice_of
from callspace.bench.plan import Choice
from callspace.bench.words import METRIC_WORDS, SOUND_KINDS
from callspace.encoders.registry import RANDOM, names, spec
from callspace.metrics.multiple import holm, verdict
from callspace.tables import COMPARISONS, from_rows, read_parquet, write_csv

__all__ = [
    "MATCHED",
    "architecture_of",
    "fed_otherwise",
    "image_against_sound",
    "is_matched",
    "matched_pairs",
    "shown",
    "tallies",
    "together",
    "with_image_and_sound",
    "write_matched",
]

#: Names whose network is that of another name, weights apart. Only what is the same network to the last layer of the embedding is here.
_SAME = {
    "beats-ft": "beats",
    "esp-aves2-sl-beats-all": "beats",
    "esp-aves2-sl-beats-bio": "beats",
    "esp-aves2-naturelm-audio-v1-beats": "beats",
    "eat-base-ft": "eat-base",
    "esp-aves2-eat-all": "eat-base",
    "esp-aves2-eat-bio": "eat-base",
    "esp-aves2-sl-eat-all-ssl-all": "eat-base",
    "esp-aves2-sl-eat-bio-ssl-all": "eat-base",
    "eat-large-ft": "eat-large",
    "audiomae-ft": "audiomae",
    "wavlm-base-plus": "wavlm-base",
    "data2vec-audio-base-960h": "data2vec-audio-base",
    "biolingual": "clap",
    "aves": "hubert-base",
    "aves-bio": "hubert-base",
    "aves-core": "hubert-base",
    "aves-nonbio": "hubert-base",
    "aves-all": "hubert-base",
    "birdaves-biox-base": "hubert-base",
    # Large as HuBERT's, but normalised as its base is.
    "birdaves-biox-large": "birdaves-large",
    "birdaves-bioxn-large": "birdaves-large",
    "birdset-convnext": "convnext-base",
    "esp-aves2-effnetb0-all": "efficientnet-b0",
    "esp-aves2-effnetb0-bio": "efficientnet-b0",
    "esp-aves2-effnetb0-audioset": "efficientnet-b0",
}
#: Names whose network is fed something else than its namesakes are, which in a pair with one of these stays a difference beside the pretraining.
_FED_OTHERWISE = {"birdset-convnext": "its own mel spectrogram at 32 kHz"}

#: From nothing to the animals themselves: of a pair, the one that comes first is `a`.
_ORDER = ("none", "image", "speech", "audio", "bioacoustic")

#: One row a (pair, metric, space, clusterer): `difference` is b - a, `b` the one whose pretraining is nearer to animals. `p_holm` and `verdict`
#: (`callspace.metrics.multiple.verdict`) are over the matched pairs of one score.
MATCHED = pa.schema(
    [
        ("dataset", pa.string()),
        ("architecture", pa.string()),
        ("regime", pa.string()),
        ("background", pa.float64()),
        ("policy", pa.string()),
        *((f"{side}_{name}", pa.string()) for side in "ab" for name in ("encoder", "layer", "pool", "pretraining")),
        *(
            (name, COMPARISONS.field(name).type)
            for name in ("space", "clusterer", "metric", "a_value", "b_value", "difference", "ci_low", "ci_high")
        ),
        ("p", pa.float64()),
        ("p_holm", pa.float64()),
        ("verdict", pa.string()),
        ("note", pa.string()),
    ]
)


def architecture_of(encoder: str) -> str:
    """The network that a name runs, weights apart: ``aves-bio`` and ``hubert-base:random`` both run ``hubert-base``."""
    name = encoder.removesuffix(RANDOM)
    return _SAME.get(name, name)


def fed_otherwise(a: str, b: str) -> str | None:
    """How the inputs of two encoders of one architecture differ, where they do: weights, random ones too, change nothing of the input."""
    own = [_FED_OTHERWISE.get(name.removesuffix(RANDOM)) for name in (a, b)]
    if own[0] == own[1]:
        return None
    return "; ".join(f"{name} is fed {said}" for name, said in zip((a, b), own, strict=True) if said)


def with_image_and_sound() -> dict[str, list[str]]:
    """The built-in encoders that set image against sound on one architecture: their names, the one from images first, by architecture."""
    groups: dict[str, list[str]] = {}
    for name in names():
        groups.setdefault(architecture_of(name), []).append(name)
    found = {}
    for architecture, own in groups.items():
        # Asking for a spec imports its family: only of those that share a network.
        kinds = {name: spec(name).pretraining for name in own} if len(own) > 1 else {}
        if "image" in kinds.values() and set(kinds.values()) & set(SOUND_KINDS):
            found[architecture] = sorted(own, key=lambda name: _place(kinds[name]))
    return found


def matched_pairs(comparisons: Iterable[Mapping[str, Any]], pretraining: Mapping[str, str]) -> list[dict[str, Any]]:
    """The pairs of a run that differ in pretraining alone.

    Parameters
    ----------
    comparisons
        Rows of `tables.COMPARISONS`, of which those of the question ``pair`` count.
    pretraining
        Of each encoder, by its name.

    Returns
    -------
    Rows of `MATCHED`, by architecture; none where the run has no two pretrainings of one architecture.
    """
    rows = [found for row in comparisons if row["question"] == "pair" and (found := _matched(row, pretraining)) is not None]
    return sorted(together(rows), key=lambda row: (row["architecture"], row["regime"], row["metric"], row["space"]))


def together(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same rows, with p-values adjusted and verdicts given over all of each score: those of several datasets too, which are then counted together."""
    found = [dict(row) for row in rows]
    families: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in found:
        # A frozen encoder's accuracy is read by a probe, a tuned one's by its head: one score.
        main = row["metric"] in METRIC_WORDS
        families.setdefault(("main",) if main else (row["metric"], row["space"] or "", row["clusterer"] or ""), []).append(row)
    for own in families.values():
        for row, p in zip(own, holm([row["p"] for row in own]), strict=True):
            row["p_holm"], row["verdict"] = p, verdict(row["difference"], row["ci_low"], row["ci_high"], p)
    return found


def shown(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that a page shows: of the full space, and of NMI the clusterer that comes first."""
    full = [row for row in rows if row["space"] in ("full", "", None)]
    first = next((row["clusterer"] for row in full if row["metric"] == "nmi"), None)
    return [row for row in full if row["metric"] != "nmi" or row["clusterer"] == first]


def is_matched(a: Choice, b: Choice, pretraining: Mapping[str, str]) -> bool:
    """Whether two choices are the same but for what one architecture was pretrained on."""
    alike = a._replace(encoder="") == b._replace(encoder="") and a.encoder != b.encoder
    return alike and architecture_of(a.encoder) == architecture_of(b.encoder) and pretraining.get(a.encoder) != pretraining.get(b.encoder)


def _matched(row: Mapping[str, Any], pretraining: Mapping[str, str]) -> dict[str, Any] | None:
    a, b = choice_of(row, "a_"), choice_of(row, "b_")
    if not is_matched(a, b, pretraining):
        return None
    kinds = pretraining.get(a.encoder, ""), pretraining.get(b.encoder, "")
    turned = _place(kinds[0]) > _place(kinds[1])
    first, second = (b, a) if turned else (a, b)
    sign = -1.0 if turned else 1.0
    ends = [row["ci_low"], row["ci_high"]]
    low, high = (None, None) if None in ends else sorted(sign * end for end in ends)
    return {
        "dataset": row["dataset"],
        "architecture": architecture_of(a.encoder),
        **{name: getattr(a, name) for name in ("regime", "background", "policy")},
        **{f"a_{name}": getattr(first, name) for name in ("encoder", "layer", "pool")},
        **{f"b_{name}": getattr(second, name) for name in ("encoder", "layer", "pool")},
        "a_pretraining": kinds[1] if turned else kinds[0],
        "b_pretraining": kinds[0] if turned else kinds[1],
        **{name: row[name] for name in ("space", "clusterer", "metric")},
        "a_value": row["b_value" if turned else "a_value"],
        "b_value": row["a_value" if turned else "b_value"],
        "difference": sign * row["difference"],
        "ci_low": low,
        "ci_high": high,
        "p": row.get("p"),
        "p_holm": None,
        "verdict": None,
        "note": fed_otherwise(first.encoder, second.encoder),
    }


def _place(kind: str) -> int:
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def tallies(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Of each kind of pair, a's pretraining and b's: how many ``pairs``, in how many b is clearly ``higher``, ``lower`` or neither (``open``); ``mean``, b - a."""
    kinds: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        kinds.setdefault((row["a_pretraining"], row["b_pretraining"]), []).append(row)
    return {kind: _tally(own) for kind, own in kinds.items()}


def _tally(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    higher, lower = (sum(row["verdict"] == said for row in rows) for said in ("higher", "lower"))
    mean = math.fsum(row["difference"] for row in rows) / len(rows)
    return {"pairs": len(rows), "higher": higher, "lower": lower, "open": len(rows) - higher - lower, "mean": mean}


def image_against_sound(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The study's question, image against sound, from matched pairs of one score: how many each way beyond chance, and the mean.

    Returns
    -------
    dict with ``pairs``, ``sound`` and ``image`` (pairs clearly in favour of each), ``undecided``, and ``mean`` (sound less image); None
    where no architecture was run with both.
    """
    asked = [row for row in rows if row["a_pretraining"] == "image" and row["b_pretraining"] in SOUND_KINDS]
    if not asked:
        return None
    found = _tally(asked)
    return {"pairs": found["pairs"], "sound": found["higher"], "image": found["lower"], "undecided": found["open"], "mean": found["mean"]}


def write_matched(folder: Path) -> list[dict[str, Any]]:
    """Write ``matched.csv`` into a run's folder, where there are matched pairs, and give its rows."""
    summary = read_parquet(folder / "summary.parquet").select(["encoder", "pretraining"]).to_pylist()
    pretraining = {row["encoder"]: row["pretraining"] for row in summary}
    rows = matched_pairs(read_parquet(folder / "comparisons.parquet", COMPARISONS).to_pylist(), pretraining)
    path = folder / "matched.csv"
    if rows:
        write_csv(from_rows(rows, MATCHED), path)
    else:
        path.unlink(missing_ok=True)
    return rows
