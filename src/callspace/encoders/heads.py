"""Heads: from an embedding to one logit a label."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from callspace.errors import CallspaceError

__all__ = ["LinearHead", "build_head", "describe_head"]


class LinearHead(nn.Module):
    """logits = linear((embedding - mean) / scale).

    Parameters
    ----------
    in_features, out_features : int
        The embedding's dimension and the number of labels.
    mean, scale : float32[in_features], optional
        Buffers, not trained: the mean and the standard deviation of the train split's embeddings; 0 and 1 when not given.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, in_features: int, out_features: int, *, mean: Tensor | None = None, scale: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("mean", _vector(mean, in_features, 0.0))
        self.register_buffer("scale", _vector(scale, in_features, 1.0))
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, embeddings: Tensor) -> Tensor:
        """float32[batch, in_features] to float32[batch, out_features]."""
        return self.linear((embeddings - self.mean) / self.scale)


def _vector(values: Tensor | None, size: int, default: float) -> Tensor:
    if values is None:
        return torch.full((size,), default)
    values = torch.as_tensor(values, dtype=torch.float32).detach().clone()
    if values.shape != (size,):
        raise ValueError(f"mean and scale must be [{size}], not {tuple(values.shape)}")
    return values


def describe_head(head: nn.Module) -> dict[str, Any]:
    """Kind and shape of a head, as `build_head` takes them."""
    linear = head.linear if isinstance(head, LinearHead) else head
    if not isinstance(linear, nn.Linear):
        raise ValueError(f"a head must be a LinearHead or an nn.Linear to be saved, not {type(head).__name__}")
    kind = "standardised linear" if isinstance(head, LinearHead) else "linear"
    return {"kind": kind, "in_features": linear.in_features, "out_features": linear.out_features, "bias": linear.bias is not None}


def build_head(description: dict[str, Any]) -> nn.Module:
    """An untrained head from its description; `CallspaceError` for a kind that is not known."""
    size = int(description["in_features"]), int(description["out_features"])
    if description["kind"] == "standardised linear":
        return LinearHead(*size)
    if description["kind"] == "linear":
        return nn.Linear(*size, bias=bool(description["bias"]))
    raise CallspaceError(f"a head of the kind '{description['kind']}' is not known here; was it saved by a newer callspace?")
