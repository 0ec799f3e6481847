from types import SimpleNamespace

import pytest

from callspace.adaptation.background import parse_policy
from callspace.bench import comparisons
from callspace.bench.choice import Candidate, best_of, beyond_chance, choose
from callspace.bench.plan import Choice

DATA = SimpleNamespace(warnings=["Beware."], source="field/", fingerprint=lambda: "feed")


def candidate(encoder, regime, valid, test, background=1.0, pretraining="audio", layer="top", reading="", policy="share"):
    return Candidate(
        Choice(encoder, regime, background, layer, "mean", policy), pretraining, valid, test, test - 0.05, test + 0.05, reading=reading
    )


def best_row(encoder, regime, low, high, layer="top", background=1.0, policy="share"):
    """A comparison with the best, tested: beyond chance where its interval is."""
    return {
        "verdict": "higher" if low > 0 else "lower" if high < 0 else "undecided",
        "question": "best",
        "metric": "map",
        "b_encoder": encoder,
        "b_layer": layer,
        "b_pool": "mean",
        "b_regime": regime,
        "b_background": background,
        "b_policy": policy,
        "ci_low": low,
        "ci_high": high,
    }


def test_the_choice_is_made_on_valid_even_where_test_says_otherwise():
    a, b = candidate("a", "full", 0.9, 0.5), candidate("b", "full", 0.8, 0.7)
    assert best_of([b, a]) is a
    found = choose([a, b], [best_row("b", "full", 0.1, 0.3)], DATA, "map")
    assert (found["encoder"], found["tied"]) == ("a", [])
    assert any("valid and test disagree" in sentence for sentence in found["reasons"])


def test_of_equals_the_one_that_is_ready_and_cheap_is_taken():
    frozen, linear, full = (candidate("a", regime, 0.9, 0.9) for regime in ("frozen", "linear", "full"))
    assert best_of([full, frozen, linear]) is linear


def test_frozen_stands_aside_for_its_own_linear_head():
    frozen, linear = candidate("a", "frozen", 0.9001, 0.9), candidate("a", "linear", 0.9, 0.9)
    assert best_of([frozen, linear]) is linear
    assert best_of([frozen, candidate("b", "linear", 0.5, 0.5)]) is frozen


def test_a_choice_with_failed_cells_is_no_candidate_and_is_named():
    from dataclasses import replace

    whole, broken = candidate("a", "full", 0.5, 0.5), replace(candidate("b", "full", 0.9, 0.9), complete=False)
    found = choose([whole, broken], [], DATA, "map")
    assert found["encoder"] == "a"
    assert any("Not all folds and seeds of b" in sentence for sentence in found["caveats"])


def test_where_no_choice_is_complete_none_is_made_and_it_says_why():
    from dataclasses import replace

    found = choose([replace(candidate(name, "full", 0.9, 0.9), complete=False) for name in "ab"], [], DATA, "map")
    assert found["encoder"] is None
    assert found["headline"].startswith("Nothing could be chosen: no choice completed all folds and seeds")
    assert any("Not all folds and seeds of a fully fine-tuned, b" in sentence for sentence in found["caveats"])


def test_a_difference_whose_interval_holds_zero_is_a_tie():
    rows = [best_row("b", "full", -0.1, 0.1), best_row("c", "full", -0.3, -0.1)]
    found = choose(
        [candidate("a", "full", 0.9, 0.9), candidate("b", "full", 0.8, 0.9), candidate("c", "full", 0.7, 0.7)], rows, DATA, "map"
    )
    assert found["tied"] == [{"encoder": "b", "regime": "full", "background": 1.0, "layer": "top", "pool": "mean", "policy": "share"}]
    assert any("Not distinguishable" in sentence and "b full" in sentence for sentence in found["reasons"])


def test_frozen_and_linear_of_the_chosen_encoder_are_no_tie():
    found = choose(
        [candidate("a", "linear", 0.9, 0.9), candidate("a", "frozen", 0.9, 0.9)], [best_row("a", "frozen", 0.0, 0.0)], DATA, "map"
    )
    assert found["tied"] == []


@pytest.mark.parametrize(
    ("regime", "background", "policy"),
    [
        ("mlp", 1.0, "share"),
        ("prototype", 1.0, "share"),
        ("attentive", 1.0, "share"),
        ("lora", 1.0, "share"),
        ("linear", 0.1, "share"),
        ("linear", 1.0, "share+class"),
        ("linear", 0.1, "hard"),
    ],
)
def test_any_other_head_or_background_policy_on_the_chosen_encoder_is_a_choice_of_its_own(regime, background, policy):
    candidates = [candidate("a", "linear", 0.9, 0.9), candidate("a", regime, 0.8, 0.9, background, policy=policy)]
    found = choose(candidates, [best_row("a", regime, -0.1, 0.1, background=background, policy=policy)], DATA, "map")
    assert [(tied["regime"], tied["background"], tied["policy"]) for tied in found["tied"]] == [(regime, background, policy)]


def test_a_frozen_encoder_that_is_tied_is_named_once_as_its_linear_head():
    candidates = [candidate("a", regime, valid, 0.9) for regime, valid in (("full", 0.95), ("frozen", 0.9), ("linear", 0.9))]
    rows = [best_row("a", "frozen", -0.1, 0.1), best_row("a", "linear", -0.1, 0.1)]
    found = choose(candidates, rows, DATA, "map")
    assert [tied["regime"] for tied in found["tied"]] == ["linear"]
    assert "Not distinguishable from it on this test split: a linear." in found["reasons"]
    ahead = choose(candidates, [row | {"ci_low": 0.05, "verdict": "higher"} for row in rows], DATA, "map")
    assert any(sentence.startswith("1 other choice did better") for sentence in ahead["reasons"])
    only_at_less = [best_row("a", "frozen", -0.1, 0.1), best_row("a", "linear", -0.1, 0.1, background=0.1)]
    assert [tied["regime"] for tied in choose(candidates, only_at_less, DATA, "map")["tied"]] == ["frozen", "linear"]


@pytest.mark.parametrize(
    ("tuned", "folds", "sentence"),
    [
        ({"dataset_fingerprint": "feed"}, 1, "its scores are not those of an untouched encoder."),
        ({"dataset_fingerprint": "beef", "source": "field/"}, 1, "and its test windows may have been among those it was trained on."),
        ({"dataset_fingerprint": "feed"}, 3, "and its test windows may have been among those it was trained on."),
        ({"dataset_fingerprint": "beef", "before": [{"dataset": "d", "dataset_fingerprint": "feed"}]}, 1, "untouched encoder."),
        ({"dataset_fingerprint": "beef", "source": "elsewhere/"}, 1, None),
        ({"dataset_fingerprint": "feed", "regime": "linear"}, 1, None),
        ({"dataset_fingerprint": "feed", "regime": "of another version"}, 1, "untouched encoder."),
    ],
)
def test_an_encoder_that_was_tuned_on_this_very_dataset_is_a_caveat(tuned, folds, sentence):
    candidates = [candidate("my/tuned", "frozen", 0.9, 0.9), candidate("mfcc", "frozen", 0.8, 0.8)]
    tuned = {"my/tuned": {"dataset": "d", "source": "x", "regime": "full"} | tuned}
    caveats = choose(candidates, [], DATA, "map", folds=folds, tuned=tuned)["caveats"][1:]
    assert len(caveats) == (sentence is not None)
    assert all(one.startswith("my/tuned was itself tuned on this dataset: ") and one.endswith(sentence) for one in caveats)


@pytest.mark.parametrize(("regime", "words"), [("full", "before tuning"), ("attentive", "in the encoder's own embedding")])
def test_separation_is_said_against_the_encoder_as_it_came(regime, words):
    sides = {f"{side}_{name}": value for side in "ab" for name, value in {"encoder": "a", "layer": "top", "pool": "mean"}.items()}
    row = {"question": "tuning", "metric": "separation_auroc", **sides, "a_regime": "frozen", "b_regime": regime}
    row |= {"a_background": 1.0, "b_background": 1.0, "a_value": 0.8, "b_value": 0.9, "ci_low": None, "ci_high": None}
    reasons = choose([candidate("a", regime, 0.9, 0.9)], [row], DATA, "map")["reasons"]
    assert f"Background against calls in its embedding: AUROC 0.900, 0.800 {words}." in reasons


def test_warnings_and_random_weights_are_caveats():
    found = choose([candidate("a:random", "full", 0.9, 0.9, pretraining="none")], [], DATA, "map")
    assert found["caveats"] == ["Beware.", "a:random started from random weights: their published weights may do better."]


def test_a_verdict_where_there_is_one_says_what_is_tied_and_why():
    alike = best_row("b", "full", -0.03, 0.01) | {"verdict": "alike", "p_holm": 0.2}
    open_ = best_row("c", "full", -0.2, 0.2) | {"verdict": "undecided", "p_holm": 0.9, "detectable": 0.12, "n_groups": 13}
    lower = best_row("d", "full", -0.3, -0.1) | {"verdict": "lower", "p_holm": 0.01}
    # Its own interval leaves out zero, but among so many comparisons that is no surprise.
    chance = best_row("e", "full", -0.2, -0.01) | {"verdict": "undecided", "p_holm": 0.3, "detectable": 0.1, "n_groups": 13}
    candidates = [candidate(name, "full", valid, 0.8) for name, valid in zip("abcde", (0.9, 0.8, 0.7, 0.6, 0.5), strict=True)]
    found = choose(candidates, [alike, open_, lower, chance], DATA, "map")
    assert [tied["encoder"] for tied in found["tied"]] == ["b", "c", "e"]
    assert "As good on this test split, within 0.05 at most: b full." in found["reasons"]
    told = "Not distinguishable from it on this test split (with its 13 groups only a difference of about 0.12 would show): c full, e full."
    assert told in found["reasons"]


def test_too_few_groups_for_so_many_comparisons_are_said_to_be_so():
    rows = [best_row(f"b{at}", "full", -0.2, 0.2) | {"verdict": "undecided", "p": 0.1, "p_holm": 1.0, "n_groups": 8} for at in range(19)]
    candidates = [candidate("a", "full", 0.9, 0.8), *(candidate(f"b{at}", "full", 0.5, 0.7) for at in range(19))]
    told = "(its 8 groups are too few to tell any pair apart among 19 comparisons): "
    assert any(told in reason for reason in choose(candidates, rows, DATA, "map")["reasons"])
    assert not any(told in reason for reason in choose(candidates[:3], rows[:2], DATA, "map")["reasons"])


@pytest.mark.parametrize(
    ("row", "sign"),
    [
        ({"verdict": "higher", "ci_low": 0.1, "ci_high": 0.2}, 1),
        ({"verdict": "lower", "ci_low": -0.2, "ci_high": -0.1}, -1),
        ({"verdict": "undecided", "ci_low": 0.1, "ci_high": 0.2}, 0),
        ({"verdict": "alike", "ci_low": 0.01, "ci_high": 0.02}, 0),
        ({"verdict": None, "p": None, "ci_low": 0.1, "ci_high": 0.2}, 0),
        ({"verdict": None, "p": 0.01, "p_holm": 0.4, "ci_low": 0.1, "ci_high": 0.2}, 0),
        ({"ci_low": -0.2, "ci_high": -0.1}, -1),  # foreseen, not compared
        ({"ci_low": -0.2, "ci_high": 0.1}, 0),
        ({"ci_low": None, "ci_high": None}, 0),
    ],
)
def test_beyond_chance_is_by_verdict_and_a_comparison_that_could_not_be_tested_is_not(row, sign):
    assert beyond_chance(row) == sign


def test_nothing_scored_is_said():
    assert "Nothing could be chosen" in choose([], [], DATA, "map")["headline"]


def test_another_layer_of_the_best_encoder_is_a_tie_and_bears_its_layer():
    best = candidate("a", "linear", 0.9, 0.9)
    deep = candidate("a", "frozen", 0.8, 0.88, layer="layer6", reading="layer6")
    found = choose([best, deep], [best_row("a", "frozen", -0.1, 0.1, layer="layer6")], DATA, "map")
    assert found["tied"] == [{"encoder": "a", "regime": "frozen", "background": 1.0, "layer": "layer6", "pool": "mean", "policy": "share"}]
    assert any("a (layer6) frozen" in sentence for sentence in found["reasons"])


def test_a_licence_that_restricts_is_a_caveat_once():
    restricted = {"name": "perch", "licence_notice": "licence of the weights of 'perch': NC; ask", "note": "It hears birds"}
    found = choose(
        [candidate("a", "full", 0.9, 0.9)], [], DATA, "map", [restricted, restricted, {"name": "b", "licence_notice": None, "note": ""}]
    )
    assert found["caveats"] == ["Beware.", "Licence of the weights of 'perch': NC; ask.", "perch: It hears birds."]


def test_an_encoder_read_at_several_layers_is_named_with_each_the_default_too():
    default, deep = candidate("a", "frozen", 0.9, 0.9, layer="pooled"), candidate("a", "frozen", 0.8, 0.8, layer="layer3", reading="layer3")
    other = candidate("b", "frozen", 0.7, 0.7)
    found = choose([default, deep, other], [best_row("a", "frozen", -0.1, 0.1, layer="layer3")], DATA, "map")
    assert found["headline"].startswith("Use a (pooled) frozen:")
    tied = next(sentence for sentence in found["reasons"] if sentence.startswith("Not distinguishable"))
    assert tied.endswith("a (layer3) frozen.")
    alone = choose([deep, other], [], DATA, "map")
    assert alone["headline"].startswith("Use a (layer3) frozen:") and alone["layer"] == "layer3"


@pytest.mark.parametrize(
    ("regime", "policy", "words"),
    [
        ("full", "1", "a fully fine-tuned"),
        ("full", "0.1", "a fully fine-tuned on 10 % of the background"),
        ("last:2", "0", "a with its last 2 blocks tuned on none of the background"),
        ("lora", "hard:0.1", "a tuned by LoRA on 10 % of the background, hardest first"),
        ("linear", "ratio:2", "a with a linear head with two background windows for each labelled one"),
        ("full", "1+class", "a fully fine-tuned with background as a class"),
        ("full", "0.5+class", "a fully fine-tuned on 50 % of the background, with background as a class"),
        ("full", "clean-all", "a fully fine-tuned with background dropped from train, valid and test"),
    ],
)
def test_a_choice_is_said_with_its_regime_and_its_background_policy(regime, policy, words):
    policy = parse_policy(policy, clean_all_allowed=True)
    assert candidate("a", regime, 0.9, 0.9, background=policy.amount, policy=policy.name).describe() == words


def test_of_equals_the_cheaper_regime_is_taken_among_all_there_are():
    regimes = ["lp-ft", "full", "lora", "attentive", "mlp", "prototype"]
    candidates = [candidate("a", regime, 0.9, 0.9) for regime in regimes]
    taken = []
    while candidates:
        taken.append(best_of(candidates).regime)
        candidates = [one for one in candidates if one.regime != taken[-1]]
    assert taken == regimes[::-1]


def test_what_was_judged_without_background_is_chosen_only_where_all_was():
    whole, clean = candidate("a", "full", 0.5, 0.5), candidate("b", "full", 0.9, 0.9, background=0.0, policy="clean-all")
    assert best_of([clean, whole]) is whole
    found = choose([clean, whole], [], DATA, "map")
    assert found["encoder"] == "a" and any("clean-all" in sentence for sentence in found["caveats"])
    alone = choose([clean], [], DATA, "map")
    assert (alone["encoder"], alone["policy"]) == ("b", "clean-all")
    assert "background dropped from train, valid and test" in alone["headline"] and alone["caveats"] == ["Beware."]


def test_what_tuning_changed_is_said_for_every_regime_that_tunes():
    def row(regime, difference, low, high, background=1.0, policy="share"):
        sides = {"encoder": "a", "layer": "top", "pool": "mean"}
        return {
            "question": "tuning",
            "metric": "map",
            **{f"{side}_{name}": value for side in "ab" for name, value in sides.items()},
            **{"a_regime": "frozen", "a_background": 1.0, "a_policy": "share"},
            **{"b_regime": regime, "b_background": background, "b_policy": policy},
            **{"difference": difference, "ci_low": low, "ci_high": high},
        }

    rows = [row("lora", 0.2, 0.1, 0.3), row("last:2", -0.2, -0.3, -0.1), row("mlp", 0.2, 0.1, 0.3), row("full", 0.3, 0.2, 0.4, 0.1, "hard")]
    [sentence] = [s for s in choose([candidate("a", "lora", 0.9, 0.9)], rows, DATA, "map")["reasons"] if "tuning" in s]
    assert sentence == (
        "Fine-tuning, against a linear probe on the frozen network, raised the mAP of a (lora, +0.200); lowered that of a (last:2, -0.200)."
    )


def test_what_tuning_did_not_change_is_told_from_too_little_data():
    def row(encoder, verdict, **more):
        own = best_row(encoder, "full", -0.4, 0.4) | {"question": "tuning", "a_encoder": encoder, "a_regime": "frozen", "verdict": verdict}
        return own | {"difference": 0.0, "a_layer": "top", "a_pool": "mean", "a_background": 1.0} | more

    rows = [row("a", "alike"), row("b", "undecided", detectable=0.6, n_groups=9), row("c", "undecided")]
    said = [s for s in choose([candidate("a", "full", 0.9, 0.9)], rows, DATA, "map")["reasons"] if "tuning" in s]
    assert said == [
        "Full fine-tuning, against a linear probe on the frozen network, made no difference that matters (0.05 at most) for a.",
        "Whether full fine-tuning changes the mAP of b (with its 9 groups only a difference of about 0.60 would show), c is open: "
        "this test split holds too little data to say.",
    ]


def test_the_studys_question_leaves_out_what_was_tuned_before_the_bench():
    given = [
        candidate("yamnet", "frozen", 0.9, 0.9),
        candidate("alexnet:random", "full", 0.8, 0.8, pretraining="none"),
        candidate("my/tuned-yamnet", "frozen", 0.9, 0.9),
        candidate("my/tuned-alexnet", "full", 0.8, 0.8, pretraining="image"),
    ]
    pairs = comparisons._pairs([one.choice for one in given], given)
    assert [(a.encoder, b.encoder) for question, a, b in pairs if question == "study"] == [("yamnet", "alexnet:random")]


def test_random_weights_are_a_caveat_only_where_the_published_ones_are_not_in_the_run():
    random, published = candidate("a:random", "frozen", 0.5, 0.5, pretraining="none"), candidate("a", "frozen", 0.9, 0.9)
    assert any("their published weights may do better" in sentence for sentence in choose([random], [], DATA, "map")["caveats"])
    assert not any("published weights" in sentence for sentence in choose([random, published], [], DATA, "map")["caveats"])
