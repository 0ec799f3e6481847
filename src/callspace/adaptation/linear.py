"""A linear head on fixed embeddings: logistic regression by scikit-learn, its strength chosen on valid.

One function serves the regime ``linear`` and the linear probe of the judgement, so that the two cannot differ.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from callspace.encoders.heads import LinearHead

__all__ = ["STRENGTHS", "LogisticFit", "fit_linear_head", "fit_logistic"]

#: Inverse regularisation strengths tried, from strong to weak regularisation, on standardised features.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
# The logit of a label that the train split never shows (or never lacks): as good as never (always), and finite.
_NEVER = -20.0


@dataclass(frozen=True)
class LogisticFit:
    """Logits are ``((x - mean) / scale) @ coefficients.T + intercepts``.

    Attributes
    ----------
    mean, scale : float64[d]
    coefficients : float64[labels, d]
    intercepts : float64[labels]
    strength : float
        scikit-learn's C.
    converged : bool
    """

    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    intercepts: np.ndarray
    strength: float
    converged: bool

    def logits(self, x: np.ndarray) -> np.ndarray:
        """float64[n, labels] from float[n, d]."""
        return ((np.asarray(x, dtype=np.float64) - self.mean) / self.scale) @ self.coefficients.T + self.intercepts


def fit_logistic(x: np.ndarray, targets: np.ndarray, valid_x: np.ndarray, valid_targets: np.ndarray, *, task: str) -> LogisticFit:
    """Logistic regression on standardised features, the strength chosen by the score on valid, then by its loss.

    Parameters
    ----------
    x, valid_x : float[n, d]
    targets, valid_targets : float[n, labels]
        0 and 1; exactly one 1 a row where the task is classification.
    task : "classification" | "detection"
        One multinomial model, or one binary model a label.

    Returns
    -------
    LogisticFit
    """
    from threadpoolctl import threadpool_limits

    x = np.asarray(x, dtype=np.float64)
    mean = x.mean(axis=0)
    scale = x.std(axis=0)
    scale[scale < 1e-12 * max(1.0, float(np.abs(mean).max()))] = 1.0
    features = (x - mean) / scale
    # With more dimensions than windows the solution lies in the windows' span (representer theorem): an exact, much smaller problem.
    basis = _row_space(features) if features.shape[1] > features.shape[0] else None
    reduced = features if basis is None else features @ basis
    valid_features = (np.asarray(valid_x, dtype=np.float64) - mean) / scale
    valid_reduced = valid_features if basis is None else valid_features @ basis
    best: tuple[tuple[float, float], float, np.ndarray, np.ndarray, bool] | None = None
    # One thread: sums then have one order, and the fit is the same on any number of cores.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for strength, coefficients, intercepts, converged in _path(reduced, targets, task):
            logits = valid_reduced @ coefficients.T + intercepts
            rank = _valid_rank(task, logits, valid_targets)
            if best is None or rank > best[0]:
                best = rank, strength, coefficients, intercepts, converged
    assert best is not None
    _, strength, coefficients, intercepts, converged = best
    return LogisticFit(mean, scale, coefficients if basis is None else coefficients @ basis.T, intercepts, strength, converged)


def fit_linear_head(
    x: np.ndarray, targets: np.ndarray, valid_x: np.ndarray, valid_targets: np.ndarray, *, task: str
) -> tuple[LinearHead, dict[str, Any]]:
    """`fit_logistic` as a torch module, and what was chosen."""
    import torch

    from callspace.encoders.heads import LinearHead

    found = fit_logistic(x, targets, valid_x, valid_targets, task=task)
    head = LinearHead(x.shape[1], targets.shape[1])
    with torch.no_grad():
        head.mean.copy_(torch.from_numpy(found.mean))
        head.scale.copy_(torch.from_numpy(found.scale))
        head.linear.weight.copy_(torch.from_numpy(found.coefficients))
        head.linear.bias.copy_(torch.from_numpy(found.intercepts))
    return head, {"C": found.strength, "converged": found.converged}


def _row_space(features: np.ndarray) -> np.ndarray:
    """Orthonormal basis float64[d, rank] of the span of the rows."""
    _, singular, rows = np.linalg.svd(features, full_matrices=False)
    return rows[singular > singular[0] * 1e-10].T if singular[0] > 0 else rows[:1].T


def _path(x: np.ndarray, targets: np.ndarray, task: str) -> list[tuple[float, np.ndarray, np.ndarray, bool]]:
    from sklearn.linear_model import LogisticRegression

    labels = targets.shape[1]

    def new_model() -> Any:
        return LogisticRegression(max_iter=1000, tol=1e-4, warm_start=True)

    if task == "classification":
        names = targets.argmax(axis=1)
        present = np.unique(names)
        problems = [(names, present)] if len(present) > 1 else []
    else:
        problems = [
            (targets[:, label].astype(int), np.array([label])) for label in range(labels) if 0 < targets[:, label].sum() < len(targets)
        ]
    models = [new_model() for _ in problems]
    path = []
    for strength in STRENGTHS:
        coefficients = np.zeros((labels, x.shape[1]))
        intercepts = np.where(targets.mean(axis=0) == 1, -_NEVER, _NEVER)
        converged = True
        for model, (names, rows) in zip(models, problems, strict=True):
            model.set_params(C=strength)
            model.fit(x, names)
            converged &= bool((model.n_iter_ < model.max_iter).all())
            if task == "classification" and len(rows) == 2:  # scikit-learn fits one logit for two classes
                coefficients[rows], intercepts[rows] = np.vstack([-model.coef_, model.coef_]) / 2, np.array([-0.5, 0.5]) * model.intercept_
            else:
                coefficients[rows], intercepts[rows] = model.coef_, model.intercept_
        path.append((strength, coefficients, intercepts, converged))
    return path


def _valid_rank(task: str, logits: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    from scipy.special import log_softmax

    from callspace.adaptation.targets import valid_score

    if task == "classification":
        loss = -float((log_softmax(logits, axis=1) * targets).sum(axis=1).mean())
    else:
        loss = float((np.logaddexp(0, logits) - targets * logits).mean())
    return valid_score(task, logits, targets), -loss
