"""The paired differences that answer a bench's questions, on simulated heads over the same windows."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from callspace import tables
from callspace.bench import comparisons as module
from callspace.bench.choice import Candidate
from callspace.bench.comparisons import comparisons, not_compared
from callspace.bench.plan import Choice
from callspace.evaluation.averages import average
from callspace.evaluation.predictions import head_predictions
from callspace.evaluation.scores import Key
from callspace.metrics.multiple import holm

DATA = SimpleNamespace(name="field", task="classification", labels=["a", "b"])
PROTOCOL = SimpleNamespace(spaces=("full", "umap-50-0.5"), clusterers=("kmeans",))


def choice(encoder: str, regime: str = "frozen", background: float = 1.0, policy: str = "share") -> Choice:
    return Choice(encoder, regime, background, "top", "mean", policy)


def judged(which: Choice, skill: float, seed: int, n_groups: int = 24):
    """The averages of a head that is right where its skill, what its recording adds (alike for all) and its own chance add up to more than 0."""
    fixed, own = np.random.default_rng(0), np.random.default_rng(seed)
    truth = np.repeat(fixed.integers(0, 2, n_groups), 6)
    right = skill + np.repeat(fixed.normal(size=n_groups), 6) + own.normal(size=len(truth)) > 0
    rows = [
        {"window_id": at, "recording": f"{at // 6:02d}.wav", "onset_s": 0.0, "offset_s": 1.0, "labels": ["ab"[code]], "split": "test"}
        | {"group": f"{at // 6:02d}"}
        for at, code in enumerate(truth)
    ]
    predictions = head_predictions(
        np.eye(2)[np.where(right, truth, 1 - truth)], tables.from_rows(rows, tables.WINDOWS), ["a", "b"], "classification"
    )
    if which.regime == "frozen":
        names = ["scores:linear" if name == "scores:head" else name for name in predictions.column_names]
        predictions = predictions.rename_columns(names)
    if which.regime != "linear":  # a linear head leaves the structure as it is
        for space in PROTOCOL.spaces:
            predictions = predictions.append_column(f"cluster:{space}:kmeans", pa.array(np.where(right, truth, 1 - truth), pa.int32()))
    return average([predictions], ["a", "b"], "classification", n_bootstrap=200)


@pytest.fixture(scope="module")
def averages():
    choices = {
        choice("alexnet"): 0.2,
        choice("alexnet", "linear"): 0.3,
        choice("alexnet", "full"): 1.6,
        choice("alexnet", "full", 0.1): 1.5,
        choice("yamnet"): 1.0,
        choice("yamnet", "full", 0.0, "clean-all"): 1.0,
        choice("yamnet", "frozen", 0.0, "clean-all"): 0.6,
    }
    return {which: judged(which, skill, seed) for seed, (which, skill) in enumerate(choices.items())}


@pytest.fixture(scope="module")
def candidates(averages):
    pretraining = {"alexnet": "image", "yamnet": "audio"}
    return [Candidate(which, pretraining[which.encoder], at / 10, None, None, None) for at, which in enumerate(averages)]


@pytest.fixture(scope="module")
def rows(averages, candidates):
    return comparisons(averages, candidates, DATA, PROTOCOL)


def sides(row) -> tuple[Choice, Choice]:
    return tuple(Choice(**{name: row[f"{side}_{name}"] for name in Choice._fields}) for side in "ab")


def test_any_two_choices_are_compared_once_where_they_were_judged_on_the_same_windows(averages, rows):
    pairs = [sides(row) for row in rows if row["question"] == "pair" and row["metric"] == "accuracy"]
    order = list(averages)
    assert len(pairs) == len(set(pairs)) == 4 * 3 // 2 + 1
    for a, b in pairs:
        assert a.clean == b.clean
        assert order.index(a) < order.index(b)


def test_pairs_have_their_structure_compared_in_every_space_where_both_have_one(rows):
    found = [row for row in rows if row["question"] == "pair" and row["metric"] == "nmi"]
    assert {row["space"] for row in found} == set(PROTOCOL.spaces)
    assert not [row for row in found if "linear" in (row["a_regime"], row["b_regime"])]
    assert len(found) == 2 * (4 * 3 // 2 + 1)


@pytest.mark.parametrize("question", ["pair", "best"])
def test_a_frozen_encoder_stands_aside_for_its_own_linear_head_so_that_holm_counts_no_copies(rows, question):
    own = [row for row in rows if row["question"] == question and row["metric"] == "accuracy"]
    assert own and choice("alexnet") not in {side for row in own for side in sides(row)}
    assert question == "best" or choice("yamnet") in {side for row in own for side in sides(row)}  # it has no head of its own


def test_scores_over_other_folds_are_not_compared():
    """A choice that lost one fold, beside one that lost another."""
    a, b = choice("a", "full"), choice("b", "full")
    key = Key("full", "head", None, "accuracy")
    both = {which: judged(which, 0.5, 0, groups) for which, groups in ((a, 24), (b, 20))}
    assert key in both[a] and key in both[b]
    assert comparisons(both, [Candidate(which, "image", None, None, None, None) for which in both], DATA, PROTOCOL) == []


def test_two_encoders_with_their_linear_heads_are_one_comparison():
    both = {
        choice(name, regime): judged(choice(name, regime), skill, seed)
        for seed, (name, skill) in enumerate([("a", 0.0), ("b", 2.0)])
        for regime in ("frozen", "linear")
    }
    held = [Candidate(which, "image", at / 10, None, None, None) for at, which in enumerate(both)]
    for question in ("pair", "best"):
        [row] = [row for row in comparisons(both, held, DATA, PROTOCOL) if row["question"] == question and row["metric"] == "accuracy"]
        assert (row["a_regime"], row["b_regime"], row["p_holm"]) == ("linear", "linear", row["p"])


def test_its_own_linear_head_is_not_asked_whether_it_is_better_than_the_frozen_encoder(rows):
    """The two predict the same: a difference that is zero whatever the data would cost the others in Holm's procedure."""
    asked = [sides(row) for row in rows if row["question"] == "tuning"]
    assert (choice("alexnet"), choice("alexnet", "full")) in asked
    assert (choice("alexnet"), choice("alexnet", "linear")) not in asked


@pytest.mark.parametrize(("background", "policy"), [(0.1, "share"), (1.0, "share+class")])
def test_a_linear_head_under_another_policy_is_asked_since_its_training_windows_are_others(background, policy):
    frozen, head = choice("a"), choice("a", "linear", background, policy)
    both = {frozen: judged(frozen, 0.0, 0), head: judged(head, 0.5, 1)}
    found = comparisons(both, [Candidate(which, "image", None, None, None, None) for which in both], DATA, PROTOCOL)
    assert [sides(row) for row in found if row["question"] == "tuning"] == [(frozen, head)]


@pytest.fixture(scope="module")
def many():
    """Two of them one network with two pretrainings; two fully fine-tuned, of which one knows sound."""
    held = {
        choice("hubert-base"): "speech",
        choice("aves"): "bioacoustic",
        choice("alexnet"): "image",
        choice("yamnet", "full"): "audio",
        choice("resnet18", "full"): "image",
        choice("resnet18", "linear"): "image",
    }
    averages = {which: judged(which, 0.2 * seed, seed) for seed, which in enumerate(held)}
    return averages, [Candidate(which, kind, at / 10, None, None, None) for at, (which, kind) in enumerate(held.items())]


def test_of_many_choices_structure_is_compared_where_a_question_needs_it_and_the_rest_is_told(many, monkeypatch):
    averages, candidates = many
    whole = comparisons(*many, DATA, PROTOCOL)
    assert not_compared(*many, PROTOCOL) is None
    monkeypatch.setattr(module, "_MOST_PAIRS", 9)
    found = comparisons(averages, candidates, DATA, PROTOCOL)
    assert [row for row in found if row["metric"] == "accuracy"] == [row for row in whole if row["metric"] == "accuracy"]
    pairs = [sides(row) for row in found if (row["question"], row["metric"], row["space"]) == ("pair", "nmi", "full")]
    assert pairs == [
        (choice("hubert-base"), choice("aves")),  # a matched pair
        (choice("yamnet", "full"), choice("resnet18", "full")),  # of the study's second claim
    ]
    others = [[row for row in rows if row["question"] != "pair"] for rows in (found, whole)]
    assert others[0] == others[1]
    said = not_compared(*many, PROTOCOL)
    assert said.startswith("Among the 6 choices 8 of 10 pairs were compared by their main score alone")


def test_what_has_no_structure_of_its_own_makes_no_pairs_too_many(many, monkeypatch):
    monkeypatch.setattr(module, "_MOST_PAIRS", 10)  # of 15 pairs 10 have a clustering on both sides
    assert not_compared(*many, PROTOCOL) is None


def test_a_difference_is_that_of_the_values_and_lies_in_its_interval(rows):
    for row in rows:
        assert row["difference"] == pytest.approx(row["b_value"] - row["a_value"])
        assert row["ci_low"] <= row["difference"] <= row["ci_high"]
        assert (row["ci_method"], row["n_groups"], row["freedom"]) == ("percentile", 24, 23)
        assert 0 < row["p"] <= row["p_holm"] <= 1
        assert row["detectable"] > 0


def test_p_values_are_adjusted_within_a_question_and_metric(rows):
    for family in {(row["question"], row["metric"]) for row in rows}:
        own = [row for row in rows if (row["question"], row["metric"]) == family]
        assert [row["p_holm"] for row in own] == pytest.approx(holm([row["p"] for row in own]))


def test_what_is_clear_is_called_so_and_what_is_not_is_left_undecided(rows):
    verdicts = {(row["question"], sides(row)): row["verdict"] for row in rows if row["metric"] == "accuracy"}
    frozen, linear, full = choice("alexnet"), choice("alexnet", "linear"), choice("alexnet", "full")
    assert verdicts["pair", (linear, full)] == verdicts["tuning", (frozen, full)] == "higher"
    assert verdicts["pair", (full, choice("yamnet"))] in ("lower", "undecided")
    assert verdicts["background", (full, choice("alexnet", "full", 0.1))] == "undecided"


def test_the_same_averages_give_the_same_rows(averages, candidates, rows):
    assert comparisons(averages, candidates, DATA, PROTOCOL) == rows


def test_what_is_detectable_is_of_all_that_are_compared_together():
    """Eight groups can tell two choices apart, but none of ten pairs."""
    choices = [choice(name, "full") for name in "abcde"]
    for n, told in ((2, True), (5, False)):
        few = {which: judged(which, at / 2, at, 8) for at, which in enumerate(choices[:n])}
        found = comparisons(few, [Candidate(which, "image", None, None, None, None) for which in few], DATA, PROTOCOL)
        pairs = [row for row in found if (row["question"], row["metric"]) == ("pair", "accuracy")]
        assert len(pairs) == n * (n - 1) // 2
        assert {row["detectable"] is not None for row in pairs} == {told}


def test_with_few_groups_there_are_differences_and_no_verdicts():
    few = {which: judged(which, skill, seed, 4) for seed, (which, skill) in enumerate([(choice("a"), 0.0), (choice("b"), 2.0)])}
    (row,) = [
        row
        for row in comparisons(few, [Candidate(which, "image", None, None, None, None) for which in few], DATA, PROTOCOL)
        if row["metric"] == "accuracy"
    ]
    assert row["difference"] == pytest.approx(row["b_value"] - row["a_value"])
    assert {row[name] for name in ("ci_low", "ci_high", "ci_method", "p", "p_holm", "detectable", "verdict")} == {None}
    assert row["n_groups"] == 4


def test_the_rows_fit_their_table_and_an_older_one_is_read_with_what_it_lacks_as_null(rows, tmp_path):
    table = tables.from_rows(rows, tables.COMPARISONS)
    tables.write_parquet(table, tmp_path / "new.parquet")
    assert tables.read_parquet(tmp_path / "new.parquet", tables.COMPARISONS).equals(table)
    tables.write_parquet(table.drop_columns(["p", "p_holm", "detectable", "n_groups", "verdict", "ci_method"]), tmp_path / "old.parquet")
    old = tables.read_parquet(tmp_path / "old.parquet", tables.COMPARISONS)
    assert old.schema == tables.COMPARISONS
    assert old["difference"].equals(table["difference"])
    assert old["verdict"].null_count == old["p"].null_count == len(rows)
