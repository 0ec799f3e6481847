"""Pretrain ``callspace-small`` on invented sounds: ``python -m training.pretrain_small``, from the root of the repository.

It makes its data (some minutes), trains, and writes the weights and a record of how they came about into the package. Stopped, it goes on
where it was: the state is kept in the folder of ``--work``. One seed, one machine, one number of threads: the same weights.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from callspace.encoders.checksums import sha256_of
from callspace.encoders.families.small import SmallNetwork, pictures_of, small_mel
from training.mixtures import Batch, Mixtures, make_pool
from training.objectives import Heads, losses
from training.sounds import KINDS, MEASURES

__all__ = ["Learner", "Settings", "examine", "main", "packed", "train"]

_LOG = logging.getLogger("pretrain_small")
_DATA = Path(__file__).resolve().parents[1] / "src" / "callspace" / "encoders" / "data"
#: The pools: what is learned from, and what is asked about at the end.
_LEARNED, _HELD_OUT = 0, 1
#: Steps between two states that are kept.
LOG_EVERY = 50


@dataclass(frozen=True)
class Settings:
    """All that the weights depend on.

    Attributes
    ----------
    seed, sounds, backgrounds : int
        Of the pool that is learned from.
    steps, batch, empty : int
        Batches, sounds in each (every one heard twice), and windows without any sound.
    rate, weight_decay : float
        AdamW's highest rate and its decay.
    rising, horizon, cooldown : int
        The rate rises for the first of these steps, then falls along a half cosine that would end at the horizon; over the last ones it goes
        down to nothing in a straight line, wherever it is.
    """

    seed: int = 0
    sounds: int = 16_000
    backgrounds: int = 1_000
    steps: int = 1_400
    batch: int = 32
    empty: int = 6
    rate: float = 2e-3
    weight_decay: float = 0.02
    rising: int = 120
    horizon: int = 2_400
    cooldown: int = 400


class Learner(nn.Module):
    """The network, its front end, and the heads that it is taught through."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.network = SmallNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.heads = Heads(512)
        self.mel = small_mel()

    def forward(self, waveforms: Tensor) -> Tensor:
        """float32[batch, samples] to float32[batch, 512]; the network in bfloat16 where it is trained, the rest in float32."""
        pictures = pictures_of(self.mel, waveforms)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            return self.network(pictures).float()


def train(learner: Learner, mixtures: Mixtures, settings: Settings, work: Path, workers: int = 1) -> list[dict[str, float]]:
    """Train to the end of `settings`, from the state in `work` where there is one.

    Returns
    -------
    list of dict
        Every 50 steps: the step, the seconds so far, and the mean of each loss since the last.
    """
    groups = [
        {"params": [p for p in learner.parameters() if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in learner.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=settings.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _share(step, settings))
    history = _resumed(work, learner, optimiser, schedule, settings)
    done = schedule.last_epoch
    mixtures = mixtures.after(done)
    before = history[-1]["seconds"] if history else 0.0
    started, sums = time.perf_counter(), dict[str, float]()
    learner.train()
    for step, batch in enumerate(torch.utils.data.DataLoader(mixtures, batch_size=None, num_workers=workers), start=done + 1):
        found = losses(learner.heads, learner(batch.waveforms), batch)
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(found.values())).sum().backward()
        nn.utils.clip_grad_norm_(learner.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        sums = {key: sums.get(key, 0.0) + float(value.detach()) for key, value in found.items()}
        if step % LOG_EVERY == 0 or step == settings.steps:
            seconds = before + time.perf_counter() - started
            count = (step - 1) % LOG_EVERY + 1
            history.append({"step": step, "seconds": round(seconds, 1), **{key: round(value / count, 4) for key, value in sums.items()}})
            sums = {}
            _LOG.info("%s", history[-1])
            _keep(work, learner, optimiser, schedule, settings, history)
    return history


def _share(step: int, settings: Settings) -> float:
    """The learning rate as a share of the highest, from 0 steps on."""
    if step < settings.rising:
        return (step + 1) / settings.rising
    gone = min(1.0, (step - settings.rising) / max(1, settings.horizon - settings.rising))
    return (0.5 + 0.5 * math.cos(math.pi * gone)) * min(1.0, (settings.steps - step) / max(1, settings.cooldown))


def _keep(work: Path, learner: Learner, optimiser, schedule, settings: Settings, history: list[dict[str, float]]) -> None:
    state = {"learner": learner.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.last_epoch}
    work.mkdir(parents=True, exist_ok=True)
    part = work / "state.pt.part"
    torch.save({**state, "settings": asdict(settings), "history": history}, part)
    part.replace(work / "state.pt")


def _resumed(work: Path, learner: Learner, optimiser, schedule, settings: Settings) -> list[dict[str, float]]:
    path = work / "state.pt"
    if not path.is_file():
        return []
    state = torch.load(path, weights_only=True)
    if state["settings"] != asdict(settings):
        raise SystemExit(f"{path} is of a training with other settings: remove it, or give another --work")
    learner.load_state_dict(state["learner"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.last_epoch = state["schedule"]
    for group in optimiser.param_groups:
        group["lr"] = settings.rate * _share(schedule.last_epoch, settings)
    return state["history"]


@torch.inference_mode()
def examine(learner: Learner, mixtures: Mixtures) -> dict[str, object]:
    """How well the questions are answered about sounds that were never heard.

    Returns
    -------
    dict
        ``retrieval``: the share of windows whose nearest embedding (cosine, of all the other windows of their batch) is of the same sound;
        ``kinds``: average precision of each kind; ``measures``: the determination coefficient of each measure; ``present``: area under
        the receiver operating characteristic of any sound against none.
    """
    from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

    learner.eval()
    nearest, rows = [], []
    for k in range(len(mixtures)):
        batch = mixtures[k]
        embeddings = learner(batch.waveforms)
        heard = embeddings[: 2 * len(batch.kinds)]
        nearest.append(_nearest_is_the_same(heard))
        rows.append((batch, learner.heads.kinds(heard), learner.heads.measures(heard), learner.heads.present(embeddings)[:, 0]))
    kinds, wanted_kinds = torch.cat([row[1] for row in rows]), torch.cat([row[0].kinds.repeat(2, 1) for row in rows])
    measures, wanted = torch.cat([row[2] for row in rows]), torch.cat([row[0].measures.repeat(2, 1) for row in rows])
    truth = torch.cat([_presence(row[0]) for row in rows])
    known = torch.isfinite(wanted)
    return {
        "retrieval": round(float(torch.cat(nearest).float().mean()), 4),
        "chance": round(1 / (2 * len(rows[0][0].kinds) - 1), 4),
        "kinds": {kind: round(float(average_precision_score(wanted_kinds[:, i], kinds[:, i])), 3) for i, kind in enumerate(KINDS)},
        "measures": {
            name: round(float(r2_score(wanted[known[:, i], i], measures[known[:, i], i])), 3)
            for i, name in enumerate(MEASURES)
            if int(known[:, i].sum()) > 1
        },
        "present": round(float(roc_auc_score(truth, torch.cat([row[3] for row in rows]))), 4),
    }


def _presence(batch: Batch) -> Tensor:
    return (torch.arange(len(batch.waveforms)) < 2 * len(batch.kinds)).float()


def _nearest_is_the_same(heard: Tensor) -> Tensor:
    n = len(heard) // 2
    unit = nn.functional.normalize(heard - heard.mean(dim=0), dim=1)
    likeness = (unit @ unit.T).fill_diagonal_(-2.0)
    return likeness.argmax(dim=1) == torch.arange(2 * n).roll(n)


def packed(network: SmallNetwork) -> dict[str, Tensor]:
    """What the package brings: kernels in float16, all else in float32, no counters."""
    state = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    return {key: (value.half() if value.ndim > 1 else value).contiguous() for key, value in state.items()}


def main() -> None:
    """Make the data, train, examine, and write the weights and the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="the folder that keeps the state of the training")
    parser.add_argument("--out", type=Path, default=_DATA, help="where the weights and the record go; into the package by default")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--sounds", type=int, default=Settings.sounds)
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(given.threads)
    settings = Settings(seed=given.seed, steps=given.steps, sounds=given.sounds)
    started = time.perf_counter()
    pool = make_pool(settings.seed, _LEARNED, settings.sounds, settings.backgrounds, given.threads)
    made_s = time.perf_counter() - started
    _LOG.info("%d sounds and %d surroundings in %.0f s", settings.sounds, settings.backgrounds, made_s)
    learner = Learner(settings.seed)
    mixtures = Mixtures(pool, settings.seed, sounds=settings.batch, empty=settings.empty, batches=settings.steps)
    history = train(learner, mixtures, settings, given.work)
    state = packed(learner.network)
    learner.network.load_state_dict(state, strict=False)  # examined as it is shipped
    held_out = make_pool(settings.seed, _HELD_OUT, 2_400, 200, given.threads)
    scores = examine(learner, Mixtures(held_out, settings.seed + 1, sounds=settings.batch, empty=settings.empty, batches=50))
    _LOG.info("%s", scores)
    _write(given.out, state, settings, history, scores, made_s)


def _write(out: Path, state: dict[str, Tensor], settings: Settings, history: list, scores: dict[str, object], made_s: float) -> None:
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    weights = out / "callspace-small.safetensors"
    part = weights.with_name(f".{weights.name}.part")
    save_file(state, part)
    part.replace(weights)
    record = {
        "settings": asdict(settings),
        "made_on": f"{platform.machine()}, {torch.get_num_threads()} of {os.cpu_count()} cores, torch {torch.__version__}, numpy {np.__version__}",
        "seconds": {"making the sounds": round(made_s), "training": round(history[-1]["seconds"])},
        "losses": history[-1],
        "held_out": scores,
        "sha256": sha256_of(weights),
        "bytes": weights.stat().st_size,
    }
    (out / "callspace-small.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    _LOG.info("%s: %d bytes, sha256 %s", weights, record["bytes"], record["sha256"])


if __name__ == "__main__":
    main()
