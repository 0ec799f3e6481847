import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import welch

from callspace.adaptation.noise import coloured_noise, fitted, mix_at_snr, power


def rng(seed=0):
    return np.random.default_rng(seed)


def sound(n=3000, seed=0, level=0.1, offset=0.0):
    return (level * rng(seed).standard_normal(n) + offset).astype(np.float32)


@pytest.mark.parametrize("exponent", [0.0, 0.7, 1.0, 2.0])
def test_the_power_density_of_coloured_noise_falls_with_its_exponent(exponent):
    frequency, density = welch(coloured_noise(200_000, exponent, rng(1)).astype(np.float64), fs=1.0, nperseg=2048)
    inside = (frequency > 0.005) & (frequency < 0.45)  # half the rate is 0.5, and it is level below a thousandth of that
    slope = np.polyfit(np.log(frequency[inside]), np.log(density[inside]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.03)


def test_coloured_noise_is_gaussian_about_its_mean():
    noise = coloured_noise(100_000, 0.0, rng())
    noise = noise / noise.std()
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.02
    assert np.mean(noise**4) == pytest.approx(3, abs=0.15)


@settings(deadline=None)
@given(st.integers(0, 70), st.floats(0, 2))
def test_coloured_noise_has_any_length_and_is_the_same_from_the_same_generator(n, exponent):
    noise = coloured_noise(n, exponent, rng(n))
    assert noise.shape == (n,)
    assert np.isfinite(noise).all()
    assert np.array_equal(noise, coloured_noise(n, exponent, rng(n)))


@settings(deadline=None)
@given(st.floats(-10, 40), st.floats(-80, 0), st.floats(-80, 0), st.floats(-0.3, 0.3), st.integers(0, 99))
def test_the_ratio_of_powers_is_the_one_asked_for(snr_db, own_db, other_db, offset, seed):
    """Both sounds at any level, on any constant offset, which counts for nothing."""
    own = sound(seed=seed, level=10 ** (own_db / 20))
    other = sound(seed=seed + 100, level=10 ** (other_db / 20), offset=offset)
    added = mix_at_snr(own, other, snr_db).astype(np.float64) - own
    assert 10 * np.log10(np.var(own.astype(np.float64)) / np.var(added)) == pytest.approx(snr_db, abs=0.02)
    assert abs(added.mean()) < 1e-3 * added.std() + 1e-6


def test_silence_is_left_alone_and_so_is_what_silence_would_be_mixed_into():
    silent, constant = np.zeros(100, np.float32), np.full(100, 0.1, np.float32)
    for nothing in (silent, constant):
        assert mix_at_snr(nothing, sound(100), 10) is nothing
        own = sound(100)
        assert mix_at_snr(own, nothing, 10) is own


def test_power_is_the_mean_square_about_the_mean():
    wave = sound(offset=0.5)
    assert power(wave) == pytest.approx(np.var(wave.astype(np.float64)))
    assert power(np.zeros(0, np.float32)) == 0


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 60), st.integers(0, 9))
def test_a_sound_is_cut_or_goes_round_to_fit(n, length, seed):
    given_sound = np.arange(1, n + 1, dtype=np.float32)
    found = fitted(given_sound, length, rng(seed), fade=0)
    assert found.shape == (length,)
    if n >= length:
        assert np.array_equal(np.diff(found), np.ones(length - 1))  # a stretch as it is
    elif n:
        assert set(found.tolist()) == set(given_sound.tolist())
        assert np.array_equal(found[n:], found[: length - n])
    else:
        assert not found.any()
