"""Gaussian blobs as a dataset: classes, background, recordings as groups, three splits."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from callspace import tables


def windows_table(labels: list[list[str]], split: list[str], group: list[str]) -> pa.Table:
    rows = [
        {"window_id": at, "recording": f"{of}.wav", "onset_s": 0.0, "offset_s": 1.0, "labels": names, "split": name, "group": of}
        for at, (names, name, of) in enumerate(zip(labels, split, group, strict=True))
    ]
    return tables.from_rows(rows, tables.WINDOWS)


def make_blobs(
    n: int = 360,
    n_classes: int = 3,
    distance: float = 8.0,
    background: float = 0.25,
    background_distance: float | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, pa.Table, list[str]]:
    """Vectors float32[n, 12], their windows and the vocabulary; recordings of six windows, a third in each split."""
    generator = np.random.default_rng(seed)
    vocabulary = [f"species {at}" for at in range(n_classes)]
    is_background = generator.random(n) < background
    codes = generator.integers(0, n_classes, n)
    centres = np.zeros((n_classes + 1, 12))
    centres[np.arange(n_classes), np.arange(n_classes)] = distance
    centres[n_classes] = centres[:n_classes].mean(axis=0)
    centres[n_classes, 11] = distance if background_distance is None else background_distance
    vectors = generator.normal(size=(n, 12)) + centres[np.where(is_background, n_classes, codes)]
    labels = [[] if empty else [vocabulary[code]] for empty, code in zip(is_background, codes, strict=True)]
    recording = np.arange(n) // 6
    split = [("train", "valid", "test")[at % 3] for at in recording]
    return vectors.astype(np.float32), windows_table(labels, split, [f"r{at:03d}" for at in recording]), vocabulary


@pytest.fixture(scope="session")
def blobs() -> Callable:
    return make_blobs


@pytest.fixture(scope="session")
def as_windows() -> Callable:
    return windows_table
