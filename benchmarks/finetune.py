"""How fast fitting is: a grid of probes on cached embeddings against the same fits one after the other.

Prints, for 10,000 embeddings of 768 dimensions and 50 classes (2,000 more to choose by):

- seconds of the linear probe (5 strengths) and of the probe with a hidden layer (6 settings), as `fit_probe` fits them, and their sum;
- seconds of a plain loop: scikit-learn's LogisticRegression for each strength, from scratch, to the same tolerance; a torch module and a loop for each setting,
  for as many epochs as that setting had in the grid;
- the ratio of the two times, the scores on valid of both, which should be alike, and the peak memory of the process that did the grid.

Each side has a process of its own, one after the other, so that the ratio is of one run on one machine.

    OMP_NUM_THREADS=2 python benchmarks/finetune.py [--windows 10000] [--no-plain]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

CLASSES = 50
DIM = 768
VALID = 2_000


def embeddings(windows: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Train and valid: (float32[n, 768], float32[n, 50]); classes that overlap, in dimensions of unlike size that go together."""
    rng = np.random.default_rng(0)
    total = windows + VALID
    which = rng.integers(CLASSES, size=total)
    mixing = rng.standard_normal((DIM, DIM)).astype(np.float32) * (1 / np.arange(1, DIM + 1, dtype=np.float32)[:, None]) ** 0.5
    features = (
        0.14 * rng.standard_normal((CLASSES, DIM)).astype(np.float32)[which] + rng.standard_normal((total, DIM)).astype(np.float32)
    ) @ mixing
    targets = np.eye(CLASSES, dtype=np.float32)[which]
    return (features[:windows], targets[:windows]), (features[windows:], targets[windows:])


def grid(windows: int) -> dict[str, Any]:
    """The probes as callspace fits them."""
    import torch  # noqa: F401

    from callspace.adaptation.probes import fit_probe
    from callspace.bench.execute import peak_memory_mib

    train, valid = embeddings(windows)
    found: dict[str, Any] = {}
    for kind in ("linear", "mlp"):
        start = time.perf_counter()
        probe = fit_probe(kind, *train, *valid, task="classification")
        found[kind] = {"seconds": time.perf_counter() - start, "valid": [trial["valid_score"] for trial in probe.trials]}
        if kind == "mlp":
            rows = [(row["learning_rate"], row["weight_decay"]) for row in probe.history]
            found["epochs"] = [rows.count((trial["learning_rate"], trial["weight_decay"])) for trial in probe.trials]
    return found | {"peak_mib": peak_memory_mib()}


def plain(windows: int, epochs: list[int]) -> dict[str, Any]:
    """The same one after the other, by scikit-learn and by a loop in torch."""
    import torch
    from sklearn.linear_model import LogisticRegression

    from callspace.adaptation.grids import batches_of, parameter_groups
    from callspace.adaptation.logistic import C_GRID
    from callspace.adaptation.mlp import MLP_GRID, new_mlp_head

    (x, y), (valid_x, valid_y) = embeddings(windows)
    mean, scale = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    found: dict[str, Any] = {}
    start = time.perf_counter()
    scores = []
    for c in C_GRID:
        model = LogisticRegression(C=c, tol=1e-5, max_iter=2_000).fit((x - mean) / scale, y.argmax(1))
        scores.append(model.score((valid_x - mean) / scale, valid_y.argmax(1)))
    found["linear"] = {"seconds": time.perf_counter() - start, "valid": scores}
    start = time.perf_counter()
    scores = []
    features, classes = torch.from_numpy(x), torch.from_numpy(y.argmax(1))
    for setting, last in zip(MLP_GRID.settings, epochs, strict=True):
        head = new_mlp_head(x, CLASSES, seed=0, dropout=setting.dropout)
        optimiser = torch.optim.AdamW(parameter_groups(head.parameters(), setting), fused=True)
        best = 0.0
        for epoch in range(1, last + 1):
            head.train()
            for rows in batches_of(len(x), MLP_GRID.batch_size, seed=0, epoch=epoch):
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(head(features[rows]), classes[rows]).backward()
                optimiser.step()
            with torch.no_grad():
                best = max(best, float((head.eval()(torch.from_numpy(valid_x)).argmax(1).numpy() == valid_y.argmax(1)).mean()))
        scores.append(best)
    found["mlp"] = {"seconds": time.perf_counter() - start, "valid": scores}
    return found


def in_process(*arguments: str) -> dict[str, Any]:
    """What a fresh process of this script finds."""
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def probes(args: argparse.Namespace) -> None:
    """The grid of probes against the plain loop."""
    import os

    size = ("--windows", str(args.windows))
    ours = in_process(*size, "--worker", "grid")
    theirs = None if args.no_plain else in_process(*size, "--worker", "plain", "--epochs", json.dumps(ours["epochs"]))
    load = os.getloadavg()[0]
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    print(f"{args.windows:,} embeddings of {DIM} dimensions, {CLASSES} classes; OMP_NUM_THREADS {threads}, load of the machine {load:.1f}")
    print(f"{'probe':22}{'grid, s':>9}{'plain, s':>10}{'ratio':>7}   valid: grid and plain")
    totals = [0.0, 0.0]
    for kind, words in (("linear", "linear, 5 strengths"), ("mlp", f"mlp, {len(ours['epochs'])} settings")):
        other = theirs and theirs[kind]
        totals[0] += ours[kind]["seconds"]
        totals[1] += other["seconds"] if other else 0.0
        best = f"{max(ours[kind]['valid']):.3f}" + (f" {max(other['valid']):.3f}" if other else "")
        print(f"{words:22}{_times(ours[kind]['seconds'], other and other['seconds'])}   {best}")
    print(f"{'both':22}{_times(totals[0], totals[1] or None)}")
    print(f"epochs of the settings: {', '.join(map(str, ours['epochs']))}; peak memory of the grid's process {ours['peak_mib']:.0f} MiB")


def _times(ours: float, theirs: float | None) -> str:
    return f"{ours:9.1f}" + (f"{theirs:10.1f}{theirs / ours:7.1f}" if theirs else f"{'':17}")


#: What is measured, in order, each a function of the arguments that prints a table. Full tuning (images a second against a bare loop) is
#: to be a line here.
PARTS: list[Callable[[argparse.Namespace], None]] = [probes]


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=10_000)
    parser.add_argument("--no-plain", action="store_true", help="leave out the plain loop, which takes minutes")
    parser.add_argument("--worker", choices=("grid", "plain"), help=argparse.SUPPRESS)
    parser.add_argument("--epochs", default="[]", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(grid(args.windows) if args.worker == "grid" else plain(args.windows, json.loads(args.epochs))))
        return
    for part in PARTS:
        part(args)


if __name__ == "__main__":
    main()
