"""What costs what and what would help, on the page and in the terminal."""

import pytest
from rich.console import Console

from callspace.evaluation.diagnosis.finding import Finding, findings_to_json
from callspace.report.costs import advice_sentences, costs_section, costs_table
from callspace.report.diagnosis_words import tally
from callspace.report.leaderboard import leaderboard_of
from callspace.report.learning_curve import learning_curve_section
from callspace.report.opening import board, opening
from callspace.report.reading import read_run
from callspace.report.terminal import choice_sentences, diagnosis_sentence
from callspace.tables import read_json, write_json
from run_folders import make_run_folder

COST = {"layer": "pooled", "pool": "mean", "policy": "share", "background": 1.0, "restricted": False, "device": "cpu"}
LABELS = "Twice as many labelled recordings would bring about +0.03 (0.01 to 0.06) mAP."


@pytest.fixture
def folder(tmp_path):
    folder = make_run_folder(tmp_path / "run")
    measured = {"embed_ms_per_s": 8.25, "embed_mib": 512.0, "fit_s": 75.0, "parameters": 3_200_000, "licence": "Apache-2.0"}
    unknown = dict.fromkeys(("embed_ms_per_s", "embed_mib", "fit_s", "parameters", "licence", "restricted"))
    costs = [COST | {"encoder": "yamnet", "regime": "full"} | measured, COST | {"encoder": "a<b>", "regime": "frozen"} | unknown]
    costs.append(costs[0] | {"background": 0.1})
    costs.append(costs[1] | {"encoder": "b:random", "restricted": False})
    write_json({"costs": costs, "sentences": ["It costs: 8.2 ms."]}, folder / "costs.json")
    gains = {name: {"sentence": f"{name}.", "value": None, "ci_low": None, "ci_high": None} for name in ("tuning", "background")}
    gains |= {"labels": {"sentence": LABELS}, "most": "labels", "sentence": "What would help most: more labels."}
    write_json(read_json(folder / "choice.json") | {"gains": gains}, folder / "choice.json")
    return folder


def test_the_answer_holds_costs_and_gains_after_its_reasons(folder):
    told = ["It costs: 8.2 ms.", "tuning.", "background.", LABELS, "What would help most: more labels."]
    choice = read_json(folder / "choice.json")
    assert advice_sentences(folder, choice) == told
    assert opening(read_run(folder), [])["reasons"] == [*choice["reasons"], *told]
    assert choice_sentences(folder) == [choice["headline"], *choice["reasons"], *told, *choice["caveats"]]


def test_a_page_has_one_time_to_fit(folder):
    """Of one fit, without embedding: what the costs say, wherever it stands."""
    run = read_run(folder)
    rows = leaderboard_of(run).to_pylist()
    assert board(run, rows)["time"].startswith("to fit once")
    shown = {(row["encoder"], row["regime"], row["background"]): row["seconds"] for row in board(run, rows)["rows"]}
    assert shown["yamnet", "full", 1.0] == shown["yamnet", "full", 0.1] == 75.0 and shown["mfcc", "frozen", 1.0] is None
    best = next(row for row in rows if row["standing"] == "recommended")
    costs = read_json(folder / "costs.json")
    costs["costs"].append(
        costs["costs"][0] | {name: best[name] for name in ("encoder", "regime", "background", "policy")} | {"fit_s": 33.0}
    )
    write_json(costs, folder / "costs.json")
    [fact] = [fact for fact in opening(run, rows)["facts"] if fact["name"] == "time to fit once"]
    assert fact["value"] == "33 s"


def test_a_run_of_an_older_version_has_neither(detection_run):
    assert advice_sentences(detection_run, read_json(detection_run / "choice.json")) == []
    run = read_run(detection_run)
    assert costs_section(run) is None and costs_table(detection_run) is None and learning_curve_section(run) is None


def test_the_table_has_a_row_a_choice_and_a_dash_for_what_was_not_measured(folder):
    [pane] = costs_section(read_run(folder))["panes"]
    assert pane["table"]["rows"] == [
        ["yamnet", "full", "100 %", "8.25", "512", "75 s", "3.2 M", "Apache-2.0"],
        ["a<b>", "frozen", "100 %", "–", "–", "–", "–", "not known"],
        ["yamnet", "full", "10 %", "8.25", "512", "75 s", "3.2 M", "Apache-2.0"],
        ["b:random", "frozen", "100 %", "–", "–", "–", "–", "none needed"],
    ]


def test_the_terminals_table_fits_eighty_columns_and_names_each_regime_once(folder):
    console = Console(width=80, record=True)
    console.print(costs_table(folder))
    lines = console.export_text().splitlines()
    assert sum("yamnet" in line for line in lines) == 1 and all(len(line) <= 80 for line in lines)


def test_a_diagnosis_that_found_something_is_told_in_a_line(folder):
    assert diagnosis_sentence(folder) == ""
    fine = Finding("collapse", {"encoder": "yamnet"}, "fine", "Well spread.")
    write_json(findings_to_json([fine]), folder / "diagnosis.json")
    assert diagnosis_sentence(folder) == ""
    worst = Finding("collapse", {"encoder": "mfcc"}, "problem", "Its variance lies in two directions.")
    look = Finding("hubs", {"encoder": "yamnet"}, "look", "A few windows are everybody's neighbour.")
    write_json(findings_to_json([fine, look, worst]), folder / "diagnosis.json")
    told = diagnosis_sentence(folder)
    assert told.startswith(f"Diagnosis: {tally([fine, look, worst])}. Collapse · mfcc: Its variance lies in two directions. More:")
    assert told.endswith(f"callspace diagnose {folder}")
    write_json({"not": "findings"}, folder / "diagnosis.json")
    assert diagnosis_sentence(folder) == ""


def curve(**more):
    points = [
        {"groups": n, "windows": 8.0 * n, "value": 0.5 + n / 100, "ci_low": 0.4, "ci_high": 0.8, "draws": [0.5] * 4} for n in (2, 4, 8, 16)
    ]
    line = [{"groups": float(n), "value": 0.6, "ci_low": 0.5, "ci_high": 0.7} for n in (2, 16, 64)]
    expected = [{"multiple": k, "groups": 16 * k, "score": {}, "gain": {}} for k in (2, 4)]
    about = {"metric": "map", "groups": 16, "encoder": "yamnet", "unit": "recordings", "reason": "", "notes": [], "points": points}
    return about | {"line": line, "expected": expected} | more


def test_the_learning_curve_is_drawn_to_four_times_the_groups(folder):
    write_json(curve(), folder / "learning_curve.json")
    section = learning_curve_section(read_run(folder))
    assert section["lead"] == [LABELS]
    assert "a Bayesian posterior" in section["panes"][0]["caption"] and "bootstrap" not in section["panes"][0]["caption"]
    [figure] = section["panes"][0]["figures"]
    band, law, measured = figure["chart"]["data"]
    assert band["fill"] == "toself" and len(band["x"]) == 6 and max(law["x"]) == 6.0  # log2 of 64
    assert measured["y"] == [0.52, 0.54, 0.58, 0.66] and measured["error_y"]["array"][0] == pytest.approx(0.28)
    assert figure["chart"]["layout"]["xaxis"]["ticktext"][-2:] == ["32 (×2)", "64 (×4)"]


def test_a_curve_that_cannot_be_carried_further_is_drawn_as_far_as_it_goes(folder):
    write_json(curve(line=[], expected=[], reason="Too few groups."), folder / "learning_curve.json")
    section = learning_curve_section(read_run(folder))
    assert len(section["panes"][0]["figures"][0]["chart"]["data"]) == 1 and "power law" not in section["panes"][0]["caption"]
    write_json(curve(points=[], line=[], expected=[]), folder / "learning_curve.json")
    assert learning_curve_section(read_run(folder)) is None
