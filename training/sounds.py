"""General sounds from a few numbers: what the encoder of our own is taught with.

A `Sound` is a list of numbers drawn at random over wide ranges (`draw`), not a species: a source (tone, stack of harmonics, noise, knock,
click), where it is in frequency and how it moves there (sweep, bend, arch, vibrato), how its level beats (tremolo), and how often and how
fast it is repeated. Several parts in a row make a phrase. `render` makes the waveform; each rendering strays by a few per cent from the
numbers, as each call of an animal does.

What can be learned from a sound are its `KINDS`, yes or no each, and its `MEASURES`, numbers that are there or (NaN) not.
Frequencies are in hertz, times in seconds, waveforms float32 at `RATE_HZ`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "LONGEST_S", "MEASURES", "RATE_HZ", "SOURCES", "Part", "Sound", "draw", "kinds_of", "measures_of", "render"]

RATE_HZ = 16_000
LONGEST_S = 0.8

SOURCES = ("tone", "stack", "noise", "knock", "click")
#: What a sound is, several at once: its source, how it moves, and how it is put together.
KINDS = (*SOURCES, "rising", "falling", "arched", "vibrato", "tremolo", "repeated", "phrase")
#: What a sound measures, each brought to about the range from -1 to 1: pitch, octaves swept, octaves of arch, vibrato's and tremolo's rate
#: and depth, bandwidth, seconds, notes, notes a second, ring of a stack.
MEASURES = (
    "pitch",
    "sweep",
    "arch",
    "vibrato_rate",
    "vibrato_depth",
    "tremolo_rate",
    "tremolo_depth",
    "bandwidth",
    "seconds",
    "notes",
    "rate",
    "ring",
)

Signal = NDArray[np.float64]
Generator = np.random.Generator


@dataclass(frozen=True)
class Part:
    """One kind of note and its repetition.

    Attributes
    ----------
    source : str
        Of `SOURCES`.
    pitch_hz : float
        The geometric middle of the sweep; a stack's fundamental; a noise's centre; what a knock rings at.
    sweep_oct, arch_oct, bend : float
        Octaves from the note's begin to its end; octaves that its middle lies above both; above 1 the sweep is fast late, below 1 early.
    vibrato_hz, vibrato_oct, tremolo_hz, tremolo_depth : float
        Nothing beats where the depth is 0.
    bandwidth_oct : float
        Of noise and clicks.
    ring_hz : float
        Where a stack is loudest.
    note_s : float
        Of one note, with its edges.
    notes : int
    rate_hz, hurry : float
        Notes a second, and the last pause as a multiple of the first.
    attack, release : float
        Edges, as shares of the note.
    """

    source: str
    pitch_hz: float
    sweep_oct: float = 0.0
    arch_oct: float = 0.0
    bend: float = 1.0
    vibrato_hz: float = 0.0
    vibrato_oct: float = 0.0
    tremolo_hz: float = 0.0
    tremolo_depth: float = 0.0
    bandwidth_oct: float = 0.5
    ring_hz: float = 2000.0
    note_s: float = 0.2
    notes: int = 1
    rate_hz: float = 0.0
    hurry: float = 1.0
    attack: float = 0.1
    release: float = 0.2


@dataclass(frozen=True)
class Sound:
    """Parts that follow each other after pauses of `pause_s`; a single one, mostly."""

    parts: tuple[Part, ...]
    pause_s: float = 0.0


def draw(rng: Generator) -> Sound:
    """A sound at random: one part in five of six, else a phrase of two or three."""
    if rng.random() < 5 / 6:
        return Sound((_part(rng, LONGEST_S),))
    count = int(rng.integers(2, 4))
    first = _part(rng, LONGEST_S / count)
    # The parts of a phrase come from one throat: they lie within an octave or so of each other.
    others = [_near(_part(rng, LONGEST_S / count), first, rng) for _ in range(count - 1)]
    return Sound((first, *others), pause_s=float(rng.uniform(0.0, 0.06)))


def _near(part: Part, first: Part, rng: Generator) -> Part:
    return replace(part, pitch_hz=float(np.clip(first.pitch_hz * 2 ** rng.normal(0, 0.5), 150, 7000)))


def _part(rng: Generator, longest_s: float) -> Part:
    source = str(rng.choice(SOURCES, p=(0.36, 0.16, 0.2, 0.14, 0.14)))
    low, high = {"tone": (400, 7000), "stack": (150, 2000), "noise": (500, 6500), "knock": (300, 6000), "click": (800, 7000)}[source]
    part = Part(source, pitch_hz=_log(rng, low, high), attack=float(rng.uniform(0.03, 0.4)), release=float(rng.uniform(0.05, 0.5)))
    if source in ("tone", "stack"):
        part = _moving(part, rng)
    if source == "stack":
        part = replace(part, ring_hz=_log(rng, max(700.0, part.pitch_hz), 5500))
    if source in ("noise", "click"):
        part = replace(part, bandwidth_oct=float(rng.uniform(0.25, 2.2)))
    note_s = {"knock": _log(rng, 0.006, 0.06), "click": _log(rng, 0.0015, 0.008)}.get(source, _log(rng, 0.02, longest_s))
    part = replace(part, note_s=note_s)
    if source not in ("knock", "click") and note_s > 0.08 and rng.random() < (0.6 if source == "noise" else 0.2):
        part = replace(part, tremolo_hz=_log(rng, 12, 150), tremolo_depth=float(rng.uniform(0.4, 1.0)))
    return _repeated(part, rng, longest_s)


def _moving(part: Part, rng: Generator) -> Part:
    """A tone or a stack holds its pitch, sweeps, arches or quavers."""
    how = rng.random()
    if how < 0.25:
        return replace(part, sweep_oct=float(rng.normal(0, 0.02)))
    if how < 0.7:
        part = replace(part, sweep_oct=float(rng.choice((-1, 1)) * rng.uniform(0.15, 1.6)), bend=_log(rng, 0.5, 2.0))
    if how > 0.6:
        part = replace(part, arch_oct=float(rng.choice((-1, 1, 1)) * rng.uniform(0.08, 0.8)))
    if rng.random() < 0.2:
        part = replace(part, vibrato_hz=_log(rng, 5, 50), vibrato_oct=float(rng.uniform(0.03, 0.25)))
    return part


def _repeated(part: Part, rng: Generator, longest_s: float) -> Part:
    """Notes that leave room are sung again and again: knocks and clicks nearly always."""
    room = longest_s / part.note_s
    chance = 0.85 if part.source in ("knock", "click") else 0.55
    if room < 2.5 or rng.random() > chance:
        return part
    rate_hz = _log(rng, max(3.0, 2.2 / longest_s), min(80.0, 0.95 / part.note_s))
    most = int(min(longest_s * rate_hz, 20))
    notes = int(rng.integers(2, max(3, most + 1)))
    return replace(part, rate_hz=rate_hz, notes=notes, hurry=_log(rng, 0.35, 1.6) if rng.random() < 0.4 else 1.0)


def _log(rng: Generator, low: float, high: float) -> float:
    """Log-uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(max(low, high)))))


def kinds_of(sound: Sound) -> NDArray[np.float32]:
    """Which of `KINDS` a sound is: float32[kinds] of 0 and 1; of a phrase, those of any of its parts."""
    found = {kind for part in sound.parts for kind in _kinds(part)} | ({"phrase"} if len(sound.parts) > 1 else set())
    return np.array([kind in found for kind in KINDS], dtype=np.float32)


def _kinds(part: Part) -> list[str]:
    marks = {
        "rising": part.sweep_oct > 0.12,
        "falling": part.sweep_oct < -0.12,
        "arched": abs(part.arch_oct) > 0.07,
        "vibrato": part.vibrato_oct > 0.0,
        "tremolo": part.tremolo_depth > 0.0,
        "repeated": part.notes > 1,
    }
    return [part.source, *(kind for kind, holds in marks.items() if holds)]


def measures_of(sound: Sound) -> NDArray[np.float32]:
    """The `MEASURES` of a sound, float32[measures]; NaN for what a sound does not have, and of a phrase all but pitch and length."""
    part = sound.parts[0]
    melodic = part.source in ("tone", "stack")
    found = {
        "pitch": np.mean([np.log2(each.pitch_hz / 1500) / 2 for each in sound.parts]),
        "seconds": np.log10(_seconds(sound) / 0.15),
    }
    if len(sound.parts) == 1:
        found |= {"notes": np.log2(part.notes) / 4, "vibrato_depth": 4 * part.vibrato_oct, "tremolo_depth": part.tremolo_depth}
        if melodic:
            found |= {"sweep": part.sweep_oct, "arch": part.arch_oct}
        if part.vibrato_oct:
            found["vibrato_rate"] = np.log2(part.vibrato_hz / 16)
        if part.tremolo_depth:
            found["tremolo_rate"] = np.log2(part.tremolo_hz / 40) / 2
        if part.notes > 1:
            found["rate"] = np.log2(part.rate_hz / 15) / 2
        if part.source in ("noise", "click"):
            found["bandwidth"] = part.bandwidth_oct - 1
        if part.source == "stack":
            found["ring"] = np.log2(part.ring_hz / 2000)
    return np.array([found.get(name, np.nan) for name in MEASURES], dtype=np.float32)


def _seconds(sound: Sound) -> float:
    lengths = [part.note_s + (part.notes - 1) / part.rate_hz if part.notes > 1 else part.note_s for part in sound.parts]
    return sum(lengths) + sound.pause_s * (len(lengths) - 1)


def render(sound: Sound, rng: Generator) -> NDArray[np.float32]:
    """One rendering, float32[samples] with a peak of one, `LONGEST_S` at most; it strays from the sound's numbers by a few per cent."""
    pieces: list[Signal] = []
    for number, part in enumerate(sound.parts):
        level = 1.0 if number == 0 else rng.uniform(0.5, 1.0)
        pieces.append(level * _rendered(part, rng))
        pieces.append(np.zeros(_samples(sound.pause_s)))
    signal = np.concatenate(pieces[:-1])[: _samples(LONGEST_S)]
    return (signal / max(1e-9, np.abs(signal).max())).astype(np.float32)


def _rendered(part: Part, rng: Generator) -> Signal:
    strayed = replace(
        part,
        pitch_hz=part.pitch_hz * _stray(rng, 0.03),
        note_s=part.note_s * _stray(rng, 0.06),
        rate_hz=part.rate_hz * _stray(rng, 0.04),
        tremolo_hz=part.tremolo_hz * _stray(rng, 0.04),
        sweep_oct=part.sweep_oct * _stray(rng, 0.06),
        arch_oct=part.arch_oct * _stray(rng, 0.06),
    )
    note = _note(strayed, rng)
    if part.notes == 1:
        return note
    pauses = np.geomspace(1.0, part.hurry, part.notes - 1)
    pauses /= strayed.rate_hz * pauses.mean()
    starts = np.round(np.concatenate([[0.0], np.cumsum(pauses * np.exp(rng.normal(0, 0.03, part.notes - 1)))]) * RATE_HZ).astype(int)
    levels = np.linspace(1.0, rng.uniform(0.5, 1.5), part.notes) * np.exp(rng.normal(0, 0.1, part.notes))
    signal = np.zeros(starts[-1] + len(note))
    for start, level in zip(starts, levels, strict=True):
        signal[start : start + len(note)] += level * note
    return signal


def _note(part: Part, rng: Generator) -> Signal:
    n = max(16, _samples(part.note_s))
    t = np.arange(n) / RATE_HZ
    if part.source == "knock":
        ring = sum(rng.uniform(0.2, 0.6) ** k * np.sin(2 * np.pi * part.pitch_hz * ratio * t) for k, ratio in enumerate((1.0, 1.62)))
        return ring * np.exp(-5 * t / part.note_s)
    if part.source in ("noise", "click"):
        return _noise(part, n, rng) * _edges(part, n) * _tremolo(part, t)
    u = np.linspace(0, 1, n)
    octaves = part.sweep_oct * (u**part.bend - 0.5) + part.arch_oct * (np.sin(np.pi * u) - 0.5)
    octaves += part.vibrato_oct * np.sin(2 * np.pi * part.vibrato_hz * t + rng.uniform(0, 6)) / 2
    hz = part.pitch_hz * 2**octaves
    phase = 2 * np.pi * np.cumsum(hz) / RATE_HZ
    return _voiced(part, hz, phase, rng) * _edges(part, n) * _tremolo(part, t)


def _voiced(part: Part, hz: Signal, phase: Signal, rng: Generator) -> Signal:
    """A tone with a faint octave above it, or harmonics under a hump at the ring; what would pass 7.8 kHz is left out."""
    if part.source == "tone":
        return np.where(hz < 7800, np.sin(phase), 0.0) + rng.uniform(0, 0.15) * np.where(hz < 3900, np.sin(2 * phase), 0.0)
    signal = np.zeros(len(phase))
    for harmonic in range(1, 1 + min(16, int(7800 / hz.max()))):
        distance = np.log2(harmonic * part.pitch_hz / part.ring_hz)
        signal += (0.03 + np.exp(-1.2 * distance**2)) * np.sin(harmonic * phase + rng.uniform(0, 6))
    return signal


def _noise(part: Part, n: int, rng: Generator) -> Signal:
    """White noise through a hump of the part's bandwidth (at -3 dB) over the logarithm of the frequency."""
    size = max(256, n)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(size, 1 / RATE_HZ), 1.0) / part.pitch_hz)
    hump = np.exp(-0.35 * np.abs(2 * octaves / part.bandwidth_oct) ** 4)
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * hump, size)[:n]


def _tremolo(part: Part, t: Signal) -> Signal:
    return 1 - part.tremolo_depth * (0.5 + 0.5 * np.cos(2 * np.pi * part.tremolo_hz * t))


def _edges(part: Part, n: int) -> Signal:
    """Raised cosines at both ends, each its share of the note."""
    u = (np.arange(n) + 0.5) / n
    rise, fall = np.clip(u / part.attack, 0, 1), np.clip((1 - u) / part.release, 0, 1)
    return np.sin(np.pi / 2 * rise) ** 2 * np.sin(np.pi / 2 * fall) ** 2


def _stray(rng: Generator, sigma: float) -> float:
    return float(np.exp(sigma * np.clip(rng.standard_normal(), -2, 2)))


def _samples(seconds: float) -> int:
    return round(seconds * RATE_HZ)
