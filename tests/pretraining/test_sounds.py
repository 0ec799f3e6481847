"""A sound has its energy where its numbers say, and tells of itself what they say."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import hilbert
from training.sounds import KINDS, LONGEST_S, MEASURES, RATE_HZ, Part, Sound, draw, kinds_of, measures_of, render

SEEDS = st.integers(0, 2**32 - 1)


def rendered(part, seed=0):
    return render(Sound((part,)), np.random.default_rng(seed)).astype(np.float64)


def loudest_hz(signal):
    """The frequency of the highest bin, of a transform long enough for bins of 1 Hz."""
    return np.abs(np.fft.rfft(signal * np.hanning(len(signal)), RATE_HZ)).argmax()


def beat_hz(signal, low, high):
    """The strongest rate at which the level goes up and down, within bounds."""
    envelope = np.abs(hilbert(signal))
    spectrum = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(len(envelope)), 8 * RATE_HZ))
    return low + spectrum[8 * low : 8 * high].argmax() / 8


def share_between(signal, low_hz, high_hz):
    power = np.abs(np.fft.rfft(signal)) ** 2
    hz = np.fft.rfftfreq(len(signal), 1 / RATE_HZ)
    return power[(hz >= low_hz) & (hz <= high_hz)].sum() / power.sum()


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_whatever_is_drawn_is_finite_within_its_length_and_the_same_again(seed):
    sound = draw(np.random.default_rng(seed))
    assert sound == draw(np.random.default_rng(seed))
    one, again, other = (render(sound, np.random.default_rng(number)) for number in (1, 1, 2))
    assert one.dtype == np.float32
    assert 0 < len(one) <= LONGEST_S * RATE_HZ
    assert np.isfinite(one).all()
    assert np.abs(one).max() == pytest.approx(1.0)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_what_is_told_of_a_sound_is_yes_or_no_and_numbers_of_modest_size(seed):
    sound = draw(np.random.default_rng(seed))
    kinds, measures = kinds_of(sound), measures_of(sound)
    assert kinds.shape == (len(KINDS),)
    assert set(kinds.tolist()) <= {0.0, 1.0}
    assert 1 <= kinds[: KINDS.index("rising")].sum() <= len(sound.parts)
    assert measures.shape == (len(MEASURES),)
    assert np.nanmax(np.abs(measures)) < 4
    assert np.isfinite(measures[[MEASURES.index("pitch"), MEASURES.index("seconds")]]).all()


@pytest.mark.parametrize("hz", [400.0, 1500.0, 6000.0])
def test_a_tone_sounds_at_its_pitch(hz):
    assert loudest_hz(rendered(Part("tone", hz))) == pytest.approx(hz, rel=0.07)


@pytest.mark.parametrize("octaves", [-1.0, -0.5, 0.5, 1.0])
def test_a_sweep_ends_as_many_octaves_off_as_it_says(octaves):
    signal = rendered(Part("tone", 2000.0, sweep_oct=octaves, note_s=0.4))
    tenth = len(signal) // 10
    first, last = loudest_hz(signal[tenth : 2 * tenth]), loudest_hz(signal[-2 * tenth : -tenth])
    assert np.log2(last / first) == pytest.approx(0.7 * octaves, abs=0.15 * abs(octaves))  # between the middles of the tenths 15 % and 85 %


def test_an_arch_is_highest_in_the_middle():
    signal = rendered(Part("tone", 1500.0, arch_oct=0.8, note_s=0.4))
    begin, middle, end = (loudest_hz(part) for part in np.array_split(signal, 9)[1::3])
    assert middle > 1.25 * max(begin, end)


def test_the_harmonics_of_a_stack_are_multiples_of_its_fundamental_and_loudest_at_its_ring():
    signal = rendered(Part("stack", 400.0, ring_hz=2400.0, note_s=0.5))
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal)), RATE_HZ))
    fundamental = 350 + spectrum[350:450].argmax()
    assert fundamental == pytest.approx(400, rel=0.07)
    on = sum(spectrum[round(k * fundamental) - 12 : round(k * fundamental) + 13].max() for k in range(1, 12))
    between = sum(spectrum[round((k + 0.5) * fundamental) - 12 : round((k + 0.5) * fundamental) + 13].max() for k in range(1, 12))
    assert on > 20 * between
    assert spectrum.argmax() == pytest.approx(2400, rel=0.25)


@pytest.mark.parametrize("octaves", [0.4, 1.5])
def test_noise_fills_its_band_and_little_else(octaves):
    signal = rendered(Part("noise", 2000.0, bandwidth_oct=octaves, note_s=0.5))
    inside = share_between(signal, 2000 * 2 ** (-0.6 * octaves - 0.1), 2000 * 2 ** (0.6 * octaves + 0.1))
    core = share_between(signal, 2000 * 2 ** (-0.25 * octaves), 2000 * 2 ** (0.25 * octaves))
    assert inside > 0.9
    assert 0.3 < core < 0.8


@pytest.mark.parametrize("source", ["tone", "noise"])
def test_a_tremolo_beats_at_its_rate(source):
    signal = rendered(Part(source, 2500.0, tremolo_hz=70.0, tremolo_depth=0.9, bandwidth_oct=1.5, note_s=0.6))
    assert beat_hz(signal, 30, 200) == pytest.approx(70, rel=0.1)


@pytest.mark.parametrize("source", ["tone", "knock", "click"])
def test_what_is_repeated_comes_as_often_as_it_says(source):
    signal = rendered(Part(source, 3000.0, note_s=0.01, notes=9, rate_hz=15.0))
    assert beat_hz(signal, 8, 25) == pytest.approx(15, rel=0.15)
    assert len(signal) / RATE_HZ == pytest.approx(8 / 15, rel=0.2)


def test_what_hurries_comes_faster_at_the_end():
    steady, hurried = (rendered(Part("click", 3000.0, note_s=0.004, notes=9, rate_hz=15.0, hurry=hurry)) for hurry in (1.0, 0.4))
    middle = [np.cumsum(signal**2).searchsorted(0.5 * np.sum(signal**2)) / len(signal) for signal in (steady, hurried)]
    assert middle[1] > middle[0]


def test_a_vibrato_spreads_a_tone_over_its_depth():
    plain = Part("tone", 2000.0, note_s=0.6)
    around = (2000 * 2**-0.06, 2000 * 2**0.06)
    quavering = replace(plain, vibrato_hz=8.0, vibrato_oct=0.25)
    assert share_between(rendered(plain), *around) > 0.9 > 0.7 > share_between(rendered(quavering), *around)


def test_the_parts_of_a_phrase_follow_each_other():
    low, high = Part("tone", 800.0, note_s=0.2), Part("tone", 3200.0, note_s=0.2)
    signal = render(Sound((low, high), pause_s=0.05), np.random.default_rng(0)).astype(np.float64)
    assert len(signal) / RATE_HZ == pytest.approx(0.45, rel=0.1)
    assert loudest_hz(signal[: len(signal) // 2]) == pytest.approx(800, rel=0.07)
    assert loudest_hz(signal[-len(signal) // 3 :]) == pytest.approx(3200, rel=0.07)


@pytest.mark.parametrize(
    ("part", "kinds", "measures"),
    [
        (Part("tone", 1500.0), {"tone"}, {"pitch": 0.0, "sweep": 0.0, "notes": 0.0}),
        (Part("tone", 3000.0, sweep_oct=0.5), {"tone", "rising"}, {"pitch": 0.5, "sweep": 0.5}),
        (Part("stack", 375.0, sweep_oct=-1.0, ring_hz=4000), {"stack", "falling"}, {"pitch": -1.0, "sweep": -1.0, "ring": 1.0}),
        (
            Part("noise", 1500.0, bandwidth_oct=1.5, tremolo_hz=40, tremolo_depth=0.6),
            {"noise", "tremolo"},
            {"bandwidth": 0.5, "tremolo_rate": 0},
        ),
        (Part("knock", 1500.0, notes=4, rate_hz=15), {"knock", "repeated"}, {"notes": 0.5, "rate": 0.0}),
    ],
)
def test_what_is_told_follows_from_the_numbers(part, kinds, measures):
    sound = Sound((part,))
    assert {kind for kind, holds in zip(KINDS, kinds_of(sound), strict=True) if holds} == kinds
    told = dict(zip(MEASURES, measures_of(sound).tolist(), strict=True))
    assert {name: told[name] for name in measures} == pytest.approx(measures, abs=1e-6)


def test_a_measure_that_a_sound_does_not_have_is_not_told():
    told = dict(zip(MEASURES, measures_of(Sound((Part("knock", 1500.0),))), strict=True))
    assert {name for name, value in told.items() if np.isnan(value)} == {
        "sweep",
        "arch",
        "vibrato_rate",
        "tremolo_rate",
        "bandwidth",
        "rate",
        "ring",
    }
