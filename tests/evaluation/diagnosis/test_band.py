"""The share of calls that an encoder cannot hear, on tones whose energies are known."""

import numpy as np
import pytest
import soundfile

from callspace.datasets import load_dataset
from callspace.encoders.registry import FAMILIES, spec
from callspace.evaluation.diagnosis.band import HEARD, Call, band_limit, heard_band, measure_calls, power_spectra

RATE = 48_000


def soundscapes(folder, tones, *, noise=1e-3, boxes=None, recordings=8, seed=0):
    """Recordings of 6 s with two calls each, tones of given frequencies and amplitudes, over noise; the rest is background."""
    (folder / "audio").mkdir()
    rng = np.random.default_rng(seed)
    lines = ["path,onset_s,offset_s,label" + (",low_hz,high_hz" if boxes else "")]
    for number in range(recordings):
        sound = noise * rng.standard_normal(6 * RATE)
        for place, (label, own) in enumerate(tones.items()):
            t = np.arange(RATE) / RATE
            start = round((1 + 2.5 * place) * RATE)
            sound[start : start + RATE] += sum(a * np.sin(2 * np.pi * hz * t + rng.uniform(0, 6)) for hz, a in own)
            lines.append(
                f"r{number}.wav,{start / RATE},{start / RATE + 1},{label}" + (f",{boxes[label][0]},{boxes[label][1]}" if boxes else "")
            )
        soundfile.write(folder / "audio" / f"r{number}.wav", sound, RATE, subtype="FLOAT")
    (folder / "events.csv").write_text("\n".join(lines))
    return load_dataset(folder / "audio", folder / "events.csv", window_s=1, hop_s=0.5)


TONES = {"low": [(2000.0, 0.1)], "both": [(3000.0, 0.1), (12_000.0, 0.2)]}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return measure_calls(soundscapes(tmp_path_factory.mktemp("scene"), TONES))


def test_the_share_above_is_that_of_the_tones_above(scene):
    found = band_limit(*scene, 0, 8000, subject={"encoder": "yamnet"})
    shares = {label: own["share"] for label, own in found.evidence["by_class"].items()}
    assert shares["low"] == pytest.approx(0, abs=2e-3)
    assert shares["both"] == pytest.approx(0.2**2 / (0.1**2 + 0.2**2), abs=2e-3)
    assert found.evidence["share_outside"] == pytest.approx(0.4, abs=2e-3)
    assert found.evidence["share_outside_ci"][0] <= 0.4 <= found.evidence["share_outside_ci"][1] + 2e-3
    assert found.verdict == "problem"
    assert "'both', 80 %" in found.sentence
    assert found.evidence["reach_hz"] == pytest.approx(12_000, abs=150)
    assert "--speed 0.5" in found.remedy


def test_the_share_below_is_that_of_the_tones_below(scene):
    found = band_limit(*scene, 10_000, 24_000)
    assert found.evidence["by_class"]["low"]["share"] == pytest.approx(1, abs=2e-3)
    assert found.evidence["by_class"]["both"]["share"] == pytest.approx(0.2, abs=2e-3)
    assert found.evidence["share_above"] == pytest.approx(0, abs=2e-3)
    assert "below 10,000 Hz" in found.sentence
    assert "lower" in found.remedy


def test_an_encoder_that_hears_all_is_fine(scene):
    found = band_limit(*scene, 0, 24_000)
    assert (found.verdict, found.evidence["share_outside"]) == ("fine", 0)


def test_broadband_noise_is_not_counted_as_call(tmp_path):
    # A tone at 2 kHz whose power is a twentieth of the noise's, most of which lies above 8 kHz.
    noise = 0.05
    dataset = soundscapes(tmp_path, {"low": [(2000.0, noise * np.sqrt(2 / 20))]}, noise=noise, recordings=12)
    calls, counts = measure_calls(dataset)
    found = band_limit(calls, counts, 0, 8000)
    assert counts["without_background"] == 0
    assert found.evidence["share_outside"] < 0.15
    assert found.verdict == "fine"


def test_what_lies_outside_an_annotations_box_is_not_the_call(tmp_path):
    dataset = soundscapes(tmp_path, TONES, boxes={"low": (1500, 2500), "both": (2500, 3500)}, recordings=6)
    calls, counts = measure_calls(dataset)
    assert counts["boxed"] == counts["measured"] == 12
    found = band_limit(calls, counts, 0, 8000)
    assert found.evidence["by_class"]["both"]["share"] == pytest.approx(0, abs=1e-3)


def test_clips_without_background_are_measured_and_it_is_said(tmp_path):
    rng = np.random.default_rng(0)
    for label, hz in (("low", 2000), ("top", 14_000)):
        (tmp_path / label).mkdir()
        for number in range(6):
            sound = 0.1 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE) + 0.01 * rng.standard_normal(RATE)
            soundfile.write(tmp_path / label / f"{number}.wav", sound, RATE, subtype="FLOAT")
    calls, counts = measure_calls(load_dataset(tmp_path))
    found = band_limit(calls, counts, 0, 8000)
    assert counts["without_background"] == 12
    shares = {label: own["share"] for label, own in found.evidence["by_class"].items()}
    assert shares["low"] < 0.02
    assert shares["top"] > 0.98


def test_calls_that_nobody_hears_and_no_calls_are_unmeasured(tmp_path):
    dataset = soundscapes(tmp_path, {"silent": [(2000.0, 0.0)]}, recordings=3)
    calls, counts = measure_calls(dataset)
    assert len(calls) <= 1  # pure noise stands out once in hundreds
    found = band_limit([], counts, 0, 8000)
    assert (found.verdict, "stands out" in found.sentence) == ("unmeasured", True)
    assert band_limit([], {}, 0, 8000).verdict == "unmeasured"


def test_without_an_interval_a_tenth_is_looked_at_and_less_is_not_measured(tmp_path):
    dataset = soundscapes(tmp_path, TONES, recordings=3)
    calls, counts = measure_calls(dataset)
    found = band_limit(calls, counts, 0, 8000)
    assert (found.evidence["share_outside_ci"], found.verdict) == (None, "look")
    assert band_limit(calls, counts, 20_000, 24_000).verdict == "look"
    assert band_limit(calls, counts, 0, 24_000).verdict == "unmeasured"


def call(label, group, outside, nyquist=24_000.0):
    """A call whose energy lies at 2 kHz but for a share at 12 kHz."""
    hz = np.array([0.0, 2000.0, 7800.0, 12_000.0, nyquist]) if nyquist > 12_000 else np.array([0.0, 2000.0, 7800.0, nyquist])
    energy = np.zeros(len(hz))
    energy[1], energy[3 if nyquist > 12_000 else 2] = 1 - outside, outside
    return Call(label, group, hz, energy)


@pytest.mark.parametrize(
    "groups, outside, verdict", [(4, 0.49, "look"), (4, 0.1, "look"), (4, 0.05, "unmeasured"), (12, 0.05, "fine"), (12, 0.4, "problem")]
)
def test_the_verdict_follows_the_share_that_is_lost(groups, outside, verdict):
    calls = [call("wren", f"g{number}", outside) for number in range(groups)]
    assert band_limit(calls, {"measured": groups}, 0, 8000).verdict == verdict


def test_a_class_of_few_recordings_that_is_not_heard_at_all_is_looked_at():
    calls = [call("wren", f"g{number}", 0.0) for number in range(60)] + [call("bat", f"g{number}", 1.0) for number in range(4)]
    found = band_limit(calls, {"measured": 64}, 0, 8000)
    assert found.evidence["by_class"]["bat"]["ci"] is None
    assert (found.verdict, "'bat', 100 %" in found.sentence) == ("look", True)


def test_shares_that_scatter_about_a_tenth_are_not_fine():
    calls = [call("wren", f"g{number}", 0.5 if number == 0 else 0.0) for number in range(8)]
    found = band_limit(calls, {"measured": 8}, 0, 8000)
    assert found.evidence["share_outside"] == pytest.approx(0.0625)
    assert found.evidence["share_outside_ci"][1] > 0.1
    assert found.verdict == "unmeasured"


def test_recordings_that_end_below_what_an_encoder_hears_can_not_say_what_lies_above():
    ending = [call("wren", f"g{number}", 0.3, nyquist=8000.0) for number in range(12)]
    found = band_limit(ending, {"measured": 12}, 0, 24_000)
    assert (found.verdict, found.evidence["share_outside"], found.evidence["share_at_the_end"]) == ("unmeasured", 0, pytest.approx(0.3))
    assert "recordings end at 8,000 Hz" in found.sentence
    below = band_limit([call("wren", f"g{number}", 0.0, nyquist=8000.0) for number in range(12)], {"measured": 12}, 0, 24_000)
    assert (below.verdict, "as far as the recordings hold them: they end at 8,000 Hz" in below.sentence) == ("fine", True)
    above = band_limit([call("wren", f"g{number}", 0.0) for number in range(12)], {"measured": 12}, 0, 8000)
    assert (above.evidence["recordings_end_hz"], above.verdict) == (None, "fine")


def test_the_interval_is_students_t_over_groups():
    from scipy.stats import t

    shares = np.random.default_rng(3).uniform(0.1, 0.3, 10)
    found = band_limit([call("wren", f"g{number}", share) for number, share in enumerate(shares)], {"measured": 10}, 0, 8000)
    low, high = found.evidence["share_outside_ci"]
    assert (low + high) / 2 == pytest.approx(shares.mean())
    assert (high - low) / 2 == pytest.approx(t.ppf(0.975, 9) * shares.std(ddof=1) / np.sqrt(10), rel=0.1)


def test_the_sample_is_even_over_classes_and_follows_from_the_seed(tmp_path):
    dataset = soundscapes(tmp_path, TONES, recordings=10)
    first, second = (measure_calls(dataset, seed=4, most=8)[0] for _ in range(2))
    assert [call.label for call in first].count("low") == 4
    assert len({call.group for call in first if call.label == "low"}) == 4
    assert all(np.array_equal(a.energy, b.energy) for a, b in zip(first, second, strict=True))


def test_the_power_of_a_frame_is_scipys():
    from scipy.signal import ShortTimeFFT

    sound = np.random.default_rng(0).standard_normal(5000)
    spectra = power_spectra(sound, 8000)
    size = 2 * (spectra.shape[1] - 1)
    assert size == 128  # 20 ms are 160 samples
    stft = ShortTimeFFT(np.hanning(size + 1)[:-1], size // 2, 8000, fft_mode="onesided")
    plain = np.abs(stft.stft(sound)) ** 2
    # SciPy's frames begin before the sound: the first whole one is its second.
    assert np.allclose(spectra[:20], plain.T[1:21])


def test_a_slowed_recording_is_heard_up_to_higher_frequencies():
    assert heard_band("resnet", 44_100) == (0, 22_050)
    assert heard_band("clap", 48_000) == (50, 14_000)
    assert heard_band("beats", 16_000, speed=0.1) == (200, 80_000)


def test_bands_are_of_families_that_there_are_and_lie_below_half_their_rate():
    specs = {spec(names[0]).family: spec(names[0]) for names in FAMILIES.values()}
    assert set(HEARD) <= set(specs)
    for family, (low, high) in HEARD.items():
        rate = max(spec(name).sample_rate_hz or 0 for names in FAMILIES.values() for name in names if spec(name).family == family)
        assert 0 <= low < (high or rate / 2) <= rate / 2


@pytest.mark.parametrize("family", ["yamnet", "small", "clap"])
def test_bands_are_those_of_the_front_ends_filters(family):
    import torch

    from callspace.audio.mel import MelSpectrogram
    from callspace.encoders.families.small import small_mel
    from callspace.encoders.families.yamnet import LogMel

    made = {
        "yamnet": lambda: (LogMel().mel, 16_000),
        "small": lambda: (small_mel().filterbank, 16_000),
        "clap": lambda: (
            MelSpectrogram(48_000, 1024, 480, 64, f_min=50, f_max=14_000, scale="slaney", norm="slaney", bins="fft").filterbank,
            48_000,
        ),
    }
    bank, rate = made[family]()
    bank = torch.as_tensor(bank)
    bank = bank if bank.shape[0] > bank.shape[1] else bank.T  # bins first
    heard = np.flatnonzero((bank > 0).any(dim=1).numpy()) * rate / 2 / (len(bank) - 1)
    low, high = heard_band(family, rate)
    step = rate / 2 / (len(bank) - 1)
    assert low - step <= heard.min() <= low + 2 * step
    assert high - 2 * step <= heard.max() <= high + step


def pitched(low_hz, high_hz, count=12, nyquist=125_000.0):
    """Calls of even energy from one frequency to another."""
    hz = np.linspace(0, nyquist, 2501)
    return [Call("bat", f"g{number}", hz, np.where((hz > low_hz) & (hz < high_hz), 1.0, 0.0)) for number in range(count)]


@pytest.mark.parametrize(
    "low_hz, high_hz, nyquist, now, advised",
    [
        (40_000, 98_000, 125_000, 1.0, "(--speed 0.05)"),
        (40_000, 98_000, 125_000, 0.1, "(--speed 0.05 in place of 0.1)"),
        (40_000, 98_000, 125_000, 0.5, "(--speed 0.05 in place of 0.5)"),
        (15, 25, 500, 1.0, "sped up (--speed 10)"),
        (15, 25, 500, 2.0, "sped up (--speed 10 in place of 2)"),
        (2_000, 6_000, 24_000, 0.01, "slowed down (--speed 0.1 in place of 0.01)"),
    ],
)
def test_the_speed_that_is_advised_is_reckoned_from_what_the_encoder_itself_hears(low_hz, high_hz, nyquist, now, advised):
    calls = pitched(low_hz, high_hz, nyquist=nyquist)
    band = heard_band("yamnet", 16_000, speed=now)
    found = band_limit(calls, {"measured": 12}, *band, speed=now)
    assert found.verdict == "problem"
    assert advised in found.remedy
    better = float(found.remedy.split("--speed ")[1].split(" ")[0].rstrip(").:"))
    assert np.mean([sum(call.share(*heard_band("yamnet", 16_000, speed=better))) for call in calls]) <= 0.05


def test_where_no_speed_brings_the_calls_in_none_is_advised():
    found = band_limit(pitched(1_000, 100_000), {"measured": 12}, 10_000, 24_000)
    assert "--speed" not in found.remedy
    assert "no speed alone" in found.remedy


def clip_table(folder, rows, columns="low_hz,high_hz"):
    """Clips of 0.5 s with a tone at 3 kHz from 0.2 to 0.3 s, and a table of them whose further columns are `rows`."""
    rng = np.random.default_rng(0)
    lines = [f"path,label,{columns}"]
    t = np.arange(RATE // 2) / RATE
    for number, row in enumerate(rows):
        sound = 0.001 * rng.standard_normal(len(t)) + 0.1 * np.sin(2 * np.pi * 3000 * t) * ((t > 0.2) & (t < 0.3))
        soundfile.write(folder / f"{number}.wav", sound, RATE, subtype="FLOAT")
        lines.append(f"{number}.wav,{'ab'[number % 2]},{row}")
    (folder / "clips.csv").write_text("\n".join(lines))
    return load_dataset(folder / "clips.csv")


def test_boxes_in_a_table_of_clips_are_read_where_they_are_numbers_and_left_where_they_are_not(tmp_path):
    dataset = clip_table(tmp_path, ["2000,4000", ",", "nan,NaN", "low,?", "2500,3500", "2000,"])
    calls, counts = measure_calls(dataset)
    assert (len(calls), counts["measured"], counts["boxed"]) == (6, 6, 3)


def test_times_of_calls_in_a_table_of_clips_are_read_where_they_are_numbers_and_in_order(tmp_path):
    from callspace.evaluation.diagnosis.calls import _places

    dataset = clip_table(tmp_path, ["0.2,0.3", ",", "?,0.3", "0.3,0.2", "0.1,0.4", "0.2,nan"], "call_onset_s,call_offset_s")
    found = {place.recording: (place.onset_s, place.offset_s) for place in _places(dataset)}
    assert [found[f"{number}.wav"] for number in range(6)] == [(0.2, 0.3), (0.0, 0.5), (0.0, 0.3), (0.0, 0.5), (0.1, 0.4), (0.2, 0.5)]
    assert len(measure_calls(dataset)[0]) == 6
