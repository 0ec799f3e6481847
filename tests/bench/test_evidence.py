"""What a run's folder says to the study's questions, and the chance that its neighbours are held against."""

from dataclasses import asdict

import pyarrow as pa
import pytest

from callspace.bench.background_chance import by_chance, chances_of
from callspace.bench.evidence import Evidence
from callspace.bench.plan import Cell, plan_table
from callspace.tables import COMPARISONS, RESULTS, SUMMARY, from_rows, write_json, write_parquet
from study_rows import difference, score

#: How many of its ten windows are background, by fold.
BACKGROUND = {1: 8, 2: 5, 3: 0}


@pytest.fixture
def folder(tmp_path):
    """A run over three folds: yamnet read in two ways, its default last, frozen on two folds of three, and once without background."""
    cells = [
        Cell("yamnet", layer, "mean", "frozen", 1.0, fold, 0, "" if layer == "top" else layer, f"{layer}-{fold}")
        for layer, folds in (("layer6", BACKGROUND), ("top", (1, 3)))
        for fold in folds
    ]
    cells.append(Cell("yamnet", "top", "mean", "frozen", 0.0, 1, 0, "", "clean-1", "clean-all"))
    results = []
    for cell in cells:
        write_json({"cell": asdict(cell)}, tmp_path / "cells" / cell.name / "cell.json")
        background = 0 if cell.choice.clean else BACKGROUND[cell.fold]
        labels = pa.array([[]] * background + [["wren"]] * (10 - background), pa.list_(pa.string()))
        write_parquet(pa.table({"labels": labels}), tmp_path / "cells" / cell.name / "predictions.parquet")
        scored = {name: own for name, own in cell.factors().items() if name in RESULTS.names} | {"metric": "map", "value": 0.5}
        results.append(scored)
        if background:
            results += [scored | {"metric": "background_neighbours", "class": which} for which in (None, "wren")]
    write_parquet(plan_table(cells), tmp_path / "plan.parquet")
    write_parquet(from_rows(results, RESULTS), tmp_path / "results.parquet")
    rows = [
        score("yamnet", "frozen", "background_neighbours", value, layer=layer, freedom=12)
        for layer, value in (("layer6", 0.6), ("top", 0.8))
    ]
    write_parquet(from_rows(rows, SUMMARY), tmp_path / "summary.parquet")
    rows = [difference("pair", ("yamnet", "frozen"), ("mfcc", "frozen"), "map", 0.1, freedom=7)]
    write_parquet(from_rows(rows, COMPARISONS), tmp_path / "comparisons.parquet")
    splits = {"test": {"windows": 10, "background": 0}}
    write_json({"name": "field", "task": "detection", "splits": splits}, tmp_path / "dataset.json")
    return tmp_path


@pytest.mark.parametrize(("background", "labelled", "expected"), [(3, 2, 0.75), (1, 1, 1.0), (0, 3, None), (3, 0, None), (0, 0, None)])
def test_chance_is_the_share_of_background_among_the_other_windows(background, labelled, expected):
    assert by_chance([[]] * background + [["wren"]] * labelled) == expected


def test_chance_is_averaged_over_the_folds_that_the_score_is_of(folder):
    found = {choice.layer: chance for choice, chance in Evidence.of(folder).chances.items()}
    assert found == pytest.approx({"layer6": (8 / 9 + 5 / 9) / 2, "top": 8 / 9})


def test_without_a_cell_that_was_judged_with_background_there_is_no_chance(folder):
    clean = Cell("yamnet", "top", "mean", "frozen", 0.0, 1, 0, "", "clean-1", "clean-all")
    assert chances_of(folder, [clean]) == chances_of(folder, []) == {}


def test_an_encoder_is_judged_as_it_is_read_by_default_and_with_its_intervals_freedom(folder):
    run = Evidence.of(folder)
    side = ("yamnet", "frozen", (1.0, "share"))
    below = run.below_chance(side)
    assert run.readings["yamnet"] == ("top", "mean")
    assert (below.value, below.freedom) == (pytest.approx(8 / 9 - 0.8), 12)
    assert run.holds_background  # though the one fold that dataset.json tells of has none


def test_a_run_without_a_default_reading_is_judged_by_the_first():
    rows = [score("yamnet", "full", "map", value, layer=layer) for layer, value in (("layer6", 0.6), ("layer12", 0.8))]
    run = Evidence("field", {"task": "detection"}, rows, [])
    assert run.score(("yamnet", "full", (1.0, "share")), "map").value == 0.6


def test_a_difference_is_paired_where_the_run_compared_the_two_whichever_way_round():
    pair = difference("pair", ("yamnet", "full"), ("resnet18", "full"), "map", 0.1, p=0.01, freedom=7)
    rows = [score(name, "full", "map", value) for name, value in (("yamnet", 0.5), ("resnet18", 0.8))]
    run = Evidence("field", {"task": "detection"}, rows, [pair])
    a, b = (("yamnet", "full", (1.0, "share")), ("resnet18", "full", (1.0, "share")))
    there, back = run.difference(a, b, "map", {}), run.difference(b, a, "map", {})
    assert (there.value, there.p, there.freedom) == (0.1, 0.01, 7) and back == there.flipped()
    alone = Evidence("field", {"task": "detection"}, rows, []).difference(a, b, "map", {})
    assert alone.value == pytest.approx(0.3) and alone.p is None
