"""The tokens of a dataset's windows: what a frozen encoder has before it pools, read and computed by the batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from callspace.adaptation.attentive import TokenSource, cache_tokens
from callspace.embedding.frames import Frame, frames_of
from callspace.embedding.pipeline import WaveformCache, pad_batch, read_ahead
from callspace.progress import SILENT, Progress

if TYPE_CHECKING:
    from callspace.datasets import Dataset
    from callspace.encoders.contract import Encoder

__all__ = ["DatasetTokens", "tokens_of"]


class DatasetTokens:
    """Tokens of some rows of the windows table, made anew each time they are asked for; a `callspace.adaptation.attentive.TokenSource`.

    Parameters
    ----------
    dataset : Dataset
    encoder : Encoder
        On `device`.
    rows : sequence of int
    device : torch.device
    cache : WaveformCache
    """

    def __init__(self, dataset: Dataset, encoder: Encoder, rows: Sequence[int], device: torch.device, cache: WaveformCache) -> None:
        self._dataset, self._encoder, self._device, self._cache = dataset, encoder, device, cache
        self._frames: list[list[Frame]] = []
        for frame in frames_of(dataset, rows):
            if not self._frames or self._frames[-1][-1].last:
                self._frames.append([])
            self._frames[-1].append(frame)
        self.token_dim = encoder.token_dim

    def __len__(self) -> int:
        return len(self._frames)

    def batches(self, rows: Iterable[np.ndarray]) -> Iterator[tuple[Tensor, ...]]:
        """As `callspace.adaptation.attentive.TokenSource.batches`."""
        chosen = [[self._frames[row] for row in some.tolist()] for some in rows]
        flat = [[frame for several in some for frame in several] for some in chosen]
        read = read_ahead(self._dataset, flat, self._encoder.sample_rate_hz, cache=self._cache)
        for some, (_, waveforms) in zip(chosen, read, strict=True):
            owners = torch.tensor([place for place, several in enumerate(some) for _ in several], dtype=torch.int64)
            self._encoder.eval()
            with torch.no_grad():
                tokens, counts = self._encoder.tokens(*pad_batch(waveforms, self._device))
            yield tokens, counts.to(self._device), owners.to(self._device)


def tokens_of(
    dataset: Dataset,
    encoder: Encoder,
    rows: Sequence[int],
    *,
    device: torch.device,
    cache: WaveformCache,
    progress: Progress = SILENT,
) -> TokenSource:
    """The tokens of some rows, in memory where they have room.

    Raises
    ------
    CallspaceError
        The encoder has one vector a window, and nothing to pool anew.
    """
    source = DatasetTokens(dataset, encoder.to(device), rows, device, cache)
    if not len(source):
        return source
    with progress.task(f"reading {encoder.spec.name}'s frames", len(source)) as advance:
        return cache_tokens(source, advance=advance)
