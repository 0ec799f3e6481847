"""The diagnosis of a whole run, on data small enough for seconds."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import soundfile

from callspace.bench.bench import bench
from callspace.bench.diagnose import DIAGNOSIS, diagnose, read_diagnosis
from callspace.bench.run_data import missing_recordings, read_run_data, weights_by_hand, write_run_data
from callspace.datasets import load_dataset
from callspace.errors import CallspaceError
from callspace.evaluation.diagnosis import findings_from_json, findings_to_json
from callspace.tables import read_json, write_json
from tiny_protocol import write_tiny_protocol

SOUND = ("band", "invariance")


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Soundscapes at 32 kHz whose high calls lie above what 16 kHz carry; the quiet stretches are background."""
    folder = tmp_path_factory.mktemp("field")
    (folder / "audio").mkdir()
    rng = np.random.default_rng(0)
    lines = ["path,onset_s,offset_s,label"]
    t = np.arange(16_000) / 32_000
    for n in range(24):
        sound = 0.003 * rng.standard_normal(80_000)
        for start, hz in ((16_000, 600), (48_000, 12_000)):
            sound[start : start + 16_000] += 0.3 * np.sin(2 * np.pi * hz * rng.uniform(0.9, 1.1) * t)
        soundfile.write(folder / "audio" / f"r{n}.wav", sound, 32_000)
        lines += [f"r{n}.wav,0.5,1.0,low", f"r{n}.wav,1.5,2.0,high"]
    (folder / "events.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def made(field, tmp_path_factory):
    """A run, its dataset kept as the bench keeps it."""
    folder = tmp_path_factory.mktemp("run")
    dataset = load_dataset(field / "audio", field / "events.csv", window_s=0.5, hop_s=0.5)
    run = bench(dataset, ["mfcc", "callspace-small"], ["frozen", "full"], protocol=write_tiny_protocol(folder), out=folder / "run")
    write_run_data(run.folder, dataset)
    return run.folder, dataset


@pytest.fixture(scope="module")
def whole(made):
    return diagnose(made[0], device="cpu")


def by(findings, check, encoder=None):
    return [found for found in findings if found.check == check and encoder in (None, found.subject.get("encoder"))]


def test_every_check_says_something_and_the_file_holds_it_all(made, whole):
    folder, _ = made
    checks = {finding.check for finding in whole}
    assert checks >= {"leakage", "overlap", "confounds", "collapse", "label_errors", "training_curves", *SOUND}
    assert findings_from_json(read_json(folder / DIAGNOSIS)["findings"]) == whole
    assert read_diagnosis(folder) == whole
    failed = [finding for finding in whole if "check failed" in finding.sentence]
    assert failed == []


def test_calls_above_an_encoders_rate_are_found_and_the_one_that_hears_them_is_fine(whole):
    [small], [mfcc] = by(whole, "band", "callspace-small"), by(whole, "band", "mfcc")
    assert small.verdict == "problem"
    assert small.evidence["by_class"]["high"]["share"] > 0.98
    assert small.evidence["by_class"]["low"]["share"] < 0.02
    assert mfcc.verdict == "fine"


def test_each_encoder_is_run_again_on_changed_windows(whole):
    found = by(whole, "invariance")
    assert {finding.subject["encoder"] for finding in found} == {"mfcc", "callspace-small"}
    assert all(finding.evidence["padding_error"] < 1e-3 for finding in found)


def test_the_tuned_encoder_that_was_kept_is_looked_at_too(made, tmp_path):
    run = bench(made[1], ["callspace-small"], ["full"], protocol=write_tiny_protocol(tmp_path), out=tmp_path / "run")
    assert "_full_" in read_json(run.folder / "choice.json")["tuned_encoder"]
    found = diagnose(run.folder, device="cpu")
    assert [finding for finding in found if "check failed" in finding.sentence] == []
    for check in ("collapse", "confusions", "label_errors"):
        assert "full" in {finding.subject.get("regime") for finding in by(found, check)}, check


def test_the_same_run_gives_the_same_bytes(made, whole):
    first = (made[0] / DIAGNOSIS).read_bytes()
    diagnose(made[0], device="cpu")
    assert (made[0] / DIAGNOSIS).read_bytes() == first


@pytest.fixture
def copied(made, tmp_path):
    """The run without a diagnosis."""
    folder = shutil.copytree(made[0], tmp_path / "run")
    (folder / DIAGNOSIS).unlink()
    return folder


def test_without_sound_the_other_checks_say_the_same_and_the_rest_says_how(copied, whole):
    found = diagnose(copied, sound=False)
    assert [finding.verdict for name in SOUND for finding in by(found, name)] == ["unmeasured"] * 2
    assert all("callspace diagnose" in finding.remedy for name in SOUND for finding in by(found, name))
    assert by(found, "collapse", "mfcc") == by(whole, "collapse", "mfcc")
    assert by(found, "leakage") == by(whole, "leakage")


def lose_recordings(folder, nowhere):
    about = read_json(folder / "data" / "about.json")
    write_json(about | {"root": str(nowhere)}, folder / "data" / "about.json")


def test_what_was_heard_of_the_same_results_is_kept_without_sound_and_without_the_recordings(made, whole, tmp_path):
    folder = shutil.copytree(made[0], tmp_path / "run")
    write_json({"results": hash_of(folder), "findings": findings_to_json(whole)}, folder / DIAGNOSIS)
    for sound in (False, True):
        if sound:
            lose_recordings(folder, tmp_path / "nowhere")
        found = diagnose(folder, sound=sound, device="cpu")
        assert sorted(map(repr, found)) == sorted(map(repr, whole))
        assert read_diagnosis(folder) == found


def test_what_was_heard_of_other_results_goes(made, whole, copied):
    write_json({"results": "of others", "findings": findings_to_json(whole)}, copied / DIAGNOSIS)
    assert [finding.verdict for name in SOUND for finding in by(diagnose(copied, sound=False), name)] == ["unmeasured"] * 2
    write_json(findings_to_json(whole), copied / DIAGNOSIS)  # as older versions wrote it
    assert read_diagnosis(copied) == whole
    assert by(diagnose(copied, sound=False), "band")[0].verdict == "unmeasured"


def test_a_folder_with_none_of_the_recordings_is_refused_and_nothing_is_written(made, whole, tmp_path):
    before = (made[0] / DIAGNOSIS).read_bytes()
    (tmp_path / "other.wav").write_bytes(b"")
    for sound in (True, False):
        with pytest.raises(CallspaceError, match=r"--data: .* holds none of the run's 24 recordings, such as '") as refused:
            diagnose(made[0], sound=sound, data=tmp_path)
        assert refused.value.exit_code == 2
    assert (made[0] / DIAGNOSIS).read_bytes() == before


def hash_of(folder):
    return hashlib.sha256((folder / "results.parquet").read_bytes()).hexdigest()


def test_a_run_whose_recordings_are_gone_is_diagnosed_without_sound(copied, field, tmp_path):
    folder = copied
    lose_recordings(folder, tmp_path / "nowhere")
    found = diagnose(folder, device="cpu")
    assert [by(found, name)[0].verdict for name in SOUND] == ["unmeasured"] * 2
    assert all("--data" in by(found, name)[0].sentence for name in SOUND)
    assert by(found, "collapse", "mfcc")[0].verdict != "unmeasured"
    again = diagnose(folder, device="cpu", data=field / "audio")
    assert by(again, "band", "mfcc")[0].verdict == "fine"


def test_without_a_few_of_the_recordings_the_others_are_listened_to_and_it_is_said(copied, field, whole, tmp_path):
    some = shutil.copytree(field / "audio", tmp_path / "some")
    for name in ("r3.wav", "r11.wav"):
        (some / name).unlink()
    found = diagnose(copied, device="cpu", data=some)
    for check in SOUND:
        for finding in by(found, check):
            assert finding.evidence
            assert "2 of 24 recordings are not in " in finding.sentence and "left out" in finding.sentence
    assert by(found, "band", "callspace-small")[0].verdict == "problem"
    [level] = [one for one in by(found, "confounds", "mfcc") if one.evidence.get("nuisance") == "level_db"]
    assert level.evidence["unknown"] > 0
    assert "2 of 24 recordings are not in " in level.sentence
    assert read_json(copied / DIAGNOSIS)["recordings_missing"] == 2
    # All recordings say more than some of them, and are not forgotten for them.
    assert diagnose(copied, device="cpu", data=field / "audio") == whole
    assert sorted(map(repr, diagnose(copied, device="cpu", data=some))) == sorted(map(repr, whole))
    assert read_json(copied / DIAGNOSIS)["recordings_missing"] == 0


def test_problems_of_the_choice_that_a_later_diagnosis_finds_are_among_its_caveats(copied, whole):
    chosen = {"encoder": "callspace-small", "layer": None, "pool": None, "regime": "frozen", "caveats": ["Few groups.", OLD]}
    write_json(read_json(copied / "choice.json") | chosen, copied / "choice.json")
    diagnose(copied, sound=False)
    assert OLD not in read_json(copied / "choice.json")["caveats"]
    diagnose(copied, device="cpu")
    [band] = by(whole, "band", "callspace-small")
    caveats = read_json(copied / "choice.json")["caveats"]
    assert caveats[0] == "Few groups."
    assert f"The diagnosis found a problem: {band.sentence}" in caveats
    before = (copied / "choice.json").read_bytes()
    diagnose(copied, sound=False)
    assert (copied / "choice.json").read_bytes() == before


OLD = "The diagnosis found a problem: of other results."


def test_one_check_that_fails_stops_no_other(copied, monkeypatch):
    import callspace.evaluation.diagnosis.leakage as module

    def fail(audit):
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(module, "leakage", fail)
    found = diagnose(copied, sound=False)
    assert by(found, "leakage")[0].verdict == "unmeasured"
    assert "ZeroDivisionError: by zero" in by(found, "leakage")[0].sentence
    assert by(found, "collapse", "mfcc")


def test_a_runs_data_come_back_with_the_same_fingerprint(made):
    folder, dataset = made
    again = read_run_data(folder)
    assert again.fingerprint() == dataset.fingerprint()
    assert again.annotations.equals(dataset.annotations)
    assert missing_recordings(again) == []


def test_an_older_run_is_read_again_from_its_source_or_says_why_not(tmp_path):
    from small_audio import class_folders

    clips = class_folders(tmp_path / "clips", clips=6)
    folder = tmp_path / "run"
    dataset = load_dataset(clips)
    write_json({"source": str(clips), "dataset_fingerprint": dataset.fingerprint()}, folder / "run.json")
    assert read_run_data(folder).fingerprint() == dataset.fingerprint()
    write_json({"source": str(clips), "dataset_fingerprint": "other"}, folder / "run.json")
    with pytest.raises(CallspaceError, match="other windows"):
        read_run_data(folder)
    write_json({"source": str(tmp_path / "nowhere"), "dataset_fingerprint": "x"}, folder / "run.json")
    with pytest.raises(CallspaceError, match="can't be read again"):
        read_run_data(folder)
    (folder / "run.json").unlink()
    with pytest.raises(CallspaceError, match="does not say"):
        read_run_data(folder)


def test_no_run_and_a_damaged_diagnosis_are_refused(tmp_path, made):
    with pytest.raises(CallspaceError, match="no finished run"):
        diagnose(tmp_path)
    (tmp_path / DIAGNOSIS).write_text(json.dumps([{"check": "x"}]))
    with pytest.raises(CallspaceError, match="callspace diagnose"):
        read_diagnosis(tmp_path)
    assert read_diagnosis(tmp_path / "nothing") is None


def test_of_a_run_of_folds_of_clips_what_is_confused_is_of_all_folds_and_the_rest_of_the_first(tmp_path):
    from small_audio import class_folders

    dataset = load_dataset(class_folders(tmp_path / "clips", clips=12, seconds=0.3), n_folds=3)
    run = bench(dataset, ["mfcc"], ["frozen"], folds="all", protocol=write_tiny_protocol(tmp_path), out=tmp_path / "run")
    write_run_data(run.folder, dataset)
    found = diagnose(run.folder, device="cpu")
    assert [finding for finding in found if "check failed" in finding.sentence] == []
    [confused] = by(found, "confusions", "mfcc")
    assert np.sum(confused.evidence["matrix"]) == dataset.windows.num_rows
    assert confused.subject["folds"] == 3
    assert "(3 folds together)" in confused.sentence
    assert by(found, "invariance", "mfcc")[0].evidence["windows"] == 12


def test_where_weights_lie_that_were_given_by_hand_is_kept(made, tmp_path):
    write_run_data(tmp_path, made[1], {"yamnet": tmp_path / "weights.tflite"})
    assert weights_by_hand(tmp_path) == {"yamnet": str(tmp_path / "weights.tflite")}
    assert weights_by_hand(made[0]) == {}
    assert weights_by_hand(tmp_path / "none") == {}
