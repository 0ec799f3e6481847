"""Batches to learn from: two renderings of each of some sounds, each somewhere else, in surroundings and a room of its own.

Everything follows from a seed and a number: the pool's sounds from (seed, which pool, sound), a batch from (seed, which pool, batch). An
interrupted training goes on with the batches that it would have had.
"""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor

from training.sounds import RATE_HZ, draw, kinds_of, measures_of, render
from training.surroundings import echo, octave_weights, surroundings

__all__ = ["Batch", "Mixtures", "Pool", "make_pool"]

#: Decibels of a sound over its surroundings, both over the sound's extent and over all frequencies.
SNR_DB = (-10.0, 30.0)
_WINDOWS_S = (0.5, 0.5, 0.75)
_ECHO = 4096
_SURROUNDINGS_S = 4.0

Waveform = NDArray[np.float32]


@dataclass(frozen=True)
class Pool:
    """Sounds that are rendered once, and surroundings to hear them in.

    Attributes
    ----------
    renderings : list of (float32[samples], float32[samples])
        Two of each sound.
    kinds : float32[sounds, kinds]
    measures : float32[sounds, measures]
        NaN where a sound has no such measure.
    surroundings : list of float32[samples]
    """

    renderings: list[tuple[Waveform, Waveform]]
    kinds: NDArray[np.float32]
    measures: NDArray[np.float32]
    surroundings: list[Waveform]


class Batch(NamedTuple):
    """``2 * sounds + empty`` windows: first one of each sound, then the other of each, then windows without any.

    Attributes
    ----------
    waveforms : float32[windows, samples]
    kinds : float32[sounds, kinds]
    measures : float32[sounds, measures]
    snr_db : float32[2 * sounds]
    """

    waveforms: Tensor
    kinds: Tensor
    measures: Tensor
    snr_db: Tensor


def make_pool(seed: int, which: int, sounds: int, backgrounds: int, processes: int = 1) -> Pool:
    """A pool of its own for each ``(seed, which)``; its first sounds are the same however many there are.

    Parameters
    ----------
    seed, which, sounds, backgrounds : int
    processes : int
        How many make it; without effect on the result.
    """
    with ProcessPoolExecutor(processes) as executor:
        made = list(executor.map(partial(_sound, seed, which), range(sounds), chunksize=256))
        around = list(executor.map(partial(_surroundings, seed, which), range(backgrounds), chunksize=16))
    renderings, kinds, measures = zip(*made, strict=True)
    return Pool(list(renderings), np.stack(kinds), np.stack(measures), around)


def _sound(seed: int, which: int, number: int) -> tuple[tuple[Waveform, Waveform], NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng((seed, which, 0, number))
    sound = draw(rng)
    return (render(sound, rng), render(sound, rng)), kinds_of(sound), measures_of(sound)


def _surroundings(seed: int, which: int, number: int) -> Waveform:
    return surroundings(np.random.default_rng((seed, which, 1, number)), int(_SURROUNDINGS_S * RATE_HZ))


class Mixtures(torch.utils.data.Dataset[Batch]):
    """Batch `k` of a pool, for ``k`` from 0.

    Parameters
    ----------
    pool : Pool
    seed : int
    sounds, empty : int
        Of a batch: how many sounds, each heard twice, and how many windows without any.
    batches, start : int
        How many there are in all, and how many are left out at the begin.
    """

    def __init__(self, pool: Pool, seed: int, *, sounds: int, empty: int, batches: int, start: int = 0) -> None:
        self._pool, self._seed = pool, seed
        self._sounds, self._empty, self._batches, self._start = sounds, empty, batches, start

    def __len__(self) -> int:
        return self._batches - self._start

    def after(self, done: int) -> Mixtures:
        """The batches that are left after the first `done`."""
        return Mixtures(self._pool, self._seed, sounds=self._sounds, empty=self._empty, batches=self._batches, start=done)

    def __getitem__(self, k: int) -> Batch:
        if k >= len(self):
            raise IndexError(k)
        rng = np.random.default_rng((self._seed, 2, k + self._start))
        n = int(rng.choice(_WINDOWS_S) * RATE_HZ)
        chosen = rng.permutation(len(self._pool.renderings))[: self._sounds]
        dry = [self._pool.renderings[sound][view] for view in (0, 1) for sound in chosen]
        wet = _in_rooms(dry, rng)
        snr_db = rng.uniform(*SNR_DB, len(wet)).astype(np.float32)
        windows = [self._window(sound, ratio, n, rng) for sound, ratio in zip(wet, snr_db, strict=True)]
        windows += [self._around(n, rng) for _ in range(self._empty)]
        return Batch(
            _recorded(np.stack(windows), rng),
            torch.from_numpy(self._pool.kinds[chosen]),
            torch.from_numpy(self._pool.measures[chosen]),
            torch.from_numpy(snr_db),
        )

    def _window(self, sound: Waveform, snr_db: float, n: int, rng: np.random.Generator) -> Waveform:
        """The sound, at least half of it, in its surroundings; in one window of four another, fainter one beside it."""
        window = self._around(n, rng)
        heard, at = _placed(sound, n, rng)
        behind = window[at : at + len(heard)]
        level = np.sqrt(np.sum(behind**2) / np.maximum(1e-12, np.sum(heard**2))) * 10 ** (snr_db / 20)
        window[at : at + len(heard)] += level * heard
        if rng.random() < 0.25:
            other = self._pool.renderings[int(rng.integers(len(self._pool.renderings)))][0]
            beside, start = _placed(other, n, rng)
            faint = level * np.sqrt(np.mean(heard**2)) / np.maximum(1e-6, np.sqrt(np.mean(beside**2))) * 10 ** (-rng.uniform(6, 20) / 20)
            window[start : start + len(beside)] += faint * beside
        return window

    def _around(self, n: int, rng: np.random.Generator) -> Waveform:
        """A stretch of one of the surroundings, in one case of three of two of them."""
        total = np.zeros(n, dtype=np.float32)
        for level in (1.0, 10 ** (-rng.uniform(0, 10) / 20))[: 2 if rng.random() < 1 / 3 else 1]:
            around = self._pool.surroundings[int(rng.integers(len(self._pool.surroundings)))]
            start = int(rng.integers(len(around) - n + 1))
            total += np.float32(level) * around[start : start + n]
        return total


def _placed(sound: Waveform, n: int, rng: np.random.Generator) -> tuple[Waveform, int]:
    """What is heard of a sound in a window of `n` samples, and where it begins there: all of it mostly, at least half always."""
    length = len(sound)
    low, high = (0, n - length) if length < n and rng.random() < 0.6 else (-(length // 2), n - (length + 1) // 2)
    start = int(rng.integers(min(low, high), max(low, high) + 1))
    heard = sound[max(0, -start) : max(0, n - start)]
    return heard, max(0, start)


def _in_rooms(dry: list[Waveform], rng: np.random.Generator) -> list[Waveform]:
    """Each sound with the echoes of a room, two of three, and with what the way takes from its high frequencies."""
    longest = max(len(sound) for sound in dry)
    size = next_fast_len(longest + _ECHO, real=True)
    hz = np.fft.rfftfreq(size, 1 / RATE_HZ)
    rooms = np.zeros((len(dry), _ECHO), dtype=np.float32)
    for room in rooms:
        room[0] = 1.0
        if rng.random() < 2 / 3:
            room[:] = echo(rng, _ECHO)
    gains = _gains(_curves(rng, hz, 2.0, np.ones(len(dry))) - _torch(rng.exponential(1.0, (len(dry), 1))) * _torch(hz / 1000))
    padded = np.zeros((len(dry), longest), dtype=np.float32)
    for row, sound in zip(padded, dry, strict=True):
        row[: len(sound)] = sound
    spectra = torch.fft.rfft(torch.from_numpy(padded), size) * torch.fft.rfft(torch.from_numpy(rooms), size) * gains
    heard = torch.fft.irfft(spectra, size).numpy()
    return [_without_tail(row[: len(sound) + _ECHO]) for row, sound in zip(heard, dry, strict=True)]


def _without_tail(sound: Waveform) -> Waveform:
    """All but the last thousandth of the energy."""
    energy = np.cumsum(sound**2)
    return sound[: int(np.searchsorted(energy, 0.999 * energy[-1])) + 1]


def _recorded(windows: Waveform, rng: np.random.Generator) -> Tensor:
    """What a recorder makes of it: half of them through a curve, one of four cut off below or above, all at a level of their own."""
    n = windows.shape[1]
    hz = np.fft.rfftfreq(n, 1 / RATE_HZ)
    gains_db = _curves(rng, hz, 3.0, rng.random(len(windows)) < 0.5)
    octaves = _torch(np.log2(np.maximum(hz, 20)))
    for row in range(len(windows)):
        cut = rng.random()
        if cut < 0.15:
            gains_db[row] -= 24 * (math.log2(rng.uniform(100, 800)) - octaves).clamp(0, 3)
        elif cut < 0.25:
            gains_db[row] -= 24 * (octaves - math.log2(rng.uniform(4000, 8000))).clamp(0, 3)
    recorded = torch.fft.irfft(torch.fft.rfft(torch.from_numpy(windows)) * _gains(gains_db), n)
    levels = torch.from_numpy(10 ** (rng.uniform(-20, -1, len(windows)) / 20)).float()
    return recorded * (levels / recorded.abs().amax(dim=1).clamp_min(1e-9))[:, None]


def _curves(rng: np.random.Generator, hz: NDArray[np.floating], sigma_db: float, rows: NDArray) -> Tensor:
    """A line through random decibels an octave apart in each row, or nothing where `rows` is 0: float32[rows, bins]."""
    knots = rng.normal(0, sigma_db, (len(rows), 9)) * rows[:, None]
    return _torch(knots) @ _torch(octave_weights(len(hz), float(hz[-1]))).T


def _gains(decibels: Tensor) -> Tensor:
    return torch.exp(decibels * (math.log(10) / 20))


def _torch(values: NDArray) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
