"""How often the intervals of a learning curve and of its extrapolation hold the truth, on data whose truth is known.

Classes are Gaussian clouds, and every group (a recording) lies off them by a shift of its own, in five settings: few groups of clips, more
groups of hard clips, soundscapes whose windows hold several labels or none; and the first and the last with the fewest test groups from which
anything is foreseen. The truth at a multiple of the labelled groups is what probes of that many fresh groups score on a large fresh test split,
on average. Prints the share of repetitions in which the interval of the last point, of all groups that there are, holds its truth; for twice and
four times the groups the share whose interval holds that score, whose interval holds the gain over the mean score with the groups there are, and
the mean width and error of the gain.

    python benchmarks/learning_curve.py [--repeats 100] [--truths 40]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from callspace.evaluation.learning_curve import FEWEST_TEST_GROUPS, MULTIPLES, learning_curve
from callspace.tables import WINDOWS


@dataclass(frozen=True)
class Setting:
    """A world that groups are drawn from."""

    task: str
    classes: int
    dimensions: int
    apart: float
    shift: float
    groups: tuple[int, int, int]
    windows: int = 8
    background: float = 0.5


SETTINGS = {
    "clips, 16 train groups": Setting("classification", 5, 20, 0.6, 0.8, (16, 8, 20)),
    "clips, 40 train groups": Setting("classification", 10, 40, 0.45, 0.8, (40, 15, 30)),
    "soundscapes, 24 train groups": Setting("detection", 4, 30, 0.5, 0.8, (24, 10, 20), windows=16),
    "clips, 16 train groups, few of test": Setting("classification", 5, 20, 0.6, 0.8, (16, 8, FEWEST_TEST_GROUPS)),
    "soundscapes, 24 train groups, few of test": Setting("detection", 4, 30, 0.5, 0.8, (24, 10, FEWEST_TEST_GROUPS), windows=16),
}


def draw(world: Setting, groups: tuple[int, int, int], seed: int) -> tuple[np.ndarray, pa.Table]:
    """Vectors and windows of train, valid and test groups; the classes are those of the world, whatever the seed."""
    centres = np.random.default_rng(99).standard_normal((world.classes, world.dimensions)) * world.apart
    rng = np.random.default_rng(seed)
    vectors, rows = [], []
    for split, count in zip(("train", "valid", "test"), groups, strict=True):
        for group in range(count):
            shift = world.shift * rng.standard_normal(world.dimensions)
            for _ in range(world.windows):
                if world.task == "classification":
                    held = [int(rng.integers(world.classes))]
                else:
                    there = rng.random(world.classes) < (1 - world.background) / 2
                    held = [int(k) for k in np.flatnonzero(there)]
                vectors.append(centres[held].sum(axis=0) + shift + rng.standard_normal(world.dimensions))
                rows.append((split, f"{split}{group}", [f"c{k}" for k in held]))
    splits, names, labels = zip(*rows, strict=True)
    n = len(rows)
    columns = {"window_id": range(n), "recording": names, "onset_s": [0.0] * n, "offset_s": [1.0] * n, "labels": labels}
    columns |= {"split": splits, "fold": [None] * n, "group": names}
    return np.array(vectors), pa.table({field.name: pa.array(list(columns[field.name])).cast(field.type) for field in WINDOWS})


def score_with(world: Setting, groups: int, seed: int) -> float:
    """What a probe of so many groups scores on a large test split."""
    from callspace.evaluation.learning_curve import _Data

    vectors, windows = draw(world, (groups, world.groups[1], 150), seed)
    data = _Data.of(vectors, windows, labels_of(world), world.task)
    return float(data.score(np.arange(len(data.features["train"])), np.ones((1, len(data.features["test"]))))[0])


def labels_of(world: Setting) -> list[str]:
    """The vocabulary."""
    return [f"c{k}" for k in range(world.classes)]


def truth_of(world: Setting, multiple: float, truths: int) -> float:
    """The mean score with a multiple of the groups."""
    return float(np.mean([score_with(world, round(multiple * world.groups[0]), 10_000 + seed) for seed in range(truths)]))


def measure(world: Setting, repeats: int, truths: int) -> dict[float, dict[str, float]]:
    """For each multiple, how often the intervals hold the truth, their width and the error of the gain."""
    now = truth_of(world, 1, truths)
    true = {multiple: truth_of(world, multiple, truths) for multiple in MULTIPLES}
    found: dict[float, list[tuple[bool, bool, bool, float, float]]] = {multiple: [] for multiple in MULTIPLES}
    for seed in range(repeats):
        vectors, windows = draw(world, world.groups, seed)
        curve = learning_curve(vectors, windows, labels_of(world), world.task, seed=seed)
        last = curve.points[-1]
        for multiple in MULTIPLES:
            score, gain = curve.expected(multiple), curve.gain(multiple)
            if score is None or gain is None or last.ci_low is None or last.ci_high is None:
                continue
            ahead = true[multiple] - now
            held = last.ci_low <= now <= last.ci_high, score[1] <= true[multiple] <= score[2], gain[1] <= ahead <= gain[2]
            found[multiple].append((*held, gain[2] - gain[1], gain[0] - ahead))
    return {
        multiple: {"n": len(rows), "now": now, "truth": true[multiple]}
        | {
            name: float(np.mean([row[at] for row in rows])) if rows else float("nan")
            for at, name in enumerate(("last held", "score held", "gain held", "width", "error"))
        }
        for multiple, rows in found.items()
    }


def main() -> None:
    """Measure every setting and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--truths", type=int, default=40)
    asked = parser.parse_args()
    for name, world in SETTINGS.items():
        start = time.perf_counter()
        for multiple, row in measure(world, asked.repeats, asked.truths).items():
            print(
                f"{name}, x{multiple} ({row['n']:.0f} repetitions): score {row['now']:.3f} now, whose interval holds it {row['last held']:.0%}; "
                f"{row['truth']:.3f} then; interval of the score holds it {row['score held']:.0%}, of the gain {row['gain held']:.0%}; mean width of the gain's {row['width']:.3f}, mean error {row['error']:+.3f}"
            )
        print(f"  {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
