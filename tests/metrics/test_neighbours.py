"""Nearest neighbours and purity, against scikit-learn and plain statements."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import pairwise_distances

from callspace.errors import CallspaceError
from callspace.metrics.neighbours import Neighbourhoods, class_counts, k_nearest, label_purity, neighbour_share, neighbourhoods


@given(st.integers(0, 10_000), st.integers(3, 40), st.sampled_from(["euclidean", "cosine"]))
@settings(max_examples=40, deadline=None)
def test_neighbours_are_those_of_a_full_sort(seed, n, metric):
    vectors = np.random.default_rng(seed).normal(size=(n, 4)) + 5
    k = n // 2
    distances = pairwise_distances(vectors, metric=metric)
    np.fill_diagonal(distances, np.inf)
    indices, found = k_nearest(vectors, k, metric=metric)
    np.testing.assert_array_equal(indices, np.argsort(distances, axis=1)[:, :k])
    np.testing.assert_allclose(found, np.sort(distances, axis=1)[:, :k], atol=1e-7)


def test_duplicates_are_at_distance_0_in_order_of_index_and_a_window_is_not_its_own_neighbour():
    vectors = np.repeat(np.random.default_rng(0).normal(size=(2, 300)) * 100, [5, 3], axis=0)
    indices, distances = k_nearest(vectors, 3)
    np.testing.assert_array_equal(indices[:5], [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2]])
    assert (distances[:5] == 0).all()
    assert indices[6].tolist() == [5, 7, 0]


def test_neighbours_of_queries_are_found_in_the_reference_block_by_block(monkeypatch):
    generator = np.random.default_rng(0)
    reference, queries = generator.normal(size=(50, 6)), generator.normal(size=(31, 6))
    monkeypatch.setattr("callspace.metrics.distances._BLOCK_CELLS", 200)
    indices, _ = k_nearest(reference, 7, queries=queries)
    np.testing.assert_array_equal(indices, np.argsort(pairwise_distances(queries, reference), axis=1)[:, :7])


def test_neighbours_of_the_same_group_can_be_excluded():
    vectors = np.array([[0.0], [0.1], [1.0], [5.0]])
    indices, distances = k_nearest(vectors, 2, groups=["a", "a", "b", "a"])
    np.testing.assert_array_equal(indices, [[2, -1], [2, -1], [1, 0], [2, -1]])
    assert np.isinf(distances[0, 1])
    assert neighbour_share(Neighbourhoods(indices, distances), [True, False, True, True]) == pytest.approx([1, 1, 0.5, 1])


def test_a_zero_vector_is_at_cosine_distance_1_from_everything():
    _, distances = k_nearest(np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]), 2, metric="cosine")
    np.testing.assert_allclose(distances, [[1, 1], [0, 1], [0, 1]])


def among(indices: np.ndarray) -> Neighbourhoods:
    return Neighbourhoods(indices, np.where(indices >= 0, 1.0, np.inf))


def test_purity_is_the_share_of_neighbours_with_the_same_label():
    indices = np.array([[1, 2], [0, 2], [0, 3], [-1, 2], [0, 1]])
    labels = np.array([0, 0, 1, 1, -1])
    assert label_purity(among(indices), labels) == pytest.approx([0.5, 0.5, 0.5, 1.0, np.nan], nan_ok=True)


def test_a_neighbour_without_a_label_does_not_count():
    near = among(np.array([[1, 2], [0, 2], [0, 1]]))
    assert label_purity(near, np.array([0, 0, -1])) == pytest.approx([1, 1, np.nan], nan_ok=True)


def tied_vectors(seed: int, n: int) -> np.ndarray:
    """Vectors of whole numbers, many at equal distances, and some silence."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 3, (n, 2)).astype(float) * (generator.random((n, 1)) < 0.7)


def mean_over_orders(vectors: np.ndarray, k: int, count, metric: str = "euclidean", n_orders: int = 4_000) -> np.ndarray:
    """`count` of the k nearest, the mean over random orders of equal ones."""
    distances = np.round(pairwise_distances(vectors, metric=metric) if metric == "euclidean" else cosine_distances(vectors), 9)
    np.fill_diagonal(distances, np.inf)
    generator, total = np.random.default_rng(0), 0.0
    for _ in range(n_orders):
        near = np.lexsort((generator.random(distances.shape), distances), axis=1)[:, :k]
        total = total + count(near)
    return total / n_orders


def cosine_distances(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return 1 - unit @ unit.T


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_windows_that_tie_for_the_last_places_count_by_their_chance(metric):
    vectors, codes = tied_vectors(0, 30), np.random.default_rng(1).integers(0, 3, 30)
    near = neighbourhoods(vectors, 5, metric=metric)
    assert len(near.crowded) > 10
    for found, count in (
        (label_purity(near, codes), lambda indices: (codes[indices] == codes[:, None]).mean(axis=1)),
        (neighbour_share(near, codes == 2), lambda indices: (codes[indices] == 2).mean(axis=1)),
        (class_counts(near, np.eye(3)[codes]).counts, lambda indices: np.eye(3)[codes][indices].sum(axis=1)),
    ):
        np.testing.assert_allclose(found, mean_over_orders(vectors, 5, count, metric), atol=0.05 if found.ndim == 1 else 0.15)


@given(st.integers(0, 10_000), st.integers(6, 40), st.sampled_from(["euclidean", "cosine"]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_neighbours_say_does_not_depend_on_the_order_of_the_windows(seed, n, metric, apart):
    generator = np.random.default_rng(seed)
    vectors, codes, order = tied_vectors(seed, n), generator.integers(-1, 3, n), generator.permutation(n)
    groups = [str(group) for group in generator.integers(0, 3, n)] if apart else None
    member = codes[:, None] == np.arange(3)
    near = neighbourhoods(vectors, 4, metric=metric, groups=groups)
    other = neighbourhoods(vectors[order], 4, metric=metric, groups=None if groups is None else [groups[at] for at in order])
    np.testing.assert_allclose(label_purity(other, codes[order]), label_purity(near, codes)[order], atol=1e-12)
    np.testing.assert_allclose(neighbour_share(other, codes[order] == 1), neighbour_share(near, codes == 1)[order], atol=1e-12)
    found, again = class_counts(near, member), class_counts(other, member[order])
    np.testing.assert_allclose(again.counts, found.counts[order], atol=1e-12)
    np.testing.assert_allclose(again.distances, found.distances[order], atol=1e-6)


def test_silence_of_two_classes_is_as_pure_as_chance_makes_it():
    for codes in (np.repeat([0, 1], [10, 50]), np.repeat([1, 0], [50, 10])):
        purity = label_purity(neighbourhoods(np.zeros((60, 8)), 15), codes)
        assert purity == pytest.approx(np.where(codes == 0, 9 / 59, 49 / 59))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_graph_that_is_known_gives_the_same_neighbourhoods(metric):
    vectors, queries = tied_vectors(0, 30), np.random.default_rng(0).integers(0, 3, (8, 2)).astype(float)
    member = np.random.default_rng(0).random((30, 2)) < 0.5
    for asked in (None, queries):
        plain = class_counts(neighbourhoods(vectors, 4, queries=asked, metric=metric), member)
        for more in (4, 5, 12):
            graph = k_nearest(vectors, more, queries=asked, metric=metric)
            found = class_counts(neighbourhoods(vectors, 4, queries=asked, metric=metric, graph=graph), member)
            np.testing.assert_allclose(found.counts, plain.counts)


def test_all_other_windows_as_neighbours_are_no_tie():
    near = neighbourhoods(np.zeros((4, 2)), 3)
    assert len(near.crowded) == 0
    assert neighbour_share(near, [True, False, False, False]) == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: k_nearest(np.zeros((3, 2)), 3), "each window has 2"),
        (lambda: k_nearest(np.zeros((3, 2)), 1, queries=np.zeros((3, 4))), "4 dimensions"),
        (lambda: k_nearest(np.zeros((3, 2)), 1, metric="manhattan"), "unknown distance"),
        (lambda: k_nearest(np.full((3, 2), np.inf), 1), "3 of 3 vectors hold NaN or infinity"),
        (lambda: k_nearest(np.zeros(3), 1), "shape"),
    ],
)
def test_wrong_input_is_refused_in_words(ask, said):
    with pytest.raises(CallspaceError, match=said):
        ask()
