"""Can it be trained, and is it left alone where it is not?"""

from __future__ import annotations

from collections import Counter

import torch

from callspace.encoders.conformance.outcomes import Outcome, failed, none, passed, within
from callspace.encoders.conformance.subject import Subject, difference

__all__ = ["blocks", "cuts", "gradient_flow", "no_gradient"]


def gradient_flow(subject: Subject) -> Outcome:
    """Every parameter that fine-tuning updates gets a gradient, and none that it leaves alone."""
    encoder = subject.encoder
    trained = encoder.backbone_parameters()
    if not encoder.spec.trainable:
        return none("it is frozen") if not trained else failed("it declares itself frozen, but offers parameters to train", len(trained), 0)
    if not trained:
        return failed("it declares itself trainable, but offers no parameters: set trainable=False", 0)
    kept = {parameter: parameter.grad for parameter in encoder.parameters()}
    encoder.zero_grad(set_to_none=True)
    try:
        with torch.enable_grad():
            weights = torch.randn(encoder.spec.embedding_dim, generator=torch.Generator().manual_seed(0)).to(subject.device)
            (encoder(*subject.batch(*subject.trio[::2])) @ weights).sum().backward()
        return _judged(subject, trained)
    finally:
        for parameter, gradient in kept.items():
            parameter.grad = gradient


def _judged(subject: Subject, trained: list[torch.nn.Parameter]) -> Outcome:
    names = {parameter: name for name, parameter in subject.encoder.named_parameters()}
    without = [names.get(parameter, "?") for parameter in trained if parameter.grad is None or not bool(parameter.grad.any())]
    wild = [
        names.get(parameter, "?") for parameter in trained if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all())
    ]
    chosen = set(trained)
    outside = [name for parameter, name in names.items() if parameter.grad is not None and parameter not in chosen]
    if without:
        return failed(f"no gradient reaches {_few(without)}: leave out of backbone_parameters() what makes no embedding", len(without), 0)
    if wild:
        return failed(f"the gradient of {_few(wild)} is not finite", len(wild), 0)
    if outside:
        return failed(f"{_few(outside)} gets a gradient, but is not among backbone_parameters()", len(outside), 0)
    return passed("every parameter that is trained gets a gradient, and no other", f"{len(trained)} tensors", "all")


def blocks(subject: Subject) -> Outcome:
    """Its blocks are all that fine-tuning updates, each parameter in one of them."""
    encoder = subject.encoder
    found = encoder.blocks()
    names = {parameter: name for name, parameter in encoder.network.named_parameters()}
    counts = Counter(parameter for block in found for parameter in block.parameters)
    if twice := [names.get(parameter, "?") for parameter, count in counts.items() if count > 1]:
        return failed(f"{_few(twice)} belongs to several blocks", len(twice), 0)
    trained = set(encoder.backbone_parameters())
    if lacking := [names.get(parameter, "?") for parameter in trained - set(counts)]:
        return failed(f"{_few(lacking)} is trained, but in no block", len(lacking), 0)
    if more := [names.get(parameter, "?") for parameter in set(counts) - trained]:
        return failed(f"{_few(more)} is in a block, but is not among backbone_parameters()", len(more), 0)
    if not found:
        return none("it is frozen")
    return passed(f"{len(found)} blocks from {found[0].name} to {found[-1].name}", len(found))


def cuts(subject: Subject) -> Outcome:
    """Run up to a block, and from there to the embedding, it embeds as it does in one go."""
    encoder = subject.encoder
    waveforms = torch.stack(subject.trio[::2]).to(subject.device)
    count = len(encoder.blocks())
    worst, places = 0.0, []
    with torch.inference_mode():
        whole = encoder(waveforms)
        for place in sorted({0, 1, count // 2, max(0, count - 1), count}):
            if (hidden := encoder.stem(waveforms, place)) is not None:
                places.append(place)
                worst = max(worst, difference(encoder.rest(hidden, place), whole))
    if not places:
        return none("it can't be cut: what is frozen is computed again in each epoch")
    return within(
        worst, f"cut before a block, it embeds alike (tried at {', '.join(map(str, places))})", "cut before a block, it embeds otherwise"
    )


def no_gradient(subject: Subject) -> Outcome:
    """No graph is kept where no gradient is wanted; a frozen encoder never keeps one."""
    batch = subject.batch(subject.trio[0])
    with torch.no_grad():
        recorded = subject.encoder(*batch).requires_grad
    if recorded:
        return failed("it records a gradient that nobody asked for: memory grows with every batch")
    if not subject.encoder.spec.trainable:
        with torch.enable_grad():
            if subject.encoder(*batch).requires_grad:
                return failed("it declares itself frozen, but records gradients")
    return passed("no gradient is recorded unless asked")


def _few(names: list[str], shown: int = 2) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
