"""``README.md`` of a saved encoder: what it is, for people and for the Hugging Face hub, whose header it bears.

It is written from the encoder and its card; what the card does not know is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from callspace.encoders.contract import Encoder
from callspace.encoders.licences import meaning, notice

__all__ = ["earlier", "hub_licence", "model_card"]

#: The hub's identifiers, by what licences are called.
_HUB_LICENCES = {
    r"apache[ -]?(licen[cs]e)?[ -,]*(version )?2(\.0)?": "apache-2.0",
    r"mit( licen[cs]e)?": "mit",
    r"bsd-3-clause": "bsd-3-clause",
    r"bsd-2-clause": "bsd-2-clause",
    r"cc0([ -]1\.0)?": "cc0-1.0",
    r"cc[ -]by(-nc)?(-sa|-nd)?[ -]4\.0": "",  # as it is written
    r"gpl-?v?3(\.0)?(-or-later|-only)?": "gpl-3.0",
}
_MOST_LABELS, _MOST_TRIALS = 300, 20


def model_card(encoder: Encoder, card: Mapping[str, Any]) -> str:
    """The text of ``README.md``.

    Parameters
    ----------
    encoder : Encoder
        With its head and labels, where it has any.
    card : mapping
        What is known of its making; see `callspace.adaptation`. Any key may be missing.

    Returns
    -------
    str
        Markdown, under a YAML header.
    """
    parts = [
        f"# {_title(encoder, card)}",
        _first_words(encoder),
        "## What it is\n\n" + _table(_facts(encoder, card)),
        _labels(encoder, card),
        _making(card),
        _scores(card),
        _use(encoder, card),
        _limits(encoder, card),
        _citation(encoder),
    ]
    return _header(encoder) + "\n\n".join(part for part in parts if part) + "\n"


def hub_licence(licence: str, terms: str = "open") -> str:
    """The hub's identifier of a licence; "other" for one that has none there or comes with reservations, "unknown" where none is stated.

    Examples
    --------
    >>> hub_licence("BSD-3-Clause (torchvision)"), hub_licence("CC BY-NC-SA 4.0"), hub_licence("ask Jane")
    ('bsd-3-clause', 'cc-by-nc-sa-4.0', 'other')
    """
    if terms == "unstated" or not licence:
        return "unknown"
    name = re.sub(r"\s*\([\w-]+( card)?\)\s*$", "", licence).strip().lower()
    for pattern, identifier in _HUB_LICENCES.items():
        if re.fullmatch(pattern, name):
            return identifier or name.replace(" ", "-")
    return "other"


def _header(encoder: Encoder) -> str:
    """The YAML that the hub reads; a value as JSON is one in YAML too."""
    weights = encoder.spec.weights
    fields: dict[str, Any] = {"library_name": "callspace", "tags": ["bioacoustics", "audio", "callspace"]}
    if encoder.head is not None and encoder.labels:
        fields["pipeline_tag"] = "audio-classification"
    if weights is not None:
        fields["license"] = hub_licence(weights.licence, weights.terms)
        if fields["license"] == "other":
            fields["license_name"] = weights.licence
        if weights.hub is not None:
            fields["base_model"] = weights.hub
    return "---\n" + "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in fields.items()) + "---\n\n"


def _title(encoder: Encoder, card: Mapping[str, Any]) -> str:
    base = str(card.get("base") or encoder.spec.name)
    if not card.get("dataset"):
        return f"{_plain(base)}, saved by callspace"
    return f"{_plain(base)}, tuned on {_plain(card['dataset'])}"


def _first_words(encoder: Encoder) -> str:
    """What must be known before use: that the weights may not be sold, or that nobody allowed their use."""
    sentence = notice(encoder.spec)
    return "" if sentence is None else f"> **Before you use it:** {_plain(sentence)}."


def _facts(encoder: Encoder, card: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    spec, weights = encoder.spec, encoder.spec.weights
    yield "a network that", "turns sound into embeddings" + (", and embeddings into scores of labels" if encoder.head is not None else "")
    yield "made from", _plain(card.get("base") or spec.name) + ("" if weights is None else f", its weights from {weights.url}")
    if spec.pretraining == "none":
        yield "pretraining", "none: it started from random weights"
    else:
        yield "pretraining", {"audio": "sounds of all kinds", "bioacoustic": "animal sounds"}.get(spec.pretraining, spec.pretraining)
    if weights is not None:
        yield "licence of those weights", f"{_plain(weights.licence)}: {meaning(spec)}"
    yield "sample rate", f"{encoder.sample_rate_hz:,} Hz; other recordings are resampled to it"
    if card.get("window_s"):
        yield "window", f"{_value(card['window_s'])} s" + _heard(card)
    pool = f"pool {encoder.pool}" if encoder.pooler is None else "learnt pooling"
    yield "embedding", f"{spec.embedding_dim} numbers a window (layer {encoder.layer}, {pool}, front end {spec.front_end})"
    yield "fingerprint", f"`{encoder.fingerprint()}`"


def _heard(card: Mapping[str, Any]) -> str:
    speed = card.get("speed")
    return f", played at {speed:g} times its speed" if isinstance(speed, int | float) and speed != 1 else ""


def _labels(encoder: Encoder, card: Mapping[str, Any]) -> str:
    if not encoder.labels:
        return ""
    shown = ", ".join(_code(label) for label in encoder.labels[:_MOST_LABELS])
    more = len(encoder.labels) - _MOST_LABELS
    several = card.get("task") == "detection"
    how = "any number of them may be in a window (a sigmoid each)" if several else "one of them in a window (a softmax over all)"
    counts = card.get("class_counts") or _counts(card.get("classes"))
    table = ""
    if isinstance(counts, dict) and len(counts) <= _MOST_LABELS:
        table = "\n\n" + _grid(
            ["label", "windows it was trained on"], [[_code(str(label)), _value(count)] for label, count in counts.items()]
        )
    return f"## Labels\n\n{len(encoder.labels)}, {how}: {shown}{f' and {more} more' if more > 0 else ''}.{table}"


def _counts(classes: Any) -> dict[str, int]:
    """The windows of each class, from rows with the keys ``class`` and ``windows``."""
    rows = [row for row in classes if isinstance(row, dict)] if isinstance(classes, list) else []
    return {str(row["class"]): row["windows"] for row in rows if "class" in row and isinstance(row.get("windows"), int)}


def _making(card: Mapping[str, Any]) -> str:
    rows = list(_made(card))
    splits = card.get("splits")
    table = ""
    if isinstance(splits, dict) and splits:
        keys = ["windows", "labelled", "recordings", "groups"]
        lines = [
            [_plain(split), *(_value(sizes.get(key, "")) for key in keys)] for split, sizes in splits.items() if isinstance(sizes, dict)
        ]
        table = "\n\n" + _grid(["split", *keys], lines)
    return f"## How it was made\n\n{_table(rows)}{table}" if rows or table else ""


def _made(card: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if card.get("dataset"):
        fingerprint = card.get("dataset_fingerprint")
        yield "dataset", _plain(card["dataset"]) + (f", fingerprint `{fingerprint}`" if fingerprint else "")
    if before := earlier(card):
        yield "tuned before on", _plain(", then ".join(before))
    if regime := card.get("regime"):
        about = card.get("regime_about")
        yield "regime", _plain(regime) + (f": {_plain(about)}" if about else "")
    if words := card.get("background_words"):
        yield "background", f"fitted {_plain(words)}"
    yield from _recipe(card)
    if card.get("seed") is not None:
        yield "seed", str(card["seed"])
    if isinstance(chosen := card.get("chosen"), dict) and chosen:
        yield "chosen on valid", ", ".join(f"{_plain(key).replace('_', ' ')} {_value(value)}" for key, value in chosen.items())
    trained, total = card.get("trained_parameters"), card.get("total_parameters")
    if trained is not None:
        yield "trained parameters", _value(trained) + (f" (the network has {_value(total)})" if total is not None else "")
    if isinstance(versions := card.get("versions"), dict) and versions:
        yield "made with", ", ".join(f"{_plain(name)} {_plain(value)}" for name, value in versions.items())


def earlier(card: Mapping[str, Any]) -> list[str]:
    """The tunings before the last: 'pond (lora)', the first one first."""
    found = card.get("before")
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    return [f"{row.get('dataset')}" + (f" ({row['regime']})" if row.get("regime") else "") for row in rows if row.get("dataset")]


def _recipe(card: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """The entries that were read; nothing for a fit that read none, whatever recipe was given."""
    fields = card.get("recipe_fields")
    if isinstance(fields, dict):
        if said := ", ".join(f"{_plain(key)} {_value(value)}" for key, value in fields.items()):
            yield "recipe", said
    elif card.get("recipe"):
        yield "recipe", _plain(card["recipe"])


def _scores(card: Mapping[str, Any]) -> str:
    rows = []
    scores = card.get("scores")
    found = scores if isinstance(scores, list) else []
    by_class = any(score.get("class") is not None for score in found)
    for score in found:
        low, high = score.get("ci_low"), score.get("ci_high")
        interval = "" if low is None or high is None else f"{_number(low)} to {_number(high)}"
        label = "all" if score.get("class") is None else _code(str(score["class"]))
        cells = [_plain(score.get("split", "")), *([label] if by_class else []), _plain(score.get("metric", ""))]
        rows.append([*cells, _number(score.get("value")), interval, _value(score.get("n", ""))])
    if rows:
        words = "" if all(row[0] == "test" for row in rows) else "\n\nThe encoder was chosen on valid, so its scores there are flattering."
        heads = ["split", *(["label"] if by_class else []), "metric", "value", "95 % interval", "windows"]
        return "## Scores\n\n" + _grid(heads, rows) + words
    if card.get("valid_score") is None:
        return ""
    metric = {"map": "mean average precision"}.get(str(card.get("valid_metric")), str(card.get("valid_metric") or "score"))
    return (
        f"## Scores\n\n{metric} on the valid split: {_number(card['valid_score'])}. The encoder was chosen by it, so it is flattering; "
        "the test split was not used."
    )


def _use(encoder: Encoder, card: Mapping[str, Any]) -> str:
    window = f" --window {_value(card['window_s'])}" if card.get("window_s") else ""
    lines = ["import callspace", "", 'encoder = callspace.load_encoder("FOLDER")', "embeddings = encoder(waveforms)"]
    comment = f"float32[clips, samples] at {encoder.sample_rate_hz} Hz to float32[clips, {encoder.spec.embedding_dim}]"
    if encoder.head is not None:
        lines.append("logits = encoder.head(embeddings)  # one a label of encoder.labels")
    lines[3] += f"  # {comment}"
    return (
        "## Use\n\nWith FOLDER the folder that holds this file:\n\n"
        f"```sh\npip install callspace\ncallspace embed RECORDINGS --encoder FOLDER{window} --out store\n"
        "callspace models export FOLDER --onnx encoder.onnx\n```\n\n"
        "```python\n" + "\n".join(lines) + "\n```\n\n"
        "On the Hugging Face hub, FOLDER is `hub:USER/NAME`. Weights are safetensors: nothing in the folder is executed."
    )


def _limits(encoder: Encoder, card: Mapping[str, Any]) -> str:
    sentences = [*([encoder.spec.remarks] if encoder.spec.remarks else [])]
    if encoder.head is not None and encoder.labels:
        sentences.append(
            "It knows only the labels above, and gives them scores for any sound: a species it was not taught is called one of them."
        )
        if card.get("dataset"):
            sentences.append(
                f"It was fitted to {_plain(card['dataset'])}: other recorders, sites, seasons and background noise may lower its scores. "
                "Check it on labelled recordings of your own before you rely on it."
            )
    return "## Limits\n\n" + "\n".join(f"- {_plain(sentence)}" for sentence in sentences) if sentences else ""


def _citation(encoder: Encoder) -> str:
    return f"## Citation\n\nOf the encoder it was made from: {_plain(encoder.spec.citation)}" if encoder.spec.citation else ""


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- **{key}**: {value}" for key, value in rows)


def _grid(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else _plain(value)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "/".join(map(_value, value))
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _plain(value)


def _plain(text: Any) -> str:
    """Text that Markdown shows as it is, in one line; nothing for None."""
    if text is None:
        return ""
    return re.sub(r"([\\`*\[\]<>|]|(?<!\w)[_#]|_(?!\w))", r"\\\1", " ".join(str(text).split()))


def _code(text: str) -> str:
    """A code span that holds any text."""
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    space = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return f"{ticks}{space}{' '.join(text.split())}{space}{ticks}"
