from dataclasses import replace

import numpy as np
import pytest
import soundfile

from callspace.adaptation import background_sounds as module
from callspace.adaptation.background import training_rows
from callspace.adaptation.background_sounds import background_sounds
from callspace.datasets import load_dataset
from small_audio import class_folders

RATE = 8000


@pytest.fixture
def field(tmp_path):
    """Soundscapes of six recordings; every half second has a level of its own, so that it is known again."""
    lines = ["path,onset_s,offset_s,label"]
    (tmp_path / "audio").mkdir()
    for n in range(6):
        levels = np.repeat(np.arange(1, 7) / 100 + n / 10, RATE // 2)
        sound = levels * np.sign(np.sin(2 * np.pi * 1000 * np.arange(3 * RATE) / RATE + 0.1))
        soundfile.write(tmp_path / "audio" / f"r{n}.wav", sound, RATE, subtype="FLOAT")
        lines += [f"r{n}.wav,0.5,1.0,a", f"r{n}.wav,2.0,2.5,b"]
    (tmp_path / "events.csv").write_text("\n".join(lines))
    return load_dataset(tmp_path / "audio", tmp_path / "events.csv", window_s=0.5, hop_s=0.5)


def drawn(sounds, times=600):
    rng = np.random.default_rng(0)
    return {round(float(np.abs(sounds(rng)).max()), 3) for _ in range(times)}


def levels_of(dataset, rows):
    names, onsets = dataset.windows["recording"].to_pylist(), dataset.windows["onset_s"].to_pylist()
    return {round((onsets[row] * 2 + 1) / 100 + int(names[row].removesuffix(".wav")[-1]) / 10, 3) for row in rows}


def test_what_is_drawn_is_the_background_of_the_rows_that_are_trained_on_and_nothing_else(field):
    for share in (1.0, 0.5):
        rows = training_rows(field, share, seed=0)
        background = [row for row in rows if not field.windows["labels"][row].as_py()]
        assert drawn(background_sounds(field, rows, RATE, seed=0)) == levels_of(field, background)


def test_there_is_none_where_no_background_is_kept_and_in_clips(field, tmp_path):
    assert background_sounds(field, training_rows(field, 0.0, seed=0), RATE, seed=0) is None
    clips = load_dataset(class_folders(tmp_path / "clips", clips=3, seconds=0.2))
    assert background_sounds(clips, clips.rows("train"), RATE, seed=0) is None


@pytest.mark.parametrize("split", ["valid", "test"])
def test_background_of_another_split_is_refused(field, split):
    with pytest.raises(ValueError, match="train split only"):
        background_sounds(field, field.rows("train") + field.rows(split)[:1], RATE, seed=0)


def test_what_is_held_is_bounded_and_follows_from_the_seed(field, monkeypatch):
    rows = field.rows("train")
    monkeypatch.setattr(module, "_MOST", 5)
    some = drawn(background_sounds(field, rows, RATE, seed=0))
    assert len(some) == 5
    assert some == drawn(background_sounds(field, rows[::-1], RATE, seed=0))
    assert some != drawn(background_sounds(field, rows, RATE, seed=1))
    monkeypatch.setattr(module, "_MOST_BYTES", 4 * RATE)  # two windows
    assert len(drawn(background_sounds(field, rows, RATE, seed=0))) == 2
    monkeypatch.setattr(module, "_MOST_BYTES", 1)
    assert len(drawn(background_sounds(field, rows, RATE, seed=0))) == 1


def test_it_is_heard_at_the_rate_and_the_speed_that_windows_are_heard_at(field):
    slowed = replace(field, speed=0.5)
    rng = np.random.default_rng(0)
    assert len(background_sounds(field, field.rows("train"), 4000, seed=0)(rng)) == 2000
    assert len(background_sounds(slowed, field.rows("train"), 4000, seed=0)(rng)) == 4000
