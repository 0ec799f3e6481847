"""Problems of a diagnosis among the caveats of a choice."""

from callspace.bench.caveats import with_problems
from callspace.evaluation.diagnosis.finding import Finding

CHOICE = {
    "encoder": "yamnet",
    "layer": "top",
    "pool": "mean",
    "regime": "linear",
    "background": 1.0,
    "policy": "share",
    "caveats": ["Own."],
}
MINE = {"encoder": "yamnet", "layer": "top", "pool": "mean", "regime": "frozen"}


def problems(count):
    return [Finding("collapse", MINE, "problem", f"It collapsed {number} times.") for number in range(count)]


def test_what_an_earlier_diagnosis_found_goes():
    first = with_problems(CHOICE, problems(5))
    assert len(first["caveats"]) == 5
    assert with_problems(first, problems(1))["caveats"] == ["Own.", "The diagnosis found a problem: It collapsed 0 times."]
    assert with_problems(first, []) == CHOICE
    assert with_problems(first, problems(5)) == first


def test_problems_of_others_and_what_is_worth_a_look_are_no_caveats():
    others = [
        Finding("collapse", MINE | change, "problem", "Of another.")
        for change in ({"encoder": "mfcc"}, {"regime": "full"}, {"pool": "max"})
    ]
    assert with_problems(CHOICE, [*others, Finding("hubs", MINE, "look", "Look.")]) == CHOICE


def test_where_nothing_was_chosen_there_are_no_problems_of_it():
    assert with_problems({"encoder": None, "caveats": []}, problems(2)) == {"encoder": None, "caveats": []}
