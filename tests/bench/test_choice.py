from types import SimpleNamespace

import pytest

from callspace.adaptation.background import parse_policy
from callspace.bench.choice import Candidate, best_of, choose
from callspace.bench.plan import Choice

DATA = SimpleNamespace(warnings=["Beware."])


def candidate(encoder, regime, valid, test, background=1.0, pretraining="audio", layer="top", reading="", policy="share"):
    return Candidate(
        Choice(encoder, regime, background, layer, "mean", policy), pretraining, valid, test, test - 0.05, test + 0.05, reading=reading
    )


def best_row(encoder, regime, low, high, layer="top"):
    return {
        "question": "best",
        "metric": "map",
        "b_encoder": encoder,
        "b_layer": layer,
        "b_pool": "mean",
        "b_regime": regime,
        "b_background": 1.0,
        "b_policy": "share",
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


def test_a_probe_that_pools_anew_is_an_embedding_of_its_own():
    for regime, tied in (("mlp", 0), ("prototype", 0), ("attentive", 1), ("lora", 1)):
        candidates = [candidate("a", "linear", 0.9, 0.9), candidate("a", regime, 0.8, 0.9)]
        assert len(choose(candidates, [best_row("a", regime, -0.1, 0.1)], DATA, "map")["tied"]) == tied


def test_warnings_and_random_weights_are_caveats():
    found = choose([candidate("a:random", "full", 0.9, 0.9, pretraining="none")], [], DATA, "map")
    assert found["caveats"] == ["Beware.", "a:random started from random weights: their published weights may do better."]


def test_the_studys_question_is_answered_in_words_and_said_to_be_an_illustration():
    row = {
        "question": "study",
        "metric": "map",
        **{"a_encoder": "yamnet", "a_regime": "frozen", "a_background": 1.0, "a_layer": "top", "a_pool": "mean"},
        **{"b_encoder": "alexnet:random", "b_regime": "full", "b_background": 1.0, "b_layer": "top", "b_pool": "mean"},
        "a_value": 0.9,
        "b_value": 0.5,
    }
    row |= {"difference": -0.4, "ci_low": -0.5, "ci_high": -0.3}
    found = choose([candidate("yamnet", "frozen", 0.9, 0.9)], [row], DATA, "map")
    [sentence] = [s for s in found["reasons"] if "study" in s]
    assert "yamnet frozen against alexnet:random fully fine-tuned: mAP 0.900 against 0.500" in sentence
    assert "illustrate" in sentence


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
