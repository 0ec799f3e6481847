"""Batches follow from a seed and a number, and hold each sound twice at the ratio that they tell."""

import numpy as np
import pytest
import torch
from training.mixtures import SNR_DB, Mixtures, Pool, make_pool
from training.sounds import KINDS, MEASURES, RATE_HZ
from training.surroundings import echo, surroundings


@pytest.fixture(scope="module")
def pool():
    return make_pool(0, 0, 24, 4)


def mixtures(pool, **changes):
    return Mixtures(pool, **({"seed": 0, "sounds": 6, "empty": 2, "batches": 5} | changes))


def test_a_batch_has_two_windows_a_sound_and_some_without(pool):
    batch = mixtures(pool)[0]
    assert batch.waveforms.shape[0] == 2 * 6 + 2
    assert batch.waveforms.shape[1] in {8_000, 12_000}
    assert (batch.kinds.shape, batch.measures.shape, batch.snr_db.shape) == ((6, len(KINDS)), (6, len(MEASURES)), (12,))
    assert torch.isfinite(batch.waveforms).all()
    assert batch.waveforms.abs().amax(dim=1).min() > 0.05
    assert batch.waveforms.abs().max() <= 1.0
    assert SNR_DB[0] <= batch.snr_db.min() <= batch.snr_db.max() <= SNR_DB[1]


def test_a_batch_follows_from_the_seed_and_its_number(pool):
    assert all(torch.equal(a, b) for a, b in zip(mixtures(pool)[3], mixtures(pool)[3], strict=True) if not torch.isnan(a).any())
    assert mixtures(pool)[3].snr_db.tolist() != mixtures(pool)[2].snr_db.tolist()
    assert mixtures(pool)[3].snr_db.tolist() != mixtures(pool, seed=1)[3].snr_db.tolist()


def test_what_is_left_after_an_interruption_is_what_would_have_come(pool):
    whole, rest = mixtures(pool), mixtures(pool).after(3)
    assert (len(whole), len(rest)) == (5, 2)
    assert torch.equal(whole[3].waveforms, rest[0].waveforms)
    with pytest.raises(IndexError):
        rest[2]


def test_a_pool_follows_from_its_seed_whoever_makes_it_and_however_many_there_are(pool):
    again = make_pool(0, 0, 30, 4, processes=2)
    assert all(
        np.array_equal(a, b) for one, two in zip(pool.renderings, again.renderings, strict=False) for a, b in zip(one, two, strict=True)
    )
    assert np.array_equal(pool.kinds, again.kinds[:24])
    assert not np.array_equal(pool.kinds, make_pool(0, 1, 24, 4).kinds)


def test_the_ratio_is_the_one_that_is_told(monkeypatch):
    """Tones over a hum that overlaps them nowhere, with no room, no way and no recorder in between: both can be told apart afterwards."""
    t = np.arange(RATE_HZ) / RATE_HZ
    tone = np.sin(2 * np.pi * 3000 * t[: RATE_HZ // 4]).astype(np.float32)
    hum = np.sin(2 * np.pi * 100 * np.arange(4 * RATE_HZ) / RATE_HZ).astype(np.float32)
    one = Pool([(tone, tone)] * 8, np.zeros((8, len(KINDS)), np.float32), np.zeros((8, len(MEASURES)), np.float32), [hum])
    monkeypatch.setattr("training.mixtures._in_rooms", lambda dry, rng: dry)
    monkeypatch.setattr("training.mixtures._recorded", lambda windows, rng: torch.from_numpy(windows))
    batch = Mixtures(one, 0, sounds=8, empty=0, batches=1)[0]
    found = []
    for window in batch.waveforms.numpy().astype(np.float64):
        spectrum = np.fft.rfft(window)
        hz = np.fft.rfftfreq(len(window), 1 / RATE_HZ)
        above = np.fft.irfft(np.where(hz > 1500, spectrum, 0), len(window))
        extent = np.abs(above) > 0.3 * np.abs(above).max()
        first, last = np.flatnonzero(extent)[[0, -1]]
        below = (window - above)[first : last + 1]
        found.append(10 * np.log10(np.sum(above[first : last + 1] ** 2) / np.sum(below**2)))
    wrong = np.abs(np.array(found) - batch.snr_db.numpy())
    # Where another tone lies beside the first one (one window of four) there is more than is told.
    assert np.median(wrong) < 0.5
    assert (wrong < 1.5).mean() > 0.6


def test_surroundings_are_loud_as_one_and_never_the_same():
    one, other = (surroundings(np.random.default_rng(seed), 8000) for seed in (0, 1))
    assert np.sqrt(np.mean(one**2)) == pytest.approx(1.0, rel=1e-3)
    assert np.isfinite(one).all()
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.3
    assert np.array_equal(one, surroundings(np.random.default_rng(0), 8000))


def test_an_echo_is_the_sound_itself_and_less_after_it():
    for seed in range(5):
        response = echo(np.random.default_rng(seed), 4096)
        assert response[0] == 1.0
        assert np.sum(response[1:] ** 2) <= 1.0 + 1e-5
        assert np.sum(response[2048:] ** 2) < np.sum(response[1:2048] ** 2)
