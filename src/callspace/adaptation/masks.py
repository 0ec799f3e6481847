"""Masks in time and frequency, so that a network does not lean on one stretch or one band alone.

D. S. Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition", Interspeech 2019: of an axis of a
picture, some stretches, each of a width drawn from nothing to the widest and at a drawn place, are given the picture's mean. Stretches
may overlap. The warping of time is left out, as the paper finds it to matter least.

An encoder that hears waveforms has no picture to mask: of its waveform, stretches of time become silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Masks", "mask_pictures", "mask_waveform", "masked_places"]


@dataclass(frozen=True)
class Masks:
    """How many stretches of an axis are masked, and the widest that one may be, as a share of the axis."""

    count: int = 0
    widest: float = 0.0


def masked_places(size: int, masks: Masks, rng: np.random.Generator) -> np.ndarray:
    """bool[size]: True where an axis is masked."""
    hidden = np.zeros(size, dtype=bool)
    for _ in range(masks.count):
        width = int(rng.integers(int(masks.widest * size) + 1))
        start = int(rng.integers(size - width + 1))
        hidden[start : start + width] = True
    return hidden


def mask_pictures(
    pictures: Tensor, axes: tuple[int, int], frequency: Masks, time: Masks, generators: Sequence[np.random.Generator | None]
) -> Tensor:
    """Mask each picture of a batch, by its own generator.

    Parameters
    ----------
    pictures : float[batch, ...]
        Such as [batch, mels, frames] or [batch, parts, 1, frames, mels]; not changed. All parts of one item are masked alike.
    axes : (int, int)
        Which axes of `pictures` are frequency and time.
    frequency, time : Masks
    generators : sequence of Generator or None, one an item
        An item with None is left as it is.

    Returns
    -------
    Tensor
        Of the same shape, type and device; masked places hold the mean of their item as it was.
    """
    along_frequency, along_time = (axis % pictures.ndim for axis in axes)
    if 0 in (along_frequency, along_time) or along_frequency == along_time:
        raise ValueError(
            f"the axes of frequency and time must be two, and neither that of the batch: not {axes} of {tuple(pictures.shape)}"
        )
    hidden = torch.zeros([1] * pictures.ndim, dtype=torch.bool, device=pictures.device)
    for axis, masks in ((along_frequency, frequency), (along_time, time)):
        size = pictures.shape[axis]
        places = np.stack([np.zeros(size, dtype=bool) if rng is None else masked_places(size, masks, rng) for rng in generators])
        shape = [len(places) if number == 0 else size if number == axis else 1 for number in range(pictures.ndim)]
        hidden = hidden | torch.from_numpy(places).to(pictures.device).reshape(shape)
    means = pictures.mean(dim=tuple(range(1, pictures.ndim)), keepdim=True)
    return torch.where(hidden, means, pictures)


def mask_waveform(samples: np.ndarray, masks: Masks, rng: np.random.Generator, *, fade: int) -> np.ndarray:
    """The sound with stretches of silence, which it falls into and rises from over `fade` samples at either edge, within the stretch."""
    out = samples.copy()
    for _ in range(masks.count):
        places = np.flatnonzero(masked_places(len(samples), Masks(1, masks.widest), rng))
        if not len(places):
            continue
        edge = min(fade, len(places) // 2)
        falling = (0.5 + 0.5 * np.cos(np.pi * np.arange(1, edge + 1) / (edge + 1))).astype(np.float32)
        out[places[0] : places[-1] + 1] *= np.concatenate([falling, np.zeros(len(places) - 2 * edge, np.float32), falling[::-1]])
    return out
