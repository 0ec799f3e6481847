"""The transforms that an ONNX file can hold are torch's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from callspace.encoders.export.spectra import Formulation, adaptive_avg_pool2d, factors, mean, pad_sequence, rfft, split, stft, unfold


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3000))
def test_a_length_is_the_product_of_its_factors(length):
    smaller, larger = factors(length)
    assert smaller <= larger
    assert smaller * larger == length


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700))
def test_the_transform_of_any_length_is_torchs(size, length):
    values = drawn(2, size)
    found, wanted = rfft(values, length), torch.fft.rfft(values.double(), length)
    scale = wanted.abs().max()
    assert (torch.complex(found.real, found.imag) - wanted).abs().max() <= 2e-6 * scale


@pytest.mark.parametrize("length", [512, 1600, 2205, 4800, 12_500, 1009])
def test_it_loses_no_more_than_a_few_times_what_torchs_own_loses(length):
    values = drawn(4, length)
    wanted = torch.fft.rfft(values.double())
    found = rfft(values)
    own = (torch.fft.rfft(values) - wanted).abs().max()
    assert (torch.complex(found.real, found.imag) - wanted).abs().max() <= 30 * own


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 30), st.sampled_from([0, 1, 2, -1]))
def test_windows_along_any_axis_are_torchs(samples, size, step, axis):
    shape = [2, 3, 4]
    shape[axis] = max(samples, size)
    values = drawn(*shape)
    assert torch.equal(unfold(values, axis, size, step), values.unfold(axis, size, step))


@pytest.mark.parametrize(("n_fft", "hop", "window", "centre"), [(400, 160, 400, True), (512, 100, 300, False), (441, 220, 441, True)])
@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
def test_the_short_time_transform_is_torchs(n_fft, hop, window, centre, pad_mode):
    values, taper = drawn(2, 3000), torch.hann_window(window)
    found = stft(values, n_fft, hop, window, taper, center=centre, pad_mode=pad_mode)
    wanted = torch.stft(values, n_fft, hop, window, taper, center=centre, pad_mode=pad_mode, return_complex=True)
    assert found.shape == wanted.shape
    torch.testing.assert_close(torch.complex(found.real, found.imag), wanted, atol=2e-4, rtol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 7), st.integers(1, 7))
def test_averages_to_a_size_are_torchs(height, width, rows, columns):
    maps = drawn(1, 2, height, width)
    torch.testing.assert_close(adaptive_avg_pool2d(maps, (rows, columns)), torch.nn.functional.adaptive_avg_pool2d(maps, (rows, columns)))


def test_parts_and_means_are_torchs():
    values = drawn(7, 300, 9)
    for sizes, axis in ((3, 0), (100, 0), ([2, 5], 0), (4, 2)):
        for found, wanted in zip(split(values, sizes, axis), torch.split(values, sizes, axis), strict=True):
            assert torch.equal(found, wanted)
    torch.testing.assert_close(mean(values, (1, 2), keepdim=True), values.mean((1, 2), keepdim=True))
    torch.testing.assert_close(mean(values), values.mean())
    torch.testing.assert_close(mean(values, 1), values.mean(1))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("first", [True, False])
def test_sequences_are_filled_up_as_torch_does(side, first):
    sequences = [drawn(size, 3, seed=size) for size in (4, 1, 6)]
    wanted = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=first, padding_value=7.0, padding_side=side)
    assert torch.equal(pad_sequence(sequences, first, 7.0, side), wanted)


def test_within_the_mode_every_call_finds_them_and_outside_none():
    values, taper = drawn(1, 800), torch.hann_window(64)

    def spectrogram():
        frames = values.unfold(1, 64, 16) * taper
        return torch.fft.rfft(frames).abs(), torch.view_as_real(torch.stft(values, 64, 16, window=taper, return_complex=True))

    outside = spectrogram()
    with Formulation():
        inside, complex_inside = spectrogram(), torch.is_complex(torch.ones(2))
        kind = type(torch.fft.rfft(values)).__name__
    for found, wanted in zip(inside, outside, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert kind == "Spectrum"
    assert not complex_inside
    assert torch.fft.rfft(values).is_complex()


def test_what_they_do_not_do_is_refused():
    with pytest.raises(NotImplementedError), Formulation():
        torch.fft.rfft(drawn(3, 4), dim=0)
    with pytest.raises(NotImplementedError):
        stft(drawn(1, 100), 16, onesided=False, return_complex=True)
