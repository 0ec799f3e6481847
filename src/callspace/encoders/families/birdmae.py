"""Bird-MAE: vision transformers over five seconds of a Kaldi filterbank, pretrained to fill in masked patches of bird song.

L. Rauch et al., "Can Masked Autoencoders Also Listen to Birds?", 2025, arXiv 2504.12880. The hub's repositories want their own code run;
here the network is built anew and reads the safetensors. The waveform (32 kHz) is filled with zeros to five seconds; its 498 frames of 128
Kaldi mels are filled to 512 with the clip's own lowest value (the authors' code takes the lowest of a whole batch, which for one clip at a
time is the same) and standardised, and patches of 16 by 16 become tokens behind a class token.

A clip is the mean over the 256 patches, normalised (``fc_norm``), as the authors read it. Their code can read the class token instead,
with a normalisation of its own (``norm``): that is the pool ``cls``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from callspace.encoders.sequences import POOLS, layer_names
from callspace.encoders.specs import EncoderSpec, Weights
from callspace.encoders.vit import SpectrogramTransformer, SpectrogramTransformerEncoder, filled_up

__all__ = ["SPECS", "BirdMaeEncoder"]

_RATE_HZ = 32_000


def _spec(
    name: str, size: str, depth: int, width: int, heads: int, parameters: int, *, revision: str = "main", sha256: str | None = None
) -> EncoderSpec:
    return EncoderSpec(
        name=name,
        version="1",
        sample_rate_hz=_RATE_HZ,
        embedding_dim=width,
        pretraining="bioacoustic",
        citation="Rauch et al. 2025, arXiv 2504.12880",
        layers=layer_names(depth),
        pools=(*POOLS, "cls"),
        min_window_s=None,
        max_window_s=5.0,
        weights=Weights.on_hub(
            f"DBD-research-group/Bird-MAE-{size}",
            "model.safetensors",
            revision=revision,
            sha256=sha256,
            licence="none stated",
            terms="unstated",
            note="The authors' page warns that there might be an error in the published models.",
        ),
        front_end="kaldi-fbank",
        family="birdmae",
        options={"depth": depth, "width": width, "heads": heads, "frames": 512, "mean": -7.2, "deviation": 4.43},
        parameters=parameters,
    )


SPECS = {
    spec.name: spec
    for spec in (
        _spec(
            "birdmae-base",
            "Base",
            12,
            768,
            12,
            85_453_056,
            revision="6cc416d1a7ae2af29b6b866499b3b047a8f01304",
            sha256="402103ecc81787ca6317ad78377fb38a912b3548f23a18f424d7a0dc31f754c5",
        ),
        _spec("birdmae-large", "Large", 24, 1024, 16, 302_840_832),
        _spec("birdmae-huge", "Huge", 32, 1280, 16, 630_342_400),
    )
}


class BirdMaeEncoder(SpectrogramTransformerEncoder):
    """Bird-MAE over waveforms of up to 5 s; 6.25 frames a second, each the mean of its 8 frequency patches."""

    def __init__(self, spec: EncoderSpec, *, layer: str | None = None, pool: str | None = None) -> None:
        sizes = {key: spec.options[key] for key in ("depth", "width", "heads", "frames")}
        super().__init__(spec, SpectrogramTransformer(**sizes, token_norm=True, pooled_norm=True), layer=layer, pool=pool)

    def _fbank(self, waveforms: Tensor) -> Tensor:
        """As many frames as hold some of the clip, at least: the whole ones, and so many that begin in it."""
        samples = (self.front_end.frames(waveforms.shape[1]) + self._begun - 1) * self.front_end.frame_shift + self.front_end.frame_length
        return self.front_end(pad(waveforms, (0, max(0, samples - waveforms.shape[1]))))

    @property
    def _begun(self) -> int:
        return math.ceil(self.front_end.frame_length / self.front_end.frame_shift)

    def _clip_frames(self, columns: int) -> int:
        return columns - self._begun

    def _filled(self, pictures: Tensor, standardised: bool = False) -> Tensor:
        assert self.spec.max_window_s is not None
        frames = self.spec.options["frames"]
        whole = min(frames, self.front_end.frames(round(self.spec.max_window_s * self.sample_rate_hz)))
        silence = math.log(torch.finfo(torch.float32).eps)
        fbank = filled_up(pictures, whole, self._standardised(silence) if standardised else silence)
        lowest = fbank.amin(dim=(1, 2), keepdim=True).expand(-1, frames - whole, fbank.shape[2])
        return torch.cat([fbank, lowest], dim=1)
