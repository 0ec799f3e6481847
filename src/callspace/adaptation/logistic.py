"""Logistic regression with an L2 penalty, for one class a window (softmax) or any number of labels (a sigmoid each).

The objective is scikit-learn's, ``C * sum of losses + |weights|^2 / 2`` with free intercepts, and so is the optimum; but all labels
are fitted at once (their objectives only add up, so that each ends where it would alone), which turns hundreds of passes over the
windows a label into matrix products for all, and a fit can start where one with a stronger penalty ended.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from callspace.metrics.weights import Floats

__all__ = ["C_GRID", "DEFAULT_C", "Link", "Logistic", "best_strength", "fit_logistic", "regularisation_path", "standardiser"]

#: Strengths tried, from a strong penalty to a weak one, on standardised features.
C_GRID = (0.0001, 0.001, 0.01, 0.1, 1.0)
#: Taken where there is nothing to choose by.
DEFAULT_C = 0.01

Link = Literal["softmax", "sigmoid"]

_TOLERANCE = 1e-4  # of the gradient of the mean loss in scaled parameters: about as near to the optimum as 1e-5 in unscaled ones, measured
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

    def loss(self, features: Floats, targets: Floats) -> float:
        """The summed log-loss of targets float64[n, K]; with softmax a row without a 1 says nothing."""
        if self.link == "softmax":
            told = targets.any(axis=1)
            features, targets = features[told], targets[told]
        return _loss(features @ self.weights + self.intercepts, targets, self.link)


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
    scale = _scale(features, targets, c)

    def objective(flat: Floats) -> tuple[float, Floats]:
        parameters = flat.reshape(d + 1, k) * scale
        weights = parameters[:d]
        logits = features @ weights + parameters[d]
        residual = (_predict(logits, link) - targets) / n
        gradient = np.empty_like(parameters)
        gradient[:d] = features.T @ residual + weights / (c * n)
        gradient[d] = residual.sum(axis=0)
        return _loss(logits, targets, link) / n + float((weights**2).sum()) / (2 * c * n), (gradient * scale).ravel()

    first = np.zeros((d + 1, k)) if start is None else np.vstack([start.weights, start.intercepts]) / scale
    limits = {"maxcor": 30, "maxiter": _MAX_ITERATIONS, "maxfun": 2 * _MAX_ITERATIONS, "gtol": _TOLERANCE, "ftol": 64 * np.finfo(float).eps}
    found = minimize(objective, first.ravel(), jac=True, method="L-BFGS-B", options=limits)
    parameters = found.x.reshape(d + 1, k) * scale
    return Logistic(parameters[:d], parameters[d], link, bool(found.success))


def _scale(features: Floats, targets: Floats, c: float) -> Floats:
    """One over the root of about the objective's curvature along each parameter, float64[d + 1, K].

    In parameters so scaled the objective is nearly as steep in every direction if the features' columns are uncorrelated, and the search
    takes a fraction of the steps. The curvature of a logit is that of the label's share among the windows.
    """
    n = len(features)
    share = np.clip(targets.mean(axis=0), 1 / (2 * n), 1 - 1 / (2 * n))
    curvature = share * (1 - share)
    along = np.square(features).mean(axis=0)[:, None] * curvature + 1 / (c * n)
    return 1 / np.sqrt(np.vstack([along, curvature]))


def standardiser(train: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each dimension, float64[d]; a constant dimension has deviation 1."""
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    # The deviation of a constant is rounding, not 0.
    constant = deviation <= 1e-9 * np.maximum(np.abs(mean), np.finfo(float).tiny)
    return mean, np.where(constant, 1.0, deviation)


def regularisation_path(
    features: Floats,
    targets: Floats,
    link: Link,
    grid: Sequence[float] = C_GRID,
    *,
    advance: Callable[[int], None] = lambda n: None,
) -> dict[float, Logistic]:
    """A fit for each C of `grid`, in its order, each begun where the one before it ended; `advance(1)` after each.

    The fits are sought along the principal axes of the windows. There the features are uncorrelated, so that the search is short; and with
    more dimensions than windows the optimum lies in their span (the representer theorem), a problem as small as the windows are few.
    """
    basis = _principal_axes(features)
    inside = features @ basis
    fits: dict[float, Logistic] = {}
    last = None
    for c in grid:
        last = fit_logistic(inside, targets, link, c, last)
        fits[c] = replace(last, weights=basis @ last.weights)
        advance(1)
    return fits


def best_strength(scores: Mapping[float, float], fits: Mapping[float, Logistic], features: Floats, targets: Floats) -> float:
    """The C of the best score, and of equal ones that under which the targets of valid are likeliest, the first of equals.

    Accuracy and average precision don't see how sure a fit is. Where they are equal, as where classes lie far apart, the strongest penalty would
    tell the classes apart with probabilities that are nearly the same for all.

    Parameters
    ----------
    scores
        By C, on valid.
    fits
        By C.
    features, targets
        Of valid: float64[n, d] and float64[n, K], as the fits have them.
    """
    best = max(scores.values())
    losses = {c: fits[c].loss(features, targets) for c, score in scores.items() if score == best}
    return min(losses, key=losses.__getitem__)


def _principal_axes(features: Floats) -> Floats:
    """float64[d, rank]: an orthonormal basis of the span of the rows, along which they are uncorrelated about the origin."""
    n, d = features.shape
    if d > n:
        _, singular, rows = np.linalg.svd(features, full_matrices=False)
        return rows[singular > singular[0] * 1e-10].T if singular[0] > 0 else rows[:1].T
    return np.ascontiguousarray(np.linalg.eigh(features.T @ features)[1][:, ::-1])
