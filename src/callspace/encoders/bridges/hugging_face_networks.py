"""The networks and ears of ``hf:ID``: see `callspace.encoders.bridges.hugging_face`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from callspace.encoders.bridges.foreign import reached_parameters
from callspace.encoders.contract import Encoder
from callspace.encoders.layouts import PublishedLayout
from callspace.encoders.parts import called_targets
from callspace.encoders.sequences import SequenceEncoder
from callspace.encoders.specs import EncoderSpec
from callspace.encoders.spectrograms import Spectrograms
from callspace.encoders.vision import PictureNetwork, VisionEncoder, VisionTraits
from callspace.encoders.weights import read_state, refuse_broken
from callspace.errors import CallspaceError

__all__ = ["Ears", "HfAudioEncoder", "HfNetwork", "HfPictureEncoder", "HfPooledEncoder", "built", "ears"]

#: Tokens before the first frame, of model types that have some.
_LEADING_TOKENS = {"audio-spectrogram-transformer": 2}


@dataclass(frozen=True)
class Ears:
    """What turns waveforms into a model's inputs.

    Attributes
    ----------
    rate : int
    extractor
        Transformers' feature extractor.
    raw : bool
        Whether the model takes waveforms.
    longest_s : float | None
        The window that the extractor cuts or pads to.
    """

    rate: int
    extractor: Any
    raw: bool
    longest_s: float | None

    @property
    def front_end(self) -> str:
        """A name for the spec."""
        return "waveform" if self.raw else type(self.extractor).__name__

    def inputs(self, waveforms: Tensor) -> dict[str, Tensor]:
        """float32[batch, samples], all real, to the arguments of the model."""
        if self.raw:
            if getattr(self.extractor, "do_normalize", False):
                centred = waveforms - waveforms.mean(dim=1, keepdim=True)
                waveforms = centred / torch.sqrt(centred.square().mean(dim=1, keepdim=True) + 1e-7)
            return {"input_values": waveforms}
        clips = list(waveforms.detach().cpu().numpy())
        found = self.extractor(clips, sampling_rate=self.rate, return_tensors="pt")
        return {key: value.to(waveforms.device) for key, value in found.items()}


def ears(source: str, full: str) -> Ears:
    """What the repository's feature extractor does."""
    from transformers import AutoFeatureExtractor, Wav2Vec2FeatureExtractor

    try:
        extractor = AutoFeatureExtractor.from_pretrained(source, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # transformers raises a dozen kinds
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise CallspaceError(f"{full} does not say how it is fed: its preprocessor_config.json can't be read ({first_line})") from None
    rate = getattr(extractor, "sampling_rate", None)
    if not isinstance(rate, int):
        raise CallspaceError(f"{full}: its feature extractor states no sampling rate")
    raw = isinstance(extractor, Wav2Vec2FeatureExtractor)
    return Ears(rate, extractor, raw, None if raw else _longest(extractor, rate))


def _longest(extractor: Any, rate: int) -> float | None:
    if seconds := getattr(extractor, "max_length_s", None) or getattr(extractor, "chunk_length", None):
        return float(seconds)
    if "AST" in type(extractor).__name__:  # frames of 10 ms
        return extractor.max_length * 0.01
    return None


def built(config: Any) -> HfNetwork:
    """The network of a configuration, with random weights."""
    from transformers import AutoModel

    for name in ("layerdrop", "encoder_layerdrop"):  # a layer that is left out gets no gradient
        if hasattr(config, name):
            setattr(config, name, 0.0)
    if hasattr(config, "apply_spec_augment"):
        config.apply_spec_augment = False
    # In single precision, as waveforms are: a configuration may ask for half of it.
    return HfNetwork(AutoModel.from_config(config, trust_remote_code=False).float())


class HfNetwork(PublishedLayout, PictureNetwork):
    """The part of a transformers model that hears or sees, with its own state dict."""

    def __init__(self, model: Any) -> None:
        self_contained = not getattr(model.config, "is_encoder_decoder", False)
        super().__init__(model if self_contained else model.get_encoder(), str)
        self.pooled_only = hasattr(model, "get_audio_features")
        self._arguments = set(inspect.signature(self.inner.forward).parameters)
        #: Of an image model that takes pictures of one size only.
        self.picture_size: tuple[int, int] | None = None

    def _given(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {key: value for key, value in inputs.items() if key in self._arguments}

    def hidden(self, inputs: dict[str, Tensor]) -> list[Tensor]:
        """The outputs of the layers, each float32[batch, time, dim]; the last is what the network answers with."""
        found = self.inner(**self._given(inputs), output_hidden_states=True, return_dict=True)
        states = list(found.hidden_states[1:])
        if states[-1].shape == found.last_hidden_state.shape:
            states[-1] = found.last_hidden_state
        if any(state.ndim != 3 for state in states):
            raise CallspaceError("its hidden states are not sequences")
        return states

    def pooled(self, inputs: Any) -> Tensor:
        """Of a model of sound with an embedding of its own, or of pictures float32[batch, 3, height, width]; float32[batch, dim]."""
        if isinstance(inputs, dict):
            found = self.inner.get_audio_features(**inputs)  # type: ignore[operator, union-attr]
            return found if isinstance(found, Tensor) else found.pooler_output
        if self.picture_size is not None:
            inputs = nn.functional.interpolate(inputs, self.picture_size, mode="bilinear", antialias=True)
        found = self.inner(pixel_values=inputs, return_dict=True)
        if found.last_hidden_state.ndim == 4:
            return found.pooler_output.flatten(1)
        # Of tokens their mean, not the pooler's: many checkpoints hold no pooler, and random weights would be used.
        return found.last_hidden_state.mean(dim=1)

    def forward(self, **inputs: Tensor) -> Any:  # type: ignore[override]
        """What the model itself answers."""
        return self.inner(**inputs)


@contextmanager
def _no_bar() -> Iterator[None]:
    """Without transformers' own progress bar: one for a file that is here already says nothing."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


class _FromHub(Encoder):
    """What the encoders of ``hf:ID`` share."""

    network: HfNetwork

    def _config(self) -> Any:
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(self.spec.options["source"], trust_remote_code=False, local_files_only=True)

    def _probe(self) -> Tensor:
        raise NotImplementedError

    def load_weights(self, path: Path) -> None:
        """Read a checkpoint as transformers would, heads left aside; what makes the embedding must all be there."""
        from transformers import MODEL_MAPPING

        state, config = read_state(path), self._config()
        try:
            cls: Any = MODEL_MAPPING[type(config)]
            with _no_bar():
                model, info = cls.from_pretrained(None, config=config, state_dict=state, output_loading_info=True)
        except Exception as error:  # transformers raises what it likes for sizes that differ
            first_line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise CallspaceError(f"{path} does not fit {self.spec.name}: {first_line}") from None
        misshapen = [str(entry[0] if isinstance(entry, tuple) else entry) for entry in info.get("mismatched_keys") or ()]
        needed = {name.removeprefix("inner.") for name in self._needed()}
        missing = sorted(key for key in info["missing_keys"] if key.removeprefix("encoder.") in needed or key in needed)
        if missing or misshapen:
            few = ", ".join([*missing, *misshapen][:3])
            raise CallspaceError(f"{path} does not fit {self.spec.name}: {'missing' if missing else 'another shape of'} {few}")
        loaded = HfNetwork(model).state_dict()
        refuse_broken(loaded, path)
        self.network.load_state_dict(loaded)

    def _needed(self) -> set[str]:
        """What the embedding follows from: the parameters it has a gradient to, those that are never trained, and statistics."""
        reached = set(self._reached())
        parameters = {name for name, one in self.network.named_parameters() if one in reached or not one.requires_grad}
        return parameters | {name for name, one in self.network.named_buffers() if one.is_floating_point()}

    def _reached(self) -> list[nn.Parameter]:
        training = self.training
        self.eval()
        try:
            return reached_parameters(self.network, self._probe)
        finally:
            self.train(training)

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Those that a gradient of the embedding reaches."""
        return self._reached()

    def _block_modules(self) -> None:
        return None

    def lora_targets(self) -> list[str]:
        """As `callspace.encoders.parts.Parts.lora_targets`, of the modules that are called: some networks read weights past them."""
        return called_targets(self, self._probe)


class _Hearing(_FromHub):
    def __init__(self, spec: EncoderSpec, *, layer: str | None = None, pool: str | None = None) -> None:
        super().__init__(spec, layer=layer, pool=pool)
        self.network = built(self._config())
        self._ears = ears(spec.options["source"], spec.name)

    def _probe(self) -> Tensor:
        seconds = min(1.0, self.spec.max_window_s or 1.0)
        noise = 0.1 * torch.randn(1, round(seconds * self._ears.rate), generator=torch.Generator().manual_seed(0))
        return self._embed(noise.to(next(self.network.parameters()).device))

    def _long_enough(self, waveforms: Tensor) -> Tensor:
        """Zeros up to one frame of the first convolutions, of models of waveforms."""
        config = self.network.inner.config
        least = 1
        for kernel, stride in zip(reversed(getattr(config, "conv_kernel", ())), reversed(getattr(config, "conv_stride", ())), strict=True):
            least = (least - 1) * stride + kernel
        least = max(least, 400 if not self._ears.raw else 1)  # 25 ms at 16 kHz: one frame of a spectrogram
        return nn.functional.pad(waveforms, (0, max(0, least - waveforms.shape[1])))


class HfAudioEncoder(_Hearing, SequenceEncoder):
    """A model of sound whose layers are sequences."""

    @property
    def leading_tokens(self) -> int:  # type: ignore[override]
        """Class and distillation tokens, which are no frames."""
        return _LEADING_TOKENS.get(self.network.inner.config.model_type, 0)  # type: ignore[union-attr, arg-type]

    def _hidden(self, waveforms: Tensor, depth: int) -> list[Tensor]:
        return self.network.hidden(self._ears.inputs(self._long_enough(waveforms)))[:depth]


class HfPooledEncoder(_Hearing):
    """A model of sound with one embedding a clip."""

    def _embed(self, waveforms: Tensor) -> Tensor:
        return self.network.pooled(self._ears.inputs(self._long_enough(waveforms)))


class HfPictureEncoder(_FromHub, VisionEncoder):  # type: ignore[misc]
    """An image model on spectrograms."""

    traits = VisionTraits(fewest_frames=96)

    def _build_network(self, spec: EncoderSpec) -> PictureNetwork:
        network = built(self._config())
        network.picture_size = tuple(spec.options["resized_to"]) if spec.options["resized_to"] else None
        return network

    def _build_front_end(self) -> None:
        self.front_end = Spectrograms(self.sample_rate_hz, self.spec.front_end).to(next(self.network.parameters()).device)

    def _probe(self) -> Tensor:
        picture = torch.randn(1, 128, 192, generator=torch.Generator().manual_seed(0))
        return self._look(picture.to(next(self.network.parameters()).device), ("pooled",))[0]

    def _look(self, pictures: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        return [self.network.pooled(pictures[:, None].expand(-1, 3, -1, -1).contiguous())] * len(layers)
