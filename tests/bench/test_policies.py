"""Background policies as a factor of a bench."""

import numpy as np
import pytest
import soundfile

from callspace.bench.bench import bench
from callspace.datasets import load_dataset
from callspace.errors import CallspaceError
from callspace.report import leaderboard
from callspace.report.page import write_report
from callspace.tables import read_json, read_parquet
from tiny_protocol import TINY

POLICIES = ["1", "0", "ratio:1", "hard:0.5", "1+class", "clean-all"]
KINDS = {(1.0, "share"), (0.0, "share"), (1.0, "ratio"), (0.5, "hard"), (1.0, "share+class"), (0.0, "clean-all")}


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Soundscapes whose quiet stretches are background, of several loudnesses."""
    folder = tmp_path_factory.mktemp("field")
    (folder / "audio").mkdir()
    lines = ["path,onset_s,offset_s,label"]
    rng = np.random.default_rng(0)
    for n in range(15):
        sound = 0.02 * (1 + n % 3) * rng.standard_normal(4 * 8000)
        t = np.arange(4000) / 8000
        sound[4000:8000] += 0.1 * np.sin(2 * np.pi * 600 * t)
        sound[20000:24000] += 0.1 * np.sin(2 * np.pi * 2000 * t)
        soundfile.write(folder / "audio" / f"r{n}.wav", sound, 8000)
        lines += [f"r{n}.wav,0.5,1.0,low", f"r{n}.wav,2.5,3.0,high"]
    (folder / "events.csv").write_text("\n".join(lines))
    return load_dataset(folder / "audio", folder / "events.csv", window_s=0.5, hop_s=0.5)


@pytest.fixture(scope="module")
def run(field, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "study.toml").write_text(f"clean_all = true\n{TINY}")
    return bench(field, ["mfcc"], ["frozen", "linear"], POLICIES, protocol=folder / "study.toml", out=folder / "run")


def test_every_table_names_the_policy(run):
    for name in ("plan", "results", "summary"):
        rows = read_parquet(run.folder / f"{name}.parquet").to_pylist()
        assert {(row["background"], row["policy"]) for row in rows if row["regime"] == "linear"} == KINDS, name
        assert {(row["background"], row["policy"]) for row in rows if row["regime"] == "frozen"} == {(1.0, "share"), (0.0, "clean-all")}
    for name in ("history", "costs"):
        assert ",policy," in (run.folder / f"{name}.csv").read_text().replace('"', "").splitlines()[0]
    assert "share" in read_parquet(run.folder / "maps.parquet")["policy"].to_pylist()


def cells_of(run):
    """The folder of each cell by its regime, policy and amount of background."""
    about = {path: read_json(path / "cell.json")["cell"] for path in (run.folder / "cells").iterdir()}
    return {(cell["regime"], cell["policy"], cell["background"]): path for path, cell in about.items()}


def test_policies_change_what_is_fitted_and_not_what_it_is_judged_on(run, field):
    cells = cells_of(run)
    train = field.counts()["train"]
    labelled = train["windows"] - train["background"]
    fitted = {policy: read_json(cells["linear", *policy] / "cell.json")["train_windows"] for policy in [(k, b) for b, k in KINDS]}
    assert fitted == {
        ("share", 1.0): train["windows"],
        ("share+class", 1.0): train["windows"],
        ("share", 0.0): labelled,
        ("ratio", 1.0): 2 * labelled,
        ("hard", 0.5): labelled + round(train["background"] / 2),
        ("clean-all", 0.0): labelled,
    }
    tested = {key: read_parquet(path / "predictions.parquet")["window_id"].to_pylist() for key, path in cells.items()}
    whole = {tuple(windows) for key, windows in tested.items() if key[1] != "clean-all"}
    clean = {tuple(windows) for key, windows in tested.items() if key[1] == "clean-all"}
    assert len(whole) == len(clean) == 1
    test = field.counts()["test"]
    assert len(next(iter(whole))) == test["windows"] and len(next(iter(clean))) == test["windows"] - test["background"]


def test_background_as_a_class_has_a_separation_of_its_own(run):
    found = {
        row["policy"]: row["value"]
        for row in run.summary.to_pylist()
        if (row["metric"], row["clusterer"], row["background"]) == ("separation_auroc", "head", 1.0)
    }
    assert set(found) == {"share", "ratio", "share+class"}
    assert found["share+class"] > 0.8


def test_what_is_judged_without_background_is_compared_with_its_own_kind_alone(run):
    for row in run.comparisons.to_pylist():
        assert (row["a_policy"] == "clean-all") == (row["b_policy"] == "clean-all"), row["question"]
    found = {(row["question"], row["b_background"], row["b_policy"]) for row in run.comparisons.to_pylist()}
    # Fitted with all background, or judged without any, the linear head is the frozen encoder's own probe.
    assert {what[1:] for what in found if what[0] == "tuning"} == KINDS - {(1.0, "share"), (0.0, "clean-all")}
    assert {what[1:] for what in found if what[0] == "background"} == KINDS - {(1.0, "share"), (0.0, "clean-all")}
    assert run.choice["policy"] != "clean-all"
    assert not any(row["metric"].startswith("separation") for row in run.summary.to_pylist() if row["policy"] == "clean-all")
    [frozen] = [read_json(path / "cell.json") for key, path in cells_of(run).items() if key[:2] == ("frozen", "clean-all")]
    assert any("separation is not measured" in note for note in frozen["notes"])


def test_it_stands_apart_in_the_leaderboard_and_off_the_curve(run):
    rows = leaderboard(run.folder).to_pylist()
    assert [row["policy"] == "clean-all" for row in rows] == [False] * 6 + [True] * 2
    assert [row["place"] for row in rows] == [1, 2, 3, 4, 5, 6, 1, 2]
    page = write_report(run.folder).read_text(encoding="utf-8")
    assert "How much background should training keep?" in page and "test without background" in page


def test_a_protocol_without_clean_all_refuses_it_before_any_work(field, tmp_path):
    with pytest.raises(CallspaceError, match="could not be compared"):
        bench(field, ["mfcc"], ["linear"], ["clean-all"], protocol="quick", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_command_line_reads_every_kind_of_policy():
    from callspace.cli.options import shares

    assert [policy.text for policy in shares("1, 0.1,ratio:2 ,hard:0.1+class,clean-all")] == [
        "1",
        "0.1",
        "ratio:2",
        "hard:0.1+class",
        "clean-all",
    ]
