"""What the network is asked: which kinds a sound is of, what it measures, whether there is any, and which other window holds it too.

The last question is NT-Xent (T. Chen and others, "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020, arXiv
2002.05709): of all windows of the batch, the other rendering of the same sound should lie nearest. The heads are thrown away after training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.mixtures import SNR_DB, Batch
from training.sounds import KINDS, MEASURES

__all__ = ["Heads", "losses", "nt_xent"]

_TEMPERATURE = 0.15


class Heads(nn.Module):
    """From the embedding: linear for what is yes or no, with one hidden layer for numbers and for the space of comparison."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.kinds = nn.Linear(dim, len(KINDS))
        self.present = nn.Linear(dim, 1)
        self.measures = nn.Sequential(nn.Linear(dim, 192), nn.ReLU(), nn.Linear(192, len(MEASURES) + 1))
        self.place = nn.Sequential(nn.Linear(dim, 256), nn.ReLU(), nn.Linear(256, 128))


def losses(heads: Heads, embeddings: Tensor, batch: Batch) -> dict[str, Tensor]:
    """One number a question, their sum is what is minimised; the windows of `embeddings` are in the order of `Batch`.

    Parameters
    ----------
    heads : Heads
    embeddings : float32[windows, dim]
    batch : Batch
    """
    heard = embeddings[: 2 * len(batch.kinds)]
    present = torch.zeros(len(embeddings))
    present[: len(heard)] = 1.0
    answers = heads.measures(heard)
    wanted = torch.cat([batch.measures.repeat(2, 1), _scaled(batch.snr_db)[:, None]], dim=1)
    known = torch.isfinite(wanted)
    return {
        "kinds": nn.functional.binary_cross_entropy_with_logits(heads.kinds(heard), batch.kinds.repeat(2, 1)),
        "present": 0.5 * nn.functional.binary_cross_entropy_with_logits(heads.present(embeddings)[:, 0], present),
        "measures": 2.0 * nn.functional.smooth_l1_loss(answers[known], wanted[known], beta=0.3),
        "same": 0.4 * nt_xent(heads.place(heard)),
    }


def _scaled(snr_db: Tensor) -> Tensor:
    """From -1 to 1 over the range that is drawn from."""
    low, high = SNR_DB
    return (snr_db - low) * (2 / (high - low)) - 1


def nt_xent(places: Tensor) -> Tensor:
    """The normalised temperature-scaled cross entropy of float32[2 n, dim], where row ``i`` and row ``n + i`` belong together."""
    n = len(places) // 2
    unit = nn.functional.normalize(places.float(), dim=1)
    likeness = (unit @ unit.T / _TEMPERATURE).masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    return nn.functional.cross_entropy(likeness, torch.arange(2 * n).roll(n))
