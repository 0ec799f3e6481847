"""The energy of the annotated calls over frequency, less what sounds there without a call.

A call without a known box of frequencies is taken whole; background is taken off by frequency, so that broadband noise, which reaches up
to any rate, is not counted as call.

The background's level at a frequency is the median over time of its power spectrum divided by ln 2: the power of Gaussian noise in a
short-time spectrum is exponentially distributed, whose median is ln 2 of its mean. Excesses keep their signs until they are summed, so
that noise cancels instead of adding up.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from callspace.audio import RecordingReader
from callspace.evaluation.levels import as_number
from callspace.progress import SILENT, Progress

if TYPE_CHECKING:
    from callspace.datasets import Dataset

__all__ = ["Call", "measure_calls", "power_spectra"]

#: Calls that are measured, at most; as evenly over the classes as they allow.
MOST = 240
_BACKGROUNDS = 8
_LONGEST_S = 10.0
_FRAME_S = 0.02
#: A call counts that stands out of its background by so many standard errors of the background's own energy.
_STANDS_OUT = 3.0
_QUIET = 0.1


@dataclass(frozen=True)
class Call:
    """One call's energy above the background.

    Attributes
    ----------
    label, group : str
    hz, energy : float64[bins]
        The energy at each frequency, in arbitrary units; below zero where the background happened to be louder.
    """

    label: str
    group: str
    hz: np.ndarray
    energy: np.ndarray

    @property
    def nyquist_hz(self) -> float:
        """Where the recording ends."""
        return float(self.hz[-1])

    def share(self, low_hz: float, high_hz: float) -> tuple[float, float]:
        """The shares of the energy below `low_hz` and above `high_hz`, with their signs."""
        total = self.energy.sum()
        return float(self.energy[self.hz < low_hz].sum() / total), float(self.energy[self.hz > high_hz].sum() / total)


@dataclass(frozen=True)
class _Place:
    """Where a call is: a row of the annotations, or of the windows where there are none."""

    label: str
    group: str
    recording: str
    onset_s: float
    offset_s: float
    low_hz: float | None
    high_hz: float | None


def measure_calls(dataset: Dataset, *, seed: int = 0, most: int = MOST, progress: Progress = SILENT) -> tuple[list[Call], dict[str, int]]:
    """The energy of a sample of the labelled calls of all splits.

    Returns
    -------
    calls : list[Call]
        Those that stand out of the background.
    counts : dict
        ``measured``; ``faint``, that don't stand out; ``without_background``, whose recordings have no time without a label: there the
        background is guessed from the quietest tenth of the frames, without what is as narrow as a tone; ``boxed``, that were measured
        in their box of frequencies.
    """
    rng = np.random.default_rng([seed, 0xBA4D])
    places = _chosen(list(_places(dataset)), most, rng)
    quiet = _backgrounds(dataset, {place.recording for place in places}, rng)
    by_recording: dict[str, list[_Place]] = defaultdict(list)
    for place in places:
        by_recording[place.recording].append(place)
    calls: list[Call] = []
    counts = {"measured": len(places), "faint": 0, "without_background": 0, "boxed": 0}
    with progress.task("measuring the calls' frequencies", len(by_recording)) as advance:
        for recording, own in by_recording.items():
            with RecordingReader(dataset.root / recording) as reader:
                rate = reader.sample_rate_hz
                around = [reader.read(*stretch, channel=dataset.channel) for stretch in sorted(quiet.get(recording, []))]
                sounds = [_read(reader, place, dataset.channel) for place in sorted(own, key=lambda place: place.onset_s)]
            floor, frames = _floor(around, sounds, rate)
            counts["without_background"] += 0 if around else len(own)
            for place, sound in zip(sorted(own, key=lambda place: place.onset_s), sounds, strict=True):
                call, boxed = _call(place, sound, floor, frames, rate)
                counts["boxed"] += boxed
                counts["faint"] += call is None
                calls += [call] if call is not None else []
            advance(1)
    return calls, counts


def power_spectra(sound: np.ndarray, sample_rate_hz: float) -> np.ndarray:
    """float64[frames, bins]: the power of frames of about 20 ms under a Hann window, half overlapping; a shorter sound is one frame.

    The bins are ``numpy.fft.rfftfreq`` of a power of two of samples.
    """
    size = _frame_size(sample_rate_hz)
    padded = np.pad(sound.astype(np.float64), (0, max(0, size - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 2]
    window = np.hanning(size + 1)[:-1]
    return np.abs(np.fft.rfft(frames * window, axis=1)) ** 2  # type: ignore[no-any-return]


def _frame_size(sample_rate_hz: float) -> int:
    return int(2 ** max(5, round(math.log2(_FRAME_S * sample_rate_hz))))


def _places(dataset: Dataset) -> Iterable[_Place]:
    """The annotations where the dataset has them, else its labelled windows."""
    windows = dataset.windows
    recordings = windows["recording"].to_pylist()
    group_of = {name: group or name for name, group in zip(recordings, windows["group"].to_pylist(), strict=True)}
    known = set(dataset.labels)
    if dataset.annotations is not None:
        names = ("recording", "onset_s", "offset_s", "label", "low_hz", "high_hz")
        for name, onset, offset, label, low, high in zip(*(dataset.annotations[column].to_pylist() for column in names), strict=True):
            if label in known and name in group_of and onset is not None and offset is not None and offset > onset:
                yield _Place(label, group_of[name], name, onset, offset, _known(low), _known(high))
        return
    empty = [None] * windows.num_rows
    columns = [
        windows[column].to_pylist() if column in windows.column_names else empty
        for column in ("call_onset_s", "call_offset_s", "low_hz", "high_hz")
    ]
    stretches = zip(recordings, windows["onset_s"].to_pylist(), windows["offset_s"].to_pylist(), windows["labels"].to_pylist(), strict=True)
    for (name, onset, offset, labels), (start, end, low, high) in zip(stretches, zip(*columns, strict=True), strict=True):
        call_onset, call_offset = _known(start), _known(end)
        call = (onset if call_onset is None else call_onset, offset if call_offset is None else call_offset)
        if call[0] >= call[1]:
            call = onset, offset
        for label in labels[:1]:
            yield _Place(label, group_of[name], name, *call, _known(low), _known(high))


def _known(value: Any) -> float | None:
    """A number; None for none. What a table of clips holds beside its own columns arrives as text."""
    number = as_number(value)
    return None if math.isnan(number) else number


def _chosen(places: list[_Place], most: int, rng: np.random.Generator) -> list[_Place]:
    """As many of each class as there may be, of one group after the other in turn."""
    by_label: dict[str, dict[str, list[_Place]]] = defaultdict(lambda: defaultdict(list))
    for number in rng.permutation(len(places)).tolist():
        by_label[places[number].label][places[number].group].append(places[number])
    each = max(1, most // max(1, len(by_label)))
    found = []
    for groups in by_label.values():
        turns = [own[turn] for turn in range(max(map(len, groups.values()))) for own in groups.values() if turn < len(own)]
        found += turns[:each]
    return found


def _backgrounds(dataset: Dataset, recordings: set[str], rng: np.random.Generator) -> dict[str, list[tuple[float, float]]]:
    """A few windows without a label of each recording, where there are any."""
    if dataset.task != "detection":
        return {}
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    columns = [dataset.windows[name].to_pylist() for name in ("recording", "onset_s", "offset_s", "labels")]
    for name, onset, offset, labels in zip(*columns, strict=True):
        if not labels and name in recordings:
            found[name].append((onset, offset))
    return {name: [own[at] for at in rng.permutation(len(own))[:_BACKGROUNDS]] for name, own in sorted(found.items())}


def _read(reader: RecordingReader, place: _Place, channel: int | None) -> np.ndarray:
    """The call's sound, at least a frame of it and at most the middle ten seconds."""
    middle, half = (place.onset_s + place.offset_s) / 2, (place.offset_s - place.onset_s) / 2
    half = min(max(half, _frame_size(reader.sample_rate_hz) / reader.sample_rate_hz / 2), _LONGEST_S / 2)
    return reader.read(middle - half, middle + half, channel=channel)


def _floor(around: Sequence[np.ndarray], sounds: Sequence[np.ndarray], rate: float) -> tuple[np.ndarray, int]:
    """The background's mean power at each frequency, and how many frames say so."""
    if around:
        spectra = np.concatenate([power_spectra(sound, rate) for sound in around])
        return np.median(spectra, axis=0) / math.log(2), len(spectra)
    from scipy.ndimage import median_filter

    spectra = np.concatenate([power_spectra(sound, rate) for sound in sounds])
    # A tenth of exponentially distributed powers lies below -ln(0.9) of their mean. A tone that lasts is no background: it is narrower
    # than the filter.
    lowest = np.quantile(spectra, _QUIET, axis=0) / -math.log(1 - _QUIET)
    return median_filter(lowest, size=2 * (len(lowest) // 16) + 1, mode="nearest"), len(spectra)


def _call(place: _Place, sound: np.ndarray, floor: np.ndarray, frames: int, rate: float) -> tuple[Call | None, bool]:
    """The call's energy where it stands out; and whether it has a box."""
    spectra = power_spectra(sound, rate)
    hz = np.fft.rfftfreq(2 * (len(floor) - 1), 1 / rate)
    energy = spectra.mean(axis=0) - floor
    boxed = place.low_hz is not None or place.high_hz is not None
    if boxed:
        spread = rate / (2 * (len(floor) - 1)) * 2  # of the window's main lobe
        inside = (hz >= (place.low_hz or 0.0) - spread) & (hz <= (math.inf if place.high_hz is None else place.high_hz) + spread)
        energy, floor = np.where(inside, energy, 0.0), np.where(inside, floor, 0.0)
    error = math.sqrt(float((floor**2).sum()) * (1 / len(spectra) + 2 / max(frames, 1)))
    total = float(energy.sum())
    if total <= 0 or total < _STANDS_OUT * error:
        return None, boxed
    return Call(place.label, place.group, hz, energy), boxed
