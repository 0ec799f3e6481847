"""``timm:NAME``: any image model of timm looks at our spectrograms, as the vision encoders do.

The embedding is what timm's classifier would get (``forward_head(..., pre_logits=True)``), or the classifier's outputs (``logits``). A
model that takes one size of picture only gets the spectrogram resized to it, clip by clip. Weights are timm's, in Hugging Face's cache,
and pass through timm's own conversion.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from callspace.encoders.bridges.foreign import imported, reached_parameters, unknown_model, version_of
from callspace.encoders.layouts import PublishedLayout
from callspace.encoders.parts import Step, called_targets, read_maps
from callspace.encoders.registry import Entry
from callspace.encoders.specs import EncoderSpec, Weights
from callspace.encoders.spectrograms import Spectrograms
from callspace.encoders.vision import PictureNetwork, VisionEncoder, VisionTraits
from callspace.encoders.weights import fill, read_state
from callspace.errors import CallspaceError

__all__ = ["TimmEncoder", "TimmNetwork", "entry"]

_FEWEST_FRAMES = 96  # 1 s at most is padded: enough for every stem in timm, Inception's included
_INSTALL = "timm torchvision"


def entry(full: str, name: str) -> Entry:
    """The encoder of a timm model."""
    imported("timm", _INSTALL, "timm")
    return Entry(_spec(full, name), TimmEncoder)


@lru_cache(maxsize=32)
def _spec(full: str, name: str) -> EncoderSpec:
    timm = imported("timm", _INSTALL, "timm")
    if not timm.is_model(name):
        raise unknown_model(full, name, timm.list_models(), "timm")
    try:
        config = timm.get_pretrained_cfg(name)
        with torch.random.fork_rng(devices=[]):
            network = TimmNetwork(name)
    except RuntimeError as error:  # a tag that the architecture does not have
        raise unknown_model(full, name, timm.list_pretrained(f"{name.split('.', maxsplit=1)[0]}.*"), "timm") from error
    height, width = network.picture_size or (0, 0)
    return EncoderSpec(
        name=full,
        version=f"timm {version_of('timm')}",
        sample_rate_hz=None,
        embedding_dim=network.dim,
        pretraining="image",
        citation=f"timm, {name}; {getattr(config, 'origin_url', None) or 'Wightman 2019, PyTorch Image Models'}",
        layers=("pooled", "logits") if network.classes else ("pooled",),
        layer_dims={"logits": network.classes} if network.classes else {},
        front_ends=("logmel", "power"),
        front_end="logmel",
        weights=_weights(config),
        family="timm",
        options={"model": name},
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        note=f"The spectrogram is resized to {height} x {width}: this network takes no other size." if height else "",
    )


def _weights(config: Any) -> Weights | None:
    licence = getattr(config, "license", None) or "see the model card"
    terms = "non-commercial" if "nc" in licence.lower().split("-") else "open" if getattr(config, "license", None) else "unstated"
    if repository := getattr(config, "hf_hub_id", None):
        repository, _, revision = repository.partition("@")
        file = getattr(config, "hf_hub_filename", None) or "model.safetensors"
        return Weights.on_hub(repository, file, licence=licence, terms=terms, revision=revision or "main")
    if url := getattr(config, "url", None):
        return Weights(url, licence=licence, terms=terms)  # type: ignore[arg-type]
    return None


class TimmNetwork(PublishedLayout, PictureNetwork):
    """A model of timm, with its own state dict."""

    def __init__(self, name: str, **options: Any) -> None:
        import timm

        super().__init__(timm.create_model(name, pretrained=False, **options), str)
        inner: Any = self.inner
        classifier = inner.get_classifier() if hasattr(inner, "get_classifier") else None
        self.classes = int(inner.num_classes) if isinstance(classifier, nn.Linear) else 0
        self.dim = int(getattr(inner, "head_hidden_size", None) or inner.num_features)
        config = getattr(inner, "pretrained_cfg", None) or {}
        fixed = config.get("fixed_input_size", False) or hasattr(getattr(inner, "patch_embed", None), "img_size")
        self.picture_size: tuple[int, int] | None = tuple(config.get("input_size", (3, 224, 224))[1:]) if fixed else None  # type: ignore[assignment]

    def features(self, pictures: Tensor) -> Tensor:
        """What timm's pooling gets: maps or tokens."""
        if self.picture_size is not None:
            pictures = nn.functional.interpolate(pictures, self.picture_size, mode="bilinear", antialias=True)
        inner: Any = self.inner
        return inner.forward_features(pictures)

    def pool(self, last: Tensor) -> Tensor:
        """What the classifier gets, float32[batch, dim], of `features`."""
        inner: Any = self.inner
        return inner.forward_head(last, pre_logits=True)

    def pooled(self, pictures: Tensor) -> Tensor:
        """What the classifier gets, float32[batch, dim]."""
        return self.pool(self.features(pictures))

    def last_layer(self) -> nn.Linear:
        """The classifier."""
        return self.inner.get_classifier()  # type: ignore[operator, union-attr, return-value]


class TimmEncoder(VisionEncoder):
    """A timm model on spectrograms."""

    traits = VisionTraits(fewest_frames=_FEWEST_FRAMES)
    network: TimmNetwork

    def _build_network(self, spec: EncoderSpec) -> PictureNetwork:
        return TimmNetwork(spec.options["model"])

    def _build_front_end(self) -> None:
        self.front_end = Spectrograms(self.sample_rate_hz, self.spec.front_end).to(next(self.network.parameters()).device)

    def _steps_to(self, layer: str) -> list[Step]:
        """One for all blocks, up to timm's pooling: its models pass maps on in ways of their own."""
        return [lambda pictures: self.network.features(self._channels(pictures))]

    def _read(self, hidden: Tensor) -> Tensor:
        pooled = self.network.pool(hidden)
        return self.network.last_layer()(pooled) if self.layer == "logits" else pooled

    def _tokens_of(self, hidden: Tensor) -> tuple[Tensor, None]:
        """The places of the last map, or the patches, without the tokens that lead them."""
        if hidden.ndim == 3:
            return hidden[:, int(getattr(self.network.inner, "num_prefix_tokens", 0)) :], None
        return read_maps(hidden, (2, 3) if hidden.shape[1] == self.token_dim else (1, 2)), None

    @property
    def token_dim(self) -> int:
        """The number of features, as timm counts them."""
        return int(self.network.inner.num_features)  # type: ignore[arg-type]

    def _look(self, pictures: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        pooled = self.network.pooled(self._channels(pictures))
        return [self.network.last_layer()(pooled) if layer == "logits" else pooled for layer in layers]

    def load_weights(self, path: Path) -> None:
        """Read a file as timm would, with timm's conversion of older layouts; nothing but tensors is read."""
        import timm

        read_state(path)  # refuses what would run code, before timm sees it
        options: dict[str, Any] = {"pretrained_cfg_overlay": {"file": str(path)}}
        try:
            filled = timm.create_model(self.spec.options["model"], pretrained=True, **options)
        except (RuntimeError, ValueError, KeyError) as error:
            raise CallspaceError(f"{path} does not fit {self.spec.name}: {(str(error).splitlines() or ['?'])[-1].strip()[:200]}") from None
        fill(self.network, filled.state_dict(), path)

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Those that a gradient of the embedding reaches."""
        training = self.training
        self.eval()
        try:
            return reached_parameters(self.network, self._probe)
        finally:
            self.train(training)

    def _probe(self) -> Tensor:
        device = next(self.network.parameters()).device
        picture = torch.randn(1, 128, 2 * _FEWEST_FRAMES, generator=torch.Generator().manual_seed(0)).to(device)
        if self.pooler is not None:
            return self._tokens_of(self.network.features(self._channels(picture)))[0]
        return self._look(picture, (self.layer,))[0]

    def lora_targets(self) -> list[str]:
        """As `callspace.encoders.parts.Parts.lora_targets`, of the modules that are called."""
        return called_targets(self, self._probe)
