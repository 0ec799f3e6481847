"""Tuning on: the head of a tuned encoder, for other labels.

An encoder that was tuned and is tuned again knows some of the labels already. Their rows of the head are taken over, whatever their order is
now; labels that are gone go, and new ones start from weights drawn from a seed. The statistics that a `LinearHead` standardises with are
kept: the rows that stay were fitted to embeddings seen so.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from callspace.encoders.contract import Encoder
from callspace.encoders.heads import LinearHead

__all__ = ["continued_head"]


def continued_head(encoder: Encoder, labels: Sequence[str], *, seed: int) -> LinearHead | None:
    """The linear head of a tuned encoder for `labels`, or None where nothing of its head can be taken over.

    Parameters
    ----------
    encoder : Encoder
        With a `head` and its `labels`; neither is changed.
    labels : sequence of str
        The vocabulary now, in order.
    seed : int
        Of the rows of new labels; torch's own generator is left as it was.

    Returns
    -------
    LinearHead | None
        None where the encoder has no linear head, none for embeddings of its dimension, or none of `labels` is among its own.

    Examples
    --------
    >>> import callspace
    >>> encoder = callspace.load_encoder("mfcc", sample_rate_hz=16_000)
    >>> encoder.head, encoder.labels = nn.Linear(encoder.spec.embedding_dim, 2), ["frog", "toad"]
    >>> continued_head(encoder, ["newt", "toad"], seed=0).linear.out_features
    2
    >>> continued_head(encoder, ["newt"], seed=0) is None
    True
    """
    known = _linear(encoder.head)
    before = encoder.labels or []
    if known is None or known.in_features != encoder.spec.embedding_dim or known.out_features != len(before):
        return None
    rows = {label: row for row, label in enumerate(before)}
    shared = [(row, rows[label]) for row, label in enumerate(labels) if label in rows]
    if not shared:
        return None
    statistics = {"mean": encoder.head.mean, "scale": encoder.head.scale} if isinstance(encoder.head, LinearHead) else {}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        head = LinearHead(known.in_features, len(labels), **statistics)
        here, there = (list(part) for part in zip(*shared, strict=True))
        head.linear.weight[here] = known.weight[there].detach().cpu().float()
        head.linear.bias[here] = 0.0 if known.bias is None else known.bias[there].detach().cpu().float()
    return head


def _linear(head: nn.Module | None) -> nn.Linear | None:
    """The layer of a linear head; None for any other kind."""
    if isinstance(head, LinearHead):
        return head.linear
    return head if isinstance(head, nn.Linear) else None
