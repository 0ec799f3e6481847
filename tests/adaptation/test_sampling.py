from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callspace.adaptation.sampling import drawn_a_window, drawn_as, epoch_rows


@st.composite
def splits(draw, most=60):
    """Rows and the targets of windows with none, one or several of up to four labels."""
    windows, labels = draw(st.integers(1, most)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    chances = rng.random(labels) ** 3
    targets = (rng.random((windows, labels)) < chances).astype(np.float32)
    return rng.choice(1000, windows, replace=False).tolist(), targets


@given(splits(), st.integers(0, 9), st.integers(1, 9))
def test_all_is_every_row_once_in_the_order_it_always_was(split, seed, epoch):
    rows, targets = split
    expected = np.random.default_rng([seed, epoch]).permutation(sorted(rows))
    assert np.array_equal(epoch_rows(rows, targets, "all", seed=seed, epoch=epoch), expected)


@given(splits(), st.sampled_from(["all", "sqrt", "balanced"]), st.integers(0, 9), st.integers(1, 9))
def test_an_epoch_has_as_many_rows_whatever_their_order_was_and_follows_from_seed_and_epoch(split, sampling, seed, epoch):
    rows, targets = split
    found = epoch_rows(rows, targets, sampling, seed=seed, epoch=epoch)
    assert len(found) == len(rows)
    assert set(found.tolist()) <= set(rows)
    turned = epoch_rows(rows[::-1], targets[::-1], sampling, seed=seed, epoch=epoch)
    assert np.array_equal(found, turned)


@settings(deadline=None)
@given(splits(), st.sampled_from(["sqrt", "balanced"]), st.integers(0, 9))
def test_classes_are_drawn_by_their_chances_to_the_nearest_window(split, sampling, seed):
    rows, targets = split
    name_of = dict(zip(rows, drawn_as(targets).tolist(), strict=True))
    sizes = Counter(name_of.values())
    raw = {name: size**0.5 if sampling == "sqrt" else 1.0 for name, size in sizes.items()}
    for epoch in range(1, 6):
        drawn = Counter(name_of[row] for row in epoch_rows(rows, targets, sampling, seed=seed, epoch=epoch).tolist())
        for name, chance in raw.items():
            assert abs(drawn[name] - len(rows) * chance / sum(raw.values())) < 1 + 1e-9


@settings(deadline=None)
@given(splits(most=30), st.sampled_from(["sqrt", "balanced"]), st.integers(0, 9))
def test_no_window_is_drawn_twice_before_all_of_its_class_were_once(split, sampling, seed):
    rows, targets = split
    name_of = dict(zip(rows, drawn_as(targets).tolist(), strict=True))
    first, *later = (epoch_rows(rows, targets, sampling, seed=seed, epoch=epoch).tolist() for epoch in range(1, 7))
    so_far = Counter()
    for epoch in (first, *later):
        within = Counter(epoch)
        so_far.update(within)
        for name in set(name_of.values()):
            members = [row for row in rows if name_of[row] == name]
            for drawn in (within, so_far):  # in one epoch, and in all up to it
                assert max(drawn[row] for row in members) - min(drawn[row] for row in members) <= 1


def test_on_average_a_class_has_exactly_its_share():
    targets = np.zeros((7, 2), dtype=np.float32)
    targets[0, 0] = targets[1:3, 1] = 1  # 1, 2 and 4 of background: 7/3 each where they are balanced
    drawn = Counter()
    for epoch in range(1, 601):
        drawn.update((drawn_as(targets)[epoch_rows(range(7), targets, "balanced", seed=3, epoch=epoch)]).tolist())
    assert [drawn[name] / 600 for name in (0, 1, 2)] == pytest.approx([7 / 3] * 3, abs=0.06)


def test_background_is_a_class_and_a_window_of_several_labels_is_one_of_its_rarest():
    targets = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 1], [0, 1, 1], [0, 0, 1]], dtype=np.float32)
    # Counts 3, 2, 3: of equals, the first.
    assert drawn_as(targets).tolist() == [0, 1, 3, 0, 1, 2]


def test_classes_are_mixed_within_an_epoch():
    targets = np.repeat(np.eye(2, dtype=np.float32), [80, 20], axis=0)
    order = drawn_as(targets)[epoch_rows(range(100), targets, "balanced", seed=0, epoch=1)]
    assert all(5 <= part.sum() <= 20 for part in np.split(order, 4))  # 12.5 of 25 each, were they dealt evenly


def test_epochs_differ_and_so_do_seeds():
    targets = np.repeat(np.eye(2, dtype=np.float32), [40, 10], axis=0)
    orders = {
        tuple(epoch_rows(range(50), targets, "balanced", seed=seed, epoch=epoch).tolist()) for seed in range(3) for epoch in range(1, 4)
    }
    assert len(orders) == 9


@given(splits(), st.sampled_from(["all", "sqrt", "balanced"]))
def test_how_often_windows_are_drawn_adds_up_to_an_epoch(split, sampling):
    _, targets = split
    often = drawn_a_window(targets, sampling)
    assert often.sum() == pytest.approx(len(targets))
    if sampling == "balanced":
        names = drawn_as(targets)
        assert [often[names == name].sum() for name in np.unique(names)] == pytest.approx(
            [len(targets) / len(set(names))] * len(set(names))
        )


def test_no_rows_are_no_epoch():
    assert len(epoch_rows([], np.zeros((0, 2)), "balanced", seed=0, epoch=1)) == 0
    assert len(drawn_a_window(np.zeros((0, 2)), "sqrt")) == 0
