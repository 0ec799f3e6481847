"""Spaces: names, principal components, UMAP and t-SNE."""

import sys
import warnings
from dataclasses import replace

import numpy as np
import openTSNE
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openTSNE.affinity import PerplexityBasedNN
from openTSNE.nearest_neighbors import PrecomputedNeighbors
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score

from callspace.errors import CallspaceError
from callspace.evaluation.fuzzy_graph import fuzzy_graph
from callspace.evaluation.reductions import REDUCTIONS
from callspace.evaluation.reductions.base import start, unit_scale
from callspace.evaluation.reductions.pacmap_map import neighbour_pairs
from callspace.evaluation.reductions.tsne_map import Rest
from callspace.evaluation.spaces import MIN_WINDOWS, neighbour_graph, parse_space, principal_components, reduce

MAPS = ("umap-15-0.1", "tsne-10")


def place(name: str, vectors: np.ndarray, seed: int = 0):
    space = parse_space(name)
    return reduce(space, vectors, neighbour_graph(vectors, [space]), seed)


def three_blobs(n: int = 90) -> tuple[np.ndarray, np.ndarray]:
    codes = np.arange(n) % 3
    return np.random.default_rng(0).normal(size=(n, 10)) + 12 * np.eye(10)[codes], codes


@pytest.mark.parametrize(
    "name",
    [
        "umap-50",
        "umap-1-0.5",
        "umap-15-2",
        "umap-a-b",
        "umap-inf-0.5",
        "pca-0",
        "pca-2.5",
        "pca-inf",
        "tsne-0",
        "tsne",
        "tsne-nan",
        "tsne-30-250",
        "tsne-30-500.5",
        "pacmap",
        "pacmap-0",
        "pacmap-10-2",
        "full-2",
        "isomap-3",
        "-",
    ],
)
def test_a_name_that_is_no_space_is_refused_with_the_forms(name):
    with pytest.raises(CallspaceError, match="umap-NEIGHBOURS-MIN_DIST"):
        parse_space(name)


@pytest.mark.parametrize(
    ("name", "neighbours"),
    [("full", 0), ("pca-50", 0), ("umap-50-0.5", 49), ("tsne-25", 75), ("tsne-100-5000", 300), ("pacmap-10", 60)],
)
def test_a_space_says_how_many_neighbours_it_reads_and_one_graph_serves_all(name, neighbours):
    assert parse_space(name).neighbours == neighbours
    vectors = np.random.default_rng(0).normal(size=(400, 3))
    graph = neighbour_graph(vectors, [parse_space(name), parse_space("umap-15-0.1")], at_least=15)
    assert graph.indices.shape == graph.distances.shape == (400, max(neighbours, 15))


def test_the_full_space_is_the_embedding_as_it_is():
    vectors, _ = three_blobs()
    np.testing.assert_array_equal(place("full", vectors)[0], vectors)


@pytest.mark.parametrize("shape", [(50, 8), (6, 40)])
def test_principal_components_are_scikit_learns_but_for_their_sign(shape):
    vectors = np.random.default_rng(0).normal(size=shape) + 3
    reference = PCA(n_components=4).fit_transform(vectors)
    found = principal_components(vectors, 4)
    np.testing.assert_allclose(np.abs(found), np.abs(reference), atol=1e-8)


@pytest.mark.parametrize("shape", [(200, 20), (15, 40)])
@pytest.mark.parametrize("size", [1e3, 3e6, 1e10])
def test_components_beside_a_dimension_of_another_size_are_found(shape, size):
    vectors = np.random.default_rng(0).normal(size=shape)
    vectors[:, 0] *= size
    expected = PCA(5).fit_transform(vectors)
    found = principal_components(vectors, 5)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-4, atol=1e-3)
    assert (found.std(axis=0) > 0.5).all()


def test_windows_in_a_plane_have_two_components_and_zeros():
    generator = np.random.default_rng(0)
    for shape in ((60, 10), (8, 30)):
        vectors = generator.normal(size=(shape[0], 2)) @ generator.normal(size=(2, shape[1])) + 7
        found = principal_components(vectors, 5)
        assert (found[:, 2:] == 0).all()
        np.testing.assert_allclose(found.std(axis=0)[:2], PCA(2).fit_transform(vectors).std(axis=0))


def test_components_that_do_not_exist_are_zero_or_told_of():
    line = np.outer(np.arange(10.0), np.ones(4))
    components = principal_components(line, 3)
    assert np.ptp(components[:, 0]) == pytest.approx(18)
    assert (components[:, 1:] == 0).all()
    places, notes = place("pca-7", line)
    assert places.shape == (10, 4)
    assert "4 components" in notes[0]


def test_the_neighbour_graph_of_umap_is_umap_learns(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap import umap_
    for compiled in ("smooth_knn_dist", "compute_membership_strengths"):  # as plain Python: compiling them takes longer than the test
        monkeypatch.setattr(umap_, compiled, getattr(umap_, compiled).py_func)
    vectors = np.random.default_rng(0).normal(size=(60, 6))
    vectors[20:40] = vectors[20]  # more duplicates than neighbours
    graph = neighbour_graph(vectors, [], 9)
    indices = np.c_[np.arange(60), graph.indices]
    distances = np.c_[np.zeros(60), graph.distances].astype(np.float32)
    theirs, _, _ = umap_.fuzzy_simplicial_set(vectors, 10, None, "euclidean", knn_indices=indices, knn_dists=distances)
    assert theirs.nnz > 300
    np.testing.assert_allclose(fuzzy_graph(graph.indices, graph.distances).toarray(), theirs.toarray(), atol=2e-5)


@pytest.mark.parametrize("name", MAPS)
def test_a_map_keeps_blobs_apart_and_neighbours_together(name):
    vectors, codes = three_blobs()
    places, notes = place(name, vectors)
    assert places.shape == (90, 2)
    assert notes == []
    assert silhouette_score(places, codes) > 0.6
    assert trustworthiness(vectors, places, n_neighbors=10) > 0.85


@pytest.mark.parametrize("name", MAPS)
def test_the_same_seed_gives_the_same_map_byte_for_byte_and_another_seed_another(name):
    vectors, _ = three_blobs()
    first = place(name, vectors)[0].tobytes()
    assert place(name, vectors)[0].tobytes() == first
    assert place(name, vectors, seed=1)[0].tobytes() != first


def test_neighbours_and_perplexity_are_lowered_for_few_windows_and_it_is_said():
    vectors, _ = three_blobs(12)
    assert "11 neighbours" in place("umap-50-0.5", vectors)[1][0]
    assert "perplexity 3.67" in place("tsne-30", vectors)[1][0]


@pytest.mark.parametrize("name", ["umap-15-0.1", "tsne-10", "pca-2"])
def test_too_few_windows_and_constant_embeddings_make_no_map_and_it_is_said(name):
    assert place(name, np.random.default_rng(0).normal(size=(MIN_WINDOWS - 1, 3)))[0] is None
    places, notes = place(name, np.ones((20, 3)))
    assert places is None
    assert "same embedding" in notes[0]
    assert np.isfinite(place(name, np.random.default_rng(0).normal(size=(MIN_WINDOWS, 3)))[0]).all()


def test_a_tsne_of_so_many_iterations_is_open_tsnes_and_without_it_stops_when_at_rest():
    vectors, codes = three_blobs(40)
    theirs = openTSNE.TSNE(
        perplexity=8, n_iter=150, random_state=0, negative_gradient_method="bh", initialization=start(vectors, 1e-4, 1e-6, 0)
    )
    graph = neighbour_graph(vectors, [parse_space("tsne-8")])
    affinities = PerplexityBasedNN(knn_index=PrecomputedNeighbors(graph.indices, graph.distances), perplexity=8)
    np.testing.assert_allclose(place("tsne-8-400", vectors)[0], theirs.fit(affinities=affinities), atol=1e-3)
    assert place("tsne-8", vectors)[0].tobytes() != place("tsne-8-750", vectors)[0].tobytes()
    assert silhouette_score(place("tsne-8", vectors)[0], codes) > 0.6


def test_without_its_package_pacmap_is_refused_in_words(monkeypatch):
    monkeypatch.setitem(sys.modules, "pacmap", None)
    with pytest.raises(CallspaceError, match=r"'pacmap-10' needs the package pacmap: pip install 'callspace\[pacmap\]'"):
        place("pacmap-10", three_blobs()[0])


def test_the_pairs_of_pacmap_are_those_of_its_rule():
    vectors = np.random.default_rng(0).normal(size=(40, 4))
    graph = neighbour_graph(vectors, [], 20)
    scale = [graph.distances[at, 3:6].mean() for at in range(40)]
    pairs = neighbour_pairs(graph, 7)
    for at in range(40):
        scaled = {int(j): d**2 / scale[at] / scale[j] for j, d in zip(graph.indices[at], graph.distances[at], strict=True)}
        assert pairs[pairs[:, 0] == at, 1].tolist() == sorted(scaled, key=scaled.__getitem__)[:7]


def test_a_pacmap_keeps_blobs_apart_and_is_the_same_twice():
    pytest.importorskip("pacmap")
    vectors, codes = three_blobs()
    places, notes = place("pacmap-10", vectors)
    assert notes == []
    assert silhouette_score(places, codes) > 0.6
    assert place("pacmap-10", vectors)[0].tobytes() == places.tobytes()
    few, said = place("pacmap-10", vectors[:MIN_WINDOWS])
    assert np.isfinite(few).all()
    assert "1 neighbours" in said[0]


@pytest.mark.parametrize("name", MAPS)
def test_duplicates_and_single_dimensions_make_a_map(name):
    vectors = np.repeat(np.arange(6.0), 8)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        places, _ = place(name, vectors)
    assert np.isfinite(places).all()


def test_a_map_rests_when_its_divergence_does_and_it_is_not_still_unfolding():
    rest = Rest()
    asked = [(4.0, 1e-3), (4.0, 1.0), (3.9, 1.2), (3.89, 1.3)]
    assert [rest(50, divergence, size * np.eye(9, 2)) for divergence, size in asked] == [False, False, False, True]


@pytest.mark.parametrize("name", ["pca-3", *MAPS])
@pytest.mark.parametrize("exponent", [-660, 660])
def test_a_map_does_not_depend_on_the_scale_of_the_vectors(name, exponent):
    vectors, _ = three_blobs()
    space = parse_space(name)
    expected, scaled = place(name, vectors)[0], vectors * 2.0**exponent
    found = place(name, scaled)[0] * (2.0**-exponent if space.kind == "pca" else 1)
    if space.kind == "pca":
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    else:
        assert trustworthiness(vectors, found) == pytest.approx(trustworthiness(vectors, expected), abs=0.02)


@pytest.mark.parametrize("rms", [1e-6, 1.0, 7e5])
def test_vectors_of_ordinary_size_are_left_as_they_are(rms):
    assert unit_scale(rms * 1.01 * np.ones((4, 3))) == 1


@given(st.floats(-300, 300))
def test_others_are_brought_to_about_one_by_a_power_of_two(size):
    vectors = 10.0**size * np.random.default_rng(0).normal(size=(30, 4))
    scale = unit_scale(vectors)
    assert 1e-6 / 4 < np.sqrt(np.mean((vectors * scale) ** 2)) < 1e6 * 4
    assert np.log2(scale) == np.floor(np.log2(scale))
    assert unit_scale(np.zeros((4, 3))) == unit_scale(np.zeros((0, 3))) == 1


def test_places_that_are_not_finite_are_no_map_and_it_is_said(monkeypatch):
    vectors, _ = three_blobs()
    gone = replace(REDUCTIONS["tsne"], place=lambda name, numbers, points, graph, seed: (np.full((len(points), 2), np.inf), ["so."]))
    monkeypatch.setitem(REDUCTIONS, "tsne", gone)
    assert place("tsne-10", vectors) == (None, ["so.", "tsne-10: the optimisation ran to places that are not finite, and there is no map."])


def test_a_seed_that_is_none_is_refused():
    with pytest.raises(CallspaceError, match="the seed must be a whole number"):
        place("tsne-10", three_blobs()[0], seed=2**32)
