import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from callspace.adaptation.background import (
    BackgroundPolicy,
    background_hardness,
    keep_background,
    kept_background,
    parse_policy,
    policy_of,
    training_rows,
    with_background_class,
    without_background,
    without_background_class,
)
from callspace.datasets import load_dataset
from callspace.errors import CallspaceError
from small_audio import tone

KINDS = ("share", "ratio", "hard")
AMOUNTS = (0.01, 0.1, 0.25, 0.5, 1.0)


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Four recordings of eight windows, two of them labelled in each."""
    folder = tmp_path_factory.mktemp("field")
    lines = ["path,onset_s,offset_s,label,split"]
    for n, split in enumerate(("train", "train", "valid", "test")):
        tone(folder / "audio" / f"r{n}.wav", seconds=4.0)
        lines += [f"r{n}.wav,0.5,1.0,a,{split}", f"r{n}.wav,2.5,3.0,b,{split}"]
    (folder / "events.csv").write_text("\n".join(lines))
    return load_dataset(folder / "audio", folder / "events.csv", window_s=0.5, hop_s=0.5)


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=200), st.floats(0, 1), st.integers(0, 5))
def test_labelled_windows_stay_and_the_share_of_background_is_kept(background, share, seed):
    keep = keep_background(background, share, seed=seed)
    background = np.array(background, dtype=bool)
    assert keep[~background].all()
    assert keep[background].sum() == round(share * background.sum())


def test_a_smaller_share_is_part_of_a_larger_one():
    background = [True] * 100
    small, large = (keep_background(background, share, seed=3) for share in (0.1, 0.5))
    assert (large | ~small).all()


def test_a_share_above_one_is_refused():
    with pytest.raises(CallspaceError, match="between 0 and 1"):
        keep_background([True], 1.5, seed=0)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("1", BackgroundPolicy("share", 1.0)),
        (0.5, BackgroundPolicy("share", 0.5)),
        (0, BackgroundPolicy("share", 0.0)),
        ("ratio:2", BackgroundPolicy("ratio", 2.0)),
        ("hard:0.1", BackgroundPolicy("hard", 0.1)),
        ("1+class", BackgroundPolicy("share", 1.0, as_class=True)),
        ("hard:0.1+class", BackgroundPolicy("hard", 0.1, as_class=True)),
    ],
)
def test_policies_are_read_as_they_are_written(text, policy):
    assert parse_policy(text) == policy
    assert parse_policy(policy) is policy


@given(st.sampled_from(KINDS), st.sampled_from(AMOUNTS), st.booleans())
def test_a_policy_comes_back_from_its_text_and_from_its_columns(kind, amount, as_class):
    policy = BackgroundPolicy(kind, amount, as_class)
    assert parse_policy(policy.text) == policy
    assert policy_of(policy.amount, policy.name) == policy


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("much", "--background takes shares from 0 to 1, ratio:N or hard:SHARE"),
        ("2", "shares from 0 to 1, not 2"),
        ("hard:2", "shares from 0 to 1, not hard:2"),
        ("hard:", "ratio:N or hard:SHARE"),
        (":0.1", "ratio:N or hard:SHARE"),
        ("nan", "ratio:N or hard:SHARE"),
        ("ratio:inf", "ratio:N or hard:SHARE"),
        ("soft:0.1", "ratio:N or hard:SHARE"),
        ("1+", "ratio:N or hard:SHARE"),
        ("1+species", "ratio:N or hard:SHARE"),
        ("ratio:-1", "can't be fewer than 0"),
        ("0+class", "nothing to learn the class from"),
        ("clean-all+class", "leaves no background that could be a class"),
        ("clean-all", "could not be compared with the others': only --protocol paper"),
    ],
)
def test_what_is_no_policy_is_refused_in_a_sentence(text, sentence):
    with pytest.raises(CallspaceError, match=sentence):
        parse_policy(text)


def test_clean_all_is_read_where_the_protocol_has_it():
    assert parse_policy("clean-all", clean_all_allowed=True) == BackgroundPolicy("clean-all", 0.0)


def test_a_ratio_counts_labelled_windows_and_has_the_windows_of_the_share_it_comes_to():
    background = np.array([True] * 40 + [False] * 10)
    for ratio, kept in ((0, 0), (0.5, 5), (2, 20), (9, 40)):
        keep = kept_background(background, BackgroundPolicy("ratio", float(ratio)), seed=1)
        assert (keep == keep_background(background, kept / 40, seed=1)).all()
        assert keep[background].sum() == kept


def test_the_hardest_come_first_and_of_equals_the_smaller_window_id():
    background = [True, False, True, True, True]
    hardness = np.array([0.2, 0.9, 0.8, 0.2, 0.2])
    ids = [40, 50, 60, 20, 30]
    orders = [
        np.flatnonzero(kept_background(background, BackgroundPolicy("hard", n / 4), seed=n, hardness=hardness, window_ids=ids)).tolist()
        for n in range(1, 5)
    ]
    assert orders == [[1, 2], [1, 2, 3], [1, 2, 3, 4], [0, 1, 2, 3, 4]]


def test_hardest_first_without_knowing_how_hard_is_refused():
    with pytest.raises(CallspaceError, match="needs to know how hard"):
        kept_background([True, True], BackgroundPolicy("hard", 0.5), seed=0)


def scene(seed=0, groups=7, windows=30):
    rng = np.random.default_rng(seed)
    labelled = rng.random(groups * windows) < 0.3
    vectors = rng.normal(size=(groups * windows, 6)) + 1.5 * labelled[:, None] * np.array([1, -1, 0.5, 0, 0, 0])
    return vectors, labelled, [f"r{n}" for n in np.repeat(np.arange(groups), windows)]


def test_hardness_is_scikit_learns_probability_by_a_probe_of_other_groups():
    vectors, labelled, groups = scene(groups=4)
    hardness = background_hardness(vectors, labelled, groups)
    names = np.array(groups)
    for name in np.unique(names):  # four groups are four parts
        held = names == name
        mean, scale = vectors[~held].mean(axis=0), vectors[~held].std(axis=0)
        probe = LogisticRegression(C=0.01, tol=1e-8, max_iter=10_000).fit((vectors[~held] - mean) / scale, labelled[~held])
        np.testing.assert_allclose(hardness[held], probe.predict_proba((vectors[held] - mean) / scale)[:, 1], atol=1e-4)
    assert hardness[labelled].mean() > hardness[~labelled].mean() + 0.05


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 6), st.integers(0, 3))
def test_a_window_is_judged_by_a_probe_that_never_saw_its_group(group, seed):
    vectors, labelled, groups = scene(seed)
    own = np.flatnonzero(np.array(groups) == f"r{group}")
    changed = vectors.copy()
    changed[own[1:]] += 100.0
    first, second = background_hardness(vectors, labelled, groups), background_hardness(changed, labelled, groups)
    assert first[own[0]] == second[own[0]]
    assert not np.allclose(first, second)


def test_hardness_is_the_same_every_time_and_follows_the_windows_where_they_stand():
    vectors, labelled, groups = scene()
    order = np.random.default_rng(5).permutation(len(groups))
    hardness = background_hardness(vectors, labelled, groups)
    assert (hardness == background_hardness(vectors, labelled, groups)).all()
    np.testing.assert_allclose(
        background_hardness(vectors[order], labelled[order], [groups[at] for at in order]), hardness[order], atol=1e-6
    )


def test_where_all_others_are_of_one_kind_they_say_so():
    labelled = np.array([True, False, False, False])
    assert background_hardness(np.eye(4), labelled, ["a", "a", "b", "c"])[:2].tolist() == [0.0, 0.0]


def test_one_group_cannot_be_judged_by_others():
    with pytest.raises(CallspaceError, match="one group only: keep a share or a ratio"):
        background_hardness(np.eye(3), np.array([True, False, False]), ["a"] * 3)


def test_rows_of_train_follow_the_policy(field):
    train = field.rows("train")
    held = field.windows["labels"].to_pylist()
    labelled = [row for row in train if held[row]]
    assert training_rows(field, 1.0, seed=0) == train
    assert training_rows(field, "0", seed=0) == training_rows(field, BackgroundPolicy("share", 0.0), seed=0) == labelled
    assert len(training_rows(field, "ratio:1", seed=0)) == 2 * len(labelled)
    hardness = np.arange(len(train), dtype=float)
    last = [row for row in train if not held[row]][-3:]
    assert training_rows(field, "hard:0.25", seed=0, hardness=hardness) == sorted([*labelled, *last])


def test_clean_all_drops_background_from_every_split_and_nothing_else(field):
    clean = without_background(field)
    assert clean.task == "detection" and clean.windows.num_rows == field.windows.num_rows
    for split in ("train", "valid", "test"):
        before, after = field.counts()[split], clean.counts()[split]
        assert before["background"] > 0 and after["background"] == 0
        assert after["labels"] == before["labels"]
        assert after["windows"] == before["windows"] - before["background"]
    assert clean.fingerprint() != field.fingerprint()


def test_background_as_a_class_is_one_more_output_that_is_taken_off_again():
    targets = np.array([[1, 0], [0, 0], [1, 1]], dtype=np.float32)
    assert with_background_class(targets).tolist() == [[1, 0, 0], [0, 0, 1], [1, 1, 0]]
    scores, separation = without_background_class(np.array([[0.9, 0.2, 0.25], [0.1, 0.2, 0.75]]), ["a", "b"])
    assert scores.tolist() == [[0.9, 0.2], [0.1, 0.2]] and separation.tolist() == [0.75, 0.25]
    same, none = without_background_class(targets, ["a", "b"])
    assert same is targets and none is None
    with pytest.raises(CallspaceError, match="4 outputs"):
        without_background_class(np.zeros((1, 4)), ["a", "b"])
