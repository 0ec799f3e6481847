"""Distances of all vectors, against SciPy."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from callspace.metrics.distances import distance_blocks


def distances(queries: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return np.concatenate([block.copy() for _, block in distance_blocks(queries, reference)])


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_distances_are_scipys_wherever_the_vectors_lie(offset):
    generator = np.random.default_rng(0)
    reference, queries = generator.normal(size=(60, 7)) + offset, generator.normal(size=(9, 7)) + offset
    np.testing.assert_allclose(distances(queries, reference), cdist(queries, reference), rtol=1e-9)
    own = distances(reference, reference)
    np.testing.assert_allclose(own, cdist(reference, reference), rtol=1e-9, atol=1e-12)
    assert (own.diagonal() == 0).all()


@pytest.mark.parametrize("size", [1e6, 1e8, 1e12, 1e30])
@pytest.mark.parametrize("at", [0, 117])
def test_a_few_huge_vectors_leave_the_distances_of_the_others_as_they_are(size, at):
    vectors = np.random.default_rng(0).normal(size=(200, 16))
    vectors[at], vectors[55] = size, -3 * size
    others = np.delete(np.arange(200), [at, 55])
    np.testing.assert_allclose(distances(vectors, vectors)[np.ix_(others, others)], cdist(vectors[others], vectors[others]), rtol=1e-9)
    np.testing.assert_allclose(distances(vectors, vectors)[at, others], cdist(vectors[[at]], vectors[others])[0], rtol=1e-9)


def test_the_median_of_many_vectors_is_that_of_a_sample_and_does_as_well():
    vectors = np.random.default_rng(0).normal(size=(5_003, 3))
    vectors[::500] = 1e11
    found = distances(vectors[1:4], vectors)[:, 1:4]
    np.testing.assert_allclose(found, cdist(vectors[1:4], vectors[1:4]), rtol=1e-9)


def test_no_vectors_have_no_distances():
    assert [block.shape for _, block in distance_blocks(np.zeros((2, 3)), np.zeros((0, 3)))] == [(2, 0)]
