"""What the diagnosis reads of a finished run: the levels of its windows."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from callspace.bench import finished
from callspace.bench.finished import FinishedRun
from callspace.datasets import load_dataset
from callspace.errors import CallspaceError
from callspace.progress import SILENT

RATE = 8_000


@pytest.fixture
def run(tmp_path):
    """Three recordings of 3.5 s whose seconds are louder and louder, silence first; windows of 1 s."""
    (tmp_path / "audio").mkdir()
    for name, amplitudes in (("a.wav", (0.0, 0.01, 0.1, 0.5)), ("b.wav", (0.0, 0.02, 0.2, 0.4)), ("c.wav", (0.3, 0.3, 0.3, 0.3))):
        samples = np.repeat(amplitudes, RATE)[: RATE * 7 // 2] * np.where(np.arange(RATE * 7 // 2) % 2, 1, -1)
        soundfile.write(tmp_path / "audio" / name, samples, RATE, subtype="FLOAT")
    (tmp_path / "events.csv").write_text("path,onset_s,offset_s,label\na.wav,1,2,x\nb.wav,2,3,y\nc.wav,0,1,x\n")
    made = FinishedRun(tmp_path, None, None, SILENT)
    made.__dict__["lost"] = []
    made.__dict__["heard"] = load_dataset(tmp_path / "audio", tmp_path / "events.csv", window_s=1.0, hop_s=1.0)
    return made


def by_place(run, levels):
    places = zip(run.heard.windows["recording"].to_pylist(), run.heard.windows["onset_s"].to_pylist(), strict=True)
    return dict(zip(places, levels.tolist(), strict=True))


def test_each_window_has_its_own_level_and_silence_the_least(run):
    found = by_place(run, run.levels(run.heard.windows, listen_on=True)["level_db"])
    assert found["a.wav", 1.0] == pytest.approx(-40, abs=0.01)
    assert found["a.wav", 2.0] == pytest.approx(-20, abs=0.01)
    assert found["b.wav", 2.0] == pytest.approx(20 * np.log10(0.2), abs=0.01)
    assert found["a.wav", 0.0] == -120


def test_a_window_that_reaches_beyond_the_end_has_the_level_of_what_is_there(run):
    dataset = run.heard
    place = dataset.windows.column_names.index("offset_s")
    longer = replace(dataset, windows=dataset.windows.set_column(place, "offset_s", pa.array([100.0] * dataset.windows.num_rows)))
    run.__dict__["heard"] = longer
    found = by_place(run, run.levels(longer.windows, listen_on=True)["level_db"])
    assert found["c.wav", 0.0] == pytest.approx(20 * np.log10(0.3), abs=0.01)


def test_levels_follow_the_windows_that_are_asked_for(run):
    back = run.heard.windows.take(pa.array(range(run.heard.windows.num_rows - 1, -1, -1)))
    forth = run.levels(run.heard.windows, listen_on=True)["level_db"]
    np.testing.assert_array_equal(run.levels(back, listen_on=True)["level_db"], forth[::-1])


def test_without_listening_or_recordings_no_level_is_known(run, monkeypatch):
    assert np.isnan(run.levels(run.heard.windows, listen_on=False)["level_db"]).all()
    windows = run.heard.windows

    class Gone(FinishedRun):
        @property
        def heard(self):
            raise CallspaceError("gone")

    assert np.isnan(Gone(run.folder, None, None, SILENT).levels(windows, listen_on=True)["level_db"]).all()


def known_of(run):
    """The windows whose level is known, as recording and onset."""
    return {
        place for place, level in by_place(run, run.levels(run.heard.windows, listen_on=True)["level_db"]).items() if not np.isnan(level)
    }


def test_a_recording_that_can_not_be_read_is_left_out(run):
    _ = run.heard
    (run.heard.root / "a.wav").unlink()
    assert {name for name, _ in known_of(run)} == {"b.wav", "c.wav"}


def test_within_the_limit_windows_of_all_recordings_are_listened_to_in_turn_and_the_limit_is_said(run, monkeypatch):
    assert run.levels_said == ""
    monkeypatch.setattr(finished, "_LISTENED_S", 6.0)
    found = known_of(run)
    assert len(found) in (6, 7)  # a recording's last window is half a second long
    assert {name for name, _ in found} == {"a.wav", "b.wav", "c.wav"}
    total = run.heard.windows.num_rows
    assert run.levels_said.endswith(f"hours of sound are listened to for levels: those of {len(found)} of {total} windows.")
    again = FinishedRun(run.folder, None, None, SILENT)
    again.__dict__.update(heard=run.heard, lost=[])
    assert known_of(again) == found


def test_a_long_recording_or_window_takes_nothing_from_the_others(tmp_path, monkeypatch):
    """One of 60 s among short ones: by its turn like the others, and what does not fit is passed over."""
    (tmp_path / "audio").mkdir()
    rng = np.random.default_rng(0)
    seconds = {"0.wav": 60, **{f"{number}.wav": 3 for number in range(1, 8)}}
    for name, length in seconds.items():
        soundfile.write(tmp_path / "audio" / name, rng.normal(0, 0.1, length * RATE), RATE, subtype="FLOAT")
    (tmp_path / "events.csv").write_text("path,onset_s,offset_s,label\n" + "\n".join(f"{name},1,2,x" for name in seconds))
    monkeypatch.setattr(finished, "_LISTENED_S", 40.0)
    run = FinishedRun(tmp_path, None, None, SILENT)
    run.__dict__["lost"] = []
    run.__dict__["heard"] = load_dataset(tmp_path / "audio", tmp_path / "events.csv", window_s=1.0, hop_s=1.0)
    names = [name for name, _ in known_of(run)]
    assert {name: names.count(name) for name in seconds} == {"0.wav": 19, **{f"{number}.wav": 3 for number in range(1, 8)}}
    # A window as long as the limit is passed over.
    at = run.heard.windows.column_names.index("offset_s")
    first = [60.0 if row == 0 else offset for row, offset in enumerate(run.heard.windows["offset_s"].to_pylist())]
    longer = FinishedRun(tmp_path, None, None, SILENT)
    longer.__dict__["lost"] = []
    longer.__dict__["heard"] = replace(run.heard, windows=run.heard.windows.set_column(at, "offset_s", pa.array(first)))
    found = known_of(longer)
    assert ("0.wav", 0.0) not in found
    assert len(found) == 40


def test_a_run_is_heard_without_the_few_recordings_that_are_lost_and_not_without_most(run):
    def with_lost(names, total=12):
        made = FinishedRun(run.folder, None, None, SILENT)
        dataset = run.heard
        repeats = [pa.concat_tables([table] * (total // 3)) for table in (dataset.recordings, dataset.windows, dataset.annotations)]
        for at, table in enumerate(repeats):
            copies = [f"{number // (table.num_rows * 3 // total)}{name}" for number, name in enumerate(table["recording"].to_pylist())]
            repeats[at] = table.set_column(table.column_names.index("recording"), "recording", pa.array(copies))
        made.__dict__["dataset"] = replace(dataset, recordings=repeats[0], windows=repeats[1], annotations=repeats[2])
        made.__dict__["lost"] = names
        return made

    few = with_lost(["0a.wav", "1b.wav"])
    heard = few.heard
    for table in (heard.recordings, heard.windows, heard.annotations):
        assert not {"0a.wav", "1b.wav"} & set(table["recording"].to_pylist())
    assert (heard.recordings.num_rows, few.dataset.recordings.num_rows) == (10, 12)
    assert few.unheard.startswith("2 of 12 recordings are not in ") and "left out" in few.unheard
    most = with_lost(few.dataset.recordings["recording"].to_pylist()[:7])
    with pytest.raises(CallspaceError, match=r"7 of 12 recordings are not in .*--data"):
        _ = most.heard
    of_few = with_lost(["0a.wav", "1b.wav"], total=6)
    with pytest.raises(CallspaceError, match="2 of 6"):
        _ = of_few.heard
