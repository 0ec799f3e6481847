"""Learnt pooling: tokens to one vector a clip.

A query that is learnt attends over the tokens: the class attention of H. Touvron and others, "Going deeper with Image Transformers", ICCV
2021, arXiv 2103.17239, without its feed-forward layer, as it is fitted on frozen networks in A. Bardes and others, "Revisiting Feature
Prediction for Learning Visual Representations from Video" (V-JEPA), 2024, arXiv 2404.08471 ("attentive probing").
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from callspace.errors import CallspaceError

__all__ = ["AttentivePooling", "build_pooler", "describe_pooler"]


class AttentivePooling(nn.Module):
    """One learnt query attends over layer-normalised tokens with several heads.

    Parameters
    ----------
    dim : int
        Of the tokens, and of what comes out.
    heads : int, optional
        Must divide `dim`; the most of 8, 4, 2 and 1 that do, when not given.

    Notes
    -----
    Initial values are drawn from torch's generator: `torch.manual_seed` makes them the same.
    """

    def __init__(self, dim: int, heads: int | None = None) -> None:
        super().__init__()
        heads = heads or next(number for number in (8, 4, 2, 1) if dim % number == 0)
        if dim % heads:
            raise ValueError(f"{heads} heads do not divide {dim} dimensions")
        self.dim, self.heads = dim, heads
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Parameter(0.02 * torch.randn(dim))
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        for linear in (self.key, self.value, self.out):
            nn.init.trunc_normal_(linear.weight, std=dim**-0.5)
            nn.init.zeros_(linear.bias)

    def forward(self, tokens: Tensor, counts: Tensor) -> Tensor:
        """Pool.

        Parameters
        ----------
        tokens : float32[batch, tokens, dim]
        counts : int64[batch]
            How many tokens of each clip are real, at least one: what lies behind them is not looked at.

        Returns
        -------
        float32[batch, dim]
        """
        normal = self.norm(tokens)
        key, value = (project(normal).unflatten(2, (self.heads, -1)).transpose(1, 2) for project in (self.key, self.value))
        query = self.query.to(key.dtype).expand(len(tokens), 1, -1).unflatten(2, (self.heads, -1)).transpose(1, 2)
        real = torch.arange(tokens.shape[1], device=tokens.device) < counts.to(tokens.device)[:, None]
        attended = scaled_dot_product_attention(query, key, value, attn_mask=real[:, None, None])
        return self.out(attended.transpose(1, 2).flatten(1)).float()


def describe_pooler(pooler: nn.Module) -> dict[str, Any]:
    """Kind and shape of a pooler, as `build_pooler` takes them."""
    if not isinstance(pooler, AttentivePooling):
        raise ValueError(f"a pooler must be an AttentivePooling to be saved, not {type(pooler).__name__}")
    return {"kind": "attentive", "dim": pooler.dim, "heads": pooler.heads}


def build_pooler(description: dict[str, Any]) -> nn.Module:
    """An untrained pooler from its description; `CallspaceError` for a kind that is not known."""
    if description["kind"] != "attentive":
        raise CallspaceError(f"a pooler of the kind '{description['kind']}' is not known here; was it saved by a newer callspace?")
    return AttentivePooling(int(description["dim"]), int(description["heads"]))
