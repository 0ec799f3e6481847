"""What may happen to a sound between an animal and a file, with the label still true: level, place in the window, speed, colour.

Each function returns float32 of the length that it was given and changes nothing in place; digital silence stays silence.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["amplify", "respeed", "seamless", "shelve", "shift"]

# Of a shelf, from 0 to 1, the steepest without a bump: half of it falls over two octaves or so, as air and leaves do.
_SLOPE = 0.5


def amplify(samples: np.ndarray, gain_db: float) -> np.ndarray:
    """The sound at another level. It is not cut at 1: clipping would be a distortion of its own, and floats need none."""
    return samples * np.float32(10 ** (gain_db / 20))  # type: ignore[no-any-return]


def seamless(samples: np.ndarray, fade: int) -> np.ndarray:
    """The sound with an end that leads over into its beginning, so that it can go round without a click.

    Its last `fade` samples turn into the mirror image of its first ones.
    """
    fade = min(fade, len(samples) // 4)
    if fade < 1:
        return samples
    turn = (0.5 - 0.5 * np.cos(np.pi * np.arange(1, fade + 1) / fade)).astype(np.float32)
    out = samples.copy()
    out[-fade:] += turn * (samples[fade:0:-1] - samples[-fade:])
    return out


def shift(samples: np.ndarray, by: int, *, fade: int) -> np.ndarray:
    """The sound later by some samples (earlier, where `by` is negative); what leaves at one end comes in at the other.

    It goes round, and is not filled with zeros, because nothing is lost so: a call near the edge of an annotated window stays in the
    window, and its label stays true; and no stretch of digital silence appears, which no window of valid or test has.

    Parameters
    ----------
    samples : float32[n]
    by : int
    fade : int
        Samples over which the end leads over into the beginning.
    """
    return np.roll(seamless(samples, fade), by) if by else samples


def respeed(samples: np.ndarray, factor: float) -> np.ndarray:
    """The sound played faster (above 1) or slower, higher or lower with it, in as many samples as before (resampled by soxr).

    Of a slower one as much is cut at either end; a faster one is continued at either end by its own mirror image, which has no edge
    and no silence. Pitch tells animals apart, so `factor` should stay near 1.
    """
    import soxr

    if factor == 1 or len(samples) < 2:
        return samples
    played = soxr.resample(samples, factor, 1.0, quality="HQ").astype(np.float32, copy=False)
    missing = len(samples) - len(played)
    if missing <= 0:
        first = -missing // 2
        return np.ascontiguousarray(played[first : first + len(samples)])
    before = missing // 2
    return np.pad(played, (before, missing - before), mode="symmetric")


def shelve(samples: np.ndarray, *, low: float, low_db: float, high: float, high_db: float) -> np.ndarray:
    """The sound with less or more of what lies below and above two corners: another distance, another recorder.

    Two gentle shelves of second order (R. Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter coefficients").

    Parameters
    ----------
    samples : float32[n]
    low, high : float
        The corners, where half of the gain in dB is reached, as shares of half the sample rate, above 0 and below 1.
    low_db, high_db : float
        The gain far below the low corner, and far above the high one.
    """
    from scipy.signal import sosfilt, sosfilt_zi

    if not len(samples):
        return samples
    sections = np.array([_shelf(low, low_db, below=1), _shelf(high, high_db, below=-1)])
    sound = samples.astype(np.float64)
    # As if the sound had been standing at its first value: an offset makes no thump.
    filtered, _ = sosfilt(sections, sound, zi=sosfilt_zi(sections) * sound[0])
    return filtered.astype(np.float32)  # type: ignore[no-any-return]


def _shelf(corner: float, gain_db: float, *, below: int) -> list[float]:
    """The six coefficients of a shelf below (1) or above (-1) a corner: the two are mirror images in the cosine."""
    a = 10 ** (gain_db / 40)
    cosine = below * math.cos(math.pi * corner)
    bend = 2 * math.sqrt(a) * math.sin(math.pi * corner) / 2 * math.sqrt((a + 1 / a) * (1 / _SLOPE - 1) + 2)
    plus, minus = a + 1, a - 1
    b = a * (plus - minus * cosine + bend), below * 2 * a * (minus - plus * cosine), a * (plus - minus * cosine - bend)
    over = plus + minus * cosine + bend, below * -2 * (minus + plus * cosine), plus + minus * cosine - bend
    return [value / over[0] for value in (*b, *over)]
