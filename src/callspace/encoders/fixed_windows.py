"""What the encoders share whose network looks at pictures of one size: spectrograms of a window of fixed length.

A family says how a waveform no longer than the window becomes such a picture (`_picture`, which pads as its authors do) and what the
network makes of pictures at each layer (`_look`). A longer clip is cut in equal parts, and the mean of their embeddings is the clip's.

In evaluation mode the network runs once for each length of the clips and each of their parts. In training mode it runs once over all
parts of the whole batch, since batch normalisation needs the batch: the pictures are of one size, whatever the lengths were.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from callspace.encoders.contract import Encoder

__all__ = ["FixedWindowEncoder", "decibels"]


class FixedWindowEncoder(Encoder):
    """Base class of encoders that look at pictures of windows of ``spec.max_window_s`` seconds."""

    @property
    def window_samples(self) -> int:
        """Samples of the window that the network was made for."""
        assert self.spec.max_window_s is not None
        return round(self.spec.max_window_s * self.sample_rate_hz)

    def _picture(self, waveforms: Tensor) -> Tensor:
        """float32[batch, samples], no longer than the window, to pictures float32[batch, ...], of one size whatever the samples."""
        raise NotImplementedError

    def _look(self, pictures: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        """The embeddings of pictures at each of `layers`, each float32[batch, dim of the layer]."""
        raise NotImplementedError

    def _filled(self, waveforms: Tensor) -> Tensor:
        """Waveforms with zeros after their end, up to the window."""
        return nn.functional.pad(waveforms, (0, self.window_samples - waveforms.shape[1]))

    def _embed(self, waveforms: Tensor) -> Tensor:
        return self._embed_layers(waveforms, (self.layer,))[0]

    def _embed_layers(self, waveforms: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        return self._look(self._picture(waveforms), layers)

    def _layers_of_batch(self, waveforms: Tensor, lengths: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        if not self.training:
            return super()._layers_of_batch(waveforms, lengths, layers)
        pictures, owners, shares = [], [], []
        for length in torch.unique(lengths).tolist():
            rows = torch.nonzero(lengths == length).flatten().to(waveforms.device)
            starts, size = self._parts(length)
            for start in starts:
                pictures.append(self._picture(waveforms[rows, start : start + size]))
                owners.append(rows)
                shares.append(torch.full((len(rows), 1), 1 / len(starts), device=waveforms.device))
        seen, share = self._look(torch.cat(pictures), layers), torch.cat(shares)
        owner = torch.cat(owners)
        sums = waveforms.new_zeros
        return [sums(len(waveforms), found.shape[1]).index_add(0, owner, found.float() * share) for found in seen]

    def _front(self, waveforms: Tensor) -> Tensor:
        return self._picture(waveforms)


def decibels(power: Tensor, *, floor: float = 1e-10, range_db: float | None = None) -> Tensor:
    """Ten times the decimal logarithm of a power, as librosa's ``power_to_db`` with a reference of 1.

    Parameters
    ----------
    power : float32[batch, ...]
        Not negative.
    floor : float
        The least power anywhere.
    range_db : float, optional
        What lies further below the clip's loudest cell is raised to that level.
    """
    level = 10 * power.clamp(min=floor).log10()
    if range_db is None:
        return level
    loudest = level.flatten(1).amax(dim=1).reshape(-1, *[1] * (level.ndim - 1))
    return torch.maximum(level, loudest - range_db)
