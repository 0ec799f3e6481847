"""Clusterings by name."""

import importlib.util

import numpy as np
import pytest
from sklearn import cluster as sk
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture

from callspace.errors import CallspaceError
from callspace.evaluation.clusterers import CLUSTERERS, cluster, clustered
from callspace.evaluation.clustering import density, graph, hierarchy, number
from callspace.evaluation.clustering.found import Given, NotClusteredError
from callspace.evaluation.spaces import Graph, principal_components
from callspace.metrics.neighbours import k_nearest

HERE = [name for name, kind in CLUSTERERS.items() if all(importlib.util.find_spec(package) for package in kind.needs)]
OF_K = [name for name in HERE if not CLUSTERERS[name].own_number]
OWN = [name for name in HERE if CLUSTERERS[name].own_number]


def blobs(n: int = 160, distance: float = 10.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    codes = np.arange(n) % 4
    return np.random.default_rng(seed).normal(size=(n, 12)) + distance * np.eye(12)[codes], codes


def given(points: np.ndarray, k: int, seed: int = 0) -> Given:
    return Given(points, k, seed, lambda size: Graph(*k_nearest(points, size)))


@pytest.mark.parametrize("name", HERE)
def test_blobs_far_apart_are_found_the_same_each_time(name):
    vectors, codes = blobs()
    found, notes = cluster(name, vectors, 4, seed=1)
    assert found.dtype == np.int32
    assert adjusted_rand_score(codes, found) == 1.0
    again = cluster(name, vectors, 4, seed=1)
    np.testing.assert_array_equal(again[0], found)
    assert again[1] == notes


@pytest.mark.parametrize("name", OF_K)
def test_as_many_clusters_are_made_as_are_asked_for_even_where_there_are_none(name):
    vectors = np.random.default_rng(0).normal(size=(150, 5))
    found, _ = cluster(name, vectors, 7)
    assert len(np.unique(found)) == 7


@pytest.mark.parametrize("name", OWN)
def test_the_number_of_clusters_is_found_whatever_is_asked_for(name):
    vectors, codes = blobs()
    for k in (2, 30):
        found, _ = cluster(name, vectors, k)
        assert adjusted_rand_score(codes, found) == 1.0


@pytest.mark.parametrize("name", ["kmeans", "gmm", "ward", "spectral"])
def test_classes_drawn_apart_are_found_the_better(name):
    found = [normalized_mutual_info_score(codes, cluster(name, vectors, 4)[0]) for vectors, codes in map(blobs, [160] * 4, [0, 2.5, 4, 9])]
    assert found == sorted(found)
    assert found[0] < 0.1
    assert found[-1] > 0.99


def test_kmeans_is_as_good_as_the_best_of_ten_starts():
    vectors = np.random.default_rng(0).normal(size=(100, 3))
    found, _ = cluster("kmeans", vectors, 8, seed=3)
    inertia = sum(((vectors[found == k] - vectors[found == k].mean(axis=0)) ** 2).sum() for k in range(8))
    single = [sk.KMeans(8, n_init=1, random_state=seed).fit(vectors).inertia_ for seed in range(20)]
    assert inertia <= np.quantile(single, 0.3)


def test_the_other_lot_of_starts_is_alike_where_there_are_clusters_and_not_where_there_are_none():
    vectors, _ = blobs()
    found = clustered("kmeans", vectors, 4)
    assert adjusted_rand_score(found.clusters, found.again) == 1.0
    found = clustered("kmeans", np.random.default_rng(1).normal(size=(300, 12)), 12)
    assert adjusted_rand_score(found.clusters, found.again) < 0.9


def test_a_mixture_is_scikit_learns_of_scaled_vectors():
    vectors = np.random.default_rng(2).normal(size=(120, 3)) * 1e-3
    found, _ = cluster("gmm", vectors, 3, seed=5)
    scaled = (vectors - vectors.mean(axis=0)) / np.sqrt(vectors.var(axis=0).mean())
    np.testing.assert_array_equal(found, GaussianMixture(3, max_iter=300, random_state=5).fit_predict(scaled))


@pytest.mark.parametrize("k", [2, 5, 40])
def test_ward_is_scikit_learns_ties_and_duplicates_included(k):
    vectors = np.random.default_rng(3).normal(size=(80, 4))
    reference = sk.AgglomerativeClustering(k, linkage="ward").fit_predict(vectors)
    assert adjusted_rand_score(reference, cluster("ward", vectors, k)[0]) == 1.0
    square = np.array([[0.0, 0], [0, 1], [10, 0], [10, 1]])
    for wanted in (2, 3):
        assert len(np.unique(cluster("ward", square, wanted)[0])) == wanted


def test_ward_among_neighbours_agrees_with_ward_among_all_and_is_said(monkeypatch):
    vectors, codes = blobs(distance=5)
    exact, _ = cluster("ward", vectors, 4)
    monkeypatch.setattr(hierarchy, "EXACT", 100)
    among, notes = cluster("ward", vectors, 4)
    assert adjusted_rand_score(codes, among) > 0.95
    assert adjusted_rand_score(exact, among) > 0.95
    assert "only neighbours merge (15 a window)" in notes[0]


def rings(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    generator, codes = np.random.default_rng(0), np.arange(n) % 2
    angle = generator.uniform(0, 2 * np.pi, n)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.where(codes, 3.0, 1.0)[:, None] + generator.normal(0, 0.1, (n, 2)), codes


@pytest.mark.parametrize("name", [name for name in ("spectral", "leiden", "hdbscan") if name in HERE])
def test_rings_that_have_no_centres_are_found_by_neighbours(name):
    vectors, codes = rings()
    assert adjusted_rand_score(codes, cluster(name, vectors, 2)[0]) == 1.0
    assert adjusted_rand_score(codes, cluster("kmeans", vectors, 2)[0]) < 0.1


@pytest.mark.parametrize("dense", [0, 10_000])
def test_spectral_is_scikit_learns_of_the_same_affinity(monkeypatch, dense):
    monkeypatch.setattr(graph, "_DENSE", dense)
    vectors, codes = blobs(distance=3.5)
    reference = sk.SpectralClustering(4, affinity="nearest_neighbors", n_neighbors=16, random_state=0).fit_predict(vectors)
    found, _ = cluster("spectral", vectors, 4)
    assert adjusted_rand_score(reference, found) > 0.9
    assert adjusted_rand_score(codes, found) > 0.9


def test_a_graph_in_pieces_becomes_one_by_at_most_an_edge_a_piece():
    from scipy.sparse.csgraph import connected_components

    vectors, _ = blobs(distance=50)
    joined, notes = graph.affinity(given(vectors, 4), 5)
    indices = k_nearest(vectors, 5)[0]
    edges = {tuple(sorted((i, int(j)))) for i, row in enumerate(indices) for j in row}
    assert connected_components(joined)[0] == 1
    assert 2 * (len(edges) + 3) <= joined.nnz <= 2 * (len(edges) + 4)
    assert abs(joined - joined.T).max() == 0
    assert notes == ["the neighbour graph was in 4 pieces, which were joined."]


@pytest.mark.parametrize("dimensions", [2, 12])
def test_a_graph_that_is_known_gives_what_one_made_here_gives(dimensions):
    vectors, _ = blobs()
    points = vectors[:, :dimensions]
    known = Graph(*k_nearest(points, 40))
    assert np.array_equal(cluster("spectral", points, 4, graph=known)[0], cluster("spectral", points, 4)[0])


def test_hdbscan_is_scikit_learns_with_noise_as_cluster_0():
    vectors, codes = blobs(400, distance=9)
    scattered = np.concatenate([vectors, np.random.default_rng(1).uniform(-60, 60, (40, 12))])
    found, notes = cluster("hdbscan", scattered, 2)
    reference = sk.HDBSCAN(min_cluster_size=10, min_samples=5, copy=True).fit_predict(scattered)
    np.testing.assert_array_equal(found, reference + 1)
    assert (found[400:] == 0).mean() > 0.9
    assert adjusted_rand_score(codes, found[:400]) > 0.95
    assert "% of the windows are noise" in notes[0]


def test_hdbscan_reads_30_components_of_more_dimensions():
    vectors = np.concatenate([blobs()[0], np.random.default_rng(0).normal(size=(160, 60))], axis=1)
    np.testing.assert_array_equal(cluster("hdbscan", vectors, 2)[0], cluster("hdbscan", principal_components(vectors, 30), 2)[0])


def test_where_all_is_noise_there_is_one_cluster_and_it_is_said():
    found, notes = cluster("hdbscan", np.random.default_rng(0).uniform(size=(30, 12)), 2)
    assert (found == 0).all()
    assert notes == ["all windows are noise, which is one cluster."]
    assert density.smallest_cluster(30) == 7


@pytest.mark.parametrize("name", HERE)
def test_windows_that_are_alike_make_one_cluster_and_it_is_said(name):
    found, notes = cluster(name, np.ones((7, 2)), 3)
    assert (found == 0).all()
    assert notes[0].startswith("1 clusters")
    found, _ = cluster(name, np.zeros((0, 2)), 3)
    assert found.shape == (0,)
    found, _ = cluster(name, [[1.0, 2.0]], 3)
    assert found.tolist() == [0]


@pytest.mark.parametrize("name", OF_K)
def test_fewer_different_windows_than_clusters_make_fewer_clusters_and_it_is_said(name):
    found, notes = cluster(name, np.repeat(np.eye(3), 5, axis=0), 6)
    assert len(np.unique(found)) == 3
    assert notes[0].startswith("3 clusters instead of 6")


@pytest.mark.parametrize("name", HERE)
def test_two_windows_and_many_duplicates_are_no_trouble(name):
    assert set(cluster(name, [[0.0, 0.0], [1.0, 1.0]], 2)[0].tolist()) <= {0, 1}
    crowded = np.concatenate([np.zeros((60, 3)), np.random.default_rng(0).normal(size=(30, 3)) + 9])
    found, _ = cluster(name, crowded, 2)
    assert len(np.unique(found[:60])) == 1


def test_one_cluster_is_one_cluster():
    found, notes = cluster("kmeans", blobs()[0], 1)
    assert (found == 0).all()
    assert notes == []


def test_numbers_tried_grow_to_what_the_windows_can_show():
    assert number.numbers_tried(1000, 1000)[:11] == list(range(2, 13))
    assert number.numbers_tried(1000, 1000)[-1] <= 200
    assert number.numbers_tried(1000, 1000)[-1] == 200
    assert number.numbers_tried(1000, 14) == [*range(2, 13), 14]
    assert number.numbers_tried(1000, 5) == [2, 3, 4, 5]
    assert number.numbers_tried(6, 6) == [2]
    assert number.numbers_tried(2, 2) == [2]


@pytest.mark.parametrize("best", range(2, 61))
def test_every_number_of_clusters_can_be_the_one_estimated(best):
    points = np.random.default_rng(0).normal(size=(300, 2))
    k, notes = number.by_bic(points, lambda sample, k: abs(k - best), 0)
    assert k == best
    assert "of the smallest BIC" in notes[0]


@pytest.mark.parametrize("k", [13, 14, 17, 20, 23])
def test_more_than_twelve_clusters_are_counted(k):
    codes = np.repeat(np.arange(k), 6 * 4)
    vectors = np.random.default_rng(0).normal(size=(len(codes), 10)) + 40 * np.random.default_rng(1).normal(size=(k, 10))[codes]
    found, notes = cluster("kmeans-auto", vectors, 2)
    assert adjusted_rand_score(codes, found) == 1.0
    assert "tried from 2 to" in notes[0]
    assert "ever closer around the best" in notes[0]


@pytest.mark.parametrize("distinct", [2, 3, 8])
def test_there_can_be_as_many_clusters_as_windows_differ(distinct):
    codes = np.arange(120) % distinct
    found, notes = cluster("kmeans-auto", np.random.default_rng(0).normal(size=(distinct, 5))[codes], 2)
    assert adjusted_rand_score(codes, found) == 1.0
    assert notes == [f"the number of clusters is the one of the largest silhouette, from 2 to {distinct}."]


@pytest.mark.parametrize("name", ["gmm", "gmm-auto"])
@pytest.mark.parametrize("dimensions", [2, 64])
def test_a_mixture_does_not_depend_on_where_the_vectors_lie(name, dimensions):
    codes = np.arange(160) % 4
    vectors = np.random.default_rng(0).normal(size=(160, dimensions)) + 20 * np.random.default_rng(1).normal(size=(4, dimensions))[codes]
    for moved in (vectors + 1e7, np.c_[vectors, np.full(160, 1e9)]):
        assert adjusted_rand_score(codes, cluster(name, moved, 4)[0]) == 1.0


@pytest.mark.parametrize("name", ["gmm", "gmm-auto"])
def test_a_mixture_that_is_not_found_is_no_clustering_and_says_why(monkeypatch, name):
    def fail(self, *_, **__):
        raise ValueError("Some components are ill-defined (singletons). Try to increase reg_covar.")

    monkeypatch.setattr(GaussianMixture, "fit", fail)
    monkeypatch.setattr(GaussianMixture, "fit_predict", fail)
    said = r"no mixture of 4 components was found: some components are ill-defined \(singletons\)\.$"
    with pytest.raises(NotClusteredError, match=said if name == "gmm" else "no mixture of any number of components was found"):
        cluster(name, blobs()[0], 4)


def test_an_unknown_clustering_is_refused_with_the_known_ones():
    with pytest.raises(CallspaceError, match="kmeans, gmm, ward"):
        cluster("optics", np.ones((3, 2)), 2)


def test_a_clustering_whose_package_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CallspaceError, match=r"needs igraph and leidenalg: pip install 'callspace\[leiden\]'"):
        cluster("leiden", np.ones((3, 2)), 2)


def test_a_vector_that_is_not_a_number_is_refused_by_name():
    with pytest.raises(CallspaceError, match="NaN or infinity, the first at row 1"):
        cluster("kmeans", [[0.0], [np.nan], [1.0]], 2)
