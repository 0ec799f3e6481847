"""What the transformers share: layers that are sequences of frames, read at any depth and pooled in a few ways.

A family defines `_hidden` (the outputs of its first layers) and `_blocks` (the layers as modules); this class pools, gives all layers in
one pass, the frames before pooling, and says which parameters get a gradient from the layer that is read. Where a family says what comes
before the network (`_front`) and the network's parts as functions (`_network_steps`), it can be cut between any two layers.

A family that fills a clip up to a fixed length and leaves the filling out of its pools (`_real_frames`) is cut so: what its front end makes
(`_front`) is as long as the clip, from which follows how many tokens are real (`_real_of`), and the first step fills it up. From there on
the hidden states carry that with them, as one more number beside each token: 1 for those that are real, and 0.

Pools: ``mean`` and ``max`` over the frames, ``mean+max`` both, one after the other, and ``cls``, the leading token, for networks that
have one. A family that names no ``cls`` in its specs has none, and asking for it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from callspace.encoders.contract import Encoder
from callspace.encoders.parts import Step, packed

__all__ = ["POOLS", "SequenceEncoder", "layer_names"]


def _mean_and_max(frames: Tensor) -> Tensor:
    return torch.cat([frames.mean(dim=1), frames.amax(dim=1)], dim=1)


#: From float32[batch, frames, dim] to float32[batch, dim], or twice dim; every sequence encoder offers these.
POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda frames: frames.mean(dim=1),
    "max": lambda frames: frames.amax(dim=1),
    "mean+max": _mean_and_max,
}


def layer_names(count: int) -> tuple[str, ...]:
    """``layerN`` to ``layer1``, the deepest first: the default."""
    return tuple(f"layer{number}" for number in range(count, 0, -1))


class SequenceEncoder(Encoder):
    """Base class of encoders whose layers are sequences; the layers of its specs are `layer_names`.

    Attributes
    ----------
    leading_tokens : int
        Tokens before the first frame (a class token, a distillation token): never part of ``mean`` and ``max``.
    """

    leading_tokens = 0

    @property
    def depth(self) -> int:
        """How many layers are run: the number of the layer that is read."""
        return _number(self.layer)

    def _hidden(self, waveforms: Tensor, depth: int) -> list[Tensor]:
        """The outputs of the first `depth` layers for waveforms of one length, each float32[batch, leading tokens + frames, dim].

        The caller cuts what is longer than the network takes; what is shorter, the family pads as its authors do. Whatever follows the
        last layer in the published network (a final normalisation) belongs to its output, and to no other layer's.
        """
        raise NotImplementedError

    def _blocks(self) -> Sequence[nn.Module]:
        """The layers, the first one first."""
        raise NotImplementedError

    def _after_blocks(self) -> Iterable[nn.Module]:
        """Modules that only the last layer's output goes through."""
        return ()

    def _never_used(self) -> Iterable[nn.Parameter]:
        """Parameters of the published file that make no embedding."""
        return ()

    def _pooled(self, tokens: Tensor, samples: int) -> Tensor:
        """One layer's output to one vector a clip; `samples` is the clips' length, for families that pad to a fixed one."""
        if self.pool == "cls":
            return self._leading(tokens)
        return POOLS[self.pool](self._real_frames(tokens[:, self.leading_tokens :], samples))

    def _leading(self, tokens: Tensor) -> Tensor:
        """What the pool ``cls`` reads."""
        return tokens[:, 0]

    def _real_frames(self, frames: Tensor, samples: int) -> Tensor:
        """Of the frames of a clip of `samples`, those that count; all of them, unless a family pads to a fixed length and drops the rest."""
        return frames

    def _in_time(self, frames: Tensor) -> Tensor:
        """float32[batch, frames, dim] in the order of time; a family of patches averages over frequency."""
        return frames

    def _embed_layers(self, waveforms: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        hidden = self._hidden(waveforms, max(_number(layer) for layer in layers))
        return [self._pooled(hidden[_number(layer) - 1].float(), waveforms.shape[1]) for layer in layers]

    def _embed(self, waveforms: Tensor) -> Tensor:
        return self._embed_layers(waveforms, (self.layer,))[0]

    def forward_layers(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The embedding at each layer, float32[layers, batch, dim], the first layer first."""
        names = sorted(self.spec.layers, key=_number)
        found = self.layer_embeddings(waveforms, lengths, names)
        return torch.stack([found[name] for name in names])

    def frames(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The chosen layer before pooling, float32[batch, time, dim]; zeros after the frames of a shorter clip.

        Of a clip longer than the network takes at once, the frames of its parts, one after the other.
        """
        waveforms, lengths = self._checked(waveforms, lengths)
        clips: list[Tensor] = [waveforms] * len(lengths)
        for length in torch.unique(lengths).tolist():
            rows = torch.nonzero(lengths == length).flatten().tolist()
            for row, frames in zip(rows, self._frames_of_length(waveforms[rows, :length]), strict=True):
                clips[row] = frames
        return nn.utils.rnn.pad_sequence(clips, batch_first=True)

    def _frames_of_length(self, waveforms: Tensor) -> Tensor:
        starts, size = self._parts(waveforms.shape[1])
        waveforms = nn.functional.pad(waveforms, (0, max(0, starts[-1] + size - waveforms.shape[1])))
        parts = []
        for start in starts:
            tokens = self._hidden(waveforms[:, start : start + size], self.depth)[-1]
            parts.append(self._in_time(self._real_frames(tokens[:, self.leading_tokens :], size)))
        return torch.cat(parts, dim=1)

    @property
    def token_dim(self) -> int:
        """The width of the layer that is read."""
        return self._registered.dim_of(self.layer, "mean")

    def _tokens_of_length(self, waveforms: Tensor) -> tuple[Tensor, Tensor]:
        parts = []
        for part in self._framed_parts(waveforms):
            tokens = self._normalised_tokens(self._hidden(part, self.depth)[-1].float())
            parts.append(self._real_frames(tokens[:, self.leading_tokens :], part.shape[1]))
        return packed(torch.cat(parts, dim=1), None)

    def _normalised_tokens(self, tokens: Tensor) -> Tensor:
        """A layer's output where the network normalises only after pooling: the tokens as they are, but so normalised."""
        return tokens

    def _network_steps(self) -> Sequence[Step]:
        """What makes tokens of `_front`, then each layer up to the last one, with all that follows it; none where the family says nothing."""
        return ()

    def _real_of(self, columns: int, tokens: int) -> Tensor | None:
        """Which of the frames are a clip's, bool[tokens], by the length of what its front end made; None for all."""
        return None

    def _steps_to(self, layer: str) -> Sequence[Step]:
        steps = self._network_steps()[: self.depth + 1]
        return [self._marking(steps[0]), *map(_beside_marks, steps[1:])] if steps and self._marks else steps

    @property
    def _marks(self) -> bool:
        """Whether hidden states say which of their tokens are real."""
        return type(self)._real_of is not SequenceEncoder._real_of

    def _marking(self, step: Step) -> Step:
        def marked(front: Tensor) -> Tensor:
            tokens = step(front)
            real = self._real_of(self._columns(front), tokens.shape[1] - self.leading_tokens)
            assert real is not None
            marks = torch.cat([real.new_ones(self.leading_tokens), real]).to(tokens)
            return torch.cat([tokens, marks[None, :, None].expand(len(tokens), -1, 1)], dim=2)

        return marked

    def _columns(self, front: Tensor) -> int:
        """The length in time of what the front end made."""
        assert self.picture_axes is not None
        return front.shape[self.picture_axes[1]]

    def _unmarked(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        """The tokens, and which are real, bool[batch, tokens]; the leading ones are."""
        return (hidden[..., :-1].float(), hidden[..., -1] > 0.5) if self._marks else (hidden.float(), None)

    def _read(self, hidden: Tensor) -> Tensor:
        tokens, real = self._unmarked(hidden)
        if self.pool == "cls":
            return self._leading(tokens)
        frames = tokens[:, self.leading_tokens :]
        return POOLS[self.pool](frames) if real is None else _pooled_real(self.pool, frames, real[:, self.leading_tokens :])

    def _tokens_of(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        tokens, real = self._unmarked(hidden)
        frames = self._normalised_tokens(tokens)[:, self.leading_tokens :]
        return frames, None if real is None else real[:, self.leading_tokens :]

    def _block_modules(self) -> list[tuple[str, list[nn.Module]]] | None:
        blocks = list(self._blocks())
        named: list[tuple[str, list[nn.Module]]] = [(f"layer{number}", [block]) for number, block in enumerate(blocks, start=1)]
        named[-1][1].extend(self._after_blocks())
        return [("embedding", []), *named[: self.depth]]

    def backbone_parameters(self) -> list[nn.Parameter]:
        """The parameters that get a gradient from the layer that is read; none that the family never trains."""
        if not self.spec.trainable:
            return []
        blocks = list(self._blocks())
        later: list[nn.Module] = [*blocks[self.depth :], *(self._after_blocks() if self.depth < len(blocks) else ())]
        left_out = {parameter for module in later for parameter in module.parameters()} | set(self._never_used())
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad and parameter not in left_out]


def _beside_marks(step: Step) -> Step:
    def beside(hidden: Tensor) -> Tensor:
        tokens = step(hidden[..., :-1])
        return torch.cat([tokens, hidden[..., -1:].to(tokens)], dim=2)

    return beside


def _pooled_real(pool: str, frames: Tensor, real: Tensor) -> Tensor:
    """`POOLS` over the frames that are real."""
    kept = real[:, :, None]
    mean = (frames * kept).sum(dim=1) / kept.sum(dim=1)
    if pool == "mean":
        return mean
    most = frames.masked_fill(~kept, -torch.inf).amax(dim=1)
    return most if pool == "max" else torch.cat([mean, most], dim=1)


def _number(layer: str) -> int:
    return int(layer.removeprefix("layer"))
