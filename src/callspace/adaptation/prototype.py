"""Class prototypes: a window is given to the label whose mean it is nearest to, by the angle.

Clips: the nearest class mean (T. Mensink et al., "Distance-Based Image Classification: Generalizing to New Classes at Near-Zero Cost",
TPAMI 2013; J. Snell et al., "Prototypical Networks for Few-shot Learning", NeurIPS 2017), by the cosine of standardised embeddings.
Soundscapes: the cosine with the mean of the windows that have the label, less that with the mean of those that have not.

Nothing is trained. The temperature, and for soundscapes a bias, make probabilities of cosines; they are those of a grid under which the
labels of valid are likeliest, the same for all labels, so that no ranking depends on them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from callspace.adaptation.fitted import NEVER, Examples, Fitted, can_judge
from callspace.adaptation.mlp import mean_and_scale
from callspace.encoders.heads import PrototypeHead

__all__ = ["BIASES", "TEMPERATURES", "fit_prototype"]

#: From a weak opinion to a strong one.
TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
BIASES = (0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, 1.0, 2.0)
_DEFAULT = (8.0, 0.0)


def fit_prototype(
    train: Examples[np.ndarray], valid: Examples[np.ndarray], *, task: str, advance: Callable[[int], None] = lambda n: None
) -> Fitted:
    """A `PrototypeHead`; see the module."""
    from callspace.adaptation.targets import valid_score

    mean, scale = mean_and_scale(train.features)
    known = train.known
    head = PrototypeHead(train.features.shape[1], len(known), mean=mean, scale=scale)
    with torch.no_grad():
        head.prototypes.copy_(torch.from_numpy(_prototypes(_directions(head, train.features), train.targets, task)))
        judged = can_judge(task, valid.targets, known)
        cosines = _cosines(head, valid.features)
        temperature, bias = _likeliest(cosines[:, known], valid.targets, known, task) if judged else _DEFAULT
        head.temperature.fill_(temperature)
        head.bias.fill_(bias)
        # Below what the most unlike of the known labels can get.
        head.bias[torch.from_numpy(~known)] = NEVER - temperature
        scores = head(torch.from_numpy(np.asarray(valid.features, dtype=np.float32))).numpy()
    advance(1)
    choice: dict[str, Any] = {"temperature": temperature} | ({"bias": bias} if task != "classification" else {})
    score = valid_score(task, scores, valid.targets) if judged else None
    notes = [] if judged else [f"Nothing to choose a temperature by in the valid split: temperature = {_DEFAULT[0]:g}."]
    return Fitted(head.eval(), choice, score, trials=[{**choice, "valid_score": score, "outcome": "fitted"}], notes=notes)


def _directions(head: PrototypeHead, features: np.ndarray) -> np.ndarray:
    """Standardised embeddings of unit length, float64[n, d]; zero where an embedding is the mean itself."""
    standard = (np.asarray(features, dtype=np.float64) - head.mean.double().numpy()) / head.scale.double().numpy()
    return _unit(standard)


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 1e-9, lengths, np.inf)


def _prototypes(directions: np.ndarray, targets: np.ndarray, task: str) -> np.ndarray:
    """float32[labels, d]: unit means, zero for a label that no window has; differences of two where labels are judged each apart."""
    prototypes = _unit(targets.T.astype(np.float64) @ directions)
    if task != "classification":
        without = _unit((1 - targets.T.astype(np.float64)) @ directions)
        prototypes = np.where(np.asarray(targets.any(axis=0))[:, None], prototypes - without, 0.0)
    return prototypes.astype(np.float32)


def _cosines(head: PrototypeHead, features: np.ndarray) -> np.ndarray:
    """float64[n, labels]: what the head makes of embeddings before it has a temperature and a bias."""
    return head(torch.from_numpy(np.asarray(features, dtype=np.float32))).double().numpy()


def _likeliest(cosines: np.ndarray, targets: np.ndarray, known: np.ndarray, task: str) -> tuple[float, float]:
    """Temperature and bias under which the known labels of valid are likeliest, the first of equals."""
    from scipy.special import logsumexp

    wanted = targets[:, known].astype(np.float64)
    if task == "classification":
        told = wanted.any(axis=1)  # a window of a label that train never shows says nothing here
        cosines, wanted = cosines[told], wanted[told]
        losses = {(t, 0.0): (logsumexp(t * cosines, axis=1) - (t * cosines * wanted).sum(axis=1)).sum() for t in TEMPERATURES}
    else:
        losses = {
            (t, b): (np.logaddexp(0.0, t * cosines + b) - (t * cosines + b) * wanted).sum()
            for t, b in itertools.product(TEMPERATURES, BIASES)
        }
    return min(losses, key=losses.__getitem__)
