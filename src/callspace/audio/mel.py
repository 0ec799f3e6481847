"""Mel front ends in torch: the filterbank, the spectrogram, its logarithm, and the cosine transform for MFCCs.

Conventions
-----------
waveforms   : float32[batch, samples]
spectrogram : float32[batch, n_mels, frames], linear power (or magnitude)

Everything is computed clip by clip: nothing depends on the other clips of a batch. Buffers are not persistent, so that a front end adds no
keys to the state dict of the network it feeds.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from callspace.audio.precision import in_float32

__all__ = ["MelSpectrogram", "log_mel", "mel_filterbank", "mfcc_matrix", "study_mel"]

Scale = Literal["htk", "slaney"]
Bins = Literal["linspace", "fft"]


def mel_filterbank(
    n_mels: int,
    n_fft: int,
    sample_rate_hz: int,
    *,
    f_min: float = 0.0,
    f_max: float | None = None,
    scale: Scale = "htk",
    norm: Literal["slaney"] | None = None,
    bins: Bins = "linspace",
) -> Tensor:
    """Triangular filters, evenly spaced in mel.

    Parameters
    ----------
    n_mels, n_fft, sample_rate_hz : int
    f_min, f_max : float
        Edges of the lowest and highest filter in hertz; `f_max` is half the sample rate by default.
    scale : "htk" | "slaney"
        ``2595 log10(1 + f/700)``, or linear below 1 kHz and logarithmic above (Slaney's Auditory Toolbox, librosa's default).
    norm : "slaney" | None
        Divide each filter by half the width of its base in hertz, which gives all the same area.
    bins : "linspace" | "fft"
        Where the spectrum's bins lie: torchaudio's ``linspace(0, sample_rate_hz // 2, n_fft // 2 + 1)``, or the true
        ``k * sample_rate_hz / n_fft`` (librosa). They differ where `n_fft` or the sample rate is odd.

    Returns
    -------
    float32[n_fft // 2 + 1, n_mels]
        Multiply a spectrum by it from the right.

    Raises
    ------
    ValueError
        `f_min` is not below `f_max`, or an unknown scale, norm or bins.
    """
    if scale not in ("htk", "slaney") or norm not in (None, "slaney") or bins not in ("linspace", "fft"):
        raise ValueError(f"unknown filterbank: scale={scale!r}, norm={norm!r}, bins={bins!r}")
    count = n_fft // 2 + 1
    if bins == "linspace":
        frequencies = torch.linspace(0, sample_rate_hz // 2, count, dtype=torch.float64)
        f_max = float(sample_rate_hz // 2) if f_max is None else f_max
    else:
        frequencies = torch.arange(count, dtype=torch.float64) * (sample_rate_hz / n_fft)
        f_max = sample_rate_hz / 2 if f_max is None else f_max
    if not 0 <= f_min < f_max:
        raise ValueError(f"f_min={f_min} must be at least 0 and below f_max={f_max}")
    corners = _hertz(torch.linspace(_mel(f_min, scale), _mel(f_max, scale), n_mels + 2, dtype=torch.float64), scale)
    rising = (frequencies[:, None] - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequencies[:, None]) / (corners[2:] - corners[1:-1])
    bank = torch.minimum(rising, falling).clamp(min=0)
    if norm == "slaney":
        bank = bank * (2 / (corners[2:] - corners[:-2]))
    return bank.to(torch.float32)


# Slaney: 200/3 Hz a mel up to 1 kHz (15 mels), then 27 mels for each factor of 6.4.
_LINEAR_HZ, _CORNER_HZ, _CORNER_MEL, _LOG_STEP = 200 / 3, 1000.0, 15.0, math.log(6.4) / 27


def _mel(hertz: float, scale: Scale) -> float:
    if scale == "htk":
        return 2595 * math.log10(1 + hertz / 700)
    return hertz / _LINEAR_HZ if hertz < _CORNER_HZ else _CORNER_MEL + math.log(hertz / _CORNER_HZ) / _LOG_STEP


def _hertz(mels: Tensor, scale: Scale) -> Tensor:
    if scale == "htk":
        return 700 * (10 ** (mels / 2595) - 1)
    return torch.where(mels < _CORNER_MEL, mels * _LINEAR_HZ, _CORNER_HZ * torch.exp((mels - _CORNER_MEL) * _LOG_STEP))


class MelSpectrogram(nn.Module):
    """Waveforms to mel spectrograms: periodic Hann window, short-time Fourier transform, filterbank.

    Parameters
    ----------
    sample_rate_hz, n_fft, hop, n_mels : int
        `hop` is the distance between frames in samples.
    window_length : int, optional
        Samples under the window, which lies in the middle of `n_fft`; all of them by default.
    f_min, f_max, scale, norm, bins
        As in `mel_filterbank`.
    power : 1 | 2
        Magnitude or power spectrum.
    centre : bool
        Frames centred on multiples of `hop`, ``1 + samples // hop`` of them; else whole frames only, ``1 + (samples - n_fft) // hop``.
    pad_mode : "reflect" | "constant"
        What centring puts beyond both ends, ``n_fft // 2`` samples each.

    Notes
    -----
    A clip too short for the first frame (``samples < n_fft``, not centred) or for reflection (``samples <= n_fft // 2``) is first
    lengthened on the right with zeros to the shortest length that will do.
    """

    window: Tensor
    filterbank: Tensor

    def __init__(
        self,
        sample_rate_hz: int,
        n_fft: int,
        hop: int,
        n_mels: int,
        *,
        window_length: int | None = None,
        f_min: float = 0.0,
        f_max: float | None = None,
        scale: Scale = "htk",
        norm: Literal["slaney"] | None = None,
        power: Literal[1, 2] = 2,
        centre: bool = True,
        pad_mode: Literal["reflect", "constant"] = "reflect",
        bins: Bins = "linspace",
    ) -> None:
        super().__init__()
        if power not in (1, 2):
            raise ValueError(f"power must be 1 or 2, not {power}")
        self.sample_rate_hz, self.n_fft, self.hop, self.n_mels = sample_rate_hz, n_fft, hop, n_mels
        self.power, self.centre, self.pad_mode = power, centre, pad_mode
        self.register_buffer("window", torch.hann_window(window_length or n_fft, periodic=True), persistent=False)
        bank = mel_filterbank(n_mels, n_fft, sample_rate_hz, f_min=f_min, f_max=f_max, scale=scale, norm=norm, bins=bins)
        self.register_buffer("filterbank", bank, persistent=False)

    def extra_repr(self) -> str:
        return f"sample_rate_hz={self.sample_rate_hz}, n_fft={self.n_fft}, hop={self.hop}, n_mels={self.n_mels}, power={self.power}"

    @in_float32
    def forward(self, waveforms: Tensor) -> Tensor:
        """float32[batch, samples] to float32[batch, n_mels, frames]."""
        needed = self.n_fft
        if self.centre:
            needed = self.n_fft // 2 + 1 if self.pad_mode == "reflect" else 1
        if waveforms.shape[-1] < needed:
            waveforms = nn.functional.pad(waveforms, (0, needed - waveforms.shape[-1]))
        spectrum = torch.stft(
            waveforms,
            self.n_fft,
            self.hop,
            win_length=len(self.window),
            window=self.window,
            center=self.centre,
            pad_mode=self.pad_mode,
            return_complex=True,
        )
        # The square of the two parts rather than of the root of their sum: exact at zero, and differentiable there.
        energy = torch.view_as_real(spectrum).square().sum(-1)
        return torch.matmul(self.filterbank.T, energy if self.power == 2 else energy.sqrt())


def study_mel(sample_rate_hz: int) -> MelSpectrogram:
    """The front end of the study's vision models, at the dataset's own sample rate.

    128 HTK mels of the power in windows of ``int(0.05 * sample_rate_hz)`` samples every ``int(0.01 * sample_rate_hz)``, periodic Hann,
    centred with reflection, filters not normalised, bins as torchaudio places them.
    """
    return MelSpectrogram(sample_rate_hz, n_fft=int(0.05 * sample_rate_hz), hop=int(0.01 * sample_rate_hz), n_mels=128)


def log_mel(power: Tensor, *, range_db: float = 100.0, floor: float = 1e-20) -> Tensor:
    """Natural logarithm of a mel power spectrogram, each clip floored `range_db` below its own maximum.

    Parameters
    ----------
    power : float32[batch, n_mels, frames]
        Linear power, not negative.
    range_db : float
        What lies further below the clip's loudest cell is raised to that level. The default of 100 dB is wider than the range of a 16-bit
        recording, so quiet calls beside loud ones survive; it only keeps digital silence and padding from running off to minus infinity.
    floor : float
        The least power anywhere, so that an all-zero clip has a finite logarithm.

    Returns
    -------
    float32[batch, n_mels, frames]
        A clip twice as loud has the same values plus a constant, so it is the same after per-clip standardisation.
    """
    loudest = power.amax(dim=(-2, -1), keepdim=True)
    least = (loudest * 10 ** (-range_db / 10)).clamp(min=floor)
    return torch.maximum(power, least).log()


def mfcc_matrix(n_mfcc: int, n_mels: int) -> Tensor:
    """The orthonormal DCT-II (SciPy's ``dct(type=2, norm="ortho")``), its first `n_mfcc` rows.

    Returns
    -------
    float32[n_mfcc, n_mels]
        ``mfcc_matrix(20, 128) @ log_mel(power)`` is float32[batch, 20, frames].

    Raises
    ------
    ValueError
        More coefficients than mels.
    """
    if not 0 < n_mfcc <= n_mels:
        raise ValueError(f"n_mfcc={n_mfcc} must be from 1 to n_mels={n_mels}")
    k = torch.arange(n_mfcc, dtype=torch.float64)[:, None]
    n = torch.arange(n_mels, dtype=torch.float64)
    matrix = torch.cos(torch.pi / n_mels * (n + 0.5) * k) * math.sqrt(2 / n_mels)
    matrix[0] /= math.sqrt(2)
    return matrix.to(torch.float32)
