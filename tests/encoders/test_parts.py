"""An encoder taken apart: blocks, adapters, cuts and tokens, of every family at a small size."""

import copy
from collections import Counter

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn

from callspace.encoders.contract import Encoder, EncoderSpec
from callspace.encoders.modules import ModuleEncoder
from callspace.encoders.parts import opened, packed
from callspace.encoders.pooling import AttentivePooling
from callspace.errors import CallspaceError
from tiny_encoders import one_of_each_kind, tiny_encoder

RATE = 16_000
#: Shorter than a second of their own rate, so that nothing is framed; long enough that most are not filled up wholly.
SECONDS = 0.45
#: Families that look at one picture of ten seconds, in which nothing may be cut but the front end.
UNCUT = ("clap", "clap-larger-general", "biolingual")


@pytest.fixture(scope="module", params=one_of_each_kind())
def encoder(request):
    return tiny_encoder(request.param, sample_rate_hz=RATE)


@pytest.fixture
def trainable(encoder):
    if not encoder.spec.trainable:
        pytest.skip("nothing to train")
    return encoder


def sound(encoder, seconds=SECONDS, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(batch, round(seconds * encoder.sample_rate_hz), generator=generator)


def apart(found, wanted):
    return float((found - wanted).abs().max() / wanted.abs().max())


def some_layers(encoder):
    layers = encoder.spec.layers
    return dict.fromkeys((layers[0], layers[min(1, len(layers) - 1)], layers[-1]))


# --- blocks ---


def test_the_blocks_are_what_is_trained_and_nothing_twice(encoder):
    for layer in encoder.spec.layers:
        read = encoder.at(layer)
        counts = Counter(id(parameter) for block in read.blocks() for parameter in block.parameters)
        assert set(counts) == {id(parameter) for parameter in read.backbone_parameters()}
        assert set(counts.values()) <= {1}
        assert len({block.name for block in read.blocks()}) == len(read.blocks())


def test_blocks_lie_in_the_order_in_which_they_are_run(trainable):
    """A change of a block's weights changes what goes into the next one, and nothing that goes into itself or those before."""
    encoder = copy.deepcopy(trainable)
    blocks, clip = encoder.blocks(), sound(trainable, 0.2, batch=1)
    with torch.inference_mode():
        before = [encoder.stem(clip, number) for number in range(len(blocks) + 1)]
    if before[-1] is None:
        pytest.skip("it can't be cut")
    middle = len(blocks) // 2
    with torch.no_grad():
        for parameter in blocks[middle].parameters:
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        after = [encoder.stem(clip, number) for number in range(len(blocks) + 1)]
    assert all(torch.equal(*pair) for pair in list(zip(before, after, strict=True))[: middle + 1])
    assert not torch.equal(before[middle + 1], after[middle + 1])


@pytest.mark.parametrize(
    ("name", "layer", "names"),
    [
        ("alexnet", None, ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"]),
        ("alexnet", "logits", ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "classifier"]),
        ("resnet18", None, ["conv1", "stage1.block1", "stage2.block1", "stage3.block1", "stage4.block1"]),
        ("resnet18", "stage2", ["conv1", "stage1.block1", "stage2.block1"]),
        ("aves", None, ["embedding", "layer1", "layer2", "layer3"]),
        ("vggish", None, ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "fc1", "fc2", "fc3"]),
        ("yamnet", "layer2", ["conv1", "block1", "block2"]),
    ],
)
def test_the_blocks_of(name, layer, names):
    assert [block.name for block in tiny_encoder(name, layer=layer).blocks()] == names


def test_the_convolutions_that_aves_never_trains_are_in_no_block():
    encoder = tiny_encoder("aves")
    frozen = {id(parameter) for parameter in encoder.network.inner.feature_extractor.parameters()}
    assert not frozen & {id(parameter) for block in encoder.blocks() for parameter in block.parameters}


# --- adapters ---


def test_every_adapter_gets_a_gradient_changes_nothing_at_the_start_and_can_be_merged(trainable):
    encoder = copy.deepcopy(trainable)
    clips, keys = sound(encoder), list(encoder.network.state_dict())
    with torch.no_grad():
        plain = encoder(clips)
    targets = encoder.lora_targets()
    assert targets
    own = {id(parameter) for block in encoder.blocks() for parameter in block.parameters}
    assert all(id(encoder.network.get_submodule(name).weight) in own for name in targets)
    inject_adapter_in_model(LoraConfig(r=2, target_modules=targets), encoder.network)
    adapters = {name: module for name, module in encoder.network.named_modules() if isinstance(module, LoraLayer)}
    assert set(adapters) == set(targets)
    found = encoder(clips)
    assert apart(found.detach(), plain) <= 1e-6
    weights = torch.randn(found.shape[1], generator=torch.Generator().manual_seed(0))
    (found @ weights).sum().backward()
    ups = {name: module.lora_B["default"].weight for name, module in adapters.items()}
    assert [name for name, up in ups.items() if up.grad is None or not bool(up.grad.any())] == []
    with torch.no_grad():
        for up in ups.values():
            up.copy_(0.05 * torch.randn(up.shape, generator=torch.Generator().manual_seed(1)))
        adapted = encoder(clips)
        if (hidden := encoder.stem(clips, 0)) is not None:
            assert apart(encoder.rest(hidden, 0), adapted) <= 1e-5
        for name, module in adapters.items():
            module.merge()
            parent, _, last = name.rpartition(".")
            setattr(encoder.network.get_submodule(parent), last, module.get_base_layer())
        merged = encoder(clips)
    assert apart(adapted, plain) > 1e-4
    assert apart(merged, adapted) <= 1e-5
    assert list(encoder.network.state_dict()) == keys


def test_wavlm_reads_the_weights_of_its_attention_so_adapters_go_elsewhere():
    assert {name.rsplit(".", 1)[1] for name in tiny_encoder("wavlm-base").lora_targets()} == {"intermediate_dense", "output_dense"}


# --- cuts ---


def test_cut_before_any_block_it_embeds_as_in_one_go(encoder):
    clips = sound(encoder)
    for layer in some_layers(encoder):
        read = encoder.at(layer)
        with torch.inference_mode():
            whole = read(clips)
            places = [place for place in range(len(read.blocks()) + 1) if read.stem(clips, place) is not None]
            for place in places:
                hidden = read.stem(clips, place)
                assert hidden.dtype == torch.float32
                assert len(hidden) == len(clips)
                assert apart(read.rest(hidden, place), whole) <= 1e-6
        if encoder.spec.trainable:
            assert places == ([0] if encoder.spec.name in UNCUT else list(range(len(read.blocks()) + 1)))


@pytest.mark.parametrize(
    "name", ["ast", "audiomae-ft", "eat-base", "birdmae-base", "whisper-tiny", "yamnet", "vggish", "dasheng-base", "beats"]
)
@pytest.mark.parametrize("seconds", [0.03, 0.2, 0.497, 0.65, 1.0, 1.7])
def test_clips_that_are_filled_up_or_framed_can_be_cut_with_every_pooling(name, seconds):
    encoder = tiny_encoder(name)
    clips = sound(encoder, seconds)
    for pool in encoder.spec.pools:
        read = encoder.at(pool=pool)
        with torch.inference_mode():
            whole = read(clips)
            for place in range(len(read.blocks()) + 1):
                assert apart(read.rest(read.stem(clips, place), place), whole) <= 1e-6


def test_in_training_the_rest_does_what_all_does(trainable):
    encoder = copy.deepcopy(trainable).train()
    clips = sound(encoder, batch=3)
    for place in range(len(encoder.blocks()) + 1):
        with torch.no_grad():
            torch.manual_seed(5)
            whole = copy.deepcopy(encoder)(clips)
            torch.manual_seed(5)
            hidden = encoder.stem(clips, place)
            if hidden is not None:
                assert apart(encoder.rest(hidden, place), whole) <= 1e-5


def test_the_rest_leaves_what_it_is_given_as_it_was(trainable):
    clips = sound(trainable, 0.2)
    with torch.no_grad():
        for place in range(len(trainable.blocks()) + 1):
            if (hidden := trainable.stem(clips, place)) is not None:
                kept = hidden.clone()
                trainable.rest(hidden, place)
                assert torch.equal(hidden, kept)


def test_the_rest_trains_the_blocks_behind_the_cut_and_no_other(trainable):
    encoder = copy.deepcopy(trainable)
    blocks = encoder.blocks()
    place = len(blocks) - 1
    with torch.no_grad():
        hidden = encoder.stem(sound(encoder), place)
    if hidden is None:
        pytest.skip("it can't be cut there")
    found = encoder.rest(hidden, place)
    (found @ torch.randn(found.shape[1], generator=torch.Generator().manual_seed(0))).sum().backward()
    assert all(parameter.grad is not None for parameter in blocks[-1].parameters)


def test_axes_of_pictures_are_where_frequency_and_time_are(encoder):
    """A longer clip has a longer picture, or the same where the network takes one length; its frequencies stay."""
    if encoder.picture_axes is None:
        return
    short, longer = (encoder.stem(sound(encoder, seconds, batch=1), 0) for seconds in (0.25, 0.4))
    frequency, time = encoder.picture_axes
    assert frequency < 0 and time < 0 and frequency != time
    assert short.shape[frequency] == longer.shape[frequency]
    assert short.shape[time] <= longer.shape[time]
    low, high = (encoder.stem(tone(encoder, share), 0).mean(dim=time % short.ndim).flatten().argmax() for share in (0.05, 0.3))
    assert low < high  # a higher tone lies further along the frequency axis


def tone(encoder, share):
    time = torch.arange(round(0.4 * encoder.sample_rate_hz))
    return 0.3 * torch.sin(2 * torch.pi * share * time)[None]


def test_an_encoder_without_blocks_cannot_be_cut():
    encoder = tiny_encoder("mfcc")
    assert encoder.blocks() == []
    assert encoder.lora_targets() == []
    assert encoder.stem(sound(encoder), 0) is None


# --- tokens ---


def test_tokens_are_a_clips_own_whatever_its_batch_mates(encoder):
    clips = [sound(encoder, seconds, batch=1, seed=number)[0] for number, seconds in enumerate((0.2, SECONDS, 0.31))]
    lengths = torch.tensor([len(clip) for clip in clips])
    try:
        width = encoder.token_dim
    except CallspaceError as error:
        assert "no frames to pool anew" in str(error)
        with pytest.raises(CallspaceError, match="choose the regime linear or mlp"):
            encoder.tokens(clips[0][None])
        return
    with torch.inference_mode():
        tokens, counts = encoder.tokens(nn.utils.rnn.pad_sequence(clips, batch_first=True), lengths)
        assert tokens.shape == (3, int(counts.max()), width)
        for clip, row, count in zip(clips, tokens, counts.tolist(), strict=True):
            alone, (only,) = encoder.tokens(clip[None])
            assert only == count > 0
            assert apart(row[:count], alone[0]) <= 1e-4
            assert not row[count:].any()


@pytest.mark.parametrize("name", ["aves", "ast", "whisper-tiny", "beats", "dasheng-base", "eat-base"])
def test_the_mean_of_a_transformers_tokens_is_its_mean_embedding(name):
    encoder = tiny_encoder(name, pool="mean")
    clips = sound(encoder, 0.6)
    with torch.inference_mode():
        tokens, counts = encoder.tokens(clips)
        assert apart(tokens.sum(dim=1) / counts[:, None], encoder(clips)) <= 1e-5


@pytest.mark.parametrize(("name", "layer"), [("resnet18", "pooled"), ("resnet18", "stage2"), ("yamnet", "pooled"), ("clap", "pooled")])
def test_the_mean_of_a_maps_places_is_its_embedding(name, layer):
    encoder = tiny_encoder(name, layer=layer)
    clips = sound(encoder)
    with torch.inference_mode():
        assert apart(encoder.tokens(clips)[0].mean(dim=1), encoder(clips)) <= 1e-5


# --- pooled anew ---


def test_a_pooler_makes_the_embedding_of_its_layer_and_of_no_other(encoder):
    try:
        width = encoder.token_dim
    except CallspaceError:
        return
    encoder = copy.deepcopy(encoder)
    before, plain = encoder.fingerprint(), encoder.spec.embedding_dim
    torch.manual_seed(0)
    encoder.pooler = AttentivePooling(width)
    clips = sound(encoder)
    with torch.no_grad():
        found = encoder.eval()(clips)
        assert found.shape == (2, width) == (2, encoder.spec.embedding_dim)
        assert torch.equal(found, encoder.pooler(*encoder.tokens(clips)))
        for place in range(len(encoder.blocks()) + 1):
            if (hidden := encoder.stem(clips, place)) is not None:
                assert apart(encoder.rest(hidden, place), found) <= 1e-5
    assert encoder.at().pooler is encoder.pooler
    assert encoder.fingerprint() != before
    if len(encoder.spec.layers) > 1:
        other = encoder.at(encoder.spec.layers[1])
        assert other.pooler is None
        assert other.spec.embedding_dim == encoder._registered.dim_of(other.layer, other.pool)
        assert other(clips).shape[1] == other.spec.embedding_dim
    encoder.pooler = None
    assert (encoder.spec.embedding_dim, encoder.fingerprint()) == (plain, before)


def test_with_a_pooler_all_that_is_trained_gets_a_gradient(trainable):
    try:
        width = trainable.token_dim
    except CallspaceError:
        return
    encoder = copy.deepcopy(trainable)
    encoder.pooler = AttentivePooling(width)
    vectors = encoder(sound(encoder))
    (vectors @ torch.randn(width, generator=torch.Generator().manual_seed(0))).sum().backward()
    named = {parameter: name for name, parameter in encoder.named_parameters()}
    parameters = [*encoder.backbone_parameters(), *encoder.pooler.parameters()]
    assert [named[parameter] for parameter in parameters if parameter.grad is None] == []


# --- precision ---


def test_in_half_precision_embeddings_are_float32_and_near(encoder):
    clips = sound(encoder)
    with torch.inference_mode():
        whole = encoder(clips)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = encoder(clips)
            hidden = encoder.stem(clips, 0)
            rest = None if hidden is None else encoder.rest(hidden, 0)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()
    assert apart(found, whole) < 0.2
    if rest is not None:
        assert (hidden.dtype, rest.dtype) == (torch.float32, torch.float32)


def test_pictures_are_the_same_to_the_bit_in_half_precision(encoder):
    if encoder.picture_axes is None:
        return
    clips = sound(encoder)
    with torch.inference_mode():
        whole = encoder.stem(clips, 0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(encoder.stem(clips, 0), whole)


# --- networks of unknown make ---


class Stack(nn.Module):
    """An embedding and a row of layers, each of several modules, wrapped once."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Module()
        self.inner.scale = nn.Parameter(torch.ones(()))
        self.inner.embed = nn.Linear(50, 6)
        self.inner.layers = nn.ModuleList(nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6)) for _ in range(3))
        self.inner.last = nn.LayerNorm(6)

    def forward(self, waveforms):
        frames = self.inner.embed(waveforms.unfold(1, 50, 50)) * self.inner.scale
        for layer in self.inner.layers:
            frames = frames + layer(frames)
        return self.inner.last(frames)


def test_a_network_of_unknown_make_is_taken_apart_by_its_rows():
    network = Stack()
    names = [name for name, _ in opened(network, set(network.parameters()))]
    assert names == ["inner.embed", "inner.layers.0", "inner.layers.1", "inner.layers.2", "inner.last"]


def test_an_encoder_of_ones_own_has_blocks_adapters_and_tokens_but_cannot_be_cut():
    spec = EncoderSpec("stack", "1", 8_000, 6, "none", "", pools=("mean", "max", "mean+max"))
    encoder = ModuleEncoder(spec, Stack()).eval()
    blocks = encoder.blocks()
    assert {id(p) for block in blocks for p in block.parameters} == {id(p) for p in encoder.backbone_parameters()}
    assert len(blocks) == 5
    assert "inner.layers.1.2" in encoder.lora_targets()
    assert encoder.stem(torch.randn(1, 400), 0) is None
    tokens, counts = encoder.tokens(torch.randn(2, 400), torch.tensor([400, 200]))
    assert (tokens.shape, counts.tolist()) == ((2, 8, 6), [8, 4])


class ReadsPast(nn.Module):
    """Has a linear map whose weight it reads, past the map."""

    def __init__(self):
        super().__init__()
        self.read, self.called = nn.Linear(50, 6), nn.Linear(6, 4)

    def forward(self, waveforms):
        return self.called(nn.functional.linear(waveforms.unfold(1, 50, 50), self.read.weight, self.read.bias)).mean(dim=1)


def test_of_a_network_of_unknown_make_only_modules_that_are_called_get_adapters():
    encoder = ModuleEncoder(EncoderSpec("past", "1", 8_000, 4, "none", ""), ReadsPast()).eval()
    assert encoder.lora_targets() == ["called"]


def test_an_encoder_that_answers_with_vectors_has_no_tokens():
    encoder = ModuleEncoder(EncoderSpec("past", "1", 8_000, 4, "none", ""), ReadsPast()).eval()
    with pytest.raises(CallspaceError, match="no frames to pool anew"):
        encoder.tokens(torch.randn(1, 400))


def test_an_encoder_that_says_nothing_of_its_parts_works_all_the_same():
    class Bare(Encoder):
        def __init__(self):
            super().__init__(EncoderSpec("bare", "1", RATE, 2, "none", ""))
            self.network = nn.Sequential(nn.Linear(1, 3), nn.Linear(3, 2))

        def _embed(self, waveforms):
            return self.network(waveforms.mean(dim=1, keepdim=True))

    encoder = Bare().eval()
    assert [block.name for block in encoder.blocks()] == ["0", "1"]
    assert encoder.stem(torch.randn(1, 10), 0) is None


def test_real_tokens_of_all_parts_come_first():
    tokens = torch.arange(1.0, 13).reshape(4, 3, 1)  # two clips of two parts
    real = torch.tensor([[1, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 1]], dtype=torch.bool)
    found, counts = packed(tokens, real, parts=2)
    assert found[..., 0].tolist() == [[1, 2, 4, 6], [7, 12, 0, 0]]
    assert counts.tolist() == [4, 2]
