"""Silhouettes, against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_samples

from callspace.errors import CallspaceError
from callspace.metrics.silhouettes import silhouettes


@given(st.integers(0, 10_000), st.integers(4, 60), st.integers(1, 8), st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_they_are_scikit_learns(seed, n, d, n_sets):
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(n, d)) + generator.normal(size=d) * 10
    labels = generator.integers(0, n_sets, n)
    vectors[1] = vectors[0]
    labels[0], labels[1] = 0, 1
    (found,) = silhouettes(vectors, [labels])
    if len(np.unique(labels)) == n:
        assert np.isnan(found).all()
        return
    np.testing.assert_allclose(found, silhouette_samples(vectors, labels), atol=1e-6)


def test_blocks_do_not_show(monkeypatch):
    generator = np.random.default_rng(0)
    vectors, labels = generator.normal(size=(90, 5)), generator.integers(0, 4, 90)
    monkeypatch.setattr("callspace.metrics.distances._BLOCK_CELLS", 700)
    first, second = silhouettes(vectors, [labels, labels // 2])
    np.testing.assert_allclose(first, silhouette_samples(vectors, labels), atol=1e-9)
    np.testing.assert_allclose(second, silhouette_samples(vectors, labels // 2), atol=1e-9)


def test_a_window_left_out_has_none_and_changes_none():
    generator = np.random.default_rng(0)
    vectors, labels = generator.normal(size=(40, 3)), generator.integers(0, 3, 40)
    labels[::7] = -1
    kept = labels >= 0
    (found,) = silhouettes(vectors, [labels])
    assert np.isnan(found[~kept]).all()
    np.testing.assert_allclose(found[kept], silhouette_samples(vectors[kept], labels[kept]), atol=1e-9)


def test_one_set_and_sets_of_one_have_none():
    vectors = np.random.default_rng(0).normal(size=(6, 2))
    for labels in (np.zeros(6, dtype=int), np.arange(6)):
        assert np.isnan(silhouettes(vectors, [labels])[0]).all()


def test_equal_vectors_have_a_silhouette_of_0():
    assert (silhouettes(np.ones((6, 3)), [np.array([0, 0, 0, 1, 1, 1])])[0] == 0).all()


def test_above_the_limit_a_seeded_sample_is_measured():
    generator = np.random.default_rng(0)
    vectors, labels = generator.normal(size=(200, 3)), generator.integers(0, 2, 200)
    vectors[:, 0] += 3 * labels
    (found,) = silhouettes(vectors, [labels], limit=120, seed=1)
    measured = ~np.isnan(found)
    assert measured.sum() == 120
    np.testing.assert_allclose(found[measured], silhouette_samples(vectors[measured], labels[measured]), atol=1e-9)
    np.testing.assert_array_equal(found, silhouettes(vectors, [labels], limit=120, seed=1)[0])


def test_wrong_input_is_refused_in_words():
    with pytest.raises(CallspaceError, match="row 1"):
        silhouettes(np.array([[0.0], [np.nan]]), [np.array([0, 1])])
    with pytest.raises(CallspaceError, match="3 whole numbers"):
        silhouettes(np.zeros((3, 2)), [np.array([0, 1])])
