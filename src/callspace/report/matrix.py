"""A matrix of several datasets for a terminal: encoders by datasets, and what holds across them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from callspace.adaptation.background import CLEAN_ALL, BackgroundPolicy, policy_of
from callspace.report.critical_difference import rank_lines, rank_sentences
from callspace.report.words import capital, listed, number, short, space_short

if TYPE_CHECKING:
    from rich.table import Table

    from callspace.bench.matrix import Matrix

__all__ = ["choice_names", "matrix_sentences", "matrix_tables"]

_CLEAN = "bg clean-all: judged on test windows without background, not comparable with others"
_METRICS = {"accuracy": "accuracy", "map": "mAP"}


def matrix_tables(matrix: Matrix) -> list[Table]:
    """The main score, and the NMI in the full space (or the first there is), each as a table of encoders by datasets."""
    # What was judged on other test windows comes last.
    rows = sorted(matrix.cells.to_pylist(), key=lambda row: row["policy"] == CLEAN_ALL)
    note = _CLEAN if any(row["policy"] == CLEAN_ALL for row in rows) else None
    named = choice_names(rows)
    datasets = list(dict.fromkeys(row["dataset"] for row in matrix.cells.to_pylist()))
    spaces = list(dict.fromkeys(row["space"] for row in rows if row["space"]))
    space = "full" if "full" in spaces else spaces[0] if spaces else None
    metrics = {row["dataset"]: _METRICS[row["metric"]] for row in rows}
    title = listed(list(dict.fromkeys(metrics.values())), "or")
    heads = {name: f"{name} ({metrics[name]})" if len(set(metrics.values())) > 1 else name for name in datasets}
    scores = {(name, row["dataset"]): row["value"] for name, row in zip(named, rows, strict=True)}
    nmi = {
        (name, row["dataset"]): row["nmi"]
        for name, row in zip(named, rows, strict=True)
        if row["space"] == space and row["nmi"] is not None
    }
    tables = [_table(f"{capital(title)}, test split", scores, heads, note)]
    if nmi and space is not None:
        tables.append(_table(f"NMI of k-means, {space_short(space)}", nmi, {name: name for name in datasets}, note))
    for key, of in (("use", title), ("nmi", "NMI, full space")):
        if ranking := (matrix.about.get("rankings") or {}).get(key):
            tables.append(
                _rank_table(f"Average rank over {len(ranking['datasets'])} datasets, {of}", ranking, choice_names(rows, ranking["choices"]))
            )
    return tables


def _rank_table(title: str, ranking: Mapping[str, Any], names: Sequence[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    caption = " ".join(rank_sentences(ranking, names))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", caption=caption, caption_justify="left")
    table.add_column("", overflow="fold")
    table.add_column("rank", justify="right")
    table.add_column("alike")
    for name, rank, letters in rank_lines(ranking, names):
        table.add_row(Text(short(name, 36)), rank, letters)
    return table


def choice_names(rows: Sequence[Mapping[str, Any]], named: Sequence[Mapping[str, Any]] | None = None) -> list[str]:
    """What each of `named` (the rows themselves, when not given) is: encoder, regime and policy, and its layer or pooling, where `rows` read the
    encoder at several.
    """
    ways: dict[tuple[str, str], set[str]] = {}
    for row, part in itertools.product(rows, ("layer", "pool")):
        ways.setdefault((row["encoder"], part), set()).add(row[part])
    names = []
    for row in rows if named is None else named:
        parts = [row["encoder"], *(row[part] for part in ("layer", "pool") if len(ways[row["encoder"], part]) > 1), row["regime"]]
        kept = policy_of(row["background"], row["policy"])
        names.append(" ".join(parts) + ("" if kept == BackgroundPolicy() else f" bg {kept.text}"))
    return names


def _table(title: str, values: Mapping[tuple[str, str], float | None], heads: Mapping[str, str], note: str | None) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", caption=note, caption_justify="left")
    table.add_column("", overflow="fold")
    for head in heads.values():
        table.add_column(Text(head), justify="right", overflow="fold")
    for name in dict.fromkeys(name for name, _ in values):
        # Text, not str: a name with brackets is no markup.
        table.add_row(Text(short(name, 36)), *[Text(number(values.get((name, dataset)))) for dataset in heads])
    return table


def matrix_sentences(matrix: Matrix) -> list[str]:
    """What the rank correlations say, why there is no ranking where there is none, and which datasets failed."""
    about = matrix.about
    sentences = [*_published(about), *_use(about["correlations"].get("use") or {})]
    sentences += ((about.get("rankings") or {}).get("why_not") or {}).values()
    return sentences + [f"Failed: {row['dataset']}: {row['reason']}" for row in about["failed"]]


def _published(about: Mapping[str, Any]) -> list[str]:
    by_space = about["correlations"].get("published") or {}
    said = [f"{space_short(space)}: {_both(found)}" for space, found in by_space.items() if found["overall"] or found["within"]]
    if not said:
        return []
    sentences = [f"Our NMI with the published one (Spearman): {'; '.join(said)}."]
    reasons = sorted({reason for own in (about.get("not_as_published") or {}).values() for reason in own})
    return sentences + ([f"Not comparable with the published numbers as they stand: {'; '.join(reasons)}."] if reasons else [])


def _use(by_space: Mapping[str, Any]) -> list[str]:
    said = [f"{space_short(space)}: {_both(found)}" for space, found in by_space.items() if found["overall"] or found["within"]]
    return [f"NMI with the main score, accuracy or mAP (Spearman): {'; '.join(said)}."] if said else []


def _both(found: Mapping[str, Any]) -> str:
    parts: Sequence[tuple[str, Any]] = [("over all cells", found["overall"]), ("within datasets", found["within"])]
    return ", ".join(f"{name} {_one(own, within=name.startswith('within'))}" for name, own in parts if own)


def _one(found: Mapping[str, Any], *, within: bool) -> str:
    ends = "" if found["ci_low"] is None else f" [{number(found['ci_low'])}, {number(found['ci_high'])}]"
    many = f"{found['n']} cells" + (f" of {found['groups']} dataset{'s' if found['groups'] > 1 else ''}" if within else "")
    return f"{number(found['rho'])}{ends} (p {_p(found['p'])}, {many})"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
