"""Whether a network may have heard the data before."""

import pytest

from callspace.datasets.beans.facts import names as beans_names
from callspace.encoders.registry import ENCODERS as REGISTERED
from callspace.encoders.registry import spec
from callspace.evaluation.diagnosis.overlap import DATASETS, ENCODERS, can_have_heard, heard_by, origin_of_dataset, overlap


def answer(encoder, name, source=""):
    [found] = overlap([encoder], name, source)
    return found.verdict


def test_there_are_three_answers_and_each_encoder_has_one():
    look, never, unknown = overlap(["birdnet-v2.4", "resnet18", "mfcc", "yamnet", "plugin"], "cbi", "beans/cbi (a folder)")
    assert (look.subject, look.verdict) == ({"encoder": "birdnet-v2.4"}, "look")
    assert look.evidence["archives"] == ["Xeno-canto"]
    assert "Kahl" in look.sentence
    assert look.remedy
    assert (never.verdict, never.evidence["encoders"]) == ("fine", ["resnet18", "mfcc"])
    assert (unknown.verdict, unknown.evidence["encoders"]) == ("unmeasured", ["yamnet", "plugin"])
    assert unknown.evidence["trained_on"] == {"yamnet": ["AudioSet"], "plugin": None}


@pytest.mark.parametrize(
    "encoder, name, source, verdict",
    [
        ("biolingual", "watkins", "beans/watkins (x)", "look"),
        ("esp-aves2-naturelm-audio-v1-beats", "watkins", "beans/watkins", "look"),
        ("perch-v2", "watkins", "beans/watkins", "unmeasured"),
        ("birdaves-biox-base", "cbi", "beans/cbi", "look"),
        ("aves-bio", "cbi", "beans/cbi", "unmeasured"),
        ("aves-bio", "esc50", "beans/esc50", "look"),
        ("clap", "esc-50", "", "look"),
        ("birdmae-base", "BirdSet", "hf:DBD-research-group/BirdSet", "look"),
        ("birdnet-v2.4:random", "cbi", "beans/cbi", "fine"),
        ("mfcc", "cbi", "beans/cbi", "fine"),
        ("callspace-small", "mine", "/data/mine", "fine"),
        ("beats", "dogs", "beans/dogs", "unmeasured"),
        ("birdnet-v2.4", "site 3", "/data/my recordings/site 3", "unmeasured"),
        ("birdnet-v2.4", "xcom survey", "", "unmeasured"),
        ("plugin:mine", "cbi", "beans/cbi", "unmeasured"),
        ("vggish", "audioset", "/data/audioset", "look"),
        ("yamnet", "VGGSound", "hf:Loie/VGGSound", "look"),
        ("wavlm-large", "librispeech", "", "look"),
        ("batdetect2", "bats", "beans/bats", "unmeasured"),
        ("birdnet-v2.4", "demo", "built-in (detection-1)", "fine"),
    ],
)
def test_what_is_known_of_encoders_and_datasets(encoder, name, source, verdict):
    assert answer(encoder, name, source) == verdict


@pytest.mark.parametrize(
    "source", ["/home/watkins/frogs", "C:\\watkins\\frogs", "/data/xeno-canto/frogs with beans.csv", "/beans/watkins/frogs"]
)
def test_a_users_folders_say_nothing_of_where_data_come_from(source):
    assert origin_of_dataset("frogs", source).archives == ()
    assert answer("biolingual", "frogs", source) == "unmeasured"


def test_a_datasets_name_suggests_and_a_published_one_says():
    [by_name] = overlap(["biolingual"], "watkins", "/data/watkins")
    assert "whose name suggests that they come from there" in by_name.sentence
    [published] = overlap(["biolingual"], "watkins", "beans/watkins")
    assert "these data, which come from there" in published.sentence
    assert origin_of_dataset("mine", "beans/watkins-of-mine").archives == ()


def test_what_nobody_has_checked_is_said_to_be():
    [checked] = overlap(["aves-bio"], "esc50", "beans/esc50")
    assert "aves-bio was trained on recordings of Freesound" in checked.sentence
    [unchecked] = overlap(["clap"], "esc50", "beans/esc50")
    assert "clap is said to have been trained on" in unchecked.sentence
    assert unchecked.evidence["known_from"] == "not checked"
    assert "are said to come from there" in overlap(["birdset-convnext"], "cbi", "beans/cbi")[0].sentence


def test_two_collections_of_one_origin_may_share_recordings():
    [found] = overlap(["vggish"], "audioset")
    assert (found.evidence["archives"], found.evidence["trained_on"]) == (["YouTube"], ["YouTube-8M"])


def test_speech_networks_heard_what_their_papers_say():
    assert "VoxPopuli" in heard_by("wav2vec2-xls-r-300m").archives
    assert "LibriSpeech" not in heard_by("wav2vec2-xls-r-300m").archives
    assert heard_by("wav2vec2-base").archives == heard_by("wavlm-base").archives == ("LibriSpeech",)
    assert set(heard_by("wavlm-base-plus").archives) == {"Libri-Light", "GigaSpeech", "VoxPopuli"}
    assert heard_by("wavlm-large") == heard_by("wavlm-base-plus")
    assert heard_by("hubert-large").archives == heard_by("wav2vec2-large-lv60").archives == ("Libri-Light",)


def tuning(source, fingerprint, before=()):
    return {"dataset": source, "source": source, "dataset_fingerprint": fingerprint, "regime": "full", "before": list(before)}


def test_an_encoder_that_was_tuned_on_the_same_source_with_other_splits_is_a_problem():
    tuned = {"mine/encoder": tuning("x", "1", [tuning("y", "2")])}
    [found] = overlap(["mine/encoder"], "y", "y", tuned=tuned, dataset_fingerprint="3")
    assert found.verdict == "problem"
    assert found.evidence["tuned_on"]["source"] == "y"


def test_one_that_was_tuned_on_the_same_train_split_is_worth_a_look_and_on_others_it_is_not_known():
    tuned = {"mine/encoder": tuning("x", "1", [tuning("y", "2")])}
    [found] = overlap(["mine/encoder"], "y", "y", tuned=tuned, dataset_fingerprint="2")
    assert (found.verdict, "train split" in found.sentence) == ("look", True)
    [other] = overlap(["mine/encoder"], "z", "z", tuned=tuned, bases={"mine/encoder": "resnet18"}, dataset_fingerprint="3")
    assert other.verdict == "unmeasured"
    [base] = overlap(["mine/encoder"], "cbi", "beans/cbi", tuned=tuned, bases={"mine/encoder": "birdnet-v2.4"}, dataset_fingerprint="3")
    assert base.verdict == "look"


def test_every_pattern_is_of_an_encoder_that_there_is_and_none_is_shadowed():
    first = {name: next((pattern for pattern, heard in ENCODERS if heard is heard_by(name)), None) for name in REGISTERED}
    assert {pattern for pattern, _ in ENCODERS} - set(first.values()) == set()


def test_every_encoder_pretrained_on_recorded_sound_is_in_the_table():
    silent = {name for name in REGISTERED if not can_have_heard(name)}
    assert {spec(name).pretraining for name in silent - {"callspace-small"}} <= {"none", "image"}
    assert {name for name in REGISTERED if heard_by(name) is None} == silent


def test_every_dataset_of_the_table_is_one_that_there_is_and_comes_from_what_some_encoder_heard():
    beans = {name.removeprefix("beans/") for name in DATASETS if name.startswith("beans/")}
    assert {name.replace("_", "-") for name in beans} <= set(beans_names())
    assert origin_of_dataset("bats", "beans/bats").archives == ()


@pytest.mark.parametrize(
    "name, archive",
    [
        ("watkins_subset", "the Watkins Marine Mammal Sound Database"),
        ("my_watkins", "the Watkins Marine Mammal Sound Database"),
        ("birdset_hsn", "Xeno-canto"),
        ("my_birdclef_2023", "Xeno-canto"),
        ("esc_50", "Freesound"),
        ("fsd50k_mini", "Freesound"),
        ("audioset_animals", "AudioSet"),
    ],
)
def test_a_name_is_read_word_by_word_whatever_divides_the_words(name, archive):
    assert origin_of_dataset(name).archives == (archive,)


@pytest.mark.parametrize("name", ["watkinson", "birdsets", "descartes_50"])
def test_a_name_that_only_begins_alike_says_nothing(name):
    assert origin_of_dataset(name).archives == ()
