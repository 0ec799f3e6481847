"""CLAP's audio tower, and BioLingual's: transformers' HTSAT and projection, without the text tower.

Y. Wu and others, "Large-scale Contrastive Language-Audio Pretraining with Feature Fusion and Keyword-to-Caption Augmentation", ICASSP
2023, arXiv 2211.06687; D. Robinson and others, "Transferable Models for Bioacoustics with Human Language Supervision", ICASSP 2024,
arXiv 2308.04978. A hierarchical transformer of shifted windows (HTSAT) sees ten seconds at 48 kHz as 1001 frames of 64 log mels. The
default embedding is what compares with texts: the mean over the last stage, projected to 512 values and scaled to length one.

All the files are of the variant without feature fusion. As its authors feed it, a shorter clip is repeated as often as it fits whole,
and followed by zeros. Of a longer one they draw ten seconds at random, which would give another embedding each time: here it is cut in
equal parts, and the mean of the parts' embeddings (which is shorter than one) is the clip's.

The network begins with batch normalisation of the mels. In training mode it normalises by the batch, as in the authors' training, so
there (and only there) a clip's embedding depends on its batch-mates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from callspace.audio.mel import MelSpectrogram
from callspace.encoders.fixed_windows import FixedWindowEncoder, decibels
from callspace.encoders.parts import Step, read_maps
from callspace.encoders.specs import EncoderSpec, Pretraining, Weights

__all__ = ["SPECS", "ClapEncoder", "ClapNetwork"]

_TINY: dict[str, Any] = {"embed_dim": 96, "depths": [2, 2, 6, 2], "heads": [4, 8, 16, 32], "projection_dim": 512}
_BASE: dict[str, Any] = {"embed_dim": 128, "depths": [2, 2, 12, 2], "heads": [4, 8, 16, 32], "projection_dim": 512}
_WU = "Wu et al. 2023, ICASSP, arXiv 2211.06687"


def _spec(name: str, weights: Weights, parameters: int, options: dict[str, Any], citation: str, pretraining: Pretraining) -> EncoderSpec:
    dim = options["embed_dim"]
    return EncoderSpec(
        name=name,
        version="1",
        sample_rate_hz=48_000,
        embedding_dim=options["projection_dim"],
        pretraining=pretraining,
        citation=citation,
        layers=("projection", "pooled", "stage3", "stage2", "stage1"),
        layer_dims={"pooled": 8 * dim, "stage3": 4 * dim, "stage2": 2 * dim, "stage1": dim},
        min_window_s=10.0,
        max_window_s=10.0,
        weights=weights,
        front_end="logmel-50-14000",
        family="clap",
        options=options,
        parameters=parameters,
        note="It hears nothing above 14 kHz.",
    )


def _laion(repository: str, revision: str, sha256: str, size_bytes: int) -> Weights:
    return Weights.on_hub(
        f"laion/{repository}",
        "pytorch_model.bin",
        revision=revision,
        licence="Apache-2.0 (model card)",
        sha256=sha256,
        size_bytes=size_bytes,
    )


SPECS = {
    "clap": _spec(
        "clap",
        _laion(
            "clap-htsat-unfused",
            "8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a",
            "1cd3c601bc4afe0fa87be3de4c13dd2cfadd249fac1e29acf74a9b296c3219bb",
            614_525_833,
        ),
        28_190_872,
        _TINY,
        _WU,
        "audio",
    ),
    "clap-larger-general": _spec(
        "clap-larger-general",
        _laion(
            "larger_clap_general",
            "ada0c23a36c4e8582805bb38fec3905903f18b41",
            "314eb00cce6ad68d25237b8446b659ccdb136ed4672c1bca470f142f72455026",
            776_444_665,
        ),
        68_611_864,
        _BASE,
        _WU,
        "audio",
    ),
    "biolingual": _spec(
        "biolingual",
        Weights.on_hub("davidrrobinson/BioLingual", "pytorch_model.bin", licence="none stated (model card)", terms="unstated"),
        28_190_872,
        _TINY,
        "Robinson et al. 2024, ICASSP, arXiv 2308.04978",
        "bioacoustic",
    ),
}


class ClapNetwork(nn.Module):
    """transformers' audio tower of CLAP, with the published keys.

    Parameters
    ----------
    embed_dim : int
        Channels of the first stage, doubled by each of the three others.
    depths, heads : list[int]
        Blocks and attention heads of each of the four stages.
    projection_dim : int
    """

    def __init__(self, embed_dim: int, depths: list[int], heads: list[int], projection_dim: int) -> None:
        super().__init__()
        from transformers import ClapAudioConfig, ClapAudioModelWithProjection

        config = ClapAudioConfig(
            patch_embeds_hidden_size=embed_dim,
            hidden_size=8 * embed_dim,
            depths=list(depths),
            num_attention_heads=list(heads),
            projection_dim=projection_dim,
            enable_fusion=False,
        )
        built = ClapAudioModelWithProjection(config)
        self.audio_model = built.audio_model
        self.audio_projection = built.audio_projection

    def maps(self, pictures: Tensor) -> tuple[list[Tensor], Tensor]:
        """Each stage's map, and the last one after its normalisation, float32[batch, channels, rows, columns] each.

        Parameters
        ----------
        pictures : float32[batch, 1, frames, mels]
        """
        found = self.audio_model.audio_encoder(pictures, output_hidden_states=True, output_hidden_states_before_downsampling=True)
        return list(found.hidden_states[1:]), found.last_hidden_state

    def stages(self, pictures: Tensor) -> tuple[list[Tensor], Tensor]:
        """The means over the maps of `maps`: a list of float32[batch, dim of the stage], and float32[batch, 8 * embed_dim]."""
        stages, last = self.maps(pictures)
        return [maps.mean(dim=(2, 3)) for maps in stages], last.mean(dim=(2, 3))

    def projected(self, pooled: Tensor) -> Tensor:
        """What compares with texts, float32[batch, projection_dim], of length one."""
        return nn.functional.normalize(self.audio_projection(pooled), dim=-1)

    def forward(self, pictures: Tensor) -> Tensor:
        """float32[batch, 1, frames, mels] to float32[batch, projection_dim], the authors' audio features."""
        return self.projected(self.stages(pictures)[1])


class ClapEncoder(FixedWindowEncoder):
    """CLAP over log-mel spectrograms of ten seconds.

    The layers are ``projection``; ``pooled``, what it is projected from; and ``stageN``, the mean over the map of the N-th stage.
    """

    network: ClapNetwork
    picture_axes = (-1, -2)
    unused_keys = (r"text_model\..*", r"text_projection\..*", r"logit_scale_[at]")

    def __init__(self, spec: EncoderSpec, *, layer: str | None = None, pool: str | None = None) -> None:
        super().__init__(spec, layer=layer, pool=pool)
        self.mel = MelSpectrogram(48_000, 1024, 480, 64, f_min=50, f_max=14_000, scale="slaney", norm="slaney", bins="fft")
        self.network = ClapNetwork(**spec.options)

    def _picture(self, waveforms: Tensor) -> Tensor:
        """Log-mel spectrograms in decibels, float32[batch, 1, 1001, 64]."""
        repeated = waveforms.repeat(1, self.window_samples // waveforms.shape[1])
        return decibels(self.mel(self._filled(repeated))).transpose(1, 2)[:, None]

    def _look(self, pictures: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        stages, pooled = self.network.stages(pictures)
        named = {f"stage{number}": stage for number, stage in enumerate(stages, start=1)} | {"pooled": pooled}
        return [self.network.projected(pooled) if layer == "projection" else named[layer] for layer in layers]

    def _steps_to(self, layer: str) -> Sequence[Step]:
        """One for all blocks: its stages pass the size of their maps on beside the maps."""

        def mapped(pictures: Tensor) -> Tensor:
            stages, last = self.network.maps(pictures)
            return stages[int(layer.removeprefix("stage")) - 1] if layer.startswith("stage") else last

        return [mapped]

    def _read(self, hidden: Tensor) -> Tensor:
        pooled = hidden.mean(dim=(2, 3))
        return self.network.projected(pooled) if self.layer == "projection" else pooled

    def _tokens_of(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        return read_maps(hidden), None

    @property
    def token_dim(self) -> int:
        """The channels of the map."""
        return self._registered.dim_of(self._token_layer, "mean")

    def _block_modules(self) -> list[tuple[str, list[nn.Module]]]:
        encoder: Any = self.network.audio_model.audio_encoder
        layer = self._read_layer
        depth = int(layer.removeprefix("stage")) if layer.startswith("stage") else len(encoder.layers)
        named: list[tuple[str, list[nn.Module]]] = [("embedding", [encoder.batch_norm, encoder.patch_embed])]
        for number, stage in enumerate(encoder.layers[:depth], start=1):
            named += [(f"stage{number}.block{block}", [module]) for block, module in enumerate(stage.blocks, start=1)]
            if stage.downsample is not None and number < depth:
                named[-1][1].append(stage.downsample)
        if not layer.startswith("stage"):
            named[-1][1].append(encoder.norm)
        return [*named, ("projection", [self.network.audio_projection])] if layer == "projection" else named

    def backbone_parameters(self) -> list[nn.Parameter]:
        """The parameters up to the layer that is read."""
        layer = self._read_layer
        if layer == "projection":
            return list(self.network.parameters())
        encoder = self.network.audio_model.audio_encoder
        if layer == "pooled":
            return list(encoder.parameters())
        depth = int(layer.removeprefix("stage"))
        later = [encoder.norm, encoder.layers[depth - 1].downsample, *encoder.layers[depth:]]
        left_out = {parameter for module in later for parameter in module.parameters()}
        return [parameter for parameter in encoder.parameters() if parameter not in left_out]
