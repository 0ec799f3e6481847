"""Where windows lie in a soundscape, and which labels they get.

The rule is the study's (and BEANS's): a label is on in a window when the overlap with an event, divided by the shorter of window
and event, exceeds 0.2, or when the event covers the window; events of zero length count for nothing. A window with no label on is
background. Unlike BEANS, recordings are windowed whole, not in chunks of a minute.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from callspace.errors import CallspaceError

__all__ = ["MIN_OVERLAP", "choose_clip_window", "choose_event_window", "label_windows", "window_onsets"]

MIN_OVERLAP = 0.2
_EVENT_WINDOWS_S = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
# Times come as decimal seconds: (1.0 - 0.5) / 0.1 must be 5, not 4.999...
_ROUNDING = 1e-9


def window_onsets(duration_s: float, window_s: float, hop_s: float) -> np.ndarray:
    """Onsets of the windows of one recording, in seconds.

    ``trunc((duration - window) / hop) + 1`` windows, so that a tail shorter than a hop is left over; a recording shorter than the
    window gives one window, which reaches past its end and is padded with zeros when read.

    Returns
    -------
    float64[windows]
    """
    if not window_s > 0 or not hop_s > 0:
        raise CallspaceError(f"window and hop must be longer than 0 s, not {window_s:g} s and {hop_s:g} s")
    if duration_s <= window_s:
        return np.zeros(1)
    return np.arange(int((duration_s - window_s) / hop_s + _ROUNDING) + 1) * hop_s


def label_windows(
    onsets_s: np.ndarray, window_s: float, event_onsets_s: np.ndarray, event_offsets_s: np.ndarray, *, min_overlap: float = MIN_OVERLAP
) -> list[list[int]]:
    """The events that are on in each window.

    Parameters
    ----------
    onsets_s : float64[windows]
    window_s : float
    event_onsets_s, event_offsets_s : float64[events]
    min_overlap : float
        The share of the shorter of window and event that must be exceeded.

    Returns
    -------
    list of the numbers of the events on in each window
    """
    on: list[list[int]] = [[] for _ in onsets_s]
    for event, (onset, offset) in enumerate(zip(event_onsets_s, event_offsets_s, strict=True)):
        length = offset - onset
        if not length > 0:
            continue
        # Only windows that touch the event can hold it; onsets ascend.
        first = int(np.searchsorted(onsets_s, onset - window_s, side="left"))
        last = int(np.searchsorted(onsets_s, offset, side="right"))
        starts = onsets_s[first:last]
        ends = starts + window_s
        overlap = np.minimum(ends, offset) - np.maximum(starts, onset)
        share = overlap / min(window_s, length)
        covers = (onset <= starts) & (offset >= ends)
        for window in np.flatnonzero((share > min_overlap) | covers):
            on[first + int(window)].append(event)
    return on


def choose_clip_window(durations_s: Sequence[float]) -> float:
    """The 95th percentile of clips' durations, at most 10 s, rounded up to a hundredth of a second."""
    return min(float(np.ceil(round(100 * float(np.percentile(durations_s, 95)), 6)) / 100), 10.0)


def choose_event_window(event_durations_s: Sequence[float]) -> tuple[float, float]:
    """Window and hop for annotated soundscapes: the first of 0.5, 1, 2, 3, 5, 10 s that is at least twice the median event; half of it."""
    wanted = 2 * float(np.median(event_durations_s))
    window = next((w for w in _EVENT_WINDOWS_S if w >= wanted), _EVENT_WINDOWS_S[-1])
    return window, window / 2
