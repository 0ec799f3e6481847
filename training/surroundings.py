"""What the sounds are heard in: noise of every colour, swelling and fading, with hums, crackle and far voices in it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.sounds import RATE_HZ, draw, render

__all__ = ["echo", "gain_curve", "octave_weights", "surroundings"]

Signal = NDArray[np.float64]
Generator = np.random.Generator


def surroundings(rng: Generator, n: int) -> NDArray[np.float32]:
    """float32[n] with a root mean square of one."""
    total = sum(rng.uniform(0.3, 1.0) * _swelling(rng, n) * _coloured(rng, n) for _ in range(int(rng.integers(1, 3))))
    if rng.random() < 0.25:
        total = total + rng.uniform(0.1, 1.0) * _hum(rng, n)
    if rng.random() < 0.3:
        total = total + rng.uniform(0.2, 1.0) * _crackle(rng, n)
    if rng.random() < 0.5:
        total = total + _voices(rng, n)
    return (total / np.sqrt(np.mean(total**2))).astype(np.float32)


def _coloured(rng: Generator, n: int) -> Signal:
    """Noise that falls or rises by a few decibels an octave, through a random curve and, at times, a band; root mean square of one."""
    hz = np.fft.rfftfreq(n, 1 / RATE_HZ)
    octaves = np.log2(np.maximum(hz, 30.0) / 1000)
    gain_db = rng.uniform(-7, 2) * octaves + gain_curve(rng, hz, 4.0)
    if rng.random() < 0.4:
        gain_db = gain_db - 12 * np.abs((octaves - rng.uniform(-1, 3)) / rng.uniform(0.3, 1.5)) ** 2
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * 10 ** (np.maximum(gain_db, -80) / 20), n)
    return noise / np.sqrt(np.mean(noise**2))


def _swelling(rng: Generator, n: int) -> Signal:
    """A level that wanders: not at all, slowly, or fast."""
    knots = 2 + int(n / RATE_HZ * rng.choice((0.5, 2.0, 8.0)))
    return 10 ** (np.interp(np.linspace(0, 1, n), np.linspace(0, 1, knots), rng.normal(0, rng.uniform(0, 5), knots)) / 20)


def _hum(rng: Generator, n: int) -> Signal:
    base_hz, t = rng.uniform(40, 300), np.arange(n) / RATE_HZ
    tones = sum(rng.exponential() / k * np.sin(2 * np.pi * k * base_hz * t + rng.uniform(0, 6)) for k in range(1, 12))
    return tones / np.sqrt(np.mean(tones**2))


def _crackle(rng: Generator, n: int) -> Signal:
    """Impulses at random, each of its own level, through one resonance."""
    struck = (rng.random(n) < np.exp(rng.uniform(np.log(2), np.log(200))) / RATE_HZ) * rng.standard_normal(n) * rng.exponential(1, n)
    t = np.arange(256) / RATE_HZ
    ring = np.exp(-t * rng.uniform(300, 3000)) * np.sin(2 * np.pi * rng.uniform(500, 7000) * t)
    rung = np.fft.irfft(np.fft.rfft(struck) * np.fft.rfft(ring, n), n)
    return rung / max(1e-9, np.sqrt(np.mean(rung**2)))


def _voices(rng: Generator, n: int) -> Signal:
    """Sounds of the same making, far off: what is there all the time tells nothing of what is near."""
    total = np.zeros(n)
    for _ in range(int(rng.integers(1, 6))):
        voice, start = render(draw(rng), rng), int(rng.integers(n))
        voice = voice[: n - start]
        total[start : start + len(voice)] += 10 ** (rng.uniform(-25, 0) / 20) * voice
    return total


def gain_curve(rng: Generator, hz: NDArray[np.floating], sigma_db: float) -> Signal:
    """Decibels at each of `hz`: a line through random values an octave apart."""
    return octave_weights(len(hz), float(hz[-1])) @ rng.normal(0, sigma_db, 9)


@lru_cache(maxsize=64)
def octave_weights(bins: int, highest_hz: float) -> Signal:
    """How much each of nine octaves, from 32 Hz to 8 kHz, counts at each bin of a spectrum: float64[bins, 9], for linear interpolation."""
    octaves = np.log2(np.maximum(np.linspace(0, highest_hz, bins), 32.0))
    return np.clip(1 - np.abs(octaves[:, None] - np.arange(5, 14)), 0, None)


def echo(rng: Generator, n: int) -> NDArray[np.float32]:
    """An impulse response, float32[n]: the sound itself, and noise after it that dies away within 0.05 to 0.5 s."""
    t = np.arange(n) / RATE_HZ
    tail = rng.standard_normal(n) * 10 ** (-3 * t / rng.uniform(0.05, 0.5))
    tail[: int(rng.uniform(0.001, 0.01) * RATE_HZ)] = 0
    tail = np.convolve(tail, np.hanning(int(rng.integers(3, 10))), mode="same")
    response = 10 ** (rng.uniform(-25, 0) / 20) * tail / np.sqrt(np.sum(tail**2))
    response[0] = 1.0
    return response.astype(np.float32)
