"""Clusterings by name."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from callspace.errors import CallspaceError
from callspace.evaluation.clusterers import CLUSTERERS, cluster


def blobs(n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    codes = np.arange(n) % 4
    return np.random.default_rng(0).normal(size=(n, 12)) + 10 * np.eye(12)[codes], codes


@pytest.mark.parametrize("name", CLUSTERERS)
def test_blobs_far_apart_are_found_the_same_each_time(name):
    vectors, codes = blobs()
    found, notes = cluster(name, vectors, 4, seed=1)
    assert found.dtype == np.int32
    assert adjusted_rand_score(codes, found) == 1.0
    assert notes == []
    np.testing.assert_array_equal(cluster(name, vectors, 4, seed=1)[0], found)


def test_kmeans_is_the_best_of_ten_starts():
    vectors = np.random.default_rng(0).normal(size=(100, 3))
    found, _ = cluster("kmeans", vectors, 8, seed=3)
    inertia = sum(((vectors[found == k] - vectors[found == k].mean(axis=0)) ** 2).sum() for k in range(8))
    single = [KMeans(8, n_init=1, random_state=seed).fit(vectors).inertia_ for seed in range(10)]
    assert inertia <= np.median(single)


@pytest.mark.parametrize("name", CLUSTERERS)
def test_fewer_different_windows_than_clusters_make_fewer_clusters_and_it_is_said(name):
    found, notes = cluster(name, np.repeat(np.eye(3), 5, axis=0), 6)
    assert len(np.unique(found)) == 3
    assert notes[0].startswith("3 clusters instead of 6")
    found, notes = cluster(name, np.ones((7, 2)), 3)
    assert (found == 0).all()
    assert notes[0].startswith("1 clusters instead of 3")


def test_an_unknown_clustering_is_refused_with_the_known_ones():
    with pytest.raises(CallspaceError, match="kmeans, gmm, ward"):
        cluster("leiden", np.ones((3, 2)), 2)
