"""Which choices do better over several datasets: average ranks of the choices that were run on all of them.

Two rankings, by the main score (accuracy of clips, mAP of soundscapes) and by the NMI of k-means in the full space, which need not agree. Ranks
need every choice on every dataset: where scores are lacking, choices and datasets are left out, and named, until what remains is whole
(`_whole`). A dataset where no choice has the score is left out too, such as the NMI where the test split holds a single class.

A frozen encoder is ranked as its own linear head where that was run, since the two predict the same. What was judged on test windows without
background (``clean-all``) is ranked only where all soundscapes were; clips, which hold none, are then as they would be under it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from callspace.adaptation.background import CLEAN_ALL
from callspace.bench.choice import choice_of, probed
from callspace.bench.plan import Choice
from callspace.metrics.ranks import rank_methods

__all__ = ["FEWEST_DATASETS", "rankings"]

#: Of one dataset ranks are its leaderboard; of two, an average says nothing yet.
FEWEST_DATASETS = 3

_NAMES = {"use": "the main score", "nmi": "NMI in the full space"}

_Scores = dict[Choice, dict[str, float]]


def rankings(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The rankings of a matrix.

    Parameters
    ----------
    rows
        Of `callspace.bench.matrix.MATRIX`.

    Returns
    -------
    dict
        ``use`` and ``nmi``; each None where no `FEWEST_DATASETS` datasets have the score of the same two choices, for the reason that ``why_not`` gives
        by its name. Else ``choices`` (what each is, best first), ``ranks``, ``datasets``, ``friedman_p``, ``test``, ``pairs`` (of places in
        ``choices``, with the adjusted p), ``distance`` (Nemenyi's), ``groups`` (places that are not told apart), ``enough``, ``copies`` (how many
        frozen encoders are ranked as their own linear heads), ``left_out`` (choices that lack one of the datasets), ``datasets_incomplete`` (names
        of those that one of the choices lacks) and ``datasets_left_out`` (of those where no choice has the score).
    """
    alike = _alike(rows)
    structure = [row for row in alike if row.get("space") == "full"]
    run_on = sorted({row["dataset"] for row in alike})
    found: dict[str, Any] = {}
    why_not: dict[str, str] = {}
    for name, own, column in (("use", alike, "value"), ("nmi", structure, "nmi")):
        scores = _scores(own, column)
        # Of NMI there are no copies: a head alone has none.
        copies = probed(scores) & scores.keys()
        scores = {choice: of for choice, of in scores.items() if choice not in copies}
        found[name] = _ranking(scores, run_on, len(copies))
        if found[name] is None:
            why_not[name] = f"No ranking by {_NAMES[name]}: {_why_not(scores)}."
    return found | {"why_not": why_not}


def _alike(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that were judged on the same test windows of each dataset."""
    soundscapes = [row for row in rows if row.get("metric") != "accuracy"]
    if not soundscapes or any(row["policy"] != CLEAN_ALL for row in soundscapes):
        return [row for row in rows if row["policy"] != CLEAN_ALL]
    return [row if row["policy"] == CLEAN_ALL else {**row, "policy": CLEAN_ALL, "background": 0.0} for row in rows]


def _scores(rows: Sequence[Mapping[str, Any]], column: str) -> _Scores:
    scores: _Scores = {}
    for row in rows:
        if row.get(column) is not None:
            scores.setdefault(choice_of(row), {})[row["dataset"]] = row[column]
    return scores


def _ranking(scores: _Scores, run_on: Sequence[str], copies: int) -> dict[str, Any] | None:
    scored = {dataset for own in scores.values() for dataset in own}
    whole, datasets = _whole(scores, [dataset for dataset in run_on if dataset in scored])
    if len(datasets) < FEWEST_DATASETS or len(whole) < 2:
        return None
    names = [str(at) for at in range(len(whole))]
    found = rank_methods([[scores[choice][dataset] for choice in whole] for dataset in datasets], names)
    place = {name: at for at, name in enumerate(found.methods)}
    return {
        "choices": [whole[int(name)]._asdict() for name in found.methods],
        "ranks": found.ranks,
        "datasets": datasets,
        "friedman_p": found.friedman_p,
        "test": found.test,
        "pairs": [[place[a], place[b], p] for (a, b), p in found.p.items()],
        "distance": found.distance,
        "groups": [[place[name] for name in group] for group in found.groups],
        "enough": found.enough,
        "copies": copies,
        "left_out": [choice._asdict() for choice in scores if choice not in whole],
        "datasets_incomplete": [dataset for dataset in run_on if dataset in scored and dataset not in datasets],
        "datasets_left_out": [dataset for dataset in run_on if dataset not in scored],
    }


def _whole(scores: _Scores, datasets: Sequence[str]) -> tuple[list[Choice], list[str]]:
    """Choices and datasets of which each has each: what lacks the largest share of the others is left out, one after the other.

    What was run on no more than half of the datasets, such as background policies that clips have none of, goes first: however many choices
    that are, they should not cost the ranking the other datasets, which are what it rests on. Of equals choices go before datasets.
    """
    often = [choice for choice, own in scores.items() if 2 * len(own) > len(datasets)]
    choices = often if len(often) > 1 else list(scores)
    kept = list(datasets)
    while choices and kept:
        of_choices = [sum(dataset not in scores[choice] for dataset in kept) / len(kept) for choice in choices]
        of_datasets = [sum(dataset not in scores[choice] for choice in choices) / len(choices) for dataset in kept]
        if not max(of_choices):
            break
        # As long as there are more than enough of the other kind.
        cut = (max(of_datasets) > max(of_choices) and len(kept) > FEWEST_DATASETS) or len(choices) <= 2
        if cut:
            kept.pop(of_datasets.index(max(of_datasets)))
        else:
            choices.pop(of_choices.index(max(of_choices)))
    choices = [choice for choice, own in scores.items() if own.keys() >= set(kept)]
    return choices, [dataset for dataset in datasets if all(dataset in scores[choice] for choice in choices)]


def _why_not(scores: _Scores) -> str:
    """Why `_whole` leaves too little of some scores."""
    datasets = {dataset for own in scores.values() for dataset in own}
    if not scores:
        return "no choice has it on any dataset"
    if len(scores) < 2:
        return "a single choice has it, and ranks need two"
    if len(datasets) < FEWEST_DATASETS:
        return f"{len(datasets)} dataset{'s have' if len(datasets) > 1 else ' has'} it, and an average of ranks needs {FEWEST_DATASETS}"
    return f"no two choices have it on the same {FEWEST_DATASETS} datasets"
