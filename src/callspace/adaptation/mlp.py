"""A head with one hidden layer on fixed embeddings, a grid of its settings trained at once.

The weights of all members lie in one block, so that the first layer of all of them is one matrix product, with the batch read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from callspace.adaptation.fitted import NEVER, Examples, Fitted, Loss
from callspace.adaptation.grids import Grid, Setting, best_of, train_grid
from callspace.adaptation.logistic import standardiser
from callspace.encoders.heads import MlpHead

if TYPE_CHECKING:
    from callspace.adaptation.grids import Trial

__all__ = ["MLP_GRID", "ArraySource", "MlpMembers", "fit_mlp", "hidden_width", "mean_and_scale", "new_mlp_head"]

MLP_GRID = Grid(
    settings=tuple(Setting(rate, decay, dropout=0.3) for decay in (0.3, 0.01) for rate in (5e-4, 1.5e-3, 5e-3)), max_epochs=20, default=1
)


def hidden_width(in_features: int) -> int:
    """The hidden layer's width: a sixth of the embedding's, from 64 to 512."""
    return min(512, max(64, in_features // 6))


def mean_and_scale(features: np.ndarray) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each dimension, float32[d], as the linear probe has them."""
    mean, scale = standardiser(np.asarray(features, dtype=np.float64))
    return torch.from_numpy(mean).float(), torch.from_numpy(scale).float()


def new_mlp_head(features: np.ndarray, labels: int, *, seed: int, dropout: float = 0.0) -> MlpHead:
    """The head that training starts from: standardised by the train split's embeddings, weights drawn from the seed."""
    mean, scale = mean_and_scale(features)
    size = features.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MlpHead(size, labels, hidden_width(size), dropout=dropout, mean=mean, scale=scale)


class ArraySource:
    """Embeddings float32[n, d] in memory."""

    def __init__(self, features: np.ndarray, device: torch.device | str = "cpu") -> None:
        self._features = np.asarray(features, dtype=np.float32)
        self._device = device

    def __len__(self) -> int:
        return len(self._features)

    def batches(self, rows: Iterable[np.ndarray]) -> Iterator[tuple[Tensor, ...]]:
        """Each a tuple of float32[batch, d]."""
        for some in rows:
            yield (torch.from_numpy(self._features[some]).to(self._device),)


class MlpMembers:
    """The members of a grid as blocks float32[members, ...] of weights; each member's own parameters are views of them.

    Parameters
    ----------
    start : MlpHead
        Where all members begin, and what they are standardised by.
    settings : sequence of Setting
    known : bool[labels]
        Labels that train shows; the logit of the others is `NEVER`.
    """

    def __init__(self, start: MlpHead, settings: Sequence[Setting], known: np.ndarray, device: torch.device | str = "cpu") -> None:
        self.kept = list(range(len(settings)))
        self._mean, self._scale = start.mean.to(device), start.scale.to(device)
        self._unknown = torch.from_numpy(~known).to(device)
        self._dropout = torch.tensor([setting.dropout for setting in settings], device=device)
        self._draws = any(setting.dropout > 0 for setting in settings)
        self._blocks = {
            name: value.detach().to(device).expand(len(settings), *value.shape).clone().requires_grad_()
            for name, value in start.named_parameters()
        }
        self._own = [{name: nn.Parameter(block.detach()[member]) for name, block in self._blocks.items()} for member in self.kept]

    def logits(self, inputs: tuple[Tensor, ...], noise: torch.Generator | None) -> Tensor:
        """float32[kept, batch, labels]."""
        (features,) = inputs
        weight, bias = self._blocks["hidden.weight"], self._blocks["hidden.bias"]
        hidden = nn.functional.linear((features - self._mean) / self._scale, weight.flatten(0, 1), bias.flatten())
        hidden = nn.functional.gelu(hidden).view(len(features), *bias.shape).transpose(0, 1)
        if noise is not None and self._draws:
            dropout = self._dropout[self.kept][:, None, None]
            left = torch.rand(hidden.shape[1:], generator=noise).to(hidden.device) >= dropout
            hidden = hidden * (left / (1 - dropout))
        logits = torch.baddbmm(self._blocks["linear.bias"][:, None], hidden, self._blocks["linear.weight"].transpose(1, 2))
        return logits.masked_fill(self._unknown, NEVER)

    def parameters_of(self, member: int) -> dict[str, nn.Parameter]:
        """Views of the blocks, float32[...], while the member is kept."""
        return self._own[member]

    def hand_gradients(self) -> None:
        """Gradients are views of the blocks', too."""
        for name, block in self._blocks.items():
            assert block.grad is not None
            for place, member in enumerate(self.kept):
                self._own[member][name].grad = block.grad[place]
            block.grad = None

    def keep(self, members: list[int]) -> None:
        """Smaller blocks of these members only."""
        places = [self.kept.index(member) for member in members]
        self.kept = list(members)
        for name, block in self._blocks.items():
            smaller = block.detach()[places].clone()
            self._blocks[name] = smaller.requires_grad_()
            for place, member in enumerate(members):
                self._own[member][name].data = smaller.detach()[place]


def fit_mlp(
    train: Examples[np.ndarray],
    valid: Examples[np.ndarray],
    *,
    task: str,
    loss: Loss,
    seed: int,
    grid: Grid = MLP_GRID,
    device: torch.device | str = "cpu",
    advance: Callable[[int], None] = lambda n: None,
) -> Fitted:
    """The best of a grid of heads with a hidden layer; see `callspace.adaptation.grids`.

    Raises
    ------
    CallspaceError
        Training diverged in every setting.
    """
    start = new_mlp_head(train.features, train.targets.shape[1], seed=seed)
    trials = train_grid(
        MlpMembers(start, grid.settings, train.known, device),
        grid,
        (ArraySource(train.features, device), train.targets),
        (ArraySource(valid.features, device), valid.targets),
        task=task,
        loss=loss,
        seed=seed,
        advance=advance,
    )
    best = best_of(trials, "a head with a hidden layer")
    start.load_state_dict(best.weights, strict=False)
    start.dropout.p = best.setting.dropout
    silence(start.linear, train.known)
    return fitted(start.eval(), trials, best)


def silence(linear: nn.Linear, known: np.ndarray) -> None:
    """Let labels that train never shows score as good as never."""
    unknown = torch.from_numpy(~known)
    with torch.no_grad():
        linear.weight[unknown] = 0.0
        linear.bias[unknown] = NEVER


def fitted(head: nn.Module, trials: Sequence[Trial], best: Trial, pooler: nn.Module | None = None) -> Fitted:
    """What came of a grid."""
    choice: dict[str, Any] = {**asdict(best.setting), "epoch": best.epoch}
    notes = [] if best.score is not None else ["Nothing to choose settings by in the valid split: the defaults were used."]
    return Fitted(
        head,
        choice,
        best.score,
        history=[row for trial in trials for row in trial.history],
        trials=[trial.row() for trial in trials],
        pooler=pooler,
        notes=notes,
    )
