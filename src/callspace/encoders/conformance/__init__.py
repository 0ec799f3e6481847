"""Does an encoder keep the contract? Questions put to any of them, a user's own included.

The contract is `callspace.encoders.contract`: a clip's embedding follows from the clip alone, and is what the spec says it is. Each check
makes its own sounds, measures, and answers with an `Outcome`; a new check is a function and a line in `CHECKS`.

>>> from callspace import load_encoder
>>> outcomes = check(load_encoder("mfcc"), sample_rate_hz=16_000)
>>> [outcome.check for outcome in outcomes if outcome.result == "failed"]
[]
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from callspace.encoders.conformance import declared, hearing, invariance, training, variety
from callspace.encoders.conformance.outcomes import Check, Outcome, Result, failed
from callspace.encoders.conformance.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callspace.encoders.contract import Encoder

__all__ = ["CHECKS", "DEFAULT_RATE_HZ", "Check", "Outcome", "Result", "check"]

#: Of an encoder that works at the dataset's own rate and is bound to none.
DEFAULT_RATE_HZ = 16_000

CHECKS: tuple[Check, ...] = (
    Check("evaluation mode", "dropout or batch statistics would make embeddings random", declared.evaluation_mode),
    Check("dimension", "the spec says what comes out, for each layer and pooling", declared.dimensions),
    Check("layers in one pass", "a sweep over layers shows what each layer alone gives", declared.one_pass),
    Check("numbers", "embeddings are float32 and finite", declared.numbers),
    Check("sample rate", "sound is resampled to the rate the spec says", declared.sample_rate),
    Check("parameters", "the number shown to the user is the network's", declared.parameters),
    Check("same clip twice", "a score can be repeated", invariance.twice),
    Check("batch-mates", "a clip's embedding is its own, whatever it was batched with", invariance.batch_mates),
    Check("padding", "a short clip is not judged by the zeros after it", invariance.padding),
    Check("beyond the end", "nothing after a clip's end is heard", invariance.beyond_the_end),
    Check("batch order", "embeddings belong to the right clips", invariance.order),
    Check("very short clips", "one short annotation does not stop a run", hearing.short),
    Check("long clips", "windows longer than the network takes are framed", hearing.long),
    Check("silence", "a silent window does not stop a run", hearing.silence),
    Check("square wave", "a clipped recording does not stop a run", hearing.square_wave),
    Check("NaN", "damage is seen, and stays where it is", hearing.not_a_number),
    Check("wrong rate", "the encoder hears pitch and tempo", hearing.wrong_rate),
    Check("gain", "how much the distance to the microphone matters", hearing.gain),
    Check("resampling", "how much the recorder's rate matters", hearing.resampling),
    Check("dead dimensions", "every dimension says something", variety.dead),
    Check("collapse", "different sounds have different embeddings", variety.collapse),
    Check("gradient flow", "fine-tuning reaches all that it should, and nothing else", training.gradient_flow),
    Check("blocks", "regimes that train the last blocks train what they say", training.blocks),
    Check("cut in two", "what is frozen is computed once, to the same result", training.cuts),
    Check("no gradient", "embedding takes no memory for gradients", training.no_gradient),
    Check("fingerprint", "stored embeddings are found again, stale ones are not", declared.fingerprint),
    Check("copy", "what is fine-tuned is the encoder that was tried", declared.a_copy),
    Check("saved and read", "a tuned encoder embeds as it did", declared.saved),
)


def check(encoder: Encoder, *, sample_rate_hz: int | None = None, checks: Sequence[Check] = CHECKS) -> list[Outcome]:
    """Put every question to an encoder.

    Parameters
    ----------
    encoder : Encoder
        Left as it was found, on the device it is on.
    sample_rate_hz : int, optional
        For an encoder that works at the dataset's own rate: the one to try it at, `DEFAULT_RATE_HZ` when it is bound to none.
    checks : sequence of Check
        All of `CHECKS`, unless fewer are wanted.

    Returns
    -------
    list[Outcome]
        One a check, in the order of `checks`. A check that ends in an error is failed, and says what was raised.
    """
    if sample_rate_hz is not None or encoder._sample_rate_hz is None:
        encoder.bind(sample_rate_hz or DEFAULT_RATE_HZ)
    modes = {module: module.training for module in encoder.modules()}
    subject = Subject(encoder)
    encoder.eval()
    try:
        with torch.random.fork_rng(devices=[]):
            return [_outcome(one, subject) for one in checks]
    finally:
        for module, training_mode in modes.items():
            module.training = training_mode


def _outcome(one: Check, subject: Subject) -> Outcome:
    try:
        found = one.function(subject)
    except Exception as error:  # a user's encoder raises whatever it likes; the others checks go on
        first_line = (str(error).strip().splitlines() or [""])[0][:400]
        found = failed(f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__, "error")
    return replace(found, check=one.name)
