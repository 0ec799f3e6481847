"""From windows in files to embeddings: threads decode and resample ahead, the model runs behind, memory stays bounded.

Memory does not grow with the recordings: at most `_AHEAD` batches of decoded audio wait for the model. A batch always holds the same
frames for the same rows, so that a resumed run repeats an uninterrupted one to the bit.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch

from callspace.audio import RecordingReader, sample_count
from callspace.audio.bands import band_pass, ring_s
from callspace.embedding.frames import Frame, frames_of

if TYPE_CHECKING:
    from callspace.datasets import Dataset
    from callspace.encoders.contract import Encoder

__all__ = ["BATCH_SIZE", "WaveformCache", "choose_device", "embed_rows", "pad_batch", "read_ahead"]

BATCH_SIZE = 32
_AHEAD = 3
_THREADS = 2


def choose_device(device: str | None = None) -> torch.device:
    """The named device, else CUDA, else Apple's, else the processor.

    Raises
    ------
    CallspaceError
        The device is not there.
    """
    from callspace.errors import CallspaceError

    if device in (None, "auto"):
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(name)
    try:
        chosen = torch.device(str(device))
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise CallspaceError(f"device '{device}' is not available here: use --device cpu, or leave it out") from None
    return chosen


def _batches(items: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


class WaveformCache:
    """Decoded frames kept for the next epoch, up to a number of bytes; what does not fit is decoded again each time."""

    def __init__(self, max_bytes: int = 2 << 30) -> None:
        self._room = max_bytes
        self._held: dict[tuple[object, ...], np.ndarray] = {}

    def get(self, frame: Frame) -> np.ndarray | None:
        """The frame's waveform, if it was kept."""
        return self._held.get(_place(frame))

    def keep(self, frame: Frame, waveform: np.ndarray) -> None:
        """Keep the frame's waveform, if there is room."""
        key = _place(frame)
        if key not in self._held and waveform.nbytes <= self._room:
            self._room -= waveform.nbytes
            self._held[key] = waveform


def _place(frame: Frame) -> tuple[object, ...]:
    return frame.recording, frame.onset_s, frame.offset_s, frame.low_hz, frame.high_hz


def read_ahead(
    dataset: Dataset,
    batches: Iterable[list[Frame]],
    sample_rate_hz: int,
    *,
    cache: WaveformCache | None = None,
    change: Callable[[Frame, np.ndarray], np.ndarray] | None = None,
    threads: int = _THREADS,
    ahead: int = _AHEAD,
) -> Iterator[tuple[list[Frame], list[np.ndarray]]]:
    """Decode batches of frames in threads, at most `ahead` of them before they are asked for, and give them back in order.

    `change` is applied to each waveform in the threads, after the cache: training augments there.

    `sample_rate_hz` is the encoder's. Where the dataset is heard at another speed, so many samples make up the recordings' seconds that
    at the encoder's rate they sound at that speed.
    """
    cache = cache or WaveformCache(max_bytes=0)

    def read(batch: list[Frame]) -> list[np.ndarray]:
        waveforms: list[np.ndarray] = []
        for recording, frames in itertools.groupby(batch, key=lambda frame: frame.recording):
            waveforms += _read_frames(dataset, recording, list(frames), sample_rate_hz, cache)
        return waveforms if change is None else [change(frame, waveform) for frame, waveform in zip(batch, waveforms, strict=True)]

    waiting: deque[tuple[list[Frame], Future[list[np.ndarray]]]] = deque()
    iterator = iter(batches)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        try:
            while True:
                for batch in itertools.islice(iterator, ahead - len(waiting)):
                    waiting.append((batch, pool.submit(read, batch)))
                if not waiting:
                    return
                batch, future = waiting.popleft()
                yield batch, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _read_frames(dataset: Dataset, recording: str, frames: list[Frame], sample_rate_hz: int, cache: WaveformCache) -> list[np.ndarray]:
    kept = [cache.get(frame) for frame in frames]
    if any(waveform is None for waveform in kept):
        with RecordingReader(dataset.root / recording) as reader:
            kept = [
                _read_frame(reader, frame, round(sample_rate_hz / dataset.speed), dataset.channel) if waveform is None else waveform
                for frame, waveform in zip(frames, kept, strict=True)
            ]
    waveforms = [waveform for waveform in kept if waveform is not None]
    for frame, waveform in zip(frames, waveforms, strict=True):
        cache.keep(frame, waveform)
    return waveforms


def _read_frame(reader: RecordingReader, frame: Frame, rate: int, channel: int | None) -> np.ndarray:
    """The frame's sound; of a band, filtered together with what lies before and after it, so that it has no edges of its own."""
    if frame.low_hz is None and frame.high_hz is None:
        return reader.read(frame.onset_s, frame.offset_s, sample_rate_hz=rate, channel=channel)
    first, count = sample_count(frame.onset_s, rate), sample_count(frame.offset_s - frame.onset_s, rate)
    beside = min(first, sample_count(ring_s(frame.low_hz, frame.high_hz), rate))
    after = sample_count(ring_s(frame.low_hz, frame.high_hz), rate)
    sound = reader.read((first - beside) / rate, (first + count + after) / rate, sample_rate_hz=rate, channel=channel)
    return np.ascontiguousarray(band_pass(sound, rate, frame.low_hz, frame.high_hz)[beside : beside + count])


def pad_batch(waveforms: Sequence[np.ndarray], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """float32[batch, samples] padded with zeros on the right, on the device, and int64[batch] lengths, on the processor."""
    lengths = torch.tensor([len(waveform) for waveform in waveforms], dtype=torch.int64)
    batch = torch.zeros(len(waveforms), int(lengths.max()), dtype=torch.float32)
    for row, waveform in enumerate(waveforms):
        batch[row, : len(waveform)] = torch.from_numpy(waveform)
    return batch.to(device, non_blocking=True), lengths


def embed_rows(
    dataset: Dataset,
    encoder: Encoder,
    rows: Sequence[int],
    *,
    layers: Sequence[str] | None = None,
    device: torch.device,
    batch_size: int = BATCH_SIZE,
    cache: WaveformCache | None = None,
    advance: Callable[[int], None] = lambda n: None,
) -> dict[str, np.ndarray]:
    """Embeddings of some rows of the windows table, at one or several layers of an encoder, in one pass.

    A row of several frames gets the mean of their embeddings.

    Parameters
    ----------
    layers : sequence of str, optional
        The encoder's own layer, when not given.

    Returns
    -------
    dict of str to float32[rows, dim of the layer]
    """
    chosen = tuple(layers or (encoder.layer,))
    place = {row: number for number, row in enumerate(rows)}
    sums = {layer: np.zeros((len(rows), encoder.at(layer).spec.embedding_dim), dtype=np.float64) for layer in chosen}
    counts = np.zeros(len(rows), dtype=np.int64)
    encoder.eval()
    batches = _batches(frames_of(dataset, rows), batch_size)
    with torch.inference_mode():
        for frames, waveforms in read_ahead(dataset, batches, encoder.sample_rate_hz, cache=cache):
            padded = pad_batch(waveforms, device)
            found = {encoder.layer: encoder(*padded)} if chosen == (encoder.layer,) else encoder.layer_embeddings(*padded, chosen)
            numbers = [place[frame.row] for frame in frames]
            for layer, vectors in found.items():
                np.add.at(sums[layer], numbers, vectors.cpu().double().numpy())  # Apple GPUs have no float64
            np.add.at(counts, numbers, 1)
            advance(sum(frame.last for frame in frames))
    return {layer: (total / counts[:, None]).astype(np.float32) for layer, total in sums.items()}
