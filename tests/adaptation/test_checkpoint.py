import pytest
import torch

from callspace.adaptation import checkpoint as checkpoints
from callspace.adaptation.checkpoint import Checkpoint
from callspace.adaptation.finetune import finetune
from callspace.adaptation.recipes import Recipe
from callspace.datasets import load_dataset
from small_audio import class_folders
from tiny_encoders import tiny_encoder


class Interrupted(Exception):
    pass


class StopsAfter:
    """A progress that ends the work after so many steps of it."""

    def __init__(self, steps):
        self.left = steps

    def task(self, description, total):
        from contextlib import contextmanager

        @contextmanager
        def shown():
            yield self.step

        return shown()

    def step(self, count):
        self.left -= count
        if self.left < 0:
            raise Interrupted

    def say(self, sentence):
        pass


@pytest.fixture
def clips(tmp_path):
    return load_dataset(class_folders(tmp_path / "audio", clips=8, seconds=0.33))


@pytest.mark.parametrize(("regime", "steps"), [("full", 3), ("full", 9), ("full", 14), ("last", 5), ("lora:2", 5), ("gradual", 5)])
def test_an_interrupted_fit_ends_with_the_weights_of_one_that_was_not(clips, tmp_path, monkeypatch, regime, steps):
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.0)
    recipe = Recipe(learning_rates=(1e-3, 3e-3), max_epochs=4, patience=4, batch_size=10, schedule="cosine", warmup=0.2)
    name = "resnet18:random"
    whole = finetune(clips, tiny_encoder(name), regime, recipe=recipe)
    path = tmp_path / "fit.pt"
    with pytest.raises(Interrupted):
        finetune(clips, tiny_encoder(name), regime, recipe=recipe, checkpoint=path, progress=StopsAfter(steps))
    assert path.exists() == (steps >= 2)
    gone_on = finetune(clips, tiny_encoder(name), regime, recipe=recipe, checkpoint=path)
    assert gone_on.fingerprint() == whole.fingerprint()
    assert gone_on.card["history"] == whole.card["history"]
    assert gone_on.card["trials"] == whole.card["trials"]
    assert all(torch.equal(a, b) for a, b in zip(gone_on.head.parameters(), whole.head.parameters(), strict=True))
    checkpoints.forget(path)
    assert not path.exists()


def test_a_state_of_another_fit_or_a_damaged_one_does_not_count(tmp_path):
    path = tmp_path / "fit.pt"
    Checkpoint(path, "one", 0.0).write({"epoch": 1})
    assert Checkpoint(path, "one").read() == {"epoch": 1}
    assert Checkpoint(path, "two").read() is None
    path.write_bytes(path.read_bytes()[:40])
    assert Checkpoint(path, "one").read() is None
    path.write_text("not a checkpoint")
    assert Checkpoint(path, "one").read() is None


def test_a_state_that_would_run_code_is_not_read(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run!",))

    path = tmp_path / "fit.pt"
    torch.save({"key": "one", "done": [], "current": Evil()}, path)
    assert Checkpoint(path, "one").read() is None


def test_of_the_learning_rates_that_are_done_only_the_best_keeps_its_weights(tmp_path):
    state = Checkpoint(tmp_path / "fit.pt", "k", 0.0)
    for number, better in enumerate((True, False, True)):
        state.finish({"learning_rate": number, "weights": {"w": torch.ones(1)}}, keep_weights=better)
    again = Checkpoint(tmp_path / "fit.pt", "k")
    assert [bool(done["weights"]) for done in again.done] == [False, False, True]
