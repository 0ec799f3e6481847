"""Clusterings, stability and label rules, from vectors to scores."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sk

from callspace.errors import CallspaceError
from callspace.evaluation.cluster_confusion import confusion
from callspace.evaluation.judge import judge
from callspace.evaluation.predictions import base_predictions
from callspace.evaluation.scores import Key, rows, score
from callspace.evaluation.scoring.structure import rule_of

VOCABULARY = ["a", "b", "c"]


def table(as_windows, labels: list[list[str]], rule: str = "first", **columns) -> pa.Table:
    windows = as_windows(labels, ["test"] * len(labels), [f"r{at // 4:02d}" for at in range(len(labels))])
    found = base_predictions(windows, VOCABULARY, "detection", rule)
    for name, values in columns.items():
        found = found.append_column(name.replace("__", ":").replace("_auto", "-auto"), pa.array(values, pa.int32()))
    return found


def mixtures(distance: float, seed: int = 0) -> tuple[np.ndarray, list[list[str]], np.ndarray]:
    """300 windows of three classes, a fifth of them of two: those lie between."""
    generator = np.random.default_rng(seed)
    member = np.eye(3, dtype=bool)[generator.integers(0, 3, 300)]
    member[::5] |= np.eye(3, dtype=bool)[generator.integers(0, 3, 60)]
    vectors = generator.normal(size=(300, 8)) + distance * (member / member.sum(axis=1, keepdims=True)) @ np.eye(3, 8)
    return vectors, [[name for name, has in zip(VOCABULARY, row, strict=True) if has] for row in member], member


@pytest.fixture(scope="module")
def judged(as_windows):
    def of(distance: float, rule: str, **options):
        vectors, labels, member = mixtures(distance)
        windows = as_windows(labels, ["test"] * 300, [f"r{at // 5:02d}" for at in range(300)])
        found = judge(vectors, windows, VOCABULARY, "detection", spaces=("full",), label_rule=rule, **options)
        return found, score(found.predictions, VOCABULARY, "detection"), vectors, member

    return of


def test_structure_scores_rise_with_the_distance_of_the_classes(judged):
    found = [judged(distance, "each")[1] for distance in (0, 3, 6, 12)]
    for key in (
        Key("full", "kmeans", None, "nmi"),
        Key("full", "kmeans", None, "fowlkes_mallows"),
        Key("full", "kmeans", None, "hungarian_balanced_accuracy"),
        Key("full", "kmeans", None, "nmi_each"),
        Key("full", "", None, "knn_purity"),
        Key("full", "", None, "silhouette_each"),
        Key("full", "", None, "purity_each"),
        Key("full", "", None, "auroc_each"),
    ):
        values = [each[key] for each in found]
        assert values == sorted(values), (key, values)
        assert values[-1] - values[0] > 0.15, (key, values)
    nothing = found[0]
    assert nothing[Key("full", "", None, "purity_each")] == pytest.approx(0, abs=0.05)
    assert nothing[Key("full", "", None, "auroc_each")] == pytest.approx(0.5, abs=0.07)


def test_each_is_scikit_learns_label_by_label_and_the_mean_over_labels(judged):
    found, scores, vectors, member = judged(4, "each")
    clusters = found.predictions.column("cluster:full:kmeans").to_numpy()
    near = [np.argsort(np.linalg.norm(vectors - at, axis=1), kind="stable")[1:16] for at in vectors]
    expected: dict[str, list[float]] = {"nmi_each": [], "silhouette_each": [], "auroc_each": [], "purity_each": []}
    for has in member.T:
        agreeing = [c for c in range(3) if has[clusters == c].mean() > has.mean()]
        expected["nmi_each"].append(max(sk.normalized_mutual_info_score(has, clusters == c) for c in agreeing))
        expected["silhouette_each"].append(sk.silhouette_samples(vectors, has)[has].mean())
        shares = np.array([has[at].mean() for at in near])
        expected["auroc_each"].append(sk.roc_auc_score(has, shares))
        chance = (has.sum() - 1) / 299
        expected["purity_each"].append((shares[has].mean() - chance) / (1 - chance))
    for metric, values in expected.items():
        clusterer = "kmeans" if metric == "nmi_each" else ""
        for name, value in zip(VOCABULARY, values, strict=True):
            assert scores[Key("full", clusterer, name, metric)] == pytest.approx(value), (metric, name)
        assert scores[Key("full", clusterer, None, metric)] == pytest.approx(np.mean(values)), metric


def test_each_has_intervals_and_says_which_rule_each_score_follows(judged):
    found, _, _, member = judged(4, "each")
    by_key = {(row["class"], row["metric"]): row for row in rows(found.predictions, VOCABULARY, "detection", n_bootstrap=200)}
    for metric in ("nmi_each", "silhouette_each", "purity_each", "auroc_each"):
        row = by_key[None, metric]
        assert row["ci_low"] < row["value"] < row["ci_high"], metric
        assert by_key["b", metric]["n"] == member[:, 1].sum()
        assert rule_of(metric, "each") == "each"
    assert rule_of("nmi", "each") == rule_of("nmi", "first") == "first"
    assert rule_of("nmi", "drop") == "drop"
    assert rule_of("trustworthiness", "each") is None


def test_whole_number_weights_are_repeated_windows_under_each(judged):
    found, _, _, _ = judged(4, "each")
    weights = np.random.default_rng(2).integers(0, 3, (2, 300))
    weighted = score(found.predictions, VOCABULARY, "detection", weights)
    for at, row in enumerate(weights):
        repeated = score(found.predictions.take(np.repeat(np.arange(300), row)), VOCABULARY, "detection")
        for key, value in repeated.items():
            if key.metric.endswith("_each"):
                assert weighted[key][at] == pytest.approx(value), key


def test_background_is_a_class_of_its_own_under_each(as_windows):
    generator = np.random.default_rng(0)
    labels = [[["a"], ["a", "b"], []][at] for at in generator.integers(0, 3, 120)]
    windows = as_windows(labels, ["test"] * 120, [f"r{at // 4}" for at in range(120)])
    found = judge(generator.normal(size=(120, 4)), windows, VOCABULARY, "detection", spaces=("full", "pca-2"), label_rule="each")
    scores = score(found.predictions, VOCABULARY, "detection")
    for space in ("full", "pca-2"):
        assert {key.class_ for key in scores if key.metric == "silhouette_each" and key.space == space} == {None, "a", "b", "background"}
    assert scores[Key("full", "kmeans", "background", "nmi_each")] < 0.2


def test_windows_without_a_label_are_left_out_of_each_in_classification(as_windows):
    generator = np.random.default_rng(0)
    vectors, labels = generator.normal(size=(60, 4)), [[["a"], ["b"], []][at % 3] for at in range(60)]
    windows = as_windows(labels, ["test"] * 60, [f"r{at // 4}" for at in range(60)])
    labelled = np.array([bool(names) for names in labels])
    scores = score(
        judge(vectors, windows, VOCABULARY, "classification", spaces=("full",), label_rule="each").predictions, VOCABULARY, "classification"
    )
    has = np.array(["a" in names for names in labels])[labelled]
    assert scores[Key("full", "", "a", "silhouette_each")] == pytest.approx(sk.silhouette_samples(vectors[labelled], has)[has].mean())


def test_the_effect_of_the_rule_is_told_where_many_windows_have_several_labels(judged):
    for rule in ("first", "each"):
        found, scores, _, _ = judged(6, rule)
        told = [note for note in found.notes if "several labels" in note]
        assert len(told) == 1
        assert f"the rule is '{rule}'" in told[0]
        assert f"{scores[Key('full', 'kmeans', None, 'nmi')]:.2f} by 'first'" in told[0]


def test_under_drop_the_other_rules_are_told_of_a_clustering_of_all_windows(judged):
    (told,) = (note for note in judged(6, "drop")[0].notes if "have several labels" in note)
    dropped, first, each = (judged(6, rule)[1] for rule in ("drop", "first", "each"))
    assert f"{first[Key('full', 'kmeans', None, 'nmi')]:.2f} by 'first'" in told
    assert f"{dropped[Key('full', 'kmeans', None, 'nmi')]:.2f} by 'drop' (" in told
    assert f"{each[Key('full', 'kmeans', None, 'nmi_each')]:.2f} by 'each' (one label against the rest)" in told
    assert told.endswith("; 'first' and 'each' are of a clustering of all windows.")


def test_the_neighbours_of_each_are_those_that_were_asked_for(as_windows):
    generator = np.random.default_rng(0)
    recordings = np.repeat(np.arange(12), 6)
    vectors = 5 * generator.normal(size=(12, 8))[recordings] + 0.1 * generator.normal(size=(72, 8))
    member = np.eye(3, dtype=bool)[recordings % 3] | (generator.random((72, 3)) < 0.2)
    labels = [[name for name, has in zip(VOCABULARY, row, strict=True) if has] for row in member]
    windows = as_windows(labels, ["test"] * 72, [f"r{at:02d}" for at in recordings])
    options = {"spaces": ("full",), "label_rule": "each", "neighbours_from": "other-groups"}
    scores = score(judge(vectors, windows, VOCABULARY, "detection", **options).predictions, VOCABULARY, "detection")
    apart = sk.pairwise_distances(vectors)
    apart[recordings[:, None] == recordings] = np.inf
    near = np.argsort(apart, axis=1)[:, :15]
    areas, purities = [], []
    for has in member.T:
        shares = has[near].mean(axis=1)
        chance = np.array([has[recordings != own].mean() for own in recordings])
        areas.append(sk.roc_auc_score(has, shares))
        purities.append(((shares - chance) / (1 - chance))[has].mean())
    assert scores[Key("full", "", None, "auroc_each")] == pytest.approx(np.mean(areas))
    assert scores[Key("full", "", None, "purity_each")] == pytest.approx(np.mean(purities))


def test_the_effect_is_not_told_where_windows_have_one_label(as_windows, blobs):
    vectors, windows, labels = blobs(n=90)
    assert not [note for note in judge(vectors, windows, labels, "detection", spaces=("full",)).notes if "several labels" in note]


def test_stability_is_the_agreement_of_the_clustering_with_what_other_starts_gave(as_windows):
    generator = np.random.default_rng(0)
    labels = [[VOCABULARY[at % 3]] for at in range(80)]
    clusters = generator.integers(0, 3, (3, 80))
    found = table(
        as_windows,
        labels,
        cluster__full__kmeans=clusters[0],
        reclustered__full__kmeans__1=clusters[1],
        reclustered__full__kmeans__2=clusters[2],
        cluster__full__ward=clusters[0],
    )
    scores = score(found, VOCABULARY, "detection")
    expected = np.mean([sk.adjusted_rand_score(clusters[i], clusters[j]) for i, j in ((0, 1), (0, 2), (1, 2))])
    assert scores[Key("full", "kmeans", None, "stability")] == pytest.approx(expected)
    assert Key("full", "ward", None, "stability") not in scores
    weights = generator.integers(0, 3, (2, 80))
    repeated = score(found.take(np.repeat(np.arange(80), weights[1])), VOCABULARY, "detection")
    assert score(found, VOCABULARY, "detection", weights)[Key("full", "kmeans", None, "stability")][1] == pytest.approx(
        repeated[Key("full", "kmeans", None, "stability")]
    )


def test_clusters_that_are_there_are_stable_and_those_that_are_not_are_less(as_windows):
    generator, codes = np.random.default_rng(3), np.arange(240) % 3
    windows = as_windows([[VOCABULARY[code]] for code in codes], ["test"] * 240, [f"r{at // 4}" for at in range(240)])
    noise = generator.normal(size=(240, 20))
    values = []
    for distance in (0, 8):
        vectors = noise + distance * np.eye(3, 20)[codes]
        found = judge(vectors, windows, VOCABULARY, "classification", spaces=("full",), clusterers=("kmeans", "gmm", "ward"))
        scores = score(found.predictions, VOCABULARY, "classification")
        values.append(scores[Key("full", "kmeans", None, "stability")])
        assert Key("full", "gmm", None, "stability") in scores
        assert Key("full", "ward", None, "stability") not in scores
    assert values[0] < 0.9
    assert values[1] == 1.0


def test_the_number_of_clusters_and_the_noise_of_those_that_find_them_are_scores_without_and_with_an_interval(as_windows):
    labels = [[VOCABULARY[at % 3]] for at in range(80)]
    found = table(
        as_windows,
        labels,
        **{
            "cluster__pca-30__hdbscan": np.arange(80) % 5,
            "cluster__full__kmeans_auto": np.arange(80) % 7,
            "cluster__full__kmeans": np.arange(80) % 3,
        },
    )
    by_key = {(row["clusterer"], row["metric"]): row for row in rows(found, VOCABULARY, "detection", n_bootstrap=100)}
    assert by_key["hdbscan", "clusters"]["value"] == 4  # noise is none
    assert by_key["hdbscan", "clusters"]["ci_low"] is None
    assert by_key["hdbscan", "noise"]["value"] == 16 / 80
    assert by_key["kmeans-auto", "clusters"]["value"] == 7
    assert ("kmeans", "clusters") not in by_key
    assert ("kmeans-auto", "noise") not in by_key


def test_a_clusterer_that_reads_few_dimensions_is_of_the_space_it_reads_and_runs_once(as_windows):
    generator = np.random.default_rng(0)
    codes = np.arange(120) % 3
    vectors = generator.normal(size=(120, 60)) + 12 * np.eye(3, 60)[codes]
    windows = as_windows([[VOCABULARY[code]] for code in codes], ["test"] * 120, [f"r{at // 4}" for at in range(120)])
    found = judge(vectors, windows, VOCABULARY, "classification", spaces=("full", "pca-50", "pca-2"), clusterers=("hdbscan",))
    names = [name for name in found.predictions.column_names if name.startswith("cluster:")]
    assert names == ["cluster:pca-30:hdbscan", "cluster:pca-2:hdbscan"]
    scores = score(found.predictions, VOCABULARY, "classification")
    assert scores[Key("pca-30", "hdbscan", None, "nmi")] > 0.9
    # Noise has no silhouette.
    silhouettes = found.predictions.column("silhouette_clusters:full:pca-30:hdbscan").to_numpy(zero_copy_only=False)
    np.testing.assert_array_equal(np.isnan(silhouettes), found.predictions.column(names[0]).to_numpy() == 0)


def test_windows_left_out_leave_the_clusters_of_the_others_as_they_are_without_them(as_windows):
    generator = np.random.default_rng(0)
    labels = [[["a"], ["b"], ["a", "b"]][at % 3] for at in range(90)]
    vectors = generator.normal(size=(90, 5)) + 9 * np.array([[at % 3 != 1, at % 3 != 0, 0, 0, 0] for at in range(90)])
    windows = as_windows(labels, ["test"] * 90, [f"r{at // 4}" for at in range(90)])
    options = {"spaces": ("full",), "clusterers": ("spectral",)}
    found = (
        judge(vectors, windows, VOCABULARY, "detection", label_rule="drop", **options)
        .predictions.column("cluster:full:spectral")
        .to_pylist()
    )
    kept = [len(names) == 1 for names in labels]
    assert [cluster is not None for cluster in found] == kept
    alone = (
        judge(vectors[kept], windows.filter(pa.array(kept)), VOCABULARY, "detection", **options)
        .predictions.column("cluster:full:spectral")
        .to_pylist()
    )
    assert sk.adjusted_rand_score([cluster for cluster in found if cluster is not None], alone) == 1.0


def test_a_confusion_counts_classes_by_clusters_and_by_the_classes_of_their_clusters(as_windows):
    labels = [["a"]] * 5 + [["b"]] * 4 + [[]] * 3
    clusters = [4, 4, 4, 4, 2, 2, 2, 2, 4, 7, 7, 9]
    found = confusion(table(as_windows, labels, cluster__full__kmeans=clusters), VOCABULARY, "detection", "full", "kmeans")
    assert found.classes == ["a", "b", "background"]
    assert found.clusters == [2, 4, 7, 9]
    assert found.counts.tolist() == [[1, 4, 0, 0], [3, 1, 0, 0], [0, 0, 2, 1]]
    assert found.matched.tolist() == [1, 0, 2, -1]
    assert found.between_classes().tolist() == [[4, 1, 0, 0], [1, 3, 0, 0], [0, 0, 2, 1]]
    scores = score(table(as_windows, labels, cluster__full__kmeans=clusters), VOCABULARY, "detection")
    assert np.trace(found.between_classes()) / 12 == pytest.approx(scores[Key("full", "kmeans", None, "hungarian_accuracy")])


def test_a_confusion_that_is_not_there_is_refused_with_those_that_are(as_windows):
    predictions = table(as_windows, [["a"], ["b"]], cluster__full__kmeans=[0, 1])
    with pytest.raises(CallspaceError, match="no clustering by ward in full; there are kmeans in full"):
        confusion(predictions, VOCABULARY, "detection", "full", "ward")
