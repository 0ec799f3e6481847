"""Encoders of speech that hear the raw waveform: HuBERT, wav2vec 2.0, WavLM and data2vec, under the keys of Hugging Face's files.

- W.-N. Hsu and others, "HuBERT", IEEE/ACM Transactions on Audio, Speech, and Language Processing 2021, arXiv 2106.07447
- A. Baevski and others, "wav2vec 2.0", NeurIPS 2020, arXiv 2006.11477; A. Babu and others, "XLS-R", Interspeech 2022, arXiv 2111.09296
- S. Chen and others, "WavLM", IEEE Journal of Selected Topics in Signal Processing 2022, arXiv 2110.13900
- A. Baevski and others, "data2vec", ICML 2022, arXiv 2202.03555

They take 16 kHz, any length; the embedding is a transformer layer's output (the last, unless another is chosen) averaged over time.
Whether a clip is first brought to zero mean and unit variance is each model's own choice (``do_normalize`` of its
``preprocessor_config.json``). Where group normalisation follows the first convolution it hardly matters: that undoes any scale and offset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from callspace.encoders.parts import Step
from callspace.encoders.sequences import POOLS, SequenceEncoder, layer_names
from callspace.encoders.specs import EncoderSpec, Weights
from callspace.encoders.wave_transformers import FEWEST_SAMPLES, Kind, WaveTransformer, long_enough, standardised

__all__ = ["SPECS", "SpeechEncoder", "hub_key"]

_BASE: dict[str, Any] = {"depth": 12, "width": 768, "heads": 12, "feed_forward": 3072}
_LARGE: dict[str, Any] = {"depth": 24, "width": 1024, "heads": 16, "feed_forward": 4096}
#: What files that hold more than the network (pretraining heads, a recogniser) put before the network's keys.
_PREFIXES = {"hubert": "hubert.", "wav2vec2": "wav2vec2.", "wavlm": "wavlm.", "data2vec-audio": "data2vec_audio."}
_CITATIONS = {
    "hubert": "Hsu et al. 2021, IEEE/ACM TASLP, arXiv 2106.07447",
    "wav2vec2": "Baevski et al. 2020, NeurIPS, arXiv 2006.11477",
    "wavlm": "Chen et al. 2022, IEEE JSTSP, arXiv 2110.13900",
    "data2vec-audio": "Baevski et al. 2022, ICML, arXiv 2202.03555",
}
_WAVLM_LICENCE = "MIT (the code's repository) or CC BY-SA 3.0 (to which the model card points)"
_RECOGNISER = "Fine-tuned to recognise English speech after self-supervision, as the published 960h files are."


def _spec(
    name: str,
    kind: Kind,
    repository: str,
    revision: str,
    parameters: int,
    size: dict[str, Any] = _BASE,
    *,
    licence: str = "Apache-2.0",
    sha256: str | None = None,
    citation: str | None = None,
    note: str = "",
    heads: bool = False,
    normalise: bool = True,
    **more: Any,
) -> EncoderSpec:
    """`heads`: whether the published file holds more than the network; `more`: further arguments of `WaveTransformer`."""
    network = {
        "kind": kind,
        **size,
        "extractor_width": 512,
        "extractor_norm": "group",
        "extractor_bias": False,
        "norm_first": False,
        **more,
    }
    return EncoderSpec(
        name=name,
        version="1",
        sample_rate_hz=16_000,
        embedding_dim=size["width"],
        pretraining="speech",
        citation=citation or _CITATIONS[kind],
        layers=layer_names(size["depth"]),
        pools=tuple(POOLS),
        min_window_s=FEWEST_SAMPLES / 16_000,
        weights=Weights.on_hub(repository, "pytorch_model.bin", revision=revision, licence=licence, sha256=sha256, note=note),
        family=kind,
        options={"network": network, "prefix": _PREFIXES[kind] if heads else "", "normalise": normalise},
        parameters=parameters,
    )


_LAYER_NORMS: dict[str, Any] = {"extractor_norm": "layer", "norm_first": True}

SPECS = {
    spec.name: spec
    for spec in (
        _spec("hubert-base", "hubert", "facebook/hubert-base-ls960", "dba3bb02fda4248b6e082697eee756de8fe8aa8a", 94_370_944),
        _spec(
            "hubert-large",
            "hubert",
            "facebook/hubert-large-ll60k",
            "ff022d095678a2995f3c49bab18a96a9e553f782",
            315_437_696,
            _LARGE,
            extractor_bias=True,
            **_LAYER_NORMS,
        ),
        _spec("wav2vec2-base", "wav2vec2", "facebook/wav2vec2-base", "0b5b8e868dd84f03fd87d01f9c4ff0f080fecfe8", 94_370_944, heads=True),
        _spec(
            "wav2vec2-large-lv60",
            "wav2vec2",
            "facebook/wav2vec2-large-lv60",
            "0cde644b64dac88d8416bec1c92a4099b850ba0b",
            315_437_696,
            _LARGE,
            sha256="1d095321ee151b9cbeeb2f325d104bf1813b795c9bbbee58efcde34f701d0386",
            heads=True,
            extractor_bias=True,
            **_LAYER_NORMS,
        ),
        _spec(
            "wav2vec2-xls-r-300m",
            "wav2vec2",
            "facebook/wav2vec2-xls-r-300m",
            "1a640f32ac3e39899438a2931f9924c02f080a54",
            315_437_696,
            _LARGE,
            citation="Babu et al. 2022, Interspeech, arXiv 2111.09296",
            heads=True,
            extractor_bias=True,
            **_LAYER_NORMS,
        ),
        _spec(
            "wavlm-base",
            "wavlm",
            "microsoft/wavlm-base",
            "efa81aae7ff777e464159e0f877d54eac5b84f81",
            94_381_168,
            licence=_WAVLM_LICENCE,
            normalise=False,
        ),
        _spec(
            "wavlm-base-plus",
            "wavlm",
            "microsoft/wavlm-base-plus",
            "4c66d4806a428f2e922ccfa1a962776e232d487b",
            94_381_168,
            licence=_WAVLM_LICENCE,
            normalise=False,
        ),
        _spec(
            "wavlm-large",
            "wavlm",
            "microsoft/wavlm-large",
            "c1423ed94bb01d80a3f5ce5bc39f6026a0f4828c",
            315_452_096,
            _LARGE,
            licence=_WAVLM_LICENCE,
            **_LAYER_NORMS,
        ),
        _spec(
            "data2vec-audio-base",
            "data2vec-audio",
            "facebook/data2vec-audio-base",
            "1f5a6404ec3d696d09d505c66b828124b70d50c8",
            93_163_520,
            extractor_norm="layer",
        ),
        _spec(
            "data2vec-audio-base-960h",
            "data2vec-audio",
            "facebook/data2vec-audio-base-960h",
            "32331f3123e703528918aa688a9a38232d58c872",
            93_163_520,
            heads=True,
            note=_RECOGNISER,
            extractor_norm="layer",
        ),
        _spec(
            "data2vec-audio-large-960h",
            "data2vec-audio",
            "facebook/data2vec-audio-large-960h",
            "27aba26eed532b86dcd0f17284a0307de4b51f39",
            313_275_392,
            _LARGE,
            heads=True,
            note=_RECOGNISER,
            extractor_norm="layer",
        ),
    )
}


class SpeechEncoder(SequenceEncoder):
    """A speech model over raw waveforms; 50 frames a second."""

    network: WaveTransformer
    #: What stands in for masked frames, the pretraining heads, and those of fine-tuned files.
    unused_keys = (
        r"(\w+\.)?masked_spec_embed",
        r"(quantizer|project_hid|project_q|lm_head|projector|classifier)\..*",
        r"layer_weights",
    )

    def __init__(self, spec: EncoderSpec, *, layer: str | None = None, pool: str | None = None) -> None:
        super().__init__(spec, layer=layer, pool=pool)
        prefix = spec.options["prefix"]
        self.network = WaveTransformer(published=lambda key: prefix + hub_key(key), **spec.options["network"])

        if self.spec.family == "wavlm":  # its attention reads the projections' weights, past any adapter
            self.lora_names = re.compile(r"\.feed_forward\.(intermediate|output)_dense$")

    def _prepared(self, waveforms: Tensor) -> Tensor:
        return long_enough(standardised(waveforms) if self.spec.options["normalise"] else waveforms)

    def _hidden(self, waveforms: Tensor, depth: int) -> list[Tensor]:
        return self.network.hidden(self._prepared(waveforms), depth)

    def _front(self, waveforms: Tensor) -> Tensor:
        """What the convolutions make of the waveforms: they are never trained, and take most of the time."""
        return self.network.extracted(self._prepared(waveforms))

    def _network_steps(self) -> Sequence[Step]:
        return self.network.steps()

    def _blocks(self) -> Sequence[nn.Module]:
        return self.network.blocks()

    def _after_blocks(self) -> Iterable[nn.Module]:
        return self.network.after_blocks()

    def _published_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Files of one network have a prefix or none, and two ways of naming a weight's length and direction."""
        own = self.network.state_dict()
        prefix, usual = self.spec.options["prefix"], _PREFIXES[self.spec.family]
        named = {key: prefix + hub_key(key.removeprefix(usual)) for key in state}
        return {named[key] if named[key] in own else key: value for key, value in state.items()}


def hub_key(key: str) -> str:
    """What Hugging Face's files of these models call an entry of today's transformers."""
    return re.sub(r"parametrizations\.weight\.original([01])$", lambda found: ("weight_g", "weight_v")[int(found[1])], key)
