"""Heads: from an embedding to one logit a label."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from callspace.errors import CallspaceError

__all__ = ["LinearHead", "MlpHead", "PrototypeHead", "build_head", "describe_head"]


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


class MlpHead(nn.Module):
    """logits = linear(dropout(gelu(hidden((embedding - mean) / scale)))).

    Parameters
    ----------
    in_features, out_features : int
    hidden_features : int
        The width of the hidden layer.
    dropout : float
        The share of hidden units that training leaves out at a time.
    mean, scale : float32[in_features], optional
        As in `LinearHead`.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden_features: int,
        *,
        dropout: float = 0.0,
        mean: Tensor | None = None,
        scale: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", _vector(mean, in_features, 0.0))
        self.register_buffer("scale", _vector(scale, in_features, 1.0))
        self.hidden = nn.Linear(in_features, hidden_features)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden_features, out_features)

    def forward(self, embeddings: Tensor) -> Tensor:
        """float32[batch, in_features] to float32[batch, out_features]."""
        hidden = nn.functional.gelu(self.hidden((embeddings - self.mean) / self.scale))
        return self.linear(self.dropout(hidden))


class PrototypeHead(nn.Module):
    """logits = temperature * cosine of the standardised embedding with a prototype a label, plus bias.

    A prototype that is the difference of two unit vectors gives the difference of the two cosines, so prototypes need not be of unit
    length: only the embedding is divided by its own.

    Parameters
    ----------
    in_features, out_features : int
    mean, scale : float32[in_features], optional
        As in `LinearHead`.
    """

    mean: Tensor
    scale: Tensor
    temperature: Tensor

    def __init__(self, in_features: int, out_features: int, *, mean: Tensor | None = None, scale: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("mean", _vector(mean, in_features, 0.0))
        self.register_buffer("scale", _vector(scale, in_features, 1.0))
        self.register_buffer("temperature", torch.ones(()))
        self.prototypes = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, embeddings: Tensor) -> Tensor:
        """float32[batch, in_features] to float32[batch, out_features]."""
        directions = nn.functional.normalize((embeddings - self.mean) / self.scale, dim=1)
        return self.temperature * (directions @ self.prototypes.T) + self.bias


def _vector(values: Tensor | None, size: int, default: float) -> Tensor:
    if values is None:
        return torch.full((size,), default)
    values = torch.as_tensor(values, dtype=torch.float32).detach().clone()
    if values.shape != (size,):
        raise ValueError(f"mean and scale must be [{size}], not {tuple(values.shape)}")
    return values


def describe_head(head: nn.Module) -> dict[str, Any]:
    """Kind and shape of a head, as `build_head` takes them."""
    if isinstance(head, MlpHead):
        sizes = {"in_features": head.hidden.in_features, "out_features": head.linear.out_features}
        return {"kind": "standardised mlp", **sizes, "hidden_features": head.hidden.out_features, "dropout": head.dropout.p}
    if isinstance(head, PrototypeHead):
        return {"kind": "prototypes", "in_features": head.prototypes.shape[1], "out_features": head.prototypes.shape[0]}
    linear = head.linear if isinstance(head, LinearHead) else head
    if not isinstance(linear, nn.Linear):
        known = "a LinearHead, an MlpHead, a PrototypeHead or an nn.Linear"
        raise ValueError(f"a head must be {known} to be saved, not {type(head).__name__}")
    kind = "standardised linear" if isinstance(head, LinearHead) else "linear"
    return {"kind": kind, "in_features": linear.in_features, "out_features": linear.out_features, "bias": linear.bias is not None}


def build_head(description: dict[str, Any]) -> nn.Module:
    """An untrained head from its description; `CallspaceError` for a kind that is not known."""
    kind = description["kind"]
    size = int(description["in_features"]), int(description["out_features"])
    if kind == "standardised linear":
        return LinearHead(*size)
    if kind == "standardised mlp":
        return MlpHead(*size, int(description["hidden_features"]), dropout=float(description["dropout"]))
    if kind == "prototypes":
        return PrototypeHead(*size)
    if kind == "linear":
        return nn.Linear(*size, bias=bool(description["bias"]))
    raise CallspaceError(f"a head of the kind '{kind}' is not known here; was it saved by a newer callspace?")
