"""What each invented species sounds like, seen with SciPy's spectrogram."""

import numpy as np
import pytest
from scipy import signal as sps

from callspace.datasets.synthetic.calls import CALLS, SAMPLE_RATE_HZ
from callspace.datasets.synthetic.seeding import generator

ANIMALS = range(8)


def _call(species: str, animal: int, call: int = 0) -> np.ndarray:
    return CALLS[species](generator(3, species, animal), generator(3, species, animal, call))


def _ridge(x: np.ndarray) -> np.ndarray:
    """The loudest frequency of each frame that is within 20 dB of the loudest frame, in Hz."""
    hz, _, power = sps.spectrogram(x, SAMPLE_RATE_HZ, nperseg=256, noverlap=224, nfft=1024)
    loud = power.max(0)
    return hz[power.argmax(0)][loud > 0.01 * loud.max()]


def _band_hz(x: np.ndarray) -> tuple[float, float]:
    power = np.abs(np.fft.rfft(x)) ** 2
    share = np.cumsum(power) / power.sum()
    hz = np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE_HZ)
    return hz[np.searchsorted(share, 0.05)], hz[np.searchsorted(share, 0.95)]


def _envelope(x: np.ndarray, cut_hz: float) -> np.ndarray:
    sos = sps.butter(3, cut_hz, fs=SAMPLE_RATE_HZ, output="sos")
    return sps.sosfiltfilt(sos, np.abs(x))


def _pulse_times_s(x: np.ndarray) -> np.ndarray:
    envelope = np.pad(_envelope(x, 120), 100)
    return sps.find_peaks(envelope, height=0.3 * envelope.max(), prominence=0.25 * envelope.max())[0] / SAMPLE_RATE_HZ


def _flatness(x: np.ndarray) -> float:
    """Geometric over arithmetic mean of the power from 1 to 6 kHz: near 0 for tones, above 0.1 for noise."""
    hz, power = sps.welch(x, SAMPLE_RATE_HZ, nperseg=512)
    power = power[(hz > 1000) & (hz < 6000)]
    return float(np.exp(np.mean(np.log(power + 1e-20))) / power.mean())


def test_there_are_at_least_eight_species_with_names_in_lower_case() -> None:
    assert len(CALLS) >= 8
    assert all(name == name.lower() and name.replace("-", "").isalpha() and "-" in name for name in CALLS)
    assert list(CALLS) == sorted(CALLS)


@pytest.mark.parametrize("species", CALLS)
def test_a_call_lasts_an_eighth_to_six_tenths_of_a_second_and_peaks_at_one(species: str) -> None:
    for animal in range(40):
        x = _call(species, animal)
        assert 0.12 <= len(x) / SAMPLE_RATE_HZ <= 0.6
        assert np.isfinite(x).all()
        assert np.abs(x).max() == pytest.approx(1)


@pytest.mark.parametrize("species", CALLS)
def test_an_animal_repeats_itself_more_closely_than_another_animal_does(species: str) -> None:
    def features(animal: int, call: int) -> np.ndarray:
        x = _call(species, animal, call)
        return np.log([*_band_hz(x), len(x)])

    calls = np.array([[features(animal, call) for call in range(6)] for animal in range(12)])
    assert (calls.std(axis=1) > 0).all(), "no two calls are the same"
    assert calls.std(axis=1).mean() < 0.8 * calls.mean(axis=1).std(axis=0).mean()


@pytest.mark.parametrize("animal", ANIMALS)
def test_the_sweep_rises(animal: int) -> None:
    ridge = _ridge(_call("lift-warbler", animal))
    assert ridge[-1] / ridge[0] > 1.3
    assert (np.diff(ridge) >= -20).mean() > 0.97


@pytest.mark.parametrize("animal", ANIMALS)
def test_the_whistle_is_narrow_and_steady(animal: int) -> None:
    x = _call("glass-thrush", animal)
    low, high = _band_hz(x)
    assert high - low < 200
    assert np.ptp(_ridge(x)) < 0.08 * low


@pytest.mark.parametrize("animal", ANIMALS)
def test_the_buzz_is_broad_noise_chopped_at_60_to_110_hertz(animal: int) -> None:
    x = _call("rasp-wren", animal)
    low, high = _band_hz(x)
    assert high / low > 1.5
    assert _flatness(x) > 10 * _flatness(_call("glass-thrush", animal))
    hz, power = sps.periodogram(np.abs(x), SAMPLE_RATE_HZ, nfft=16384)
    searched = (hz > 30) & (hz < 200)
    assert 50 <= hz[searched][power[searched].argmax()] <= 125


@pytest.mark.parametrize("animal", ANIMALS)
def test_the_stack_has_harmonics_of_a_fundamental_below_a_kilohertz(animal: int) -> None:
    x = _call("brass-marmot", animal)
    middle = x[len(x) // 2 - 512 : len(x) // 2 + 512] * np.hanning(1024)
    power = np.abs(np.fft.rfft(middle, 8192)) ** 2
    peaks = sps.find_peaks(power, height=0.02 * power.max(), distance=100)[0] * SAMPLE_RATE_HZ / 8192
    assert len(peaks) >= 3
    assert np.ptp(np.diff(peaks)) < 60
    assert 400 < np.diff(peaks).mean() < 1200


@pytest.mark.parametrize("animal", ANIMALS)
def test_the_trill_has_16_to_26_notes_a_second_and_each_falls(animal: int) -> None:
    x = _call("rattle-finch", animal)
    at = _pulse_times_s(x)
    assert 14 <= 1 / np.median(np.diff(at)) <= 29
    note = x[: int(0.5 * np.median(np.diff(at)) * SAMPLE_RATE_HZ)]
    hz, _, power = sps.spectrogram(note, SAMPLE_RATE_HZ, nperseg=96, noverlap=80, nfft=2048)
    ridge = hz[power.argmax(0)]
    assert ridge[0] > 1.08 * ridge[-1]


@pytest.mark.parametrize("animal", ANIMALS)
def test_the_pulse_train_has_4_to_6_even_knocks(animal: int) -> None:
    at = _pulse_times_s(_call("ratchet-frog", animal))
    assert 4 <= len(at) <= 6
    assert 9 <= 1 / np.diff(at).mean() <= 15.5
    assert np.ptp(np.diff(at)) < 0.01


@pytest.mark.parametrize("animal", ANIMALS)
def test_the_clicks_come_faster_and_faster(animal: int) -> None:
    x = _call("tick-bat", animal)
    gaps = np.diff(_pulse_times_s(x))
    assert len(gaps) >= 4
    assert gaps[-2:].mean() < 0.7 * gaps[:2].mean()
    low, high = _band_hz(x)
    assert high - low > 1200


@pytest.mark.parametrize("animal", ANIMALS)
def test_the_song_has_a_falling_note_and_then_a_trill(animal: int) -> None:
    x = _call("couplet-lark", animal)
    ridge = _ridge(x[: int(0.1 * SAMPLE_RATE_HZ)])
    assert ridge[0] > 1.1 * ridge[-1]
    at = _pulse_times_s(x)
    assert (np.diff(at[-3:]) < 0.08).all()
    assert at[-1] > 0.2
