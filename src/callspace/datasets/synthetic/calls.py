"""The invented species: one function a species, which makes one call.

Each takes two generators, `individual` and `call`. What is drawn from `individual` belongs to the animal, and is the same at each of its
calls if it is given the generator in the same state; what is drawn from `call` differs from call to call. Each returns float64[samples] at
`SAMPLE_RATE_HZ`, the call alone as it is at the animal, with a peak of one. The bands overlap on purpose: what tells the species apart is how
the sound changes within a call.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = ["CALLS", "SAMPLE_RATE_HZ", "SPECIES", "chirp"]

SAMPLE_RATE_HZ = 16_000

Signal = NDArray[np.float64]
Generator = np.random.Generator


def lift_warbler(individual: Generator, call: Generator) -> Signal:
    """Frequency sweep: one rising note, with a faint octave above it."""
    start_hz = individual.uniform(1600, 2200) * _wobble(call, 0.04)
    ratio = individual.uniform(1.5, 2.1) * _wobble(call, 0.04)
    bend = individual.uniform(0.6, 1.7)
    n = _samples(individual.uniform(0.16, 0.40) * _wobble(call, 0.08))
    phase = _phase(start_hz * ratio ** (np.linspace(0, 1, n) ** bend))
    return _peak_one((np.sin(phase) + individual.uniform(0.02, 0.15) * np.sin(2 * phase)) * _edges(n, 0.02, 0.03))


def glass_thrush(individual: Generator, call: Generator) -> Signal:
    """Whistle: one steady pure note that swells and fades."""
    hz = individual.uniform(2300, 3900) * _wobble(call, 0.02)
    drift = individual.normal(0, 0.008) + call.normal(0, 0.004)
    n = _samples(individual.uniform(0.20, 0.48) * _wobble(call, 0.08))
    phase = _phase(hz * (1 + drift * np.linspace(-1, 1, n)))
    return _peak_one(np.sin(phase) * _edges(n, 0.06, 0.08))


def rattle_finch(individual: Generator, call: Generator) -> Signal:
    """Trill: the same short falling note, 16 to 26 times a second."""
    hz = individual.uniform(2700, 3900) * _wobble(call, 0.03)
    rate_hz = individual.uniform(16, 26) * _wobble(call, 0.04)
    span = individual.uniform(1.25, 1.6)
    seconds = individual.uniform(0.28, 0.50) * _wobble(call, 0.1)
    return _peak_one(_trill(hz, span, rate_hz, seconds, individual.uniform(0.5, 0.7), call))


def ratchet_frog(individual: Generator, call: Generator) -> Signal:
    """Pulse train: 4 to 6 knocks, each a struck resonance that dies away, 10 to 14 a second."""
    hz = individual.uniform(1600, 2800) * _wobble(call, 0.03)
    rate_hz = individual.uniform(10, 14) * _wobble(call, 0.03)
    decay_s = individual.uniform(0.005, 0.012)
    second = individual.uniform(1.5, 1.9)
    pulses = int(call.integers(4, 7))
    t = np.arange(_samples(0.06)) / SAMPLE_RATE_HZ
    knock = np.exp(-t / decay_s) * (np.sin(2 * np.pi * hz * t) + 0.5 * np.sin(2 * np.pi * hz * second * t))
    knock *= _edges(len(t), 0.001, 0.01)
    return _peak_one(_repeat(knock, np.arange(pulses) / rate_hz, np.linspace(0.6, 1, pulses) * _wobbles(call, 0.1, pulses)))


def tick_bat(individual: Generator, call: Generator) -> Signal:
    """Clicks: 5 ms downward sweeps from about 7 to 2.5 kHz that come faster and faster, a bat's approach scaled to hearing."""
    high_hz = individual.uniform(5200, 7400) * _wobble(call, 0.03)
    low_hz = individual.uniform(1700, 3000) * _wobble(call, 0.03)
    first_s, last_s = individual.uniform(0.045, 0.070), individual.uniform(0.014, 0.024)
    clicks = int(individual.integers(7, 13)) + int(call.integers(-1, 2))
    n = _samples(individual.uniform(0.004, 0.007))
    click = np.sin(_phase(np.geomspace(high_hz, low_hz, n))) * np.hanning(n)
    intervals = np.geomspace(first_s, last_s, clicks - 1) * _wobbles(call, 0.04, clicks - 1)
    return _peak_one(_repeat(click, np.concatenate([[0.0], np.cumsum(intervals)]), _wobbles(call, 0.15, clicks)))


def rasp_wren(individual: Generator, call: Generator) -> Signal:
    """Buzz: noise over more than an octave, chopped 60 to 110 times a second."""
    low_hz = individual.uniform(1500, 2300) * _wobble(call, 0.04)
    high_hz = low_hz * individual.uniform(2.0, 2.8)
    rate_hz = individual.uniform(60, 110) * _wobble(call, 0.04)
    n = _samples(individual.uniform(0.18, 0.45) * _wobble(call, 0.08))
    spectrum = np.fft.rfft(call.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
    spectrum *= 1 / (1 + np.exp((low_hz - hz) / 80)) / (1 + np.exp((hz - high_hz) / 120))
    chopping = 0.15 + 0.85 * np.clip(np.sin(2 * np.pi * rate_hz * np.arange(n) / SAMPLE_RATE_HZ), 0, None)
    return _peak_one(np.fft.irfft(spectrum, n) * chopping * _edges(n, 0.03, 0.05))


def brass_marmot(individual: Generator, call: Generator) -> Signal:
    """Harmonic stack: up to nine harmonics of an arched fundamental of 450 to 850 Hz, strongest where the throat rings."""
    low_hz = individual.uniform(450, 850) * _wobble(call, 0.04)
    arch = individual.uniform(0.06, 0.22) * _wobble(call, 0.1)
    ring_hz = individual.uniform(1700, 3300)
    n = _samples(individual.uniform(0.16, 0.42) * _wobble(call, 0.08))
    phase = _phase(low_hz * (1 + arch * np.sin(np.pi * np.linspace(0, 1, n))))
    signal = np.zeros(n)
    for harmonic in range(1, 10):
        hz = harmonic * low_hz * (1 + arch)
        if hz > 6500:
            break
        signal += np.exp(-0.5 * (np.log2(hz / ring_hz) / 0.6) ** 2) * np.sin(harmonic * phase + call.uniform(0, 2 * np.pi))
    return _peak_one(signal * _edges(n, 0.02, 0.06))


def couplet_lark(individual: Generator, call: Generator) -> Signal:
    """Two-part song: a falling note, a breath, and a short trill in the same band."""
    top_hz = individual.uniform(2500, 3700) * _wobble(call, 0.03)
    ratio = individual.uniform(1.4, 1.9)
    n = _samples(individual.uniform(0.12, 0.20) * _wobble(call, 0.08))
    fall = np.sin(_phase(np.geomspace(top_hz, top_hz / ratio, n))) * _edges(n, 0.02, 0.02)
    breath = np.zeros(_samples(individual.uniform(0.02, 0.05)))
    hz = top_hz / ratio * individual.uniform(1.0, 1.4) * _wobble(call, 0.02)
    rate_hz = individual.uniform(18, 26) * _wobble(call, 0.04)
    trill = _trill(hz, individual.uniform(1.2, 1.5), rate_hz, individual.uniform(0.16, 0.28) * _wobble(call, 0.1), 0.6, call)
    return _peak_one(np.concatenate([fall, breath, individual.uniform(0.7, 1.0) * trill]))


#: The species and what makes their calls, in the order of the vocabulary.
CALLS: Mapping[str, Callable[[Generator, Generator], Signal]] = MappingProxyType(
    {
        "brass-marmot": brass_marmot,
        "couplet-lark": couplet_lark,
        "glass-thrush": glass_thrush,
        "lift-warbler": lift_warbler,
        "rasp-wren": rasp_wren,
        "ratchet-frog": ratchet_frog,
        "rattle-finch": rattle_finch,
        "tick-bat": tick_bat,
    }
)

SPECIES: tuple[str, ...] = tuple(CALLS)


def chirp(start_hz: float, end_hz: float, n: int) -> Signal:
    """`n` samples of a tone whose frequency runs geometrically from `start_hz` to `end_hz`."""
    return np.sin(_phase(np.geomspace(start_hz, end_hz, n)))


def _trill(hz: float, span: float, rate_hz: float, seconds: float, duty: float, call: Generator) -> Signal:
    """Falling notes from ``hz * sqrt(span)`` to ``hz / sqrt(span)``, sounding for `duty` of each period."""
    notes = max(3, round(seconds * rate_hz))
    n = _samples(duty / rate_hz)
    note = chirp(hz * span**0.5, hz / span**0.5, n) * np.hanning(n) ** 0.5
    return _repeat(note, np.arange(notes) / rate_hz, _wobbles(call, 0.08, notes))


def _repeat(note: Signal, onsets_s: Signal, levels: Signal | float) -> Signal:
    """`note` at each onset, at its level, overlaps added."""
    starts = np.round(np.asarray(onsets_s) * SAMPLE_RATE_HZ).astype(np.int64)
    signal = np.zeros(int(starts[-1]) + len(note))
    for start, level in zip(starts, np.broadcast_to(levels, starts.shape), strict=True):
        signal[start : start + len(note)] += level * note
    return signal


def _wobble(call: Generator, sigma: float) -> float:
    """A factor about one: log-normal, at most two and a half sigma off, so that durations and bands stay within bounds."""
    return float(_wobbles(call, sigma, 1)[0])


def _wobbles(call: Generator, sigma: float, n: int) -> Signal:
    return np.exp(sigma * np.clip(call.standard_normal(n), -2.5, 2.5))


def _phase(hz: Signal) -> Signal:
    return 2 * np.pi * np.cumsum(hz) / SAMPLE_RATE_HZ


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)


def _edges(n: int, attack_s: float, release_s: float) -> Signal:
    """An envelope that rises and falls as a raised cosine; each edge takes at most half the call."""
    envelope = np.ones(n)
    attack, release = (max(1, min(_samples(s), n // 2)) for s in (attack_s, release_s))
    envelope[:attack] *= np.sin(np.pi / 2 * (np.arange(attack) + 0.5) / attack) ** 2
    envelope[-release:] *= np.sin(np.pi / 2 * (np.arange(release)[::-1] + 0.5) / release) ** 2
    return envelope


def _peak_one(signal: Signal) -> Signal:
    return signal / np.abs(signal).max()
