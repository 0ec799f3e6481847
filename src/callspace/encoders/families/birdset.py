"""ConvNeXt and EfficientNet of BirdSet: transformers' networks, trained to tell 9,736 species of birds.

L. Rauch and others, "BirdSet: A Large-Scale Dataset for Audio Classification in Avian Bioacoustics", ICLR 2025, arXiv 2403.10380; both
were trained on its largest part (XCL, from xeno-canto). They see five seconds at 32 kHz as a mel spectrogram (HTK mels of the power up to
16 kHz) in decibels, with one channel. What lies more than 80 dB below the loudest cell is raised to that level, then -4.268 is
subtracted and the rest divided by 4.569. The authors look for the loudest cell in the whole batch; here it is the clip's own, which is
theirs for a batch of one. A shorter clip is followed by zeros, a longer one cut in equal parts.

The layers are ``pooled``, what the classifier gets, and ``logits``, its outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from callspace.audio.mel import MelSpectrogram
from callspace.encoders.efficientnet import initialise
from callspace.encoders.fixed_windows import FixedWindowEncoder, decibels
from callspace.encoders.parts import Step, read_maps
from callspace.encoders.specs import EncoderSpec, Weights

__all__ = ["SPECS", "BirdSetConvNeXt", "BirdSetEfficientNet", "BirdSetEncoder"]

_MEAN_DB, _DEVIATION_DB = -4.268, 4.569
_RANGE_DB = 80.0


def _spec(name: str, repository: str, dim: int, parameters: int, revision: str = "main", **options: Any) -> EncoderSpec:
    return EncoderSpec(
        name=name,
        version="1",
        sample_rate_hz=32_000,
        embedding_dim=dim,
        pretraining="bioacoustic",
        citation="Rauch et al. 2025, ICLR, arXiv 2403.10380",
        layers=("pooled", "logits"),
        layer_dims={"logits": options["labels"]},
        min_window_s=5.0,
        max_window_s=5.0,
        weights=Weights.on_hub(
            f"DBD-research-group/{repository}",
            "model.safetensors",
            revision=revision,
            licence="none stated (model card)",
            terms="unstated",
            note="Trained on birds alone.",
        ),
        front_end=f"mel{options['n_mels']}-80db",
        family=name,
        options=options,
        parameters=parameters,
    )


SPECS = {
    "birdset-convnext": _spec(
        "birdset-convnext",
        "ConvNeXT-Base-BirdSet-XCL",
        1024,
        97_541_768,
        "a7c227427b01d88e3c02421e7ba392ad1e96bc6d",
        n_fft=1024,
        hop=320,
        n_mels=128,
        labels=9736,
        widths=[128, 256, 512, 1024],
        depths=[3, 3, 27, 3],
    ),
    "birdset-efficientnet": _spec(
        "birdset-efficientnet",
        "EfficientNet-B1-BirdSet-XCL",
        1280,
        18_984_424,
        n_fft=2048,
        hop=256,
        n_mels=256,
        labels=9736,
        width=1.0,
        depth=1.1,
    ),
}


class BirdSetConvNeXt(nn.Module):
    """transformers' ConvNeXt with one channel; its keys are the published ones.

    Parameters
    ----------
    widths, depths : list[int]
        Channels and blocks of each of the four stages.
    labels : int
    """

    def __init__(self, widths: list[int], depths: list[int], labels: int) -> None:
        super().__init__()
        from transformers import ConvNextConfig, ConvNextForImageClassification

        config = ConvNextConfig(
            num_channels=1,
            hidden_sizes=list(widths),
            depths=list(depths),
            num_labels=labels,  # type: ignore[call-arg]
        )
        built = ConvNextForImageClassification(config)
        self.convnext = built.convnext
        self.classifier = built.classifier

    def pooled(self, pictures: Tensor) -> Tensor:
        """What the classifier gets, float32[batch, dim]."""
        return self.convnext(pictures).pooler_output

    def parts(self) -> list[tuple[str, Step, list[nn.Module]]]:
        """The patches, then each block, the first of a stage with what brings its maps to half the size."""
        parts: list[tuple[str, Step, list[nn.Module]]] = [("patches", self.convnext.embeddings, [self.convnext.embeddings])]
        for number, stage in enumerate(self.convnext.encoder.stages, start=1):
            blocks: list[nn.Module] = list(stage.layers)  # type: ignore[arg-type]
            blocks[0] = nn.Sequential(*stage.downsampling_layer, blocks[0])  # type: ignore[misc]
            parts += [(f"stage{number}.block{block}", module, [module]) for block, module in enumerate(blocks, start=1)]
        name, last, modules = parts[-1]
        return [*parts[:-1], (name, last, [*modules, self.convnext.layernorm])]

    def pool(self, maps: Tensor) -> Tensor:
        """The last map to what the classifier gets."""
        return self.convnext.layernorm(maps.mean(dim=(2, 3)))

    def tokens(self, maps: Tensor) -> Tensor:
        """The places of the last map, normalised as their mean is."""
        return self.convnext.layernorm(read_maps(maps))

    def forward(self, pictures: Tensor) -> Tensor:
        """float32[batch, 1, mels, frames] to float32[batch, labels]."""
        return self.classifier(self.pooled(pictures))


class BirdSetEfficientNet(nn.Module):
    """transformers' EfficientNet with one channel; its keys are the published ones.

    Parameters
    ----------
    width, depth : float
        Multiples of B0's channels and blocks.
    labels : int

    Notes
    -----
    Two things that are transformers' own and of no consequence to published weights in evaluation are otherwise here. Its batch
    normalisation forgets all but the last batch (the 0.99 of TensorFlow's is the share that is kept, torch's the share that is
    replaced). It draws the gains from around zero, so that nothing passes through a random network.
    """

    def __init__(self, width: float, depth: float, labels: int) -> None:
        super().__init__()
        from transformers import EfficientNetConfig, EfficientNetForImageClassification

        config = EfficientNetConfig(
            num_channels=1,
            width_coefficient=width,
            depth_coefficient=depth,
            hidden_dim=round(1280 * width),
            depthwise_padding=[16],  # google/efficientnet-b1's: the 17th block pads alike on both sides
            dropout_rate=0.2,
            batch_norm_momentum=0.1,
            num_labels=labels,  # type: ignore[call-arg]
        )
        built = EfficientNetForImageClassification(config)
        self.efficientnet = built.efficientnet
        self.classifier = built.classifier
        initialise(self)

    def pooled(self, pictures: Tensor) -> Tensor:
        """What the classifier gets, float32[batch, dim]."""
        return self.efficientnet(pictures).pooler_output

    def parts(self) -> list[tuple[str, Step, list[nn.Module]]]:
        """The first convolution, each bottleneck, and the last convolution."""
        embeddings, encoder = self.efficientnet.embeddings, self.efficientnet.encoder
        blocks: list[tuple[str, Step, list[nn.Module]]] = [
            (f"block{number}", one, [one]) for number, one in enumerate(encoder.blocks, start=1)
        ]
        top: list[nn.Module] = [encoder.top_conv, encoder.top_bn]
        return [("conv1", embeddings, [embeddings]), *blocks, ("conv2", nn.Sequential(*top, encoder.top_activation), top)]

    def pool(self, maps: Tensor) -> Tensor:
        """The last map to what the classifier gets."""
        return self.efficientnet.pooler(maps).flatten(1)

    def tokens(self, maps: Tensor) -> Tensor:
        """The places of the last map."""
        return read_maps(maps)

    def forward(self, pictures: Tensor) -> Tensor:
        """float32[batch, 1, mels, frames] to float32[batch, labels]."""
        return self.classifier(self.pooled(pictures))


class BirdSetEncoder(FixedWindowEncoder):
    """A BirdSet network over mel spectrograms of five seconds."""

    network: BirdSetConvNeXt | BirdSetEfficientNet
    picture_axes = (-2, -1)

    def __init__(self, spec: EncoderSpec, *, layer: str | None = None, pool: str | None = None) -> None:
        super().__init__(spec, layer=layer, pool=pool)
        sizes = dict(spec.options)
        self.mel = MelSpectrogram(32_000, sizes.pop("n_fft"), sizes.pop("hop"), sizes.pop("n_mels"))
        self.network = BirdSetConvNeXt(**sizes) if "widths" in sizes else BirdSetEfficientNet(**sizes)

    def _picture(self, waveforms: Tensor) -> Tensor:
        """Standardised levels, float32[batch, 1, mels, frames]: 128 x 501, or 256 x 626."""
        levels = decibels(self.mel(self._filled(waveforms)), range_db=_RANGE_DB)
        return ((levels - _MEAN_DB) / _DEVIATION_DB)[:, None]

    def _look(self, pictures: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        pooled = self.network.pooled(pictures)
        return [self.network.classifier(pooled) if layer == "logits" else pooled for layer in layers]

    def _steps_to(self, layer: str) -> Sequence[Step]:
        network = self.network
        classifier: list[Step] = [lambda maps: network.classifier(network.pool(maps))] if layer == "logits" else []
        return [*(step for _, step, _ in network.parts()), *classifier]

    def _block_modules(self) -> list[tuple[str, list[nn.Module]]]:
        named = [(name, modules) for name, _, modules in self.network.parts()]
        return [*named, ("classifier", [self.network.classifier])] if self._read_layer == "logits" else named

    def _read(self, hidden: Tensor) -> Tensor:
        return hidden if self.layer == "logits" else self.network.pool(hidden)

    def _tokens_of(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.network.tokens(hidden), None

    @property
    def token_dim(self) -> int:
        """The channels of the last map."""
        return self._registered.embedding_dim

    def backbone_parameters(self) -> list[nn.Parameter]:
        """All the network's parameters, without the classifier where the embedding is read before it: it would get no gradient."""
        unused = set() if self._read_layer == "logits" else set(self.network.classifier.parameters())
        return [parameter for parameter in self.network.parameters() if parameter not in unused]
