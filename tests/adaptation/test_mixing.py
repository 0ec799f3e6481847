import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from callspace.adaptation.mixing import cutmix, mix_batch, mixup, pairs

HOW = {"seed": 0, "epoch": 1, "batch": 0}


def clips(batch=8, samples=200, labels=3):
    draws = torch.Generator().manual_seed(1)
    one_hot = functional.one_hot(torch.randint(labels, (batch,), generator=draws), labels).float()
    return torch.randn(batch, samples, generator=draws), one_hot, torch.full((batch,), samples)


def level(wave):
    return float(np.std(wave.numpy().astype(np.float64)))


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(0, 99))
def test_each_window_has_a_partner_that_is_not_itself_and_is_the_partner_of_one(size, seed):
    partners = pairs(size, np.random.default_rng(seed))
    assert sorted(partners) == list(range(size))
    assert (partners != np.arange(size)).all()


@settings(deadline=None)
@given(st.floats(0.1, 2), st.sampled_from(["mixup_alpha", "cutmix_alpha"]), st.integers(0, 99))
def test_targets_of_clips_sum_to_one(alpha, way, epoch):
    inputs, targets, lengths = clips()
    mixed, soft = mix_batch(inputs, targets, lengths, task="classification", seed=0, epoch=epoch, batch=3, **{way: alpha})
    assert mixed.shape == inputs.shape
    assert torch.isfinite(mixed).all()
    assert soft.sum(dim=1) == pytest.approx(torch.ones(8), abs=1e-6)
    assert ((soft >= 0) & (soft <= 1)).all()


def test_mixup_of_pictures_is_the_weighted_sum():
    pictures = torch.randn(4, 1, 6, 5)
    partners, shares = np.array([1, 2, 3, 0]), np.array([0.9, 0.5, 0.0, 1.0])
    mixed = mixup(pictures, partners, shares)
    for row in range(4):
        torch.testing.assert_close(mixed[row], shares[row] * pictures[row] + (1 - shares[row]) * pictures[partners[row]])


def test_mixup_of_waveforms_brings_the_partner_to_the_same_level_first_and_keeps_it():
    inputs, _, lengths = clips(4, 20_000)
    inputs = inputs * torch.tensor([1.0, 1e-3, 0.1, 0.5])[:, None]
    partners, shares = np.array([1, 0, 3, 2]), np.array([0.5, 0.5, 0.8, 0.3])
    mixed = mixup(inputs, partners, shares, lengths)
    for row, (partner, share) in enumerate(zip(partners, shares, strict=True)):
        own, other = inputs[row], inputs[partner] * level(inputs[row]) / level(inputs[partner])
        torch.testing.assert_close(mixed[row], (share * own + (1 - share) * other) / np.hypot(share, 1 - share).astype(np.float32))
        assert level(mixed[row]) == pytest.approx(level(own), rel=0.03)


def test_what_is_silent_is_mixed_as_it_is():
    sound = torch.randn(1, 100)
    mixed = mixup(torch.cat([sound, torch.zeros(1, 100)]), np.array([1, 0]), np.array([0.5, 0.5]), torch.tensor([100, 100]))
    torch.testing.assert_close(mixed, sound.expand(2, -1) / 2**0.5)
    both = mixup(torch.zeros(2, 100), np.array([1, 0]), np.array([0.5, 0.5]), torch.tensor([100, 100]))
    assert not both.any()


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.integers(0, 99))
def test_waveforms_of_any_lengths_keep_their_own(lengths, seed):
    real = torch.arange(60) < torch.tensor(lengths)[:, None]
    inputs = torch.randn(len(lengths), 60, generator=torch.Generator().manual_seed(seed)) * real
    targets = torch.eye(len(lengths))
    for way in ("mixup_alpha", "cutmix_alpha"):
        mixed, soft = mix_batch(inputs, targets, torch.tensor(lengths), task="classification", seed=seed, epoch=1, batch=0, **{way: 1.0})
        assert torch.isfinite(mixed).all()
        assert not mixed[~real].any()
        assert soft.sum(dim=1) == pytest.approx(torch.ones(len(lengths)), abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=5, max_size=5), st.lists(st.integers(1, 80), min_size=5, max_size=5), st.integers(0, 99))
def test_cutmix_replaces_one_stretch_and_its_share_is_what_is_left(shares, lengths, seed):
    inputs = torch.arange(1, 6).float()[:, None].expand(5, 80) * (torch.arange(80) < torch.tensor(lengths)[:, None])
    partners = np.array([1, 2, 3, 4, 0])
    mixed, left = cutmix(inputs, partners, np.array(shares), np.random.default_rng(seed), torch.tensor(lengths))
    for row in range(5):
        own = mixed[row, : lengths[row]].numpy()
        replaced = own != row + 1
        assert (own[replaced] == partners[row] + 1).all()
        assert left[row] == pytest.approx(1 - replaced.mean())
        common = min(lengths[row], lengths[partners[row]])
        assert abs(replaced.sum() - (1 - shares[row]) * common) <= 0.5 + 1e-9
        assert np.abs(np.diff(replaced.astype(int))).sum() <= 2


def test_cutmix_of_pictures_is_along_the_axis_of_time():
    pictures = torch.arange(3).float()[:, None, None, None].expand(3, 1, 50, 7)
    mixed, left = cutmix(pictures, np.array([1, 2, 0]), np.array([0.3, 0.5, 0.7]), np.random.default_rng(0), time_axis=-2)
    assert left == pytest.approx([0.3, 0.5, 0.7], abs=0.011)
    for row in range(3):
        frames = mixed[row, 0] != row
        assert (frames == frames[:, :1]).all()
        assert float(frames[:, 0].float().mean()) == pytest.approx(1 - left[row])
    with pytest.raises(ValueError, match="not that of the batch"):
        cutmix(pictures, np.array([1, 2, 0]), np.array([0.3, 0.5, 0.7]), np.random.default_rng(0), time_axis=0)


def mixtures_of_a_call_and_background(way):
    """(share of the call's window, target) of many mixtures of one labelled window and one background window."""
    inputs = torch.stack([torch.ones(100), 2 * torch.ones(100)])
    targets, out = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), []
    for epoch in range(200):
        mixed, soft = mix_batch(inputs, targets, task="detection", seed=0, epoch=epoch, batch=0, **{way: 1.0})
        assert not soft[:, 1].any()
        shares = 2 - mixed.mean(dim=1)  # of ones among twos: the call's, in either row
        out += list(zip(shares.tolist(), soft[:, 0].tolist(), strict=True))
    return np.array(out)


def test_a_call_mixed_with_background_stays_a_call_until_it_is_hardly_heard():
    share, target = mixtures_of_a_call_and_background("mixup_alpha").T
    assert target == pytest.approx(np.minimum(1, 2 * share), abs=1e-5)
    assert (target[share > 0.5] == 1).all()


def test_a_call_of_which_background_replaces_a_part_counts_by_what_is_left():
    share, target = mixtures_of_a_call_and_background("cutmix_alpha").T
    assert target == pytest.approx(share, abs=1e-5)


@pytest.mark.parametrize("way", ["mixup_alpha", "cutmix_alpha"])
def test_a_label_of_both_windows_stays_whole_and_background_with_background_is_background(way):
    inputs = torch.randn(2, 100)
    for held in ([1.0, 0.0], [0.0, 0.0]):
        for epoch in range(20):
            _, soft = mix_batch(inputs, torch.tensor([held, held]), task="detection", seed=0, epoch=epoch, batch=0, **{way: 0.5})
            assert soft == pytest.approx(torch.tensor([held, held]), abs=1e-6)


def test_both_calls_of_a_mixup_count():
    _, soft = mix_batch(torch.randn(2, 50), torch.eye(2), task="detection", **HOW, mixup_alpha=50.0)
    assert (soft > 0.7).all()


def test_shares_follow_the_beta_distribution():
    targets = torch.eye(2).repeat(100, 1)
    inputs = torch.arange(200).float()[:, None].expand(200, 2)
    shares = []
    for epoch in range(20):
        mixed, _ = mix_batch(inputs, targets, task="classification", seed=0, epoch=epoch, batch=0, mixup_alpha=0.4)
        partners = pairs(200, _after_nothing(epoch))
        shares.append((mixed[:, 0].numpy() - partners) / (np.arange(200) - partners))
    from scipy.stats import beta, kstest

    assert kstest(np.concatenate(shares), beta(0.4, 0.4).cdf).pvalue > 0.01


def _after_nothing(epoch):
    from callspace.datasets.synthetic.seeding import generator

    return generator(0, "mix", epoch, 0)


def test_of_two_ways_each_has_its_turn():
    inputs = torch.cat([torch.zeros(4, 100), torch.ones(4, 100)])
    cut = 0
    for batch in range(100):
        mixed, _ = mix_batch(inputs, torch.eye(8), task="classification", seed=0, epoch=1, batch=batch, mixup_alpha=1.0, cutmix_alpha=1.0)
        cut += bool(((mixed == 0) | (mixed == 1)).all())
    assert 30 < cut < 70


def test_mixtures_follow_from_seed_epoch_and_batch():
    inputs, targets, lengths = clips()
    ways = {"task": "classification", "mixup_alpha": 0.4, "cutmix_alpha": 0.4}
    one = mix_batch(inputs, targets, lengths, **HOW, **ways)
    assert all(torch.equal(a, b) for a, b in zip(one, mix_batch(inputs, targets, lengths, **HOW, **ways), strict=True))
    for other in ({"seed": 1}, {"epoch": 2}, {"batch": 1}):
        assert not torch.equal(one[0], mix_batch(inputs, targets, lengths, **(HOW | other), **ways)[0])


def test_nothing_is_mixed_where_it_is_not_asked_for_or_nothing_is_there_to_mix_with():
    inputs, targets, lengths = clips()
    same = mix_batch(inputs, targets, lengths, task="classification", **HOW)
    assert same[0] is inputs and same[1] is targets
    one = mix_batch(inputs[:1], targets[:1], lengths[:1], task="classification", **HOW, mixup_alpha=1.0)
    assert torch.equal(one[0], inputs[:1]) and torch.equal(one[1], targets[:1])
