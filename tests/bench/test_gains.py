"""What would improve a choice: from planted differences and a planted learning curve."""

import json

import pytest

from callspace.bench.gains import gains_of, signed, with_interval
from study_rows import difference

LESS = (0.1, "share")
CHOICE = {"encoder": "yamnet", "regime": "linear", "background": 1.0, "layer": "top", "pool": "mean", "policy": "share", "metric": "map"}
FULL = CHOICE | {"regime": "full"}


def tuned(regime, value, error=0.01, encoder="yamnet", **more):
    return difference("tuning", (encoder, "frozen"), (encoder, regime), "map", value, error, **{"p": 0.001} | more)


def cleaned(value, error=0.01, regime="linear", kept=LESS):
    return difference("background", ("yamnet", regime), ("yamnet", regime, kept), "map", value, error, p=0.001)


def curve(value, low, high, **more):
    def ahead(multiple, by):
        gain = {"value": by * value, "ci_low": by * low, "ci_high": by * high}
        return {"multiple": multiple, "groups": 20 * multiple, "score": {}, "gain": gain}

    return {"expected": [ahead(2, 1), ahead(4, 1.6)], "groups": 20, "unit": "recordings", "encoder": "yamnet", "reason": ""} | more


def best(a, b, value, error=0.01, **more):
    return difference("best", ("yamnet", a), ("yamnet", b), "map", value, error, **{"p": 0.001} | more)


def gains(rows=(), choice=CHOICE, task="detection", trainable=True, labels=None, score=None):
    found = gains_of(choice, list(rows), task, trainable, labels, score)
    json.dumps(found, allow_nan=False)
    return found


def test_more_labels_are_told_as_a_biologist_reads():
    found = gains(labels=curve(0.03, 0.01, 0.06))["labels"]
    assert found["sentence"].startswith(
        "Twice as many labelled recordings would bring about +0.03 (0.01 to 0.06) mAP, four times as many +0.05 (0.02 to 0.10)"
    )
    assert (found["value"], found["ci_low"], found["ci_high"], found["multiple"]) == (0.03, 0.01, 0.06, 2)


def test_too_few_groups_say_so_and_no_curve_says_that():
    few = gains(labels=curve(0, 0, 0, expected=[], reason="Too few groups: the train split has 5."))["labels"]
    assert few["value"] is None and few["sentence"] == "What more labels would bring can't be said. Too few groups: the train split has 5."
    assert gains()["labels"]["sentence"] == "What more labels would bring was not measured."


def test_what_tuning_would_bring_is_the_best_of_what_was_tried_with_its_interval():
    found = gains([tuned("lora", 0.05), tuned("full", 0.12), tuned("full", 0.9, encoder="aves-all"), tuned("linear", 0.5)])["tuning"]
    assert found["regime"] == "full" and found["value"] == 0.12 and found["ci_low"] == pytest.approx(0.1004, abs=1e-4)
    assert "full tuning, the best of 2 tried" in found["sentence"] and found["sentence"].endswith(": a gain beyond chance.")
    assert gains([tuned("full", -0.2)])["tuning"]["sentence"].endswith("a loss beyond chance.")


def test_of_a_tuned_choice_it_is_what_its_own_tuning_brought():
    found = gains([tuned("lora", 0.3), tuned("full", 0.12)], FULL)["tuning"]
    assert found["sentence"].startswith("Tuning it brought +0.12 (+0.10 to +0.14) mAP") and found["regime"] == "full"


def test_what_was_not_tried_says_how_to_try_it():
    found = gains()
    assert "add lora or full to --regimes" in found["tuning"]["sentence"] and "add --background 1,0.1" in found["background"]["sentence"]
    assert gains(trainable=False)["tuning"]["sentence"] == "yamnet cannot be tuned."
    assert "Clips hold no background" in gains(task="classification")["background"]["sentence"]
    assert "Nothing was trained" in gains(choice=CHOICE | {"regime": "frozen"})["background"]["sentence"]


def test_a_tuned_choice_without_its_frozen_encoder_lacks_that_and_no_tuning():
    found = gains(choice=FULL)["tuning"]
    assert found["value"] is None and found["sentence"].endswith("add frozen to --regimes.") and "not tried" not in found["sentence"]


@pytest.mark.parametrize("regime", ["linear", "attentive"])
def test_what_tuning_would_bring_another_head_is_against_the_choice_itself(regime):
    """A linear head whose frozen encoder was not run, and a head that may do better than a linear probe."""
    rows = [best(regime, "full", 0.05), best(regime, "linear", 0.5), best("full", "lora", 0.6)]
    rows += [tuned("full", 0.3)] if regime == "attentive" else []
    found = gains(rows, CHOICE | {"regime": regime})["tuning"]
    assert found["value"] == 0.05 and "against the choice as it is" in found["sentence"]


def test_a_gain_over_a_probe_is_none_over_another_head():
    found = gains([tuned("full", 0.3)], CHOICE | {"regime": "attentive"})
    assert found["tuning"]["value"] == 0.3 and found["most"] is None


def test_alike_is_told_from_too_little_data():
    alike = tuned("full", 0.001, 0.004, p=0.8, verdict="alike", detectable=0.012, n_groups=40)
    assert gains([alike])["tuning"]["sentence"].endswith(": no difference that matters (0.05 at most).")
    open_ = tuned("full", 0.0, 0.2, p=0.9, verdict="undecided", detectable=0.62, n_groups=9)
    told = gains([open_])["tuning"]["sentence"]
    assert told.endswith(": too little data to say (with its 9 groups only a difference of about 0.62 would show).")
    unknown = gains([open_ | {"detectable": None}, cleaned(0.0, 0.2) | {"p": None, "verdict": None}])
    assert unknown["tuning"]["sentence"].endswith(": too little data to say.")
    assert unknown["background"]["sentence"].endswith(": too little data to say.")


def test_of_a_tuned_choice_the_learning_curve_is_an_illustration():
    found = gains([tuned("full", 0.3)], FULL, labels=curve(0.1, 0.05, 0.2), score=0.97)
    labels = found["labels"]
    assert labels["value"] is labels["ci_low"] is None and found["most"] is None
    assert labels["sentence"].startswith(
        "What more labels would bring the tuned network is not known, and is at most +0.03. A linear probe on the frozen "
    )
    assert "would bring it about +0.10 (0.05 to 0.20) mAP" in labels["sentence"]


def test_no_more_is_promised_than_is_left_to_gain():
    labels = gains(labels=curve(0.1, 0.05, 0.2), score=0.92)["labels"]
    assert (labels["value"], labels["ci_low"], labels["ci_high"]) == (pytest.approx(0.08), 0.05, pytest.approx(0.08))
    assert "about +0.08 (0.05 to 0.08) mAP, four times as many +0.08 (0.08 to 0.08)" in labels["sentence"]
    assert gains(labels=curve(0.1, 0.05, 0.2), score=1.0)["most"] is None


def test_cleaning_background_is_told_for_the_chosen_encoder_and_regime():
    found = gains([cleaned(0.04), cleaned(-0.02, kept=(0.0, "share")), cleaned(0.5, regime="full")])["background"]
    assert (found["value"], found["policy"]) == (0.04, "0.1")
    mine = gains([cleaned(0.04)], CHOICE | {"background": 0.1})["background"]
    assert mine["sentence"].startswith("Keeping less background in training (0.1) brought +0.04")


@pytest.mark.parametrize(
    ("rows", "labels", "choice", "most"),
    [
        ([tuned("full", 0.12)], curve(0.03, 0.01, 0.06), CHOICE, "tuning"),
        ([tuned("full", 0.02)], curve(0.2, 0.1, 0.3), CHOICE, "labels"),
        ([tuned("full", 0.12)], curve(0.03, 0.01, 0.06), FULL, None),  # it has that gain already, and labels are not known to bring it any
        ([tuned("full", 0.12, 0.1), cleaned(0.05)], curve(0.3, 0.0, 0.6), CHOICE, "background"),
        ([tuned("full", 0.12, 0.1)], None, CHOICE, None),
    ],
)
def test_what_would_help_most_is_beyond_chance_and_not_had_already(rows, labels, choice, most):
    assert gains(rows, choice, labels=labels)["most"] == most


def test_what_would_help_most_heeds_the_runs_own_verdict():
    held_back = [tuned("full", 0.12, 0.05, p_holm=0.2), cleaned(0.05) | {"verdict": "undecided", "p_holm": 0.2}]
    found = gains(held_back)
    assert found["most"] is None and found["sentence"].startswith("Nothing that was tried")
    for name in ("tuning", "background"):
        assert found[name]["sentence"].endswith(": too little data to say, once corrected for the number of comparisons.")
    assert gains([tuned("full", 0.12, 0.05, p_holm=0.2), cleaned(0.05, 0.02) | {"p_holm": 0.04}])["most"] == "background"


def test_a_difference_without_an_interval_claims_nothing():
    found = gains([tuned("full", 0.3, None)])
    assert found["most"] is None and "no interval: too few groups" in found["tuning"]["sentence"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.034, "+0.03"), (-0.3, "\N{MINUS SIGN}0.30"), (0.002, "+0.002"), (0.0001, "0.00"), (-0.0001, "0.00"), (0.0, "0.00")],
)
def test_differences_have_signs(value, text):
    assert signed(value) == text


def test_the_ends_of_a_gain_stand_without_a_plus():
    row = {"difference": 0.03, "ci_low": 0.01, "ci_high": 0.06}
    assert with_interval(row, signs=False) == "+0.03 (0.01 to 0.06)" and with_interval(row) == "+0.03 (+0.01 to +0.06)"
