"""The attentive probe: learnt pooling of a frozen encoder's tokens, and a linear head on what it gives.

Tokens are what the encoder has before pooling, float32[tokens, dim] a window. They are kept in memory where they have room there, and made
anew each epoch where they have not: both are a `TokenSource`. A window that is heard in several frames (longer than the dataset's window)
has the mean of the frames' pooled vectors, as its embedding has everywhere else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from callspace.adaptation.fitted import NEVER, Examples, Fitted, Loss
from callspace.adaptation.grids import Grid, Setting, Source, best_of, train_grid
from callspace.adaptation.logistic import standardiser
from callspace.adaptation.mlp import fitted, silence
from callspace.encoders.heads import LinearHead

__all__ = ["ATTENTIVE_GRID", "MAX_BYTES", "CachedTokens", "PooledHead", "TokenSource", "cache_tokens", "fit_attentive", "new_pooled_head"]

ATTENTIVE_GRID = Grid(settings=tuple(Setting(rate, 0.05) for rate in (3e-4, 1e-3, 3e-3)), batch_size=32, default=1, default_epochs=10)

#: Tokens are kept up to so many bytes.
MAX_BYTES = 2 << 30
#: Windows that are pooled at a time where nothing is trained.
_ROWS = 32


class TokenSource(Source, Protocol):
    """Tokens of some windows, by the batch."""

    token_dim: int

    def batches(self, rows: Iterable[np.ndarray]) -> Iterator[tuple[Tensor, ...]]:
        """For each array of row numbers (tokens, counts, owners).

        They are float32[frames, tokens, dim], padded on the right; int64[frames], how many tokens are real; and int64[frames], the place
        in the batch of the window that each frame is of: 0, 1, 2, ... where every window is one frame.
        """
        ...


class CachedTokens:
    """Tokens in memory, without padding.

    Parameters
    ----------
    values : float32[all tokens, dim]
        Of one frame after the other.
    counts : int64[frames]
        Tokens of each frame.
    owners : int64[frames], optional
        The window of each frame, in ascending order; a frame a window, when not given.
    device : torch.device
        Where batches go.
    """

    def __init__(
        self,
        values: Tensor,
        counts: Sequence[int] | Tensor,
        owners: Sequence[int] | Tensor | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._values, self._device = values, device
        self._counts = torch.as_tensor(counts, dtype=torch.int64)
        owner = torch.arange(len(self._counts)) if owners is None else torch.as_tensor(owners, dtype=torch.int64)
        if int(self._counts.sum()) != len(values) or len(owner) != len(self._counts) or bool((owner.diff() < 0).any()):
            raise ValueError("counts must add up to the tokens, and owners be one a frame, in ascending order")
        self._ends = self._counts.cumsum(0)
        self._windows = int(owner[-1]) + 1 if len(owner) else 0
        self._first = torch.searchsorted(owner, torch.arange(self._windows + 1))
        self.token_dim = values.shape[1]

    @classmethod
    def padded(cls, tokens: np.ndarray | Tensor, counts: Sequence[int] | np.ndarray | Tensor) -> CachedTokens:
        """From float32[n, tokens, dim] and int64[n]."""
        tokens, counts = torch.as_tensor(tokens, dtype=torch.float32), torch.as_tensor(counts, dtype=torch.int64)
        return cls(tokens[torch.arange(tokens.shape[1]) < counts[:, None]], counts)

    def __len__(self) -> int:
        return self._windows

    @property
    def nbytes(self) -> int:
        """Bytes of the tokens."""
        return self._values.nbytes

    def finite(self) -> Tensor:
        """bool[n]: the windows of which every token is a number."""
        good = self._values.isfinite().all(dim=1)
        bad = torch.searchsorted(self._ends, torch.nonzero(~good).flatten(), right=True)
        out = torch.ones(self._windows, dtype=torch.bool)
        out[torch.searchsorted(self._first, bad, right=True) - 1] = False
        return out

    def batches(self, rows: Iterable[np.ndarray]) -> Iterator[tuple[Tensor, ...]]:
        """As `TokenSource.batches`."""
        for some in rows:
            frames = [range(int(self._first[row]), int(self._first[row + 1])) for row in some.tolist()]
            chosen = [frame for several in frames for frame in several]
            counts = self._counts[chosen]
            tokens = torch.zeros(len(chosen), int(counts.max()), self.token_dim)
            for place, frame in enumerate(chosen):
                end, count = int(self._ends[frame]), int(counts[place])
                tokens[place, :count] = self._values[end - count : end]
            owners = torch.tensor([place for place, several in enumerate(frames) for _ in several], dtype=torch.int64)
            yield tokens.to(self._device), counts.to(self._device), owners.to(self._device)


def cache_tokens(source: TokenSource, *, max_bytes: int = MAX_BYTES, advance: Callable[[int], None] = lambda n: None) -> TokenSource:
    """The tokens of a source in memory, if they have room in `max_bytes`; else the source itself, to be asked again each epoch."""
    parts: list[Tensor] = []
    counts: list[Tensor] = []
    owners: list[Tensor] = []
    done, room = 0, max_bytes
    device: torch.device | str = "cpu"
    for tokens, count, owner in source.batches(_in_turn(len(source))):
        device = tokens.device
        real = torch.arange(tokens.shape[1], device=device) < count.to(device)[:, None]
        parts.append(tokens[real].cpu())
        counts.append(count.cpu())
        owners.append(owner.cpu() + done)
        room -= parts[-1].nbytes
        if room < 0:
            return source
        windows = int(owner.max()) + 1
        done += windows
        advance(windows)
    if not parts:
        return source
    return CachedTokens(torch.cat(parts), torch.cat(counts), torch.cat(owners), device)


def _in_turn(windows: int) -> list[np.ndarray]:
    return [np.arange(start, min(start + _ROWS, windows)) for start in range(0, windows, _ROWS)]


class PooledHead(nn.Module):
    """A pooler and a head: from tokens to one logit a label."""

    def __init__(self, pooler: nn.Module, head: LinearHead) -> None:
        super().__init__()
        self.pooler = pooler
        self.head = head

    def forward(self, tokens: Tensor, counts: Tensor, owners: Tensor | None = None) -> Tensor:
        """float32[windows, labels] from what `TokenSource.batches` gives."""
        return self.head(_mean_of_frames(self.pooler(tokens, counts), owners))


def _mean_of_frames(pooled: Tensor, owners: Tensor | None) -> Tensor:
    """float32[windows, d] from float32[frames, d]."""
    if owners is None or len(owners.unique()) == len(owners):
        return pooled
    windows = int(owners.max()) + 1
    sums = pooled.new_zeros(windows, pooled.shape[1]).index_add(0, owners, pooled)
    return sums / torch.bincount(owners, minlength=windows)[:, None]


def new_pooled_head(source: TokenSource, labels: int, *, seed: int, new_pooler: Callable[[int], nn.Module] | None = None) -> PooledHead:
    """What training starts from: weights drawn from the seed, the head standardised by what the pooler gives on train before it is trained.

    Parameters
    ----------
    source : TokenSource
        Of the train split.
    labels : int
    seed : int
    new_pooler : callable, optional
        From the tokens' dimension to a pooler that keeps it; `callspace.encoders.pooling.AttentivePooling` when not given.
    """
    from callspace.encoders.pooling import AttentivePooling

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pooler = (new_pooler or AttentivePooling)(source.token_dim)
        head = LinearHead(source.token_dim, labels)
    with torch.no_grad():
        pooled = [
            _mean_of_frames(pooler.to(tokens.device)(tokens, counts), owners).cpu()
            for tokens, counts, owners in source.batches(_in_turn(len(source)))
        ]
    mean, scale = standardiser(torch.cat(pooled).double().numpy())
    head.mean.copy_(torch.from_numpy(mean))
    head.scale.copy_(torch.from_numpy(scale))
    return PooledHead(pooler.cpu(), head)


class _PooledHeads:
    """The members of a grid as modules; see `callspace.adaptation.grids.Members`."""

    def __init__(self, start: PooledHead, members: int, known: np.ndarray, device: torch.device | str) -> None:
        self.kept = list(range(members))
        self._modules = [copy.deepcopy(start).to(device) for _ in self.kept]
        self._unknown = torch.from_numpy(~known).to(device)

    def logits(self, inputs: tuple[Tensor, ...], noise: torch.Generator | None) -> Tensor:
        for member in self.kept:
            self._modules[member].train(noise is not None)
        found = torch.stack([self._modules[member](*inputs) for member in self.kept])
        return found.masked_fill(self._unknown, NEVER)

    def parameters_of(self, member: int) -> dict[str, nn.Parameter]:
        return dict(self._modules[member].named_parameters())

    def hand_gradients(self) -> None:
        """Each module has its own."""

    def keep(self, members: list[int]) -> None:
        self.kept = list(members)


def fit_attentive(
    train: Examples[TokenSource],
    valid: Examples[TokenSource],
    *,
    task: str,
    loss: Loss,
    seed: int,
    grid: Grid = ATTENTIVE_GRID,
    device: torch.device | str = "cpu",
    new_pooler: Callable[[int], nn.Module] | None = None,
    advance: Callable[[int], None] = lambda n: None,
) -> Fitted:
    """The best of a grid of poolers with a linear head; all members are trained on the same batches, which are made once for all.

    Raises
    ------
    CallspaceError
        Training diverged in every setting.
    """
    start = new_pooled_head(train.features, train.targets.shape[1], seed=seed, new_pooler=new_pooler)
    trials = train_grid(
        _PooledHeads(start, len(grid.settings), train.known, device),
        grid,
        (train.features, train.targets),
        (valid.features, valid.targets),
        task=task,
        loss=loss,
        seed=seed,
        advance=advance,
    )
    best = best_of(trials, "an attentive probe")
    start.load_state_dict(best.weights, strict=False)
    silence(start.head.linear, train.known)
    return fitted(start.head.eval(), trials, best, pooler=start.pooler.eval())
