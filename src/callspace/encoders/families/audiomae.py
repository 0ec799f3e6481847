"""AudioMAE: a vision transformer over ten seconds of a Kaldi filterbank, pretrained to fill in masked patches.

P.-Y. Huang et al., "Masked Autoencoders that Listen", NeurIPS 2022, arXiv 2207.06405. The authors publish torch files of their training
code; these are their weights in timm's layout, as converted on the hub (gaunernst). The waveform (16 kHz) loses its mean, its 128 Kaldi
mels are filled with zeros to 1024 frames and standardised, and patches of 16 by 16 become tokens behind a class token.

A clip is the mean over all patches, as the authors read it: ``audiomae`` normalises the tokens first, ``audiomae-ft`` (fine-tuned on the
20,000 balanced clips of AudioSet) the mean. The latter has no use for the class token, which nothing trained, so it offers none.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor
from torch.nn.functional import pad

from callspace.encoders.sequences import POOLS, layer_names
from callspace.encoders.specs import EncoderSpec, Weights
from callspace.encoders.vit import SpectrogramTransformer, SpectrogramTransformerEncoder, filled_up

__all__ = ["SPECS", "AudioMaeEncoder"]

_RATE_HZ = 16_000
_FRAME_SAMPLES, _STEP_SAMPLES, _FRAMES = 400, 160, 1024
_LICENCE = "CC BY-NC 4.0"

_PRETRAINED = EncoderSpec(
    name="audiomae",
    version="1",
    sample_rate_hz=_RATE_HZ,
    embedding_dim=768,
    pretraining="audio",
    citation="Huang et al. 2022, NeurIPS, arXiv 2207.06405",
    layers=layer_names(12),
    pools=(*POOLS, "cls"),
    min_window_s=_FRAME_SAMPLES / _RATE_HZ,
    max_window_s=(_FRAME_SAMPLES + (_FRAMES - 1) * _STEP_SAMPLES) / _RATE_HZ,
    weights=Weights.on_hub(
        "gaunernst/vit_base_patch16_1024_128.audiomae_as2m", "model.safetensors", licence=_LICENCE, terms="non-commercial"
    ),
    front_end="kaldi-fbank",
    family="audiomae",
    options={
        "depth": 12,
        "width": 768,
        "heads": 12,
        "frames": _FRAMES,
        "mean": -4.2677393,
        "deviation": 4.5689974,
        "pooled_norm": False,
    },
    parameters=85_648_128,
    note="The mean over patches takes in those that fill a clip up to 10 s, as the authors' does.",
)

SPECS = {
    "audiomae": _PRETRAINED,
    "audiomae-ft": replace(
        _PRETRAINED,
        name="audiomae-ft",
        pools=tuple(POOLS),
        weights=Weights.on_hub(
            "gaunernst/vit_base_patch16_1024_128.audiomae_as2m_ft_as20k",
            "model.safetensors",
            revision="49cfdfa4663a9c689e7ee5184df2d5660f730233",
            licence=_LICENCE,
            terms="non-commercial",
        ),
        options={**_PRETRAINED.options, "pooled_norm": True},
    ),
}


class AudioMaeEncoder(SpectrogramTransformerEncoder):
    """AudioMAE over waveforms of up to 10.255 s (1024 frames); 6.25 frames a second, each the mean of its 8 frequency patches."""

    #: The classifier of the fine-tuned file: AudioSet's 527 classes.
    unused_keys = (r"head\.(weight|bias)",)

    def __init__(self, spec: EncoderSpec, *, layer: str | None = None, pool: str | None = None) -> None:
        options = spec.options
        sizes = {key: options[key] for key in ("depth", "width", "heads", "frames")}
        network = SpectrogramTransformer(**sizes, token_norm=not options["pooled_norm"], pooled_norm=options["pooled_norm"])
        super().__init__(spec, network, layer=layer, pool=pool)

    def _fbank(self, waveforms: Tensor) -> Tensor:
        waveforms = waveforms - waveforms.mean(dim=1, keepdim=True)
        return self.front_end(pad(waveforms, (0, max(0, _FRAME_SAMPLES - waveforms.shape[1]))))[:, : self.spec.options["frames"]]

    def _filled(self, pictures: Tensor, standardised: bool = False) -> Tensor:
        return filled_up(pictures, self.spec.options["frames"], self._standardised(0.0) if standardised else 0.0)
