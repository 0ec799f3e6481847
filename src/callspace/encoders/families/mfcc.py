"""MFCC statistics: the classical baseline, no network and no weights.

Twenty mel-frequency cepstral coefficients with librosa's defaults at the dataset's own rate, and the mean, standard deviation, minimum and
maximum of each over time: the features of the classical baselines of BEANS (M. Hagiwara and others, "BEANS: The Benchmark of Animal
Sounds", ICASSP 2023, arXiv 2210.12300).

The window of 2048 samples and the hop of 512 are librosa's whatever the rate (46 ms at 44.1 kHz, 256 ms at 8 kHz), and the decibels are
cut 80 below the clip's loudest cell. Frames are centred on zero-padded audio, so that a clip of any length has at least one frame.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from callspace.audio.mel import MelSpectrogram, log_mel, mfcc_matrix
from callspace.audio.precision import in_float32
from callspace.encoders.contract import Encoder
from callspace.encoders.specs import EncoderSpec

__all__ = ["SPEC", "Mfcc", "MfccEncoder"]

_COEFFICIENTS = 20
_MELS = 128
_DECIBELS = 10.0 / math.log(10.0)  # a natural logarithm of power in decibels

SPEC = EncoderSpec(
    name="mfcc",
    version="1",
    sample_rate_hz=None,
    embedding_dim=4 * _COEFFICIENTS,
    pretraining="none",
    citation="the features of the classical baselines of BEANS, Hagiwara et al. 2023, ICASSP, arXiv 2210.12300",
    layers=("statistics",),
    trainable=False,
    front_end="mfcc-20",
    family="mfcc",
    parameters=0,
)


class Mfcc(nn.Module):
    """Waveforms of one length to their coefficients, as ``librosa.feature.mfcc`` gives them."""

    cosines: Tensor

    def __init__(self, sample_rate_hz: int) -> None:
        super().__init__()
        self.mel = MelSpectrogram(sample_rate_hz, 2048, 512, _MELS, scale="slaney", norm="slaney", bins="fft", pad_mode="constant")
        self.register_buffer("cosines", mfcc_matrix(_COEFFICIENTS, _MELS), persistent=False)

    @in_float32
    def forward(self, waveforms: Tensor) -> Tensor:
        """float32[batch, samples] to float32[batch, 20, frames]."""
        decibels = log_mel(self.mel(waveforms), range_db=80.0, floor=1e-10) * _DECIBELS
        return self.cosines @ decibels


class MfccEncoder(Encoder):
    """Mean, standard deviation, minimum and maximum over time of 20 coefficients, in this order: float32[batch, 80]."""

    def __init__(self, spec: EncoderSpec = SPEC, *, layer: str | None = None, pool: str | None = None) -> None:
        super().__init__(spec, layer=layer, pool=pool)
        self.network = nn.Identity()

    def _build_front_end(self) -> None:
        self.front_end = Mfcc(self.sample_rate_hz)

    def _embed(self, waveforms: Tensor) -> Tensor:
        self.sample_rate_hz  # noqa: B018  says that bind is missing
        coefficients = self.front_end.to(waveforms.device)(waveforms)  # no parameter tells bind the device
        spread = coefficients.std(dim=2, correction=0)
        return torch.cat([coefficients.mean(dim=2), spread, coefficients.amin(dim=2), coefficients.amax(dim=2)], dim=1)
