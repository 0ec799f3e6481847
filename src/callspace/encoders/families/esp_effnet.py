"""The EfficientNets of ESP-AVES2: supervised on AudioSet, on animal sounds, or on both.

M. Miron and others, "What Matters for Bioacoustic Encoding", ICLR 2026, arXiv 2508.11845. EfficientNet-B0 sees a log-mel spectrogram of
ten seconds at 16 kHz, thrice, as if it were a photograph; the embedding is the mean over the last map. As in the authors' library the
logarithm of 128 HTK mels of the power (window and transform of 50 ms, a frame every 10 ms) is stretched to reach from 0 to 1 in each
clip, and a shorter clip is followed by zeros, which then count as the quietest there is. For a longer one the authors draw ten seconds
at random: here it is cut in equal parts.

The published file holds a classifier too, whose size differs between the three; it is left aside.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from callspace.audio.mel import MelSpectrogram
from callspace.encoders.efficientnet import EfficientNet
from callspace.encoders.fixed_windows import FixedWindowEncoder
from callspace.encoders.parts import Step, read_maps
from callspace.encoders.specs import EncoderSpec, Pretraining, Weights

__all__ = ["SPECS", "EspEffNetEncoder", "EspEffNetNetwork"]

_STAGES = {7: 320, 6: 192, 5: 112, 4: 80, 3: 40, 2: 24, 1: 16}


def _spec(name: str, pretraining: Pretraining) -> EncoderSpec:
    return EncoderSpec(
        name=name,
        version="1",
        sample_rate_hz=16_000,
        embedding_dim=1280,
        pretraining=pretraining,
        citation="Miron et al. 2026, ICLR, arXiv 2508.11845",
        layers=("pooled", *(f"stage{number}" for number in _STAGES)),
        layer_dims={f"stage{number}": dim for number, dim in _STAGES.items()},
        min_window_s=10.0,
        max_window_s=10.0,
        weights=Weights.on_hub(
            f"EarthSpeciesProject/{name}",
            f"{name}.safetensors",
            licence="CC BY-NC-SA 4.0 (model card)",
            terms="non-commercial",
        ),
        front_end="logmel-0-1",
        family="esp-effnet",
        options={"width": 1.0, "depth": 1.0},
        parameters=4_007_548,
        note="Each clip is stretched to the same range of levels, so loudness is not heard.",
    )


SPECS = {
    "esp-aves2-effnetb0-all": _spec("esp-aves2-effnetb0-all", "bioacoustic"),
    "esp-aves2-effnetb0-bio": _spec("esp-aves2-effnetb0-bio", "bioacoustic"),
    "esp-aves2-effnetb0-audioset": _spec("esp-aves2-effnetb0-audioset", "audio"),
}


class EspEffNetNetwork(nn.Module):
    """An EfficientNet as the authors' library wraps it: its keys begin with ``model.``."""

    def __init__(self, width: float, depth: float) -> None:
        super().__init__()
        self.model = EfficientNet(width, depth)

    def forward(self, pictures: Tensor) -> Tensor:
        """float32[batch, 3, mels, frames] to float32[batch, 1280]."""
        return self.model(pictures)


class EspEffNetEncoder(FixedWindowEncoder):
    """EfficientNet-B0 over log-mel spectrograms of ten seconds.

    The layer ``stageN`` is the mean over the map of the N-th stage of bottlenecks.
    """

    network: EspEffNetNetwork
    picture_axes = (-2, -1)
    unused_keys = (r"model\.classifier\..*",)

    def __init__(self, spec: EncoderSpec, *, layer: str | None = None, pool: str | None = None) -> None:
        super().__init__(spec, layer=layer, pool=pool)
        self.mel = MelSpectrogram(16_000, n_fft=800, hop=160, n_mels=128)
        self.network = EspEffNetNetwork(spec.options["width"], spec.options["depth"])

    def _picture(self, waveforms: Tensor) -> Tensor:
        """Log-mel spectrograms from 0 to 1, float32[batch, 128, 1001]."""
        levels = (self.mel(self._filled(waveforms)) + 1e-6).log()
        least = levels.amin(dim=(1, 2), keepdim=True)
        return (levels - least) / (levels.amax(dim=(1, 2), keepdim=True) - least + 1e-8)

    def _look(self, pictures: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        maps = self.network.model.maps(pictures[:, None].expand(-1, 3, -1, -1), 1 + max(_depth(layer) for layer in layers))
        return [maps[_depth(layer)].mean(dim=(2, 3)) for layer in layers]

    def _named_parts(self) -> list[tuple[str, nn.Module]]:
        """The first convolution, each bottleneck, and the last convolution, up to the layer that is read."""
        features = self.network.model.features
        parts: list[tuple[str, nn.Module]] = [("conv1", features[0])]
        for stage in range(1, min(_depth(self.layer), 7) + 1):
            blocks = list(features[stage])  # type: ignore[call-overload]
            parts += [(f"stage{stage}.block{number}", block) for number, block in enumerate(blocks, start=1)]
        return [*parts, ("conv2", features[8])] if _depth(self.layer) == 8 else parts

    def _steps_to(self, layer: str) -> Sequence[Step]:
        first, *others = (module for _, module in self._named_parts())
        return [lambda pictures: first(pictures[:, None].expand(-1, 3, -1, -1)), *others]

    def _block_modules(self) -> list[tuple[str, list[nn.Module]]]:
        return [(name, [module]) for name, module in self._named_parts()]

    def _read(self, hidden: Tensor) -> Tensor:
        return hidden.mean(dim=(2, 3))

    def _tokens_of(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        return read_maps(hidden), None

    @property
    def token_dim(self) -> int:
        """The channels of the map."""
        return self._registered.dim_of(self.layer, "mean")

    def backbone_parameters(self) -> list[nn.Parameter]:
        """The parameters up to the layer that is read."""
        return list(self.network.model.features[: _depth(self.layer) + 1].parameters())

    def _published_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """With or without the prefixes that the authors' library takes off or puts on when it loads a file."""
        bare = {key.removeprefix("module.").removeprefix("model."): value for key, value in state.items()}
        return {f"model.{key}": value for key, value in bare.items()}


def _depth(layer: str) -> int:
    """Where in `EfficientNet.maps` a layer is."""
    return 8 if layer == "pooled" else int(layer.removeprefix("stage"))
