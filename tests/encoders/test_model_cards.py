"""The README.md of a saved encoder: for people, and for the hub."""

import json
from dataclasses import replace

import pytest

from callspace import load_encoder
from callspace.encoders.heads import LinearHead
from callspace.encoders.licences import notice
from callspace.encoders.model_cards import hub_licence, model_card
from callspace.encoders.registry import find, names

CARD = {
    "regime": "last:2",
    "regime_about": "the last block, or last:N blocks, and a linear head",
    "background": 0.5,
    "policy": "share",
    "background_words": "on 50 % of the background",
    "seed": 7,
    "recipe": "fair",
    "recipe_fields": {"learning_rates": [5e-5, 5e-4], "max_epochs": 30},
    "dataset": "pond",
    "dataset_fingerprint": "ab12",
    "task": "detection",
    "window_s": 2.0,
    "splits": {"train": {"windows": 1200, "labelled": 300, "recordings": 30, "groups": 9}},
    "classes": [{"class": "a|b", "windows": 200}],
    "base": "mfcc",
    "valid_metric": "map",
    "valid_score": 0.8125,
    "chosen": {"learning_rate": 5e-4, "epoch": 7},
    "trained_parameters": 12_345,
    "total_parameters": 1_234_567,
    "versions": {"callspace": "0.1.0", "torch": "2.13.0"},
}
SCORES = [{"split": "test", "metric": "map", "value": 0.7, "ci_low": 0.65, "ci_high": 0.75, "n": 1100}]


def encoder(weights_of=None):
    encoder = load_encoder("mfcc", sample_rate_hz=16_000)
    if weights_of is not None:
        encoder.spec = replace(encoder.spec, name=weights_of, weights=find(weights_of).spec.weights)
    encoder.head, encoder.labels = LinearHead(80, 2), ["a|b", "`tick`"]
    return encoder


def header_of(text):
    assert text.startswith("---\n")
    lines = text.split("---\n")[1].splitlines()
    return {key: json.loads(value) for key, _, value in (line.partition(": ") for line in lines)}


def test_all_that_the_card_knows_is_in_it():
    text = model_card(encoder(), CARD | {"scores": SCORES})
    for part in (
        "# mfcc, tuned on pond",
        "`a|b`, `` `tick` ``",
        "any number of them may be in a window",
        "| `a\\|b` | 200 |",
        "pond, fingerprint `ab12`",
        "last:2: the last block, or last:N blocks, and a linear head",
        "**background**: fitted on 50 % of the background",
        "learning_rates 5e-05/0.0005",
        "**seed**: 7",
        "learning rate 0.0005, epoch 7",
        "12,345 (the network has 1,234,567)",
        "| train | 1,200 | 300 | 30 | 9 |",
        "| test | map | 0.700 | 0.650 to 0.750 | 1,100 |",
        'callspace.load_encoder("FOLDER")',
        "callspace embed RECORDINGS --encoder FOLDER --window 2 --out store\n",
        "It was fitted to pond",
        "torch 2.13.0",
    ):
        assert part in text


def test_the_scores_of_classes_say_whose_they_are():
    of_class = [{**SCORES[0], "class": "a|b", "metric": "average_precision", "value": 0.5}]
    text = model_card(encoder(), CARD | {"scores": [SCORES[0] | {"class": None}, *of_class]})
    assert "| split | label | metric | value | 95 % interval | windows |" in text
    assert "| test | all | map | 0.700 | 0.650 to 0.750 | 1,100 |" in text
    assert "| test | `a\\|b` | average_precision | 0.500 |" in text


def test_a_fit_that_read_no_recipe_has_none():
    text = model_card(encoder(), CARD | {"recipe": "fair (changed)", "recipe_fields": {}})
    assert "**recipe**" not in text


def test_earlier_tunings_are_told_first_to_last():
    before = [{"dataset": "swamp", "regime": "lora"}, {"dataset": "creek", "regime": "linear"}, {"dataset": None}]
    assert "**tuned before on**: swamp (lora), then creek (linear)\n" in model_card(encoder(), CARD | {"before": before})
    assert "tuned before" not in model_card(encoder(), CARD | {"before": []})


def test_an_attentive_probes_pooling_is_called_learnt():
    from callspace.encoders.pooling import AttentivePooling

    chosen = encoder()
    assert "pool mean, front end" in model_card(chosen, CARD)
    chosen.pooler = AttentivePooling(80, 4)
    assert "learnt pooling, front end" in model_card(chosen, CARD)


def test_of_clips_nothing_is_said_of_background():
    assert "**background**" not in model_card(encoder(), {key: value for key, value in CARD.items() if key != "background_words"})


def test_a_score_on_valid_alone_is_called_flattering():
    assert "mean average precision on the valid split: 0.812. The encoder was chosen by it" in model_card(encoder(), CARD)


@pytest.mark.parametrize("missing", [*CARD, None])
def test_what_the_card_does_not_know_is_left_out(missing):
    text = model_card(encoder(), {key: value for key, value in CARD.items() if key != missing} if missing else {})
    assert "None" not in text
    assert "nan" not in text


def test_an_encoder_without_a_head_is_no_classifier():
    bare = load_encoder("mfcc", sample_rate_hz=16_000)
    text = model_card(bare, {})
    assert "## Labels" not in text
    assert "pipeline_tag" not in header_of(text)
    assert "saved by callspace" in text


@pytest.mark.parametrize("base", ["audiomae", "birdmae-base"])
def test_a_licence_that_forbids_or_is_not_stated_stands_first(base):
    chosen = encoder(base)
    text = model_card(chosen, CARD)
    assert notice(chosen.spec)
    body = text.split("---\n", 2)[2]
    first = body.split("\n\n")[1]
    assert first.startswith("> **Before you use it:** licence of the weights")
    assert header_of(text)["license"] == {"audiomae": "cc-by-nc-4.0", "birdmae-base": "unknown"}[base]
    assert header_of(text)["base_model"] == chosen.spec.weights.hub


def test_the_header_is_one_that_the_hub_understands():
    yaml = pytest.importorskip("yaml")
    from huggingface_hub import ModelCard, ModelCardData

    text = model_card(encoder("aves-bio"), CARD)
    data = ModelCard(text, ignore_metadata_errors=False).data
    assert isinstance(data, ModelCardData)
    assert (data.library_name, data.pipeline_tag, data.license) == ("callspace", "audio-classification", "other")
    assert {"bioacoustics", "audio", "callspace"} <= set(data.tags)
    assert yaml.safe_load(text.split("---\n")[1]) == header_of(text)


def test_every_known_licence_has_a_word_of_the_hubs():
    found = {}
    for name in names():
        weights = find(name).spec.weights
        if weights is not None:
            found[name] = hub_licence(weights.licence, weights.terms)
    assert set(found.values()) <= {
        "apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc0-1.0", "gpl-3.0", "other", "unknown",
    }  # fmt: skip
    assert found["alexnet"] == "bsd-3-clause"
    assert found["yamnet"] == "apache-2.0"


def test_names_that_look_like_markdown_stay_names():
    text = model_card(encoder(), CARD | {"dataset": "my_*odd*_[set](x) <b>"})
    assert "my\\_\\*odd\\*\\_\\[set\\](x) \\<b\\>" in text
