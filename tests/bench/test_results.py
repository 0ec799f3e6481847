"""From cells to tables: which choices are compared, and whose tuned encoder is kept."""

from callspace.bench import results
from callspace.bench.plan import Cell, Choice
from callspace.bench.results import complete, keep_best_encoder


def cell(encoder: str, fold: int, seed: int = 0) -> Cell:
    return Cell(encoder, "top", "mean", "full", 1.0, fold, seed, name=f"{encoder}-{fold}-{seed}")


def done(*cells: Cell) -> list[tuple[Choice, int | None, int]]:
    return [(one.choice, one.fold, one.seed) for one in cells]


def test_a_choice_is_complete_where_it_has_every_fold_and_seed_that_any_has():
    a, b, c = (cell(name, 0).choice for name in "abc")
    assert complete(done(cell("a", 0), cell("a", 1), cell("b", 0), cell("b", 1))) == {a, b}
    assert complete(done(cell("a", 0), cell("a", 1), cell("b", 0), cell("b", 2))) == set()  # as many, but other folds
    assert complete(done(cell("a", 0), cell("b", 2), *(cell("c", fold) for fold in range(3)))) == {c}
    assert complete(done(cell("a", 0, 0), cell("a", 0, 1), cell("b", 0, 0), cell("b", 1, 0))) == set()


def kept(folder, cells, scores, monkeypatch) -> set[str]:
    monkeypatch.setattr(results, "read_cell", lambda run, one: {"valid_score": scores[one.name]})
    for one in cells:
        (folder / "cells" / one.name / "encoder").mkdir(parents=True, exist_ok=True)
    keep_best_encoder(folder, cells)
    return {path.parent.name for path in folder.glob("cells/*/encoder")}


def test_the_encoder_that_is_kept_is_of_a_choice_that_is_complete(tmp_path, monkeypatch):
    cells = [cell("a", 0), cell("b", 0), cell("b", 1)]
    assert kept(tmp_path, cells, {"a-0-0": 0.9, "b-0-0": 0.6, "b-1-0": 0.7}, monkeypatch) == {"b-1-0"}


def test_while_no_choice_is_complete_none_is_deleted(tmp_path, monkeypatch):
    cells = [cell("a", 0), cell("b", 1)]
    assert kept(tmp_path, cells, {"a-0-0": 0.9, "b-1-0": 0.6}, monkeypatch) == {"a-0-0", "b-1-0"}
