"""A linear head on fixed embeddings: logistic regression, its strength chosen on valid. The judgement's linear probe is the same fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from callspace.adaptation.logistic import regularisation_path, standardiser
from callspace.threads import one_thread

if TYPE_CHECKING:
    from callspace.encoders.heads import LinearHead

__all__ = ["fit_linear_head"]

# The logit of a label that train never shows: as good as never, and finite.
_NEVER = -20.0


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
        The first of the strengths that are best on valid, which is the strongest penalty.
    """
    import torch

    from callspace.adaptation.targets import valid_score
    from callspace.encoders.heads import LinearHead

    features = np.asarray(x, dtype=np.float64)
    mean, scale = standardiser(features)
    known = targets.any(axis=0)
    with one_thread():
        fits = regularisation_path(
            (features - mean) / scale, targets[:, known].astype(np.float64), "softmax" if task == "classification" else "sigmoid"
        )
    heads = {}
    for c, fit in fits.items():
        head = LinearHead(x.shape[1], targets.shape[1], mean=torch.from_numpy(mean), scale=torch.from_numpy(scale))
        with torch.no_grad():
            head.linear.weight.zero_()
            head.linear.bias.fill_(_NEVER)
            head.linear.weight[torch.from_numpy(known)] = torch.from_numpy(fit.weights.T.astype(np.float32))
            head.linear.bias[torch.from_numpy(known)] = torch.from_numpy(fit.intercepts.astype(np.float32))
            scores = head(torch.from_numpy(np.asarray(valid_x, dtype=np.float32))).numpy()
        heads[c] = valid_score(task, scores, valid_targets), head
    best = max(heads, key=lambda c: heads[c][0])
    return heads[best][1], {"C": best, "converged": fits[best].converged}
