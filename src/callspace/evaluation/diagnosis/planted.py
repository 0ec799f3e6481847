"""Embeddings whose troubles are known, to measure the diagnosis by: what it finds, and how often it cries wolf.

A clean embedding is a Gaussian mixture: a centre a class, a random shift a recording that has nothing to do with the label, noise a window.
Sites, dates, devices and levels are dealt to recordings at random. What varies from seed to seed: clips of one label or soundscapes with
background (with a mixture of species of each recording's own; a call makes its window 5 to 25 dB louder, which half of them hear), dimensions, classes and their frequencies, the tails of the noise, how far apart they are, how large the shift of recordings is, how long recordings are.
A clean one may have an ``unlearnable`` class: nothing in the sound goes with its label, so that it is lost, and no other class is. And it may have ``many``
classes: a hundred, far apart in 16 dimensions.
Each of `TROUBLES` is one thing added to it:

- ``confound``: sites go with labels (three recordings of four) and are heard in the embedding better than the animals; ``level``: so does the level of
  each window with a call.
- ``label errors``: 5 % of the labels are another one. ``collapse``: one direction is left. ``constant``: none but rounding is.
- ``hubs``: one window in a hundred has the mean of all as its embedding, among classes that are close together.
- ``lost class``: the two commonest classes sound the same (it takes some hundred recordings to be sure of it).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from callspace.evaluation.diagnosis.discriminant import Discriminant
from callspace.evaluation.predictions import list_column
from callspace.metrics.neighbours import k_nearest
from callspace.metrics.weights import Floats
from callspace.tables import RECORDINGS, WINDOWS

__all__ = ["TROUBLES", "Planted", "plant"]

#: Trouble -> the check that should call it a problem.
TROUBLES = {
    "confound": "confounds",
    "level": "confounds",
    "label errors": "label_errors",
    "collapse": "collapse",
    "constant": "collapse",
    "hubs": "hubs",
    "lost class": "confusions",
}
_SITES, _DAYS = 8, 90
_NEIGHBOURS = 10
_MANY_CLASSES, _MANY_DIMENSIONS = 100, 16


@dataclass(frozen=True)
class Planted:
    """An embedding with its tables, and what was planted: the keywords of `diagnose_embedding`, the rows whose label is wrong, the class without sound."""

    vectors: Floats
    windows: pa.Table
    labels: list[str]
    task: str
    nuisances_measured: dict[str, Floats]
    recordings: pa.Table
    predictions: pa.Table
    wrong: NDArray[np.intp]
    unlearnable: str | None = None


def plant(
    seed: int,
    trouble: str | None = None,
    *,
    n_recordings: int = 80,
    separation: float | None = None,
    unlearnable: bool = False,
    many: bool = False,
) -> Planted:
    """A clean embedding, or one with a trouble.

    Parameters
    ----------
    seed
        The same seed gives the same embedding.
    trouble
        One of `TROUBLES`; None for a clean one.
    n_recordings
        Half in train, a fifth in valid, the rest in test.
    separation
        Standard deviation of the classes' centres, where that of the windows is 1; between 0.5 and 1.2 when not given.
    unlearnable
        The windows of the first class sound like those of the other species, each like one by chance.
    many
        A hundred classes in 16 dimensions, three standard deviations apart unless `separation` says otherwise.
    """
    rng = np.random.default_rng(seed)
    d, n_classes = int(rng.choice([16, 32, 64, 128])), int(rng.integers(3, 9))
    if trouble == "hubs":
        d = max(d, 64)  # in few dimensions the middle is no one's neighbour more than elsewhere
    spread = float(rng.uniform(0.5, 1.2)) * np.sqrt(32 / d) if separation is None else separation
    if many:
        d, n_classes, spread = _MANY_DIMENSIONS, _MANY_CLASSES, 3.0 if separation is None else separation
    shift = float(rng.uniform(0.2, 0.8)) * np.sqrt(32 / d)
    soundscapes = bool(rng.random() < 0.5)
    recording = np.repeat(np.arange(n_recordings), rng.integers(6, 20, n_recordings))
    n = len(recording)
    frequencies = rng.dirichlet(np.full(n_classes, 5.0))
    of_recording = rng.choice(n_classes, n_recordings, p=frequencies)
    classes = of_recording[recording]
    if soundscapes:
        # A recording has its own mixture of species, nearer to the common one or further from it.
        mixtures = rng.dirichlet(float(rng.choice([3.0, 30.0])) * n_classes * frequencies, n_recordings)
        classes = np.minimum((rng.random(n)[:, None] > np.cumsum(mixtures, axis=1)[recording]).sum(axis=1), n_classes - 1)
    # Half of the seeds have heavy tails: Student's t of 5 degrees of freedom, with the variance of the others.
    noise = rng.standard_normal((n, d)) if rng.random() < 0.5 else rng.standard_t(5, (n, d)) * np.sqrt(0.6)
    site, level = rng.integers(0, _SITES, n_recordings), rng.normal(-30, 5, n_recordings)[recording] + rng.normal(0, 2, n)
    centres = spread * rng.standard_normal((n_classes, d))
    if trouble in ("confound", "level"):
        centres *= 0.2  # what tells the label is the nuisance: where the animals tell it as well, there is no trouble
    has_call = classes < n_classes - soundscapes
    level, heard_level = _with_calls(level, has_call, seed) if soundscapes else (level, 0.0)
    if trouble == "lost class":
        # The two commonest, so that test has enough of both to say so.
        first, second = np.argsort(-frequencies)[:2]
        centres[second] = centres[first]
    if trouble == "hubs":
        centres *= 0.2
    heard = _without_sound(classes, n_classes, soundscapes, seed) if unlearnable else classes
    vectors = centres[heard] + shift * rng.standard_normal((n_recordings, d))[recording] + noise
    if trouble == "level":
        level, heard_level = level + np.where(has_call, 8.0 * (classes - n_classes / 2), 0.0), 0.25
    vectors[:, : max(d // 8, 1)] += heard_level * (level[:, None] + 30)
    if trouble == "confound":
        typical = np.array([np.bincount(classes[recording == at], minlength=n_classes).argmax() for at in range(n_recordings)])
        site = np.where(rng.random(n_recordings) < 0.75, typical % _SITES, site)
        if soundscapes:
            # Three quarters of what is heard at a site is its own species.
            own = rng.random(n) < 0.75
            classes = np.where(own, (site % n_classes)[recording], classes)
            vectors = centres[classes] + shift * rng.standard_normal((n_recordings, d))[recording] + noise
        vectors += 1.5 * spread * rng.standard_normal((_SITES, d))[site[recording]]
    vectors = _spoiled(vectors, trouble, rng)
    wrong = np.zeros(0, dtype=np.intp)
    if trouble == "label errors":
        wrong = np.flatnonzero(rng.random(n) < 0.05)
        classes = classes.copy()
        classes[wrong] = (classes[wrong] + rng.integers(1, n_classes, len(wrong))) % n_classes
    planted = _tables(rng, vectors, classes, recording, site, level, n_classes, soundscapes, wrong)
    return replace(planted, unlearnable=planted.labels[0]) if unlearnable else planted


def _with_calls(level: Floats, has_call: NDArray, seed: int) -> tuple[Floats, float]:
    """The level of windows to which calls add their own, and how much of it the embedding hears, a decibel."""
    rng = np.random.default_rng([seed, 2])
    call = level + rng.uniform(5, 25, len(level))
    louder = 10 * np.log10(10 ** (level / 10) + 10 ** (call / 10))
    return np.where(has_call, louder, level), 0.125 * float(rng.random() < 0.5)


def _spoiled(vectors: Floats, trouble: str | None, rng: np.random.Generator) -> Floats:
    """The embedding with what is wrong with its geometry."""
    n, d = vectors.shape
    if trouble == "collapse":
        return vectors[:, :1] * rng.standard_normal(d) + 1e-3 * rng.standard_normal((n, d))
    if trouble == "constant":
        return (100.0 + 1e-5 * vectors).astype(np.float32).astype(np.float64)
    if trouble == "hubs":
        few = rng.choice(n, max(n // 100, 1), replace=False)
        vectors[few] = vectors.mean(axis=0) + 0.05 * rng.standard_normal((len(few), d))
    return vectors


def _without_sound(classes: NDArray, n_classes: int, soundscapes: bool, seed: int) -> NDArray:
    """What is heard where the first class sounds like the others; like background only where there would be one other, which it could be."""
    others = n_classes - (soundscapes and n_classes > 3)
    return np.where(classes == 0, np.random.default_rng([seed, 1]).integers(1, others, len(classes)), classes)


def _tables(
    rng: np.random.Generator,
    vectors: Floats,
    classes: NDArray,
    recording: NDArray,
    site: NDArray,
    level: Floats,
    n_classes: int,
    soundscapes: bool,
    wrong: NDArray,
) -> Planted:
    """The windows, recordings and predictions of an embedding; in soundscapes the last class is background."""
    n, n_recordings = len(recording), int(recording.max()) + 1
    order = rng.permutation(n_recordings)
    split = np.full(n_recordings, "test", dtype=object)
    split[order[: n_recordings // 2]] = "train"
    split[order[n_recordings // 2 : n_recordings * 7 // 10]] = "valid"
    names = [f"{at:03d}.wav" for at in range(n_recordings)]
    labels = [f"species {at}" for at in range(n_classes - soundscapes)]
    place = np.arange(n) - np.searchsorted(recording, recording)
    columns: dict[str, Any] = {
        "window_id": np.arange(n),
        "recording": [names[at] for at in recording],
        "onset_s": place * 3.0,
        "offset_s": place * 3.0 + 3.0,
        "labels": [[labels[code]] if code < len(labels) else [] for code in classes],
        "split": split[recording].tolist(),
        "fold": [None] * n,
        "group": [names[at] for at in recording],
    }
    day = rng.integers(0, _DAYS, n_recordings)
    windows = pa.table({field.name: pa.array(columns[field.name], field.type) for field in WINDOWS}, schema=WINDOWS)
    windows = windows.append_column("site", pa.array([f"site {at}" for at in site[recording]]))
    windows = windows.append_column("date", pa.array([str(np.datetime64("2024-04-01") + int(at)) for at in day[recording]]))
    windows = windows.append_column("device", pa.array([f"recorder {at}" for at in rng.integers(0, 4, n_recordings)[recording]]))
    facts = {
        "recording": names,
        "duration_s": rng.uniform(20, 60, n_recordings),
        "sample_rate_hz": rng.choice([32_000, 44_100], n_recordings),
        "channels": [1] * n_recordings,
        "frames": [0] * n_recordings,
        "format": rng.choice(["FLAC", "WAV"], n_recordings).tolist(),
    }
    recordings = pa.table({field.name: pa.array(facts[field.name], field.type) for field in RECORDINGS}, schema=RECORDINGS)
    task = "detection" if soundscapes else "classification"
    predictions = _predictions(vectors, classes, windows, len(labels), n_classes)
    return Planted(vectors, windows, labels, task, {"level_db": level}, recordings, predictions, wrong)


def _predictions(vectors: Floats, classes: NDArray, windows: pa.Table, n_labels: int, n_classes: int) -> pa.Table:
    """What a linear probe, nearest neighbours and nearest class means that are fitted on train say of test."""
    from scipy.special import softmax

    split = np.array(windows.column("split").to_pylist(), dtype=object)
    train, test = split == "train", split == "test"
    near, _ = k_nearest(vectors[train], _NEIGHBOURS, queries=vectors[test], metric="cosine")
    there = np.bincount(classes[train], minlength=n_classes) > 0
    means = np.array(
        [
            vectors[train][classes[train] == code].mean(axis=0) if there[code] else np.full(vectors.shape[1], np.inf)
            for code in range(n_classes)
        ]
    )
    distances = np.where(there, ((vectors[test][:, None] - np.where(there[:, None], means, 0.0)) ** 2).sum(axis=2), np.inf)
    readers = {
        "linear": softmax(Discriminant(vectors[train]).scores(classes[train], n_classes, vectors[test]), axis=1),
        "knn": (classes[train][near][:, :, None] == np.arange(n_classes)).mean(axis=1),
        "prototype": softmax(-distances / 2, axis=1),
    }
    table = windows.filter(pa.array(test)).select(["window_id", "group", "labels"])
    for reader, probabilities in readers.items():
        table = table.append_column(f"scores:{reader}", list_column(probabilities[:, :n_labels]))
        if n_labels < n_classes:
            table = table.append_column(f"separation:{reader}", pa.array(1 - probabilities[:, -1]))
    return table
