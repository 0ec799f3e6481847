"""What is mixed under a sound: coloured noise, or another sound, so much weaker as is asked for."""

from __future__ import annotations

import numpy as np

from callspace.adaptation.perturbations import seamless

__all__ = ["coloured_noise", "fitted", "mix_at_snr", "power"]

# Below it nothing is heard of a sound whose full scale is 1, nor held by a file of 24 bits: -200 dB.
_SILENT = 1e-20
# Coloured noise is level below this share of half the sample rate (22 Hz at 44.1 kHz), or most of its power would lie where nothing hears.
_LEVEL_BELOW = 1e-3


def power(samples: np.ndarray) -> float:
    """The mean square of a sound about its mean: a recorder's constant offset is no sound."""
    if not len(samples):
        return 0.0
    sound = samples.astype(np.float64)
    sound -= sound.mean()
    return float(sound @ sound) / len(sound)


def coloured_noise(length: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise whose power density falls as one over the frequency to some power: 0 white, 1 pink (-3 dB an octave), 2 brown.

    Its spectrum is drawn and transformed back (J. Timmer and M. König, "On generating power law noise", A&A 1995).

    Returns
    -------
    float32[length]
        About its mean; the scale is arbitrary.
    """
    from scipy.fft import irfft, next_fast_len

    if length < 2:
        return np.zeros(length, dtype=np.float32)
    size = next_fast_len(length, real=True)
    bins = size // 2 + 1
    spectrum = rng.standard_normal(2 * bins, dtype=np.float32).view(np.complex64)
    frequency = np.maximum(np.arange(bins, dtype=np.float32), np.float32(max(1.0, _LEVEL_BELOW * bins)))
    spectrum *= (frequency / frequency[-1]) ** np.float32(-exponent / 2)
    spectrum[0] = 0
    return irfft(spectrum, size)[:length].astype(np.float32, copy=False)  # type: ignore[no-any-return]


def fitted(sound: np.ndarray, length: int, rng: np.random.Generator, *, fade: int) -> np.ndarray:
    """So many samples of a sound, from a drawn place of it; of a shorter one, round and round."""
    if len(sound) >= length:
        start = int(rng.integers(len(sound) - length + 1))
        return sound[start : start + length]
    if not len(sound):
        return np.zeros(length, dtype=np.float32)
    return np.resize(np.roll(seamless(sound, fade), int(rng.integers(len(sound)))), length)


def mix_at_snr(samples: np.ndarray, under: np.ndarray, snr_db: float) -> np.ndarray:
    """A sound with another under it, at a ratio of their powers over the whole window.

    For a short call in a quiet window that is careful: its own level is above the window's mean. A silent sound, or a silent one to be
    mixed in, has no such ratio: then the first is returned as it is.

    Parameters
    ----------
    samples, under : float32[n]
    snr_db : float
        Ten times the decimal logarithm of the ratio.

    Returns
    -------
    float32[n]
    """
    ours, theirs = power(samples), power(under)
    if min(ours, theirs) < _SILENT:
        return samples
    scale = np.sqrt(ours / theirs) * 10 ** (-snr_db / 20)
    return samples + np.float32(scale) * (under - np.float32(under.mean(dtype=np.float64)))  # type: ignore[no-any-return]
