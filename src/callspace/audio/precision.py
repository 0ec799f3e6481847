"""Front ends in single precision, whatever precision the network behind them is run in.

Under `torch.autocast` matrix products round to 8 bits of mantissa (bfloat16) or 11 (float16): of the bands of a spectrogram, which differ
by many orders of magnitude, nothing quiet would be left.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

__all__ = ["in_float32"]

_Self = TypeVar("_Self")
_More = ParamSpec("_More")


def in_float32(method: Callable[Concatenate[_Self, Tensor, _More], Tensor]) -> Callable[Concatenate[_Self, Tensor, _More], Tensor]:
    """A method from a tensor to a tensor that computes in float32 inside of `torch.autocast` too, to the same bits as outside."""

    @functools.wraps(method)
    def guarded(self: _Self, values: Tensor, *arguments: _More.args, **named: _More.kwargs) -> Tensor:
        kind = values.device.type
        if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
            return method(self, values, *arguments, **named)
        with torch.autocast(kind, enabled=False):
            return method(self, values.float(), *arguments, **named)

    return guarded
