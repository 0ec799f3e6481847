"""The folders of the built-in dataset."""

import csv
import os
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from callspace.datasets import synthetic
from callspace.datasets.synthetic import folders
from callspace.datasets.synthetic.scenes import clip_scene, soundscape_scene
from callspace.datasets.synthetic.sites import split_of
from callspace.errors import CallspaceError

DETECTION = ["path", "onset_s", "offset_s", "label", "split", "group", "site", "individual", "snr_db", "low_hz", "high_hz"]
CLASSIFICATION = ["path", "label", "split", "group", "site", "individual", "snr_db"]


def _rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / table).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _clips(folder: Path, n: int, seed: int = 0, confound: float = 0.0) -> Path:
    synthetic.generate(folder, task="classification", seed=seed, n_recordings=n, confound=confound)
    return folder


@pytest.fixture(scope="module")
def detection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detection") / "set"
    synthetic.generate(folder, task="detection", n_recordings=10)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "set"
    synthetic.generate(folder, task="classification")
    return folder


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first, again, other = (_bytes(_clips(tmp_path / name, 6, seed)) for name, seed in (("a", 7), ("b", 7), ("c", 8)))
    assert first == again
    assert first["audio/classification-0000.flac"] != other["audio/classification-0000.flac"]


def test_recordings_stay_the_same_when_more_are_made(tmp_path: Path, detection: Path) -> None:
    synthetic.generate(tmp_path / "few", task="detection", n_recordings=2)
    few, many = _bytes(tmp_path / "few"), _bytes(detection)
    assert all(many[path] == made for path, made in few.items() if path.startswith("audio/"))
    table = _rows(tmp_path / "few", "annotations.csv")
    assert table == _rows(detection, "annotations.csv")[: len(table)]


def test_audio_is_16_bit_mono_flac_at_16_khz_and_holds_the_scene(detection: Path) -> None:
    for k in (0, 9):
        path = detection / f"audio/detection-{k:04d}.flac"
        about = soundfile.info(path)
        assert (about.format, about.subtype, about.channels, about.samplerate, about.duration) == ("FLAC", "PCM_16", 1, 16000, 12.0)
        samples, _ = soundfile.read(path)
        np.testing.assert_allclose(samples, soundscape_scene(0, k, 0.0).mix(), atol=1e-4)


def test_annotations_lie_within_their_recordings_and_are_those_of_the_scene(detection: Path) -> None:
    rows = _rows(detection, "annotations.csv")
    assert list(rows[0]) == DETECTION
    assert {row["path"] for row in rows} == {f"audio/{path.name}" for path in (detection / "audio").iterdir()}
    for row in rows:
        assert 0 <= float(row["onset_s"]) < float(row["offset_s"]) <= 16
        assert row["label"] in synthetic.SPECIES
        assert row["group"] == row["site"]
    scene = soundscape_scene(0, 0, 0.0)
    written = [(row["label"], float(row["onset_s"]), float(row["snr_db"])) for row in rows if row["path"].endswith("0000.flac")]
    assert written == [(call.label, pytest.approx(call.onset_s, abs=1e-6), pytest.approx(call.snr_db, abs=0.006)) for call in scene.calls]


def test_a_recording_without_a_call_is_listed_with_empty_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = next(k for k in range(synthetic.N_SITES, 200) if not soundscape_scene(0, k, 0.0).calls)
    original = soundscape_scene
    monkeypatch.setattr("callspace.datasets.synthetic.scenes.soundscape_scene", lambda seed, k, confound: original(seed, empty, confound))
    synthetic.generate(tmp_path / "set", task="detection", n_recordings=1)
    (row,) = _rows(tmp_path / "set", "annotations.csv")
    assert row["path"] == "audio/detection-0000.flac" and row["split"] and row["group"]
    assert row["onset_s"] == row["offset_s"] == row["label"] == row["snr_db"] == ""


def test_the_clips_have_forty_of_each_species_in_every_split_and_at_every_site(clips: Path) -> None:
    rows = _rows(clips, "clips.csv")
    assert list(rows[0]) == CLASSIFICATION
    assert all(sum(row["label"] == species for row in rows) == 40 for species in synthetic.SPECIES)
    for column in ("split", "site"):
        heard = defaultdict(set)
        for row in rows:
            heard[row[column]].add(row["label"])
        assert all(species == set(synthetic.SPECIES) for species in heard.values())


def test_no_site_and_no_animal_is_in_two_splits(clips: Path, detection: Path) -> None:
    for rows in (_rows(clips, "clips.csv"), _rows(detection, "annotations.csv")):
        for column in ("site", "individual"):
            splits = defaultdict(set)
            for row in rows:
                splits[row[column]].add(row["split"])
            assert all(len(found) == 1 for found in splits.values())


def test_wholly_confounded_sites_host_one_species_and_every_split_has_all() -> None:
    heard, splits = defaultdict(set), defaultdict(set)
    for k in range(0, 80):
        scene = clip_scene(0, k, 1.0)
        heard[scene.site] |= {call.label for call in scene.calls}
        splits[split_of(scene.site)] |= heard[scene.site]
    assert all(len(species) == 1 for species in heard.values())
    assert all(splits[split] == set(synthetic.SPECIES) for split in ("train", "valid", "test"))


def test_a_detection_site_wholly_confounded_hosts_one_species() -> None:
    for k in (0, 1, 45):
        assert len({call.label for call in soundscape_scene(0, k, 1.0).calls}) == 1


def test_the_note_says_seed_options_and_licence(tmp_path: Path) -> None:
    note = (_clips(tmp_path / "set", 1, seed=12, confound=0.25) / "README.txt").read_text(encoding="utf-8")
    assert "seed=12" in note and "confound=0.25" in note and "CC0" in note


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"task": "segmentation"}, "segmentation"),
        ({"confound": 1.5}, "confound"),
        ({"confound": float("nan")}, "confound"),
        ({"seed": -1}, "seed"),
        ({"n_recordings": 0}, "at least one"),
    ],
)
def test_a_wrong_option_is_told_in_a_sentence(tmp_path: Path, options: dict, sentence: str) -> None:
    with pytest.raises(CallspaceError, match=sentence):
        synthetic.generate(tmp_path / "set", **({"task": "detection"} | options))
    assert not (tmp_path / "set").exists()


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(CallspaceError, match="not an empty folder"):
        synthetic.generate(tmp_path, task="detection", n_recordings=1)


@pytest.fixture
def small_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Built-in sets of three recordings, in a cache of the test's own."""
    monkeypatch.setitem(folders.DEFAULT_RECORDINGS, "classification", 3)
    monkeypatch.setenv("CALLSPACE_CACHE", str(tmp_path))
    return tmp_path / "synthetic"


def test_the_built_in_set_is_made_once(small_sets: Path) -> None:
    folder = synthetic.built_in("classification")
    made = (folder / "clips.csv").stat().st_mtime_ns
    assert synthetic.built_in("classification") == folder
    assert (folder / "clips.csv").stat().st_mtime_ns == made
    assert [path.name for path in small_sets.iterdir()] == [folder.name]


def test_other_options_have_another_folder(small_sets: Path) -> None:
    made = {synthetic.built_in("classification", seed=seed, confound=confound) for seed in (0, 1) for confound in (0, 0.5)}
    assert len(made) == 4
    assert synthetic.built_in("classification", confound=0) == synthetic.built_in("classification", confound=0.0)


def test_a_first_use_that_breaks_off_leaves_no_set(small_sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(folders, "_readme", break_off)
        with pytest.raises(KeyboardInterrupt):
            synthetic.built_in("classification")
    assert list(small_sets.iterdir()) == []
    assert len(_rows(synthetic.built_in("classification"), "clips.csv")) == 3


@pytest.mark.parametrize("lost", ["clips.csv", "audio/classification-0001.flac"])
def test_a_half_made_set_is_made_anew(small_sets: Path, lost: str) -> None:
    folder = synthetic.built_in("classification")
    whole = _bytes(folder)
    (folder / lost).unlink()
    assert _bytes(synthetic.built_in("classification")) == whole


def test_what_another_process_put_there_meanwhile_is_kept(small_sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = folders.generate

    def overtaken(folder: Path, **options: object) -> None:
        original(folder, **options)
        place = folder.with_name(folder.name[1:].rsplit(".", 2)[0])
        original(place, **options)
        (place / "first.txt").write_text("first")

    monkeypatch.setattr(folders, "generate", overtaken)
    folder = synthetic.built_in("classification")
    assert (folder / "first.txt").is_file()
    assert [path.name for path in small_sets.iterdir()] == [folder.name]


def test_what_a_killed_first_use_left_is_cleared_after_an_hour(small_sets: Path) -> None:
    name = f"classification-v{synthetic.VERSION}-seed0-confound0.0"
    old, new = (small_sets / f".{name}.{tag}.part" for tag in ("old", "new"))
    for left in (old, new):
        (left / "audio").mkdir(parents=True)
    os.utime(old, (time.time() - 7200,) * 2)
    synthetic.built_in("classification")
    assert not old.exists() and new.exists()


def test_a_set_of_another_size_lies_apart_and_begins_with_the_recordings_of_the_usual_one(small_sets: Path) -> None:
    usual, larger = synthetic.built_in("classification"), synthetic.built_in("classification", n_recordings=4)
    assert larger != usual
    names = sorted(path.name for path in (usual / "audio").iterdir())
    assert sorted(path.name for path in (larger / "audio").iterdir())[: len(names)] == names
    assert len(list((larger / "audio").iterdir())) == len(names) + 1
    assert all((larger / "audio" / name).read_bytes() == (usual / "audio" / name).read_bytes() for name in names)


@pytest.mark.parametrize(("source", "found"), [("demo", ("demo", None)), ("demo:120", ("demo", 120)), ("demo:0", None), ("demo:x", None)])
def test_a_number_behind_the_name_asks_for_so_many_recordings(source: str, found: tuple | None) -> None:
    from callspace.datasets.load import _built_in_name

    assert _built_in_name(source) == found
