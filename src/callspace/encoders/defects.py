"""Two defects of the study's input, repeated on request: only to see what they did to its numbers.

- Its vision models divide a batch of mel spectrograms by the maximum of the whole batch: a clip's embedding depends on its batch-mates,
  which breaks the rule of `callspace.encoders.contract`. The front end is called ``power-batch`` and is no choice of any encoder's spec: it
  is reached through `with_study_defects` only. Shorter clips of a batch are filled with zeros to its longest, as it is handed over.
- AVES, trained at 16 kHz, is fed the dataset's own sample rate as if it were that.

Both are in the encoder's spec, its note and its fingerprint, and a tuned encoder that is saved keeps them.

Source: the study's public notebooks (C. Chen and Z. Yang, arXiv 2508.10230).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callspace.encoders.contract import Encoder

__all__ = ["BATCH_FRONT_END", "front_end_to_build", "had_study_defects", "with_study_defects"]

#: The front end that divides by the maximum of the batch.
BATCH_FRONT_END = "power-batch"

_OF_BATCH = (
    "Its spectrograms are divided by the maximum of their whole batch, as in the study: an embedding depends on its batch-mates, and does not "
    "compare with others."
)
_OF_RATE = "It hears the dataset's own sample rate as if it were 16 kHz, as in the study: it was trained at 16 kHz."


def with_study_defects(encoder: Encoder) -> Encoder:
    """The same encoder with the study's defect, where it has one for it: a vision encoder of linear power, or one of the AVES family.

    It is changed in place, before it is bound to a sample rate, and returned. A tuned one stays as it was tuned.
    """
    from callspace.encoders.vision import VisionEncoder

    spec = encoder.spec
    if encoder.origin.get("kind") == "tuned":
        return encoder
    if isinstance(encoder, VisionEncoder) and spec.front_end == "power":
        encoder.spec = replace(spec, front_end=BATCH_FRONT_END, note=f"{spec.note} {_OF_BATCH}".strip())
    elif spec.family == "aves":
        encoder.spec = replace(spec, sample_rate_hz=None, note=f"{spec.note} {_OF_RATE}".strip())
        encoder._sample_rate_hz = None
    return encoder


def had_study_defects(card: dict[str, Any], spec: Any) -> bool:
    """Whether the encoder that a card describes was saved with a defect; `spec` is the registry's."""
    other_rate = spec.sample_rate_hz is not None and int(card["sample_rate_hz"]) != spec.sample_rate_hz
    return card["front_end"] == BATCH_FRONT_END or (spec.family == "aves" and other_rate)


def front_end_to_build(name: str) -> str:
    """The front end that an encoder is built with before `with_study_defects` changes it."""
    return "power" if name == BATCH_FRONT_END else name
