"""YAMNet: a small convolutional network trained on AudioSet's 521 classes, as a trainable torch network.

The network is that of MobileNet v1 [2]_: one convolution, thirteen depthwise separable blocks, the mean over time and frequency. It sees patches of 96 frames x 64 mel bands of a log-mel spectrogram; a clip's embedding is the mean of its
patches' embeddings, 0.96 s each, one every 0.48 s, the last one filled up with silence: as the published model does [1]_.

The published TFLite files hold each batch normalisation folded into the convolution before it, and so does this network: convolutions
with a bias, no normalisation layer. Nothing then depends on a batch, in training or out of it.

References
----------
.. [1] M. Plakal and D. Ellis, YAMNet, https://github.com/tensorflow/models/tree/master/research/audioset/yamnet (Apache-2.0)
.. [2] A. G. Howard et al., "MobileNets: Efficient convolutional neural networks for mobile vision applications", arXiv:1704.04861, 2017
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from callspace.audio.precision import in_float32
from callspace.encoders.contract import Encoder
from callspace.encoders.parts import Step
from callspace.encoders.specs import EncoderSpec, Weights
from callspace.encoders.tflite_file import Operator, TFLiteModel, read_model
from callspace.encoders.weights import fill
from callspace.errors import CallspaceError

__all__ = ["SPEC", "LogMel", "YAMNet", "YAMNetNetwork", "mel_matrix", "patches_in", "state_of"]

SAMPLE_RATE_HZ = 16_000
FRAME, HOP, FFT = 400, 160, 512
BANDS, LOW_HZ, HIGH_HZ = 64, 125.0, 7_500.0
LOG_OFFSET = 0.001
PATCH_FRAMES, PATCH_HOP_FRAMES = 96, 48
#: The samples of one patch: 95 hops and one whole frame (0.975 s).
PATCH_SAMPLES = (PATCH_FRAMES - 1) * HOP + FRAME
PATCH_HOP_SAMPLES = PATCH_HOP_FRAMES * HOP

FIRST_WIDTH = 32
#: Stride and width of the thirteen depthwise separable blocks.
BLOCKS = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *((1, 512),) * 5, (2, 1024), (1, 1024))
CLASSES = 521

#: Patches that go through the network at once, and frames through the front end: bounds on memory, without effect on the result.
_PATCHES_AT_ONCE = 512
_FRAMES_AT_ONCE = 16_384

#: The published TensorFlow Lite model; several public projects pin this checksum and size for it.
SPEC = EncoderSpec(
    name="yamnet",
    version="1",
    sample_rate_hz=SAMPLE_RATE_HZ,
    embedding_dim=BLOCKS[-1][1],
    pretraining="audio",
    citation="M. Plakal and D. Ellis, YAMNet, github.com/tensorflow/models/tree/master/research/audioset/yamnet",
    layers=("pooled", "logits", *(f"layer{number}" for number in range(len(BLOCKS) - 1, 0, -1))),
    layer_dims={"logits": CLASSES} | {f"layer{number}": width for number, (_, width) in enumerate(BLOCKS[:-1], start=1)},
    min_window_s=PATCH_SAMPLES / SAMPLE_RATE_HZ,
    max_window_s=PATCH_SAMPLES / SAMPLE_RATE_HZ,
    weights=Weights(
        url="https://storage.googleapis.com/download.tensorflow.org/models/tflite/task_library/audio_classification/android/lite-model_yamnet_classification_tflite_1.tflite",
        licence="Apache-2.0",
        sha256="10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de",
        file_name="yamnet.tflite",
        size_bytes=4_126_810,
    ),
    front_end="yamnet-logmel-64",
    family="yamnet",
    parameters=3_729_481,
)


def patches_in(samples: int) -> int:
    """How many patches a clip of `samples` samples at 16 kHz gives: at least one, then one for each 0.48 s begun."""
    return 1 + max(0, math.ceil((samples - PATCH_SAMPLES) / PATCH_HOP_SAMPLES))


def mel_matrix() -> np.ndarray:
    """Weights of the mel bands, as TensorFlow's ``linear_to_mel_weight_matrix`` makes them.

    Triangles on the mel scale of HTK (1127 ln(1 + f / 700)) with corners equally far apart; the bin at 0 Hz counts nowhere.

    Returns
    -------
    float32[257, 64]
    """

    def mel(frequencies_hz: np.ndarray) -> np.ndarray:
        return 1127.0 * np.log1p(frequencies_hz / 700.0)

    bins = mel(np.linspace(0.0, SAMPLE_RATE_HZ / 2, FFT // 2 + 1))[1:, None]
    corners = np.linspace(mel(np.array(LOW_HZ)), mel(np.array(HIGH_HZ)), BANDS + 2)
    lower, centre, upper = corners[:-2], corners[1:-1], corners[2:]
    triangles = np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre))
    return np.pad(np.maximum(triangles, 0.0), ((1, 0), (0, 0))).astype(np.float32)


class LogMel(nn.Module):
    """YAMNet's front end: log(mel-weighted magnitude spectrum + offset), frames of 25 ms every 10 ms, not centred; also VGGish's."""

    window: Tensor
    mel: Tensor

    def __init__(self, offset: float = LOG_OFFSET) -> None:
        super().__init__()
        self._offset = offset
        self.register_buffer("window", torch.hann_window(FRAME, periodic=True), persistent=False)
        self.register_buffer("mel", torch.from_numpy(mel_matrix()), persistent=False)

    @in_float32
    def forward(self, waveforms: Tensor) -> Tensor:
        """float32[batch, samples] at 16 kHz to float32[batch, frames, 64], frames = 1 + (samples - 400) // 160."""
        frames = waveforms.unfold(1, FRAME, HOP)
        at_once = max(1, _FRAMES_AT_ONCE // max(1, len(waveforms)))
        return torch.cat([self._of_frames(part) for part in frames.split(at_once, dim=1)], dim=1)

    def _of_frames(self, frames: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(frames * self.window, n=FFT).abs()
        return torch.log(spectrum @ self.mel + self._offset)


class SameConv2d(nn.Conv2d):
    """A 3x3 convolution padded as TensorFlow's "SAME" does: the odd pixel goes to the right and to the bottom."""

    def forward(self, maps: Tensor) -> Tensor:
        if self.stride == (1, 1):
            return nnf.conv2d(maps, self.weight, self.bias, padding=1, groups=self.groups)
        rows, columns = (max((math.ceil(size / 2) - 1) * 2 + 3 - size, 0) for size in maps.shape[-2:])
        padded = nnf.pad(maps, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return nnf.conv2d(padded, self.weight, self.bias, stride=2, groups=self.groups)


class YAMNetNetwork(nn.Module):
    """The network from log-mel patches to embeddings.

    ``network(patches)`` takes float32[n, 96, 64] (frames x bands, as `LogMel` gives them) and returns float32[n, 1024];
    ``network.classify(embeddings)`` returns the logits of AudioSet's classes, float32[n, 521], in the order of
    ``yamnet_class_map.csv``; their sigmoid is what YAMNet calls scores.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = SameConv2d(1, FIRST_WIDTH, 3, stride=2)
        self.depthwise = nn.ModuleList()
        self.pointwise = nn.ModuleList()
        width = FIRST_WIDTH
        for stride, wider in BLOCKS:
            self.depthwise.append(SameConv2d(width, width, 3, stride=stride, groups=width))
            self.pointwise.append(nn.Conv2d(width, wider, 1))
            width = wider
        self.classifier = nn.Linear(width, CLASSES)
        for layer in self.convolutions():  # He's: a signal neither vanishes nor explodes over 27 layers without batch normalisation
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, patches: Tensor) -> Tensor:
        return self.means(patches, {len(BLOCKS)})[len(BLOCKS)]

    def means(self, patches: Tensor, blocks: Collection[int]) -> dict[int, Tensor]:
        """The mean over time and frequency of what some blocks answer, float32[n, width], by the block's number from 1.

        What lies behind the last of them is not run; the last block's mean is the embedding.
        """
        found: dict[int, Tensor] = {}
        first, *steps = self.steps()
        maps = first(patches)
        for number, step in enumerate(islice(steps, max(blocks)), start=1):
            maps = step(maps)
            if number in blocks:
                found[number] = maps.mean(dim=(2, 3))
        return found

    def steps(self) -> list[Step]:
        """The first convolution, then each block, from patches float32[n, 96, 64] to maps."""
        return [self._first, *(partial(_block_of, *pair) for pair in zip(self.depthwise, self.pointwise, strict=True))]

    def _first(self, patches: Tensor) -> Tensor:
        # Channels last: depthwise convolutions take half the time so, forward and backward; the numbers are the same.
        return nnf.relu(self.first(patches[:, None])).contiguous(memory_format=torch.channels_last)

    def classify(self, embeddings: Tensor) -> Tensor:
        """Logits of AudioSet's classes, float32[n, 521]."""
        return self.classifier(embeddings)

    def convolutions(self) -> list[nn.Conv2d]:
        """The 27 convolutions in the order of execution."""
        pairs = zip(self.depthwise, self.pointwise, strict=True)
        return [self.first, *(layer for pair in pairs for layer in pair)]  # type: ignore[list-item]


def _block_of(depthwise: nn.Module, pointwise: nn.Module, maps: Tensor) -> Tensor:
    # In place only what no gradient needs: the mean of a block's answer keeps nothing but its shape.
    return nnf.relu(pointwise(nnf.relu(depthwise(maps), inplace=True)), inplace=True)


class YAMNet(Encoder):
    """YAMNet from waveforms at 16 kHz to one embedding a clip.

    Layers: ``pooled`` (1024 numbers, the published embedding, the thirteenth block's mean), ``logits`` (521, the classes of AudioSet before
    the sigmoid), and ``layer12`` to ``layer1``, the means of the blocks before; each is the mean over the clip's patches. Random weights are drawn from torch's generator; `load_weights` reads the published ones.
    """

    network: YAMNetNetwork
    picture_axes = (-1, -2)

    def __init__(self, spec: EncoderSpec = SPEC, *, layer: str | None = None, pool: str | None = None) -> None:
        super().__init__(spec, layer=layer, pool=pool)
        self.front_end = LogMel()
        self.network = YAMNetNetwork()

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Fill the network from a published TFLite file, or from a state dict of the network.

        Parameters
        ----------
        path : path
            ``.tflite``: YAMNet with its batch normalisation folded in, in float32, float16 or quantised integers, which are
            dequantised channel by channel. Anything else is read as a state dict (safetensors or torch).

        Raises
        ------
        CallspaceError
            The file can't be read, is damaged, or is another network; the sentence names what did not fit.
        """
        path = Path(path)
        if path.suffix.lower() == ".tflite" or _says_tflite(path):
            fill(self.network, state_of(read_model(path)), path)
        else:
            super().load_weights(path)

    def backbone_parameters(self) -> list[nn.Parameter]:
        """The parameters that full fine-tuning updates: the classifier's only where the logits are the embedding, no later block's."""
        depth = _block(self._read_layer)
        later = [
            *self.network.depthwise[depth:],
            *self.network.pointwise[depth:],
            *([] if self._read_layer == "logits" else [self.network.classifier]),
        ]
        unused = {parameter for module in later for parameter in module.parameters()}
        return [parameter for parameter in self.network.parameters() if parameter not in unused] if self.spec.trainable else []

    def _layers_of_batch(self, waveforms: Tensor, lengths: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        """All patches of all clips go through the network together, and each clip's are averaged.

        A clip's patches hold its own samples and silence alone, so that neither batch-mates nor padding change its embedding.
        """
        counts = [patches_in(length) for length in lengths.tolist()]
        patches = self._patches(waveforms, lengths)
        kept = torch.arange(patches.shape[1]) < torch.tensor(counts)[:, None]
        found = self._at_layers(patches[kept.to(patches.device)], layers)
        return [torch.stack([own.mean(dim=0) for own in of_patches.split(counts)]) for of_patches in found]

    def frames(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The embeddings of each patch, one every 0.48 s; only for clips of equal length.

        Returns
        -------
        float32[batch, patches, 1024], or [batch, patches, 521] for the layer ``logits``
        """
        waveforms, lengths = self._checked(waveforms, lengths)
        if len(torch.unique(lengths)) > 1:
            raise ValueError("frames() takes clips of equal length only")
        patches = self._patches(waveforms, lengths)
        return self._at_layers(patches.flatten(0, 1), (self.layer,))[0].unflatten(0, patches.shape[:2])

    def _fronts(self, waveforms: Tensor) -> Tensor:
        return self._patches(waveforms, torch.full((len(waveforms),), waveforms.shape[1]))

    def _steps_to(self, layer: str) -> list[Step]:
        blocks = self.network.steps()[: _block(layer) + 1]
        return [*blocks, lambda maps: self.network.classify(maps.mean(dim=(2, 3)))] if layer == "logits" else blocks

    def _run_steps(self, hidden: Tensor, steps: Iterable[Step]) -> Tensor:
        # What was kept and stacked may lie in another order.
        return super()._run_steps(hidden.contiguous(memory_format=torch.channels_last) if hidden.ndim == 4 else hidden, steps)

    def _block_modules(self) -> list[tuple[str, list[nn.Module]]]:
        pairs = list(zip(self.network.depthwise, self.network.pointwise, strict=True))[: _block(self._read_layer)]
        named: list[tuple[str, list[nn.Module]]] = [("conv1", [self.network.first])]
        named += [(f"block{number}", list(pair)) for number, pair in enumerate(pairs, start=1)]
        return [*named, ("classifier", [self.network.classifier])] if self._read_layer == "logits" else named

    def _read(self, hidden: Tensor) -> Tensor:
        return hidden if self.layer == "logits" else hidden.mean(dim=(2, 3))

    def _tokens_of(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        """A token a patch."""
        return hidden.mean(dim=(2, 3))[:, None], None

    @property
    def token_dim(self) -> int:
        """The width of the block that is read."""
        return self._registered.dim_of(self._token_layer, "mean")

    def _patches(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Log-mel patches of every clip as if it were as long as the longest, float32[batch, patches, 96, 64]."""
        count = patches_in(int(lengths.max()))
        samples = PATCH_SAMPLES + (count - 1) * PATCH_HOP_SAMPLES
        waveforms = nnf.pad(waveforms, (0, max(0, samples - waveforms.shape[1])))[:, :samples]
        beyond = torch.arange(samples, device=waveforms.device) >= lengths.to(waveforms.device)[:, None]
        logmel = self.front_end(waveforms.masked_fill(beyond, 0.0))
        return logmel.unfold(1, PATCH_FRAMES, PATCH_HOP_FRAMES).transpose(2, 3)

    def _at_layers(self, patches: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Each patch at each of `layers`."""
        wanted = {_block(layer) for layer in layers}
        parts = [self.network.means(part, wanted) for part in patches.split(_PATCHES_AT_ONCE)]
        means = {block: torch.cat([part[block] for part in parts]) for block in wanted}
        return [self.network.classify(means[_block(layer)]) if layer == "logits" else means[_block(layer)] for layer in layers]


def _block(layer: str) -> int:
    """The number of the block that a layer reads, from 1."""
    return int(layer.removeprefix("layer")) if layer.startswith("layer") else len(BLOCKS)


def state_of(model: TFLiteModel) -> dict[str, Tensor]:
    """The state dict of `YAMNetNetwork` from a TFLite file of YAMNet, told by the order and the shapes of its operators.

    Raises
    ------
    CallspaceError
        Naming the first thing that is not as in YAMNet.
    """
    convolutions = [operator for operator in model.operators if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    if len(convolutions) != 1 + 2 * len(BLOCKS):
        raise _not_yamnet(model, f"it has {len(convolutions)} convolutions, not {1 + 2 * len(BLOCKS)}")
    state: dict[str, Tensor] = {}
    for operator, (key, kind, stride, shape) in zip(convolutions, _expected_convolutions(), strict=True):
        _check_operator(model, operator, key, kind, stride)
        # From rows and columns between output and input channels (or, depthwise, before the channels) to torch's order.
        order = (3, 0, 1, 2) if kind == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2)
        state |= _weight_and_bias(model, operator, key, shape, order)
    after = model.operators[model.operators.index(convolutions[-1]) :]
    dense = [operator for operator in after if operator.name == "FULLY_CONNECTED"]
    if len(dense) != 1:
        raise _not_yamnet(model, f"{len(dense)} dense layers follow its convolutions, not 1")
    return state | _weight_and_bias(model, dense[0], "classifier", (CLASSES, BLOCKS[-1][1]), (0, 1))


def _expected_convolutions() -> list[tuple[str, str, int, tuple[int, ...]]]:
    """Key in the state dict, operator, stride and torch shape of the 27 convolutions."""
    layers: list[tuple[str, str, int, tuple[int, ...]]] = [("first", "CONV_2D", 2, (FIRST_WIDTH, 1, 3, 3))]
    width = FIRST_WIDTH
    for index, (stride, wider) in enumerate(BLOCKS):
        layers.append((f"depthwise.{index}", "DEPTHWISE_CONV_2D", stride, (width, 1, 3, 3)))
        layers.append((f"pointwise.{index}", "CONV_2D", 1, (wider, width, 1, 1)))
        width = wider
    return layers


def _check_operator(model: TFLiteModel, operator: Operator, key: str, kind: str, stride: int) -> None:
    options = operator.options
    found = (operator.name, options["stride_h"], options["stride_w"], options["padding"], options["dilation_h"], options["dilation_w"])
    expected = (kind, stride, stride, "SAME", 1, 1)
    if found != expected:
        raise _not_yamnet(model, f"its layer '{key}' is {found}, not {expected}")
    follower = next((o for o in model.operators if set(operator.outputs) & set(o.inputs)), None)
    if options["activation"] != "RELU" and not (options["activation"] == "NONE" and follower is not None and follower.name == "RELU"):
        raise _not_yamnet(model, f"no ReLU follows its layer '{key}'")


def _weight_and_bias(model: TFLiteModel, operator: Operator, key: str, shape: tuple[int, ...], order: tuple[int, ...]) -> dict[str, Tensor]:
    if len(operator.inputs) != 3:
        raise _not_yamnet(model, f"its layer '{key}' has {len(operator.inputs)} inputs, not a map, a weight and a bias")
    weight, bias = model.constant(operator.inputs[1]), model.constant(operator.inputs[2])
    if weight.ndim != len(order) or weight.transpose(order).shape != shape or bias.shape != shape[:1]:
        raise _not_yamnet(model, f"the weight of its layer '{key}' has shape {weight.shape} and its bias {bias.shape}")
    return {f"{key}.weight": torch.from_numpy(weight.transpose(order).copy()), f"{key}.bias": torch.from_numpy(bias.copy())}


def _not_yamnet(model: TFLiteModel, why: str) -> CallspaceError:
    return CallspaceError(f"'{model.path.name}' is a TFLite file but not YAMNet's: {why}")


def _says_tflite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(8)[4:] == b"TFL3"
    except OSError:
        return False
