"""The leaderboard says what the summary says, in the right order, for the page and the terminal alike."""

import csv
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from callspace import tables
from callspace.errors import CallspaceError
from callspace.report import LEADERBOARD, leaderboard, leaderboard_table, write_report
from callspace.report.figures import differences, forest
from callspace.report.leaderboard import leaderboard_of
from callspace.report.opening import board
from callspace.report.reading import read_run


def _summary_value(folder: Path, encoder: str, regime: str, background: float, metric: str, clusterer: str, space: str = "full") -> dict:
    [row] = [
        row
        for row in tables.read_parquet(folder / "summary.parquet").to_pylist()
        if (row["encoder"], row["regime"], row["background"]) == (encoder, regime, background)
        and (row["metric"], row["clusterer"], row["space"], row["class"]) == (metric, clusterer, space, None)
    ]
    return row


def _copy(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder, dirs_exist_ok=True)
    return folder


def _rewrite(folder: Path, change) -> None:
    rows = [changed for row in tables.read_parquet(folder / "summary.parquet").to_pylist() if (changed := change(row)) is not None]
    tables.write_parquet(tables.from_rows(rows, tables.SUMMARY), folder / "summary.parquet")


@pytest.mark.parametrize("task", ["detection", "classification"])
def test_every_number_is_the_summarys(task: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(f"{task}_run")
    table = leaderboard(folder)
    assert table.schema == LEADERBOARD
    assert len(table) == {"detection": 18, "classification": 8}[task]
    metric = {"detection": "map", "classification": "accuracy"}[task]
    for row in table.to_pylist():
        who = (row["encoder"], row["regime"], row["background"])
        reader = "linear" if row["regime"] == "frozen" else "head"
        main = _summary_value(folder, *who, metric, reader)
        assert (row["metric"], row["reader"]) == (metric, reader)
        for name in ("value", "ci_low", "ci_high", "n", "cells", "pretraining"):
            assert row[name] == main[name]
        # A linear head leaves the embedding as it was, and the summary says nothing of it.
        who = (who[0], "frozen", 1.0) if who[1] == "linear" else who
        nmi = _summary_value(folder, *who, "nmi", "kmeans")
        assert (row["nmi"], row["nmi_ci_low"], row["nmi_ci_high"]) == (nmi["value"], nmi["ci_low"], nmi["ci_high"])
        assert row["structure_space"] == "full"
        assert row["silhouette"] == _summary_value(folder, *who, "silhouette_labels", "")["value"]
        if task == "detection":
            separation = _summary_value(folder, *who, "separation_auroc", "linear")
            assert (row["separation_auroc"], row["separation_reader"]) == (separation["value"], "linear")
        else:
            assert row["separation_auroc"] is None


def test_the_best_comes_first_and_places_count_from_one(detection_run: Path) -> None:
    rows = leaderboard(detection_run).to_pylist()
    assert [row["value"] for row in rows] == sorted((row["value"] for row in rows), reverse=True)
    assert [row["place"] for row in rows] == list(range(1, len(rows) + 1))


def test_the_time_is_the_mean_over_cells(detection_run: Path) -> None:
    with (detection_run / "costs.csv").open(encoding="utf-8", newline="") as file:
        spent = [float(row["seconds"]) for row in csv.DictReader(file) if (row["encoder"], row["regime"], row["background"]) == _BEST]
    assert len(spent) == 3
    [row] = [r for r in leaderboard(detection_run).to_pylist() if (r["encoder"], r["regime"], str(r["background"])) == _BEST]
    assert row["seconds"] == pytest.approx(sum(spent) / 3)


_BEST = ("yamnet", "full", "0.1")


def test_the_recommended_choice_and_what_is_tied_with_it_are_marked(detection_run: Path) -> None:
    standing = {
        (r["encoder"], r["regime"], r["background"]): r["standing"] for r in leaderboard(detection_run).to_pylist() if r["standing"]
    }
    assert standing == {("yamnet", "full", 0.1): "recommended", ("yamnet", "full", 1.0): "tied"}


def test_a_contender_without_the_main_score_comes_last_and_has_no_number(detection_run: Path, tmp_path: Path) -> None:
    folder = _copy(detection_run, tmp_path)
    best = ("yamnet", "full", 0.1)
    _rewrite(folder, lambda row: None if (row["encoder"], row["regime"], row["background"]) == best and row["metric"] == "map" else row)
    last = leaderboard(folder).to_pylist()[-1]
    assert (last["encoder"], last["regime"], last["background"], last["value"]) == (*best, None)


def test_a_score_that_is_not_a_number_counts_as_none(detection_run: Path, tmp_path: Path) -> None:
    folder = _copy(detection_run, tmp_path)
    _rewrite(folder, lambda row: row | {"value": float("nan")} if row["metric"] == "nmi" else row)
    assert set(leaderboard(folder)["nmi"].to_pylist()) == {None}


def test_a_regime_without_a_head_of_its_own_is_read_by_the_probe_and_says_so(classification_run: Path, tmp_path: Path) -> None:
    folder = _copy(classification_run, tmp_path)
    _rewrite(folder, lambda row: None if row["clusterer"] == "head" else row)
    assert [row["reader"] for row in leaderboard(folder).to_pylist() if row["regime"] == "full"] == ["linear", "linear"]


def test_several_layers_of_an_encoder_are_several_rows_that_name_them(classification_run: Path, tmp_path: Path) -> None:
    folder = _copy(classification_run, tmp_path)
    rows = tables.read_parquet(folder / "summary.parquet").to_pylist()
    again = [
        row | {"layer": "conv5", "value": row["value"] - 0.1} for row in rows if (row["encoder"], row["regime"]) == ("yamnet", "frozen")
    ]
    tables.write_parquet(tables.from_rows(rows + again, tables.SUMMARY), folder / "summary.parquet")
    table = leaderboard(folder).to_pylist()
    assert len(table) == 9
    frozen = [row["variant"] for row in table if (row["encoder"], row["regime"]) == ("yamnet", "frozen")]
    assert frozen == ["pooled", "conv5"]
    assert all(row["variant"] == "" for row in table if row["encoder"] != "yamnet")


@pytest.mark.parametrize("missing", ["summary.parquet", "dataset.json"])
def test_a_folder_that_is_no_finished_run_is_refused_in_a_sentence(missing: str, classification_run: Path, tmp_path: Path) -> None:
    folder = _copy(classification_run, tmp_path)
    (folder / missing).unlink()
    with pytest.raises(CallspaceError, match=missing):
        leaderboard(folder)


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("task", ["detection", "classification"])
def test_the_terminal_shows_the_same_numbers_whole_at_80_columns(task: str, width: int, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(f"{task}_run")
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(leaderboard_table(folder))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    scored = [line for line in lines if "[" in line and "]" in line]
    rows = leaderboard(folder).to_pylist()
    assert len(scored) == len(rows)
    for line, row in zip(scored, rows, strict=True):
        assert f"{row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]" in line
        assert f"{row['nmi']:.3f}" in line
        if task == "detection":
            assert f"{row['separation_auroc']:.3f}" in line
    assert ("background" in "".join(lines)) == (task == "detection")


def test_a_name_with_brackets_is_no_markup_in_the_terminal(classification_run: Path, tmp_path: Path) -> None:
    folder = _copy(classification_run, tmp_path)
    _rewrite(folder, lambda row: row | {"encoder": "[red]a[/red]"} if row["encoder"] == "mfcc" else row)
    console = Console(file=StringIO(), width=120)
    console.print(leaderboard_table(folder))
    assert "[red]a[/red]" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("chosen", "tied", "marked"),
    [
        ("linear", [], {"linear": "recommended", "frozen": "tied"}),
        ("full", ["linear"], {"full": "recommended", "linear": "tied", "frozen": "tied"}),
        ("full", ["frozen"], {"full": "recommended", "frozen": "tied"}),
        ("full", [], {"full": "recommended"}),
    ],
)
def test_a_frozen_encoder_bears_the_mark_of_its_own_linear_head(
    chosen: str, tied: list[str], marked: dict[str, str], classification_run: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(classification_run, tmp_path / "run")
    what = {"encoder": "yamnet", "background": 1.0, "policy": "share"}
    choice = tables.read_json(folder / "choice.json")
    tables.write_json(choice | what | {"regime": chosen, "tied": [what | {"regime": regime} for regime in tied]}, folder / "choice.json")
    assert {row["regime"]: row["standing"] for row in leaderboard(folder).to_pylist() if row["standing"]} == marked


def test_paired_differences_say_what_so_many_groups_would_show(detection_run: Path, tmp_path: Path) -> None:
    """No difference is told from too little data, on the page and under the pointer."""
    folder = _copy(detection_run, tmp_path / "run")
    rows = tables.read_parquet(folder / "comparisons.parquet").to_pylist()
    rows = [row | {"verdict": "undecided", "detectable": 0.1234} for row in rows]
    tables.write_parquet(tables.from_rows(rows, tables.COMPARISONS), folder / "comparisons.parquet")
    run = read_run(folder)
    found = board(run, leaderboard_of(run).to_pylist())["best"]["rows"]
    assert found and {row["least"] for row in found} == {"0.123"}
    page = write_report(folder).read_text(encoding="utf-8")
    assert "Would show from" in page and '<td class="num">0.123</td>' in page
    chart = forest(run, differences(run, "tuning", "map"), "map", lambda row: row["b_regime"])
    assert "only a difference of 0.123 would show" in str(chart)
    clear = [row | {"verdict": "higher"} for row in differences(run, "tuning", "map")]
    assert "would show" not in str(forest(run, clear, "map", lambda row: row["b_regime"]))
