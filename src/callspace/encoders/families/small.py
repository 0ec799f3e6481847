"""callspace-small: a network of our own, pretrained on invented sounds, shipped with its weights.

A residual convolutional network (K. He and others, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv 1512.03385, with the
average-pooled shortcuts of T. He and others, "Bag of Tricks for Image Classification", CVPR 2019, arXiv 1812.01187) looks at a log-mel
spectrogram: 64 mels from 60 Hz to 8 kHz, windows of 20 ms every 10 ms at 16 kHz, standardised per clip. Four stages halve frequency each
and time three times; a last convolution joins what is left of frequency, and what remains is a sequence, a token every 80 ms. The embedding is
the mean and the maximum of the tokens over time, one after the other (as both are used by Q. Kong and others, "PANNs", 2020, arXiv
1912.10211).

It was trained by ``training/pretrain_small.py`` on nothing that was ever recorded; ``callspace-small.md`` beside the weights says how, and
what it is for: a baseline that lets the story of pretrained, frozen and tuned run anywhere, without a download.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor, nn

from callspace.audio.mel import MelSpectrogram
from callspace.encoders.contract import Encoder
from callspace.encoders.parts import Step
from callspace.encoders.specs import EncoderSpec, Weights
from callspace.encoders.spectrograms import log_standardised

__all__ = ["SPEC", "SmallEncoder", "SmallNetwork", "brought_file", "pictures_of", "small_mel"]

_FILE = "callspace-small.safetensors"
_MELS = 64
_WIDTHS = (16, 32, 64, 128)
_DIM = 256
_LAYERS = ("pooled", "stage4", "stage3", "stage2", "stage1")

SPEC = EncoderSpec(
    name="callspace-small",
    version="1",
    sample_rate_hz=16_000,
    embedding_dim=2 * _DIM,
    pretraining="audio",
    citation="the callspace developers; trained on invented sounds by training/pretrain_small.py",
    layers=_LAYERS,
    pools=("mean-max",),
    layer_dims={f"stage{number}": 2 * width for number, width in enumerate(_WIDTHS, start=1)},
    weights=Weights(
        f"callspace/encoders/data/{_FILE}",  # in the package: there is nothing to fetch
        licence="Apache-2.0",
        sha256="fdee28d6a6ebef0b38c414c70d705bbc34ecbb3bfa34c1b183ed793e79df8924",
        size_bytes=891_664,
        note="Trained on invented sounds only: a baseline that runs anywhere, not a model of animal sounds.",
    ),
    front_end="logmel-64",
    family="small",
    parameters=438_576,
    note="It hears nothing above 8 kHz.",
)


def brought_file() -> Path:
    """Where the weights lie in the package."""
    return Path(str(resources.files("callspace.encoders") / "data" / _FILE))


class _Residual(nn.Module):
    """Two convolutions beside a shortcut; the first one strides, the shortcut averages what it strides over."""

    def __init__(self, channels: int, out: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(out)
        self.second = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(out)
        # An odd row or column at the end is averaged alone, so that the shortcut is as large as what it joins.
        self.shrink = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False) if stride != (1, 1) else nn.Identity()
        self.shortcut: nn.Module = nn.Identity()
        if channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out))

    def forward(self, maps: Tensor) -> Tensor:
        inner = torch.relu(self.first_norm(self.first(maps)))
        return torch.relu(self.second_norm(self.second(inner)) + self.shortcut(self.shrink(maps)))


class SmallNetwork(nn.Module):
    """Five stages, each called on the output of the one before: float32[batch, 1, 64, frames] to float32[batch, 256, 1, tokens]."""

    def __init__(self) -> None:
        super().__init__()
        one, two, three, four = _WIDTHS
        self.stage1 = nn.Sequential(nn.Conv2d(1, one, 3, 2, 1, bias=False), nn.BatchNorm2d(one), nn.ReLU(), _Residual(one, one, (1, 1)))
        self.stage2 = _Residual(one, two, (2, 2))
        self.stage3 = _Residual(two, three, (2, 2))
        self.stage4 = _Residual(three, four, (2, 1))
        self.join = nn.Sequential(nn.Conv2d(four, _DIM, (_MELS // 16, 1)), nn.ReLU())
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def stages(self) -> list[nn.Module]:
        """The stages in order; the last one joins what is left of frequency."""
        return [self.stage1, self.stage2, self.stage3, self.stage4, self.join]

    def forward(self, pictures: Tensor) -> Tensor:
        """float32[batch, 1, 64, frames] to the embedding, float32[batch, 512]."""
        maps = pictures
        for stage in self.stages():
            maps = stage(maps)
        return _pooled(_tokens(maps))


def pictures_of(mel: MelSpectrogram, waveforms: Tensor) -> Tensor:
    """What the network looks at: float32[batch, samples] to float32[batch, 1, 64, 1 + samples // 160]."""
    return log_standardised(mel(waveforms))[:, None].contiguous(memory_format=torch.channels_last)


def small_mel() -> MelSpectrogram:
    """64 HTK mels from 60 Hz to 8 kHz of the power in windows of 20 ms, one every 10 ms, centred on zero-padded audio."""
    return MelSpectrogram(16_000, 512, 160, _MELS, window_length=320, f_min=60.0, pad_mode="constant", bins="fft")


def _tokens(maps: Tensor) -> Tensor:
    """float32[batch, channels, height, tokens] to float32[batch, tokens, channels]: the mean over frequency."""
    return maps.mean(dim=2).transpose(1, 2)


def _pooled(tokens: Tensor) -> Tensor:
    """The mean over time, then the maximum: float32[batch, tokens, dim] to float32[batch, 2 dim]."""
    return torch.cat([tokens.mean(dim=1), tokens.amax(dim=1)], dim=1)


class SmallEncoder(Encoder):
    """The small network; its layers are ``pooled`` and, before it, ``stage4`` to ``stage1``, each pooled alike."""

    network: SmallNetwork
    picture_axes = (-2, -1)
    pads_pictures = True

    def __init__(self, spec: EncoderSpec = SPEC, *, layer: str | None = None, pool: str | None = None) -> None:
        super().__init__(spec, layer=layer, pool=pool)
        self.mel = small_mel()
        self.network = SmallNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _embed(self, waveforms: Tensor) -> Tensor:
        return self._embed_layers(waveforms, (self.layer,))[0]

    def _embed_layers(self, waveforms: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        maps = self._front(waveforms)
        for number, stage in enumerate(self.network.stages()[: max(_depth(layer) for layer in layers)], start=1):
            maps = stage(maps)
            found[number] = maps
        return [_pooled(_tokens(found[_depth(layer)])) for layer in layers]

    def backbone_parameters(self) -> list[nn.Parameter]:
        """The parameters of the stages up to the layer that is read."""
        return [parameter for _, stages in self._block_modules() for stage in stages for parameter in stage.parameters()]

    def _front(self, waveforms: Tensor) -> Tensor:
        return pictures_of(self.mel, waveforms)

    def _steps(self) -> Sequence[Step]:
        return self.network.stages()[: _depth(self.layer)]

    def _block_modules(self) -> list[tuple[str, list[nn.Module]]]:
        names = ("stage1", "stage2", "stage3", "stage4", "join")
        return [(name, [stage]) for name, stage in zip(names, self.network.stages()[: _depth(self.layer)], strict=False)]

    def _read(self, hidden: Tensor) -> Tensor:
        return _pooled(_tokens(hidden))

    def _tokens_of(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        return _tokens(hidden), None

    @property
    def token_dim(self) -> int:
        """The channels of the map that is read: half of the embedding's dimension."""
        return self._registered.dim_of(self.layer, self.pool) // 2


def _depth(layer: str) -> int:
    """How many stages lie before a layer."""
    return len(_LAYERS) if layer == "pooled" else int(layer.removeprefix("stage"))
