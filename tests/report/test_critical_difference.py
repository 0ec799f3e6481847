"""Average ranks as a diagram, letters and sentences: what is joined is what is not told apart, and nothing else."""

import itertools

import numpy as np
import pytest

from callspace.report.critical_difference import critical_difference, rank_lines, rank_sentences


def ranking(n: int, alike: set[tuple[int, int]], groups: list[list[int]]):
    pairs = [[a, b, 0.5 if (a, b) in alike else 0.01] for a, b in itertools.combinations(range(n), 2)]
    about = {"ranks": [float(at + 1) for at in range(n)], "datasets": [f"d{at}" for at in range(12)], "friedman_p": 0.01, "enough": True}
    return about | {"pairs": pairs, "groups": groups, "left_out": []}


def shared(found) -> set[tuple[int, int]]:
    letters = [set(row[2]) for row in found]
    return {(a, b) for a, b in itertools.combinations(range(len(letters)), 2) if letters[a] & letters[b]}


def test_choices_share_a_letter_where_they_are_not_told_apart_though_one_between_them_is():
    alike = {(0, 2)}  # 1 is told apart from both
    assert shared(rank_lines(ranking(3, alike, []), ["x", "y", "z"])) == alike


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_pairs_are_letters_say_them(seed):
    draw = np.random.default_rng(seed)
    alike = {pair for pair in itertools.combinations(range(9), 2) if draw.random() < 0.5}
    runs = [[at, at + 1] for at in range(8) if (at, at + 1) in alike]
    assert shared(rank_lines(ranking(9, alike, runs), [str(at) for at in range(9)])) == alike


def test_of_more_groups_than_letters_none_has_the_letter_of_another():
    n = 70
    alike = {(at, at + 1) for at in range(n - 1)}
    found = rank_lines(ranking(n, alike, [[at, at + 1] for at in range(n - 1)]), [str(at) for at in range(n)])
    assert found[0][2] == "a"
    assert found[52][2] == "Za1"
    assert found[53][2] == "a1b1"


def test_neighbours_are_joined_by_a_bar_and_others_by_dots_on_a_line():
    data = critical_difference(ranking(4, {(0, 1), (1, 3)}, [[0, 1]]), list("wxyz"), ["#000"] * 4)["data"][4:]
    assert [(line["mode"], line["y"]) for line in data] == [("lines", [-0.25, 1.25]), ("lines+markers", [1, 3])]
    assert data[1]["hovertext"] == ["not told apart: x and z"] * 2


def test_the_sentences_say_how_they_are_joined():
    said = rank_sentences(ranking(3, {(0, 2)}, []), ["x", "y", "z"])
    assert said[1] == (
        "2 of 3 pairs told apart (Wilcoxon's signed ranks, Holm). The others are joined by a bar, by dots on one line, or by a shared letter."
    )
