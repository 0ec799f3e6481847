"""A grid of settings trained at once on features that are computed once.

All members of a grid see the same batches in the same order, start from the same weights and share the random numbers of dropout, so that
they differ in their settings and in nothing else, and a member ends where it would alone. Each has an AdamW of its own
(I. Loshchilov and F. Hutter, ICLR 2019), is scored on valid after every epoch, stops by itself when that no longer gets better, and is
kept as it was in its best epoch. A member whose loss is no longer a number has diverged: it is left out, and the others go on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from callspace.adaptation.fitted import Loss, can_judge
from callspace.errors import CallspaceError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["Grid", "Members", "Setting", "Source", "Trial", "batches_of", "best_of", "parameter_groups", "train_grid"]


@dataclass(frozen=True)
class Setting:
    """What one member of a grid is trained with."""

    learning_rate: float
    weight_decay: float = 0.0
    dropout: float = 0.0


@dataclass(frozen=True)
class Grid:
    """Settings that are tried, and for how long.

    Attributes
    ----------
    settings : tuple of Setting
        The most regularised first: the first of equals on valid is taken.
    max_epochs, patience : int
        At most so many epochs, and at most so many without a better score on valid.
    batch_size : int
        At most so many windows a step, and so many of valid at a time.
    least_steps : int
        Of an epoch: with few windows it is several passes over them.
    default, default_epochs : int
        The number of the setting, and the epochs it is trained, where valid has nothing to choose by.
    """

    settings: tuple[Setting, ...]
    max_epochs: int = 30
    patience: int = 4
    batch_size: int = 128
    least_steps: int = 20
    default: int = 0
    default_epochs: int = 15


class Source(Protocol):
    """Features of some windows, by the batch."""

    def __len__(self) -> int: ...

    def batches(self, rows: Iterable[np.ndarray]) -> Iterator[tuple[Tensor, ...]]:
        """For each array of row numbers what the members take, in order."""
        ...


class Members(Protocol):
    """Networks of one shape that are trained together; `kept` are the numbers of those that still are."""

    kept: list[int]

    def logits(self, inputs: tuple[Tensor, ...], noise: torch.Generator | None) -> Tensor:
        """float32[kept, batch, labels]; with `noise`, which dropout is drawn from, as training has it."""
        ...

    def parameters_of(self, member: int) -> dict[str, nn.Parameter]:
        """What is trained of one member, by the names that its module has for it."""
        ...

    def hand_gradients(self) -> None:
        """Called after the backward pass: every kept member's parameters have their gradients."""
        ...

    def keep(self, members: list[int]) -> None:
        """Go on with these only."""
        ...


@dataclass
class Trial:
    """What came of a setting: its best epoch, that epoch's score, loss and weights, and the way there.

    Of epochs of the same score the one with the least loss is the best; but the score alone must rise for a member to go on (`risen` is the
    last epoch in which it did), or it would follow a loss that falls a little for ever.
    """

    setting: Setting
    outcome: str = "all epochs"
    epoch: int = 0
    risen: int = 0
    score: float | None = None
    loss: float = math.inf
    weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """The trial as a row of a table."""
        return {**asdict(self.setting), "epoch": self.epoch, "valid_score": self.score, "outcome": self.outcome}


def batches_of(windows: int, batch_size: int, *, seed: int, epoch: int, least_steps: int = 1) -> list[np.ndarray]:
    """The batches of an epoch, as row numbers int64[rows]: every window equally often, in an order drawn from (seed, epoch).

    Batches are of nearly equal size. Where one pass over the windows has fewer than `least_steps` batches, there are several.
    """
    count = max(1, math.ceil(windows / batch_size))
    passes = math.ceil(least_steps / count)
    rng = np.random.default_rng([seed, epoch])
    return [part for _ in range(passes) for part in np.array_split(rng.permutation(windows), count)]


def parameter_groups(parameters: Iterable[nn.Parameter], setting: Setting) -> list[dict[str, Any]]:
    """Groups for `torch.optim.AdamW`: weights decay, biases and other vectors don't."""
    parameters = list(parameters)
    return [
        {"params": [p for p in parameters if p.ndim > 1], "lr": setting.learning_rate, "weight_decay": setting.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "lr": setting.learning_rate, "weight_decay": 0.0},
    ]


def train_grid(
    members: Members,
    grid: Grid,
    train: tuple[Source, np.ndarray],
    valid: tuple[Source, np.ndarray],
    *,
    task: str,
    loss: Loss,
    seed: int,
    advance: Callable[[int], None] = lambda n: None,
) -> list[Trial]:
    """Train the members of a grid, one a setting, and say what came of each.

    Parameters
    ----------
    members : Members
        One a setting of `grid`.
    train, valid : (Source, float32[n, labels])
        Features and targets.
    task : "classification" | "detection"
    loss : callable
        From logits and targets, float32[batch, labels], to the mean loss of a batch.
    seed : int
        Of the order of the windows and of dropout.
    advance : callable
        Told the epochs that are over, of `grid.max_epochs`.

    Returns
    -------
    list of Trial
        One a setting. Where valid has nothing to judge by, one alone, of the grid's default.
    """
    import torch

    judged = can_judge(task, valid[1], np.asarray(train[1].any(axis=0)))
    trials = [Trial(setting) for setting in grid.settings]
    optimisers = [
        torch.optim.AdamW(groups, fused=groups[0]["params"][0].device.type in ("cpu", "cuda"))
        for groups in (parameter_groups(members.parameters_of(number).values(), trial.setting) for number, trial in enumerate(trials))
    ]
    if not judged:
        members.keep([grid.default])
    noise = torch.Generator().manual_seed(seed)
    last = grid.max_epochs if judged else grid.default_epochs
    for epoch in range(1, last + 1):
        batches = batches_of(len(train[0]), grid.batch_size, seed=seed, epoch=epoch, least_steps=grid.least_steps)
        losses = _train_epoch(members, optimisers, train, batches, loss, noise)
        found: dict[int, tuple[float | None, float]] = dict.fromkeys(members.kept, (None, math.nan))
        if judged:
            found |= _score(members, valid, task, grid.batch_size)
        going = []
        for member, (score, valid_loss) in found.items():
            if _record(trials[member], members.parameters_of(member), epoch, losses[member], score, valid_loss, grid.patience):
                going.append(member)
        advance(1)
        if not going:
            break
        if going != members.kept:
            members.keep(going)
    return trials if judged else [trials[grid.default]]


def _train_epoch(
    members: Members,
    optimisers: list[torch.optim.AdamW],
    train: tuple[Source, np.ndarray],
    batches: Sequence[np.ndarray],
    loss: Loss,
    noise: torch.Generator,
) -> dict[int, float]:
    """One epoch of all members that are kept: the mean loss of each."""
    import torch

    source, targets = train
    sums = np.zeros(len(members.kept))
    for rows, inputs in zip(batches, source.batches(batches), strict=True):
        # A source that runs an encoder without gradients is left in the middle, within its block.
        with torch.inference_mode(False), torch.enable_grad():
            logits = members.logits(tuple(tensor.clone() if tensor.is_inference() else tensor for tensor in inputs), noise)
            wanted = torch.from_numpy(targets[rows]).to(logits.device)
            each = torch.stack([loss(one, wanted) for one in logits])
            each.sum().backward()  # the members share nothing, so that each gets the gradient of its own loss
            members.hand_gradients()
        for member in members.kept:
            optimisers[member].step()
            optimisers[member].zero_grad()
        sums += each.detach().cpu().double().numpy() * len(rows)
    return dict(zip(members.kept, (sums / sum(map(len, batches))).tolist(), strict=True))


def _score(members: Members, valid: tuple[Source, np.ndarray], task: str, batch_size: int) -> dict[int, tuple[float | None, float]]:
    """Score and plain loss on valid of each member that is kept; the score is NaN where a logit is."""
    import torch

    from callspace.adaptation.targets import loss_of, valid_score

    source, targets = valid
    rows = np.array_split(np.arange(len(source)), max(1, math.ceil(len(source) / batch_size)))
    with torch.no_grad():
        logits = torch.cat([members.logits(inputs, None) for inputs in source.batches(rows)], dim=1).cpu()
        wanted = torch.from_numpy(targets)
        losses = [float(loss_of(task, one, wanted)) for one in logits]
    scores = [valid_score(task, one.numpy(), targets) if bool(one.isfinite().all()) else math.nan for one in logits]
    return dict(zip(members.kept, zip(scores, losses, strict=True), strict=True))


def _record(
    trial: Trial, parameters: dict[str, nn.Parameter], epoch: int, train_loss: float, score: float | None, valid_loss: float, patience: int
) -> bool:
    """Note an epoch of a member, and say whether it goes on."""
    judged = score is not None
    if not math.isfinite(train_loss) or (score is not None and not math.isfinite(score + valid_loss)):
        trial.outcome, trial.weights, trial.score, trial.epoch = "diverged", {}, None, epoch
        return False
    found = {"train_loss": train_loss, "valid_loss": valid_loss if judged else None, "valid_score": score}
    trial.history.append({"epoch": epoch, **asdict(trial.setting), **found})
    if score is None or trial.score is None or score > trial.score:
        trial.risen = epoch
    if score is None or trial.score is None or (score, -valid_loss) > (trial.score, -trial.loss):
        trial.score, trial.loss, trial.epoch = score, valid_loss, epoch
        trial.weights = {name: value.detach().cpu().clone() for name, value in parameters.items()}
    if epoch - trial.risen < patience:
        return True
    trial.outcome = "stopped early"
    return False


def best_of(trials: Sequence[Trial], what: str) -> Trial:
    """The first of the trials that are best on valid.

    Raises
    ------
    CallspaceError
        All diverged.
    """
    whole = [trial for trial in trials if trial.weights]
    if not whole:
        rates = ", ".join(f"{rate:g}" for rate in sorted({trial.setting.learning_rate for trial in trials}))
        raise CallspaceError(f"training {what} diverged at every learning rate ({rates}): try smaller ones")
    return max(whole, key=lambda trial: -math.inf if trial.score is None else trial.score)
