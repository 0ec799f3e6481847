import json

import numpy as np
import pytest

from callspace.adaptation.imbalance import class_counts, class_report
from callspace.adaptation.recipes import Recipe
from callspace.adaptation.targets import targets_of
from callspace.datasets import load_dataset
from small_audio import class_folders, tone


@pytest.fixture
def field(tmp_path):
    """Six recordings of 3 s in windows of half a second: `a` once each, `b` in the first two, once together with `a`."""
    lines = ["path,onset_s,offset_s,label"]
    for n in range(6):
        tone(tmp_path / "audio" / f"r{n}.wav", seconds=3.0)
        lines.append(f"r{n}.wav,0.55,0.95,a")
    lines += ["r0.wav,0.55,0.95,b", "r1.wav,2.05,2.45,b"]
    (tmp_path / "events.csv").write_text("\n".join(lines))
    return load_dataset(tmp_path / "audio", tmp_path / "events.csv", window_s=0.5, hop_s=0.5)


def test_windows_are_counted_for_each_of_their_labels_and_background_for_none(field):
    everything = range(field.windows.num_rows)
    assert class_counts(field, everything) == {"a": 6, "b": 2, "background": 36 - 7}
    assert class_counts(field, []) == {"a": 0, "b": 0, "background": 0}


def test_clips_have_no_background(tmp_path):
    clips = load_dataset(class_folders(tmp_path, clips=4, seconds=0.2))
    assert class_counts(clips, range(12)) == {"high": 4, "low": 4, "top": 4}


def test_the_card_says_what_training_did_with_each_class(field):
    recipe = Recipe(sampling="balanced", class_weights="balanced", logit_adjustment=1.0)
    report = {line["class"]: line for line in class_report(field, range(field.windows.num_rows), recipe)}
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert [line["windows"] for line in report.values()] == [6, 2, 29]
    # Three classes share 36 draws; the window of both is drawn as b.
    assert report["b"]["draws"] == pytest.approx(12 / 2)
    assert report["a"]["draws"] == pytest.approx((5 * 12 / 5 + 6) / 6)
    assert report["background"]["draws"] == pytest.approx(12 / 29)
    assert report["a"]["weight"] * 6 == pytest.approx(report["b"]["weight"] * 2)
    assert report["background"]["weight"] is None
    assert report["b"]["logit_adjustment"] < report["a"]["logit_adjustment"] < 0


def test_background_with_an_output_of_its_own_has_a_weight_of_its_own(field):
    rows = range(field.windows.num_rows)
    targets = targets_of(field, rows)
    targets = np.hstack([targets, ~targets.any(axis=1, keepdims=True)]).astype(np.float32)
    recipe = Recipe(sampling="balanced", class_weights="balanced", logit_adjustment=1.0)
    report = {line["class"]: line for line in class_report(field, rows, recipe, targets)}
    assert report["background"]["weight"] * 29 == pytest.approx(report["a"]["weight"] * 6)
    assert report["background"]["logit_adjustment"] == pytest.approx(np.log(29 / 7))
    assert report["background"]["draws"] == pytest.approx(12 / 29)


def test_a_plain_recipe_takes_every_window_once_at_a_weight_of_one(field):
    for line in class_report(field, range(field.windows.num_rows), Recipe()):
        assert line["draws"] == 1
        assert line["weight"] in (1, None)
        assert line["logit_adjustment"] in (0, None)
