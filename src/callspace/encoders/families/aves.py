"""AVES and BirdAVES: HuBERT pretrained on animal sounds, transformers' network under torchaudio's keys.

M. Hagiwara, "AVES: Animal Vocalization Encoder based on Self-Supervision", ICASSP 2023, arXiv 2210.14493. BirdAVES (2024) went on with the
recordings of Xeno-canto (``biox``) and iNaturalist (``bioxn``) and has a large size, built like the base one: group normalisation among
the convolutions, normalisation after attention and feed-forward.

It takes the raw waveform at 16 kHz, any length; the embedding is a transformer layer's output (the last, unless another is chosen)
averaged over time. See `callspace.encoders.wave_transformers` for what is trained, and why clips are grouped by their length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from callspace.encoders.parts import Step
from callspace.encoders.sequences import POOLS, SequenceEncoder, layer_names
from callspace.encoders.specs import EncoderSpec, Pretraining, Weights
from callspace.encoders.wave_transformers import FEWEST_SAMPLES, WaveTransformer, long_enough

__all__ = ["SPECS", "AvesEncoder", "AvesNetwork", "torchaudio_key"]

_BASE: dict[str, Any] = {"depth": 12, "width": 768, "heads": 12, "feed_forward": 3072, "extractor_width": 512}
_LARGE: dict[str, Any] = {"depth": 24, "width": 1024, "heads": 16, "feed_forward": 4096, "extractor_width": 512}
_PARAMETERS = {768: 94_370_944, 1024: 315_427_968}


def _spec(name: str, file: str, pretraining: Pretraining, sizes: dict[str, Any] = _BASE) -> EncoderSpec:
    return EncoderSpec(
        name=name,
        version="1",
        sample_rate_hz=16_000,
        embedding_dim=sizes["width"],
        pretraining=pretraining,
        citation="Hagiwara 2023, ICASSP, arXiv 2210.14493",
        layers=layer_names(sizes["depth"]),
        pools=tuple(POOLS),
        min_window_s=FEWEST_SAMPLES / 16_000,
        weights=Weights(
            f"https://storage.googleapis.com/esp-public-files/{file}.torchaudio.pt",
            licence="MIT (the repository's; none is stated for the weights)",
        ),
        family="aves",
        options=dict(sizes),
        parameters=_PARAMETERS[sizes["width"]],
    )


#: `aves` is the flavour that is meant where none is named: the one pretrained on animal sounds.
SPECS = {
    spec.name: spec
    for spec in (
        _spec("aves", "ported_aves/aves-base-bio", "bioacoustic"),
        _spec("aves-bio", "ported_aves/aves-base-bio", "bioacoustic"),
        _spec("aves-core", "ported_aves/aves-base-core", "bioacoustic"),
        _spec("aves-nonbio", "ported_aves/aves-base-nonbio", "audio"),
        _spec("aves-all", "ported_aves/aves-base-all", "bioacoustic"),
        _spec("birdaves-biox-base", "birdaves/birdaves-biox-base", "bioacoustic"),
        _spec("birdaves-biox-large", "birdaves/birdaves-biox-large", "bioacoustic", _LARGE),
        _spec("birdaves-bioxn-large", "birdaves/birdaves-bioxn-large", "bioacoustic", _LARGE),
    )
}


class AvesNetwork(WaveTransformer):
    """HuBERT with torchaudio's state dict; answers with the last layer's mean over time, float32[batch, width].

    Parameters
    ----------
    **sizes : int
        As `WaveTransformer` names them; the base size's, where not given.
    """

    def __init__(self, **sizes: int) -> None:
        super().__init__("hubert", torchaudio_key, **{**_BASE, **sizes})

    def forward(self, waveforms: Tensor) -> Tensor:
        """float32[batch, samples] at 16 kHz to float32[batch, width]."""
        return self.hidden(waveforms)[-1].mean(dim=1)


class AvesEncoder(SequenceEncoder):
    """AVES over raw waveforms; 50 frames a second."""

    network: AvesNetwork

    def __init__(self, spec: EncoderSpec, *, layer: str | None = None, pool: str | None = None) -> None:
        super().__init__(spec, layer=layer, pool=pool)
        self.network = AvesNetwork(**spec.options)

    def _hidden(self, waveforms: Tensor, depth: int) -> list[Tensor]:
        return self.network.hidden(long_enough(waveforms), depth)

    def _front(self, waveforms: Tensor) -> Tensor:
        """What the convolutions make of the waveforms: they are never trained, and take most of the time."""
        return self.network.extracted(long_enough(waveforms))

    def _network_steps(self) -> Sequence[Step]:
        return self.network.steps()

    def _blocks(self) -> Sequence[nn.Module]:
        return self.network.blocks()


def torchaudio_key(key: str) -> str:
    """What torchaudio calls an entry of transformers' HuBERT."""
    if key.startswith("feature_extractor."):
        return key
    if key.startswith("feature_projection."):
        return f"encoder.{key}"
    key = key.replace("parametrizations.weight.original0", "weight_g").replace("parametrizations.weight.original1", "weight_v")
    return key.replace("encoder.", "encoder.transformer.", 1)
