"""The contract's own examination: our encoders pass it, and each way of breaking the contract is found by the check that is meant for it."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from callspace.encoders.conformance import CHECKS, check
from callspace.encoders.contract import Encoder
from callspace.encoders.specs import EncoderSpec
from tiny_encoders import one_of_each_kind, tiny_entry

RATE = 8_000


@pytest.fixture(scope="module", params=one_of_each_kind())
def outcomes(request):
    # A tiny network has fewer parameters than the spec of the full-size one declares; another test counts those.
    entry = tiny_entry(request.param)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = entry.build(replace(entry.spec, parameters=None)).bind(16_000).eval()
    encoder.origin = {"kind": "random", "seed": 0}
    return check(encoder)


def test_every_registered_encoder_keeps_the_contract(outcomes):
    assert [outcome for outcome in outcomes if outcome.result == "failed"] == []


def test_every_question_is_answered(outcomes):
    assert [outcome.check for outcome in outcomes] == [one.name for one in CHECKS]
    assert all(outcome.sentence for outcome in outcomes)


class Network(nn.Module):
    """Mean spectrum through two layers: small, and as it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(65, 24), nn.Linear(24, 12)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        waveforms = nn.functional.pad(waveforms, (0, max(0, 128 - waveforms.shape[1])))
        spectra = torch.fft.rfft(waveforms.unfold(1, 128, 64), dim=2).abs().mean(dim=1)
        return self.last(torch.tanh(self.first(spectra)))


class Good(Encoder):
    layers: tuple[str, ...] = ("pooled",)

    def __init__(self, network=None, **changes):
        spec = EncoderSpec("good", "1", RATE, 12, "none", "nobody", layers=self.layers)
        super().__init__(replace(spec, **changes))
        torch.manual_seed(0)
        self.network = network or Network()
        self.eval()

    def _embed(self, waveforms):
        return self.network(waveforms)


def results(encoder):
    return {outcome.check: outcome.result for outcome in check(encoder)}


def failures(encoder):
    return {name for name, result in results(encoder).items() if result == "failed"}


def test_a_good_encoder_passes_everything():
    found = results(Good(parameters=1884, max_window_s=1.0))
    assert {name for name, result in found.items() if result not in ("passed", "not applicable")} == set()
    assert found["saved and read"] == "not applicable"


def test_a_wrong_dimension_is_found():
    assert "dimension" in failures(Good(embedding_dim=13))


def test_a_wrong_number_of_parameters_is_found():
    assert failures(Good(parameters=7)) == {"parameters"}


def test_double_precision_is_found():
    class Double(Good):
        def _embed(self, waveforms):
            return self.network(waveforms).double()

    assert "numbers" in failures(Double())


def test_a_network_in_training_mode_is_found():
    encoder = Good()
    encoder.network.train()
    assert failures(encoder) == {"evaluation mode"}
    assert encoder.network.training  # left as it was found


def test_dropout_that_is_always_on_is_found():
    class Dropping(Good):
        def _embed(self, waveforms):
            return nn.functional.dropout(self.network(waveforms), 0.3, training=True)

    assert "same clip twice" in failures(Dropping())


def test_a_random_output_is_found():
    class Random(Good):
        def _embed(self, waveforms):
            return torch.randn(len(waveforms), 12)

    assert {"same clip twice", "copy"} <= failures(Random())


def test_batch_statistics_are_found():
    class Standardised(Good):
        def _layers_of_batch(self, waveforms, lengths, layers):
            found = super()._layers_of_batch(waveforms, lengths, layers)[0]
            return [(found - found.mean(dim=0)) / (found.std(dim=0, correction=0) + 1)]

    assert "batch-mates" in failures(Standardised())


def test_batch_normalisation_that_ignores_evaluation_mode_is_found():
    class Stubborn(nn.BatchNorm1d):
        def train(self, mode: bool = True):
            return super().train(True)

    encoder = Good(nn.Sequential(Network(), Stubborn(12)))
    assert {"evaluation mode", "same clip twice"} & failures(encoder)


class WholeBatch(Good):
    """Hands the padded batch to the network, as a careless encoder does."""

    def _layers_of_batch(self, waveforms, lengths, layers):
        return [self.network(waveforms)]


def test_padding_that_is_heard_is_found():
    assert {"padding", "beyond the end"} <= failures(WholeBatch())


def test_a_shuffled_batch_is_found():
    class Shuffled(Good):
        def _layers_of_batch(self, waveforms, lengths, layers):
            return [super()._layers_of_batch(waveforms, lengths, layers)[0][torch.argsort(lengths)]]

    assert "batch order" in failures(Shuffled())


def test_nan_that_spreads_is_found():
    class Spreading(Good):
        def _layers_of_batch(self, waveforms, lengths, layers):
            return [super()._layers_of_batch(waveforms, lengths, layers)[0] + 0 * waveforms.sum()]

    assert failures(Spreading()) == {"NaN"}


def test_nan_that_goes_unseen_is_told():
    class Blind(Good):
        def _embed(self, waveforms):
            return self.network(waveforms.nan_to_num())

    assert results(Blind())["NaN"] == "warned"


def test_nan_that_is_refused_is_an_answer():
    class Strict(Good):
        def _embed(self, waveforms):
            if waveforms.isnan().any():
                raise ValueError("NaN")
            return self.network(waveforms)

    assert results(Strict())["NaN"] == "passed"


@pytest.mark.parametrize(("samples", "name"), [(1, "very short clips"), (3 * 2400, "long clips")])
def test_a_length_that_breaks_it_is_found(samples, name):
    class Choosy(Good):
        def _embed(self, waveforms):
            if waveforms.shape[1] == samples:
                raise RuntimeError("a size of a tensor must match another")
            return self.network(waveforms)

    outcome = {one.check: one for one in check(Choosy())}[name]
    assert outcome.result == "failed"
    assert outcome.sentence == "RuntimeError: a size of a tensor must match another"


def test_silence_that_divides_by_zero_is_found():
    class Peak(Good):
        def _embed(self, waveforms):
            return self.network(waveforms / waveforms.abs().amax(dim=1, keepdim=True))

    assert failures(Peak()) == {"silence"}


def test_a_square_wave_that_overflows_is_found():
    class Overflowing(Good):
        def _embed(self, waveforms):
            return self.network(waveforms) + torch.where(waveforms.abs().mean() > 0.8, torch.inf, 0.0)

    assert failures(Overflowing()) == {"square wave"}


def test_a_rate_that_is_not_the_declared_one_is_found():
    class Drifting(Good):
        def bind(self, sample_rate_hz):
            self._sample_rate_hz = sample_rate_hz
            return self

    assert "sample rate" in failures(Drifting())


def test_deaf_dimensions_are_told_and_a_dead_encoder_is_found():
    def half(found):
        return torch.cat([found[:, :6], torch.ones_like(found[:, 6:])], dim=1)

    class HalfDead(Good):
        def _embed(self, waveforms):
            return half(self.network(waveforms))

    class Dead(Good):
        def _embed(self, waveforms):
            return torch.ones(len(waveforms), 12) + 0 * self.network(waveforms)

    assert results(HalfDead())["dead dimensions"] == "warned"
    assert {"dead dimensions", "collapse"} <= failures(Dead())
    assert results(Dead())["wrong rate"] == "warned"


def test_a_collapsed_encoder_is_found():
    class Collapsed(Good):
        def _embed(self, waveforms):
            return torch.linspace(1, 2, 12) + 1e-3 * self.network(waveforms)

    encoder = Collapsed()
    assert failures(encoder) == {"collapse"}
    encoder.origin = {"kind": "random", "seed": 0}
    assert results(encoder)["collapse"] == "warned"


def test_parameters_without_a_gradient_are_found_by_name():
    encoder = Good()
    encoder.network.idle = nn.Linear(2, 2)
    outcome = {one.check: one for one in check(encoder)}["gradient flow"]
    assert outcome.result == "failed"
    assert "network.idle.weight" in outcome.sentence


def test_parameters_that_are_trained_in_secret_are_found():
    class Secret(Good):
        def backbone_parameters(self):
            return list(self.network.last.parameters())

    assert failures(Secret()) == {"gradient flow"}


def test_blocks_that_leave_out_what_is_trained_are_found():
    class Forgets(Good):
        def blocks(self):
            return super().blocks()[1:]

    assert failures(Forgets()) == {"blocks"}


def test_a_block_that_is_given_twice_is_found():
    class Twice(Good):
        def blocks(self):
            return [*super().blocks(), super().blocks()[0]]

    assert failures(Twice()) == {"blocks"}


def test_an_encoder_that_goes_on_otherwise_after_a_cut_is_found():
    class Cut(Good):
        def stem(self, waveforms, blocks):
            return waveforms if blocks == 0 else None

        def rest(self, hidden, blocks):
            return 1.01 * self(hidden)

    assert failures(Cut()) == {"cut in two"}
    assert results(Good())["cut in two"] == "not applicable"


def test_a_frozen_encoder_that_offers_parameters_is_found():
    class Frozen(Good):
        def backbone_parameters(self):
            return list(self.network.parameters())

    assert "gradient flow" in failures(Frozen(trainable=False))
    assert failures(Good(trainable=False)) == {"no gradient"}  # its weights should not require any


def test_gradients_recorded_where_none_are_wanted_are_found():
    class Recording(Good):
        def forward(self, waveforms, lengths=None):
            with torch.enable_grad():
                return super().forward(waveforms, lengths)

    assert "no gradient" in failures(Recording())


def test_a_fingerprint_without_the_weights_is_found():
    class Fixed(Good):
        def fingerprint(self):
            return "0123456789abcdef"

    assert failures(Fixed()) == {"fingerprint"}


def test_a_copy_that_differs_is_found():
    class Forgetful(Good):
        def __deepcopy__(self, memo):
            return Forgetful(Network())

    encoder = Forgetful()
    torch.manual_seed(9)
    encoder.network = Network().eval()
    assert failures(encoder) == {"copy"}


def test_a_layer_that_changes_with_the_others_is_found():
    class Leaking(Good):
        layers = ("b", "a")

        def _embed_layers(self, waveforms, layers):
            return [self.network(waveforms) * len(layers) for _ in layers]

    assert failures(Leaking()) == {"layers in one pass"}


def test_an_encoder_that_raises_fails_every_check_that_needs_it_and_no_other():
    class Broken(Good):
        def _embed(self, waveforms):
            raise ZeroDivisionError

    found = results(Broken())
    assert found["numbers"] == "failed"
    assert found["parameters"] == "not applicable"
    assert found["fingerprint"] == "passed"


def test_an_encoder_without_a_rate_is_tried_at_two_and_left_at_its_own():
    encoder = Good(sample_rate_hz=None).bind(RATE)
    assert failures(encoder) == set()
    assert encoder.sample_rate_hz == RATE


def test_the_gradients_and_the_weights_are_left_alone():
    encoder = Good()
    before = encoder.fingerprint()
    check(encoder)
    assert encoder.fingerprint() == before
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_the_command_prints_a_table_that_fits_and_writes_json(tmp_path, capsys, monkeypatch):
    from callspace.cli.models_check import check as command

    monkeypatch.setenv("COLUMNS", "80")
    command("mfcc", rate=8_000, json=tmp_path / "out" / "mfcc.json")
    printed = capsys.readouterr().out
    assert "mfcc keeps the contract" in printed
    assert max(len(line) for line in printed.splitlines()[: len(CHECKS) + 1]) <= 80
    found = json.loads((tmp_path / "out" / "mfcc.json").read_text())
    assert (found["encoder"], found["sample_rate_hz"], len(found["checks"])) == ("mfcc", 8_000, len(CHECKS))


def test_the_command_ends_with_1_where_a_check_failed(tmp_path, capsys, monkeypatch):
    import typer

    import callspace.encoders.load
    from callspace.cli.models_check import check as command

    monkeypatch.setattr(callspace.encoders.load, "load_encoder", lambda *_, **__: Dividing())
    with pytest.raises(typer.Exit) as stopped:
        command("dividing", json=tmp_path / "found.json")
    assert stopped.value.exit_code == 1
    assert "dividing breaks the contract" in capsys.readouterr().out
    assert {one["check"]: one["measured"] for one in json.loads((tmp_path / "found.json").read_text())["checks"]}["padding"] == "inf"


class Dividing(Good):
    def _embed(self, waveforms):
        return self.network(waveforms) / 0
