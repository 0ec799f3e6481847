"""The training card: what was read, what was before, and in which words."""

import json

import pytest

from callspace import load_encoder
from callspace.adaptation.background import parse_policy
from callspace.adaptation.cards import fields_read, training_card
from callspace.adaptation.recipes import Recipe
from callspace.adaptation.regimes import REGIMES, regime_of
from callspace.adaptation.targets import targets_of
from callspace.datasets import load_dataset
from small_audio import class_folders, tone

RECIPE = Recipe(name="mine", augment="strong", mixup=0.2, sampling="balanced", class_weights="balanced", label_smoothing=0.1)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return load_dataset(class_folders(tmp_path_factory.mktemp("data") / "frogs", clips=6, seconds=0.2))


@pytest.fixture
def encoder():
    return load_encoder("mfcc", sample_rate_hz=8000)


def card_of(dataset, encoder, regime, recipe=RECIPE, background="1"):
    rows = dataset.rows("train")
    found = training_card(dataset, encoder, regime_of(regime), parse_policy(background), recipe, rows, targets_of(dataset, rows), seed=3)
    assert json.loads(json.dumps(found, allow_nan=False))
    return found


@pytest.mark.parametrize(
    ("regime", "fields"),
    [
        ("linear", set()),
        ("prototype", set()),
        ("mlp", {"loss", "label_smoothing", "class_weights", "logit_adjustment"}),
        ("attentive", {"loss", "label_smoothing", "class_weights", "logit_adjustment"}),
    ],
)
def test_of_a_probe_only_what_it_reads_is_kept(clips, encoder, regime, fields):
    card = card_of(clips, encoder, regime)
    assert set(card["recipe_fields"]) == set(fields_read(regime_of(regime))) == fields
    assert all(line["draws"] == 1 for line in card["classes"])


def test_what_tunes_keeps_the_whole_recipe(clips, encoder):
    fields = card_of(clips, encoder, "full")["recipe_fields"]
    assert (fields["augment"], fields["mixup"], fields["max_epochs"]) == ("strong", 0.2, 30)


def test_an_entry_that_a_regime_sets_itself_is_not_read():
    assert "layer_decay" in fields_read(regime_of("full"))
    assert "layer_decay" not in fields_read(regime_of("decay"))


@pytest.mark.parametrize("regime", [name for name in REGIMES if name != "frozen"])
def test_a_regime_is_told_in_its_own_words(clips, encoder, regime):
    assert card_of(clips, encoder, regime)["regime_about"] == REGIMES[regime].about


def test_earlier_tunings_are_remembered_in_order(clips, encoder):
    first = card_of(clips, encoder, "lora")
    assert first["before"] == []
    encoder.card = first | {"dataset": "pond"}
    second = card_of(clips, encoder, "full")
    assert [(row["dataset"], row["regime"]) for row in second["before"]] == [("pond", "lora")]
    assert second["before"][0]["dataset_fingerprint"] == clips.fingerprint()
    encoder.card = second
    third = card_of(clips, encoder, "linear")
    assert [(row["dataset"], row["regime"]) for row in third["before"]] == [("pond", "lora"), (clips.name, "full")]
    assert not any("before" in row for row in third["before"])


def test_background_is_told_of_soundscapes_alone(clips, encoder, tmp_path):
    lines = ["path,onset_s,offset_s,label"]
    for n in range(6):
        tone(tmp_path / "audio" / f"r{n}.wav", seconds=2.0)
        lines.append(f"r{n}.wav,0.55,0.95,a")
    (tmp_path / "events.csv").write_text("\n".join(lines))
    field = load_dataset(tmp_path / "audio", tmp_path / "events.csv", window_s=0.5, hop_s=0.5)
    assert card_of(field, encoder, "linear")["background_words"] == "on all of the background"
    assert card_of(field, encoder, "linear", background="hard:0.1")["background_words"] == "on 10 % of the background, hardest first"
    assert "background_words" not in card_of(clips, encoder, "linear")


def test_a_linear_probe_weighs_no_class_whatever_was_asked(tmp_path, encoder):
    root = class_folders(tmp_path / "frogs", clips=6, seconds=0.2)
    for number in range(6):
        tone(root / "top" / f"more {number}.wav", 0.2, 8000, 3000.0 + number)
    unequal = load_dataset(root)
    assert {line["weight"] for line in card_of(unequal, encoder, "linear")["classes"]} == {1.0}
    assert len({line["weight"] for line in card_of(unequal, encoder, "mlp")["classes"]}) > 1
