"""Pretraining lowers the loss, goes on where it was stopped, and what it writes is what the package loads."""

import json

import pytest
import torch
from training.mixtures import Mixtures, make_pool
from training.objectives import losses, nt_xent
from training.pretrain_small import Learner, Settings, _write, examine, packed, train

from callspace.encoders import load_encoder

FEW = Settings(seed=0, sounds=12, backgrounds=2, steps=3, batch=4, empty=1, rising=1, horizon=10, cooldown=1)


@pytest.fixture(scope="module")
def pool():
    return make_pool(0, 0, FEW.sounds, FEW.backgrounds)


def mixtures(pool, settings=FEW):
    return Mixtures(pool, settings.seed, sounds=settings.batch, empty=settings.empty, batches=settings.steps)


def total(learner, batch):
    learner.eval()
    with torch.no_grad():
        return float(sum(losses(learner.heads, learner.train()(batch.waveforms), batch).values()))


class Same:
    """One batch again and again."""

    def __init__(self, batch, times):
        self.batch, self.times = batch, times

    def __len__(self):
        return self.times

    def __getitem__(self, k):
        if k >= self.times:
            raise IndexError(k)
        return self.batch

    def after(self, done):
        return Same(self.batch, self.times - done)


def test_three_steps_on_a_batch_lower_its_loss(pool, tmp_path):
    learner, batch = Learner(0), mixtures(pool)[0]
    before = total(learner, batch)
    history = train(learner, Same(batch, 3), FEW, tmp_path, workers=0)
    assert history[-1]["step"] == 3
    assert total(learner, batch) < 0.95 * before


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(pool, tmp_path, monkeypatch):
    whole, stopped = Learner(0), Learner(0)
    train(whole, mixtures(pool), FEW, tmp_path / "whole", workers=0)
    monkeypatch.setattr("training.pretrain_small.LOG_EVERY", 1)

    class Interrupted(Mixtures):
        def after(self, done):
            return self

        def __getitem__(self, k):
            if k == 2:
                raise KeyboardInterrupt
            return super().__getitem__(k)

    cut = Interrupted(pool, FEW.seed, sounds=FEW.batch, empty=FEW.empty, batches=FEW.steps)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, cut, FEW, tmp_path / "cut", workers=0)
    resumed = Learner(1)
    train(resumed, mixtures(pool), FEW, tmp_path / "cut", workers=0)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_the_state_of_another_training_is_refused(pool, tmp_path):
    train(Learner(0), mixtures(pool), FEW, tmp_path, workers=0)
    with pytest.raises(SystemExit, match="other settings"):
        train(Learner(0), mixtures(pool), Settings(seed=1, steps=3), tmp_path, workers=0)


def test_what_is_written_is_what_an_encoder_loads(pool, tmp_path):
    learner = Learner(0)
    learner(mixtures(pool)[0].waveforms)  # moves the statistics of batch normalisation
    _write(tmp_path, packed(learner.network), FEW, [{"step": 3, "seconds": 1.0}], {"retrieval": 0.5}, 1.0)
    record = json.loads((tmp_path / "callspace-small.json").read_text())
    encoder = load_encoder("callspace-small", weights=tmp_path / "callspace-small.safetensors")
    assert encoder.origin["sha256"] == record["sha256"]
    learner.network.load_state_dict(packed(learner.network), strict=False)
    sound = 0.1 * torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(encoder(sound), learner.eval()(sound))


def test_nt_xent_is_the_cross_entropy_of_each_row_with_its_partner():
    places = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = places / places.norm(dim=1, keepdim=True)
    wanted = 0.0
    for row in range(6):
        others = [unit[row] @ unit[other] / 0.15 for other in range(6) if other != row]
        wanted += torch.logsumexp(torch.stack(others), 0) - unit[row] @ unit[(row + 3) % 6] / 0.15
    assert float(nt_xent(places)) == pytest.approx(float(wanted) / 6, rel=1e-5)


def test_the_shipped_weights_tell_sounds_apart_that_were_never_heard():
    """Of 24 sounds in other surroundings each, the nearest is the same sound far more often than for random weights."""
    held_out = Mixtures(make_pool(7, 5, 48, 8), 3, sounds=24, empty=2, batches=2)
    shipped, random = Learner(0), Learner(0)
    shipped.network = load_encoder("callspace-small").network
    scores = {"shipped": examine(shipped, held_out), "random": examine(random, held_out)}
    assert scores["shipped"]["retrieval"] > scores["random"]["retrieval"] + 0.2
    assert scores["shipped"]["retrieval"] > 0.5
