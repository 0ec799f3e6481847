"""A network whose state dict has the published keys, whatever the library that builds it calls them.

The networks come from transformers, the checkpoints from torchvision and torchaudio. `PublishedLayout` holds the first and speaks the
second's keys, in `state_dict` and in `load_state_dict`, so that files, fingerprints and errors know one layout only: the published one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

__all__ = ["PublishedLayout"]


class PublishedLayout(nn.Module):
    """Holds a network as `inner` and renames its state dict.

    Parameters
    ----------
    inner : nn.Module
    published : Callable[[str], str]
        From a key of `inner`'s state dict to the published key; one to one.
    """

    def __init__(self, inner: nn.Module, published: Callable[[str], str]) -> None:
        super().__init__()
        self.inner = inner
        self._published = {f"inner.{key}": published(key) for key in inner.state_dict()}
        self._own = {name: key for key, name in self._published.items()}
        if len(self._own) != len(self._published):
            raise ValueError("two keys have the same published name")
        self.register_state_dict_post_hook(_rename_to_published)
        self.register_load_state_dict_pre_hook(_rename_to_own)


def _rename_to_published(module: nn.Module, state: dict[str, Any], prefix: str, local_metadata: dict[str, Any]) -> None:
    _rename(state, prefix, module._published)  # type: ignore[arg-type]


def _rename_to_own(module: nn.Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
    _rename(state, prefix, module._own)  # type: ignore[arg-type]


def _rename(state: dict[str, Any], prefix: str, names: dict[str, str]) -> None:
    for key in list(state):
        if key.startswith(prefix) and (new := names.get(key[len(prefix) :])) is not None:
            state[prefix + new] = state.pop(key)
