"""What every encoder is: waveforms at its sample rate in, one embedding a window out.

Conventions
-----------
waveforms : float32[batch, samples], in [-1, 1], zero-padded on the right to the longest of the batch
lengths   : int64[batch], the samples of each waveform that are real
returns   : float32[batch, embedding_dim]

The rule that makes embeddings trustworthy: a clip's embedding depends on the clip alone, never on its batch-mates or on the padding
that batching adds. `Encoder.forward` keeps it by cutting each waveform to its own length and handing subclasses waveforms of equal
length only; a subclass that can do better (patches, masks) overrides `forward`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from callspace.encoders.specs import EncoderSpec, Pretraining, Weights
from callspace.errors import CallspaceError

__all__ = ["Encoder", "EncoderSpec", "Pretraining", "Weights", "group_by_length"]


class Encoder(nn.Module):
    """Base class of the torch encoders. A subclass sets `network` and defines `_embed`.

    All that training changes lies in `network` (and `head`): a front end has no parameters and no state worth keeping.
    """

    #: The bare published module: answers what the reference implementation answers to the same input.
    network: nn.Module
    #: Set by fine-tuning: a layer from embeddings to one logit a label, and the labels in order.
    head: nn.Module | None
    labels: list[str] | None
    #: What a tuned encoder knows of its making; empty for a published or random one.
    card: dict[str, Any]
    #: Where the weights came from: {"kind": "random", "seed"}, {"kind": "published" or "file", "file", "sha256"}, {"kind": "tuned"} or {}.
    origin: dict[str, Any]

    def __init__(self, spec: EncoderSpec, *, layer: str | None = None, pool: str | None = None, front_end: str | None = None) -> None:
        super().__init__()
        self.layer = _chosen("layer", layer, spec.layers, spec.name)
        self.pool = _chosen("pool", pool, spec.pools, spec.name)
        front_ends = spec.front_ends or (spec.front_end,)
        chosen = spec.front_end if front_end is None else _chosen("front end", front_end, front_ends, spec.name)
        self.spec: EncoderSpec = replace(spec, front_end=chosen)
        self.head = None
        self.labels = None
        self.card = {}
        self.origin = {}
        self._sample_rate_hz = spec.sample_rate_hz

    @property
    def sample_rate_hz(self) -> int:
        """The rate of the waveforms that `forward` takes, in hertz."""
        if self._sample_rate_hz is None:
            raise CallspaceError(f"encoder '{self.spec.name}' works at the dataset's own sample rate: call bind(rate) first")
        return self._sample_rate_hz

    def bind(self, sample_rate_hz: int) -> Encoder:
        """Fix the sample rate of an encoder that works at the dataset's own; nothing happens to one with a rate of its own."""
        if self.spec.sample_rate_hz is None and self._sample_rate_hz != int(sample_rate_hz):
            self._sample_rate_hz = int(sample_rate_hz)
            self._build_front_end()
        return self

    def _build_front_end(self) -> None:
        """Make whatever depends on the sample rate; called by `bind`."""

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embed a batch.

        Parameters
        ----------
        waveforms : float32[batch, samples]
        lengths : int64[batch], optional
            Samples of each waveform that are real; all, when not given.

        Returns
        -------
        float32[batch, embedding_dim]
        """
        waveforms, lengths = self._checked(waveforms, lengths)
        return group_by_length(self._embed, waveforms, lengths)

    def _set_embedding_dim(self, dim: int) -> None:
        """For a layer whose dimension is not the default layer's."""
        self.spec = replace(self.spec, embedding_dim=dim)

    def _checked(self, waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        waveforms = torch.as_tensor(waveforms, dtype=torch.float32)
        if waveforms.ndim != 2:
            raise ValueError(f"waveforms must be [batch, samples], not {tuple(waveforms.shape)}")
        if lengths is None:
            lengths = torch.full((len(waveforms),), waveforms.shape[1], dtype=torch.int64)
        return waveforms, torch.as_tensor(lengths, dtype=torch.int64).cpu()

    def _embed(self, waveforms: Tensor) -> Tensor:
        """float32[batch, samples], all real, to float32[batch, embedding_dim]."""
        raise NotImplementedError

    def backbone_parameters(self) -> list[nn.Parameter]:
        """The parameters that full fine-tuning updates; each gets a gradient from the embedding."""
        return list(self.network.parameters()) if self.spec.trainable else []

    def load_weights(self, path: Path) -> None:
        """Fill the network from a file in the published layout (torch or safetensors); a family with another format overrides this.

        Raises
        ------
        CallspaceError
            When the file can't be read without running code from it, or its keys or shapes are not the network's.
        """
        from callspace.encoders.weights import fill, read_state

        fill(self.network, read_state(path), path)

    def save(self, folder: str | Path, card: dict[str, Any] | None = None) -> Path:
        """Write the encoder, its head and its card to `folder`, which `callspace.load_encoder` reads; see `callspace.encoders.saved`."""
        from callspace.encoders.saved import save_encoder

        return save_encoder(self, folder, self.card if card is None else card)

    def fingerprint(self) -> str:
        """Sixteen hex digits that change whenever the same audio would be embedded differently.

        Of the weights only the network's count: the front end follows from its name, the version and the sample rate, and hashing
        its tables would make the fingerprint depend on the machine's floating point.
        """
        digest = hashlib.sha256()
        spec = asdict(self.spec)
        for key in ("name", "version", "front_end", "options"):
            digest.update(repr(spec[key]).encode())
        digest.update(f"{self.layer}|{self.pool}|{self._sample_rate_hz}".encode())
        for key, value in sorted(self.network.state_dict().items()):
            digest.update(f"{key}|{value.dtype}|{tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def _chosen(what: str, value: str | None, choices: tuple[str, ...], name: str) -> str:
    if value is None:
        return choices[0]
    if value not in choices:
        raise CallspaceError(f"encoder '{name}' has no {what} '{value}'; it has {', '.join(choices)}")
    return value


def group_by_length(embed: Callable[[Tensor], Tensor], waveforms: Tensor, lengths: Tensor) -> Tensor:
    """Apply `embed` to the waveforms of each length apart, cut to it, and put the embeddings back in order."""
    unique = torch.unique(lengths)
    if len(unique) == 1:
        return embed(waveforms[:, : int(unique[0])])
    parts, order = [], []
    for length in unique.tolist():
        rows = torch.nonzero(lengths == length).flatten()
        parts.append(embed(waveforms[rows.to(waveforms.device), :length]))
        order.append(rows)
    back = torch.argsort(torch.cat(order)).to(waveforms.device)
    return torch.cat(parts)[back]
