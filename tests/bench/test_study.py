"""The study's three claims, put to planted evidence: every verdict can be reached, and noise reaches none."""

import json

import numpy as np
import pytest

from callspace.bench.study import CLAIMS, study_answers
from study_rows import difference, evidence, score

SOUND = ("yamnet", "aves-all")


def tuned_minus_frozen(value, metric="nmi", tuned="alexnet", space="umap-50-0.5", error=0.01, ours=SOUND):
    return [
        difference("study", (own, "frozen"), (tuned, "full"), metric, value, error, space=space if metric == "nmi" else "full")
        for own in ours
    ]


def answers(*sources):
    return study_answers(sources)


def test_each_claim_is_told_with_its_question_and_all_that_was_weighed():
    found = answers(evidence(comparisons=tuned_minus_frozen(0.1)))
    assert [(one["claim"], one["question"]) for one in found] == list(CLAIMS)
    keys = {"claim", "question", "verdict", "mixed", "sentence", "missing", "evidence", "beside"}
    assert all(set(one) == keys for one in found)
    json.dumps(found, allow_nan=False)
    [first, _] = found[0]["evidence"]
    assert (first["a"], first["b"], first["value"], first["sign"]) == ("yamnet", "alexnet", 0.1, 1)
    assert first["ci_low"] < 0.1 < first["ci_high"] and first["p_holm"] < 0.001


# ------------------------------------------------------------------------------------------------------------------------ 1


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [(0.1, 0.01, "supported"), (-0.1, 0.01, "contradicted"), (0.1, 0.1, "undecided"), (0.0, 0.001, "undecided")],
)
def test_frozen_sound_against_tuned_alexnet_is_marked_by_intervals_not_points(value, error, verdict):
    found = answers(evidence(comparisons=tuned_minus_frozen(value, error=error)))[0]
    assert (found["verdict"], found["mixed"], found["missing"]) == (verdict, False, "")


def test_pairs_that_point_both_ways_are_mixed_and_undecided():
    rows = [
        difference("study", (ours, "frozen"), ("alexnet", "full"), "nmi", value, space="tsne-30")
        for ours, value in zip(SOUND, (0.1, -0.1), strict=True)
    ]
    found = answers(evidence(comparisons=rows))[0]
    assert (found["verdict"], found["mixed"]) == ("undecided", True)
    assert "in 1 of 2 pairs" in found["sentence"].lower() and "in 1 clearly worse" in found["sentence"]


def test_clusters_decide_and_use_is_told_beside_them():
    found = answers(evidence(comparisons=[*tuned_minus_frozen(0.1), *tuned_minus_frozen(-0.2, "map")]))[0]
    assert found["verdict"] == "supported"
    assert any("clearly better in 0 of 2 pairs, clearly worse in 2;" in sentence for sentence in found["beside"])


def test_the_studys_map_is_taken_before_others_and_a_map_before_the_full_space():
    rows = [*tuned_minus_frozen(-0.1, space="full"), *tuned_minus_frozen(0.1, space="tsne-30")]
    assert answers(evidence(comparisons=rows))[0]["evidence"][0]["space"] == "tsne-30"
    rows += tuned_minus_frozen(0.0, space="umap-50-0.5")
    found = answers(evidence(comparisons=rows))[0]
    assert {one["space"] for one in found["evidence"]} == {"umap-50-0.5"} and found["verdict"] == "undecided"


def test_without_alexnet_others_stand_in_and_that_is_said():
    found = answers(evidence(comparisons=tuned_minus_frozen(0.1, tuned="resnet18")))[0]
    assert found["verdict"] == "supported" and found["missing"] == "add alexnet to --encoders"
    assert any("No AlexNet" in sentence and "resnet18 stands in" in sentence for sentence in found["beside"])
    both = [*tuned_minus_frozen(0.1, tuned="resnet18"), *tuned_minus_frozen(-0.1)]
    assert {one["b"] for one in answers(evidence(comparisons=both))[0]["evidence"]} == {"alexnet"}


def test_random_weights_illustrate_and_do_not_repeat():
    given = evidence(comparisons=tuned_minus_frozen(0.1, tuned="alexnet:random"), networks=(*SOUND, "alexnet:random"))
    assert any("does not repeat" in sentence for sentence in answers(given)[0]["beside"])


def test_only_full_tuning_with_the_most_background_counts():
    less = [row | {"b_background": 0.1} for row in tuned_minus_frozen(-0.5)]
    lora = [row | {"b_regime": "lora"} for row in tuned_minus_frozen(-0.5)]
    summary = [score("alexnet", "full", "map", 0.5, kept=kept) for kept in ((1.0, "share"), (0.1, "share"))]
    found = answers(evidence(summary, [*less, *lora, *tuned_minus_frozen(0.1)]))[0]
    assert found["verdict"] == "supported" and len(found["evidence"]) == 2


def test_what_the_run_lacks_is_named_as_options():
    bare = evidence(networks=("mfcc",))
    first, second, third = answers(bare)
    assert all(one["verdict"] == "undecided" and not one["evidence"] for one in (first, second, third))
    assert first["missing"] == "add yamnet and alexnet to --encoders and full to --regimes"
    assert second["missing"] == "add yamnet and resnet18 to --encoders and full to --regimes"
    assert third["missing"] == "add yamnet and resnet18 to --encoders and full to --regimes and 0.1 to --background".replace(
        "--encoders and full", "--encoders, full"
    )
    assert all("This run can't say" in one["sentence"] and one["missing"] in one["sentence"] for one in (first, second, third))


def test_clips_are_asked_of_clusters_alone():
    found = answers(evidence(comparisons=tuned_minus_frozen(0.1), task="classification"))
    assert [one["verdict"] for one in found] == ["supported", "undecided", "undecided"]
    assert all("clips hold no background" in one["sentence"] for one in found[1:])


# ------------------------------------------------------------------------------------------------------------------------ 2


def separations(sound, resnet, error=0.01, lie=0.55, others=0.3, ours=SOUND):
    """AUROCs by a probe, and shares of background among neighbours (by chance 0.6), of networks that know sound and of ResNets."""
    rows = []
    for encoder, heard in [*((name, True) for name in ours), ("resnet18", False)]:
        for regime in ("frozen", "full"):
            rows.append(score(encoder, regime, "separation_auroc", sound if heard else resnet, error))
            rows.append(score(encoder, regime, "background_neighbours", lie if heard else others, error))
    return rows


@pytest.mark.parametrize(
    ("sound", "resnet", "lie", "others", "error", "verdict"),
    [
        (0.6, 0.9, 0.6, 0.3, 0.01, "supported"),
        (0.9, 0.9, 0.3, 0.3, 0.01, "undecided"),  # high, but no lower than those that never heard sound
        (0.6, 0.9, 0.3, 0.3, 0.01, "undecided"),  # less by the probe, but calls lie apart all the same
        (0.6, 0.9, 0.6, 0.6, 0.01, "undecided"),  # by the probe alone
        (0.9, 0.6, 0.3, 0.6, 0.01, "contradicted"),
        (0.9, 0.6, 0.6, 0.6, 0.01, "undecided"),
        (0.6, 0.9, 0.6, 0.3, 0.2, "undecided"),
    ],
)
def test_background_is_judged_against_networks_that_never_heard_sound_and_without_a_probe(sound, resnet, lie, others, error, verdict):
    found = answers(evidence(separations(sound, resnet, error, lie, others)))[1]
    assert found["verdict"] == verdict
    # four pairs with the fine-tuned ResNet, four embeddings of sound's networks, each asked twice, and its own
    assert len(found["evidence"]) == 13 and found["missing"] == ""


def test_a_high_auroc_alone_says_nothing_of_pretraining():
    rows = [
        score(name, "frozen", "separation_auroc", value) for name, value in (("yamnet", 0.917), ("mfcc", 0.921), ("resnet18:random", 0.906))
    ]
    found = answers(evidence(rows, networks=("yamnet", "mfcc", "resnet18:random")))[1]
    assert (found["verdict"], found["evidence"]) == ("undecided", [])
    assert found["missing"] == "add resnet18 to --encoders and full to --regimes"
    assert found["beside"] == [
        "AUROC of calls against background by a linear probe: yamnet frozen 0.92, mfcc frozen 0.92, resnet18:random frozen 0.91."
    ]


def test_what_heard_invented_sounds_alone_does_not_know_sound():
    ours = ("callspace-small",)
    rows = separations(0.9, 0.6, lie=0.3, others=0.6, ours=ours)
    found = answers(evidence(rows, tuned_minus_frozen(0.1, ours=ours), networks=(*ours, "resnet18")))
    assert [one["evidence"] for one in found] == [[], [], []]
    assert found[1]["missing"] == "add yamnet to --encoders"


def test_both_frozen_and_tuned_networks_are_needed():
    for missing in ("frozen", "full"):
        rows = [row for row in separations(0.9, 0.6, lie=0.3, others=0.6) if row["regime"] != missing or row["encoder"] == "resnet18"]
        found = answers(evidence(rows))[1]
        assert (found["verdict"], found["evidence"]) == ("undecided", []), missing


def test_where_no_resnet_was_tuned_another_stands_in_and_random_weights_are_said_to_be_such():
    rows = [row | {"encoder": row["encoder"].replace("resnet18", "alexnet:random")} for row in separations(0.6, 0.9, lie=0.6)]
    found = answers(evidence(rows, networks=(*SOUND, "alexnet:random")))[1]
    assert (found["verdict"], found["missing"]) == ("supported", "add resnet18 to --encoders")
    assert any("does not repeat it" in sentence for sentence in found["beside"])


def test_separations_are_paired_where_the_run_compared_them():
    rows = separations(0.6, 0.9, lie=0.6)
    paired = [
        difference("pair", ("resnet18", "full"), ("yamnet", "full"), "separation_auroc", -0.05, p=0.001),
        difference("study", ("yamnet", "frozen"), ("resnet18", "full"), "separation_auroc", 0.07, p=0.001),
    ]
    found = answers(evidence(rows, paired))[1]["evidence"]
    values = {(one["a"], one["a_regime"]): one["value"] for one in found if "a" in one}
    assert values["yamnet", "full"] == 0.05 and values["yamnet", "frozen"] == 0.07
    assert values["aves-all", "full"] == pytest.approx(0.3)


def separations_with(sound_error, sound=0.45):
    """A ResNet that is a little better by the probe, beyond doubt; calls in its embedding lie as far from background as in sound's, or farther."""
    rows = separations(0.97, 0.99, others=0.45, error=0.002)
    rows = [row for row in rows if row["metric"] == "separation_auroc" or row["encoder"] == "resnet18"]
    return rows + [score(own, regime, "background_neighbours", sound, sound_error) for own in SOUND for regime in ("frozen", "full")]


@pytest.mark.parametrize(
    ("lie", "error", "verdict"),
    [
        (0.45, 0.08, "undecided"),  # as far below chance as the ResNet's, and too uncertain to say so
        (0.60, 0.08, "undecided"),  # at chance, and as uncertain
        (0.60, 0.01, "supported"),  # clearly less than 0.05 below chance
        (0.585, 0.004, "supported"),  # beyond chance, and clearly too little to matter
        (0.56, 0.01, "undecided"),  # beyond chance, and perhaps more than 0.05
        (0.45, 0.01, "undecided"),
    ],
)
def test_that_sounds_networks_do_not_separate_takes_narrow_intervals_not_wide_ones(lie, error, verdict):
    found = answers(evidence(separations_with(error, lie)))[1]
    assert found["verdict"] == verdict
    short = [one for one in found["evidence"] if one.get("quantity") == "short of 0.05 below chance"]
    assert [one["value"] for one in short] == pytest.approx([lie - 600 / 999 + 0.05] * 4)


def test_neighbours_are_held_against_the_chance_of_the_folds_they_are_of_not_of_one():
    rows = separations(0.6, 0.9, lie=0.633, others=0.3)  # folds with 90, 50 and 50 % of background
    for first in (0.9, 0.5):  # the fold whose counts dataset.json has
        run = evidence(rows, chance=0.633)
        run.about["splits"]["test"]["background"] = int(1000 * first)
        found = answers(run)[1]
        below = [one["value"] for one in found["evidence"] if one.get("quantity") == "below chance" and one["encoder"] != "resnet18"]
        assert below == [0.0] * 4 and found["verdict"] == "supported"
        assert any("by chance 63.3 %" in sentence for sentence in found["beside"])


def test_separations_are_compared_where_each_encoder_is_read_by_default():
    rows = separations(0.6, 0.9, lie=0.6)
    pairs = [
        difference("pair", (own, regime), ("resnet18", "full"), "separation_auroc", -0.2, p=0.001, clusterer="linear", a_layer="layer6")
        for own in SOUND
        for regime in ("frozen", "full")
    ]
    assert answers(evidence(rows, pairs))[1]["verdict"] == "supported"


def test_where_train_has_no_background_that_is_the_reason_and_no_cell_is_blamed():
    rows = [row for row in separations(0.6, 0.9) if row["metric"] != "separation_auroc"]
    found = answers(evidence(rows))[1]
    assert found["missing"] == "give a train split that holds background windows: there are none in this one for a probe to learn from"


def test_how_calls_lie_among_background_is_told_beside_chance():
    found = answers(evidence(separations(0.6, 0.9, lie=0.3)))[1]
    assert any("by chance 60.1 %: yamnet frozen 30 %, yamnet tuned 30 %" in sentence for sentence in found["beside"])


def test_a_test_split_without_background_is_the_reason_and_no_cell_is_blamed():
    run = evidence([score(own, "full", "map", 0.5) for own in (*SOUND, "resnet18")])
    run.about["splits"]["test"]["background"] = 0
    found = answers(run)[1]
    assert "holds background windows: there are none in this one" in found["sentence"] and "cells" not in found["sentence"]


def test_where_there_is_no_nmi_that_is_the_reason():
    found = answers(evidence(comparisons=tuned_minus_frozen(0.1, "map")))[0]
    assert "there is no NMI of these networks" in found["sentence"] and "cells" not in found["sentence"]


# ------------------------------------------------------------------------------------------------------------------------ 3

MOST, LEAST = (1.0, "share"), (0.1, "share")


def policies(ours_most, ours_least, other_most, other_least, error=0.01, paired=True):
    """A run of yamnet and resnet18, fine-tuned with all and with a tenth of the background."""
    summary, rows = [], []
    for encoder, most, least in (("yamnet", ours_most, ours_least), ("resnet18", other_most, other_least)):
        summary += [score(encoder, "full", "map", value, error, kept) for value, kept in ((most, MOST), (least, LEAST))]
        rows.append(difference("background", (encoder, "full", MOST), (encoder, "full", LEAST), "map", least - most, error))
    lead = difference("pair", ("yamnet", "full", LEAST), ("resnet18", "full", LEAST), "map", other_least - ours_least, error)
    return evidence(summary, [*rows, *([lead] if paired else [])], networks=("yamnet", "resnet18"))


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(
    ("scores", "error", "verdict"),
    [
        ((0.5, 0.7, 0.6, 0.5), 0.01, "supported"),
        ((0.6, 0.5, 0.5, 0.7), 0.01, "contradicted"),
        ((0.8, 0.8, 0.5, 0.5), 0.01, "undecided"),  # ahead whatever the background
        ((0.5, 0.5, 0.8, 0.8), 0.01, "contradicted"),  # behind with the least
        ((0.5, 0.7, 0.6, 0.5), 0.2, "undecided"),
    ],
)
def test_less_background_must_put_sound_ahead_and_have_brought_it_there(scores, error, verdict, paired):
    found = answers(policies(*scores, error=error, paired=paired))[2]
    assert found["verdict"] == verdict
    assert [one["quantity"] for one in found["evidence"]] == ["lead", "how much the lead grew"]


def test_one_amount_of_background_asks_for_another():
    run = policies(0.5, 0.7, 0.6, 0.5)
    one_share = evidence([row for row in run.summary if row["background"] == 1.0], [], networks=())
    assert answers(one_share)[2]["missing"] == "add 0.1 to --background"


CLEAN = (0.0, "clean-all")


def with_clean(run, ours, other):
    """The same run with both networks tuned with clean-all as well, which is judged on other test windows."""
    clean = [score(encoder, "full", "map", value, kept=CLEAN) for encoder, value in (("yamnet", ours), ("resnet18", other))]
    lead = difference("pair", ("yamnet", "full", CLEAN), ("resnet18", "full", CLEAN), "map", other - ours, p=1e-4)
    return evidence([*clean, *run.summary], [lead, *run.comparisons], networks=("yamnet", "resnet18"))


def test_clean_all_is_no_share_of_background_since_it_is_judged_on_other_windows():
    found = answers(with_clean(policies(0.6, 0.6, 0.6, 0.6), 0.95, 0.8))[2]
    assert (found["verdict"], [one["value"] for one in found["evidence"]]) == ("undecided", [0.0, 0.0])
    assert "Fine-tuned with 10 % of the background" in found["sentence"] and "from all to 10 %" in found["sentence"]
    assert found["beside"] == ["What was tuned with clean-all is left out: it is judged on other test windows, without background."]


def test_one_share_and_clean_all_cannot_say_and_the_reason_is_given():
    run = with_clean(policies(0.6, 0.6, 0.6, 0.6), 0.95, 0.8)
    one_share = evidence([row for row in run.summary if row["background"] != 0.1], run.comparisons, networks=())
    found = answers(one_share)[2]
    assert (found["verdict"], found["evidence"]) == ("undecided", [])
    assert found["missing"].startswith("add 0.1 and 0 to --background (clean-all leaves background out of the test windows too")


def test_a_tenth_alone_asks_for_all_of_it():
    run = policies(0.5, 0.7, 0.6, 0.5)
    tenth = evidence([row for row in run.summary if row["background"] != 1.0], [], networks=())
    assert answers(tenth)[2]["missing"] == "add 1 to --background"


def test_a_lead_and_its_growth_are_of_one_reading():
    run = policies(0.6, 0.6, 0.6, 0.6)
    other = [
        difference("best", ("yamnet", "full", LEAST), ("resnet18", "full", LEAST), "map", -0.2, p=1e-4, a_layer="layer6"),
        difference("background", ("yamnet", "full", MOST), ("yamnet", "full", LEAST), "map", 0.2, a_layer="layer6", b_layer="layer6"),
        score("yamnet", "full", "map", 0.8, kept=LEAST, layer="layer6"),
    ]
    found = answers(evidence([*run.summary, other[2]], [*other[:2], *run.comparisons], networks=("yamnet", "resnet18")))[2]
    assert [one["value"] for one in found["evidence"]] == [0.0, 0.0]


def test_scores_of_other_folds_are_not_compared_as_independent_ones():
    run = policies(0.5, 0.7, 0.6, 0.5, paired=False)
    summary = [row | {"cells": 2 if row["encoder"] == "yamnet" else 3} for row in run.summary]
    assert answers(evidence(summary, [], networks=("yamnet", "resnet18")))[2]["evidence"] == []


@pytest.mark.parametrize("kept", [CLEAN, (1.0, "ratio")])
def test_where_no_share_of_background_was_tuned_with_that_is_said_and_no_cell_is_blamed(kept):
    rows = [score(name, "full", "map", 0.6, kept=kept) for name in ("yamnet", "resnet18", "alexnet")]
    found = answers(evidence(rows, networks=("yamnet", "resnet18", "alexnet")))
    assert found[1]["missing"] == "add 1 to --background"
    assert "add 1, 0.1" in found[2]["missing"] or found[2]["missing"] == "add 1 and 0.1 to --background"
    assert kept == CLEAN or found[0]["missing"] == "add 1 to --background"


def test_a_run_with_clean_all_alone_answers_the_first_claim_and_says_of_what():
    rows = [score(name, "full", "map", 0.6, kept=CLEAN) for name in ("yamnet", "alexnet")]
    pairs = [
        row | {"a_background": 0.0, "b_background": 0.0, "a_policy": "clean-all", "b_policy": "clean-all"}
        for row in tuned_minus_frozen(0.1)
    ]
    found = answers(evidence(rows, pairs))[0]
    assert (found["verdict"], found["missing"]) == ("supported", "")
    assert any("test windows without background" in sentence for sentence in found["beside"])


def test_whether_the_ranking_changes_is_told_where_three_networks_were_tuned():
    summary = [
        score(encoder, "full", "map", value, kept=kept)
        for kept, values in ((MOST, (0.5, 0.6, 0.7)), (LEAST, (0.7, 0.6, 0.5)))
        for encoder, value in zip(("yamnet", "resnet18", "alexnet"), values, strict=True)
    ]
    found = answers(evidence(summary))[2]
    assert any("rank correlation -1.00" in sentence for sentence in found["beside"])


# ---------------------------------------------------------------------------------------------------------------- together


def test_runs_of_a_matrix_count_together():
    weak = [evidence(comparisons=tuned_minus_frozen(0.024), dataset=name) for name in ("a", "b")]
    assert {one["dataset"] for one in answers(*weak)[0]["evidence"]} == {"a", "b"}
    apart = [evidence(comparisons=tuned_minus_frozen(sign * 0.1), dataset=str(sign)) for sign in (1, -1)]
    found = answers(*apart)[0]
    assert found["verdict"] == "undecided" and found["mixed"]


def test_noise_leaves_all_three_undecided():
    rng = np.random.default_rng(0)
    marked = np.zeros(3)
    for _ in range(200):

        def drawn(around=0.0):
            return around + 0.02 * rng.standard_normal()

        comparisons = [
            difference("study", (ours, "frozen"), ("alexnet", "full"), "nmi", drawn(), 0.02, space="umap-50-0.5") for ours in SOUND
        ]
        tried = [(encoder, kept) for encoder in ("yamnet", "resnet18") for kept in (MOST, LEAST)]
        summary = [score(encoder, "full", "map", drawn(0.5), 0.02, kept) for encoder, kept in tried]
        for metric, around in (("separation_auroc", 0.75), ("background_neighbours", 600 / 999)):
            summary += [score(own, regime, metric, drawn(around), 0.02) for own in (*SOUND, "resnet18") for regime in ("frozen", "full")]
        marked += [one["verdict"] != "undecided" for one in answers(evidence(summary, comparisons))]
    assert (marked / 200 <= 0.07).all(), marked


def test_intervals_of_few_groups_count_as_such():
    [many] = answers(evidence(comparisons=tuned_minus_frozen(0.03, ours=("yamnet",))))[0]["evidence"]
    few_rows = [row | {"freedom": 4} for row in tuned_minus_frozen(0.03, ours=("yamnet",))]
    [few] = answers(evidence(comparisons=few_rows))[0]["evidence"]
    assert few["p_holm"] > 2 * many["p_holm"]
    rows = [row | {"freedom": 4} for row in separations(0.6, 0.9, lie=0.6)]
    few, many = (answers(evidence(own))[1]["evidence"] for own in (rows, separations(0.6, 0.9, lie=0.6)))
    assert all(one["p_holm"] >= other["p_holm"] for one, other in zip(few, many, strict=True))
    assert few[-1]["p_holm"] > 5 * many[-1]["p_holm"]


def test_noise_of_five_groups_leaves_all_three_undecided():
    from scipy.stats import t

    rng = np.random.default_rng(0)
    marked = np.zeros(3)

    def drawn(around=0.0):
        """A mean of five groups, and what makes its t interval of the rows' normal one."""
        own = around + 0.03 * rng.standard_normal(5)
        return own.mean(), own.std(ddof=1) / np.sqrt(5) * t.ppf(0.975, 4) / 1.959963984540054

    for _ in range(200):
        pairs = [
            difference("study", (own, "frozen"), ("alexnet", "full"), "nmi", *drawn(), space="umap-50-0.5", freedom=4) for own in SOUND
        ]
        tried = [(encoder, kept) for encoder in ("yamnet", "resnet18") for kept in (MOST, LEAST)]
        summary = [score(encoder, "full", "map", *drawn(0.5), kept, freedom=4) for encoder, kept in tried]
        for metric, around in (("separation_auroc", 0.75), ("background_neighbours", 600 / 999)):
            summary += [
                score(own, regime, metric, *drawn(around), freedom=4) for own in (*SOUND, "resnet18") for regime in ("frozen", "full")
            ]
        marked += [one["verdict"] != "undecided" for one in answers(evidence(summary, pairs))]
    assert (marked / 200 <= 0.07).all(), marked


def test_what_has_no_interval_decides_nothing():
    found = answers(evidence(separations(0.6, 0.9, None), tuned_minus_frozen(0.5, error=None)))
    assert [one["verdict"] for one in found] == ["undecided"] * 3


def test_an_encoder_that_was_tuned_before_is_no_party():
    rows = [row | {"b_encoder": "my/tuned-alexnet"} for row in tuned_minus_frozen(0.1)]
    assert answers(evidence(comparisons=rows))[0]["evidence"] == []
