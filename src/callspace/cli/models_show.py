"""``callspace models show``: all that is known of one encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callspace.cli.models_list import lacks, rate_text

if TYPE_CHECKING:
    from pathlib import Path

    from callspace.encoders.registry import Entry
    from callspace.encoders.specs import EncoderSpec

__all__ = ["show"]


def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="A name from `callspace models`, my_encoder.py:MyNet, a model file, or the folder of a tuned encoder.",
            show_default=False,
        ),
    ],
) -> None:
    """Say all that is known of one encoder."""
    from callspace.encoders.load import saved_folder
    from callspace.encoders.registry import find

    if (folder := saved_folder(name)) is not None:
        _print([*_tuned(folder), ("use", f"callspace bench DATA --encoders {name}")])
        return
    entry = find(name)
    citation = [("citation", entry.spec.citation)] if entry.spec.citation else []
    _print([*_about(entry.spec), *_weights(entry, name), *citation, ("use", f"callspace bench DATA --encoders {name}")])


def _print(rows: list[tuple[str, str]]) -> None:
    """The rows in two columns. Addresses and paths are never broken, so that they can be copied: the terminal wraps them."""
    import textwrap

    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    indent = max(len(key) for key, _ in rows) + 2
    for key, value in rows:
        lines = textwrap.wrap(value, max(20, console.width - indent), break_long_words=False, break_on_hyphens=False) or [""]
        for number, line in enumerate(lines):
            console.print(Text.assemble((("" if number else key).ljust(indent), "bold"), line), soft_wrap=True)


def _tuned(folder: Path) -> list[tuple[str, str]]:
    """What its card says of a tuned encoder, and what holds for the weights that it started from."""
    from callspace.encoders.licences import meaning
    from callspace.encoders.model_cards import earlier
    from callspace.encoders.saved import load_saved, network_file

    encoder = load_saved(folder)
    spec, head, card = encoder.spec, encoder.head, encoder.card
    pool = f"pool {encoder.pool}" if encoder.pooler is None else "learnt pooling"
    tunings = [*earlier(card), *([f"{card['dataset']} ({card.get('regime')})"] if card.get("dataset") else [])]
    rows = [
        ("encoder", f"{folder}, tuned from {spec.name}" if card else f"{folder}, saved from {spec.name}"),
        *([("tuned on", ", then ".join(tunings))] if tunings else []),
        ("sample rate", rate_text(spec)),
        ("window", _window(spec)),
        ("embedding", f"{spec.embedding_dim} dimensions (layer {encoder.layer}, {pool})"),
        ("front end", spec.front_end),
        ("head", "none" if head is None else f"{len(encoder.labels or [])} labels: {', '.join(encoder.labels or [])}"),
        ("weights", f"here: {network_file(folder)}"),
        ("fingerprint", encoder.fingerprint()),
    ]
    rows += [("note", spec.remarks)] if spec.remarks else []
    rows += [("licence", f"of {spec.name}'s weights, {spec.weights.licence}: {meaning(spec)}")] if spec.weights is not None else []
    return rows + ([("citation", spec.citation)] if spec.citation else [])


def _about(spec: EncoderSpec) -> list[tuple[str, str]]:
    default = "" if len(spec.layers) == 1 else " (the default), "
    several = [pool for pool in spec.pools if pool == "mean+max"]
    dims = ", ".join(f"{layer} {dim}" for layer, dim in spec.layer_dims.items())
    rows = [
        ("encoder", spec.name + (f" (version {spec.version})" if spec.version != "1" else "")),
        (
            "pretraining",
            {"none": "none", "audio": "sounds of all kinds", "bioacoustic": "animal sounds"}.get(spec.pretraining, spec.pretraining),
        ),
        ("parameters", f"{spec.parameters:,}" if spec.parameters else "–" if spec.parameters == 0 else "not counted"),
        ("sample rate", rate_text(spec)),
        ("window", _window(spec)),
        ("embedding", f"{spec.embedding_dim} dimensions" + (", twice that with mean+max" if several else "")),
        ("layers", spec.layers[0] + default + ", ".join(spec.layers[1:]) + (f" (dimensions: {dims})" if dims else "")),
        ("pools", ", ".join(spec.pools)),
        ("front end", spec.front_end + (f" (of {', '.join(spec.front_ends)})" if len(spec.front_ends) > 1 else "")),
        ("regimes", _regimes(spec)),
    ]
    rows += [("note", spec.remarks)] if spec.remarks else []
    return rows


def _regimes(spec: EncoderSpec) -> str:
    from callspace.adaptation.regimes import REGIMES

    if spec.trainable:
        return ", ".join(REGIMES)
    probes = [f"{name} (where it gives frames)" if name == "attentive" else name for name, regime in REGIMES.items() if not regime.tunes]
    return f"{', '.join(probes)}; the network can't be tuned"


def _weights(entry: Entry, name: str) -> list[tuple[str, str]]:
    from callspace.downloads import size_text
    from callspace.encoders.licences import meaning
    from callspace.encoders.placing import hub_revision, place_by_hand
    from callspace.encoders.verification import present_file

    weights, path = entry.spec.weights, present_file(entry)
    rows = [("needs", sentence)] if (sentence := lacks(entry)) else []
    if weights is None:
        return [*rows, ("weights", str(path) if path else "none needed")]
    licence = ("licence", f"{weights.licence}: {meaning(entry.spec)}")
    if entry.file is not None and "://" not in weights.url:  # someone's own file: there is nothing to fetch
        missing = f"not here: there is no file at {entry.file}; pass --weights {name}=FILE, or take {name}:random"
        return [*rows, ("weights", f"here: {path}" if path else missing), licence]
    size = f" ({size_text(weights.size_bytes)})" if weights.size_bytes else ""
    rows.append(("weights", f"here: {path}" if path else f"to fetch{size}: callspace models download {name}"))
    if weights.hub is not None:
        commit = hub_revision(path) if path is not None else None
        here = f" (here: {commit})" if commit not in (None, weights.revision) else ""
        rows += [("repository", f"{weights.hub} on Hugging Face, revision {weights.revision}{here}"), ("file", weights.hub_file or "")]
    rows.append(("from", weights.url))
    if path is None:
        rows.append(
            (
                "by hand",
                f"callspace models download {name} --from FILE, or save it as {place_by_hand(weights)}, or pass --weights {name}=FILE",
            )
        )
    return [
        *rows,
        ("sha256", _sum(weights.sha256) or ("as the hub states it" if weights.hub else "none published")),
        licence,
    ]


def _sum(sha256: str | None) -> str | None:
    return f"begins with {sha256}" if sha256 and len(sha256) < 64 else sha256


def _window(spec: EncoderSpec) -> str:
    low = "any length" if spec.min_window_s is None else f"from {spec.min_window_s:g} s (shorter ones are padded)"
    return low + ("" if spec.max_window_s is None else f"; longer than {spec.max_window_s:g} s is framed, embeddings averaged")
