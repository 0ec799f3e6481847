"""``--tune``: a small search for a recipe, judged on valid alone (T. Akiba et al., "Optuna", KDD 2019: TPE sampler, median pruner).

The first trials are the recipe as it is given, one for each of its learning rates, none of them cut short: what comes out is never worse
on valid than what went in. A trial that diverges has failed, and the search goes on. What the n-th trial tries follows from the seed, n
and how the trials before it ended, and each is kept as it ends: an interrupted search goes on as if it had not been interrupted.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from callspace.adaptation.recipes import Recipe
from callspace.adaptation.regimes import Regime, regime_of
from callspace.errors import CallspaceError, MissingDependencyError
from callspace.tables import read_json, write_json

if TYPE_CHECKING:
    import optuna

__all__ = ["Choices", "Report", "Score", "TrialPruned", "Values", "search_space", "tune"]

#: Told the epoch, from 1, and its score on valid; it raises `TrialPruned` where going on is not worth the time.
Report = Callable[[int, float], None]
#: Fits one recipe, and returns its score on valid: the higher, the better.
Score = Callable[[Recipe, Report], float]

# What of a kept trial goes to no card: its place in the space, its scores by epoch, and its time.
_PRIVATE = ("place", "epochs", "seconds")
_FINISHED, _PRUNED, _FAILED = "finished", "pruned", "failed"
# Trials drawn at random before the sampler learns from them, and ended ones before the pruner compares.
_RANDOM_TRIALS = 6
_UNPRUNED_TRIALS = 4


class TrialPruned(Exception):  # noqa: N818 - no error: what `report` ends a trial with
    """The trial lags behind the others. `score` lets it through."""


@dataclass(frozen=True)
class Values:
    """Numbers from `low` to `high`: of any size (`log`), or in steps."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def nearest(self, value: float) -> float:
        """The number of the space that is nearest to `value`."""
        inside = min(max(value, self.low), self.high)
        return inside if self.step is None else self.low + round((inside - self.low) / self.step) * self.step


@dataclass(frozen=True)
class Choices:
    """One of a few names."""

    names: tuple[str, ...]


def search_space(regime: str, recipe: Recipe, fixed: Collection[str] = ()) -> dict[str, Values | Choices]:
    """What is searched in a regime: fields of `Recipe`, ``learning_rates`` being one rate.

    Parameters
    ----------
    regime : str
        What it fixes itself is not searched.
    recipe : Recipe
        If its schedule is constant, no warm-up is searched.
    fixed : collection of str
        Fields that stay as the recipe has them.

    Raises
    ------
    CallspaceError
        The regime is a probe, whose grid is tried anyhow, or nothing is left to search.
    """
    chosen = regime_of(regime)
    if not chosen.tunes:
        raise CallspaceError(
            f"the regime '{chosen.name}' has no recipe to search (a probe tries its whole grid anyhow): leave out --tune, or choose a regime that changes the encoder"
        )
    space = {name: part for name, part in _space_of(chosen, recipe).items() if name not in {*fixed, *chosen.recipe}}
    if not space:
        raise CallspaceError("every part of the recipe is fixed, so that nothing is left to search: leave out --tune, or fix less")
    return space


def _space_of(regime: Regime, recipe: Recipe) -> dict[str, Values | Choices]:
    space: dict[str, Values | Choices] = {
        "learning_rates": Values(1e-5, 1e-2, log=True),
        "head_rate": Values(1.0, 100.0, log=True),
        "weight_decay": Values(1e-6, 1e-1, log=True),
        "label_smoothing": Values(0.0, 0.2, step=0.05),
        "augment": Choices(("off", "light", "strong")),
        "mixup": Values(0.0, 0.4, step=0.1),
        "sampling": Choices(("all", "sqrt", "balanced")),
    }
    if recipe.schedule == "cosine":
        space["warmup"] = Values(0.0, 0.2, step=0.05)
    if regime.trains == "everything" or (regime.trains == "blocks" and (regime.number or 1) > 1):
        space["layer_decay"] = Values(0.6, 1.0, step=0.05)
    return space


def tune(
    score: Score,
    recipe: Recipe,
    *,
    trials: int,
    seed: int,
    storage: Path | None = None,
    regime: str = "full",
    fixed: Collection[str] = (),
    key: str = "",
) -> tuple[Recipe, list[dict[str, Any]]]:
    """Search for the recipe that scores best on valid.

    Parameters
    ----------
    score : (Recipe, Report) -> float
        Fits one recipe, which has one learning rate, and returns its score on valid. A CallspaceError that says ``diverged``, NaN and
        infinity make the trial a failed one; any other error ends the search.
    recipe : Recipe
        Where the search starts; what is not searched stays as it is there.
    trials : int
        All together, the recipe as given among them; each of its learning rates is tried however few they are.
    seed : int
    storage : Path, optional
        A JSON file to keep the trials in as they end. One that holds trials of the very same search is gone on with, any other does
        not count.
    regime : str
    fixed : collection of str
        Fields of the recipe that are not searched: those the user chose, or ``head_rate`` where all weights are random.
    key : str
        What else the trials depend on (fingerprints of data and encoder), so that a search of other data is not gone on with.

    Returns
    -------
    Recipe, list of dict
        The best (of equals the first), and one line a trial: ``trial``, ``given``, ``params`` (as fields of `Recipe`), ``score`` (None
        where it failed; the best so far where it was pruned), ``state`` (finished, pruned or failed). Seconds are in `storage` alone,
        where no two runs need be equal.

    Raises
    ------
    MissingDependencyError
        Optuna is not installed.
    CallspaceError
        Every trial diverged, or there is nothing to search.
    """
    if trials < 1:
        raise CallspaceError(f"a search needs at least 1 trial, not {trials}")
    space = search_space(regime, recipe, fixed)
    about = _about(recipe, space, seed, regime, key)
    ended = _kept(storage, about)
    given = [replace(recipe, learning_rates=(rate,)) for rate in recipe.learning_rates]
    count = max(trials, len(given))
    with _quiet_optuna() as library:
        study = library.create_study(
            direction="maximize",
            pruner=library.pruners.MedianPruner(
                n_startup_trials=_UNPRUNED_TRIALS, n_warmup_steps=recipe.max_epochs // 5 + 1, n_min_trials=2
            ),
        )
        distributions = {name: _distribution(library, part) for name, part in space.items()}
        for number in range(count):
            if number < len(ended):
                _tell(library, study, ended[number], distributions)
                continue
            start = given[number] if number < len(given) else None
            ended.append(_run(library, study, distributions, space, score, start, recipe, number, seed))
            _keep(storage, about, ended)
    lines = [{name: value for name, value in trial.items() if name not in _PRIVATE} for trial in ended[:count]]
    finished = [line for line in lines if line["state"] == _FINISHED]
    if not finished:
        raise CallspaceError(f"training diverged in all {count} trials of the search: try smaller learning rates")
    best = max(finished, key=lambda line: line["score"])
    return _recipe_of(recipe, best["params"]), lines


def _run(
    library: Any,
    study: optuna.Study,
    distributions: dict[str, Any],
    space: Mapping[str, Values | Choices],
    score: Score,
    start: Recipe | None,
    recipe: Recipe,
    number: int,
    seed: int,
) -> dict[str, Any]:
    # A sampler of its own for each trial, or what it draws would depend on how many trials this process has seen.
    study.sampler = library.samplers.TPESampler(
        seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]), n_startup_trials=_RANDOM_TRIALS
    )
    if start is not None:
        study.enqueue_trial(_place_of(start, space))
    trial = study.ask(distributions)
    tried = start or _recipe_of(recipe, {name: _round(value) for name, value in trial.params.items()})
    epochs: dict[str, float] = {}

    def report(epoch: int, value: float) -> None:
        if not math.isfinite(value):
            return
        epochs[str(epoch)] = float(value)
        trial.report(value, epoch)
        if start is None and trial.should_prune():
            raise TrialPruned

    began = time.perf_counter()
    try:
        value, state = float(score(tried, report)), _FINISHED
        if not math.isfinite(value):
            value, state = math.nan, _FAILED
    except TrialPruned:
        value, state = max(epochs.values()), _PRUNED
    except CallspaceError as error:
        if "diverged" not in str(error):
            raise
        value, state = math.nan, _FAILED
    study.tell(trial, value if state == _FINISHED else None, state=_state(library, state))
    return {
        "trial": number + 1,
        "given": start is not None,
        "params": _params_of(tried, space),
        "score": None if state == _FAILED else value,
        "state": state,
        "place": dict(trial.params),
        "epochs": epochs,
        "seconds": round(time.perf_counter() - began, 2),
    }


def _tell(library: Any, study: optuna.Study, kept: Mapping[str, Any], distributions: dict[str, Any]) -> None:
    """Tell the study of a trial that ended before this process began."""
    epochs = {int(epoch): value for epoch, value in kept["epochs"].items()}
    last = epochs[max(epochs)] if epochs else None  # what Optuna has a pruned trial end with
    study.add_trial(
        library.trial.create_trial(
            state=_state(library, kept["state"]),
            value={_FINISHED: kept["score"], _PRUNED: last, _FAILED: None}[kept["state"]],
            params=kept["place"],
            distributions=distributions,
            intermediate_values=epochs,
        )
    )


def _state(library: Any, name: str) -> Any:
    states = library.trial.TrialState
    return {_FINISHED: states.COMPLETE, _PRUNED: states.PRUNED, _FAILED: states.FAIL}[name]


def _distribution(library: Any, part: Values | Choices) -> Any:
    if isinstance(part, Choices):
        return library.distributions.CategoricalDistribution(part.names)
    return library.distributions.FloatDistribution(part.low, part.high, log=part.log, step=part.step)


def _place_of(recipe: Recipe, space: Mapping[str, Values | Choices]) -> dict[str, Any]:
    """Where in the space a recipe lies, or the nearest point where it lies outside: what the sampler learns from."""
    return {
        name: space[name].nearest(value) if isinstance(space[name], Values) else value  # type: ignore[union-attr]
        for name, value in _params_of(recipe, space).items()
    }


def _params_of(recipe: Recipe, space: Mapping[str, Values | Choices]) -> dict[str, Any]:
    return {name: recipe.learning_rates[0] if name == "learning_rates" else getattr(recipe, name) for name in space}


def _recipe_of(recipe: Recipe, params: Mapping[str, Any]) -> Recipe:
    fields: dict[str, Any] = {name: (value,) if name == "learning_rates" else value for name, value in params.items()}
    return replace(recipe, **fields)


def _round(value: Any) -> Any:
    """Four digits: what a card can be read by, and a recipe be written from."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _about(recipe: Recipe, space: Mapping[str, Values | Choices], seed: int, regime: str, key: str) -> dict[str, Any]:
    """What trials must agree in to belong to one search, as JSON has it."""
    return {
        "recipe": {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(recipe).items()},
        "space": {name: list(part.names) if isinstance(part, Choices) else asdict(part) for name, part in space.items()},
        "seed": seed,
        "regime": regime_of(regime).name,
        "key": key,
    }


def _kept(storage: Path | None, about: dict[str, Any]) -> list[dict[str, Any]]:
    if storage is None or not storage.exists():
        return []
    try:
        found = read_json(storage)
        return list(found["trials"]) if found["search"] == about else []
    except (ValueError, KeyError, TypeError):
        return []  # written by another program, or damaged: the search begins anew


def _keep(storage: Path | None, about: dict[str, Any], trials: list[dict[str, Any]]) -> None:
    if storage is not None:
        write_json({"search": about, "trials": trials}, storage)


@contextmanager
def _quiet_optuna() -> Iterator[Any]:
    """Optuna, without its log and its notes on what is experimental; its level is put back."""
    try:
        import optuna
    except ImportError:
        raise MissingDependencyError("--tune needs the package optuna, which is not installed: pip install 'callspace[tune]'") from None
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield optuna
    finally:
        optuna.logging.set_verbosity(level)
