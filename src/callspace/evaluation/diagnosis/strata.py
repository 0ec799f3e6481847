"""What agreement with the label is left among windows of the same nuisance: kappa within strata.

W. Barlow, M.-Y. Lai, S. P. Azen, Statistics in Medicine 10, 1991, with weights by size. Where a stratum has windows of one true class only, there is
nothing to tell apart in it: kappa does not exist there (its formula gives 0, whatever is said), so that the stratum does not count.
"""

import numpy as np
from numpy.typing import NDArray

from callspace.metrics.weights import Floats, ratio

__all__ = ["comparable", "kappa"]

Codes = NDArray[np.intp]


def kappa(told: Codes, truth: Codes, strata: Codes, n_classes: int, rows: NDArray) -> Floats:
    """Cohen's kappa within strata; with one stratum, Cohen's kappa.

    Parameters
    ----------
    told, truth
        int[n], from 0: the class that each window is given, and has.
    strata
        int[n].
    n_classes
        K.
    rows
        Weights, [R, n].

    Returns
    -------
    float64[R]; NaN where no stratum has two true classes.
    """
    from scipy.sparse import csr_array

    n = len(truth)
    strata = np.unique(strata, return_inverse=True)[1]
    n_strata = int(strata.max()) + 1

    def sums(cells: Codes, n_cells: int, amounts: Floats) -> Floats:
        return np.asarray((csr_array((amounts, (cells, np.arange(n))), shape=(n_cells, n)) @ rows.T).T)

    ones = np.ones(n)
    sizes = sums(strata, n_strata, ones)
    agreed = sums(strata, n_strata, (told == truth).astype(np.float64))
    shape = (len(rows), n_strata, n_classes)
    of_truth = sums(strata * n_classes + truth, n_strata * n_classes, ones).reshape(shape)
    of_told = sums(strata * n_classes + told, n_strata * n_classes, ones).reshape(shape)
    by_chance = ratio((of_truth * of_told).sum(axis=2), sizes, 0.0)
    counts = (of_truth > 0).sum(axis=2) >= 2
    return ratio(((agreed - by_chance) * counts).sum(axis=1), ((sizes - by_chance) * counts).sum(axis=1))


def comparable(truth: Codes, strata: Codes) -> Codes:
    """The strata that have windows of two true classes or more."""
    pairs = np.unique(np.stack([strata, truth]), axis=1)
    each, n_classes = np.unique(pairs[0], return_counts=True)
    return each[n_classes >= 2]
