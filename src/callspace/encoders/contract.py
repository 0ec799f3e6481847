"""What every encoder is: waveforms at its sample rate in, one embedding a window out.

Conventions
-----------
waveforms : float32[batch, samples], in [-1, 1], zero-padded on the right to the longest of the batch
lengths   : int64[batch], the samples of each waveform that are real
returns   : float32[batch, embedding_dim]

The rule that makes embeddings trustworthy: a clip's embedding depends on the clip alone, never on its batch-mates or on the padding
that batching adds. `Encoder.forward` keeps it by cutting each waveform to its own length and handing subclasses waveforms of equal
length only; a subclass that can do better (patches, masks) overrides `_layers_of_batch`.

A waveform longer than the encoder takes is framed: in equal parts, or as the authors do (`Encoder._parts`), and the mean of the parts'
embeddings is the clip's.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from callspace.encoders.parts import SAMPLES_AT_ONCE, Block, Parts
from callspace.encoders.pooling import describe_pooler
from callspace.encoders.specs import EncoderSpec, Pretraining, Weights, layer_name
from callspace.errors import CallspaceError

__all__ = ["Block", "Encoder", "EncoderSpec", "Pretraining", "Weights", "end_to_end", "equal_parts", "group_by_length"]

#: What a clip has over the length that a network takes, or over whole windows of it, is left out up to this share of that length: codecs and
#: rounding add as much.
_SPARE = 0.01
_SAMPLES_AT_ONCE = SAMPLES_AT_ONCE


class Encoder(Parts):
    """Base class of the torch encoders. A subclass sets `network` and defines `_embed`, or `_embed_layers` where it has several layers.

    All that training changes lies in `network` (and `head` and `pooler`): a front end has no parameters and no state worth keeping. How
    an encoder is taken apart (its blocks, where it can be cut, its tokens) is `callspace.encoders.parts`.
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
    #: The file that is the network, for an encoder that runs a finished model (`callspace.encoders.frozen`).
    model_file: Path | None = None
    #: Patterns (`re.fullmatch`) of published keys that the network does not need: pretraining heads, a decoder.
    unused_keys: tuple[str, ...] = ()

    def __init__(self, spec: EncoderSpec, *, layer: str | None = None, pool: str | None = None, front_end: str | None = None) -> None:
        super().__init__()
        self._registered = spec
        self.layer = _chosen("layer", None if layer is None else layer_name(layer, spec.layers), spec.layers, spec.name)
        self.pool = _chosen("pool", pool, spec.pools, spec.name)
        front_ends = spec.front_ends or (spec.front_end,)
        chosen = spec.front_end if front_end is None else _chosen("front end", front_end, front_ends, spec.name)
        self.spec: EncoderSpec = replace(spec, front_end=chosen, embedding_dim=spec.dim_of(self.layer, self.pool))
        self.head = None
        self.pooler = None
        self.labels = None
        self.card = {}
        self.origin = {}
        self._sample_rate_hz = spec.sample_rate_hz

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "pooler":  # the embedding is what it makes
            self.spec = replace(self.spec, embedding_dim=self._registered.dim_of(self.layer, self.pool) if value is None else value.dim)

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
        return self.layer_embeddings(waveforms, lengths, (self.layer,))[self.layer]

    def layer_embeddings(self, waveforms: Tensor, lengths: Tensor | None = None, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        """The embeddings at several layers, all of them when not named, in one pass.

        Parameters
        ----------
        waveforms, lengths
            As for `forward`.
        layers : sequence of str, optional
            Of ``spec.layers``.

        Returns
        -------
        dict of str to float32[batch, dim of the layer]
        """
        chosen = tuple(self.spec.layers if layers is None else layers)
        waveforms, lengths = self._checked(waveforms, lengths)
        others = chosen if self.pooler is None else tuple(layer for layer in chosen if layer != self.layer)
        found = self._layers_of_batch(waveforms, lengths, others) if others else []
        vectors = {layer: _single(vector) for layer, vector in zip(others, found, strict=True)}
        if self.pooler is not None and self.layer in chosen:
            vectors[self.layer] = self.pooler(*self.tokens(waveforms, lengths)).float()
        return {layer: vectors[layer] for layer in chosen}

    def at(self, layer: str | None = None, pool: str | None = None) -> Encoder:
        """The same encoder read at another layer or pooled otherwise; it shares the network, so train one of them only.

        A head stays behind, with its labels, and so does a pooler: they were fitted to what was read before.
        """
        other = copy.copy(self)
        other._modules = self._modules.copy()  # or a head or a front end that one gets later would be the other's too
        other.layer = (
            self.layer if layer is None else _chosen("layer", layer_name(layer, self.spec.layers), self.spec.layers, self.spec.name)
        )
        other.pool = self.pool if pool is None else _chosen("pool", pool, self.spec.pools, self.spec.name)
        if (other.layer, other.pool) != (self.layer, self.pool):
            other.head = other.labels = None
            other.pooler = None
        return other

    def _layers_of_batch(self, waveforms: Tensor, lengths: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        """Embeddings at each of `layers` of a batch of checked waveforms of any lengths."""

        def embed(equal: Tensor) -> Tensor:
            rows = len(equal) if torch.is_grad_enabled() else max(1, _SAMPLES_AT_ONCE // max(1, self._parts(equal.shape[1])[1]))
            return torch.cat([torch.cat(self._framed(some, layers), dim=1) for some in equal.split(rows)])

        dims = [self._registered.dim_of(layer, self.pool) for layer in layers]
        return list(group_by_length(embed, waveforms, lengths).split(dims, dim=1))

    def _framed(self, waveforms: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        """Embeddings of waveforms of one length: the mean over their parts, where the encoder takes no more at once."""
        starts, size = self._parts(waveforms.shape[1])
        if starts == [0] and size == waveforms.shape[1]:
            return self._embed_layers(waveforms, layers)
        waveforms = nn.functional.pad(waveforms, (0, max(0, starts[-1] + size - waveforms.shape[1])))
        sums: list[Tensor] | None = None
        for start in starts:
            found = self._embed_layers(waveforms[:, start : start + size], layers)
            sums = found if sums is None else [total.float() + more for total, more in zip(sums, found, strict=True)]
        assert sums is not None
        return [total / len(starts) for total in sums]

    def _parts(self, samples: int) -> tuple[list[int], int]:
        """Where the parts of a clip of `samples` start, and the length of each; a part that ends later than the clip is filled with zeros.

        In equal parts, overlapping by a few samples at most, as few as there can be; a subclass frames as its authors do. What the parts
        leave out at the end is not heard.
        """
        longest = None if self.spec.max_window_s is None else math.floor(self.spec.max_window_s * self.sample_rate_hz + 1e-6)
        return equal_parts(samples, longest)

    def _checked(self, waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        waveforms = torch.as_tensor(waveforms, dtype=torch.float32)
        if waveforms.ndim != 2:
            raise ValueError(f"waveforms must be [batch, samples], not {tuple(waveforms.shape)}")
        if lengths is None:
            return waveforms, torch.full((len(waveforms),), waveforms.shape[1], dtype=torch.int64)
        lengths = torch.as_tensor(lengths, dtype=torch.int64).cpu()
        if lengths.shape != (len(waveforms),):
            raise ValueError(f"lengths must be [{len(waveforms)}], one a waveform, not {list(lengths.shape)}")
        if bool(((lengths < 0) | (lengths > waveforms.shape[1])).any()):
            raise ValueError(f"lengths must be from 0 to the waveforms' {waveforms.shape[1]} samples, not {lengths.tolist()}")
        return waveforms, lengths

    def _embed(self, waveforms: Tensor) -> Tensor:
        """float32[batch, samples], all real, to float32[batch, embedding_dim] at `self.layer`."""
        raise NotImplementedError

    def _embed_layers(self, waveforms: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        """float32[batch, samples], all real, to an embedding at each of `layers`; a subclass with several layers does it in one pass."""
        return [self._embed(waveforms) if layer == self.layer else self.at(layer)._embed(waveforms) for layer in layers]

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

        fill(self.network, self._published_state(read_state(path)), path, unused=self.unused_keys)

    def _published_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """For a family whose published files come in variants: the state dict that `network` expects, from the one that was read."""
        return state

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
        if self.pooler is not None:
            digest.update(repr(describe_pooler(self.pooler)).encode())
            for key, value in sorted(self.pooler.state_dict().items()):
                digest.update(f"pooler.{key}".encode() + value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def _single(vectors: Tensor) -> Tensor:
    """Half precision, as `torch.autocast` leaves it, to single; anything else as it is, for the conformance suite to find."""
    return vectors.float() if vectors.dtype in (torch.bfloat16, torch.float16) else vectors


def _chosen(what: str, value: str | None, choices: tuple[str, ...], name: str) -> str:
    if value is None:
        return choices[0]
    if value not in choices:
        raise CallspaceError(f"encoder '{name}' has no {what} '{value}'; it has {', '.join(choices)}")
    return value


def equal_parts(samples: int, longest: int | None) -> tuple[list[int], int]:
    """The starts and the one length of as few parts as there can be, none longer than `longest`, together covering `samples`.

    A clip that is longer by a hundredth at most is one part, its first `longest` samples: five seconds of sound are 5.001 s in many a file,
    and cut in halves of half the length that the network was made for they would be another thing.

    Returns
    -------
    starts : list[int]
    size : int

    Examples
    --------
    >>> equal_parts(10, 4)
    ([0, 3, 6], 4)
    """
    if longest is None or samples <= longest:
        return [0], samples
    if samples - longest <= _SPARE * longest:
        return [0], longest
    count = math.ceil(samples / longest)
    size = math.ceil(samples / count)
    return [round(number * (samples - size) / (count - 1)) for number in range(count)], size


def end_to_end(samples: int, window: int, hop: int | None = None) -> list[int]:
    """The starts of windows one a hop (a window, when not given) over a clip; the last may reach beyond its end.

    That last one counts where the clip fills more than a hundredth of it: its embedding weighs as much as any other's, and that of a sliver
    of sound is the embedding of the zeros after it.

    Examples
    --------
    >>> end_to_end(5, 100), end_to_end(200, 100), end_to_end(201, 100), end_to_end(202, 100)
    ([0], [0, 100], [0, 100], [0, 100, 200])
    """
    hop = hop or window
    starts = range(0, max(1, samples - window + hop), hop)
    return [start for start in starts if start == 0 or samples - start > _SPARE * window]


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
