"""How fast the embedding pipeline is, against the bare model, and how its memory grows with the recording.

Prints, for ten minutes of 44.1 kHz FLAC in windows of five seconds:

- seconds of audio embedded a second, by the pipeline (decode, cut, embed) and by the bare model on tensors decoded beforehand;
- the ratio of the two times (best of several repeats, taken in turns so that both meet the same machine);
- the peak memory of a fresh process that embeds 1 minute, and of one that embeds 60 minutes, and their ratio; in windows of one
  second, so that the minute, too, fills a batch.

Neither counts the scan that reads every recording once beforehand, to find bad ones.

    python benchmarks/embed.py [--encoder resnet18:random] [--repeats 3] [--memory-only | --speed-only]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from callspace.datasets import Dataset
from callspace.datasets.unlabelled import load_recordings
from callspace.embedding.embed import embed
from callspace.embedding.frames import frames_of
from callspace.embedding.pipeline import BATCH_SIZE, pad_batch, read_ahead
from callspace.encoders.contract import Encoder
from callspace.encoders.load import load_encoder

RATE = 44_100
WINDOW_S = 5.0
MEMORY_WINDOW_S = 1.0


def make_recording(path: Path, minutes: int) -> None:
    """Noise with tones, as FLAC, written by the minute."""
    rng = np.random.default_rng(0)
    t = np.arange(60 * RATE) / RATE
    with soundfile.SoundFile(path, "w", RATE, 1, format="FLAC") as file:
        for minute in range(minutes):
            sound = 0.05 * rng.standard_normal(len(t)) + 0.2 * np.sin(2 * np.pi * (800 + 50 * minute) * t)
            file.write(sound.astype(np.float32))


def recordings(minutes: int, folder: Path, window_s: float = WINDOW_S) -> Dataset:
    """A dataset of one recording of some minutes."""
    (folder / str(minutes)).mkdir(exist_ok=True)
    path = folder / str(minutes) / "long.flac"
    if not path.exists():
        make_recording(path, minutes)
    return load_recordings(path, window_s=window_s)


def decoded_batches(dataset: Dataset, encoder: Encoder) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """All batches as tensors, as the pipeline makes them."""
    frames = list(frames_of(dataset, range(dataset.windows.num_rows)))
    batches = [frames[start : start + BATCH_SIZE] for start in range(0, len(frames), BATCH_SIZE)]
    return [pad_batch(waveforms, torch.device("cpu")) for _, waveforms in read_ahead(dataset, batches, encoder.sample_rate_hz)]


def speed(name: str, minutes: int, repeats: int, folder: Path) -> None:
    """The pipeline's time against the bare model's."""
    dataset = recordings(minutes, folder)
    encoder = load_encoder(name).bind(dataset.sample_rate_hz)
    batches = decoded_batches(dataset, encoder)
    encoder.eval()
    bare_times, pipeline_times = [], []
    for repeat in range(repeats + 1):
        start = time.perf_counter()
        with torch.inference_mode():
            for batch in batches:
                encoder(*batch)
        bare = time.perf_counter() - start
        start = time.perf_counter()
        embed(dataset, encoder)
        if repeat:  # the first of each warms up
            bare_times.append(bare)
            pipeline_times.append(time.perf_counter() - start)
    bare, pipeline = min(bare_times), min(pipeline_times)
    print(f"{name}, {minutes} min of {RATE} Hz FLAC, windows of {WINDOW_S:g} s, {torch.get_num_threads()} threads, best of {repeats}")
    print(f"  bare model  {bare:7.2f} s   {60 * minutes / bare:7.1f} s of audio a second")
    print(f"  pipeline    {pipeline:7.2f} s   {60 * minutes / pipeline:7.1f} s of audio a second")
    print(f"  ratio       {pipeline / bare:7.3f}")


def peak_of(name: str, minutes: int, folder: Path) -> float:
    """Peak memory, in MiB, of a fresh process that embeds a recording of some minutes."""
    recordings(minutes, folder, MEMORY_WINDOW_S)
    done = subprocess.run(
        [sys.executable, __file__, "--encoder", name, "--worker", str(minutes), "--folder", str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def memory(name: str, folder: Path) -> None:
    """Peak memory for a short and a long recording."""
    short, long = peak_of(name, 1, folder), peak_of(name, 60, folder)
    print(f"peak memory   {short:.0f} MiB for 1 minute, {long:.0f} MiB for 60 minutes, ratio {long / short:.3f}")


def worker(name: str, minutes: int, folder: Path) -> None:
    """Embed a recording into a store, and print the peak memory."""
    from callspace.bench.execute import peak_memory_mib

    dataset = recordings(minutes, folder, MEMORY_WINDOW_S)
    embed(dataset, load_encoder(name), folder / f"store-{minutes}")
    print(peak_memory_mib())


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="resnet18:random")
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory-only", action="store_true")
    parser.add_argument("--speed-only", action="store_true")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args.encoder, args.worker, args.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CALLSPACE_CACHE"] = str(Path(folder) / "cache")
        if not args.memory_only:
            speed(args.encoder, args.minutes, args.repeats, Path(folder))
        if not args.speed_only:
            memory(args.encoder, Path(folder))


if __name__ == "__main__":
    main()
