import pytest
import torch
from torch import nn

from callspace.adaptation.parts import Trained, only_training, parameter_groups, set_modes, trained_by
from callspace.adaptation.recipes import Recipe
from callspace.adaptation.regimes import REGIMES, check_regime, regime_of
from callspace.encoders.heads import LinearHead
from callspace.errors import CallspaceError
from tiny_encoders import tiny_encoder


def test_a_regime_may_bring_a_number_and_its_default_is_not_written():
    assert regime_of("last").number == 1
    assert regime_of("last:3").name == "last:3"
    assert regime_of("last:3").words == "with its last 3 blocks tuned"
    assert check_regime("last:1") == "last"
    assert check_regime("lora:8") == "lora"
    assert regime_of("lora:16").number == 16


@pytest.mark.parametrize("text", ["half", "full:2", "last:", "last:0", "last:two", "last:-1"])
def test_a_regime_that_is_none_is_a_sentence(text):
    with pytest.raises(CallspaceError):
        regime_of(text)


def test_only_what_changes_the_network_counts_as_tuning():
    assert {name for name, regime in REGIMES.items() if regime.tunes} == {"last", "lora", "full", "lp-ft", "decay", "gradual"}
    assert {name for name, regime in REGIMES.items() if regime.changes_embedding and not regime.tunes} == {"attentive"}


@pytest.mark.parametrize("name", ["resnet18:random", "aves-bio", "yamnet"])
def test_last_trains_the_last_blocks_and_full_all_that_makes_the_embedding(name):
    encoder = tiny_encoder(name)
    blocks = encoder.blocks()
    last = trained_by(regime_of("last:2"), encoder)
    assert set(last.parameters) == {parameter for block in blocks[-2:] for parameter in block.parameters}
    assert last.first == len(blocks) - 2
    full = trained_by(regime_of("full"), encoder)
    assert set(full.parameters) == set(encoder.backbone_parameters())
    assert full.first == 0


def test_more_blocks_than_there_are_is_a_sentence():
    encoder = tiny_encoder("resnet18:random")
    count = len(encoder.blocks())
    assert set(trained_by(regime_of(f"last:{count}"), encoder).parameters) == set(encoder.backbone_parameters())
    with pytest.raises(CallspaceError, match=f"has {count} blocks"):
        trained_by(regime_of("last:99"), encoder)


def test_an_encoder_without_anything_to_train_is_refused():
    with pytest.raises(CallspaceError, match="nothing to train"):
        trained_by(regime_of("last"), tiny_encoder("mfcc"))


def test_blocks_thaw_from_the_last_one_after_the_other():
    groups = tuple((nn.Parameter(torch.zeros(1)),) for _ in range(3))
    trained = Trained(groups)
    assert [len(trained.thawed(epoch, 2)) for epoch in range(1, 8)] == [1, 1, 2, 2, 3, 3, 3]
    assert trained.thawed(1, 2) == groups[-1:]
    assert trained.thawed(1, 0) == groups


def test_what_is_frozen_behaves_as_in_evaluation_and_dropout_goes_with_what_it_is_part_of():
    frozen = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())
    tuned = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())
    both = nn.Sequential(frozen, tuned)
    with only_training(both, list(tuned.parameters())):
        set_modes(both)
        assert not any(module.training for module in frozen.modules())
        assert all(module.training for module in tuned.modules())
    assert all(parameter.requires_grad for parameter in both.parameters())


def test_each_blocks_rate_is_a_share_of_the_next_ones_and_biases_do_not_decay():
    groups = tuple((nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))) for _ in range(3))
    recipe = Recipe(layer_decay=0.5, weight_decay=0.1, head_rate=10.0)
    found = parameter_groups(Trained(groups), LinearHead(2, 2), recipe, 1e-3)
    by_parameter = {parameter: group for group in found for parameter in group["params"]}
    assert [by_parameter[group[0]]["lr"] for group in groups] == [2.5e-4, 5e-4, 1e-3]
    assert all(by_parameter[weight]["weight_decay"] == 0.1 and by_parameter[bias]["weight_decay"] == 0 for weight, bias in groups)
    assert max(group["lr"] for group in found) == 1e-2
