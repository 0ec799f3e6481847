"""The attentive probe: tokens in memory or made anew, the same result; and what it is to be trained online."""

import numpy as np
import pytest
import torch
from torch import nn

from callspace.adaptation.attentive import CachedTokens, PooledHead, cache_tokens, fit_attentive, new_pooled_head
from callspace.adaptation.fitted import NEVER, Examples
from callspace.adaptation.grids import Grid, Setting, batches_of, parameter_groups
from callspace.adaptation.targets import loss_of, valid_score
from callspace.encoders.heads import LinearHead
from callspace.encoders.pooling import AttentivePooling

DIM = 8
GRID = Grid(settings=(Setting(1e-3, 0.05), Setting(1e-2, 0.05)), max_epochs=15, patience=15, batch_size=16, least_steps=1)


def clips_loss(logits, targets):
    return loss_of("classification", logits, targets)


class FrozenFrames(nn.Module):
    """An encoder small enough to run at every step: frames of 20 samples, one layer, dropout that evaluation leaves out."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layer = nn.Linear(20, DIM)
        self.dropout = nn.Dropout(0.5)

    def tokens(self, waveforms, lengths):
        return self.dropout(torch.tanh(self.layer(waveforms.unfold(1, 20, 20)))), lengths // 20


class OnlineTokens:
    """Runs the encoder whenever a batch is asked for."""

    token_dim = DIM

    def __init__(self, waveforms, lengths):
        self.encoder, self.waveforms, self.lengths, self.asked = FrozenFrames().eval(), waveforms, lengths, 0

    def __len__(self):
        return len(self.waveforms)

    def batches(self, rows):
        for some in rows:
            self.asked += 1
            with torch.no_grad():
                yield *self.encoder.tokens(self.waveforms[some], self.lengths[some]), torch.arange(len(some))


def sounds(n=48, seed=0):
    """Waveforms of several lengths, padded; the class lies in a burst of one frame, which the mean over frames all but hides."""
    rng = np.random.default_rng(seed)
    bursts = 3 * np.random.default_rng(7).standard_normal((3, 20))
    lengths = 20 * rng.integers(4, 9, n)
    waves = 0.3 * rng.standard_normal((n, 160))
    which = np.arange(n) % 3
    for row in range(n):
        start = 20 * rng.integers(lengths[row] // 20)
        waves[row, start : start + 20] += bursts[which[row]]
        waves[row, lengths[row] :] = 0
    source = OnlineTokens(torch.from_numpy(waves.astype(np.float32)), torch.from_numpy(lengths))
    return Examples(source, np.eye(3, dtype=np.float32)[which])


def cached(examples):
    return Examples(cache_tokens(examples.features), examples.targets)


def test_the_cache_gives_the_tokens_of_the_source_without_padding():
    source = sounds().features
    cache = cache_tokens(source)
    assert isinstance(cache, CachedTokens)
    assert cache.nbytes == 4 * DIM * int((source.lengths // 20).sum())
    rows = [np.array([5, 2, 40]), np.array([0])]
    for (tokens, counts, owners), (wanted, real, places) in zip(cache.batches(rows), source.batches(rows), strict=True):
        assert torch.equal(counts, real)
        assert torch.equal(owners, places)
        for one, other, count in zip(tokens, wanted, counts, strict=True):
            assert torch.equal(one[:count], other[:count])
            assert (one[count:] == 0).all()


def test_tokens_that_have_no_room_are_made_anew():
    source = sounds().features
    assert cache_tokens(source, max_bytes=1000) is source
    assert cache_tokens(source, max_bytes=10_000_000) is not source


def test_tokens_kept_and_tokens_made_anew_give_the_same_probe():
    train, valid = sounds(), sounds(24, seed=1)
    anew = fit_attentive(train, valid, task="classification", loss=clips_loss, seed=0, grid=GRID)
    asked = train.features.asked
    kept = fit_attentive(cached(train), cached(valid), task="classification", loss=clips_loss, seed=0, grid=GRID)
    assert train.features.asked == asked + 2  # once, in two batches, to be kept
    assert kept.choice == anew.choice
    for one, other in ((kept.pooler, anew.pooler), (kept.head, anew.head)):
        for name, value in one.state_dict().items():
            if name != "key.bias":  # attention is the same whatever it is, so that its gradient is rounding
                torch.testing.assert_close(value, other.state_dict()[name], atol=1e-5, rtol=1e-4)


def test_it_equals_pooler_and_head_trained_online_on_a_frozen_encoder():
    """A plain loop: the encoder in evaluation mode runs at each step; torch's AdamW."""
    train, valid = sounds(), sounds(24, seed=1)
    found = fit_attentive(cached(train), cached(valid), task="classification", loss=clips_loss, seed=3, grid=GRID)
    setting = Setting(found.choice["learning_rate"], found.choice["weight_decay"])
    start = new_pooled_head(train.features, 3, seed=3)
    encoder, pooler, head = train.features.encoder, start.pooler, start.head
    optimiser = torch.optim.AdamW(parameter_groups([*pooler.parameters(), *head.parameters()], setting))
    for epoch in range(1, found.choice["epoch"] + 1):
        for rows in batches_of(48, 16, seed=3, epoch=epoch):
            with torch.no_grad():
                tokens = encoder.tokens(train.features.waveforms[rows], train.features.lengths[rows])
            optimiser.zero_grad()
            clips_loss(head(pooler(*tokens)), torch.from_numpy(train.targets[rows])).backward()
            optimiser.step()
    for one, other in ((found.pooler, pooler), (found.head, head)):
        for name, value in one.state_dict().items():
            if name != "key.bias":  # attention is the same whatever it is, so that its gradient is rounding
                torch.testing.assert_close(value, other.state_dict()[name], atol=1e-5, rtol=1e-4)


def test_it_finds_what_the_mean_over_tokens_hides():
    train, valid = sounds(120), sounds(60, seed=1)
    found = fit_attentive(cached(train), cached(valid), task="classification", loss=clips_loss, seed=0, grid=GRID)
    assert found.valid_score >= 0.9  # of 1/3 by chance
    assert not found.pooler.training
    with torch.no_grad():
        ((tokens, counts, _),) = valid.features.batches([np.arange(60)])
        scores = found.head(found.pooler(tokens, counts)).numpy()
    assert valid_score("classification", scores, valid.targets) == found.valid_score


def test_the_head_starts_standardised_by_what_the_pooler_gives_on_train():
    source = sounds().features
    start = new_pooled_head(source, 3, seed=0)
    with torch.no_grad():
        ((tokens, counts, _),) = source.batches([np.arange(48)])
        standard = (start.pooler(tokens, counts) - start.head.mean) / start.head.scale
    torch.testing.assert_close(standard.mean(0), torch.zeros(DIM), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard.std(0, correction=0), torch.ones(DIM), atol=1e-4, rtol=0)


def test_a_window_of_several_frames_has_the_mean_of_their_pooled_vectors():
    torch.manual_seed(0)
    model = PooledHead(AttentivePooling(DIM, 2), LinearHead(DIM, 3))
    values = torch.randn(9, DIM)
    tokens = CachedTokens(values, [2, 3, 4], [0, 0, 1])
    assert len(tokens) == 2
    ((padded, counts, owners),) = tokens.batches([np.array([1, 0])])
    assert owners.tolist() == [0, 1, 1]
    with torch.no_grad():
        pooled = [model.pooler(part[None], torch.tensor([len(part)])) for part in values.split([2, 3, 4])]
        expected = torch.cat([model.head(pooled[2]), model.head((pooled[0] + pooled[1]) / 2)])
        torch.testing.assert_close(model(padded, counts, owners), expected)


def test_tokens_that_are_no_numbers_are_found_by_their_window():
    tokens = torch.zeros(4, 3, DIM)
    tokens[1, 2, 0] = torch.nan  # padding
    tokens[2, 1, 5] = torch.inf
    assert CachedTokens.padded(tokens, [3, 2, 2, 1]).finite().tolist() == [True, True, False, True]


def test_counts_that_are_not_those_of_the_tokens_are_refused():
    with pytest.raises(ValueError, match="add up"):
        CachedTokens(torch.zeros(4, 2), [1, 2])
    with pytest.raises(ValueError, match="ascending"):
        CachedTokens(torch.zeros(4, 2), [2, 2], [1, 0])


def test_a_label_that_train_never_shows_scores_as_never():
    train, valid = sounds(), sounds(24, seed=1)
    wider = [Examples(part.features, np.pad(part.targets, ((0, 0), (0, 1)))) for part in (train, valid)]
    found = fit_attentive(*wider, task="classification", loss=clips_loss, seed=0, grid=Grid(GRID.settings, max_epochs=1))
    assert (found.head(torch.randn(5, DIM))[:, 3] == NEVER).all()
