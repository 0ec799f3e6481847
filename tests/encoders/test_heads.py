"""Heads: what they compute, and that they come back from their description and state as they were."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from callspace.encoders.heads import LinearHead, MlpHead, PrototypeHead, build_head, describe_head
from callspace.errors import CallspaceError

KINDS = ("linear", "mlp", "prototype", "bare", "bare without bias")


def head_of(kind: str, size: int = 6, labels: int = 3) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    numbers = {"mean": torch.randn(size, generator=generator), "scale": torch.rand(size, generator=generator) + 0.5}
    if kind == "linear":
        return LinearHead(size, labels, **numbers)
    if kind == "mlp":
        return MlpHead(size, labels, 10, dropout=0.25, **numbers)
    if kind == "prototype":
        head = PrototypeHead(size, labels, **numbers)
        nn.init.normal_(head.prototypes, generator=generator)
        nn.init.normal_(head.bias, generator=generator)
        head.temperature.fill_(7.0)
        return head
    return nn.Linear(size, labels, bias=kind == "bare")


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_comes_back_from_its_description_and_its_state(kind, tmp_path):
    head = head_of(kind).eval()
    save_file(head.state_dict(), tmp_path / "head.safetensors")
    again = build_head(json.loads(json.dumps(describe_head(head)))).eval()
    again.load_state_dict(load_file(tmp_path / "head.safetensors"))
    x = torch.randn(4, 6)
    assert type(again) is type(head)
    assert torch.equal(again(x), head(x))
    assert describe_head(again) == describe_head(head)


def test_a_head_with_a_hidden_layer_is_standardise_linear_gelu_linear():
    head = head_of("mlp").eval()
    x = torch.randn(5, 6, dtype=torch.float64)
    a, b = ((layer.weight.double(), layer.bias.double()) for layer in (head.hidden, head.linear))
    hidden = ((x - head.mean.double()) / head.scale.double()) @ a[0].T + a[1]
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    torch.testing.assert_close(head(x.float()).double(), hidden @ b[0].T + b[1], atol=1e-5, rtol=1e-5)


def test_dropout_is_for_training_only():
    head = head_of("mlp")
    x = torch.randn(5, 6)
    assert torch.equal(head.eval()(x), head(x))
    assert not torch.equal(head.train()(x), head(x))


@given(gain=st.floats(0.01, 100))
@settings(max_examples=20, deadline=None)
def test_prototypes_see_the_direction_of_a_standardised_embedding_and_not_its_length(gain):
    head = head_of("prototype")
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    further = head.mean + gain * (x - head.mean)
    torch.testing.assert_close(head(further), head(x), atol=2e-4, rtol=1e-4)
    standard = (x - head.mean) / head.scale
    cosine = nn.functional.cosine_similarity(standard[:, None], head.prototypes[None], dim=2) * head.prototypes.norm(dim=1)
    torch.testing.assert_close(head(x), 7.0 * cosine + head.bias, atol=1e-4, rtol=1e-4)


def test_an_embedding_that_is_the_mean_itself_has_finite_scores():
    head = head_of("prototype")
    assert torch.equal(head(head.mean[None])[0], head.bias)


def test_a_module_that_is_no_head_is_not_described_and_an_unknown_kind_not_built():
    with pytest.raises(ValueError, match="not ReLU"):
        describe_head(nn.ReLU())
    with pytest.raises(CallspaceError, match="newer callspace"):
        build_head({"kind": "quantum", "in_features": 1, "out_features": 1})
