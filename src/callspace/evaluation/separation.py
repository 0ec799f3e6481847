"""How well background and labelled windows come apart: the study's second question, as numbers of its own.

- The linear and the kNN probe of `callspace.evaluation.probes`, with one label, "labelled": fitted on all of train, background
  included whatever the background policy was, chosen on valid by AUROC; a score for each test window.
- The silhouette of the two sets in the full space.
- For each labelled test window the share of its nearest test neighbours that are background.

Not measured, and said so, where train or test has windows of one kind only.
"""

import numpy as np
from numpy.typing import NDArray

from callspace.evaluation.probes import PROBES, Probe, Split
from callspace.metrics.neighbours import Neighbourhoods, neighbour_share
from callspace.metrics.ranking import auroc
from callspace.metrics.weights import Floats

__all__ = ["background_neighbours", "cannot_separate", "separation_probe"]


def cannot_separate(labelled: NDArray[np.bool_], split_name: str) -> str | None:
    """A sentence where a split lacks background or labelled windows, else None."""
    if labelled.all():
        return f"Background separation is not measured: the {split_name} split has no background windows."
    if not labelled.any():
        return f"Background separation is not measured: the {split_name} split has no labelled windows."
    return None


def separation_probe(name: str, train: Split, valid: Split, test: Split) -> Probe:
    """A probe of "labelled" against background; its scores are float64[n_test, 1].

    Parameters
    ----------
    name
        One of `callspace.evaluation.probes.PROBES`.
    train, valid, test
        With all their labels.
    """

    def either(split: Split) -> Split:
        return Split(split.features, np.asarray(split.labels.any(axis=1, keepdims=True)))

    return PROBES[name](
        either(train), either(valid), either(test), "detection", lambda truth, scores: float(auroc(truth[:, 0], scores[:, 0]))
    )


def background_neighbours(near: Neighbourhoods, labelled: NDArray[np.bool_]) -> Floats:
    """For each labelled window the share of its neighbours that are background; NaN for a background window.

    Parameters
    ----------
    near
        Of n windows among themselves.
    labelled
        bool[n].
    """
    return np.where(labelled, neighbour_share(near, ~labelled), np.nan)
