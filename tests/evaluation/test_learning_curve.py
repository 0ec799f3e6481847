"""The learning curve on data whose truth is known, and on data that is too little; the long simulation is ``benchmarks/learning_curve.py``."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from callspace.errors import CallspaceError
from callspace.evaluation.learning_curve import FEWEST_GROUPS, LearningCurve, _curve, _Data, _orders, _sizes, learning_curve

SPEC = importlib.util.spec_from_file_location("simulation", Path(__file__).resolve().parents[2] / "benchmarks" / "learning_curve.py")
simulation = importlib.util.module_from_spec(SPEC)
import sys  # noqa: E402

sys.modules["simulation"] = simulation  # its dataclass asks for its module
SPEC.loader.exec_module(simulation)

CLIPS = next(iter(simulation.SETTINGS.values()))
SOUNDSCAPES = replace(CLIPS, task="detection")


def measured(world=CLIPS, seed=0, groups=None, change=lambda vectors, windows: (vectors, windows), **asked):
    vectors, windows = change(*simulation.draw(world, groups or world.groups, seed))
    return learning_curve(vectors, windows, simulation.labels_of(world), world.task, **{"draws": 4, "n_bootstrap": 60} | asked)


def column(windows, name, values):
    return windows.set_column(windows.column_names.index(name), name, pa.array(values, windows.schema.field(name).type))


@pytest.fixture(scope="module")
def curve():
    return measured()


def test_it_rises_with_the_groups_and_ends_with_all(curve):
    assert [point.groups for point in curve.points] == _sizes(16) == [2, 3, 4, 6, 8, 11, 16]
    values = [point.value for point in curve.points]
    assert values[-1] > values[0] + 0.05
    assert all(point.ci_low <= point.value <= point.ci_high for point in curve.points)
    assert len(set(curve.points[-1].draws)) == 1 and len(set(curve.points[0].draws)) > 1


def test_the_last_point_is_a_logistic_regression_of_all_train_windows(curve):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    vectors, windows = simulation.draw(CLIPS, CLIPS.groups, 0)
    split, label = np.array(windows["split"].to_pylist()), np.array([own[0] for own in windows["labels"].to_pylist()])
    scaler = StandardScaler().fit(vectors[split == "train"])
    parts = {name: (scaler.transform(vectors[split == name]), label[split == name]) for name in ("train", "valid", "test")}
    fits = [LogisticRegression(C=c, max_iter=5000, tol=1e-8).fit(*parts["train"]) for c in (0.0001, 0.001, 0.01, 0.1, 1.0)]
    best = max(fits, key=lambda fit: fit.score(*parts["valid"]))
    assert curve.points[-1].value == pytest.approx(best.score(*parts["test"]), abs=1.5 / len(parts["test"][1]))


def test_subsets_are_nested_and_keep_the_kinds_of_call():
    vectors, windows = simulation.draw(CLIPS, CLIPS.groups, 0)
    own = [
        ["c0"] if group < "train5" else ["c1"] for group in windows["group"].to_pylist()
    ]  # names sort as text: 12 groups of the one kind
    data = _Data.of(vectors, column(windows, "labels", own), ["c0", "c1"], "classification")
    first = {group for group in data.groups["train"] if group < "train5"}
    for order in _orders(data, 20, 0):
        assert sorted(order) == sorted(set(data.groups["train"]))
        half = set(order[: len(order) // 2])
        assert abs(len(half & first) - len(first) / 2) <= 1


def test_half_the_simulations_and_more_hold_the_truth_with_a_few_repetitions():
    world = CLIPS
    now, then = (simulation.truth_of(world, multiple, 4) for multiple in (1, 2))
    held = []
    for seed in range(4):
        found = measured(world, seed)
        score, gain = found.expected(2), found.gain(2)
        held.append((score[1] <= then <= score[2]) + (gain[1] <= then - now <= gain[2]))
    assert then > now and np.mean(held) / 2 >= 0.8


def test_more_is_foreseen_further_off_and_never_above_one(curve):
    twice, four = curve.gain(2), curve.gain(4)
    assert 0 <= twice[1] <= twice[0] <= twice[2] and four[0] > twice[0] and four[2] > twice[2]
    easy = measured(replace(CLIPS, apart=5.0, shift=0.1))
    assert easy.expected(4)[2] <= 1.0 and easy.gain(4)[2] < 0.01


def test_soundscapes_are_scored_by_map():
    found = measured(SOUNDSCAPES)
    assert found.metric == "map" and found.points[-1].value > found.points[0].value and found.gain(2) is not None


def test_it_goes_to_json_and_back(curve):
    about = json.loads(json.dumps(curve.to_json(), allow_nan=False))
    assert [ahead["multiple"] for ahead in about["expected"]] == [2, 4]
    assert about["expected"][0]["gain"]["value"] == curve.gain(2)[0] and about["reason"] == ""
    back = LearningCurve.from_json(about)
    assert back.gain(2) == curve.gain(2) and back.points == curve.points


def test_the_same_seed_gives_the_same_bytes(curve):
    assert json.dumps(measured().to_json()) == json.dumps(curve.to_json())
    assert json.dumps(measured(seed=0, **{"n_bootstrap": 61}).to_json()) != json.dumps(curve.to_json())


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ((FEWEST_GROUPS - 1, 8, 20), "Too few groups: the train split has 7"),
        ((16, 8, 4), "Too few groups: with 4 in the test split"),
        ((16, 8, 7), "Too few groups: the test split has 7, and fewer than 8"),
    ],
)
def test_with_too_few_groups_nothing_is_foreseen_and_it_is_said(groups, says):
    found = measured(groups=groups)
    assert found.expected(2) is None and found.gain(2) is None and found.unsaid.startswith(says)
    about = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert about["expected"] == [] and about["fit"] is None and about["reason"].startswith(says)
    assert LearningCurve.from_json(about).unsaid == about["reason"]


def planted(n_test, error=0.03, seed=0):
    """A curve whose seven points err together, of so many test groups: nothing but these makes it move."""
    sizes = [2, 3, 4, 6, 8, 11, 16]
    true = 0.9 - 0.6 * np.array(sizes, dtype=float) ** -0.5
    rng = np.random.default_rng(seed)
    # What each group adds: an error of its own that all points share, and a little for each.
    groups = error * np.sqrt(n_test) * (0.9 * rng.standard_normal((n_test, 1)) + 0.44 * rng.standard_normal((n_test, 7)))
    times = rng.multinomial(n_test, np.full(n_test, 1 / n_test), size=2000)
    scored = true[:, None] + np.concatenate([groups.mean(axis=0)[:, None], (times @ groups / n_test).T], axis=1)
    return _curve(np.tile(scored, (4, 1, 1)), np.tile(sizes, (4, 1)), sizes, "accuracy", 16, n_test, [], seed), groups


def test_few_test_groups_have_students_interval():
    from scipy.stats import t

    for n_test in (5, 8, 30):
        curve, groups = planted(n_test)
        half = t.ppf(0.975, n_test - 1) * groups.std(axis=0, ddof=1) / np.sqrt(n_test)
        assert [(point.ci_high - point.ci_low) / 2 for point in curve.points[:-1]] == pytest.approx(half[:-1], rel=0.08)


def test_what_is_foreseen_from_few_test_groups_holds_the_truth():
    """Differences of points that a handful of groups happen to agree on are not taken for known."""
    true = 0.9 - 0.6 * np.array([16.0, 32.0]) ** -0.5
    held = []
    for seed in range(120):
        curve, _ = planted(8, seed=seed)
        score, gain = curve.expected(2), curve.gain(2)
        held.append((score[1] <= true[1] <= score[2], gain[1] <= true[1] - true[0] <= gain[2]))
    assert (np.mean(held, axis=0) >= 0.9).all()


def test_without_a_valid_split_the_penalty_is_the_default():
    found = measured(groups=(16, 0, 20))
    assert found.gain(2) is not None


def test_one_kind_of_call_or_no_labelled_test_window_has_no_curve():
    one = measured(change=lambda vectors, windows: (vectors, column(windows, "labels", [["c0"]] * len(vectors))))
    assert one.points == [] and "nothing to tell apart" in one.unsaid
    none = measured(SOUNDSCAPES, groups=(16, 8, 0))
    assert none.points == [] and "no labelled window" in none.unsaid


def test_vectors_that_do_not_fit_or_are_not_finite_are_refused():
    with pytest.raises(CallspaceError, match="one row a window"):
        measured(change=lambda vectors, windows: (vectors[1:], windows))
    with pytest.raises(CallspaceError, match="not finite"):
        measured(change=lambda vectors, windows: (np.where(vectors > 2, np.nan, vectors), windows))
    with pytest.raises(CallspaceError, match="at least 3 draws"):
        measured(draws=2)
