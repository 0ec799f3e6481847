"""The curve of every score against the background that training kept."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from callspace import tables
from callspace.report import background_curve, leaderboard, leaderboard_table, write_report
from callspace.report.figures import clear
from callspace.report.reading import Run, read_run
from run_folders import make_run_folder

SHARES = [(1.0, "share"), (0.5, "share"), (0.1, "share"), (0.01, "share"), (0.0, "share")]
OTHERS = [(1.0, "ratio"), (0.1, "hard"), (0.5, "hard"), (1.0, "share+class"), (0.1, "hard+class"), (0.0, "clean-all")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run_folder(tmp_path_factory.mktemp("run"), policies=SHARES + OTHERS, regimes=("frozen", "linear", "lora:16", "full"))


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return read_run(folder)


def _section(run: Run) -> dict[str, Any]:
    section = background_curve.background_section(run)
    assert section is not None
    return section


def _traces(section: dict[str, Any], label: str, title: str) -> list[dict[str, Any]]:
    [pane] = [pane for pane in section["panes"] if pane["label"] == label]
    [figure] = [figure for figure in pane["figures"] if figure["title"] == title]
    return figure["chart"]["data"]


def _summary(folder: Path, regime: str, metric: str, clusterer: str) -> dict[tuple[str, float, str], dict[str, Any]]:
    return {
        (row["encoder"], row["background"], row["policy"]): row
        for row in tables.read_parquet(folder / "summary.parquet").to_pylist()
        if (row["regime"], row["metric"], row["clusterer"], row["space"], row["class"]) == (regime, metric, clusterer, "full", None)
    }


def test_every_score_of_the_whole_test_split_has_a_curve(run: Run) -> None:
    labels = [pane["label"] for pane in _section(run)["panes"]]
    assert labels[:5] == ["mAP", "NMI", "separation", "mAP (BEANS)", "macro AUROC"]
    assert {"AMI", "ARI", "neighbour purity", "background among neighbours"} <= set(labels)


@pytest.mark.parametrize(
    ("label", "metric", "clusterer"), [("mAP", "map", "head"), ("NMI", "nmi", "kmeans"), ("macro AUROC", "macro_auroc", "head")]
)
def test_its_points_and_whiskers_are_the_summarys(label: str, metric: str, clusterer: str, run: Run, folder: Path) -> None:
    scores = _summary(folder, "full", metric, clusterer)
    traces = [
        trace
        for trace in _traces(_section(run), label, f"{label[0].upper()}{label[1:]}, full fine-tuning".replace("MAP", "mAP"))
        if "error_y" in trace
    ]
    drawn = {
        y: (y + up, y - down) for t in traces for y, up, down in zip(t["y"], t["error_y"]["array"], t["error_y"]["arrayminus"], strict=True)
    }
    expected = {row["value"]: (row["ci_high"], row["ci_low"]) for key, row in scores.items() if key[2] != "clean-all"}
    assert set(drawn) == set(expected)
    for value, ends in expected.items():
        assert drawn[value] == pytest.approx(ends)


def test_the_frozen_encoder_is_a_flat_dotted_line_in_its_encoders_colour(run: Run, folder: Path) -> None:
    frozen = _summary(folder, "frozen", "map", "linear")
    flat = [trace for trace in _traces(_section(run), "mAP", "mAP, full fine-tuning") if trace["line"]["dash"] == "dot"]
    assert [trace["y"] for trace in flat] == [[frozen[encoder, 1.0, "share"]["value"]] * 2 for encoder in ("alexnet:random", "yamnet")]
    solid = {trace["line"]["color"] for trace in _traces(_section(run), "mAP", "mAP, full fine-tuning") if trace["line"]["dash"] == "solid"}
    assert {trace["line"]["color"] for trace in flat} == solid


def test_shares_stand_in_their_order_and_a_ratio_at_the_share_it_comes_to(run: Run) -> None:
    train = run.dataset["splits"]["train"]
    expected = (train["windows"] - train["background"]) / train["background"]
    assert background_curve.comes_to(run, 1.0, "ratio") == pytest.approx(expected)
    assert background_curve.comes_to(run, 99.0, "ratio") == 1.0
    [pane] = [pane for pane in _section(run)["panes"] if pane["label"] == "mAP"]
    axis = pane["figures"][0]["chart"]["layout"]["xaxis"]
    assert axis["ticktext"] == ["0 %", "1 %", "10 %", "50 %", f"{100 * expected:.0f} %", "100 %"]
    assert axis["tickvals"] == [0, 1, 2, 3, 4, 5]
    triangles = [trace for trace in pane["figures"][0]["chart"]["data"] if trace["marker"]["symbol"] == "triangle-up"]
    assert len(triangles) == 2 and all(round(trace["x"][0]) == 4 for trace in triangles)


def test_each_kind_of_policy_has_its_own_mark_and_words(run: Run) -> None:
    section = _section(run)
    symbols = {trace["marker"]["symbol"] for trace in _traces(section, "mAP", "mAP, full fine-tuning") if trace["line"]["dash"] != "dot"}
    assert symbols == {"circle", "triangle-up", "diamond", "circle-open", "diamond-open"}
    caption = section["panes"][0]["caption"]
    assert caption.startswith("What was varied: how much of the background of the train split was kept, and how it was chosen")
    for words in ("hardest first", "so many for each labelled window", "background is a class of its own in training", "left frozen"):
        assert words in caption


def test_what_was_judged_on_other_test_windows_is_nowhere_beside_them(run: Run, folder: Path) -> None:
    assert "clean-all" not in json.dumps(_section(run))
    page = write_report(folder).read_text(encoding="utf-8")
    figures = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[0])["figures"]
    assert "dropped from every split" not in json.dumps({name: one for name, one in figures.items() if not name.startswith("curves")})
    rows = leaderboard(folder).to_pylist()
    clean = [row for row in rows if row["policy"] == "clean-all"]
    assert rows[-len(clean) :] == clean and [row["place"] for row in clean] == list(range(1, len(clean) + 1))
    assert clean[0]["value"] > rows[0]["value"]  # by its number it would stand first
    assert "Rows marked clean-all were judged on test windows without background" in page


def _verdicts(run: Run, label: str = "mAP") -> tuple[list[str], list[list[str]]]:
    [pane] = [pane for pane in _section(run)["panes"] if pane["label"] == label]
    return [column["name"] for column in pane["table"]["columns"]], pane["table"]["rows"]


def test_whether_a_curve_is_flat_is_told_from_the_paired_difference_of_none_and_all(run: Run) -> None:
    rows = [
        row
        for row in run.comparisons
        if (row["question"], row["metric"], row["b_background"], row["b_policy"]) == ("background", "map", 0.0, "share")
    ]
    columns, verdicts = _verdicts(run)
    assert columns == ["Encoder", "Regime", "mAP, none minus all", "95 % interval", "With less background"]
    assert len(rows) == len(verdicts) == 7 and all(row["ci_high"] < 0 for row in rows)
    assert {row[-1] for row in verdicts} == {"falls"}
    for row in rows:
        told = [f"{row[name]:+.3f}".replace("-", "−") for name in ("difference", "ci_low", "ci_high")]
        assert [told[0], f"{told[1]} to {told[2]}"] in [verdict[2:4] for verdict in verdicts]
    [sentence] = [sentence for sentence in _section(run)["lead"] if sentence.startswith("mAP with none")]
    assert sentence == "mAP with none of the background, against all: clearly lower in 7 of 7 curves, clearly higher in none."


def test_a_curve_that_no_interval_bends_is_not_called_bent(folder: Path) -> None:
    run = read_run(folder)
    for row in run.comparisons:
        if row["b_encoder"] == "yamnet" and row["metric"] == "map":
            row.update(ci_low=row["difference"] - 1, ci_high=row["difference"] + 1, verdict="undecided", detectable=0.7)
            if row["b_regime"] == "linear":
                row.update(verdict="alike", detectable=0.01)
        elif row["b_encoder"] == "mfcc":
            row.update(dict.fromkeys(("ci_low", "ci_high", "p", "p_holm", "verdict")))
    found = {(row[0], row[-1]) for row in _verdicts(run)[1]}
    undecided = {("yamnet", "too little data to say (would show from 0.700)"), ("yamnet", "no difference that matters")}
    assert found == {("alexnet:random", "falls"), ("mfcc", "no interval, no verdict"), *undecided}


def test_one_encoder_goes_without_its_name_and_only_what_is_compared_has_verdicts(folder: Path) -> None:
    run = read_run(folder)
    run.comparisons[:] = [row for row in run.comparisons if row["b_encoder"] == "yamnet"]
    assert _verdicts(run)[0][0] == "Regime" and _verdicts(run, "separation")[0][1] == "Separation, none minus all"
    assert [row[0] for row in _verdicts(run)[1]] == ["Full fine-tuning", "LoRA tuning of rank 16", "Linear head"]
    assert "table" not in next(pane for pane in _section(run)["panes"] if pane["label"] == "macro AUROC")


@pytest.mark.parametrize(
    ("policies", "ticks"), [(SHARES[::4], ["0 %", "100 %"]), ([SHARES[0], (1.0, "share+class")], ["100 %"]), (SHARES, None)]
)
def test_any_number_of_shares_makes_a_figure(policies: list[tuple[float, str]], ticks: list[str] | None, tmp_path: Path) -> None:
    run = read_run(make_run_folder(tmp_path, policies=policies, regimes=("frozen", "full")))
    chart = _section(run)["panes"][0]["figures"][0]["chart"]
    assert chart["layout"]["xaxis"]["ticktext"] == (ticks or ["0 %", "1 %", "10 %", "50 %", "100 %"])
    low, high = chart["layout"]["yaxis"]["range"]
    for trace in chart["data"]:
        assert all(low < y < high for y in trace["y"])


@pytest.mark.parametrize("policies", [[(1.0, "share")], [(0.0, "clean-all")]])
def test_one_policy_is_no_curve(policies: list[tuple[float, str]], tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path, policies=policies)
    assert background_curve.background_section(read_run(folder)) is None
    assert "How much background" not in write_report(folder).read_text(encoding="utf-8")


def test_a_run_of_the_study_alone_is_reported_and_says_what_it_was_judged_on(tmp_path: Path) -> None:
    page = write_report(make_run_folder(tmp_path, policies=[(0.0, "clean-all")])).read_text(encoding="utf-8")
    assert "All were judged on test windows without background (clean-all)" in page
    assert 'id="tuning"' in page and 'id="agreement"' in page and 'id="separation"' not in page


def test_runs_of_an_older_version_without_the_column_are_read_as_shares(tmp_path: Path) -> None:
    make_run_folder(tmp_path)
    for name in ("summary.parquet", "maps.parquet"):
        table = tables.read_parquet(tmp_path / name)
        tables.write_parquet(table.drop_columns(["policy"]), tmp_path / name)
    assert set(leaderboard(tmp_path)["policy"].to_pylist()) == {"share"}
    assert 'id="maps"' in write_report(tmp_path).read_text(encoding="utf-8")


def test_the_terminal_names_every_policy_in_80_columns(folder: Path) -> None:
    console = Console(file=StringIO(), width=80, color_system=None)
    console.print(leaderboard_table(folder))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= 80
    for row, line in zip(leaderboard(folder).to_pylist(), [line for line in lines if "[" in line and "]" in line], strict=True):
        assert f"{row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]" in line
    text = "\n".join(lines)
    for kept in ("hardest 10 %", "100 % +", "+ class", "1 : 1", "clean-all"):  # long ones are wrapped in their column
        assert kept in text
    assert "windows for each labelled one" in text and "not comparable" in text


@pytest.mark.parametrize(
    ("more", "sign"),
    [
        ({"p": None}, 0),
        ({"verdict": "higher", "p_holm": 0.01}, 1),
        ({"verdict": "undecided", "p_holm": 0.01}, 0),
        ({"verdict": "lower"}, -1),
    ],
)
def test_what_the_page_calls_clear_is_what_the_choice_does(more: dict[str, Any], sign: int) -> None:
    assert clear({"ci_low": 0.01, "ci_high": 0.1, "p_holm": None, "verdict": None} | more) == sign
