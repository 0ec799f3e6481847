"""The bench as a whole, on data small enough for seconds."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.compute as pc
import pytest
from sklearn.metrics import accuracy_score
from typer.testing import CliRunner

from awkward_files import make_awkward_folder
from callspace.bench.bench import bench
from callspace.bench.run import load_run
from callspace.cli.app import app
from callspace.datasets import load_dataset
from callspace.errors import CallspaceError, MissingWeightsError
from callspace.progress import SILENT
from callspace.tables import read_json, read_parquet
from small_audio import class_folders, tone
from tiny_protocol import write_tiny_protocol

TABLES = (
    "results.parquet",
    "results.csv",
    "summary.csv",
    "comparisons.csv",
    "confusions.csv",
    "confusions.parquet",
    "maps.parquet",
    "choice.json",
)


@pytest.fixture(scope="module")
def protocol(tmp_path_factory) -> Path:
    return write_tiny_protocol(tmp_path_factory.mktemp("protocol"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    return class_folders(tmp_path_factory.mktemp("clips"), clips=15, seconds=0.3)


@pytest.fixture(scope="module")
def field(tmp_path_factory) -> Path:
    """Soundscapes whose quiet stretches are background."""
    import numpy as np
    import soundfile

    folder = tmp_path_factory.mktemp("field")
    (folder / "audio").mkdir()
    lines = ["path,onset_s,offset_s,label"]
    rng = np.random.default_rng(0)
    for n in range(15):
        sound = 0.02 * rng.standard_normal(4 * 8000)
        t = np.arange(4000) / 8000
        sound[4000:8000] += 0.3 * np.sin(2 * np.pi * 600 * t)
        sound[20000:24000] += 0.3 * np.sin(2 * np.pi * 2000 * t)
        soundfile.write(folder / "audio" / f"r{n}.wav", sound, 8000)
        lines += [f"r{n}.wav,0.5,1.0,low", f"r{n}.wav,2.5,3.0,high"]
    (folder / "events.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def clip_run(clips, protocol, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "clips"
    return bench(load_dataset(clips), ["mfcc", "resnet18:random"], protocol=protocol, out=out)


@pytest.fixture(scope="module")
def field_run(field, protocol, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "field"
    dataset = load_dataset(field / "audio", field / "events.csv", window_s=0.5, hop_s=0.5)
    return bench(dataset, ["mfcc", "resnet18:random"], ["frozen", "linear", "full"], [1.0, 0.0], protocol=protocol, out=out)


def test_a_run_folder_holds_what_the_design_promises(clip_run):
    for name in (*TABLES, "protocol.toml", "plan.parquet", "skipped.csv", "provenance.json", "dataset.json", "costs.csv", "history.csv"):
        assert (clip_run.folder / name).exists(), name
    assert load_run(clip_run.folder).results.equals(clip_run.results)


def test_reported_accuracy_is_scikit_learns_of_the_stored_predictions(clip_run):
    rows = clip_run.results.to_pylist()
    [found] = [
        r for r in rows if (r["encoder"], r["regime"], r["clusterer"], r["metric"]) == ("resnet18:random", "full", "head", "accuracy")
    ]
    [cell] = [p for p in (clip_run.folder / "cells").iterdir() if p.name.startswith("resnet18-random_full")]
    predictions = read_parquet(cell / "predictions.parquet").to_pylist()
    labels = read_json(clip_run.folder / "dataset.json")["labels"]
    guesses = [labels[max(range(3), key=row["scores:head"].__getitem__)] for row in predictions]
    assert found["value"] == pytest.approx(accuracy_score([row["labels"][0] for row in predictions], guesses))
    assert found["n"] == len(predictions)
    assert found["ci_low"] <= found["value"] <= found["ci_high"]


def test_a_linear_head_is_the_linear_probe(clip_run):
    values = {
        (r["regime"], r["clusterer"]): r["value"]
        for r in clip_run.results.to_pylist()
        if r["encoder"] == "mfcc" and r["metric"] == "accuracy"
    }
    assert values["linear", "head"] == values["frozen", "linear"]


def test_all_policies_are_judged_on_the_same_test_windows(field_run):
    windows = {
        tuple(read_parquet(path / "predictions.parquet")["window_id"].to_pylist()) for path in (field_run.folder / "cells").iterdir()
    }
    assert len(windows) == 1


def test_separation_of_background_is_judged_with_all_background_whatever_was_trained_on(field_run):
    table = field_run.summary
    found = table.filter(pc.and_(pc.equal(table["metric"], "separation_auroc"), pc.equal(table["clusterer"], "linear"))).to_pylist()
    assert {(r["encoder"], r["regime"], r["background"]) for r in found} == {
        ("mfcc", "frozen", 1.0),
        ("resnet18:random", "frozen", 1.0),
        ("resnet18:random", "full", 1.0),
        ("resnet18:random", "full", 0.0),
    }
    assert all(r["value"] > 0.9 for r in found if r["regime"] == "frozen")


def test_comparisons_are_differences_of_the_summary(field_run):
    summary = {
        (r["encoder"], r["regime"], r["background"], r["space"], r["clusterer"], r["metric"]): r["value"]
        for r in field_run.summary.to_pylist()
        if r["class"] is None
    }
    rows = field_run.comparisons.to_pylist()
    assert {r["question"] for r in rows} == {"tuning", "background", "best", "pair"}
    for r in rows:
        b = summary[r["b_encoder"], r["b_regime"], r["b_background"], r["space"], r["clusterer"], r["metric"]]
        assert r["b_value"] == pytest.approx(b)
        assert r["difference"] == pytest.approx(r["b_value"] - r["a_value"])


def test_only_the_chosen_tuned_encoder_is_kept(clip_run):
    kept = list((clip_run.folder / "cells").glob("*/encoder"))
    assert [path.relative_to(clip_run.folder).as_posix() for path in kept] == [clip_run.choice["tuned_encoder"]]


def test_a_finished_run_is_not_done_again(clip_run, clips, protocol, monkeypatch):
    before = {name: (clip_run.folder / name).read_bytes() for name in TABLES}
    monkeypatch.setattr("callspace.bench.bench.run_cell", lambda *a, **k: pytest.fail("done again"))
    again = bench(load_dataset(clips), ["mfcc", "resnet18:random"], protocol=protocol, out=clip_run.folder)
    assert {name: (again.folder / name).read_bytes() for name in TABLES} == before


def test_a_killed_run_goes_on_to_the_same_bytes(clip_run, clips, protocol, tmp_path):
    """Killed as soon as its second cell is done, then given the same command again."""
    out = tmp_path / "killed"
    command = [
        sys.executable,
        "-c",
        "from callspace.cli import main; main()",
        "bench",
        str(clips),
        "-e",
        "mfcc,resnet18:random",
        "-p",
        str(protocol),
        "-o",
        str(out),
    ]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(out.glob("cells/[!.]*/cell.json"))) < 2 and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert 2 <= len(list(out.glob("cells/[!.]*/cell.json"))) < 5
    assert not (out / "results.csv").exists()
    done = CliRunner().invoke(app, command[3:])
    assert done.exit_code == 0, done.output
    assert "Report:" in done.output
    for name in TABLES[:-1]:
        assert (out / name).read_bytes() == (clip_run.folder / name).read_bytes(), name


def test_a_recording_that_has_changed_is_not_answered_from_old_cells(clips, protocol, tmp_path):
    root = class_folders(tmp_path / "clips", clips=5, seconds=0.3)
    for _ in range(2):
        bench(load_dataset(root), ["mfcc"], ["frozen"], protocol=protocol, out=tmp_path / "run")
    assert len(list((tmp_path / "run" / "cells").iterdir())) == 1
    for path in root.glob("low/*.wav"):
        tone(path, 0.3, 8000, 1500.0)
    bench(load_dataset(root), ["mfcc"], ["frozen"], protocol=protocol, out=tmp_path / "run")
    assert len(list((tmp_path / "run" / "cells").iterdir())) == 2


def test_each_fold_is_tested_once_and_averaged(tmp_path, protocol):
    lines = ["path,label,fold"]
    for label, hz in (("a", 400.0), ("b", 1500.0)):
        for n in range(12):
            tone(tmp_path / f"{label}{n}.wav", 0.3, 8000, hz * (1 + n / 40))
            lines.append(f"{label}{n}.wav,{label},{n % 3 + 1}")
    (tmp_path / "clips.csv").write_text("\n".join(lines))
    run = bench(load_dataset(tmp_path / "clips.csv"), ["mfcc"], ["linear"], folds="all", protocol=protocol, out=tmp_path / "run")
    assert sorted(set(run.results["fold"].to_pylist())) == [1, 2, 3]
    [row] = [r for r in run.summary.to_pylist() if r["metric"] == "accuracy" and r["class"] is None]
    assert (row["cells"], row["n"], len(row["values"])) == (3, 24, 3)
    assert row["value"] == pytest.approx(sum(row["values"]) / 3)


def test_a_folder_of_awkward_files_uses_the_good_and_lists_the_bad(tmp_path, protocol):
    good, bad = make_awkward_folder(tmp_path / "clips", plain_a_class=6)
    run = bench(tmp_path / "clips", ["mfcc"], ["frozen"], protocol=protocol, out=tmp_path / "run")
    windows = read_json(run.folder / "dataset.json")
    listed = (run.folder / "skipped.csv").read_text(encoding="utf-8")
    assert windows["recordings"] == len(good)
    for name in bad:
        assert name in listed
    assert listed.count("\n") == len(bad) + 1


def test_missing_weights_stop_the_command_before_any_work(clips, protocol, tmp_path, monkeypatch):
    monkeypatch.setenv("CALLSPACE_OFFLINE", "1")
    with pytest.raises(MissingWeightsError, match="--skip-missing"):
        bench(load_dataset(clips), ["mfcc", "resnet18"], protocol=protocol, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run = bench(load_dataset(clips), ["mfcc", "resnet18"], ["frozen"], protocol=protocol, skip_missing=True, out=tmp_path / "run")
    assert set(run.results["encoder"].to_pylist()) == {"mfcc"}
    assert "resnet18" in (run.folder / "skipped.csv").read_text()


def test_a_cell_that_fails_is_listed_and_the_rest_goes_on(clips, protocol, tmp_path):

    def diverges(*args, **options):
        raise CallspaceError("training diverged")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("callspace.bench.execute._fit", diverges)
        run = bench(load_dataset(clips), ["mfcc"], ["frozen", "linear"], protocol=protocol, out=tmp_path / "run")
        with pytest.raises(CallspaceError, match="diverged"):
            bench(load_dataset(clips), ["mfcc"], ["linear"], protocol=protocol, out=tmp_path / "strict", strict=True)
    assert set(run.results["regime"].to_pylist()) == {"frozen"}
    assert "training diverged" in (run.folder / "skipped.csv").read_text()


def test_an_audit_that_fails_is_said_and_listed_and_stops_nothing(clips, protocol, tmp_path, monkeypatch):
    def breaks(*args, **options):
        raise ZeroDivisionError("of nothing")

    said = []
    monkeypatch.setattr("callspace.bench.bench.audit_file", breaks)
    monkeypatch.setattr(type(SILENT), "say", lambda self, sentence: said.append(sentence))
    run = bench(load_dataset(clips), ["mfcc"], ["frozen"], protocol=protocol, out=tmp_path / "run", strict=True)
    assert run.results.num_rows
    assert "The audit of the data failed (ZeroDivisionError: of nothing); the bench goes on without it." in said
    assert "ZeroDivisionError: of nothing" in (run.folder / "skipped.csv").read_text()


def test_a_folder_of_another_run_or_of_something_else_is_refused(clip_run, field, protocol, tmp_path):
    dataset = load_dataset(field / "audio", field / "events.csv", window_s=0.5, hop_s=0.5)
    with pytest.raises(CallspaceError, match="holds a run on other data"):
        bench(dataset, ["mfcc"], ["frozen"], protocol=protocol, out=clip_run.folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not touch")
    with pytest.raises(CallspaceError, match="holds something else"):
        bench(dataset, ["mfcc"], ["frozen"], protocol=protocol, out=tmp_path / "mine")


def test_a_tuned_encoder_can_be_benched_by_its_folder(clip_run, clips, protocol, tmp_path):
    folder = clip_run.folder / clip_run.choice["tuned_encoder"]
    curve = ["learning_curve=true"]
    run = bench(load_dataset(clips), [str(folder)], ["frozen"], protocol=protocol, changes=curve, out=tmp_path / "run")
    [described] = json.loads((run.folder / "provenance.json").read_text())["encoders"]
    assert described["name"] == "mfcc" and described["tuned_on"]["dataset_fingerprint"] == load_dataset(clips).fingerprint()
    assert (described["called"], described["trainable"]) == (str(folder), False)
    assert read_json(run.folder / "learning_curve.json")["encoder"] == str(folder)
    [cost] = read_json(run.folder / "costs.json")["costs"]
    assert cost["embed_ms_per_s"] > 0 and cost["restricted"] is False  # numbers that nobody pretrained: no licence is needed


def test_the_time_of_a_fit_is_without_embedding_before_or_after_it(clips, protocol, tmp_path, monkeypatch):
    from callspace.bench import execute

    fits, spent = [], []

    def slowly(work):
        def slow(*given, **named):
            start = time.perf_counter()
            time.sleep(0.4)
            try:
                return work(*given, **named)
            finally:
                spent.append(time.perf_counter() - start)

        return slow

    fitted = execute._fit

    def timed(*given):
        start, before = time.perf_counter(), sum(spent)
        try:
            return fitted(*given)
        finally:
            fits.append(time.perf_counter() - start - (sum(spent) - before))

    monkeypatch.setattr(execute, "embed", slowly(execute.embed))
    monkeypatch.setattr(execute, "embed_layers", slowly(execute.embed_layers))
    monkeypatch.setattr(execute, "_fit", timed)
    encoders, regimes = ["callspace-small:random"], ["linear", "full", "frozen"]
    run = bench(load_dataset(clips), encoders, regimes, protocol=protocol, out=tmp_path / "run")
    with (run.folder / "costs.csv").open() as file:
        rows = list(csv.DictReader(file))
    by_regime = {row["regime"]: row for row in rows}
    assert len(spent) == 2  # of the encoder, for all, and of the tuned one
    assert [float(by_regime[cell]["seconds_fit"]) for cell in ("linear", "full")] == pytest.approx(fits, abs=0.2)
    assert all(float(by_regime[cell]["seconds_embed"]) >= 0.4 for cell in ("linear", "full"))
    assert by_regime["frozen"]["seconds_fit"] == "" and float(by_regime["frozen"]["seconds_embed"]) == 0.0


def test_a_second_bench_in_the_same_folder_waits_its_turn(clip_run, clips, protocol):
    from filelock import FileLock

    with FileLock(clip_run.folder / ".lock"), pytest.raises(CallspaceError, match="another bench is working"):
        bench(load_dataset(clips), ["mfcc"], ["frozen"], protocol=protocol, out=clip_run.folder)


def test_a_choice_that_lacks_a_fold_is_not_compared(tmp_path, protocol, monkeypatch):
    from callspace.bench import execute

    lines = ["path,label,fold"]
    for label, hz in (("a", 400.0), ("b", 1500.0)):
        for n in range(9):
            tone(tmp_path / f"{label}{n}.wav", 0.3, 8000, hz * (1 + n / 40))
            lines.append(f"{label}{n}.wav,{label},{n % 3 + 1}")
    (tmp_path / "clips.csv").write_text("\n".join(lines))
    fitted = execute._fit

    def fails_once(run, cell, *rest):
        if cell.fold == 2:
            raise RuntimeError("out of memory")
        return fitted(run, cell, *rest)

    monkeypatch.setattr(execute, "_fit", fails_once)
    run = bench(load_dataset(tmp_path / "clips.csv"), ["mfcc"], ["frozen", "linear"], folds="all", protocol=protocol, out=tmp_path / "run")
    assert run.choice["regime"] == "frozen"
    assert run.comparisons.num_rows == 0
    assert "RuntimeError: out of memory" in (run.folder / "skipped.csv").read_text()
    assert any("Not all folds" in sentence for sentence in run.choice["caveats"])


def test_weights_for_an_encoder_that_is_not_asked_for_are_a_mistake(clips, protocol, tmp_path):
    with pytest.raises(CallspaceError, match="not among the encoders"):
        bench(load_dataset(clips), ["mfcc"], protocol=protocol, weights={"yamnet": "x"}, out=tmp_path / "run")
