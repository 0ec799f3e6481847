"""The front end of the vision encoders: a waveform becomes a picture of 128 mels by 100 frames a second.

Two named front ends, both of the study's mel spectrogram (`callspace.audio.mel.study_mel`), both per clip, so that no clip's picture
depends on its batch-mates:

``logmel`` (the default)
    Natural logarithm of the power, with a floor 80 dB below the clip's loudest cell, then standardised to mean 0 and standard deviation
    1 over the clip's own frames. A photograph normalised by ImageNet's channel statistics has mean 0 and standard deviation 1 too (that
    is what those statistics are for), so a network pretrained on such photographs meets the mean and variance it was trained on, and
    the statistics need not be applied again.
``power``
    The study's: linear power divided by the clip's maximum. It hides quiet calls; only the ``paper`` protocol uses it.

A clip without any variation, digital silence above all, gives zeros.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from callspace.audio.mel import log_mel, study_mel
from callspace.audio.precision import in_float32

__all__ = ["FRONT_ENDS", "Spectrograms", "log_standardised", "pad_frames", "power_over_batch", "power_over_maximum"]

_RANGE_DB = 80.0  # wider than that, a clip's digital silence would make up most of its variance


def log_standardised(power: Tensor) -> Tensor:
    """Log power over at most 80 dB, standardised per clip; float32[batch, mels, frames] to the same."""
    logs = log_mel(power, range_db=_RANGE_DB)
    logs = logs - logs.mean(dim=(1, 2), keepdim=True)
    deviation = logs.square().mean(dim=(1, 2), keepdim=True).sqrt()
    # Asked this way round, so that NaN stays NaN: damage must not look like silence.
    return torch.where(deviation <= 1e-4, torch.zeros_like(logs), logs / deviation.clamp_min(1e-4))


def power_over_maximum(power: Tensor) -> Tensor:
    """Power divided by its maximum, per clip; float32[batch, mels, frames] to the same."""
    return power / power.amax(dim=(1, 2), keepdim=True).clamp_min(1e-30)


def power_over_batch(power: Tensor) -> Tensor:
    """Power divided by the maximum of the whole batch: the study's defect, see `callspace.encoders.defects`; the shape stays."""
    return power / power.amax().clamp_min(1e-30) if power.numel() else power


#: What can be made of a clip's mel power; a new front end is a function and a line here.
FRONT_ENDS: dict[str, Callable[[Tensor], Tensor]] = {
    "logmel": log_standardised,
    "power": power_over_maximum,
    "power-batch": power_over_batch,  # no choice of any encoder's spec
}


class Spectrograms(nn.Module):
    """Waveforms of one length to pictures.

    Parameters
    ----------
    sample_rate_hz : int
    front_end : str
        A key of `FRONT_ENDS`.
    """

    def __init__(self, sample_rate_hz: int, front_end: str = "logmel") -> None:
        super().__init__()
        self.mel = study_mel(sample_rate_hz)
        self._scale = FRONT_ENDS[front_end]

    def frames(self, samples: int) -> int:
        """Frames of a waveform of `samples`: 100 a second, the last of centred framing dropped, at least one."""
        return max(1, samples // self.mel.hop)

    @in_float32
    def forward(self, waveforms: Tensor) -> Tensor:
        """float32[batch, samples] to float32[batch, mels, frames]."""
        return self._scale(self.mel(waveforms)[:, :, : self.frames(waveforms.shape[1])])


def pad_frames(pictures: Tensor, frames: int) -> Tensor:
    """Zeros at the end of float32[batch, mels, time] up to `frames`; nothing is cut."""
    lacking = frames - pictures.shape[2]
    return nn.functional.pad(pictures, (0, lacking)) if lacking > 0 else pictures
