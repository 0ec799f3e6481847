"""VGGish: a VGG network trained on the sound tracks of YouTube videos, in torchvggish's layout.

S. Hershey and others, "CNN architectures for large-scale audio classification", ICASSP 2017, arXiv 1609.09430; weights and front end as in
H. Taylor's torchvggish, github.com/harritaylor/torchvggish, a conversion of the authors' TensorFlow release. As in the study, there is no
principal component analysis after it: the embedding is the last layer's 128 values after its rectifier, none of them negative, averaged
over a clip's examples.

An example is 96 frames of 64 mel bands, 0.96 s. Examples don't overlap, and frames that fill no example are dropped; a clip shorter than
one example is filled up with silence. The front end is YAMNet's with another offset: log(mel-weighted magnitude spectrum + 0.01).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from callspace.encoders.contract import Encoder
from callspace.encoders.families.yamnet import LogMel
from callspace.encoders.parts import Step
from callspace.encoders.specs import EncoderSpec, Weights

__all__ = ["SPEC", "VGGish", "VGGishEncoder", "examples_in"]

_RATE_HZ = 16_000
_FRAME, _HOP = 400, 160
_LOG_OFFSET = 0.01
_BANDS = 64
_EXAMPLE_FRAMES = 96
#: 95 hops and one whole frame (0.975 s); the next example starts 0.96 s later.
_EXAMPLE_SAMPLES = (_EXAMPLE_FRAMES - 1) * _HOP + _FRAME
_EXAMPLE_HOP_SAMPLES = _EXAMPLE_FRAMES * _HOP

#: Examples that go through the network at once: a bound on memory, without effect on the result.
_EXAMPLES_AT_ONCE = 64

SPEC = EncoderSpec(
    name="vggish",
    version="1",
    sample_rate_hz=_RATE_HZ,
    embedding_dim=128,
    pretraining="audio",
    citation="Hershey et al. 2017, ICASSP, arXiv 1609.09430; weights: torchvggish",
    min_window_s=_EXAMPLE_SAMPLES / _RATE_HZ,
    max_window_s=_EXAMPLE_SAMPLES / _RATE_HZ,
    weights=Weights(
        "https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
        licence="Apache-2.0 (torchvggish)",
        sha256="10086976",
    ),
    front_end="vggish-logmel-64",
    family="vggish",
    options={"widths": [64, 128, 256, 512], "hidden": 4096},
    parameters=72_141_184,
)


class VGGish(nn.Module):
    """torchvggish's network, key for key: float32[n, 1, 96, 64] (frames by bands) to float32[n, 128].

    Parameters
    ----------
    widths : list[int]
        Channels of the four groups of convolutions: of one, one, two and two.
    hidden : int
        Width of the two hidden dense layers.
    """

    def __init__(self, widths: Sequence[int], hidden: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width, convolutions in zip(widths, (1, 1, 2, 2), strict=True):
            for _ in range(convolutions):
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True)]
                before = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear((_EXAMPLE_FRAMES // 16) * (_BANDS // 16) * before, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, SPEC.embedding_dim),
            nn.ReLU(inplace=True),
        )

    def forward(self, examples: Tensor) -> Tensor:
        """The embedding of each example."""
        for _, part in self.parts():
            examples = part(examples)
        return examples

    def parts(self) -> list[tuple[str, nn.Module]]:
        """Each convolution and dense layer, with the rectifier and the pooling after it."""
        first = [number for number, module in enumerate(self.features) if not isinstance(module, nn.ReLU | nn.MaxPool2d)]
        ends = [*first[1:], len(self.features)]
        parts = [(f"conv{number}", self.features[start:end]) for number, (start, end) in enumerate(zip(first, ends, strict=True), start=1)]
        dense = [self.embeddings[start : start + 2] for start in (0, 2, 4)]
        dense[0] = nn.Sequential(_ChannelsLast(), dense[0])
        return [*parts, *((f"fc{number}", part) for number, part in enumerate(dense, start=1))]


class _ChannelsLast(nn.Module):
    """Maps in a row with their channels last, as in TensorFlow."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.permute(0, 2, 3, 1).flatten(1)


class VGGishEncoder(Encoder):
    """VGGish over a clip's examples."""

    network: VGGish
    picture_axes = (-1, -2)

    def __init__(self, spec: EncoderSpec = SPEC, *, layer: str | None = None, pool: str | None = None) -> None:
        super().__init__(spec, layer=layer, pool=pool)
        self.front_end = LogMel(_LOG_OFFSET)
        self.network = VGGish(**spec.options)

    def _layers_of_batch(self, waveforms: Tensor, lengths: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        """All examples of all clips go through the network together, and each clip's are averaged.

        A clip's examples hold its own samples and silence alone, so that neither batch-mates nor padding change its embedding.
        """
        counts = [examples_in(length) for length in lengths.tolist()]
        examples = self._examples(waveforms, lengths)
        kept = torch.arange(examples.shape[1]) < torch.tensor(counts)[:, None]
        found = self._embedded(examples[kept.to(examples.device)])
        means = torch.stack([own.mean(dim=0) for own in found.split(counts)])
        return [means for _ in layers]

    def frames(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The embeddings of each example, one every 0.96 s; only for clips of equal length.

        Returns
        -------
        float32[batch, examples, 128]
        """
        waveforms, lengths = self._checked(waveforms, lengths)
        if len(torch.unique(lengths)) > 1:
            raise ValueError("frames() takes clips of equal length only")
        examples = self._examples(waveforms, lengths)
        return self._embedded(examples.flatten(0, 1)).unflatten(0, examples.shape[:2])

    def _fronts(self, waveforms: Tensor) -> Tensor:
        return self._examples(waveforms, torch.full((len(waveforms),), waveforms.shape[1]))

    def _steps_to(self, layer: str) -> Sequence[Step]:
        first, *others = (part for _, part in self.network.parts())
        return [lambda examples: first(examples[:, None]), *others]

    def _block_modules(self) -> list[tuple[str, list[nn.Module]]]:
        return [(name, [part]) for name, part in self.network.parts()]

    def _read(self, hidden: Tensor) -> Tensor:
        return hidden

    def _tokens_of(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        """A token an example."""
        return hidden[:, None], None

    @property
    def token_dim(self) -> int:
        """As many as an embedding has."""
        return self._registered.embedding_dim

    def _examples(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Log-mel examples of every clip as if it were as long as the longest, float32[batch, examples, 96, 64]."""
        count = examples_in(int(lengths.max()))
        samples = _EXAMPLE_SAMPLES + (count - 1) * _EXAMPLE_HOP_SAMPLES
        waveforms = nnf.pad(waveforms, (0, max(0, samples - waveforms.shape[1])))[:, :samples]
        beyond = torch.arange(samples, device=waveforms.device) >= lengths.to(waveforms.device)[:, None]
        return self.front_end(waveforms.masked_fill(beyond, 0.0)).unflatten(1, (count, _EXAMPLE_FRAMES))

    def _embedded(self, examples: Tensor) -> Tensor:
        return torch.cat([self.network(part[:, None]) for part in examples.split(_EXAMPLES_AT_ONCE)])


def examples_in(samples: int) -> int:
    """How many examples a clip of `samples` samples at 16 kHz gives: the whole ones, at least one."""
    return 1 + max(0, (samples - _EXAMPLE_SAMPLES) // _EXAMPLE_HOP_SAMPLES)
