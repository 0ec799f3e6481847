import json
import math
import sys

import numpy as np
import pytest
import torch

from callspace.adaptation.losses import loss_function
from callspace.adaptation.recipes import Recipe
from callspace.adaptation.sampling import epoch_rows
from callspace.adaptation.search import Choices, TrialPruned, Values, search_space, tune
from callspace.adaptation.targets import valid_score
from callspace.errors import CallspaceError, MissingDependencyError

GIVEN = Recipe(learning_rates=(1e-4,), max_epochs=10)


def hill(recipe, report):
    """Best at a learning rate of 1e-3, no smoothing and every window once; it rises over ten epochs."""
    top = 1 - 0.1 * abs(math.log10(recipe.learning_rates[0]) + 3) - recipe.label_smoothing - 0.2 * (recipe.sampling != "all")
    for epoch in range(1, 11):
        report(epoch, top * epoch / 10)
    return top


def never_pruned(recipe, report):
    return hill(recipe, lambda epoch, score: None)


def test_a_search_finds_what_is_better_than_the_recipe_it_was_given():
    best, trials = tune(hill, GIVEN, trials=25, seed=0)
    scores = [line["score"] for line in trials if line["state"] == "finished"]
    assert len(trials) == 25
    assert never_pruned(best, None) == max(scores) > never_pruned(GIVEN, None)
    assert best.max_epochs == GIVEN.max_epochs
    assert len(best.learning_rates) == 1


def test_the_first_trials_are_the_recipe_as_given_one_for_each_learning_rate():
    seen = []

    def score(recipe, report):
        seen.append(recipe)
        return never_pruned(recipe, report)

    given = Recipe(learning_rates=(5e-5, 3e-2), weight_decay=0.0, head_rate=500.0, label_smoothing=0.033)  # some outside the space
    _, trials = tune(score, given, trials=4, seed=1)
    assert seen[:2] == [Recipe(**{**vars(given), "learning_rates": (rate,)}) for rate in given.learning_rates]
    assert [line["given"] for line in trials] == [True, True, False, False]
    assert trials[1]["params"]["learning_rates"] == 3e-2
    assert [line["trial"] for line in trials] == [1, 2, 3, 4]


def test_all_learning_rates_given_are_tried_even_in_fewer_trials():
    best, trials = tune(never_pruned, Recipe(learning_rates=(1e-5, 1e-4, 1e-3)), trials=1, seed=0)
    assert len(trials) == 3
    assert best == Recipe(learning_rates=(1e-3,))


def test_a_search_is_never_worse_on_valid_than_the_recipe_given_which_nothing_cuts_short():
    given = Recipe(learning_rates=tuple(10.0**-power for power in (2, 2.5, 3, 3.5, 4, 4.5, 5)), max_epochs=10)

    def score(recipe, report):  # the last of those given is the best, by its last epoch alone
        last = recipe.learning_rates == given.learning_rates[-1:] and recipe.weight_decay == given.weight_decay
        for epoch in range(1, 10):
            report(epoch, 0.01 if last else 0.1 + epoch / 1000)
        return 0.9 if last else 0.11

    best, trials = tune(score, given, trials=9, seed=0)
    assert [line["state"] for line in trials[:7]] == ["finished"] * 7
    assert best == Recipe(learning_rates=given.learning_rates[-1:], max_epochs=10)


def test_the_same_seed_tries_the_same_and_another_seed_something_else():
    assert tune(hill, GIVEN, trials=9, seed=0) == tune(hill, GIVEN, trials=9, seed=0)
    assert tune(hill, GIVEN, trials=3, seed=0)[1][1:] != tune(hill, GIVEN, trials=3, seed=1)[1][1:]


@pytest.mark.parametrize("interrupted_at", [1, 8, 13])
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(interrupted_at, tmp_path):
    storage = tmp_path / "fit" / "trials.json"
    calls = 0

    def failing_at_times(recipe, report):
        if recipe.label_smoothing > 0.18:
            raise CallspaceError("training diverged")
        return hill(recipe, report)

    def interrupted(recipe, report):
        nonlocal calls
        calls += 1
        if calls == interrupted_at:
            raise KeyboardInterrupt
        return failing_at_times(recipe, report)

    whole = tune(failing_at_times, GIVEN, trials=16, seed=5)
    assert {line["state"] for line in whole[1]} == {"finished", "pruned", "failed"}
    with pytest.raises(KeyboardInterrupt):
        tune(interrupted, GIVEN, trials=16, seed=5, storage=storage)
    assert tune(interrupted, GIVEN, trials=16, seed=5, storage=storage) == whole
    assert calls == 17  # the one that was interrupted is done again, none that had ended
    assert all(trial["seconds"] >= 0 for trial in json.loads(storage.read_text())["trials"])


def test_a_search_can_be_made_longer_and_shorter(tmp_path):
    storage = tmp_path / "trials.json"
    tune(hill, GIVEN, trials=4, seed=0, storage=storage)
    assert tune(hill, GIVEN, trials=9, seed=0, storage=storage) == tune(hill, GIVEN, trials=9, seed=0)
    assert tune(hill, GIVEN, trials=2, seed=0, storage=storage) == tune(hill, GIVEN, trials=2, seed=0)
    assert len(json.loads(storage.read_text())["trials"]) == 9


@pytest.mark.parametrize("other", [{"seed": 1}, {"key": "others"}, {"regime": "last:2"}, {"fixed": ("mixup",)}])
def test_the_trials_of_another_search_do_not_count(other, tmp_path):
    storage = tmp_path / "trials.json"
    tune(hill, GIVEN, seed=0, trials=3, key="these data", storage=storage)
    asked = {"trials": 2, "seed": 0, "key": "these data"} | other
    ran = []
    found = tune(lambda recipe, report: ran.append(recipe) or hill(recipe, report), GIVEN, storage=storage, **asked)
    assert len(ran) == 2
    assert found == tune(hill, GIVEN, **asked)


@pytest.mark.parametrize("text", ["[]", "{}", '{"search": '])
def test_a_damaged_file_of_trials_does_not_count(text, tmp_path):
    storage = tmp_path / "trials.json"
    storage.write_text(text)
    assert tune(hill, GIVEN, trials=2, seed=0, storage=storage) == tune(hill, GIVEN, trials=2, seed=0)


@pytest.mark.parametrize("outcome", [math.nan, math.inf, "training diverged at every learning rate (0.01): try smaller ones"])
def test_a_trial_that_diverges_has_failed_and_the_search_goes_on(outcome):
    def score(recipe, report):
        if recipe.learning_rates[0] > 3e-4:
            report(1, math.nan)
            if isinstance(outcome, str):
                raise CallspaceError(outcome)
            return outcome
        return hill(recipe, report)

    best, trials = tune(score, GIVEN, trials=12, seed=2)
    failed = [line for line in trials if line["state"] == "failed"]
    assert failed
    assert all(line["score"] is None and line["params"]["learning_rates"] > 3e-4 for line in failed)
    assert best.learning_rates[0] <= 3e-4
    json.dumps(trials, allow_nan=False)


def test_a_search_in_which_all_diverge_says_so():
    with pytest.raises(CallspaceError, match="diverged in all 3 trials"):
        tune(lambda recipe, report: math.nan, GIVEN, trials=3, seed=0)


def test_any_other_mistake_ends_the_search():
    def score(recipe, report):
        raise CallspaceError("a recording is gone")

    with pytest.raises(CallspaceError, match="a recording is gone"):
        tune(score, GIVEN, trials=3, seed=0)


def test_a_trial_that_lags_behind_is_cut_short_and_is_not_chosen():
    def score(recipe, report):
        good = recipe.learning_rates[0] < 1e-3
        try:
            for epoch in range(1, 11):
                report(epoch, epoch / 10 if good else 0.01)
        except TrialPruned:
            assert 3 <= epoch < 10  # a fifth of the epochs are left alone
            raise
        return 1.0 if good else 0.01

    _, trials = tune(score, GIVEN, trials=15, seed=0)
    pruned = [line for line in trials if line["state"] == "pruned"]
    assert pruned
    assert all(line["params"]["learning_rates"] >= 1e-3 and line["score"] == 0.01 for line in pruned)


def test_the_space_depends_on_the_regime():
    full, last, two, lora = (search_space(regime, GIVEN) for regime in ("full", "last", "last:2", "lora"))
    assert full["learning_rates"] == Values(1e-5, 1e-2, log=True)
    assert full["augment"] == Choices(("off", "light", "strong"))
    assert "layer_decay" in full and "layer_decay" in two
    assert "layer_decay" not in last and "layer_decay" not in lora
    assert "layer_decay" not in search_space("decay", GIVEN)  # which is that regime's own
    assert "warmup" not in full and "warmup" in search_space("full", Recipe(schedule="cosine"))


def test_what_the_user_fixed_is_not_searched():
    _, trials = tune(hill, Recipe(learning_rates=(1e-4,), augment="strong"), trials=6, seed=0, fixed=("augment", "mixup"))
    assert all(set(line["params"]).isdisjoint({"augment", "mixup"}) for line in trials)
    with pytest.raises(CallspaceError, match="nothing is left to search"):
        search_space("full", GIVEN, tuple(search_space("full", GIVEN)))


@pytest.mark.parametrize("regime", ["frozen", "prototype", "linear", "mlp", "attentive"])
def test_probes_have_no_recipe_to_search(regime):
    with pytest.raises(CallspaceError, match=f"the regime '{regime}' has no recipe to search"):
        tune(hill, GIVEN, trials=3, seed=0, regime=regime)


def test_a_search_of_no_trials_is_refused():
    with pytest.raises(CallspaceError, match="at least 1 trial"):
        tune(hill, GIVEN, trials=0, seed=0)


def test_without_optuna_the_command_that_installs_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'callspace\[tune\]'"):
        tune(hill, GIVEN, trials=2, seed=0)


def test_optuna_says_nothing_and_keeps_its_level(capfd, recwarn):
    import optuna

    level = optuna.logging.get_verbosity()
    tune(hill, GIVEN, trials=8, seed=0)
    assert capfd.readouterr() == ("", "")
    assert not [warning for warning in recwarn if "optuna" in str(warning.filename)]
    assert optuna.logging.get_verbosity() == level


def test_a_search_over_real_fits_beats_a_poor_recipe_on_unbalanced_features():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((3, 8))

    def split(counts):
        features = np.concatenate([centre + 0.7 * rng.standard_normal((n, 8)) for centre, n in zip(centres, counts, strict=True)])
        return torch.from_numpy(features.astype(np.float32)), np.repeat(np.eye(3, dtype=np.float32), counts, axis=0)

    (x, y), (valid_x, valid_y) = split([60, 12, 6]), split([15, 15, 15])

    def score(recipe, report):
        torch.manual_seed(0)
        head = torch.nn.Linear(8, 3)
        loss = loss_function("classification", recipe, y)
        rate = recipe.learning_rates[0] * recipe.head_rate
        optimiser = torch.optim.AdamW(head.parameters(), rate, weight_decay=recipe.weight_decay)
        best = 0.0
        for epoch in range(1, recipe.max_epochs + 1):
            for rows in np.array_split(epoch_rows(range(len(y)), y, recipe.sampling, seed=0, epoch=epoch), 3):
                optimiser.zero_grad()
                value = loss(head(x[rows]), torch.from_numpy(y[rows]))
                if not torch.isfinite(value):
                    raise CallspaceError("training diverged")
                value.backward()
                optimiser.step()
            with torch.inference_mode():
                best = max(best, valid_score("classification", head(valid_x).numpy(), valid_y))
            report(epoch, best)
        return best

    poor = Recipe(learning_rates=(1e-5,), head_rate=1.0, max_epochs=10)
    best, trials = tune(score, poor, trials=12, seed=0)
    assert score(best, lambda epoch, value: None) > trials[0]["score"] + 0.3
