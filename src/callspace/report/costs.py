"""What costs what: a table of the page, one for the terminal, and the sentences on what would cost less or gain more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callspace.report.reading import Run, background_of, finite
from callspace.report.words import background_short, duration, short
from callspace.tables import read_json

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["advice_sentences", "costs_section", "costs_table", "fit_times"]

_HEADS = ("ms to embed 1 s", "MiB", "time to fit", "parameters", "licence")


def advice_sentences(folder: Path, choice: Mapping[str, Any]) -> list[str]:
    """What the choice costs, what as good a one would cost less, and what would improve it; nothing for a run of an older version."""
    gains = choice.get("gains") or {}
    told = [gains[name]["sentence"] for name in ("tuning", "background", "labels") if name in gains]
    return [*_costs(folder).get("sentences", []), *told, *([gains["sentence"]] if told else [])]


def _costs(folder: Path) -> dict[str, Any]:
    path = folder / "costs.json"
    return read_json(path) if path.is_file() else {}


def fit_times(folder: Path) -> dict[tuple[Any, ...], float | None] | None:
    """Seconds to fit once by encoder, regime, background, policy, layer and pool; None where a run of an older version measured no costs."""
    costs = _costs(folder).get("costs")
    if costs is None:
        return None
    return {(one["encoder"], one["regime"], *background_of(one), one["layer"], one["pool"]): finite(one["fit_s"]) for one in costs}


def _rows(costs: Mapping[str, Any], named: Mapping[tuple[str, str], str]) -> list[list[str]]:
    """A row a choice: its name, regime and policy, and the costs in the order of `_HEADS`; a dash for what was not measured."""
    rows = []
    for cost in costs.get("costs", []):
        who = [named.get((cost["encoder"], cost["layer"]), cost["encoder"]), cost["regime"], background_short(*background_of(cost))]
        embed, memory, fit = (finite(cost[name]) for name in ("embed_ms_per_s", "embed_mib", "fit_s"))
        numbers = ["–" if embed is None else f"{embed:#.3g}".rstrip("."), "–" if memory is None else f"{memory:,.0f}"]
        numbers += ["–" if fit is None else duration(fit), "–" if not cost["parameters"] else _size(cost["parameters"])]
        rows.append([*who, *numbers, _licence(cost)])
    return rows


def _licence(cost: Mapping[str, Any]) -> str:
    if cost["restricted"]:
        return f"{cost['licence'] or 'not stated'} (restricted)"
    return cost["licence"] or ("not known" if cost["restricted"] is None else "none needed")


def _size(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} M" if parameters >= 1e5 else f"{parameters:,}"


def _named(costs: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """The encoders, with their layer where a run reads several."""
    layers: dict[str, set[str]] = {}
    for cost in costs.get("costs", []):
        layers.setdefault(cost["encoder"], set()).add(cost["layer"])
    return {(encoder, layer): f"{encoder} {layer}" if len(own) > 1 else encoder for encoder, own in layers.items() for layer in own}


def costs_section(run: Run) -> dict[str, Any] | None:
    """A table of what each choice costs; None where nothing was measured."""
    costs = _costs(run.folder)
    rows = _rows(costs, _named(costs))
    if not rows:
        return None
    heads = [("Encoder", False), ("Regime", False), ("Background kept", False), *((head, head != "licence") for head in _HEADS)]
    caption = (
        "Measured while this bench worked, on its machine, decoding included; where windows overlap, each second of a recording counts once; MiB: the most memory that the process (or, where one worked, the GPU) held while embedding; the time to fit is of one fit, "
        "without embedding. A tuned network embeds as fast as the one that it was made from. A dash: not measured, or nothing to fit."
    )
    table = {"columns": [{"name": name, "numeric": numeric} for name, numeric in heads], "rows": rows}
    pane = {"label": "", "figures": [], "table": table, "caption": caption}
    return {"id": "costs", "title": "What does each cost?", "lead": costs.get("sentences", []), "panes": [pane]}


def costs_table(folder: Path) -> Table | None:
    """The same for a terminal of 80 columns; policies of one encoder and regime cost alike and stand in one row."""
    costs = _costs(folder)
    rows = _rows(costs, _named(costs))
    if not rows:
        return None
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("encoder", overflow="fold", min_width=12)
    table.add_column("regime", no_wrap=True)
    for head in ("ms / s", "MiB", "to fit", "size"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("licence", overflow="fold", max_width=18)
    shown: set[tuple[str, str]] = set()
    for encoder, regime, _, *numbers in rows:
        if (encoder, regime) not in shown:
            shown.add((encoder, regime))
            table.add_row(*[Text(cell) for cell in (short(encoder, 24), regime, *numbers[:-1], numbers[-1])])
    table.caption, table.caption_justify = "ms / s: to embed a second of sound; MiB: memory meanwhile; to fit: once", "left"
    return table
