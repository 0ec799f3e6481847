from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from callspace.datasets.splits import grouped_splits, straddling_groups

windows = st.lists(st.tuples(st.integers(0, 12), st.sets(st.sampled_from("abcd"), max_size=2)), min_size=1, max_size=80)


@settings(deadline=None)
@given(windows, st.integers(0, 3))
def test_a_group_never_straddles_splits(rows, seed):
    groups, labels = [f"g{g}" for g, _ in rows], [sorted(held) for _, held in rows]
    splits = grouped_splits(groups, labels, seed=seed)
    assert straddling_groups(groups, splits) == []
    assert grouped_splits(groups, labels, seed=seed) == splits


def test_labels_are_spread_sixty_twenty_twenty():
    groups = [f"r{n}" for n in range(200)]
    labels = [["common"] if n % 4 else ["rare"] for n in range(200)]
    splits = grouped_splits(groups, labels)
    for label, total in (("common", 150), ("rare", 50)):
        held = Counter(s for s, names in zip(splits, labels, strict=True) if names == [label])
        assert abs(held["train"] / total - 0.6) <= 0.02
        assert abs(held["test"] / total - 0.2) <= 0.02


def test_a_label_in_three_groups_is_in_every_split():
    groups = [f"r{n}" for n in range(33)]
    labels = [["rare"] if n < 3 else ["common"] for n in range(33)]
    for seed in range(5):
        splits = grouped_splits(groups, labels, seed=seed)
        assert sorted(splits[:3]) == ["test", "train", "valid"]


def test_another_seed_deals_the_groups_otherwise():
    groups, labels = [f"r{n}" for n in range(60)], [["x"]] * 60
    assert grouped_splits(groups, labels, seed=0) != grouped_splits(groups, labels, seed=1)


def test_straddling_groups_are_named():
    assert straddling_groups(["a", "a", "b"], ["train", "test", "train"]) == ["a"]
    assert straddling_groups(["a", "a"], ["train", None]) == []
