"""Matched pairs: one architecture, two pretrainings, everything else alike."""

import pytest

from callspace.bench.matched import (
    MATCHED,
    architecture_of,
    image_against_sound,
    matched_pairs,
    shown,
    tallies,
    together,
    with_image_and_sound,
)
from callspace.encoders.registry import names, spec
from callspace.tables import from_rows

PRETRAINING = {
    "resnet18": "image",
    "resnet18:random": "none",
    "convnext-base": "image",
    "convnext-base:random": "none",
    "birdset-convnext:random": "none",
    "birdset-convnext": "bioacoustic",
    "aves": "bioacoustic",
    "hubert-base": "speech",
}


def row(a, b, difference=0.1, p=0.01, regime="frozen", metric="accuracy", question="pair", **changes):
    """A paired difference b - a."""
    side = {"layer": "pooled", "pool": "mean", "regime": regime, "background": 1.0, "policy": "share"}
    found = {f"{at}_{name}": value for at in "ab" for name, value in side.items()}
    found |= {
        "dataset": "d",
        "question": question,
        "a_encoder": a,
        "b_encoder": b,
        "space": "full",
        "clusterer": "linear",
        "metric": metric,
    }
    found |= {
        "a_value": 0.5,
        "b_value": 0.5 + difference,
        "difference": difference,
        "ci_low": difference - 0.05,
        "ci_high": difference + 0.05,
    }
    return found | {"p": p} | changes


def test_one_architecture_with_two_pretrainings_is_a_pair_and_nothing_else_is():
    rows = [
        row("resnet18:random", "resnet18"),
        row("resnet18", "aves"),  # two architectures
        row("resnet18", "resnet18:random", b_regime="full"),  # two regimes
        row("resnet18", "resnet18:random", b_background=0.0),  # two policies
        row("resnet18", "resnet18:random", b_layer="layer3"),  # two layers
        row("resnet18", "resnet18:random", question="best"),
        row("aves", "aves"),
    ]
    (found,) = matched_pairs(rows, PRETRAINING)
    assert (found["architecture"], found["a_pretraining"], found["b_pretraining"]) == ("resnet18", "none", "image")
    from_rows([found], MATCHED)


def test_a_pair_is_turned_so_that_the_second_is_nearer_to_animals():
    (found,) = matched_pairs([row("resnet18", "resnet18:random", difference=-0.2)], PRETRAINING)
    assert (found["a_encoder"], found["b_encoder"]) == ("resnet18:random", "resnet18")
    assert found["difference"] == pytest.approx(0.2)
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((0.15, 0.25))
    assert (found["a_value"], found["b_value"]) == pytest.approx((0.3, 0.5))


def test_p_values_are_adjusted_over_the_matched_pairs_alone():
    rows = [row("resnet18:random", "resnet18", p=0.01), row("hubert-base", "aves", p=0.04), row("resnet18", "aves", p=1e-9)]
    assert {found["architecture"]: found["p_holm"] for found in matched_pairs(rows, PRETRAINING)} == pytest.approx(
        {"resnet18": 0.02, "hubert-base": 0.04}
    )


def test_frozen_and_tuned_pairs_of_a_score_are_adjusted_together_as_they_are_counted():
    """One is read by a probe, the other by its own head."""
    rows = [
        row("convnext-base", "birdset-convnext", 0.1, 0.03, clusterer="linear"),
        row("convnext-base", "birdset-convnext", 0.1, 0.03, regime="full", clusterer="head"),
        row("convnext-base", "birdset-convnext", 0.1, 0.03, metric="nmi", clusterer="kmeans"),
        row("convnext-base", "birdset-convnext", 0.1, 0.03, metric="nmi", clusterer="ward"),
    ]
    found = matched_pairs(rows, PRETRAINING)
    assert {(one["metric"], one["clusterer"]): one["p_holm"] for one in found} == pytest.approx(
        {("accuracy", "linear"): 0.06, ("accuracy", "head"): 0.06, ("nmi", "kmeans"): 0.03, ("nmi", "ward"): 0.03}
    )
    assert {one["verdict"] for one in found if one["metric"] == "accuracy"} == {"undecided"}


def test_pairs_of_several_datasets_are_adjusted_together_accuracy_and_map_as_one_score():
    runs = [
        matched_pairs([row("hubert-base", "aves", 0.1, 0.02, metric=metric, dataset=metric)], PRETRAINING) for metric in ("accuracy", "map")
    ]
    assert [one["p_holm"] for own in runs for one in own] == [0.02, 0.02]
    found = together([one for own in runs for one in own])
    assert [one["p_holm"] for one in found] == [0.04, 0.04]
    assert [one["p_holm"] for own in runs for one in own] == [0.02, 0.02]


def test_a_small_p_whose_interval_holds_zero_is_not_clear():
    rows = matched_pairs([row("convnext-base", "birdset-convnext", 0.04, 0.01)], PRETRAINING)
    assert rows[0]["ci_low"] < 0 < rows[0]["ci_high"]
    assert rows[0]["verdict"] == "undecided"
    assert image_against_sound(rows)["sound"] == 0


def test_the_nmi_that_is_shown_is_of_the_first_clusterer_in_the_full_space():
    rows = [
        row("hubert-base", "aves"),
        *(
            row("hubert-base", "aves", metric="nmi", space=space, clusterer=name)
            for space in ("full", "tsne-30")
            for name in ("ward", "kmeans")
        ),
    ]
    found = shown(matched_pairs(rows, PRETRAINING))
    assert [(one["metric"], one["space"], one["clusterer"]) for one in found] == [("accuracy", "full", "linear"), ("nmi", "full", "ward")]


def test_pairs_are_counted_by_their_kind():
    rows = matched_pairs(
        [
            row("hubert-base", "aves", 0.2, 0.001),
            row("hubert-base", "aves", -0.2, 0.001, regime="full"),
            row("hubert-base", "aves", 0.03, 0.9, regime="lora"),
            row("resnet18:random", "resnet18", 0.2, 0.001),
        ],
        PRETRAINING,
    )
    assert tallies(rows) == {
        ("speech", "bioacoustic"): {"pairs": 3, "higher": 1, "lower": 1, "open": 1, "mean": pytest.approx(0.01)},
        ("none", "image"): {"pairs": 1, "higher": 1, "lower": 0, "open": 0, "mean": pytest.approx(0.2)},
    }


def test_image_against_sound_counts_what_is_beyond_chance_only():
    rows = matched_pairs(
        [row("convnext-base", "birdset-convnext", 0.1, 0.001), row("convnext-base", "birdset-convnext", -0.02, 0.6, regime="full")],
        PRETRAINING,
    )
    found = image_against_sound(rows)
    assert found == {"pairs": 2, "sound": 1, "image": 0, "undecided": 1, "mean": pytest.approx(0.04)}
    assert "its own mel" in rows[0]["note"]
    assert image_against_sound(matched_pairs([row("resnet18:random", "resnet18")], PRETRAINING)) is None


def test_a_difference_without_an_interval_stays_undecided():
    (found,) = matched_pairs([row("resnet18", "resnet18:random", p=None, ci_low=None, ci_high=None)], PRETRAINING)
    assert (found["ci_low"], found["ci_high"], found["p_holm"]) == (None, None, None)


def test_names_of_one_architecture_have_embeddings_of_one_size():
    by_architecture = {}
    for name in names():
        by_architecture.setdefault(architecture_of(name), set()).add(spec(name).embedding_dim)
    assert all(len(sizes) == 1 for sizes in by_architecture.values())
    assert architecture_of("aves-bio") == architecture_of("hubert-base:random") == "hubert-base"


@pytest.mark.parametrize(
    ("a", "b", "noted"),
    [
        ("convnext-base", "birdset-convnext", "birdset-convnext"),
        ("birdset-convnext:random", "convnext-base", "birdset-convnext:random"),  # random weights change nothing of the input
        ("birdset-convnext:random", "birdset-convnext", None),  # fed alike
        ("convnext-base:random", "convnext-base", None),
        ("convnext-base:random", "birdset-convnext", "birdset-convnext"),
        ("hubert-base", "aves", None),
    ],
)
def test_the_input_is_noted_where_it_differs_and_only_there(a, b, noted):
    for first, second in ((a, b), (b, a)):
        (found,) = matched_pairs([row(first, second)], PRETRAINING)
        assert found["note"] == (noted and f"{noted} is fed its own mel spectrogram at 32 kHz")


def test_the_encoders_that_set_image_against_sound_have_weights_of_both_and_one_network():
    found = with_image_and_sound()
    assert found["convnext-base"] == ["convnext-base", "birdset-convnext"]
    assert "resnet18" not in found
    assert "efficientnet-b0" not in found
    for architecture, own in found.items():
        kinds = [spec(name).pretraining for name in own]
        assert {architecture_of(name) for name in own} == {architecture}
        assert "image" in kinds
        assert {"speech", "audio", "bioacoustic"} & set(kinds)
