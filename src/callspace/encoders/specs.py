"""What an encoder says of itself, as plain data: readable without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["EncoderSpec", "Pretraining", "Weights"]

Pretraining = Literal["none", "image", "audio", "speech", "bioacoustic"]


@dataclass(frozen=True)
class Weights:
    """Where published weights come from.

    Attributes
    ----------
    url : str
    licence : str
        Shown to the user; what the authors state, or that they state none.
    sha256 : str | None
        May be a prefix (torchvision's file names carry eight digits), or None where none is published.
    file_name : str | None
        The name in the cache folder; the URL's last part, when not given.
    size_bytes : int | None
        Where it is known.
    """

    url: str
    licence: str
    sha256: str | None = None
    file_name: str | None = None
    size_bytes: int | None = None

    @property
    def name(self) -> str:
        """The name of the file in the cache folder."""
        return self.file_name or self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class EncoderSpec:
    """What an encoder says of itself.

    Attributes
    ----------
    name : str
        As users write it, with ``:random`` where it has no pretraining.
    version : str
        Changes whenever the same audio and weights would give another embedding.
    sample_rate_hz : int | None
        None: the dataset's own, set by `Encoder.bind`.
    embedding_dim : int
        At the layer it is read at; in a registry's spec, at the default layer.
    pretraining : "none" | "image" | "audio" | "speech" | "bioacoustic"
    citation : str
    layers : tuple[str, ...]
        Names of the places an embedding can be read at; the first is the default.
    pools : tuple[str, ...]
        How frames become one embedding; the first is the default.
    front_ends : tuple[str, ...]
        The front ends to choose from; empty where there is no choice.
    min_window_s, max_window_s : float | None
        A shorter window is padded as the authors do; a longer one is framed as they do.
    weights : Weights | None
        The published weights; None where there are none.
    trainable : bool
        False: only the regimes that leave the encoder alone apply.
    front_end : str
        A named choice, part of the fingerprint.
    family : str
        What the encoder is a kind of: encoders of one family differ in size or weights only.
    options : dict[str, Any]
        What the family's builder needs to know, part of the fingerprint.
    """

    name: str
    version: str
    sample_rate_hz: int | None
    embedding_dim: int
    pretraining: Pretraining
    citation: str
    layers: tuple[str, ...] = ("pooled",)
    pools: tuple[str, ...] = ("mean",)
    front_ends: tuple[str, ...] = ()
    min_window_s: float | None = None
    max_window_s: float | None = None
    weights: Weights | None = None
    trainable: bool = True
    front_end: str = "waveform"
    family: str = ""
    options: dict[str, Any] = field(default_factory=dict)
