"""Average ranks over datasets as a critical-difference diagram (J. Demšar, JMLR 7, 2006): bars join what can't be told apart.

By a test of each pair two choices may be told apart less well than one is from a third between them in rank. So beside bars, which join
neighbours, there are thin lines whose dots alone are joined; of letters two choices share one where they are not told apart, and only there (H.-P.
Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons", JCGS 13, 2004).
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

from callspace.adaptation.background import BackgroundPolicy, policy_of
from callspace.metrics.multiple import LEVEL
from callspace.report.charts import FONT, plain
from callspace.report.colours import INK, MUTED, RULE
from callspace.report.words import count, listed

__all__ = ["critical_difference", "rank_lines", "rank_sentences"]

_ROW = 26
#: Choices that were left out are named up to this many.
_MOST_NAMED = 4


def critical_difference(ranking: Mapping[str, Any], names: Sequence[str], colours: Sequence[str]) -> dict[str, Any]:
    """The diagram as a Plotly dictionary: a row a choice at its average rank, best on top, and a bar or a dotted line down each group.

    Parameters
    ----------
    ranking
        One of `callspace.bench.ranking.rankings`.
    names, colours
        Of its choices, in their order.
    """
    ranks = ranking["ranks"]
    n = len(ranks)
    longest = max(len(name) for name in names)
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": [1, rank],
            "y": [at, at],
            "line": {"color": RULE, "width": 1},
            "marker": {"size": [0, 11], "color": colours[at]},
            "hovertext": [plain(f"{names[at]}: average rank {rank:.2f} over {len(ranking['datasets'])} datasets")] * 2,
            "hoverinfo": "text",
            "showlegend": False,
            "cliponaxis": False,
        }
        for at, rank in enumerate(ranks)
    ]
    right = max(len(ranks), *ranks) + 0.15
    step = 0.035 * right
    groups = _groups(ranking)
    for number, group in enumerate(groups):
        x = right + step * (number + 1)
        neighbours = len(group) == group[-1] - group[0] + 1
        ends = [group[0] - 0.25, group[-1] + 0.25]
        data.append(
            {
                "type": "scatter",
                "mode": "lines" if neighbours else "lines+markers",
                "x": [x] * (2 if neighbours else len(group)),
                "y": ends if neighbours else group,
                "line": {"color": INK, "width": 5 if neighbours else 1},
                "marker": {"color": INK, "size": 8},
                "hovertext": [plain("not told apart: " + listed([names[at] for at in group]))] * (2 if neighbours else len(group)),
                "hoverinfo": "text",
                "showlegend": False,
                "cliponaxis": False,
            }
        )
    axis = {"fixedrange": True, "zeroline": False, "tickfont": {"size": 12, "color": MUTED}}
    layout = {
        "xaxis": axis
        | {
            "title": {"text": "average rank (1 is the best)", "font": {"size": 12, "color": MUTED}},
            "range": [0.9, right + step * (len(groups) + 1)],
            "gridcolor": RULE,
            "tickvals": list(range(1, len(ranks) + 1)),
        },
        "yaxis": axis
        | {"tickvals": list(range(n)), "ticktext": [plain(name) for name in names], "range": [n - 0.4, -0.6], "showgrid": False},
        "margin": {"l": 16 + 7.2 * longest, "r": 14, "t": 4, "b": 42},
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "dragmode": False,
        "hovermode": "closest",
    }
    return {"data": data, "layout": layout, "height": _ROW * n + 60}


def rank_lines(ranking: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, str, str]]:
    """For a terminal: name, average rank, and letters, of which two choices share one where they are not told apart."""
    letters = ["" for _ in names]
    for number, group in enumerate(_groups(ranking)):
        again, place = divmod(number, len(string.ascii_letters))
        for at in group:
            letters[at] += string.ascii_letters[place] + (str(again) if again else "")
    return [(name, f"{rank:.2f}", letter) for name, rank, letter in zip(names, ranking["ranks"], letters, strict=True)]


def _groups(ranking: Mapping[str, Any]) -> list[list[int]]:
    """Sets of places that are not told apart, such that any two that are not are in one: the runs of neighbours, then what they leave."""
    alike = {frozenset((a, b)) for a, b, p in ranking["pairs"] if not p <= LEVEL}
    groups = [list(group) for group in ranking["groups"]]
    for first in range(len(ranking["ranks"])):
        for second in range(first + 1, len(ranking["ranks"])):
            if frozenset((first, second)) not in alike or any({first, second} <= set(group) for group in groups):
                continue
            group = [first, second]
            for other in range(len(ranking["ranks"])):
                if other not in group and all(frozenset((other, member)) in alike for member in group):
                    group.append(other)
            groups.append(sorted(group))
    return groups


def rank_sentences(ranking: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """What the ranks can be trusted to say."""
    n = len(ranking["datasets"])
    sentences = []
    if ranking["friedman_p"] is not None:
        p = "p < 0.001" if ranking["friedman_p"] < 0.001 else f"p {ranking['friedman_p']:.3f}"
        sentences.append(f"Average ranks over {count(n, 'dataset')}; that all choices are alike: {p} (Friedman).")
    if not ranking["enough"]:
        sentences.append(
            f"{count(n, 'dataset')} are too few for the signed-rank test to tell any two of {len(names)} choices apart, however clear: more datasets or "
            "fewer choices would."
        )
    else:
        told = sum(p <= LEVEL for _, _, p in ranking["pairs"])
        sentences.append(
            f"{told} of {count(len(ranking['pairs']), 'pair')} told apart (Wilcoxon's signed ranks, Holm). The others are joined by a bar, by dots on one line, or "
            "by a shared letter."
        )
    if ranking.get("copies"):
        sentences.append("A frozen encoder is ranked as its own linear head, which predicts the same.")
    if left_out := [_named(choice) for choice in ranking["left_out"]]:
        some = (
            listed(left_out)
            if len(left_out) <= _MOST_NAMED
            else f"{', '.join(left_out[:_MOST_NAMED])} and {len(left_out) - _MOST_NAMED} more"
        )
        sentences.append(f"Left out, without a score on some of these datasets: {some}.")
    if lacking := ranking.get("datasets_incomplete"):
        sentences.append(f"Without {listed(lacking)}, where some of these choices have no score.")
    if lacking := ranking.get("datasets_left_out"):
        sentences.append(f"Without {listed(lacking)}, where no choice has this score.")
    return sentences


def _named(choice: Mapping[str, Any]) -> str:
    kept = policy_of(choice["background"], choice["policy"])
    return f"{choice['encoder']} {choice['regime']}" + ("" if kept == BackgroundPolicy() else f" bg {kept.text}")
