"""A sample of windows, embedded as they are and changed in ways that say nothing of the animal.

A window is widened only where its recording goes on to both sides: elsewhere it would be filled with silence, which is another change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from callspace.adaptation.noise import coloured_noise, mix_at_snr
from callspace.adaptation.perturbations import amplify, shift
from callspace.embedding.frames import Frame, frames_of
from callspace.progress import Progress

if TYPE_CHECKING:
    from callspace.datasets import Dataset
    from callspace.encoders.contract import Encoder

__all__ = ["CHANGES", "LONGER", "PADDED", "embedded", "that_go_on"]

_AT_ONCE = 16
_FADE_S = 0.005
_TOLERANCE_S = 1e-3

Change = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]

#: What is done to a window's sound (float32[n], its rate, a generator), and the share of changed labels that a look begins from: a
#: change of level or of place in the window says nothing of the animal; noise may hide it.
CHANGES: dict[str, tuple[Change, float]] = {
    "gain -12 dB": (lambda sound, rate, rng: amplify(sound, -12), 0.1),
    "gain +12 dB": (lambda sound, rate, rng: amplify(sound, 12), 0.1),
    "noise at 20 dB": (lambda sound, rate, rng: mix_at_snr(sound, coloured_noise(len(sound), 0, rng), 20), 0.25),
    "noise at 10 dB": (lambda sound, rate, rng: mix_at_snr(sound, coloured_noise(len(sound), 0, rng), 10), 0.5),
    "shift by 10 %": (lambda sound, rate, rng: shift(sound, len(sound) // 10, fade=round(_FADE_S * rate)), 0.1),
    "shift by 25 %": (lambda sound, rate, rng: shift(sound, len(sound) // 4, fade=round(_FADE_S * rate)), 0.1),
}
#: What else is done: the zeros of a longer batch-mate; the sound before and after, half of the window's length each.
PADDED, LONGER = "padding", "window twice as long"


def that_go_on(dataset: Dataset, rows: Sequence[int]) -> list[int]:
    """Which of the rows, by their place in `rows`, have recordings that hold all of their frames widened to twice their length."""
    duration_s = dict(zip(*(dataset.recordings[name].to_pylist() for name in ("recording", "duration_s")), strict=True))
    held = dict.fromkeys(rows, True)
    for frame in frames_of(dataset, rows):
        wide = _widened(frame)
        held[frame.row] &= wide.onset_s >= -_TOLERANCE_S and wide.offset_s <= duration_s[frame.recording] + _TOLERANCE_S
    return [at for at, row in enumerate(rows) if held[row]]


def _widened(frame: Frame) -> Frame:
    half = (frame.offset_s - frame.onset_s) / 2
    return replace(frame, onset_s=frame.onset_s - half, offset_s=frame.offset_s + half)


def embedded(
    dataset: Dataset,
    encoder: Encoder,
    rows: Sequence[int],
    widened: Sequence[int],
    seed: int,
    device: str | None,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """float64[rows, d] for each change and, under "", for no change; a row of several frames is the mean of their embeddings.

    Of the longer window it is float64[len(widened), d]: of the rows at these places.
    """
    from callspace.embedding.pipeline import choose_device, read_ahead

    where = choose_device(device)
    encoder.bind(dataset.sample_rate_hz)
    encoder.to(where).eval()
    frames = list(frames_of(dataset, rows))
    longer = [_widened(frame) for frame in frames_of(dataset, [rows[at] for at in widened])]
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("", *CHANGES, PADDED, LONGER)}
    rng = np.random.default_rng([seed, 0x7015E])
    with progress.task(f"changing windows for {encoder.spec.name}", len(frames) + len(longer)) as advance:
        for batch, sounds in read_ahead(dataset, _batches(frames), encoder.sample_rate_hz):
            found[""].append(_run(encoder, sounds, where))
            for name, (change, _) in CHANGES.items():
                found[name].append(_run(encoder, [change(sound, encoder.sample_rate_hz, rng) for sound in sounds], where))
            found[PADDED].append(_run(encoder, sounds, where, padded=True))
            advance(len(batch))
        for batch, sounds in read_ahead(dataset, _batches(longer), encoder.sample_rate_hz):
            found[LONGER].append(_run(encoder, sounds, where))
            advance(len(batch))
    of_longer = found.pop(LONGER)
    means = {name: _means(np.concatenate(parts), [frame.row for frame in frames]) for name, parts in found.items()}
    empty = np.zeros((0, means[""].shape[1]))
    return means | {LONGER: _means(np.concatenate(of_longer), [frame.row for frame in longer]) if of_longer else empty}


def _batches(frames: list[Frame]) -> list[list[Frame]]:
    return [frames[start : start + _AT_ONCE] for start in range(0, len(frames), _AT_ONCE)]


def _run(encoder: Encoder, sounds: Sequence[np.ndarray], where: Any, *, padded: bool = False) -> np.ndarray:
    """Embeddings of waveforms as one batch; `padded`: as if a batch-mate were half as long again."""
    import torch

    from callspace.embedding.pipeline import pad_batch

    waveforms, lengths = pad_batch(sounds, where)
    if padded:
        waveforms = torch.nn.functional.pad(waveforms, (0, max(1, waveforms.shape[1] // 2)))
    with torch.inference_mode():
        return encoder(waveforms, lengths).cpu().double().numpy()  # type: ignore[no-any-return]


def _means(vectors: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """The mean of the vectors of each row, in the order of the rows."""
    names, owner = np.unique(rows, return_inverse=True)
    sums = np.zeros((len(names), vectors.shape[1]))
    np.add.at(sums, owner, vectors)
    return sums / np.bincount(owner)[:, None]
