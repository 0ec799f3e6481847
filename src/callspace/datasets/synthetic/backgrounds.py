"""What else is heard: wind, rain, stream, insects and engine, each made from noise and from things that sound like calls.

Each function takes two generators, `site` (its draws are the place's own, the same in every recording made there) and `recording`, and returns
float64[n] at `SAMPLE_RATE_HZ` with a root mean square of one. Each holds something that a detector can take for a call: wind creaks branches
(as a buzz), rain drips in trains (as pulses), a stream gurgles upwards (as a sweep), insects stridulate (as a trill or a buzz), an engine has
harmonics and squeals (as a stack and a whistle).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import signal as sps

from callspace.datasets.synthetic.calls import SAMPLE_RATE_HZ, chirp

__all__ = ["BACKGROUNDS", "engine", "insects", "rain", "stream", "wind"]

Signal = NDArray[np.float64]
Generator = np.random.Generator


def wind(site: Generator, recording: Generator, n: int) -> Signal:
    """Rumble and hiss in gusts; now and then a branch creaks."""
    gusts = 10 ** (_slow(recording, n, site.uniform(0.3, 0.8), site.uniform(3, 6)) / 20)
    rumble = _unit(_low_pass(recording.standard_normal(n), site.uniform(250, 500)))
    hiss = _unit(_band(recording.standard_normal(n), 500, site.uniform(2500, 5000)))
    rate_hz, ring_hz = site.uniform(30, 90), site.uniform(1500, 3000)

    def creak() -> Signal:
        length = _samples(recording.uniform(0.1, 0.4))
        teeth = np.zeros(length)
        at = np.cumsum(recording.normal(1, 0.15, length // 100).clip(0.3)) * SAMPLE_RATE_HZ / rate_hz
        teeth[at[at < length].astype(np.int64)] = 1.0
        return _loudness(recording) * _unit(_resonate(teeth, ring_hz * recording.uniform(0.9, 1.1), 250) * np.hanning(length))

    creaks = _events(recording, n, site.uniform(0.2, 0.9), creak)
    return _unit(gusts * (rumble + site.uniform(0.6, 1.2) * hiss) + creaks)


def rain(site: Generator, recording: Generator, n: int) -> Signal:
    """A hiss of far drops, near drops on leaves of several sizes, and water dripping in short trains."""
    hiss = _unit(_band(recording.standard_normal(n), 700, site.uniform(5000, 7500)))
    drops = np.zeros(n)
    for ring_hz in site.uniform(1200, 6000, 3):
        struck = recording.random(n) < site.uniform(4, 25) / SAMPLE_RATE_HZ
        drops += _unit(_resonate(struck * recording.exponential(1, n), ring_hz, 400))
    rate_hz, ring_hz = site.uniform(8, 18), site.uniform(1500, 3800)

    def dripping() -> Signal:
        at = np.cumsum(recording.normal(1, 0.08, recording.integers(2, 7))) * SAMPLE_RATE_HZ / rate_hz
        drips = np.zeros(int(at[-1]) + 800)
        drips[at.astype(np.int64)] = recording.uniform(0.4, 1, len(at))
        return _loudness(recording) * _unit(_resonate(drips, ring_hz * recording.uniform(0.9, 1.1), 120))

    return _unit(hiss + site.uniform(0.2, 0.5) * drops + _events(recording, n, site.uniform(0.3, 1.1), dripping))


def stream(site: Generator, recording: Generator, n: int) -> Signal:
    """Rushing noise, many small bubbles and a few long gurgles, each a tone that rises as it dies."""
    rush = _unit(_band(recording.standard_normal(n), site.uniform(350, 700), site.uniform(2000, 4500)))
    centre_hz = site.uniform(900, 2000)

    def bubble() -> Signal:
        length = _samples(recording.uniform(0.015, 0.05))
        hz = centre_hz * np.exp(recording.normal(0, 0.35))
        return recording.exponential(0.8) * chirp(hz, hz * 1.15, length) * np.exp(-np.linspace(0, 4, length))

    def gurgle() -> Signal:
        length = _samples(recording.uniform(0.1, 0.3))
        hz = centre_hz * np.exp(recording.normal(0.2, 0.25))
        return _loudness(recording) * chirp(hz, hz * recording.uniform(1.2, 1.8), length) * np.hanning(length)

    bubbles = _events(recording, n, site.uniform(6, 20), bubble)
    return _unit(rush + bubbles + _events(recording, n, site.uniform(0.3, 1.1), gurgle))


def insects(site: Generator, recording: Generator, n: int) -> Signal:
    """One to three singers, each a carrier pulsed 12 to 90 times a second, in chirps or without end, over a far chorus."""
    t = np.arange(n) / SAMPLE_RATE_HZ
    chorus = _unit(_band(recording.standard_normal(n), site.uniform(1800, 3000), site.uniform(4500, 7000)))
    total = site.uniform(0.5, 1.0) * chorus
    for _ in range(site.integers(1, 4)):
        carrier_hz, pulse_hz = site.uniform(2000, 6000), np.exp(site.uniform(np.log(12), np.log(90)))
        period_s, sounding, steady = site.uniform(0.5, 1.6), site.uniform(0.2, 0.6), site.random() < 0.35
        level = site.uniform(0.3, 1.0)
        jitter = np.cumsum(recording.standard_normal(n)) * 0.02
        pulses = np.clip(np.sin(2 * np.pi * pulse_hz * t + recording.uniform(0, 6)), 0, None)
        singing = np.ones(n)
        if not steady:
            turn = (t / period_s + recording.random() + _slow(recording, n, 0.7, 0.12)) % 1
            singing = _low_pass((turn < sounding).astype(np.float64), 40)
        total += level * 2 * np.sin(2 * np.pi * carrier_hz * recording.uniform(0.98, 1.02) * t + jitter) * pulses * singing
    return _unit(total)


def engine(site: Generator, recording: Generator, n: int) -> Signal:
    """Firing strokes ringing in a body, nearer and farther, exhaust noise, and a belt that squeals."""
    firing_hz = site.uniform(45, 140) * (1 + 0.05 * _slow(recording, n, 0.5, 1))
    strokes = np.diff(np.floor(np.cumsum(firing_hz) / SAMPLE_RATE_HZ), prepend=0.0) * recording.uniform(0.7, 1.0, n)
    body = sum(
        weight * _unit(_resonate(strokes, hz, 150))
        for weight, hz in zip((1, 0.8, 0.6), site.uniform((200, 600, 1500), (600, 1500, 3200)), strict=True)
    )
    exhaust = _unit(_low_pass(recording.standard_normal(n), site.uniform(800, 2500)))
    squeal_hz = site.uniform(1700, 3900)

    def squeal() -> Signal:
        length = _samples(recording.uniform(0.12, 0.5))
        hz = squeal_hz * recording.uniform(0.95, 1.05)
        return _loudness(recording) * chirp(hz, hz * recording.uniform(0.97, 1.03), length) * np.hanning(length) ** 0.5

    nearness = 10 ** (_slow(recording, n, 0.2, 2) / 20)
    return _unit(nearness * (body + exhaust) + _events(recording, n, site.uniform(0.3, 1.1), squeal))


BACKGROUNDS: Mapping[str, Callable[[Generator, Generator, int], Signal]] = MappingProxyType(
    {"wind": wind, "rain": rain, "stream": stream, "insects": insects, "engine": engine}
)


def _events(recording: Generator, n: int, rate_hz: float, make: Callable[[], Signal]) -> Signal:
    """Sounds at random moments, `rate_hz` a second on average; one that begins before the end is cut there."""
    total = np.zeros(n)
    for _ in range(recording.poisson(rate_hz * n / SAMPLE_RATE_HZ)):
        event, start = make(), int(recording.integers(n))
        event = event[: n - start]
        total[start : start + len(event)] += event
    return total


def _loudness(recording: Generator) -> float:
    """The level of one event against its background: from -8 to +14 dB."""
    return float(10 ** (recording.uniform(-8, 14) / 20))


def _slow(recording: Generator, n: int, rate_hz: float, sigma: float) -> Signal:
    """A wandering line of standard deviation about `sigma` that turns about `rate_hz` times a second."""
    knots = int(np.ceil(n / SAMPLE_RATE_HZ * rate_hz * 2)) + 2
    at = (np.arange(knots) - recording.random()) / (2 * rate_hz)
    return np.interp(np.arange(n) / SAMPLE_RATE_HZ, at, sigma * recording.standard_normal(knots))


def _low_pass(x: Signal, hz: float) -> Signal:
    return sps.sosfilt(sps.butter(1, hz, "low", fs=SAMPLE_RATE_HZ, output="sos"), x)


def _band(x: Signal, low_hz: float, high_hz: float) -> Signal:
    return sps.sosfilt(sps.butter(1, (low_hz, high_hz), "band", fs=SAMPLE_RATE_HZ, output="sos"), x)


def _resonate(x: Signal, hz: float, bandwidth_hz: float) -> Signal:
    """A two-pole resonance with a gain of one at its centre."""
    b, a = sps.iirpeak(hz, hz / bandwidth_hz, fs=SAMPLE_RATE_HZ)
    return sps.lfilter(b, a, x)


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)


def _unit(x: Signal) -> Signal:
    """`x` at a root mean square of one; silence stays silence."""
    level = np.sqrt(np.mean(x**2))
    return x / level if level > 0 else x
