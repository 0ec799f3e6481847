"""The section on matched pairs says what differs between the sides, and what could answer what the run can't."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from callspace.report.matched import matched_section, pair_names, what_differs
from callspace.report.reading import Run, read_run
from run_folders import make_run_folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return read_run(make_run_folder(tmp_path_factory.mktemp("matched"), "classification", ["wren", "tit"]))


def with_pair(run: Run, a: tuple[str, str], b: tuple[str, str]) -> dict[str, Any]:
    """The section of a run of two encoders, each a name and its pretraining, frozen and compared."""
    renamed = {"mfcc": a, "yamnet": b}
    summary = [
        row | dict(zip(("encoder", "pretraining"), renamed[row["encoder"]], strict=True))
        for row in run.summary
        if row["encoder"] in renamed and row["regime"] == "frozen"
    ]
    side = {"layer": "pooled", "pool": "mean", "regime": "frozen", "background": 1.0, "policy": "share"}
    pair = {f"{at}_{name}": value for at in "ab" for name, value in side.items()} | {"a_encoder": a[0], "b_encoder": b[0]}
    pair |= {"dataset": "chorus", "question": "pair", "space": "full", "clusterer": "linear", "metric": "accuracy", "p": 0.001}
    pair |= {"a_value": 0.4, "b_value": 0.6, "difference": 0.2, "ci_low": 0.1, "ci_high": 0.3}
    found = matched_section(dataclasses.replace(run, summary=summary, comparisons=[pair], choice={}))
    assert found is not None
    return found


def test_pairs_that_are_fed_alike_differ_in_pretraining_and_nothing_else(run: Run) -> None:
    first, *_ = with_pair(run, ("resnet18:random", "none"), ("resnet18", "image"))["lead"]
    assert first.endswith("what it was pretrained on, and nothing else.")


def test_where_the_inputs_differ_the_lead_does_not_say_nothing_else(run: Run) -> None:
    lead = with_pair(run, ("convnext-base", "image"), ("birdset-convnext", "bioacoustic"))["lead"]
    assert "nothing else" not in lead[0]
    assert "in all pairs also what it is fed: birdset-convnext is fed its own mel spectrogram at 32 kHz" in lead[0]
    assert "1 clearly better from sound" in lead[1]
    assert len(lead) == 2


def test_of_several_pairs_some_may_differ_in_their_input() -> None:
    said = what_differs([{"note": None}, {"note": "x is fed y"}, {"note": "x is fed y"}])
    assert said.endswith("and in some pairs also what it is fed: x is fed y.")


def test_pairs_are_named_by_their_encoders_and_by_what_else_there_are_several_of() -> None:
    shared = {"a_encoder": "hubert-base", "b_encoder": "aves", "regime": "frozen", "background": 1.0, "policy": "share"}
    rows = [shared | {"b_layer": layer, "b_pool": "mean"} for layer in ("layer6", "layer12")]
    rows += [
        rows[0] | {"b_encoder": "aves-core"},
        *(rows[0] | {"b_encoder": "aves-all", "regime": "full", "background": kept} for kept in (1.0, 0.1)),
    ]
    assert pair_names(rows) == [
        ("aves − hubert-base", "frozen", "layer6"),
        ("aves − hubert-base", "frozen", "layer12"),
        ("aves-core − hubert-base", "frozen"),
        ("aves-all − hubert-base", "full", "100 %"),
        ("aves-all − hubert-base", "full", "10 %"),
    ]


def test_the_caption_counts_what_is_clear_by_its_verdict(run: Run) -> None:
    section = with_pair(run, ("hubert-base", "speech"), ("aves", "bioacoustic"))
    assert section["panes"][0]["caption"].startswith(
        "1 of 1 difference beyond chance (group sign-flips, Holm over these pairs, and an interval without 0)"
    )


def test_a_run_without_images_and_sound_on_one_network_is_told_which_encoders_would_answer(run: Run) -> None:
    *_, last = with_pair(run, ("resnet18:random", "none"), ("resnet18", "image"))["lead"]
    assert "convnext-base (add -e convnext-base,birdset-convnext, whose inputs differ too) only" in last
