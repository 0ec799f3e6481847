"""Every label against the rest, against scikit-learn label by label."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from callspace.errors import CallspaceError
from callspace.metrics import one_against_rest as ours
from callspace.metrics.neighbours import Neighbourhoods, k_nearest, neighbourhoods


@st.composite
def overlapping(draw):
    n, k = draw(st.integers(1, 25)), draw(st.integers(1, 4))
    member = draw(arrays(bool, (n, k)))
    clusters = draw(arrays(np.int64, n, elements=st.integers(0, 4)))
    weights = draw(arrays(np.int64, n, elements=st.integers(0, 3)).filter(lambda w: w.any()))
    return member, clusters, weights


def plain_nmi(has: np.ndarray, clusters: np.ndarray) -> float:
    if has.all() or not has.any():
        return np.nan
    best = 0.0
    for cluster in np.unique(clusters):
        inside = clusters == cluster
        if (has & inside).sum() * len(has) > has.sum() * inside.sum():
            best = max(best, sk.normalized_mutual_info_score(has, inside))
    return best


@given(overlapping())
@settings(max_examples=40, deadline=None)
def test_nmi_is_scikit_learns_with_the_cluster_that_tells_most_and_weights_are_repeated_windows(drawn):
    member, clusters, weights = drawn
    found = ours.nmi_each(member, clusters, np.stack([weights, np.ones_like(weights)]))
    for row, times in zip(found, (weights, np.ones_like(weights)), strict=True):
        expected = [plain_nmi(np.repeat(has, times), np.repeat(clusters, times)) for has in member.T]
        assert row == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_nmi_of_clusters_that_are_the_classes_is_1_and_of_chance_nearly_0():
    codes = np.arange(300) % 3
    member = codes[:, None] == np.arange(3)
    assert ours.nmi_each(member, codes) == pytest.approx(np.ones(3))
    assert ours.nmi_each(member, np.random.default_rng(0).integers(0, 3, 300)).max() < 0.03


def test_a_cluster_that_shuns_a_class_tells_nothing_of_it():
    member = np.array([[True], [True], [False], [False]])
    assert ours.nmi_each(member, [0, 0, 1, 1]) == pytest.approx([1.0])
    assert ours.nmi_each(member, [0, 0, 0, 0]) == pytest.approx([0.0])


@given(overlapping())
@settings(max_examples=40, deadline=None)
def test_silhouettes_are_scikit_learns_of_the_class_and_its_rest(drawn):
    member, clusters, _ = drawn
    vectors = np.random.default_rng(len(member)).normal(size=(len(member), 3)) + clusters[:, None]
    found = ours.silhouettes_each(vectors, member)
    for has, values in zip(member.T, found.T, strict=True):
        assert np.isnan(values[~has]).all()
        if has.all() or not has.any():
            assert np.isnan(values).all()
        elif len(has) > 2:
            assert values[has] == pytest.approx(sk.silhouette_samples(vectors, has)[has], abs=1e-9)


def test_silhouettes_of_many_windows_are_those_of_a_sample():
    generator = np.random.default_rng(0)
    vectors, member = generator.normal(size=(60, 3)), generator.random((60, 2)) < 0.5
    found = ours.silhouettes_each(vectors, member, limit=20, seed=1)
    measured = np.flatnonzero(~np.isnan(np.where(member, found, 0.0)).any(axis=1) & member.any(axis=1))
    sample = np.sort(np.random.default_rng(1).choice(60, size=20, replace=False))
    assert set(measured) <= set(sample)
    np.testing.assert_allclose(found[sample], ours.silhouettes_each(vectors[sample], member[sample]))


def test_silhouettes_of_duplicates_are_0_and_not_undefined():
    member = np.array([[True], [True], [False], [False]])
    assert ours.silhouettes_each(np.ones((4, 2)), member)[:2, 0].tolist() == [0.0, 0.0]


def test_shares_and_purities_are_counts_of_neighbours():
    generator = np.random.default_rng(0)
    vectors, member = generator.normal(size=(40, 2)), generator.random((40, 3)) < 0.4
    near, distances = k_nearest(vectors, 5)
    near[3, 2:] = -1
    near[4] = -1
    shares = ours.shares_each(Neighbourhoods(near, distances), member)
    assert shares[0] == pytest.approx(member[near[0]].mean(axis=0))
    assert shares[3] == pytest.approx(member[near[3, :2]].mean(axis=0))
    assert np.isnan(shares[4]).all()
    purities = ours.purities_each(shares, member)
    expected = (member.sum(axis=0) - 1) / 39
    window, of = np.argwhere(member)[0]
    assert purities[window, of] == pytest.approx((shares[window, of] - expected[of]) / (1 - expected[of]))
    assert np.isnan(purities[~member]).all()


def test_neighbours_that_do_not_count_are_no_one_s():
    vectors, member = np.arange(5.0)[:, None] ** 1.1, np.array([[True], [False], [True], [False], [True]])
    near = neighbourhoods(vectors, 2)
    assert ours.shares_each(near, member, [True, True, True, False, True])[:, 0].tolist() == [0.5, 1.0, 0.0, 1.0, 1.0]


def test_purity_is_less_the_chance_among_other_groups_where_the_own_is_not_looked_at():
    member, shares = np.array([[True], [True], [False], [True]]), np.array([[1.0], [0.5], [0.0], [0.5]])
    assert ours.purities_each(shares, member)[:, 0] == pytest.approx([1.0, -0.5, np.nan, -0.5], nan_ok=True)
    apart = ours.purities_each(shares, member, ["x", "x", "y", "z"])[:, 0]
    assert apart == pytest.approx([1.0, 0.0, np.nan, -0.5], nan_ok=True)


def test_purity_is_0_on_average_where_labels_are_drawn_and_1_where_classes_are_apart():
    generator = np.random.default_rng(0)
    vectors, member = generator.normal(size=(1200, 2)), generator.random((1200, 2)) < [0.1, 0.7]
    near = neighbourhoods(vectors, 15)
    assert np.nanmean(ours.purities_each(ours.shares_each(near, member), member), axis=0) == pytest.approx([0, 0], abs=0.03)
    apart = vectors + 100 * member
    assert np.nanmean(ours.purities_each(ours.shares_each(neighbourhoods(apart, 15), member), member), axis=0) == pytest.approx([1, 1])


def test_a_class_of_all_or_of_none_has_no_rest():
    member = np.array([[True, False], [True, False], [True, False]])
    assert np.isnan(ours.nmi_each(member, [0, 1, 0])).all()
    assert np.isnan(ours.silhouettes_each(np.eye(3), member)).all()
    assert np.isnan(ours.purities_each(np.ones((3, 2)), member)).all()
    assert np.isnan(ours.nmi_each(np.zeros((0, 2), dtype=bool), np.zeros(0, dtype=int))).all()


def test_wrong_use_is_refused_in_words():
    with pytest.raises(CallspaceError, match="true or false"):
        ours.nmi_each(np.ones((2, 2)), [0, 1])
    with pytest.raises(CallspaceError, match="a cluster is negative"):
        ours.nmi_each(np.ones((2, 2), dtype=bool), [0, -1])
    with pytest.raises(CallspaceError, match="NaN"):
        ours.silhouettes_each([[np.nan]], [[True]])
