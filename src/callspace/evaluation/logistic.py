"""Logistic regression with an L2 penalty, for one class a window (softmax) or any number of labels (a sigmoid each).

The objective is scikit-learn's, ``C * sum of losses + |weights|^2 / 2`` with free intercepts, and so is the optimum; but all labels
are fitted at once (their objectives only add up, so that each ends where it would alone), which turns hundreds of passes over the
windows a label into matrix products for all, and a fit can start where one with a stronger penalty ended.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from callspace.metrics.weights import Floats

__all__ = ["Link", "Logistic", "fit_logistic"]

Link = Literal["softmax", "sigmoid"]

_TOLERANCE = 1e-5  # of the gradient of the mean loss; scikit-learn's default is 1e-4
_MAX_ITERATIONS = 2_000


@dataclass(frozen=True)
class Logistic:
    """A fitted regression: ``weights`` float64[d, K], ``intercepts`` float64[K]."""

    weights: Floats
    intercepts: Floats
    link: Link
    converged: bool

    def probabilities(self, features: Floats) -> Floats:
        """float64[n, K] from float64[n, d]."""
        return _predict(features @ self.weights + self.intercepts, self.link)


def _predict(logits: Floats, link: Link) -> Floats:
    from scipy.special import expit, softmax

    return expit(logits) if link == "sigmoid" else softmax(logits, axis=1)


def _loss(logits: Floats, targets: Floats, link: Link) -> float:
    from scipy.special import logsumexp

    normaliser = np.logaddexp(0.0, logits).sum() if link == "sigmoid" else logsumexp(logits, axis=1).sum()
    return float(normaliser - (logits * targets).sum())


def fit_logistic(features: Floats, targets: Floats, link: Link, c: float, start: Logistic | None = None) -> Logistic:
    """Fit by L-BFGS.

    Parameters
    ----------
    features
        float64[n, d], n at least 1; best standardised.
    targets
        float64[n, K] of 0 and 1, one 1 a row for ``"softmax"``.
    link
        ``"softmax"`` or ``"sigmoid"``.
    c
        The inverse strength of the penalty, scikit-learn's C.
    start
        Where to begin: a fit of the same shape.
    """
    from scipy.optimize import minimize

    (n, d), k = features.shape, targets.shape[1]

    def objective(flat: Floats) -> tuple[float, Floats]:
        parameters = flat.reshape(d + 1, k)
        weights = parameters[:d]
        logits = features @ weights + parameters[d]
        residual = (_predict(logits, link) - targets) / n
        gradient = np.empty_like(parameters)
        gradient[:d] = features.T @ residual + weights / (c * n)
        gradient[d] = residual.sum(axis=0)
        return _loss(logits, targets, link) / n + float((weights**2).sum()) / (2 * c * n), gradient.ravel()

    first = np.zeros((d + 1, k)) if start is None else np.vstack([start.weights, start.intercepts])
    limits = {"maxiter": _MAX_ITERATIONS, "maxfun": 2 * _MAX_ITERATIONS, "gtol": _TOLERANCE, "ftol": 64 * np.finfo(float).eps}
    found = minimize(objective, first.ravel(), jac=True, method="L-BFGS-B", options=limits)
    parameters = found.x.reshape(d + 1, k)
    return Logistic(parameters[:d], parameters[d], link, bool(found.success))
