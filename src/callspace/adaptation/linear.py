"""A linear head on fixed embeddings: logistic regression, its strength chosen on valid. The judgement's linear probe is the same fit.

The strength is that of the best score, and of equal ones that under which the labels of valid are likeliest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from callspace.adaptation.fitted import NEVER, Examples, Fitted, can_judge
from callspace.adaptation.logistic import C_GRID, DEFAULT_C, Logistic, best_strength, regularisation_path, standardiser
from callspace.threads import one_thread

if TYPE_CHECKING:
    from callspace.encoders.heads import LinearHead

__all__ = ["fit_linear", "fit_linear_head"]


def fit_linear_head(
    x: np.ndarray, targets: np.ndarray, valid_x: np.ndarray, valid_targets: np.ndarray, *, task: str
) -> tuple[LinearHead, dict[str, Any]]:
    """Logistic regression on standardised embeddings as a head, and what was chosen.

    Parameters
    ----------
    x, valid_x : float[n, d]
    targets, valid_targets : float[n, labels]
        0 and 1; exactly one 1 a row where the task is classification.
    task : "classification" | "detection"
        One multinomial model, or a binary one for each label.

    Returns
    -------
    LinearHead, dict
        Of the strengths whose score on valid is best that under which its labels are likeliest.
    """
    found = fit_linear(Examples(x, targets), Examples(valid_x, valid_targets), task=task)
    return found.head, found.choice  # type: ignore[return-value]


def fit_linear(
    train: Examples[np.ndarray], valid: Examples[np.ndarray], *, task: str, advance: Callable[[int], None] = lambda n: None
) -> Fitted:
    """`fit_linear_head` with what came of every strength; `advance` is told after each."""
    import torch

    from callspace.adaptation.targets import valid_score

    features = np.asarray(train.features, dtype=np.float64)
    mean, scale = standardiser(features)
    known = train.known
    judged = can_judge(task, valid.targets, known)
    grid = C_GRID if len(valid.targets) else (DEFAULT_C,)
    with one_thread():
        fits = regularisation_path(
            (features - mean) / scale,
            train.targets[:, known].astype(np.float64),
            "softmax" if task == "classification" else "sigmoid",
            grid,
            advance=advance,
        )
    heads = {c: _head_of(fit, known, mean, scale) for c, fit in fits.items()}
    scores: dict[float, float | None] = dict.fromkeys(heads)
    if judged:
        with torch.no_grad():
            rows = torch.from_numpy(np.asarray(valid.features, dtype=np.float32))
            scores = {c: valid_score(task, head(rows).numpy(), valid.targets) for c, head in heads.items()}
    best = DEFAULT_C
    if judged:
        standard = (np.asarray(valid.features, dtype=np.float64) - mean) / scale
        best = best_strength({c: score or 0.0 for c, score in scores.items()}, fits, standard, valid.targets[:, known].astype(np.float64))
    return Fitted(
        heads[best],
        {"C": best, "converged": fits[best].converged},
        scores[best],
        trials=[{"C": c, "valid_score": scores[c], "outcome": "fitted" if fits[c].converged else "not converged"} for c in fits],
        notes=[] if judged else [f"Nothing to choose C by in the valid split: C = {DEFAULT_C:g}."],
    )


def _head_of(fit: Logistic, known: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> LinearHead:
    import torch

    from callspace.encoders.heads import LinearHead

    with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and not used
        head = LinearHead(len(mean), len(known), mean=torch.from_numpy(mean), scale=torch.from_numpy(scale))
    with torch.no_grad():
        head.linear.weight.zero_()
        head.linear.bias.fill_(NEVER)
        head.linear.weight[torch.from_numpy(known)] = torch.from_numpy(fit.weights.T.astype(np.float32))
        head.linear.bias[torch.from_numpy(known)] = torch.from_numpy(fit.intercepts.astype(np.float32))
    return head
