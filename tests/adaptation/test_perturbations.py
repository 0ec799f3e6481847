import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import find_peaks

from callspace.adaptation.perturbations import amplify, respeed, seamless, shelve, shift

RATE = 16000


def hiss(n=4000, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32) * 0.1


def level_db(samples):
    return 20 * np.log10(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


@settings(deadline=None)
@given(st.floats(-40, 40), st.integers(0, 99))
def test_a_gain_is_the_decibels_it_says(gain_db, seed):
    sound = hiss(seed=seed)
    assert level_db(amplify(sound, gain_db)) - level_db(sound) == pytest.approx(gain_db, abs=1e-4)


@settings(deadline=None)
@given(st.integers(-500, 500), st.integers(0, 40))
def test_a_shift_goes_round_and_only_its_seam_is_smoothed(by, fade):
    sound = hiss(1000)
    moved = np.roll(shift(sound, by, fade=fade), -by)
    assert np.array_equal(moved[: len(sound) - fade], sound[: len(sound) - fade])
    assert moved.shape == sound.shape
    assert moved.dtype == np.float32


def test_a_sound_that_goes_round_makes_no_click_where_it_meets_itself():
    ramp = np.linspace(-1, 1, 2000, dtype=np.float32)
    assert abs(ramp[-1] - ramp[0]) == 2
    smooth = seamless(ramp, 100)
    assert abs(smooth[-1] - smooth[0]) < 0.002
    assert np.abs(np.diff(smooth)).max() < 0.05


@pytest.mark.parametrize("factor", [0.9, 0.97, 1.0, 1.03, 1.1])
def test_speed_moves_the_pitch_and_keeps_the_length(factor):
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    played = respeed(tone, factor)
    assert played.shape == tone.shape
    assert played.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(played * np.hanning(RATE)))
    assert int(spectrum.argmax()) == pytest.approx(1000 * factor, abs=1)
    assert np.abs(played).max() < 1.1


def test_speed_keeps_the_middle_in_the_middle_and_fills_with_sound():
    sound = hiss(8000) * 0.01
    sound[4000] = 1
    for factor in (0.95, 1.05):
        played = respeed(sound, factor)
        assert abs(int(np.abs(played).argmax()) - 4000) <= 1
        assert level_db(played[:100]) == pytest.approx(level_db(sound[:3900]), abs=3)
        assert level_db(played[-100:]) == pytest.approx(level_db(sound[:3900]), abs=3)


@settings(deadline=None, max_examples=30)
@given(st.floats(-12, 12), st.floats(-12, 12), st.floats(0.005, 0.05), st.floats(0.1, 0.6))
def test_shelves_give_their_gain_at_the_ends_and_half_of_it_at_the_corners(low_db, high_db, low, high):
    """Measured on an impulse, each shelf alone; the cookbook's shelves have half their gain (in dB) at the corner."""
    impulse = np.zeros(1 << 15, dtype=np.float32)
    impulse[4000] = 1  # not at the beginning, which is taken for an offset
    for one in (
        {"low": low, "low_db": low_db, "high": high, "high_db": 0.0},
        {"low": low, "low_db": 0.0, "high": high, "high_db": high_db},
    ):
        response = 20 * np.log10(np.abs(np.fft.rfft(shelve(impulse, **one).astype(np.float64))))
        corners = [round(corner * (len(response) - 1)) for corner in (low, high)]
        assert response[0] == pytest.approx(one["low_db"], abs=0.05)
        assert response[-1] == pytest.approx(one["high_db"], abs=0.05)
        if one["low_db"]:
            assert response[corners[0]] == pytest.approx(low_db / 2, abs=0.15)
        if one["high_db"]:
            assert response[corners[1]] == pytest.approx(high_db / 2, abs=0.15)
        assert not len(find_peaks(response, prominence=0.1)[0])  # gentle: it only falls or rises


def test_an_offset_stays_an_offset_under_a_shelf():
    assert shelve(np.full(100, 0.25, np.float32), low=0.01, low_db=6.0206, high=0.5, high_db=-9) == pytest.approx(0.5, abs=1e-4)


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(-60, 60), st.floats(0.9, 1.1))
def test_the_shortest_sounds_keep_their_length_and_silence_stays_silence(n, by, factor):
    for sound in (np.zeros(n, np.float32), hiss(n)):
        found = (
            amplify(sound, 6.0),
            shift(sound, by, fade=5),
            respeed(sound, factor),
            shelve(sound, low=0.02, low_db=-6, high=0.3, high_db=6),
        )
        for out in found:
            assert out.shape == sound.shape
            assert out.dtype == np.float32
            assert np.isfinite(out).all()
            assert out.any() == sound.any()
