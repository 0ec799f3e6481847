"""Learnt pooling: what a query reads of tokens, kept with the encoder that it belongs to."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from callspace.encoders import load_encoder
from callspace.encoders.heads import LinearHead
from callspace.encoders.pooling import AttentivePooling, build_pooler, describe_pooler
from callspace.errors import CallspaceError


def pooler(dim=12, heads=3, seed=0):
    torch.manual_seed(seed)
    return AttentivePooling(dim, heads).eval()


def by_hand(pooling, tokens):
    """The same, head by head, for one clip: float64[tokens, dim] to float64[dim]."""
    double = {name: value.double() for name, value in pooling.state_dict().items()}
    normal = (tokens - tokens.mean(1, keepdim=True)) / (tokens.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    normal = normal * double["norm.weight"] + double["norm.bias"]
    keys = normal @ double["key.weight"].T + double["key.bias"]
    values = normal @ double["value.weight"].T + double["value.bias"]
    size, heads = pooling.dim // pooling.heads, []
    for head in range(pooling.heads):
        own = slice(head * size, (head + 1) * size)
        shares = (keys[:, own] @ double["query"][own] / size**0.5).softmax(0)
        heads.append(shares @ values[:, own])
    return double["out.weight"] @ torch.cat(heads) + double["out.bias"]


def test_it_is_attention_of_one_query():
    pooling = pooler()
    with torch.no_grad():
        pooling.query.mul_(100)  # or all tokens would have nearly one share
        tokens = torch.randn(2, 7, 12, generator=torch.Generator().manual_seed(1))
        found = pooling(tokens, torch.tensor([7, 4]))
    torch.testing.assert_close(found[0].double(), by_hand(pooling, tokens[0].double()), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1].double(), by_hand(pooling, tokens[1, :4].double()), rtol=1e-4, atol=1e-5)


def test_what_lies_behind_the_real_tokens_is_not_looked_at():
    pooling, tokens = pooler(), torch.randn(1, 5, 12)
    spoilt = tokens.clone()
    spoilt[:, 3:] = 1e3
    with torch.no_grad():
        assert torch.equal(pooling(tokens, torch.tensor([3])), pooling(spoilt, torch.tensor([3])))


def test_its_first_weights_follow_the_seed():
    first, again, other = (pooler(seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["query"], other["query"])


def test_heads_must_divide_the_dimension_and_are_found_when_not_said():
    assert [AttentivePooling(dim).heads for dim in (768, 20, 6, 5)] == [8, 4, 2, 1]
    with pytest.raises(ValueError, match="do not divide"):
        AttentivePooling(10, 4)


def test_it_is_described_and_built_again():
    assert describe_pooler(build_pooler(describe_pooler(pooler()))) == {"kind": "attentive", "dim": 12, "heads": 3}
    with pytest.raises(CallspaceError, match="not known here"):
        build_pooler({"kind": "of the future"})
    with pytest.raises(ValueError, match="AttentivePooling"):
        describe_pooler(torch.nn.Identity())


@pytest.fixture
def saved(tmp_path):
    encoder = load_encoder("resnet18:random", sample_rate_hz=8_000, layer="stage1")
    torch.manual_seed(2)
    encoder.pooler = AttentivePooling(encoder.token_dim)
    encoder.head, encoder.labels = LinearHead(encoder.spec.embedding_dim, 2), ["a", "b"]
    return encoder.eval(), encoder.save(tmp_path / "pooled")


def test_a_pooler_is_saved_and_read_with_its_encoder(saved):
    encoder, folder = saved
    loaded, clip = load_encoder(folder), torch.randn(2, 8_000)
    with torch.inference_mode():
        assert torch.equal(loaded(clip), encoder(clip))
    assert loaded.fingerprint() == encoder.fingerprint()
    assert loaded.spec.embedding_dim == encoder.token_dim == 64


def test_a_pooler_that_was_changed_or_is_missing_is_refused(saved):
    _, folder = saved
    state = load_file(folder / "pooler.safetensors")
    save_file({**state, "query": state["query"] + 1}, folder / "pooler.safetensors")
    with pytest.raises(CallspaceError, match=r"pooler\.safetensors does not hold"):
        load_encoder(folder)
    (folder / "pooler.safetensors").unlink()
    with pytest.raises(CallspaceError, match="pooler"):
        load_encoder(folder)
