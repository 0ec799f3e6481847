"""The mel front end, against librosa, SciPy and the published outputs of the study's own front end."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.fft
import torch

from callspace.audio.mel import MelSpectrogram, log_mel, mel_filterbank, mfcc_matrix, study_mel


def tone(rate: int, seconds: float = 1.0) -> np.ndarray:
    t = np.arange(int(rate * seconds)) / rate
    sweep = 0.5 * np.sin(2 * np.pi * (0.02 * rate * t + 0.1 * rate / seconds / 2 * t**2))
    return (sweep + 0.05 * np.random.RandomState(0).standard_normal(len(t))).astype(np.float32)


def close(ours: np.ndarray, theirs: np.ndarray, tolerance: float = 1e-4) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_the_studys_spectrogram_equals_the_published_output(rate: int, reference: Path) -> None:
    expected = np.load(reference / "checkpoints" / "expected.npz")[f"mel/{rate}"]
    close(study_mel(rate)(torch.from_numpy(tone(rate))[None])[0].numpy(), expected)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
@pytest.mark.parametrize("norm", [None, "slaney"])
@pytest.mark.parametrize(
    ("rate", "n_fft", "n_mels", "low", "high"),
    [(16_000, 800, 128, 0, None), (16_000, 512, 64, 125, 7_500), (250_000, 2_048, 40, 9_000, 120_000), (22_050, 1_024, 90, 50, 11_025)],
)
def test_the_filterbank_equals_librosas(
    rate: int, n_fft: int, n_mels: int, low: float, high: float | None, scale: str, norm: str | None
) -> None:
    theirs = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=low, fmax=high, htk=scale == "htk", norm=norm, dtype=np.float64)
    for bins in ("linspace", "fft"):
        ours = mel_filterbank(n_mels, n_fft, rate, f_min=low, f_max=high, scale=scale, norm=norm, bins=bins)
        assert ours.dtype == torch.float32 and ours.shape == (n_fft // 2 + 1, n_mels)
        close(ours.numpy().T, theirs, 1e-6)


def test_where_the_fft_length_is_odd_only_the_true_bins_equal_librosas() -> None:
    theirs = librosa.filters.mel(sr=44_100, n_fft=2_205, n_mels=128, htk=True, norm=None, dtype=np.float64)
    close(mel_filterbank(128, 2_205, 44_100, bins="fft").numpy().T, theirs, 1e-6)
    assert np.abs(mel_filterbank(128, 2_205, 44_100).numpy().T - theirs).max() > 0.005


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
@pytest.mark.parametrize("window_length", [400, 512])
def test_the_spectrogram_equals_librosas(power: int, centre: bool, pad_mode: str, window_length: int) -> None:
    samples = tone(16_000, 0.7)
    front_end = MelSpectrogram(
        16_000,
        512,
        160,
        64,
        window_length=window_length,
        f_min=125,
        f_max=7_500,
        scale="slaney",
        norm="slaney",
        power=power,
        centre=centre,
        pad_mode=pad_mode,
    )
    theirs = librosa.feature.melspectrogram(
        y=samples,
        sr=16_000,
        n_fft=512,
        hop_length=160,
        win_length=window_length,
        center=centre,
        pad_mode=pad_mode,
        power=power,
        n_mels=64,
        fmin=125,
        fmax=7_500,
    )
    close(front_end(torch.from_numpy(samples)[None])[0].numpy(), theirs, 1e-5)


@pytest.mark.parametrize("samples", [1, 2, 399, 400, 401, 402, 799, 800])
@pytest.mark.parametrize("centre", [True, False])
def test_a_clip_shorter_than_a_frame_or_its_reflection_is_lengthened_with_zeros(samples: int, centre: bool) -> None:
    front_end = MelSpectrogram(16_000, 800, 160, 40, centre=centre)
    waveform = torch.from_numpy(tone(16_000)[:samples])[None]
    shortest = 401 if centre else 800
    expected = front_end(torch.nn.functional.pad(waveform, (0, max(0, shortest - samples))))
    answer = front_end(waveform)
    assert torch.isfinite(answer).all() and torch.equal(answer, expected) and answer.shape[2] >= 1


def test_a_clips_spectrogram_does_not_depend_on_its_batch_mates() -> None:
    front_end = study_mel(16_000)
    clips = torch.stack([torch.from_numpy(tone(16_000)) * gain for gain in (1e-3, 1.0, 50.0)])
    together = log_mel(front_end(clips))
    for clip, expected in zip(clips, together, strict=True):
        close(log_mel(front_end(clip[None]))[0].numpy(), expected.numpy(), 1e-5)


def test_buffers_stay_out_of_the_state_dict_and_gradients_pass() -> None:
    front_end = study_mel(16_000)
    assert front_end.state_dict() == {} and not list(front_end.parameters())
    assert len(list(front_end.buffers())) == 2
    waveform = torch.zeros(1, 4_000, requires_grad=True)
    log_mel(front_end(waveform)).sum().backward()
    assert torch.isfinite(waveform.grad).all()


def test_the_logarithm_keeps_a_call_ninety_decibels_below_another() -> None:
    power = torch.full((1, 4, 10), 1e-30)
    power[0, 1, 2], power[0, 2, 7] = 1.0, 1e-9
    answer = log_mel(power)
    assert answer[0, 1, 2] == 0
    assert answer[0, 2, 7] == pytest.approx(np.log(1e-9), abs=1e-4)
    assert answer.min() == pytest.approx(np.log(1e-10), abs=1e-4)
    assert log_mel(power, range_db=80).min() == pytest.approx(np.log(1e-8), abs=1e-4)


def test_a_louder_clip_differs_by_a_constant_and_silence_is_finite() -> None:
    power = study_mel(16_000)(torch.from_numpy(tone(16_000))[None])
    np.testing.assert_allclose(log_mel(100 * power) - log_mel(power), np.log(100), atol=1e-4)
    assert torch.isfinite(log_mel(torch.zeros(2, 8, 5))).all()


@pytest.mark.parametrize(("n_mfcc", "n_mels"), [(20, 128), (13, 40), (40, 40), (1, 7)])
def test_the_cosine_transform_equals_scipys(n_mfcc: int, n_mels: int) -> None:
    values = np.random.default_rng(0).standard_normal((3, n_mels, 11))
    ours = mfcc_matrix(n_mfcc, n_mels).double() @ torch.from_numpy(values)
    np.testing.assert_allclose(ours, scipy.fft.dct(values, type=2, norm="ortho", axis=1)[:, :n_mfcc], atol=1e-6)


def test_impossible_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="f_min"):
        mel_filterbank(40, 512, 16_000, f_min=9_000)
    with pytest.raises(ValueError, match="unknown"):
        mel_filterbank(40, 512, 16_000, scale="bark")
    with pytest.raises(ValueError, match="n_mfcc"):
        mfcc_matrix(41, 40)
    with pytest.raises(ValueError, match="power"):
        MelSpectrogram(16_000, 512, 160, 40, power=3)
