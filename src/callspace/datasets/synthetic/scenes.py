"""One recording: a background, and calls that reach the microphone from a distance at a known signal-to-noise ratio.

A scene keeps its parts. The recording is ``scene.mix()``, the sum of ``scene.background`` and of each call's ``signal`` from its ``start`` on;
nothing is done to the sum, so that whatever is written of a call can be measured again from the parts.

How a call reaches the microphone, `distance_m` away (2 to 63 m, half of them beyond 15 m):

* its level falls by 6 dB for each doubling (inverse distance), from 24 dB above the background at 2 m to 6 dB below it at 63 m, plus the
  animal's effort (normal, 3 dB), kept within -6 and 24 dB;
* its high frequencies fall by 0.06 dB a metre and kilohertz, more than air alone takes: there are leaves in the way;
* its echoes, exponentially decaying noise, hold 16 dB less energy than the call itself at 2 m, and 0.6 dB more for each dB of level lost.

The **signal-to-noise ratio** is ``10 log10(sum(signal ** 2) / sum(background ** 2))``, both over the call's extent and over all frequencies,
after distance, echoes and equaliser; other calls count for nothing. The **extent**, from onset to offset, holds all of the received call but
the first 0.5 % and the last 0.5 % of its energy. ``low_hz`` and ``high_hz`` leave 2.5 % of its energy on either side.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import signal as sps
from scipy.fft import next_fast_len

from callspace.datasets.synthetic.backgrounds import BACKGROUNDS
from callspace.datasets.synthetic.calls import CALLS, SAMPLE_RATE_HZ, SPECIES
from callspace.datasets.synthetic.seeding import generator
from callspace.datasets.synthetic.sites import N_SITES, Place, own_species, place

__all__ = ["CLIP_S", "EQUALISER_HZ", "RECORDING_S", "Heard", "Scene", "clip_scene", "soundscape_scene"]

RECORDING_S = 12.0
CLIP_S = 1.0

#: Where the equaliser has its six handles; it is interpolated between them over the logarithm of the frequency.
EQUALISER_HZ = (250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)

_NEAREST_M, _FARTHEST_M = 2.0, 63.0
_LOWEST_DB, _HIGHEST_DB = -6.0, 24.0
_EDGE = 0.005

Signal = NDArray[np.float64]
Generator = np.random.Generator


@dataclass(frozen=True)
class Heard:
    """A call as the microphone receives it: `signal` from sample `start` on, and what is written of it."""

    label: str
    individual: str
    start: int
    signal: Signal
    onset_s: float
    offset_s: float
    snr_db: float
    low_hz: float
    high_hz: float
    distance_m: float


@dataclass(frozen=True)
class Scene:
    """The parts of a recording, float64 at 16 kHz within -1 and 1; `calls` in order of onset."""

    site: int
    background: Signal
    calls: tuple[Heard, ...]

    def mix(self) -> Signal:
        """The recording: float64[samples]."""
        mixed = self.background.copy()
        for call in self.calls:
            mixed[call.start : call.start + len(call.signal)] += call.signal
        return mixed


def soundscape_scene(seed: int, k: int, confound: float) -> Scene:
    """Recording `k` of the detection set: 12 s with 9 to 15 calls, about one in eight on top of the call before.

    Once every site has been visited, one recording in eight holds no call.
    """
    site = k % N_SITES
    rng = generator(seed, "detection", k)
    n_calls = int(rng.integers(9, 16))
    if k >= N_SITES and rng.random() < 0.125:
        n_calls = 0
    deck = np.concatenate([rng.permutation(len(SPECIES)) for _ in range(2)])
    n = int(RECORDING_S * SAMPLE_RATE_HZ)
    equaliser = _equaliser(seed, "detection", k, site)
    background = _background(seed, "detection", k, site, equaliser, n)
    received = [_receive(seed, "detection", k, i, SPECIES[deck[i]], confound, site, equaliser) for i in range(n_calls)]
    starts = _starts(rng, [len(sound.signal) for sound in received], n)
    return _levelled(site, background, received, starts, rng)


def clip_scene(seed: int, k: int, confound: float) -> Scene:
    """Clip `k` of the classification set: 1 s with one call anywhere in it. Each site meets the species in an order of its own."""
    site, turn = k % N_SITES, k // N_SITES
    rng = generator(seed, "classification", k)
    deck = generator(seed, "deck", site, turn // len(SPECIES)).permutation(len(SPECIES))
    n = int(CLIP_S * SAMPLE_RATE_HZ)
    equaliser = _equaliser(seed, "classification", k, site)
    background = _background(seed, "classification", k, site, equaliser, n)
    received = _receive(seed, "classification", k, 0, SPECIES[deck[turn % len(SPECIES)]], confound, site, equaliser)
    start = int(rng.integers(max(1, n - len(received.signal))))
    return _levelled(site, background, [received], [start], rng)


@dataclass(frozen=True)
class _Received:
    label: str
    individual: str
    signal: Signal
    first: int
    last: int
    snr_db: float
    distance_m: float


def _receive(seed: int, task: str, k: int, i: int, dealt: str, confound: float, site: int, equaliser: Signal) -> _Received:
    """Call `i` of recording `k` as it arrives, not yet levelled; the site's own species calls with probability `confound`."""
    rng = generator(seed, task, k, "call", i)
    species = own_species(seed, site) if rng.random() < confound else dealt
    which = int(rng.integers(2))
    dry = CALLS[species](generator(seed, "individual", species, site, which), generator(seed, task, k, "call", i, species))
    distance_m = float(_NEAREST_M * (_FARTHEST_M / _NEAREST_M) ** (rng.random() ** 0.75))
    lost_db = 20 * np.log10(distance_m / _NEAREST_M)
    snr_db = float(np.clip(_HIGHEST_DB - lost_db + rng.normal(0, 3), _LOWEST_DB, _HIGHEST_DB))
    echoing = _reverberate(dry, place(seed, site), 16 - 0.6 * lost_db, rng)
    signal = _filtered(echoing, equaliser, 0.06e-3 * distance_m)
    energy = np.cumsum(signal**2)
    energy /= energy[-1]
    first, last, end = np.searchsorted(energy, (_EDGE, 1 - _EDGE, 1 - 1e-5))
    name = f"{species}-{site:02d}{'ab'[which]}"
    return _Received(species, name, signal[: int(end) + 1], int(first), int(last) + 1, snr_db, distance_m)


def _reverberate(dry: Signal, where: Place, direct_db: float, rng: Generator) -> Signal:
    """`dry` and its echoes, whose energy is `direct_db` below it: white noise that dies away, dulled by a low pass, 3 ms late."""
    n = int(where.reverberation_s * SAMPLE_RATE_HZ)
    tail = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    tail = sps.lfilter([0.5], [1, -0.5], tail)
    tail *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(tail**2))
    response = np.concatenate([[1.0], np.zeros(48), tail])
    return sps.fftconvolve(dry, response)


def _equaliser(seed: int, task: str, k: int, site: int) -> Signal:
    """Decibels at `EQUALISER_HZ`: the site's own and the recording's."""
    return np.array(place(seed, site).equaliser_db) + generator(seed, task, k, "equaliser").normal(0, 1.5, len(EQUALISER_HZ))


def _filtered(x: Signal, equaliser: Signal, loss_db_a_hz: float = 0.0) -> Signal:
    """`x` through the equaliser, a recorder's high pass at 200 Hz, and a loss in proportion to frequency; no delay."""
    n = next_fast_len(len(x) + 1024, real=True)
    hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
    gain_db = np.interp(np.log(np.maximum(hz, 1)), np.log(EQUALISER_HZ), equaliser) - loss_db_a_hz * hz
    gain = 10 ** (gain_db / 20) / np.sqrt(1 + (200 / np.maximum(hz, 1)) ** 4)
    return np.fft.irfft(np.fft.rfft(x, n) * gain, n)[: len(x)]


def _background(seed: int, task: str, k: int, site: int, equaliser: Signal, n: int) -> Signal:
    total = np.zeros(n)
    for name, level_db in place(seed, site).levels_db.items():
        recording = generator(seed, task, k, name)
        level = 10 ** ((level_db + recording.normal(0, 2)) / 20)
        total += level * BACKGROUNDS[name](generator(seed, "place", site, name), recording, n)
    return _filtered(total, equaliser)


def _starts(rng: Generator, lengths: list[int], n: int) -> list[int]:
    """A start for each call: in turn, with random gaps between them; one in eight instead begins within the call before it."""
    over = rng.random(len(lengths)) < 0.125
    over[:1] = False
    gaps = rng.dirichlet(np.ones(len(lengths) + 1)) if lengths else np.zeros(1)
    free = max(0, n - sum(length for length, on_top in zip(lengths, over, strict=True) if not on_top))
    starts: list[int] = []
    at = 0.0
    for i, length in enumerate(lengths):
        if over[i]:
            starts.append(min(int(starts[-1] + rng.uniform(0.2, 0.8) * lengths[i - 1]), n - length))
            continue
        at += gaps[i] * free
        starts.append(int(at))
        at += length
    return starts


def _levelled(site: int, background: Signal, received: list[_Received], starts: list[int], rng: Generator) -> Scene:
    """Bring each call to its ratio over the background, and the whole to a peak between -20 and -1 dB of full scale."""
    calls = []
    for sound, start in zip(received, starts, strict=True):
        behind = background[start + sound.first : start + sound.last]
        inside = sound.signal[sound.first : sound.last]
        level = np.sqrt(np.sum(behind**2) / np.sum(inside**2)) * 10 ** (sound.snr_db / 20)
        calls.append(_heard(sound, start, level))
    calls.sort(key=lambda call: call.onset_s)
    gain = 10 ** (rng.uniform(-20, -1) / 20) / np.abs(Scene(site, background, tuple(calls)).mix()).max()
    return Scene(site, background * gain, tuple(replace(call, signal=call.signal * gain) for call in calls))


def _heard(sound: _Received, start: int, level: float) -> Heard:
    spectrum = np.cumsum(np.abs(np.fft.rfft(sound.signal, 16384)) ** 2)
    low, high = np.searchsorted(spectrum / spectrum[-1], (0.025, 0.975)) * SAMPLE_RATE_HZ / 16384
    return Heard(
        label=sound.label,
        individual=sound.individual,
        start=start,
        signal=sound.signal * level,
        onset_s=(start + sound.first) / SAMPLE_RATE_HZ,
        offset_s=(start + sound.last) / SAMPLE_RATE_HZ,
        snr_db=sound.snr_db,
        low_hz=float(low),
        high_hz=float(high),
        distance_m=sound.distance_m,
    )
