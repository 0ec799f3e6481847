"""What stands at the end of the page: scores by class, what was skipped, the splits, and where everything came from."""

from __future__ import annotations

from typing import Any

from callspace.report.reading import Contender, Run, Score
from callspace.report.words import capital, contender_name, count, interval, metric_name, number, reader_name

__all__ = ["appendix", "class_table"]


def class_table(run: Run, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Scores by class of the recommended choice, or of the leaderboard's first row where none is recommended."""
    contender = run.named(run.choice) if run.choice.get("encoder") else None
    recommended = contender is not None
    if contender is None and rows:
        contender = Contender(*(rows[0][name] for name in Contender._fields))
    if contender is None:
        return None
    wanted = ["average_precision", "recall"] if run.main_metric == "map" else ["recall", "average_precision"]
    metrics = [metric for metric in wanted if any(_of_class(run, contender, metric, label) for label in run.dataset["labels"])]
    extra = [name for name in ("hungarian_accuracy", "background_neighbours") if _any_class(run, contender, name)]
    if not metrics and not extra:
        return None
    main = (metrics or extra)[0]
    found = [
        _class_row(run, contender, label, main, [*metrics[1:], *(name for name in extra if name != main)])
        for label in run.dataset["labels"]
    ]
    found.sort(key=lambda row: (row["value"] is None, -(row["value"] or 0.0)))
    readers = {first[0] for label in run.dataset["labels"] if (first := _of_class(run, contender, main, label))}
    subject = "the recommended choice" if recommended else "the first row of the leaderboard"
    return {
        "id": "classes",
        "title": "Class by class",
        "lead": [f"{contender_name(contender, run.policies_differ)}: {subject}."],
        "main": metric_name(main),
        "others": [metric_name(name) for name in [*metrics[1:], *(name for name in extra if name != main)]],
        "rows": found,
        "with_counts": any(row["test"] is not None for row in found),
        "caption": f"{capital(metric_name(main))} with its 95 % interval, read by {reader_name(min(readers))}, on the full space. "
        "A class with few test windows has a wide interval: its score may be luck.",
    }


def _any_class(run: Run, contender: Contender, metric: str) -> bool:
    return any(_of_class(run, contender, metric, label) for label in run.dataset["labels"])


def _of_class(run: Run, contender: Contender, metric: str, label: str) -> tuple[str, Score] | None:
    if metric in ("average_precision", "recall"):
        return run.main_score(contender, metric, label)
    return run.score(contender, metric, "full", ("kmeans", "", "knn"), label)


def _class_row(run: Run, contender: Contender, label: str, main: str, others: list[str]) -> dict[str, Any]:
    splits = run.dataset.get("splits") or {}
    counts = {name: ((splits.get(name) or {}).get("labels") or {}).get(label) for name in ("train", "test")}
    row: dict[str, Any] = {"label": label, "train": counts["train"], "test": counts["test"], "value": None, "low": None, "high": None}
    row["interval"] = ""
    if first := _of_class(run, contender, main, label):
        score = first[1]
        row |= {"value": score.value, "low": score.low, "high": score.high, "interval": interval(score)}
        row["test"] = score.n if score.n is not None else counts["test"]
    row["others"] = [number(found[1].value) if (found := _of_class(run, contender, name, label)) else "–" for name in others]
    return row


def appendix(run: Run) -> dict[str, Any]:
    """Everything for the last section; what a run lacks is empty."""
    provenance = run.provenance
    facts = [
        ("Source", run.dataset.get("source")),
        ("Dataset fingerprint", provenance.get("dataset_fingerprint")),
        ("Sample rate", f"{run.dataset['sample_rate_hz']:,} Hz" if run.dataset.get("sample_rate_hz") else None),
        ("Command", provenance.get("command")),
        ("Made", provenance.get("created")),
        ("Device", ", ".join(str(provenance[name]) for name in ("device", "platform") if provenance.get(name))),
        ("Seeds", ", ".join(map(str, provenance.get("seeds") or []))),
        ("callspace", provenance.get("callspace")),
        ("Python", provenance.get("python")),
        ("Packages", ", ".join(f"{name} {version}" for name, version in sorted((provenance.get("versions") or {}).items()))),
    ]
    return {
        "skipped": run.skipped,
        "notes": run.dataset.get("notes") or [],
        "warnings": run.dataset.get("warnings") or [],
        "splits": _splits(run),
        "facts": [(name, str(value)) for name, value in facts if value],
        "encoders": [_encoder(readings) for readings in _by_encoder(provenance.get("encoders") or [])],
        "protocol": run.protocol_text,
        "detection": run.detection,
        "folds": len(run.folds) if len(run.folds) > 1 else 0,
    }


def _splits(run: Run) -> dict[str, Any]:
    splits = run.dataset.get("splits") or {}
    names = [name for name in ("train", "valid", "test") if splits.get(name)] + [
        name for name in splits if name not in ("train", "valid", "test")
    ]
    rows = [("windows", [count(splits[name].get("windows")) for name in names])]
    rows.append(("groups", [count(splits[name].get("groups")) for name in names]))
    if run.detection:
        rows.append(("background", [count(splits[name].get("background")) for name in names]))
    labels = [(label, [count((splits[name].get("labels") or {}).get(label, 0)) for name in names]) for label in run.dataset["labels"]]
    return {"names": names, "rows": rows, "labels": labels}


def _by_encoder(encoders: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The readings of each network (its layers and poolings) together."""
    found: dict[str, list[dict[str, Any]]] = {}
    for encoder in encoders:
        same = {name: encoder.get(name) for name in ("name", "pretraining", "weights", "origin", "sample_rate_hz", "front_end")}
        found.setdefault(repr(same), []).append(encoder)
    return list(found.values())


def _encoder(readings: list[dict[str, Any]]) -> dict[str, str]:
    encoder = readings[0]
    several = len(readings) > 1
    dims = [str(count(reading.get("embedding_dim"))) for reading in readings]
    layers = [
        " ".join(filter(None, (reading.get("layer"), reading.get("pool") if reading.get("pool") != "mean" else ""))) for reading in readings
    ]
    prints = [str(reading.get("fingerprint") or "") for reading in readings]
    rate = encoder.get("sample_rate_hz")
    weights = encoder.get("weights")
    if isinstance(weights, dict):
        weights = weights.get("file_name") or weights.get("url")
    origin = encoder.get("origin") or {}
    if origin.get("kind") == "file" and weights:  # not known to be the published ones, whatever the spec names
        weights = f"{origin.get('file')}, given as a file (sha256 {str(origin.get('sha256'))[:12]}...)"
    return {
        "name": str(encoder.get("name", "")),
        "pretraining": str(encoder.get("pretraining") or "none"),
        "weights": str(weights) if weights else "none (random or not needed)",
        "licence": str(encoder.get("licence") or ("not stated" if weights else "–")),
        "notice": str(encoder.get("licence_notice") or ""),
        "rate": f"{rate:,} Hz" if rate else "the dataset's",
        "reading": ", ".join(filter(None, (str(encoder.get("front_end") or ""), *layers))) or "–",
        "size": f"{', '.join(dict.fromkeys(dims))} numbers a window, {_parameters(encoder)}",
        "citation": str(encoder.get("citation") or ""),
        "fingerprint": ", ".join(f"{layer} {own}" for layer, own in zip(layers, prints, strict=True)) if several else prints[0],
    }


def _parameters(encoder: dict[str, Any]) -> str:
    """Those that torch counts; a model file has some, too, which nobody counted."""
    parameters = encoder.get("parameters")
    return "parameters not counted" if parameters == 0 and encoder.get("weights") else f"{count(parameters)} parameters"
