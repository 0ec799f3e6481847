"""Fine-tuning: from a dataset and an encoder to a tuned encoder with a head, in one of the regimes."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from callspace.adaptation.background import training_rows
from callspace.adaptation.linear import fit_linear_head
from callspace.adaptation.recipes import Recipe
from callspace.adaptation.regimes import check_regime
from callspace.adaptation.targets import targets_of, valid_score
from callspace.adaptation.training import Fit, fit
from callspace.datasets import Dataset
from callspace.embedding.embed import embed
from callspace.embedding.pipeline import WaveformCache, choose_device
from callspace.embedding.store import Embeddings
from callspace.encoders.contract import Encoder
from callspace.encoders.heads import LinearHead
from callspace.errors import CallspaceError
from callspace.progress import SILENT, Progress

__all__ = ["finetune", "head_probabilities", "head_scores"]


def finetune(
    dataset: Dataset,
    encoder: Encoder,
    regime: str = "full",
    background: float = 1.0,
    seed: int = 0,
    *,
    recipe: Recipe | None = None,
    embeddings: Embeddings | None = None,
    device: str | None = None,
    progress: Progress = SILENT,
) -> Encoder:
    """Fit an encoder to a dataset's labels.

    Everything is chosen on the valid split; test is not looked at.

    Parameters
    ----------
    dataset : Dataset
    encoder : Encoder
        It is not changed; the tuned one is a copy.
    regime : "linear" | "full"
        A linear head on the frozen encoder, or all of it.
    background : float
        The share of the train split's background windows that is kept.
    seed : int
        Of the head's first weights, the order of the windows, and the background that is kept.
    recipe : Recipe, optional
    embeddings : Embeddings, optional
        Of all windows by this encoder, so that ``linear`` need not compute them again.
    device : str, optional
    progress : Progress

    Returns
    -------
    Encoder
        With `head`, `labels` and `card` (regime, scores on valid, history); ``.save(folder)`` keeps it, `load_encoder(folder)` loads it.

    Raises
    ------
    CallspaceError
        The encoder cannot be trained in this regime, or training diverged at every learning rate.
    """
    check_regime(regime)
    recipe = recipe or Recipe()
    encoder.bind(dataset.sample_rate_hz)
    if regime == "frozen":
        raise CallspaceError("the regime 'frozen' fits nothing: choose 'linear' or 'full'")
    if regime == "full" and not encoder.backbone_parameters():
        raise CallspaceError(f"encoder '{encoder.spec.name}' has nothing to train: use the regime 'linear'")
    rows = training_rows(dataset, background, seed=seed)
    card: dict[str, Any] = {
        "regime": regime,
        "background": background,
        "seed": seed,
        "recipe": recipe.name,
        "dataset": dataset.name,
        "dataset_fingerprint": dataset.fingerprint(),
        "task": dataset.task,
        "window_s": dataset.window_s,
        "speed": dataset.speed,
        "band": dataset.band,
        "train_windows": len(rows),
        "base": encoder.spec.name,
        "base_fingerprint": encoder.fingerprint(),
        "licence": encoder.spec.weights.licence if encoder.spec.weights else None,
        "valid_metric": "accuracy" if dataset.task == "classification" else "map",
    }
    if regime == "linear":
        tuned, found = _linear(dataset, encoder, rows, embeddings, device, progress)
    else:
        tuned, found = _full(dataset, encoder, rows, recipe, seed, device, progress)
    tuned.labels = list(dataset.labels)
    tuned.card = card | found
    tuned.eval()
    return tuned


def _linear(
    dataset: Dataset, encoder: Encoder, rows: list[int], embeddings: Embeddings | None, device: str | None, progress: Progress
) -> tuple[Encoder, dict[str, Any]]:
    vectors = (embeddings or embed(dataset, encoder, device=device, progress=progress)).vectors
    valid_rows = dataset.rows("valid")
    valid = vectors[valid_rows], targets_of(dataset, valid_rows)
    head, choice = fit_linear_head(vectors[rows], targets_of(dataset, rows), *valid, task=dataset.task)
    tuned = copy.deepcopy(encoder)
    tuned.head = head
    score = valid_score(dataset.task, head_scores(head, valid[0]), valid[1])
    return tuned, {"valid_score": score, "chosen": choice, "history": []}


def _full(
    dataset: Dataset, encoder: Encoder, rows: list[int], recipe: Recipe, seed: int, device: str | None, progress: Progress
) -> tuple[Encoder, dict[str, Any]]:
    where = choose_device(device)
    cache = WaveformCache()
    if encoder.spec.pretraining == "none" and not encoder.card:
        recipe = replace(recipe, head_rate=1.0)  # backbone and head both start from nothing
    best: Fit | None = None
    history: list[dict[str, Any]] = []
    tuned, head = encoder, None
    batches = -(-len(rows) // recipe.batch_size)
    for number, rate in enumerate(recipe.learning_rates, start=1):
        trial = copy.deepcopy(encoder).to(where)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            new_head = LinearHead(trial.spec.embedding_dim, len(dataset.labels)).to(where)
        label = f"tuning {encoder.spec.name}" + (f" ({number} of {len(recipe.learning_rates)})" if len(recipe.learning_rates) > 1 else "")
        with progress.task(label, batches * recipe.max_epochs) as advance:
            found = fit(dataset, trial, new_head, rows, recipe, rate, seed=seed, device=where, cache=cache, advance=advance)
        history += found.history
        if found.weights and (best is None or found.rank > best.rank):
            best, tuned, head = found, trial, new_head
    if best is None:
        rates = ", ".join(f"{rate:g}" for rate in recipe.learning_rates)
        raise CallspaceError(f"training {encoder.spec.name} diverged at every learning rate ({rates}): try smaller ones")
    tuned.head = head
    return tuned, {"valid_score": best.score, "chosen": {"learning_rate": best.learning_rate, "epoch": best.epoch}, "history": history}


def head_scores(head: torch.nn.Module, vectors: np.ndarray) -> np.ndarray:
    """A head's logits for embeddings: float32[n, labels] from float32[n, d]."""
    device = next(head.parameters()).device
    with torch.inference_mode():
        return head(torch.from_numpy(np.ascontiguousarray(vectors)).to(device)).cpu().numpy()


def head_probabilities(head: torch.nn.Module, vectors: np.ndarray, task: str) -> np.ndarray:
    """`head_scores` as probabilities: over the labels of a clip, or of each label of a soundscape's window apart."""
    logits = torch.from_numpy(head_scores(head, vectors)).double()
    return (logits.softmax(dim=1) if task == "classification" else logits.sigmoid()).numpy()
