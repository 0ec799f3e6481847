import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from callspace.adaptation.masks import Masks, mask_pictures, mask_waveform, masked_places


def rngs(n, seed=0):
    return [np.random.default_rng([seed, k]) for k in range(n)]


def stretches(places):
    """How long the stretches of True are."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(places, dtype=int), [0]])))
    return (edges[1::2] - edges[::2]).tolist()


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(0, 3), st.floats(0, 1), st.integers(0, 99))
def test_no_mask_is_wider_than_asked(size, count, widest, seed):
    places = masked_places(size, Masks(count, widest), np.random.default_rng(seed))
    assert places.sum() <= count * int(widest * size)
    assert len(stretches(places)) <= count
    if count == 1:
        assert all(width <= widest * size for width in stretches(places))


def test_widths_and_places_are_drawn_evenly():
    drawn = [np.flatnonzero(masked_places(50, Masks(1, 0.2), rng)) for rng in rngs(4000)]
    widths = np.array([len(places) for places in drawn])
    assert set(widths) == set(range(11))
    assert np.bincount(widths).min() > 4000 / 11 * 0.8
    assert min(places[0] for places in drawn if len(places)) == 0
    assert max(places[-1] for places in drawn if len(places)) == 49


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((4, 20, 30), (1, 2)), ((4, 1, 30, 20), (3, 2)), ((4, 3, 1, 30, 20), (4, 3)), ((4, 1, 30, 20), (-1, -2))],
)
def test_masked_rows_and_columns_hold_the_mean_of_their_picture_and_the_rest_is_as_it_was(shape, axes):
    pictures = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before = pictures.clone()
    masked = mask_pictures(pictures, axes, Masks(1, 0.3), Masks(2, 0.2), rngs(4, seed=3))
    assert torch.equal(pictures, before)
    assert masked.shape == pictures.shape
    assert masked.dtype == pictures.dtype
    plain = []
    for item, rng in enumerate(rngs(4, seed=3)):
        picture = before[item].movedim([axis % len(shape) - 1 for axis in axes], [0, 1]).clone()
        mean = picture.mean()
        rows, columns = masked_places(20, Masks(1, 0.3), rng), masked_places(30, Masks(2, 0.2), rng)
        picture[torch.from_numpy(rows)] = mean
        picture[:, torch.from_numpy(columns)] = mean
        plain.append(picture.movedim([0, 1], [axis % len(shape) - 1 for axis in axes]))
    assert not torch.equal(masked, before)
    torch.testing.assert_close(masked, torch.stack(plain))


def test_a_picture_has_masks_of_its_own_whatever_its_batch_mates():
    pictures = torch.randn(5, 16, 40)
    whole = mask_pictures(pictures, (1, 2), Masks(1, 0.5), Masks(1, 0.5), rngs(5))
    alone = mask_pictures(pictures[3:4], (1, 2), Masks(1, 0.5), Masks(1, 0.5), rngs(5)[3:4])
    assert torch.equal(whole[3:4], alone)
    assert len({tuple((row != as_it_was).flatten().tolist()) for row, as_it_was in zip(whole, pictures, strict=True)}) == 5


def test_a_picture_without_a_generator_is_left_as_it_is():
    pictures = torch.randn(2, 16, 40)
    masked = mask_pictures(pictures, (1, 2), Masks(3, 0.5), Masks(3, 0.5), [None, np.random.default_rng(1)])
    assert torch.equal(masked[0], pictures[0])
    assert not torch.equal(masked[1], pictures[1])


def test_the_axis_of_the_batch_is_never_masked():
    for axes in ((0, 1), (1, 1), (-3, 2)):
        with pytest.raises(ValueError, match="neither that of the batch"):
            mask_pictures(torch.zeros(2, 3, 4), axes, Masks(), Masks(), rngs(2))


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(0, 20), st.integers(0, 99))
def test_a_waveform_is_silent_within_its_masks_and_untouched_outside(n, fade, seed):
    sound = np.full(n, 0.5, np.float32)
    masked = mask_waveform(sound, Masks(1, 0.3), np.random.default_rng(seed), fade=fade)
    assert (sound == 0.5).all()
    changed = masked != sound
    assert changed.sum() <= 0.3 * n
    assert len(stretches(changed)) <= 1
    silent = stretches(masked == 0)
    assert sum(silent) >= changed.sum() - 2 * fade
    assert np.abs(masked).max() <= 0.5
