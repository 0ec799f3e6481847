"""Agreement of clusters and labels, against scikit-learn and SciPy."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

from callspace.errors import CallspaceError
from callspace.metrics import chance
from callspace.metrics import clustering as ours

REFERENCES = {
    "nmi": sk.normalized_mutual_info_score,
    "ami": sk.adjusted_mutual_info_score,
    "ari": sk.adjusted_rand_score,
    "homogeneity": sk.homogeneity_score,
    "completeness": sk.completeness_score,
    "v_measure": sk.v_measure_score,
    "fowlkes_mallows": sk.fowlkes_mallows_score,
}


@st.composite
def partitions(draw):
    n = draw(st.integers(1, 30))
    codes = st.lists(st.integers(0, draw(st.integers(0, 5))), min_size=n, max_size=n)
    weights = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any))
    return np.array(draw(codes)), np.array(draw(codes)), np.array(weights)


@given(partitions())
@settings(max_examples=80, deadline=None)
def test_whole_number_weights_are_repeated_windows_to_scikit_learn(drawn):
    truth, clusters, weights = drawn
    t, c = np.repeat(truth, weights), np.repeat(clusters, weights)
    scores = ours.clustering_scores(truth, clusters, weights)
    for name, reference in REFERENCES.items():
        assert scores[name] == pytest.approx(reference(t, c), abs=1e-9), name


@given(partitions())
@settings(max_examples=60, deadline=None)
def test_hungarian_accuracy_is_the_best_of_all_assignments(drawn):
    truth, clusters, weights = drawn
    table = contingency_matrix(np.repeat(truth, weights), np.repeat(clusters, weights))
    square = np.zeros((max(table.shape),) * 2)
    square[: table.shape[0], : table.shape[1]] = table
    rows = np.arange(len(square))
    best = max(square[rows, list(order)].sum() for order in itertools.permutations(rows))
    assert ours.hungarian_accuracy(truth, clusters, weights) == pytest.approx(best / weights.sum())


@given(partitions(), st.integers(0, 1_000))
@settings(max_examples=80, deadline=None)
def test_the_assignment_depends_on_the_names_of_neither_clusters_nor_classes(drawn, seed):
    truth, clusters, weights = drawn
    names, order = np.random.default_rng(seed).permutation(9), np.random.default_rng(seed + 1).permutation(6)
    scores, each = ours.agreement(truth, clusters, 6, weights)
    renamed, renamed_each = ours.agreement(truth, names[clusters], 6, weights)
    assert renamed == pytest.approx(scores)
    assert renamed_each == pytest.approx(each, nan_ok=True)
    assert ours.agreement(order[truth], clusters, 6, weights)[0] == pytest.approx(scores)


def test_of_assignments_of_equal_accuracy_the_one_that_is_best_for_the_classes_is_taken():
    # One cluster holds half the windows of class 0 and all of class 1, two each; the other is class 2's.
    truth, clusters = np.repeat([0, 1, 2], [4, 2, 5]), np.repeat([0, 1, 0, 1], [2, 2, 2, 5])
    for found in (clusters, 1 - clusters):
        assert ours.hungarian_recalls(truth, found, 3) == pytest.approx([0, 1, 1])
    weights = np.array([1.5, 1.5, 1, 1, 1.5, 1.5, 1, 1, 1, 1, 1])
    assert ours.hungarian_recalls(truth, clusters, 3, weights) == pytest.approx([0, 1, 1]), "fractions too"


@given(partitions())
@settings(max_examples=60, deadline=None)
def test_of_all_assignments_of_the_best_accuracy_the_mean_recall_is_the_largest(drawn):
    truth, clusters, _ = drawn
    table = contingency_matrix(truth, clusters)
    sizes = table.sum(axis=1)
    square = np.zeros((max(table.shape),) * 2)
    square[: table.shape[0], : table.shape[1]] = table
    rows = np.arange(len(square))
    held = [square[rows, list(order)][: len(sizes)] for order in itertools.permutations(rows)]
    best = max(((hits.sum(), (hits / sizes).mean()) for hits in held), key=lambda pair: (pair[0], round(pair[1], 9)))
    assert ours.hungarian_balanced_accuracy(truth, clusters) == pytest.approx(best[1])


@given(partitions())
@settings(max_examples=60, deadline=None)
def test_purity_and_balanced_assignment_are_their_plain_statements(drawn):
    truth, clusters, weights = drawn
    t, c = np.repeat(truth, weights), np.repeat(clusters, weights)
    commonest = sum(np.bincount(t[c == cluster]).max() for cluster in np.unique(c))
    assert ours.cluster_purity(truth, clusters, weights) == pytest.approx(commonest / len(t))
    recalls = ours.hungarian_recalls(truth, clusters, 6, weights)
    assert ours.hungarian_balanced_accuracy(truth, clusters, weights) == pytest.approx(np.nanmean(recalls))


@given(partitions())
@settings(max_examples=40, deadline=None)
def test_all_scores_from_one_table_are_each_score_by_itself(drawn):
    truth, clusters, weights = drawn
    overall, each = ours.agreement(truth, clusters, 6, np.stack([weights, np.ones_like(weights)]))
    for name in ours.CLUSTERING_SCORES:
        assert overall[name][0] == pytest.approx(ours.clustering_scores(truth, clusters, weights, [name])[name])
    assert each[0] == pytest.approx(ours.hungarian_recalls(truth, clusters, 6, weights), nan_ok=True)
    assert each.shape == (2, 6)


@given(partitions())
@settings(max_examples=40, deadline=None)
def test_counts_matched_to_classes_hold_the_assigned_windows(drawn):
    truth, clusters, _ = drawn
    counts = ours.counts_of(truth, clusters, 6, 7)
    np.testing.assert_array_equal(counts[np.unique(truth)][:, np.unique(clusters)], contingency_matrix(truth, clusters))
    matched = ours.matched_classes(counts)
    pairs = [(of, cluster) for cluster, of in enumerate(matched) if of >= 0]
    assert len({of for of, _ in pairs}) == len(pairs)
    assert all(counts[pair] > 0 for pair in pairs)
    assert sum(counts[pair] for pair in pairs) / len(truth) == pytest.approx(ours.hungarian_accuracy(truth, clusters))


def test_counts_that_do_not_fit_are_refused():
    with pytest.raises(CallspaceError, match="a class code is 2, but there are 2 classes"):
        ours.counts_of([2], [0], 2, 1)
    with pytest.raises(CallspaceError, match="a cluster is 1, but there are 1 clusters"):
        ours.counts_of([0], [1], 2, 1)


@pytest.mark.parametrize("names", [["ami"], ["hungarian_accuracy"], ["cluster_purity"]])
def test_one_class_and_one_cluster_have_their_limits(names):
    assert ours.clustering_scores([0, 0, 0], [0, 0, 0], None, names)[names[0]] == 1.0


@pytest.mark.parametrize(("n", "n_classes", "n_clusters"), [(40, 3, 5), (500, 10, 10), (3000, 50, 60), (3000, 2, 2), (2000, 2, 40)])
def test_chance_agreement_is_scikit_learns_for_small_and_large_classes(n, n_classes, n_clusters):
    generator = np.random.default_rng(n + n_classes)
    truth, clusters = generator.integers(0, n_classes, n), generator.integers(0, n_clusters, n) ** 2 // n_clusters
    table = contingency_matrix(truth, clusters, sparse=True)
    a, b = np.bincount(truth).astype(float)[:, None], np.bincount(clusters).astype(float)[:, None]
    found = chance.expected_mutual_information(a, b, np.array([float(n)]))
    assert found[0] == pytest.approx(expected_mutual_information(table, n), rel=1e-9)


def test_chance_agreement_of_several_replicates_is_that_of_each():
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 9, (30, 5)).astype(float), generator.integers(0, 9, (40, 5)).astype(float)
    b[0] += np.maximum(a.sum(axis=0) - b.sum(axis=0), 0)
    a[0] += b.sum(axis=0) - a.sum(axis=0)
    together = chance.expected_mutual_information(a, b, a.sum(axis=0))
    for at in range(5):
        rows, columns = a[a[:, at] > 0, at], b[b[:, at] > 0, at]
        alone = chance.expected_mutual_information(rows[:, None], columns[:, None], rows.sum()[None])
        assert together[at] == pytest.approx(alone[0], rel=1e-12)
    assert chance.expected_mutual_information(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros(1)).tolist() == [0.0]


def test_chance_agreement_is_that_of_shuffled_labels():
    generator = np.random.default_rng(0)
    truth, clusters = generator.integers(0, 4, 60), generator.integers(0, 3, 60)
    counts = np.stack([np.bincount(generator.permutation(truth) * 3 + clusters, minlength=12) for _ in range(4000)]).reshape(-1, 4, 3) / 60
    independent = counts.sum(axis=2, keepdims=True) * counts.sum(axis=1, keepdims=True)
    shuffled = (counts * np.log(np.where(counts > 0, counts, 1) / np.where(counts > 0, independent, 1))).sum(axis=(1, 2))
    a, b = np.bincount(truth).astype(float)[:, None], np.bincount(clusters).astype(float)[:, None]
    found = chance.expected_mutual_information(a, b, np.array([60.0]))[0]
    assert abs(found - np.mean(shuffled)) < 4 * np.std(shuffled) / np.sqrt(4000)


def test_class_sizes_too_large_for_one_key_give_the_same(monkeypatch):
    sizes = np.array([[3, 3, 4], [5, 5, 6], [20, 20, 20]])
    plain, where = chance._distinct(sizes)
    huge, there = chance._distinct(sizes * 2**21)
    np.testing.assert_array_equal(plain[:, where], sizes)
    np.testing.assert_array_equal(huge[:, there], sizes * 2**21)


def test_perfect_clusters_score_1_whatever_their_names():
    truth = np.array([0, 0, 1, 1, 2, 2, 2])
    scores = ours.clustering_scores(truth, np.array([4, 4, 0, 0, 1, 1, 1]))
    assert scores == pytest.approx(dict.fromkeys(ours.CLUSTERING_SCORES, 1.0))


def test_random_clusters_score_about_0_when_adjusted_for_chance_and_more_when_not():
    generator = np.random.default_rng(0)
    scores = [ours.clustering_scores(*generator.integers(0, 8, (2, 200))) for _ in range(40)]
    assert abs(np.mean([each["ami"] for each in scores])) < 0.01
    assert abs(np.mean([each["ari"] for each in scores])) < 0.01
    assert np.mean([each["nmi"] for each in scores]) > 0.04


def test_v_measure_is_nmi():
    truth, clusters = np.random.default_rng(1).integers(0, 5, (2, 80))
    assert ours.v_measure(truth, clusters) == pytest.approx(ours.nmi(truth, clusters))
    assert ours.homogeneity(truth, clusters) == pytest.approx(ours.completeness(clusters, truth))


def test_a_class_no_cluster_is_left_for_has_a_hungarian_recall_of_0_and_an_absent_one_none():
    truth, clusters = np.array([0, 0, 1, 1, 1, 3]), np.array([1, 1, 0, 0, 1, 1])
    assert ours.hungarian_recalls(truth, clusters, 5) == pytest.approx([1, 2 / 3, np.nan, 0, np.nan], nan_ok=True)


def test_rows_of_weights_give_what_each_row_gives():
    generator = np.random.default_rng(2)
    truth, clusters = generator.integers(0, 5, (2, 60))
    weights = generator.integers(0, 3, (6, 60))
    rows = ours.clustering_scores(truth, clusters, weights)
    for name in ours.CLUSTERING_SCORES:
        assert rows[name] == pytest.approx([ours.clustering_scores(truth, clusters, row, [name])[name] for row in weights])
    each = ours.hungarian_recalls(truth, clusters, 5, weights)
    assert each == pytest.approx(np.stack([ours.hungarian_recalls(truth, clusters, 5, row) for row in weights]), nan_ok=True)


def test_nothing_to_compare_is_not_a_number():
    assert all(np.isnan(score) for score in ours.clustering_scores([], []).values())
    assert np.isnan(ours.nmi([0, 1], [0, 1], [0, 0]))


def test_scores_that_count_windows_refuse_fractions_of_them():
    with pytest.raises(CallspaceError, match="whole numbers"):
        ours.ami([0, 1, 1], [0, 1, 0], [0.5, 1, 1])
    assert ours.nmi([0, 1, 1], [0, 1, 0], [0.5, 1, 1]) == pytest.approx(ours.nmi([0, 1, 1], [0, 1, 0], [1, 2, 2]))
