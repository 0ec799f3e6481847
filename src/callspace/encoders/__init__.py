"""Encoders: waveforms to embeddings.

`load_encoder` is the way in; the registry lists what there is. Nothing heavy is imported until it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callspace.encoders.contract import Encoder
    from callspace.encoders.load import check_weights, load_encoder
    from callspace.encoders.registry import names, spec
    from callspace.encoders.specs import EncoderSpec, Weights

__all__ = ["Encoder", "EncoderSpec", "Weights", "check_weights", "load_encoder", "names", "spec"]

_WHERE = {
    "Encoder": "contract",
    "EncoderSpec": "specs",
    "Weights": "specs",
    "check_weights": "load",
    "load_encoder": "load",
    "names": "registry",
    "spec": "registry",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
