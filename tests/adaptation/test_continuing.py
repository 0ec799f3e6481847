"""A tuned encoder that is tuned again: its head keeps what it knows of the labels that stay."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from callspace import load_encoder
from callspace.adaptation.continuing import continued_head
from callspace.encoders.heads import LinearHead, MlpHead

DIM = 80


def tuned(labels, head=None):
    encoder = load_encoder("mfcc", sample_rate_hz=16_000)
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    if head is None:
        head = LinearHead(DIM, len(labels), mean=draw(DIM), scale=draw(DIM).abs() + 0.5)
        with torch.no_grad():
            head.linear.weight.copy_(draw(len(labels), DIM))
            head.linear.bias.copy_(draw(len(labels)))
    encoder.head, encoder.labels = head, list(labels)
    return encoder


def logits(head, seed=0):
    return head(torch.randn(5, DIM, generator=torch.Generator().manual_seed(seed))).detach()


@settings(max_examples=20, deadline=None)
@given(st.permutations(["frog", "newt", "owl", "toad"]))
def test_the_same_labels_in_another_order_give_the_same_logits_in_that_order(labels):
    encoder = tuned(["frog", "newt", "owl", "toad"])
    order = [encoder.labels.index(label) for label in labels]
    assert torch.equal(logits(continued_head(encoder, labels, seed=0)), logits(encoder.head)[:, order])


def test_labels_that_stay_keep_their_logits_and_new_ones_are_drawn_from_the_seed():
    encoder = tuned(["frog", "newt", "owl"])
    first, second, same = (continued_head(encoder, ["bat", "owl", "frog"], seed=seed) for seed in (0, 1, 0))
    for head in (first, second):
        assert torch.equal(logits(head)[:, 1:], logits(encoder.head)[:, [2, 0]])
    assert torch.equal(first.linear.weight, same.linear.weight)
    assert not torch.equal(first.linear.weight[0], second.linear.weight[0])
    assert first.linear.weight[0].abs().max() <= DIM**-0.5  # as torch starts a new layer
    assert torch.equal(first.mean, encoder.head.mean)
    assert torch.equal(first.scale, encoder.head.scale)


@pytest.mark.parametrize("bias", [True, False])
def test_a_plain_linear_layer_goes_on_as_a_head_that_answers_the_same(bias):
    encoder = tuned(["frog", "newt"], nn.Linear(DIM, 2, bias=bias))
    head = continued_head(encoder, ["newt", "frog"], seed=0)
    assert isinstance(head, LinearHead)
    torch.testing.assert_close(logits(head), logits(encoder.head)[:, [1, 0]])


def test_neither_the_encoders_head_nor_torchs_generator_changes():
    encoder = tuned(["frog", "newt"])
    before, state = logits(encoder.head), torch.random.get_rng_state()
    with torch.no_grad():
        continued_head(encoder, ["frog", "bat"], seed=3).linear.weight.zero_()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(logits(encoder.head), before)


@pytest.mark.parametrize(
    ("head", "own", "labels"),
    [
        (None, ["frog", "newt"], ["bat", "owl"]),  # nothing in common
        (MlpHead(DIM, 2, 8), ["frog", "newt"], ["frog", "newt"]),
        (nn.Linear(DIM + 1, 2), ["frog", "newt"], ["frog", "newt"]),
        (nn.Linear(DIM, 3), ["frog", "newt"], ["frog", "newt"]),  # labels that are not the head's
    ],
)
def test_where_nothing_can_be_taken_over_there_is_none(head, own, labels):
    assert continued_head(tuned(own, head), labels, seed=0) is None


def test_an_encoder_without_a_head_has_nothing_to_go_on_with():
    assert continued_head(load_encoder("mfcc", sample_rate_hz=16_000), ["frog"], seed=0) is None
