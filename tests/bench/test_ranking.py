"""Rankings over the datasets of a matrix."""

import pytest

from callspace.bench.ranking import rankings
from callspace.report.critical_difference import rank_sentences


def rows(scores, column="value", **changes):
    """Matrix rows from {encoder: [a score a dataset]}; None leaves the row out."""
    what = {
        "layer": "l",
        "pool": "mean",
        "regime": "full",
        "background": 1.0,
        "policy": "share",
        "space": "full",
        "value": None,
        "nmi": None,
    }
    return [
        what | {"encoder": encoder, "dataset": f"d{at}", column: score} | changes
        for encoder, own in scores.items()
        for at, score in enumerate(own)
        if score is not None
    ]


def test_choices_are_ranked_best_first_by_their_average_rank():
    found = rankings(rows({"b": [0.5] * 8, "a": [0.9] * 8, "c": [0.4] * 7 + [0.6]}))["use"]
    assert [choice["encoder"] for choice in found["choices"]] == ["a", "b", "c"]
    assert found["ranks"] == pytest.approx([1.0, 17 / 8, 23 / 8])
    assert found["groups"] == [[1, 2]]
    assert found["enough"]


def test_a_choice_that_lacks_a_dataset_is_left_out_and_named():
    found = rankings(rows({"a": [0.9, 0.8, 0.7], "b": [0.1, 0.2, 0.3], "c": [1.0, None, 1.0]}))["use"]
    assert [choice["encoder"] for choice in found["choices"]] == ["a", "b"]
    assert [choice["encoder"] for choice in found["left_out"]] == ["c"]


@pytest.mark.parametrize("scores", [{"a": [0.1, 0.2], "b": [0.3, 0.4]}, {"a": [0.1, 0.2, 0.3]}, {}])
def test_two_datasets_or_one_choice_make_no_ranking_and_it_says_why(scores):
    found = rankings(rows(scores))
    assert (found["use"], found["nmi"]) == (None, None)
    assert found["why_not"]["use"].startswith(
        "No ranking by the main score: " if scores else "No ranking by the main score: no choice has it"
    )


def test_a_frozen_encoder_is_ranked_as_its_own_linear_head_which_is_the_same_thing():
    frozen = {"a": [0.9] * 8, "b": [0.5] * 8, "c": [0.4] * 8}
    own = {"a": [0.9] * 8, "b": [0.5] * 8}
    found = rankings([*rows(frozen, regime="frozen"), *rows(own, regime="linear", space=None)])["use"]
    assert [(choice["encoder"], choice["regime"]) for choice in found["choices"]] == [("a", "linear"), ("b", "linear"), ("c", "frozen")]
    assert found["ranks"] == [1.0, 2.0, 3.0]
    less = rankings([*rows(frozen, regime="frozen"), *rows(own, regime="linear", background=0.1)])["use"]
    assert len(less["choices"]) == 5  # fitted on other windows: not the same
    structure = rankings([*rows(frozen, "nmi", regime="frozen"), *rows(own, regime="linear", space=None)])["nmi"]
    assert {choice["regime"] for choice in structure["choices"]} == {"frozen"}


def test_where_each_choice_failed_on_another_dataset_those_datasets_are_left_out_and_named():
    scores = {name: [value + 0.01 * at for at in range(8)] for name, value in (("a", 0.6), ("b", 0.5), ("c", 0.4))}
    for at, own in enumerate(scores.values()):
        own[at] = None
    found = rankings(rows(scores))["use"]
    assert (len(found["choices"]), found["datasets"]) == (3, ["d3", "d4", "d5", "d6", "d7"])
    assert found["datasets_incomplete"] == ["d0", "d1", "d2"]
    assert "Without d0, d1 and d2, where some of these choices have no score." in rank_sentences(found, ["a", "b", "c"])


def test_a_dataset_on_which_one_choice_alone_ran_does_not_cost_the_others_their_ranks():
    found = rankings(rows({"a": [None, 0.9, 0.8, 0.7], "b": [None, 0.1, 0.2, 0.3], "c": [0.5] * 4}))["use"]
    assert (len(found["choices"]), found["datasets"], found["datasets_incomplete"]) == (3, ["d1", "d2", "d3"], ["d0"])


def test_what_was_run_on_half_of_the_datasets_only_does_not_cost_the_ranking_the_others():
    """As under background policies that clips have none of: four for each encoder, on the soundscapes alone."""
    clips = rows({"a": [0.9] * 6, "b": [0.1] * 6})
    policies = [
        row
        for amount in (0.0, 0.1, 0.5, 1.0)
        for row in rows({"a": [None] * 3 + [0.9] * 3, "b": [None] * 3 + [0.1] * 3}, background=amount)
    ]
    found = rankings([*clips, *[row for row in policies if row["background"] < 1]])["use"]
    assert (len(found["choices"]), len(found["datasets"]), len(found["left_out"])) == (2, 6, 6)
    said = " ".join(rank_sentences(found, ["a full", "b full"]))
    assert "Left out, without a score on some of these datasets: a full bg 0, b full bg 0, a full bg 0.1, b full bg 0.1 and 2 more." in said


def test_what_was_dropped_first_comes_back_where_it_has_all_that_is_kept():
    found = rankings(rows({"a": [0.9] * 3 + [None], "b": [0.5] * 3 + [None], "c": [0.4] * 3 + [None], "d": [None, 0.1, 0.1, 0.1]}))["use"]
    assert ([choice["encoder"] for choice in found["choices"]], found["datasets"]) == (["a", "b", "c"], ["d0", "d1", "d2"])


def test_where_all_was_judged_without_background_that_is_ranked_with_the_clips_that_hold_none():
    clean = {"policy": "clean-all", "background": 0.0, "metric": "map"}
    scores = {"a": [0.9] * 3, "b": [0.1] * 3}
    found = rankings(rows(scores, **clean))["use"]
    assert [choice["policy"] for choice in found["choices"]] == ["clean-all"] * 2
    clips = [row | {"dataset": f"clips {row['dataset']}"} for row in rows(scores, metric="accuracy")]
    found = rankings([*rows(scores, **clean), *clips])["use"]
    assert (len(found["choices"]), len(found["datasets"]), found["left_out"]) == (2, 6, [])


def test_what_was_judged_on_other_test_windows_is_no_part_of_it():
    found = rankings(rows({"a": [0.9] * 3, "b": [0.1] * 3}) + rows({"c": [1.0] * 3}, policy="clean-all"))["use"]
    assert len(found["choices"]) == 2


def test_structure_has_a_ranking_of_its_own():
    found = rankings(rows({"a": [0.2] * 3, "b": [0.4] * 3}, column="nmi"))
    assert found["use"] is None
    assert found["nmi"]["choices"][0]["encoder"] == "b"


def test_a_dataset_where_nothing_has_the_score_is_left_out_and_named_and_the_others_are_ranked():
    scored = rows({"a": [0.2, 0.3, 0.1], "b": [0.4, 0.5, 0.6]}, column="nmi")
    found = rankings(scored + rows({"a": [None] * 3 + [0.9], "b": [None] * 3 + [0.8]}))
    assert found["use"] is None  # one dataset alone has it
    assert found["nmi"]["datasets"] == ["d0", "d1", "d2"]
    assert found["nmi"]["datasets_left_out"] == ["d3"]
    assert [choice["encoder"] for choice in found["nmi"]["choices"]] == ["b", "a"]
    assert found["nmi"]["left_out"] == []
    assert "Without d3, where no choice has this score." in rank_sentences(found["nmi"], ["b", "a"])


def test_a_dataset_whose_structure_was_judged_on_maps_only_is_named_too():
    scored = rows({"a": [0.2, 0.3, 0.1], "b": [0.4, 0.5, 0.6]}, column="nmi")
    found = rankings([*scored, *rows({"a": [None] * 3 + [0.9]}, column="nmi", space="tsne-30")])
    assert found["nmi"]["datasets_left_out"] == ["d3"]


def test_nothing_is_said_of_datasets_where_all_have_the_score():
    found = rankings(rows({"a": [0.9] * 3, "b": [0.1] * 3}))["use"]
    assert found["datasets_left_out"] == []
    assert not [sentence for sentence in rank_sentences(found, ["a", "b"]) if sentence.startswith("Without")]


def test_two_datasets_with_the_score_are_too_few_however_many_lack_it():
    scored = rows({"a": [0.2, 0.3], "b": [0.4, 0.5]}, column="nmi")
    assert rankings(scored + rows({"a": [None, None, 0.9, 0.8], "b": [None, None, 0.5, 0.4]}))["nmi"] is None
