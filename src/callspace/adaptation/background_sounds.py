"""The background windows of the train split as sounds to mix under others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from callspace.datasets.synthetic.seeding import generator
from callspace.embedding.frames import Frame, frames_of
from callspace.embedding.pipeline import WaveformCache, read_ahead

if TYPE_CHECKING:
    from callspace.datasets import Dataset

__all__ = ["BackgroundSounds", "background_sounds"]

# What is enough variety, and what of memory it may cost.
_MOST = 256
_MOST_BYTES = 128 << 20
_AT_ONCE = 16

BackgroundSounds = Callable[[np.random.Generator], np.ndarray]


def background_sounds(
    dataset: Dataset, rows: Sequence[int], sample_rate_hz: int, *, seed: int, cache: WaveformCache | None = None
) -> BackgroundSounds | None:
    """A function that draws a background window from the rows that are trained on.

    At most 256 of them, drawn once, and of 128 MB, are held in memory.

    Parameters
    ----------
    dataset : Dataset
    rows : sequence of int
        The rows that are trained on, as the background policy left them: what is not trained on is not heard in a mixture either.
    sample_rate_hz : int
        The encoder's.
    seed : int
    cache : WaveformCache, optional
        Where decoded windows are kept for training itself.

    Returns
    -------
    function of a Generator to float32[samples], or None
        None where none of the rows is background.

    Raises
    ------
    ValueError
        A row is not of the train split.
    """
    import pyarrow as pa

    chosen = dataset.windows.select(["labels", "split"]).take(pa.array(list(rows), pa.int64()))
    if set(chosen["split"].unique().to_pylist()) - {"train"}:
        raise ValueError("background is drawn from the train split only")
    background = [row for row, labels in zip(rows, chosen["labels"].to_pylist(), strict=True) if not labels]
    if not background:
        return None
    order = generator(seed, "background sounds").permutation(sorted(background))[:_MOST]
    frames = {frame.row: frame for frame in reversed(list(frames_of(dataset, order.tolist())))}  # of a row of several, the first
    room = _MOST_BYTES // 4
    kept: list[Frame] = []
    for frame in (frames[row] for row in order.tolist()):
        room -= round((frame.offset_s - frame.onset_s) * sample_rate_hz / dataset.speed)
        if kept and room < 0:
            break
        kept.append(frame)
    kept.sort(key=lambda frame: (frame.recording, frame.onset_s))
    batches = [kept[start : start + _AT_ONCE] for start in range(0, len(kept), _AT_ONCE)]
    sounds = [sound for _, some in read_ahead(dataset, batches, sample_rate_hz, cache=cache) for sound in some]
    return partial(_one_of, sounds)  # and no closure: it goes to other processes


def _one_of(sounds: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    return sounds[int(rng.integers(len(sounds)))]
