"""How loud the call of each window is over its background: known, where the data says so, else estimated from the recordings.

The level of a window is the signal-to-noise ratio in dB of the loudest annotation that gives it a label (of the clip, in a set of clips): one of
the window's labels that is on in it by the rule of `callspace.datasets.windows`, so that a loud call which only touches a window of a faint one
does not count. A dataset doesn't keep the overlap it was read with, so that the rule is the study's, of 0.2; where a label was given by
less (``--min-overlap``, or an event cut at the edge of a chunk), every annotation of it that overlaps the window counts.

- Known: a column ``snr_db`` (or ``snr``) of the annotations or clips, as the built-in dataset has it.
- Estimated: energy in the annotation's time and, where it has low and high frequencies, its band, against the energy of the same band in the
  parts of the same recording that no annotation touches:

      10 log10 (E_call / E_background - 1)

  with E the power in the band summed over frequency, in frames of 2,048 samples (Hann, half overlapping): of the call the mean over frames, of the
background the median, so that a bang does not pass for its level. The median of noise lies below its mean, the more the narrower the band, and is
put right for noise that is Gaussian (`_median_factor`). A call no louder than its background has no level that can be told, and is put at `FLOOR_DB`.

A set of clips without a known level has none: nothing says where in a clip the call is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from callspace.audio.windows import RecordingReader
from callspace.datasets.windows import MIN_OVERLAP, Spans, events_on
from callspace.errors import CallspaceError
from callspace.metrics.weights import Floats
from callspace.progress import SILENT, Progress

if TYPE_CHECKING:
    import pyarrow as pa

    from callspace.datasets import Dataset

__all__ = ["FLOOR_DB", "LEVEL_COLUMNS", "Levels", "as_number", "call_level", "known_levels", "window_levels"]

#: Columns of annotations or clips that hold a signal-to-noise ratio in dB.
LEVEL_COLUMNS = ("snr_db", "snr")
#: Where a call is put that is not louder than its background: less could not be told from it.
FLOOR_DB = -15.0

_FRAME = 2_048
#: Background of a recording that is listened to at most, in seconds: enough frames for a median.
_MOST_BACKGROUND_S = 60.0


class Levels(NamedTuple):
    """float64[windows], NaN where a window has no call or its level is not known; where they come from; and what is to be said."""

    db: Floats
    source: Literal["known", "estimated", "none"]
    notes: list[str]


def window_levels(dataset: Dataset, rows: Sequence[int] | None = None, progress: Progress = SILENT) -> Levels:
    """The level of the call in each window.

    Parameters
    ----------
    dataset
        Clips or soundscapes.
    rows
        The windows that are wanted (others stay NaN); all, when not given. Only their recordings are decoded, where levels are estimated.
    progress
        Shown while recordings are decoded.

    Returns
    -------
    Levels
        A recording that can't be read leaves its windows without a level, and a note.
    """
    wanted = np.zeros(dataset.windows.num_rows, dtype=bool)
    wanted[np.arange(dataset.windows.num_rows) if rows is None else np.asarray(rows, dtype=np.intp)] = True
    if dataset.annotations is None:
        known = known_levels(dataset.windows)
        if known is None:
            return Levels(np.full(len(wanted), np.nan), "none", [])
        return Levels(np.where(wanted, known, np.nan), "known", [])
    events = _events(dataset)
    known = known_levels(dataset.annotations)
    if known is not None:
        return Levels(_loudest(dataset, events, known, wanted), "known", [])
    estimated, notes = _estimated(dataset, events, wanted, progress)
    return Levels(_loudest(dataset, events, estimated, wanted), "estimated", notes)


def known_levels(table: pa.Table) -> Floats | None:
    """The first of `LEVEL_COLUMNS` that holds a number in a table of windows or annotations, float64[rows], NaN where it holds none; else None."""
    for name in LEVEL_COLUMNS:
        if name in table.column_names:
            values = np.array([as_number(value) for value in table[name].to_pylist()])
            if not np.isnan(values).all():
                return values
    return None


def as_number(value: Any) -> float:
    """A cell of a table of the user's, which may hold a text, as a number; NaN where it holds none, or none that is finite."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return np.nan
    return number if np.isfinite(number) else np.nan


class _Events(NamedTuple):
    recording: np.ndarray  # of str
    label: np.ndarray  # of str
    onset_s: Floats
    offset_s: Floats
    low_hz: Floats
    high_hz: Floats


def _events(dataset: Dataset) -> _Events:
    table = dataset.annotations
    assert table is not None
    times = [np.array([as_number(value) for value in table[name].to_pylist()]) for name in ("onset_s", "offset_s", "low_hz", "high_hz")]
    names, labels = (np.array(table[name].to_pylist(), dtype=object) for name in ("recording", "label"))
    return _Events(names, labels, *times)


def _by_recording(names: Sequence[Any]) -> dict[Any, np.ndarray]:
    found: dict[Any, list[int]] = {}
    for at, name in enumerate(names):
        found.setdefault(name, []).append(at)
    return {name: np.array(rows) for name, rows in found.items()}


def _loudest(dataset: Dataset, events: _Events, levels: Floats, wanted: np.ndarray) -> Floats:
    """For each labelled window the highest level of the annotations that give it its labels; NaN where none of them has a level."""
    rows = np.flatnonzero(wanted & np.array([bool(labels) for labels in dataset.windows["labels"].to_pylist()]))
    best = np.full(len(wanted), -np.inf)
    window, event = _given_by(dataset, events, rows, MIN_OVERLAP)
    by_less = np.setdiff1d(rows, window)
    if len(by_less):
        further = _given_by(dataset, events, by_less, 0.0)
        window, event = np.concatenate([window, further[0]]), np.concatenate([event, further[1]])
    measured = ~np.isnan(levels[event])
    np.maximum.at(best, window[measured], levels[event[measured]])
    return np.where(np.isfinite(best), best, np.nan)


def _given_by(dataset: Dataset, events: _Events, rows: np.ndarray, min_overlap: float) -> tuple[np.ndarray, np.ndarray]:
    """Which annotations give which of the windows `rows` a label: numbers of the windows and of the annotations, int64[pairs]."""
    windows = dataset.windows
    place = {name: at for at, name in enumerate(dict.fromkeys(windows["recording"].to_pylist()))}
    of_window = np.array([place[name] for name in windows["recording"].to_pylist()], dtype=np.int64)
    onset, offset = (windows[name].to_numpy() for name in ("onset_s", "offset_s"))
    rows = rows[np.lexsort((onset[rows], of_window[rows]))]
    known = np.flatnonzero([name in place for name in events.recording])
    of_event = np.array([place[events.recording[at]] for at in known], dtype=np.int64)
    window, event = events_on(
        Spans(of_window[rows], onset[rows], offset[rows]),
        Spans(of_event, events.onset_s[known], events.offset_s[known]),
        min_overlap=min_overlap,
    )
    window, event = rows[window], known[event]
    # A number for each label, the same in windows and annotations; a pair counts where the window has the annotation's label.
    number = {label: at for at, label in enumerate(dict.fromkeys(events.label.tolist()))}
    labels = windows["labels"].to_pylist()
    held = np.array([at * len(number) + number[label] for at in rows.tolist() for label in labels[at] if label in number], dtype=np.int64)
    own = np.isin(window * len(number) + np.array([number[label] for label in events.label[event]], dtype=np.int64), held)
    return window[own], event[own]


def _estimated(dataset: Dataset, events: _Events, wanted: np.ndarray, progress: Progress) -> tuple[Floats, list[str]]:
    """The level of each annotation in the recordings of the windows that are wanted."""
    names = dataset.windows["recording"].to_pylist()
    asked = list(dict.fromkeys(name for name, want in zip(names, wanted, strict=True) if want))
    recordings = {row["recording"]: row for row in dataset.recordings.select(["recording", "duration_s", "sample_rate_hz"]).to_pylist()}
    held = _by_recording(events.recording.tolist())
    levels, without, unread = np.full(len(events.onset_s), np.nan), 0, []
    with progress.task("measuring how loud the calls are", len(asked)) as advance:
        for name in asked:
            advance(1)
            own = held.get(name)
            if own is None:
                continue
            quiet = _untouched(events.onset_s[own], events.offset_s[own], recordings[name]["duration_s"])
            if not quiet:
                without += 1
                continue
            try:
                levels[own] = _of_recording(dataset, name, recordings[name]["sample_rate_hz"], events, own, quiet)
            except (CallspaceError, OSError, RuntimeError) as error:
                unread.append(f"{name} ({error})")
    notes = []
    if without:
        notes.append(f"The levels of calls in {without} recordings are not known: annotations leave no background in them to compare with.")
    if unread:
        notes.append(f"The levels of calls in {len(unread)} recordings could not be measured, the first: {unread[0]}.")
    return levels, notes


def _untouched(onsets: Floats, offsets: Floats, duration_s: float, least_s: float = 0.1) -> list[tuple[float, float]]:
    """The stretches of a recording that no annotation touches, of at least `least_s`."""
    stretches, at = [], 0.0
    for onset, offset in sorted(zip(onsets.tolist(), offsets.tolist(), strict=True)):
        if onset - at >= least_s:
            stretches.append((at, onset))
        at = max(at, offset)
    if duration_s - at >= least_s:
        stretches.append((at, duration_s))
    return stretches


def _of_recording(dataset: Dataset, name: str, rate: int, events: _Events, own: np.ndarray, quiet: Sequence[tuple[float, float]]) -> Floats:
    with RecordingReader(dataset.root / name) as reader:
        frames, heard_s = [], 0.0
        for onset, offset in quiet:
            until = min(offset, onset + _MOST_BACKGROUND_S - heard_s)
            frames.append(_power(reader.read(onset, until, channel=dataset.channel)))
            heard_s += until - onset
            if heard_s >= _MOST_BACKGROUND_S:
                break
        background = np.concatenate(frames)
        return np.array(
            [
                call_level(
                    _power(reader.read(events.onset_s[at], events.offset_s[at], channel=dataset.channel)),
                    background,
                    rate,
                    events.low_hz[at],
                    events.high_hz[at],
                )
                for at in own
            ]
        )


def _power(samples: np.ndarray) -> Floats:
    """float64[frames, bins]: the power of each frame, Hann, half overlapping; a shorter stretch is one frame, padded, and an empty one none."""
    x = np.asarray(samples, dtype=np.float64).reshape(-1)
    if not len(x):
        return np.zeros((0, _FRAME // 2 + 1))
    window = np.hanning(_FRAME + 1)[:-1]
    if len(x) < _FRAME:
        # The power a sample: of the window that is really heard.
        heard = np.hanning(len(x) + 1)[:-1] if len(x) > 1 else np.ones(1)
        scale = (window**2).sum() / max((heard**2).sum(), np.finfo(float).tiny)
        return (np.abs(np.fft.rfft(np.pad(x * heard, (0, _FRAME - len(x))))) ** 2 * scale)[None]
    starts = range(0, len(x) - _FRAME + 1, _FRAME // 2)
    return np.abs(np.fft.rfft(np.stack([x[at : at + _FRAME] for at in starts]) * window, axis=1)) ** 2


def call_level(call: Floats, background: Floats, sample_rate_hz: float, low_hz: float = np.nan, high_hz: float = np.nan) -> float:
    """The signal-to-noise ratio of a call in dB.

    Parameters
    ----------
    call, background
        float64[frames, bins]: the power of frames that hold the call with its background, and of frames that hold background alone.
    sample_rate_hz
        Of the recording.
    low_hz, high_hz
        The call's band; NaN for none.

    Returns
    -------
    dB, at least `FLOOR_DB`; NaN where either has no frames (an annotation shorter than a sample), the background is silent to the bit, the band
    holds no bin, or the power is not finite.
    """
    if not len(call) or not len(background):
        return float("nan")
    frequencies = np.fft.rfftfreq(2 * (call.shape[1] - 1), 1 / sample_rate_hz)
    low, high = (0.0 if np.isnan(low_hz) else low_hz), (np.inf if np.isnan(high_hz) else high_hz)
    inside = (frequencies >= low) & (frequencies <= high) & (frequencies > 0)
    if not inside.any():
        return float("nan")
    noise = float(np.median(background[:, inside].sum(axis=1))) / _median_factor(int(inside.sum()))
    if noise <= 0:
        return float("nan")
    ratio = float(call[:, inside].sum(axis=1).mean()) / noise - 1
    if not np.isfinite(ratio):
        return float("nan")
    return max(10 * float(np.log10(ratio)), FLOOR_DB) if ratio > 0 else FLOOR_DB


def _median_factor(bins: int) -> float:
    """Median over mean of the power of Gaussian noise summed over `bins`: a gamma variable of as many degrees as there are independent bins.

    A bin of a Hann window spreads over 1.5 bins (F. J. Harris, Proceedings of the IEEE 66, 1978, table 1).
    """
    from scipy.special import gammaincinv

    shape = max(bins / 1.5, 1.0)
    return float(gammaincinv(shape, 0.5)) / shape
