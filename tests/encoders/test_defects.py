"""The study's two defects: only on request, told by spec and fingerprint, and kept by a saved encoder."""

import pytest
import torch

from callspace.encoders.contract import Encoder
from callspace.encoders.defects import had_study_defects, with_study_defects
from callspace.encoders.load import load_encoder
from callspace.errors import CallspaceError

RATE = 8000


@pytest.fixture(scope="module")
def power():
    return load_encoder("resnet18:random", layer="logits", front_end="power", sample_rate_hz=RATE)


@pytest.fixture(scope="module")
def by_batch():
    return with_study_defects(load_encoder("resnet18:random", layer="logits", front_end="power")).bind(RATE)


@pytest.fixture(scope="module")
def clips():
    return torch.randn(3, RATE, generator=torch.Generator().manual_seed(0)) * torch.tensor([[0.01], [0.1], [0.5]])


@torch.inference_mode()
def test_power_is_divided_by_the_maximum_of_the_whole_batch(power, by_batch, clips):
    mel = by_batch.front_end.mel(clips)[:, :, :100]
    pictures = (mel / mel.max())[:, None].expand(-1, 3, -1, -1)
    assert torch.allclose(by_batch(clips), power.network(pictures), atol=1e-5)


@torch.inference_mode()
def test_an_embedding_then_depends_on_its_batch_mates(power, by_batch, clips):
    assert torch.allclose(power(clips)[0], power(clips[:1])[0], atol=1e-4)
    assert not torch.allclose(by_batch(clips)[0], by_batch(clips[:1])[0], atol=1e-2)


@torch.inference_mode()
def test_alone_in_its_batch_a_clip_is_as_without_the_defect(power, by_batch, clips):
    assert torch.allclose(by_batch(clips[1:2]), power(clips[1:2]), atol=1e-5)


@torch.inference_mode()
def test_shorter_clips_are_filled_with_zeros_to_the_longest_of_the_batch(by_batch, clips):
    padded = clips.clone()
    padded[0, 5000:] = 0
    assert torch.equal(by_batch(padded, torch.tensor([5000, RATE, RATE])), by_batch(padded))


def test_spec_and_fingerprint_say_so(power, by_batch):
    assert by_batch.spec.front_end == "power-batch" and "batch-mates" in by_batch.spec.note
    assert by_batch.fingerprint() != power.fingerprint()
    assert by_batch.at("pooled").spec.front_end == "power-batch"


def test_there_is_no_other_way_to_it():
    with pytest.raises(CallspaceError, match="no front end 'power-batch'"):
        load_encoder("resnet18:random", front_end="power-batch")


@torch.inference_mode()
def test_a_saved_encoder_keeps_it(by_batch, clips, tmp_path):
    by_batch.save(tmp_path / "saved")
    again = load_encoder(tmp_path / "saved")
    assert again.spec.front_end == "power-batch" and again.sample_rate_hz == RATE
    assert torch.equal(again(clips), by_batch(clips))


class _Bare(Encoder):
    """AVES without its size."""

    def __init__(self, spec):
        super().__init__(spec)
        self.network = torch.nn.Linear(1, 1)


def test_aves_hears_the_datasets_own_rate():
    from callspace.encoders.registry import spec

    straight, bent = _Bare(spec("aves-bio")).bind(44_100), with_study_defects(_Bare(spec("aves-bio"))).bind(44_100)
    assert (straight.sample_rate_hz, bent.sample_rate_hz) == (16_000, 44_100)
    bent.network.load_state_dict(straight.network.state_dict())
    assert bent.fingerprint() != straight.fingerprint() and "16 kHz" in bent.spec.note
    assert had_study_defects({"front_end": "waveform", "sample_rate_hz": 44_100}, spec("aves-bio"))
    assert not had_study_defects({"front_end": "waveform", "sample_rate_hz": 16_000}, spec("aves-bio"))


@pytest.mark.parametrize("name", ["yamnet:random", "resnet18:random"])
def test_what_has_no_such_defect_stays_as_it_is(name):
    encoder = load_encoder(name)  # resnet18 with log-mel: not the study's
    before = encoder.spec
    assert with_study_defects(encoder).spec == before


def test_a_tuned_encoder_stays_as_it_was_tuned(power, tmp_path):
    power.save(tmp_path / "tuned")
    tuned = load_encoder(tmp_path / "tuned")
    assert with_study_defects(tuned).spec.front_end == "power"
