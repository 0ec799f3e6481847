"""Small recordings for tests, each of its own sound so that none is a copy of another."""

from pathlib import Path

import numpy as np
import soundfile


def tone(path: Path, seconds: float = 1.0, rate: int = 8000, hz: float | None = None, seed: int | None = None) -> Path:
    """A noisy tone; the sound follows from its name and those of the two folders above unless told, wherever these lie."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(hash_of("/".join(path.parts[-3:])) if seed is None else seed)
    t = np.arange(round(seconds * rate)) / rate
    sound = 0.3 * np.sin(2 * np.pi * (hz or rng.uniform(200, rate / 3)) * t) + 0.02 * rng.standard_normal(len(t))
    soundfile.write(path, sound.astype(np.float32), rate)
    return path


def hash_of(text: str) -> int:
    """A hash that is the same in every process."""
    import zlib

    return zlib.crc32(text.encode())


def class_folders(root: Path, classes: dict[str, float] | None = None, clips: int = 6, seconds: float = 1.0, rate: int = 8000) -> Path:
    """A folder of class folders; each class has its own pitch, so that it can be learnt."""
    for name, hz in (classes or {"low": 300.0, "high": 1500.0, "top": 3000.0}).items():
        for number in range(clips):
            tone(root / name / f"{name} {number}.wav", seconds, rate, hz * (1 + 0.02 * number))
    return root
