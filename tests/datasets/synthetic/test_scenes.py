"""The parts of a recording, measured again."""

from itertools import pairwise

import numpy as np
import pytest

from callspace.datasets.synthetic.backgrounds import BACKGROUNDS
from callspace.datasets.synthetic.calls import SAMPLE_RATE_HZ, SPECIES
from callspace.datasets.synthetic.scenes import Heard, Scene, clip_scene, soundscape_scene
from callspace.datasets.synthetic.seeding import generator
from callspace.datasets.synthetic.sites import N_SITES, own_species, place, split_of


@pytest.fixture(scope="module")
def soundscapes() -> list[Scene]:
    """The default detection set."""
    return [soundscape_scene(0, k, 0.0) for k in range(N_SITES)]


@pytest.fixture(scope="module")
def scenes(soundscapes: list[Scene]) -> list[Scene]:
    return soundscapes + [clip_scene(0, k, 0.0) for k in range(60)]


def _calls(scenes: list[Scene]) -> list[tuple[Scene, Heard]]:
    return [(scene, call) for scene in scenes for call in scene.calls]


def _alone(scene: Scene, call: Heard) -> np.ndarray:
    """The call in a recording of its own, as long as the scene."""
    track = np.zeros_like(scene.background)
    track[call.start : call.start + len(call.signal)] = call.signal
    return track


def _inside(call: Heard) -> slice:
    return slice(round(call.onset_s * SAMPLE_RATE_HZ), round(call.offset_s * SAMPLE_RATE_HZ))


def _filling(call: Heard) -> float:
    """How full of sound the pauses between knocks are: the lower quartile of the power over its mean, in decibels."""
    power = np.convolve(call.signal[_inside(call).start - call.start : _inside(call).stop - call.start] ** 2, np.ones(80) / 80, "valid")
    return float(10 * np.log10(np.quantile(power, 0.25) / power.mean()))


def test_the_parts_add_up_to_the_recording(scenes: list[Scene]) -> None:
    for scene in scenes:
        total = scene.background + sum(_alone(scene, call) for call in scene.calls)
        np.testing.assert_allclose(scene.mix(), total, atol=1e-12)


def test_the_ratio_written_is_the_ratio_measured_from_the_parts(scenes: list[Scene]) -> None:
    for scene, call in _calls(scenes):
        energy = [np.sum(part[_inside(call)] ** 2) for part in (_alone(scene, call), scene.background)]
        assert 10 * np.log10(energy[0] / energy[1]) == pytest.approx(call.snr_db, abs=1e-6)


def test_the_ratios_spread_from_minus_6_to_24_decibels(scenes: list[Scene]) -> None:
    ratios = np.array([call.snr_db for _, call in _calls(scenes)])
    assert ratios.min() >= -6 and ratios.max() <= 24
    assert np.quantile(ratios, 0.1) < -1 and np.quantile(ratios, 0.9) > 15


def test_the_extent_holds_nearly_all_of_the_call_and_little_else(scenes: list[Scene]) -> None:
    for scene, call in _calls(scenes):
        track = _alone(scene, call)
        assert np.sum(track[_inside(call)] ** 2) >= 0.985 * np.sum(track**2)
        assert 0 <= call.onset_s < call.offset_s <= len(track) / SAMPLE_RATE_HZ
        assert 0.08 < call.offset_s - call.onset_s < 0.8


def test_the_band_holds_nearly_all_of_the_call(scenes: list[Scene]) -> None:
    for _, call in _calls(scenes):
        power = np.abs(np.fft.rfft(call.signal)) ** 2
        hz = np.fft.rfftfreq(len(call.signal), 1 / SAMPLE_RATE_HZ)
        held = power[(hz >= call.low_hz - 5) & (hz <= call.high_hz + 5)].sum() / power.sum()
        assert held > 0.94
        assert 0 < call.low_hz < call.high_hz < SAMPLE_RATE_HZ / 2


def test_nothing_clips_and_the_gain_differs_between_recordings(scenes: list[Scene]) -> None:
    peaks_db = np.array([20 * np.log10(np.abs(scene.mix()).max()) for scene in scenes])
    assert peaks_db.max() <= -0.99 and peaks_db.min() >= -20.01
    assert np.ptp(peaks_db) > 12


def test_half_of_the_windows_of_half_a_second_are_background(soundscapes: list[Scene]) -> None:
    free = []
    for scene in soundscapes:
        for onset in np.arange(0, 16, 0.5):
            overlaps = [(min(call.offset_s, onset + 0.5) - max(call.onset_s, onset), call.offset_s - call.onset_s) for call in scene.calls]
            free.append(not any(overlap / min(0.5, length) > 0.2 for overlap, length in overlaps))
    assert 0.35 < np.mean(free) < 0.65


def test_some_callers_overlap_but_most_do_not(soundscapes: list[Scene]) -> None:
    overlapping = [a.offset_s > b.onset_s for scene in soundscapes for a, b in pairwise(scene.calls)]
    assert 0.03 < np.mean(overlapping) < 0.3


def test_a_far_call_is_fainter_duller_and_more_reverberant_than_a_near_one(soundscapes: list[Scene]) -> None:
    calls = [call for _, call in _calls(soundscapes)]
    distance = np.log([call.distance_m for call in calls])
    assert np.corrcoef(distance, [call.snr_db for call in calls])[0, 1] < -0.8
    buzz = [call for call in calls if call.label == "rasp-wren"]
    assert np.corrcoef([call.distance_m for call in buzz], [call.high_hz for call in buzz])[0, 1] < -0.2
    frogs = [call for call in calls if call.label == "ratchet-frog"]
    assert np.corrcoef(np.log([call.distance_m for call in frogs]), [_filling(call) for call in frogs])[0, 1] > 0.4


def test_calls_of_a_clip_are_at_varying_positions() -> None:
    onsets = [clip_scene(0, k, 0.0).calls[0].onset_s for k in range(60)]
    assert min(onsets) < 0.1 and max(onsets) > 0.5


def test_a_scene_is_the_same_whatever_was_made_before_it() -> None:
    forwards = [soundscape_scene(2, k, 0.3).mix() for k in (0, 3)]
    backwards = [soundscape_scene(2, k, 0.3).mix() for k in (3, 0)]
    np.testing.assert_array_equal(forwards[0], backwards[1])
    np.testing.assert_array_equal(forwards[1], backwards[0])
    assert not np.array_equal(forwards[0], soundscape_scene(3, 0, 0.3).mix())


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_a_background_is_of_unit_level_and_differs_between_recordings_and_places(name: str) -> None:
    def make(site: int, recording: int) -> np.ndarray:
        return BACKGROUNDS[name](generator(0, site), generator(1, recording), SAMPLE_RATE_HZ * 4)

    first = make(0, 0)
    assert np.sqrt(np.mean(first**2)) == pytest.approx(1)
    assert np.isfinite(first).all()
    assert not np.allclose(first, make(0, 1))
    assert not np.allclose(first, make(1, 0))
    np.testing.assert_array_equal(first, make(0, 0))


def test_every_background_is_heard_at_several_sites_and_no_two_sites_sound_the_same() -> None:
    places = [place(0, site) for site in range(N_SITES)]
    for name in BACKGROUNDS:
        assert sum(name in where.levels_db for where in places) >= 10
    assert len({repr(where) for where in places}) == N_SITES


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_every_split_of_the_default_detection_set_holds_every_species(soundscapes: list[Scene], split: str) -> None:
    assert {call.label for scene, call in _calls(soundscapes) if split_of(scene.site) == split} == set(SPECIES)
    assert all(scene.calls for scene in soundscapes)


def test_half_of_the_sites_are_in_train_a_fifth_in_valid_and_three_tenths_in_test() -> None:
    splits = [split_of(site) for site in range(N_SITES)]
    assert [splits.count(split) for split in ("train", "valid", "test")] == [20, 8, 12]


@pytest.mark.parametrize("seed", [0, 1, 17])
def test_every_species_owns_a_site_in_every_split(seed: int) -> None:
    for split in ("train", "valid", "test"):
        assert {own_species(seed, site) for site in range(N_SITES) if split_of(site) == split} == set(SPECIES)


def test_as_confound_rises_calls_go_over_to_the_sites_own_species_and_never_back() -> None:
    own: list[set[tuple[int, int]]] = []
    for confound in (0.0, 0.3, 0.6, 1.0):
        clips = [(k, clip_scene(4, k, confound)) for k in range(100)]
        own.append({k for k, clip in clips if clip.calls[0].label == own_species(4, clip.site)})
    shares = [len(kept) / 100 for kept in own]
    assert all(before < after for before, after in pairwise(own))
    assert shares[0] == pytest.approx(1 / 8, abs=0.1)
    assert shares[2] == pytest.approx(0.6 + 0.4 / 8, abs=0.12)
    assert shares[3] == 1
