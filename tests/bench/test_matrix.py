"""Several datasets: runs, one table, rank correlations; what fails is listed."""

import io
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr
from typer.testing import CliRunner

from callspace.bench.matrix import MATRIX, _whole, bench_matrix, correlations, load_matrix, matrix_rows
from callspace.bench.published import published
from callspace.bench.ranking import rankings
from callspace.cli.app import app
from callspace.datasets import load_dataset
from callspace.errors import CallspaceError
from callspace.report.matrix import matrix_sentences, matrix_tables
from callspace.report.matrix_page import write_matrix_page
from callspace.tables import from_rows
from small_audio import class_folders
from tiny_protocol import write_tiny_protocol

ENCODERS = ["alexnet", "resnet18", "vggish", "aves-bio", "swin-s"]


@pytest.fixture(scope="module")
def protocol(tmp_path_factory):
    return write_tiny_protocol(tmp_path_factory.mktemp("protocol"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    here = tmp_path_factory.mktemp("data")
    return [class_folders(here / name, clips=clips, seconds=0.2) for name, clips in (("first", 12), ("second", 9))]


@pytest.fixture(scope="module")
def made(folders, protocol, tmp_path_factory):
    said = []

    class Listening:
        def __getattr__(self, name):
            from callspace.progress import SILENT

            return getattr(SILENT, name)

        def say(self, sentence):
            said.append(sentence)

    out = tmp_path_factory.mktemp("out") / "matrix"
    sources = [folders[0], "nowhere/at/all", load_dataset(folders[1])]
    ended = []
    matrix = bench_matrix(
        sources,
        ["mfcc"],
        ["frozen", "linear"],
        protocol=protocol,
        out=out,
        after=lambda run: ended.append(run.folder.name),
        progress=Listening(),
    )
    return matrix, said, ended


def test_each_dataset_has_its_own_run(made):
    matrix, _, ended = made
    assert list(matrix.runs) == ended == ["first", "second"]
    assert all((matrix.folder / name / "results.parquet").exists() for name in ended)
    assert load_matrix(matrix.folder).cells.equals(matrix.cells)


def test_a_dataset_that_fails_is_told_first_and_listed_and_the_others_go_on(made):
    matrix, said, _ = made
    assert [row["dataset"] for row in matrix.failed] == ["nowhere/at/all"] and "there is no file or folder" in matrix.failed[0]["reason"]
    assert said[0].startswith("failed: nowhere/at/all")
    assert matrix_sentences(matrix)[-1].startswith("Failed: nowhere/at/all")


def test_the_table_holds_the_runs_own_numbers(made):
    matrix, _, _ = made
    assert matrix.cells.schema == MATRIX
    for name, run in matrix.runs.items():
        summary = run.summary.to_pylist()
        for row in matrix.cells.to_pylist():
            if row["dataset"] != name:
                continue
            main = [r["value"] for r in summary if (r["regime"], r["metric"], r["class"]) == (row["regime"], "accuracy", None)]
            assert row["value"] in main
            if row["space"]:
                assert row["nmi"] in [r["value"] for r in summary if (r["space"], r["metric"]) == (row["space"], "nmi")]
    assert {row["space"] for row in matrix.cells.to_pylist() if row["regime"] == "linear"} == {None}


def test_a_choice_that_lacks_a_fold_is_not_in_the_table():
    choice = {"layer": "top", "pool": "mean", "regime": "full", "background": 1.0, "policy": "share"}
    rows = [choice | {"encoder": name, "fold": fold, "seed": 0} for name, fold in (("a", 0), ("a", 1), ("b", 0))]
    run = SimpleNamespace(results=pa.Table.from_pylist(rows), summary=pa.Table.from_pylist(rows[1:]))
    assert [row["encoder"] for row in _whole(run)] == ["a"]


def test_the_terminal_shows_encoders_by_datasets(made):
    from rich.console import Console

    matrix, _, _ = made
    console = Console(width=80, record=True, file=io.StringIO())
    for table in matrix_tables(matrix):
        console.print(table)
    text = console.export_text()
    assert "first" in text and "second" in text and "mfcc frozen" in text and "NMI" in text
    value = next(row["value"] for row in matrix.cells.to_pylist() if row["regime"] == "frozen")
    assert f"{value:.3f}" in text


def test_the_same_call_goes_on_where_it_stopped(made, folders, protocol):
    matrix, _, _ = made
    before = {path: path.stat().st_mtime_ns for path in matrix.folder.glob("*/cells/*/cell.json")}
    bench_matrix(folders, ["mfcc"], ["frozen", "linear"], protocol=protocol, out=matrix.folder)
    assert before and before == {path: path.stat().st_mtime_ns for path in matrix.folder.glob("*/cells/*/cell.json")}


def test_a_mistake_that_concerns_all_datasets_stops_at_once(folders, tmp_path):
    with pytest.raises(CallspaceError, match="no encoder is called"):
        bench_matrix(folders, ["alexnot"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_strict_stops_at_the_first_that_fails(folders, protocol, tmp_path):
    with pytest.raises(CallspaceError, match="no file or folder"):
        bench_matrix(["nowhere", folders[0]], ["mfcc"], ["frozen"], protocol=protocol, out=tmp_path / "out", strict=True)


def test_where_nothing_can_be_worked_on_the_reason_is_the_error(protocol, tmp_path):
    with pytest.raises(CallspaceError, match="no dataset could be worked on; the first: nowhere: there is no file"):
        bench_matrix(["nowhere", "neither"], ["mfcc"], ["frozen"], protocol=protocol, out=tmp_path / "out")


def test_the_folder_of_one_run_is_not_taken_for_a_matrix(made, folders, protocol):
    with pytest.raises(CallspaceError, match="run of one dataset"):
        bench_matrix(folders, ["mfcc"], ["frozen"], protocol=protocol, out=made[0].folder / "first")


def test_the_command_takes_several(folders, protocol, tmp_path):
    command = [
        "bench",
        *map(str, folders),
        "-e",
        "mfcc",
        "-r",
        "frozen",
        "-p",
        str(protocol),
        "--set",
        "bootstrap=20",
        "-o",
        str(tmp_path / "out"),
    ]
    found = CliRunner().invoke(app, command, catch_exceptions=False)
    assert found.exit_code == 0 and "All datasets" in found.output
    assert (tmp_path / "out" / "matrix.csv").exists() and (tmp_path / "out" / "first" / "report.html").exists()
    assert "bootstrap = 20" in (tmp_path / "out" / "first" / "protocol.toml").read_text()


def test_other_data_are_asked_the_studys_questions_and_have_no_table_of_its_cells(made):
    matrix = next(one for one in made if hasattr(one, "is_the_studys"))
    assert not matrix.is_the_studys and not (matrix.folder / "published_cells.csv").exists()
    page = write_matrix_page(matrix, matrix.folder / "again.html").read_text(encoding="utf-8")
    assert "questions, asked of this data" in page and "The study&#39;s claims, by" not in page


def test_annotations_belong_to_one_dataset(folders):
    found = CliRunner().invoke(app, ["bench", *map(str, folders), "--annotations", "events.csv"])
    assert isinstance(found.exception, CallspaceError) and "--annotations belong to one dataset, but 2 are named" in str(found.exception)


def _summary(dataset, nmis, accuracies, space="umap-50-0.5"):
    """Rows of a run's summary, made up: fully tuned encoders with an NMI and an accuracy each."""
    shared = {"layer": "logits", "pool": "mean", "pretraining": "image", "recipe": "paper", "background": 1.0, "policy": "share"}
    shared |= {"dataset": dataset, "regime": "full", "protocol": "paper", "class": None, "label_rule": "first"}
    shared |= {"ci_low": None, "ci_high": None, "n": 9, "cells": 1}
    for encoder, nmi, accuracy in zip(ENCODERS, nmis, accuracies, strict=True):
        yield shared | {"encoder": encoder, "space": space, "clusterer": "kmeans", "metric": "nmi", "value": nmi}
        yield shared | {"encoder": encoder, "space": "full", "clusterer": "head", "metric": "accuracy", "value": accuracy}


def test_the_rank_correlations_are_scipys_on_made_up_tables():
    rng = np.random.default_rng(1)
    scores = {name: rng.random((2, len(ENCODERS))).round(3) for name in ("dogs", "bats")}
    rows = []
    for name, (nmis, accuracies) in scores.items():
        about = {"task": "classification", "source": f"beans/{name} (made up)"}
        rows += list(matrix_rows(name, about, _summary(name, nmis.tolist(), accuracies.tolist())))
    from_rows(rows, MATRIX)
    theirs = {name: [published(name, encoder, "umap-50-0.5")["nmi"] for encoder in ENCODERS] for name in scores}
    found = correlations(rows)
    for question, other in (("published", theirs), ("use", {name: own[1] for name, own in scores.items()})):
        overall = spearmanr(np.concatenate([own[0] for own in scores.values()]), np.concatenate([other[name] for name in scores]))
        within = np.mean([spearmanr(own[0], other[name]).statistic for name, own in scores.items()])
        by_space = found[question]["umap-50-0.5"]
        assert by_space["overall"]["rho"] == pytest.approx(overall.statistic) and by_space["overall"]["n"] == 10
        assert by_space["overall"]["p"] == pytest.approx(overall.pvalue, abs=0.03)
        assert by_space["within"]["rho"] == pytest.approx(within) and by_space["within"]["groups"] == 2


def test_only_the_studys_own_datasets_have_published_numbers():
    own = list(matrix_rows("dogs", {"task": "classification", "source": "my/dogs"}, _summary("dogs", [0.1] * 5, [0.2] * 5)))
    assert {row["published_nmi"] for row in own} == {None} and correlations(own)["published"] == {}


def test_three_cells_are_the_fewest_and_no_more_are_made_up():
    rows = list(matrix_rows("dogs", {"task": "classification", "source": "beans/dogs (x)"}, _summary("dogs", [0.1] * 5, [0.2] * 5)))
    assert correlations(rows[:2])["use"]["umap-50-0.5"] == {"overall": None, "within": None}
    assert correlations(rows)["use"]["umap-50-0.5"] == {"overall": None, "within": None}  # nothing varies


class _Matrix:
    def __init__(self, rows):
        self.cells = from_rows(rows, MATRIX)
        self.about = {"rankings": rankings(rows)}


def _texts(matrix):
    from rich.console import Console

    console = Console(width=100, record=True, file=io.StringIO())
    for table in matrix_tables(matrix):
        console.print(table)
    return console.export_text()


def _cell(value, **more):
    shared = {"dataset": "dogs", "encoder": "aves-bio", "layer": "layer12", "pool": "mean", "regime": "full", "background": 1.0}
    return shared | {"policy": "share", "metric": "map", "value": value, "space": "full", "nmi": value / 2} | more


def test_an_encoder_read_in_several_ways_has_a_row_each():
    text = _texts(_Matrix([_cell(0.5), _cell(0.7, layer="layer6"), _cell(0.6, encoder="mfcc", layer="statistics")]))
    assert "aves-bio layer12 full" in text and "aves-bio layer6 full" in text and "mfcc full" in text
    assert all(f"{value:.3f}" in text for value in (0.5, 0.7, 0.6, 0.25, 0.35))
    assert "aves-bio max full" in _texts(_Matrix([_cell(0.5), _cell(0.7, pool="max")]))


def test_what_was_judged_without_background_comes_last_with_a_note_and_is_not_correlated_with_the_rest():
    whole = [_cell(value, encoder=name, nmi=nmi) for name, value, nmi in zip("abc", (0.1, 0.2, 0.3), (0.1, 0.3, 0.2), strict=True)]
    clean = [row | {"value": 0.9 - row["value"], "background": 0.0, "policy": "clean-all"} for row in whole]
    text = _texts(_Matrix([*clean, *whole]))
    assert text.index("c full ") < text.index("a full bg clean-all") < text.index("not comparable")
    found = correlations([*clean, *whole])["use"]["full"]["overall"]
    assert found["n"] == 3 and found["rho"] == pytest.approx(0.5)
    other = [row | {"dataset": "bats"} for row in clean]
    assert correlations([*whole, *other])["use"]["full"]["overall"]["n"] == 6, "of bats there is nothing else"
