"""Kaldi's filterbank in torch: what AST, BEATs, EAT, AudioMAE and Bird-MAE were trained on.

D. Povey et al., "The Kaldi speech recognition toolkit", ASRU 2011. It differs from `callspace.audio.mel` in most steps: frames are cut
without padding and each is worked on alone (mean removed, pre-emphasised, windowed), the triangles are straight in mel rather than in
hertz, and the last bin of the spectrum, at half the sample rate, is left out.

Conventions
-----------
waveforms  : float32[batch, samples], scaled as the caller's network wants it (``* 2**15`` for 16-bit integers)
filterbank : float32[batch, frames, n_mels], natural logarithm of the power

Everything is computed frame by frame: nothing depends on the other clips of a batch. Buffers are not persistent.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from callspace.audio.precision import in_float32

__all__ = ["KaldiFbank", "kaldi_mel_filterbank"]

#: Kaldi's floor under every logarithm: the difference between 1 and the next larger float32.
_FLOOR = torch.finfo(torch.float32).eps


def kaldi_mel_filterbank(n_mels: int, n_fft: int, sample_rate_hz: int, *, low_hz: float = 20.0, high_hz: float = 0.0) -> Tensor:
    """Triangles of equal width in mel, ``1127 ln(1 + f/700)``.

    Parameters
    ----------
    n_mels, n_fft, sample_rate_hz : int
    low_hz, high_hz : float
        Edges of the lowest and highest filter; a `high_hz` of 0 or less counts from half the sample rate.

    Returns
    -------
    float32[n_fft // 2 + 1, n_mels]
        Multiply a spectrum by it from the right. The last row is zero: Kaldi drops that bin.

    Raises
    ------
    ValueError
        `low_hz` is not at least 0 and below `high_hz`, or `high_hz` is above half the sample rate.
    """
    nyquist = sample_rate_hz / 2
    high_hz = high_hz if high_hz > 0 else nyquist + high_hz
    if not 0 <= low_hz < high_hz <= nyquist:
        raise ValueError(f"low_hz={low_hz} must be at least 0 and below high_hz={high_hz}, which is at most {nyquist}")
    corners = torch.linspace(_mel(low_hz), _mel(high_hz), n_mels + 2, dtype=torch.float64)
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * (sample_rate_hz / n_fft)
    mels = 1127 * torch.log1p(bins / 700)[:, None]
    rising = (mels - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - mels) / (corners[2:] - corners[1:-1])
    bank = torch.minimum(rising, falling).clamp(min=0)
    bank[-1] = 0
    return bank.to(torch.float32)


def _mel(hertz: float) -> float:
    return 1127 * math.log1p(hertz / 700)


class KaldiFbank(nn.Module):
    """Waveforms to Kaldi's log mel filterbank, without dithering, whole frames only (``snip_edges``).

    Parameters
    ----------
    sample_rate_hz, n_mels : int
    frame_length_ms, frame_shift_ms : float
        In samples they are rounded down; the FFT has the next power of two.
    window : "povey" | "hanning"
        ``hann ** 0.85`` (Kaldi's default) or Hann, both symmetric.
    low_hz, high_hz : float
        As in `kaldi_mel_filterbank`.
    use_energy : bool
        Put the logarithm of each frame's energy, before pre-emphasis and windowing, before the filters: n_mels + 1 columns.
    preemphasis : float
        This much of the sample before is taken off each sample of a frame; the first is its own predecessor.
    remove_dc : bool
        Take each frame's mean off first.
    log : bool
        The natural logarithm of the power, floored at float32's epsilon; else the power.

    Notes
    -----
    There are ``1 + (samples - frame_length) // frame_shift`` frames, none where a clip is shorter than one frame.

    Examples
    --------
    >>> KaldiFbank(16_000, 128)(torch.zeros(1, 16_000)).shape
    torch.Size([1, 98, 128])
    """

    window: Tensor
    filterbank: Tensor

    def __init__(
        self,
        sample_rate_hz: int,
        n_mels: int,
        frame_length_ms: float = 25.0,
        frame_shift_ms: float = 10.0,
        window: Literal["povey", "hanning"] = "povey",
        low_hz: float = 20.0,
        high_hz: float = 0.0,
        use_energy: bool = False,
        preemphasis: float = 0.97,
        remove_dc: bool = True,
        log: bool = True,
    ) -> None:
        super().__init__()
        if window not in ("povey", "hanning"):
            raise ValueError(f"window must be 'povey' or 'hanning', not {window!r}")
        self.sample_rate_hz, self.n_mels = sample_rate_hz, n_mels
        self.frame_length = _samples(frame_length_ms, sample_rate_hz)
        self.frame_shift = _samples(frame_shift_ms, sample_rate_hz)
        self.n_fft = 1 << (self.frame_length - 1).bit_length()
        self.use_energy, self.preemphasis, self.remove_dc, self.log = use_energy, preemphasis, remove_dc, log
        hann = torch.hann_window(self.frame_length, periodic=False, dtype=torch.float64)
        taper = hann if window == "hanning" else hann**0.85
        self.register_buffer("window", taper.to(torch.float32), persistent=False)
        bank = kaldi_mel_filterbank(n_mels, self.n_fft, sample_rate_hz, low_hz=low_hz, high_hz=high_hz)
        self.register_buffer("filterbank", bank, persistent=False)

    def extra_repr(self) -> str:
        return f"sample_rate_hz={self.sample_rate_hz}, n_mels={self.n_mels}, frame_length={self.frame_length}, shift={self.frame_shift}"

    def frames(self, samples: int) -> int:
        """How many frames a clip of this many samples has."""
        return max(0, 1 + (samples - self.frame_length) // self.frame_shift)

    @in_float32
    def forward(self, waveforms: Tensor) -> Tensor:
        """float32[batch, samples] to float32[batch, frames, n_mels]."""
        if waveforms.shape[1] < self.frame_length:
            return waveforms.new_zeros(len(waveforms), 0, self.n_mels + self.use_energy)
        frames = waveforms.unfold(1, self.frame_length, self.frame_shift)
        if self.remove_dc:
            frames = frames - frames.mean(dim=2, keepdim=True)
        energy = frames.square().sum(dim=2, keepdim=True)
        if self.preemphasis:
            before = torch.cat([frames[..., :1], frames[..., :-1]], dim=2)
            frames = frames - self.preemphasis * before
        spectrum = torch.fft.rfft(frames * self.window, self.n_fft)
        power = torch.view_as_real(spectrum).square().sum(dim=3)
        found = power @ self.filterbank
        found = found.clamp(min=_FLOOR).log() if self.log else found
        if not self.use_energy:
            return found
        return torch.cat([energy.clamp(min=_FLOOR).log() if self.log else energy, found], dim=2)


def _samples(milliseconds: float, sample_rate_hz: int) -> int:
    # The small addition keeps products such as 0.029 * 1000 from losing a sample to floating point.
    return math.floor(sample_rate_hz * milliseconds / 1000 + 1e-6)
