"""The judgement from end to end, on Gaussian blobs whose answers are known."""

import warnings

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.distance import cdist
from sklearn import metrics as sk
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_info, threadpool_limits

from callspace.errors import CallspaceError
from callspace.evaluation.clusterers import clustered
from callspace.evaluation.clustering.found import NotClusteredError
from callspace.evaluation.judge import judge
from callspace.evaluation.scores import Key, rows, score

SPACES = ("full", "pca-2", "umap-15-0.1", "tsne-10")


def scored(blobs, **options):
    vectors, windows, labels = blobs(**options)
    found = judge(vectors, windows, labels, "detection", spaces=("full",))
    return found, score(found.predictions, labels, "detection")


@pytest.fixture(scope="module")
def judged(blobs):
    vectors, windows, labels = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = judge(vectors, windows, labels, "detection", spaces=SPACES, clusterers=("kmeans", "ward"))
    return vectors, windows, labels, found


def test_there_is_a_row_for_each_test_window_in_order(judged):
    _, windows, _, found = judged
    test = [row for row in windows.to_pylist() if row["split"] == "test"]
    assert found.predictions.column("window_id").to_pylist() == [row["window_id"] for row in test]
    assert found.predictions.column("label").to_pylist() == [(row["labels"] or ["background"])[0] for row in test]
    assert found.maps.num_rows == 3 * len(test)
    assert found.maps.column("space").unique().to_pylist() == ["pca-2", "umap-15-0.1", "tsne-10"]


def test_blobs_far_apart_are_perfect_in_the_full_space_and_on_both_maps(judged):
    _, _, labels, found = judged
    scores = score(found.predictions, labels, "detection")
    for space in ("full", "umap-15-0.1", "tsne-10"):  # two components can't hold four blobs apart
        for metric in ("nmi", "ami", "ari", "v_measure", "hungarian_accuracy"):
            assert scores[Key(space, "kmeans", None, metric)] == pytest.approx(1.0), (space, metric)
    for probe in ("linear", "knn"):
        for metric in ("map", "macro_auroc", "separation_auroc", "separation_ap"):
            assert scores[Key("full", probe, None, metric)] == pytest.approx(1.0, abs=2e-3), (probe, metric)
    assert scores[Key("full", "", None, "knn_purity")] > 0.95
    assert scores[Key("full", "", None, "background_neighbours")] < 0.02
    assert found.choices["clusters"] == 4
    assert found.valid["linear"] == pytest.approx(1.0, abs=2e-3)


def test_the_columns_are_what_scikit_learn_makes_of_the_test_vectors(judged):
    vectors, windows, _, found = judged
    test = vectors[[split == "test" for split in windows.column("split").to_pylist()]].astype(float)
    names = np.array(found.predictions.column("label").to_pylist())

    def column(name: str) -> np.ndarray:
        return found.predictions.column(name).to_numpy(zero_copy_only=False)

    np.testing.assert_allclose(column("silhouette_labels:full"), sk.silhouette_samples(test, names), atol=1e-9)
    clusters = column("cluster:umap-15-0.1:ward")
    np.testing.assert_allclose(column("silhouette_clusters:full:umap-15-0.1:ward"), sk.silhouette_samples(test, clusters), atol=1e-9)
    background = names == "background"
    np.testing.assert_allclose(column("silhouette_background:full"), sk.silhouette_samples(test, background), atol=1e-9)
    near = NearestNeighbors(n_neighbors=15).fit(test).kneighbors(return_distance=False)
    np.testing.assert_allclose(column("purity"), (names[near] == names[:, None]).mean(axis=1))
    shares = column("background_neighbours")
    np.testing.assert_allclose(shares[~background], background[near].mean(axis=1)[~background])
    assert np.isnan(shares[background]).all()


def test_the_same_seed_gives_the_same_tables_on_any_number_of_threads(judged):
    vectors, windows, labels, found = judged
    with threadpool_limits(2):
        again = judge(vectors, windows, labels, "detection", spaces=SPACES, clusterers=("kmeans", "ward"))
        outside = {info["num_threads"] for info in threadpool_info()}
    assert again.predictions.equals(found.predictions)
    assert again.maps.equals(found.maps)
    assert again.choices == found.choices
    assert outside == {2}, "the limit of one thread ends with the judgement"
    assert rows(again.predictions, labels, "detection", n_bootstrap=50) == rows(found.predictions, labels, "detection", n_bootstrap=50)


def test_scores_fall_as_classes_and_background_come_nearer(blobs):
    separations, purities, areas = [], [], []
    for distance in (8.0, 3.0, 1.5, 0.0):
        _, scores = scored(blobs, distance=distance, n=480)
        separations.append(scores[Key("full", "kmeans", None, "ami")])
        purities.append(scores[Key("full", "", None, "knn_purity")])
        areas.append(scores[Key("full", "linear", None, "separation_auroc")])
    for values in (separations, purities, areas):
        assert values == sorted(values, reverse=True)
    assert abs(separations[-1]) < 0.05
    assert abs(areas[-1] - 0.5) < 0.12


def test_background_among_the_classes_is_seen_as_such(blobs):
    """Classes far apart, background in their midst but 2 away: nothing but the separation tells."""
    _, apart = scored(blobs, distance=4.0, background_distance=12.0)
    _, amid = scored(blobs, distance=4.0, background_distance=0.0)
    assert apart[Key("full", "knn", None, "separation_auroc")] > 0.99
    assert amid[Key("full", "knn", None, "separation_auroc")] < 0.95
    assert amid[Key("full", "", None, "separation_silhouette")] < apart[Key("full", "", None, "separation_silhouette")]
    assert amid[Key("full", "", "species 0", "background_neighbours")] > apart[Key("full", "", "species 0", "background_neighbours")]


def test_classification_has_accuracies_and_no_background(blobs):
    vectors, windows, labels = blobs(background=0.0)
    found = judge(vectors, windows, labels, "classification", spaces=("full",))
    scores = score(found.predictions, labels, "classification")
    assert scores[Key("full", "linear", None, "accuracy")] == 1.0
    assert found.choices["clusters"] == 3
    assert not [key for key in scores if "separation" in key.metric or "background" in key.metric]


def test_without_background_the_separation_is_skipped_with_a_note(blobs):
    found, scores = scored(blobs, background=0.0)
    assert "Background separation is not measured: the test split has no background windows." in found.notes
    assert not [key for key in scores if "separation" in key.metric or "background" in key.metric]
    assert scores[Key("full", "linear", None, "map")] > 0.99


def test_without_train_windows_there_are_no_probes_but_structure(blobs):
    vectors, windows, labels = blobs()
    test = np.array([split == "test" for split in windows.column("split").to_pylist()])
    found = judge(vectors[test], windows.filter(pa.array(test)), labels, "detection", spaces=("full",))
    assert "The probes are not fitted: the train split has no labelled windows." in found.notes
    scores = score(found.predictions, labels, "detection")
    assert scores[Key("full", "kmeans", None, "nmi")] == 1.0
    assert not [key for key in scores if key.clusterer in ("linear", "knn")]


def test_drop_leaves_windows_with_several_labels_out_of_clusterings(blobs, as_windows):
    vectors, windows, labels = blobs()
    several = [[*names, labels[0]] if names and at % 5 == 0 else names for at, names in enumerate(windows.column("labels").to_pylist())]
    several = [sorted(set(names)) for names in several]
    windows = as_windows(several, windows.column("split").to_pylist(), windows.column("group").to_pylist())
    found = judge(vectors, windows, labels, "detection", spaces=("full",), label_rule="drop")
    doubles = [len(names) > 1 for names in found.predictions.column("labels").to_pylist()]
    assert any(doubles)
    assert [cluster is None for cluster in found.predictions.column("cluster:full:kmeans").to_pylist()] == doubles
    row = next(row for row in rows(found.predictions, labels, "detection", n_bootstrap=0) if row["metric"] == "nmi")
    assert (row["label_rule"], row["n"]) == ("drop", len(doubles) - sum(doubles))


def test_neighbours_can_be_asked_of_other_recordings_only(blobs):
    vectors, windows, labels = blobs(distance=1.0)
    recordings = np.arange(len(vectors)) // 6
    vectors = vectors + 20 * np.random.default_rng(0).normal(size=(60, 12))[recordings]  # recordings lie far apart
    found = judge(vectors, windows, labels, "detection", spaces=("full",), neighbours_from="other-groups").predictions
    names = np.array(found.column("label").to_pylist())
    in_test = np.array([split == "test" for split in windows.column("split").to_pylist()])
    distances = sk.pairwise_distances(vectors[in_test])
    distances[recordings[in_test][:, None] == recordings[in_test]] = np.inf
    near = np.argsort(distances, axis=1)[:, :15]
    np.testing.assert_allclose(found.column("purity").to_numpy(), (names[near] == names[:, None]).mean(axis=1))
    labelled = names != "background"
    shares = found.column("background_neighbours").to_numpy(zero_copy_only=False)
    np.testing.assert_allclose(shares[labelled], (~labelled)[near].mean(axis=1)[labelled])


@pytest.mark.parametrize("n_test", [1, 2, 3, 7])
def test_a_handful_of_test_windows_gives_what_can_be_had_and_says_the_rest(blobs, n_test):
    vectors, windows, labels = blobs()
    split = windows.column("split").to_pylist()
    test = [at for at, name in enumerate(split) if name == "test"][:n_test]
    kept = sorted([at for at, name in enumerate(split) if name != "test"] + test)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = judge(vectors[kept], windows.take(kept), labels, "detection", spaces=SPACES)
        table = rows(found.predictions, labels, "detection", n_bootstrap=20)
    assert found.predictions.num_rows == n_test
    assert all(np.isfinite(row["value"]) for row in table)
    assert any("too few for intervals" in note for note in found.notes)


def test_a_constant_embedding_scores_nothing_and_crashes_nothing(blobs):
    vectors, windows, labels = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = judge(np.ones_like(vectors), windows, labels, "detection", spaces=SPACES)
        scores = score(found.predictions, labels, "detection")
    assert scores[Key("full", "kmeans", None, "nmi")] == 0.0
    assert scores[Key("full", "linear", None, "separation_auroc")] == 0.5
    assert "umap-15-0.1: all windows have the same embedding, which makes no map." in found.notes
    assert found.maps.num_rows == 0


def test_one_class_in_test_has_no_clusterings_but_a_note(blobs):
    vectors, windows, labels = blobs(background=0.0)
    of_window = zip(windows.column("split").to_pylist(), windows.column("labels").to_pylist(), strict=True)
    one = np.array([split != "test" or names == [labels[0]] for split, names in of_window])
    found = judge(vectors[one], windows.filter(pa.array(one)), labels, "classification", spaces=("full",))
    assert "The test split has fewer than two classes: there are no clusterings." in found.notes
    scores = score(found.predictions, labels, "classification")
    assert not [key for key in scores if key.metric in ("nmi", "silhouette_labels")]
    assert scores[Key("full", "linear", labels[0], "recall")] == 1.0


def test_wrong_input_is_refused_in_words(blobs):
    vectors, windows, labels = blobs(n=60)
    spoiled = vectors.copy()
    spoiled[7, 3] = np.nan
    with pytest.raises(CallspaceError, match=r"1 of 60 windows hold NaN or infinity, the first in 'r001\.wav'"):
        judge(spoiled, windows, labels, "detection")
    with pytest.raises(CallspaceError, match="60 windows"):
        judge(vectors[:50], windows, labels, "detection")
    with pytest.raises(CallspaceError, match="unknown clustering 'dbscan'"):
        judge(vectors, windows, labels, "detection", clusterers=("dbscan",))
    with pytest.raises(CallspaceError, match="unknown space"):
        judge(vectors, windows, labels, "detection", spaces=("isomap",))
    with pytest.raises(CallspaceError, match="neighbours are from 'all' or 'other-groups', not from 'typo'"):
        judge(vectors, windows, labels, "detection", neighbours_from="typo")
    with pytest.raises(CallspaceError, match="not of NumPy's type object"):
        judge(vectors.astype(object), windows, labels, "detection")
    with pytest.raises(CallspaceError, match="rows of different lengths"):
        judge([[1.0], [1.0, 2.0]], windows, labels, "detection")
    train = windows.filter(pa.array([split != "test" for split in windows.column("split").to_pylist()]))
    with pytest.raises(CallspaceError, match="no test windows"):
        judge(vectors[: train.num_rows], train, labels, "detection")


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_label_outside_the_vocabulary_is_refused_in_every_split(blobs, as_windows, split):
    vectors, windows, labels = blobs(n=60)
    splits, names = windows.column("split").to_pylist(), windows.column("labels").to_pylist()
    names[splits.index(split)] = ["stranger"]
    with pytest.raises(CallspaceError, match="windows have labels that the vocabulary does not: stranger"):
        judge(vectors, as_windows(names, splits, windows.column("group").to_pylist()), labels, "detection")


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True])
def test_a_seed_that_is_none_is_refused(blobs, seed):
    vectors, windows, labels = blobs(n=60)
    with pytest.raises(CallspaceError, match=r"the seed must be a whole number from 0 to 4,294,967,295, not"):
        judge(vectors, windows, labels, "detection", seed=seed)


def test_the_largest_seed_is_one(blobs):
    vectors, windows, labels = blobs(n=120)
    clusterers = ("kmeans", "gmm", "spectral", "kmeans-auto")
    found = judge(vectors, windows, labels, "detection", spaces=SPACES, clusterers=clusterers, seed=2**32 - 1)
    assert "reclustered:full:gmm:1" in found.predictions.column_names


def test_one_space_and_one_clusterer_may_be_named_by_themselves(blobs):
    vectors, windows, labels = blobs(n=60)
    found = judge(vectors, windows, labels, "detection", spaces="full", clusterers="ward")
    assert "cluster:full:ward" in found.predictions.column_names


@pytest.mark.parametrize("scale", [1e200, 1e20, 1e-200])
def test_a_judgement_does_not_depend_on_the_scale_of_the_embedding(blobs, judged, scale):
    vectors, windows, labels, usual = judged
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = judge(vectors.astype(np.float64) * scale, windows, labels, "detection", spaces=SPACES, clusterers=("kmeans", "ward"))
    expected, scores = (score(one.predictions, labels, "detection") for one in (usual, found))
    assert set(scores) == set(expected)
    for key, value in expected.items():
        assert scores[key] == pytest.approx(value, abs=0.05), key  # maps of rounded numbers are other maps
    (note,) = set(found.notes) - set(usual.notes)
    assert note.endswith("they were scaled, which changes no score.")


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_silence_scores_the_same_in_any_order(blobs, task):
    vectors, windows, labels = blobs(background=0.0 if task == "classification" else 0.25)
    vectors[::3] = 0.0
    order = np.random.default_rng(0).permutation(len(vectors))
    options = {"spaces": ("full",), "label_rule": "each"}
    found, moved = (
        score(judge(points, table, labels, task, **options).predictions, labels, task)
        for points, table in ((vectors, windows), (vectors[order], windows.take(order)))
    )
    named = {"knn_purity", "background_neighbours", "purity_each", "auroc_each", "retrieval_p1"}
    compared = [key for key in found if key.metric in named or key.clusterer == "knn"]
    assert named - {"background_neighbours" if task == "classification" else ""} <= {key.metric for key in compared}
    for key in compared:
        assert moved[key] == pytest.approx(found[key], abs=1e-9), key


@pytest.mark.parametrize("size", [1e8, 1e12, 1e30])
def test_a_runaway_window_is_named_and_leaves_the_neighbours_of_the_others_as_they_are(blobs, size):
    vectors, windows, labels = blobs(background=0.0)
    vectors = vectors.astype(float)
    options = {"spaces": ("full",)}
    usual = judge(vectors, windows, labels, "classification", **options)
    at = windows.column("split").to_pylist().index("test")
    vectors[at] = size
    found = judge(vectors, windows, labels, "classification", **options)
    (said,) = (note for note in found.notes if "a million times" in note)
    assert said.startswith("The values of 1 of 360 embeddings are more than a million times as large as those of the median window")
    assert f"the first of the window at 0 s of {windows.column('recording')[at].as_py()!r}" in said
    assert not [note for note in [*usual.notes, *found.notes] if "changes no score" in note]
    names = np.array(found.predictions.column("label").to_pylist())
    apart = cdist(*[vectors[[split == "test" for split in windows.column("split").to_pylist()]]] * 2)
    silhouettes = sk.silhouette_samples(apart, names, metric="precomputed")
    np.testing.assert_allclose(found.predictions.column("silhouette_labels:full").to_numpy(), silhouettes, atol=1e-6)
    np.fill_diagonal(apart, np.inf)
    near = np.argsort(apart, axis=1)[:, :15]
    np.testing.assert_allclose(found.predictions.column("purity").to_numpy()[1:], (names[near] == names[:, None]).mean(axis=1)[1:])


def test_a_collapsed_embedding_has_mixtures_or_a_note_and_no_crash(blobs):
    vectors, windows, labels = blobs()
    generator = np.random.default_rng(0)
    collapsed = (generator.normal(size=64) + 1e-7 * generator.normal(size=(len(vectors), 64))).astype(np.float32)
    found = judge(collapsed, windows, labels, "detection", spaces=("full",), clusterers=("gmm", "gmm-auto"))
    for name in ("gmm", "gmm-auto"):
        said = [note for note in found.notes if note.startswith(f"{name} in full is missing")]
        assert (f"cluster:full:{name}" in found.predictions.column_names) != bool(said)


def test_a_clustering_that_fails_from_other_starts_has_no_stability_and_says_why(blobs, monkeypatch):
    vectors, windows, labels = blobs(n=90)

    def clustered_once(name, points, k, seed=0, graph=None):
        if seed:
            raise NotClusteredError("it came to no end.")
        return clustered(name, points, k, seed, graph)

    monkeypatch.setattr("callspace.evaluation.steps.structure.clustered", clustered_once)
    found = judge(vectors, windows, labels, "detection", spaces=("full",), clusterers=("spectral",))
    assert "spectral in full: its stability over seeds is not measured: it came to no end." in found.notes
    assert "cluster:full:spectral" in found.predictions.column_names


def test_scores_that_the_test_labels_leave_undefined_are_missing_with_a_reason(blobs):
    vectors, windows, labels = blobs()
    splits, names = windows.column("split").to_pylist(), windows.column("labels").to_pylist()
    for task, kept, said, missing in (
        ("detection", lambda held: not held, "Probes and heads are not scored: no test window has a label.", "map"),
        ("classification", lambda held: held == labels[:1], "Probes and heads have no AUROC of labels", "macro_auroc"),
        ("detection", lambda held: held == labels[:1], "Probes and heads have no AUROC of labels", "macro_auroc"),
    ):
        rows_kept = np.array([split != "test" or kept(held) for split, held in zip(splits, names, strict=True)])
        found = judge(vectors[rows_kept], windows.filter(pa.array(rows_kept)), labels, task, spaces=("full",))
        assert [note for note in found.notes if note.startswith(said)], said
        assert missing not in {key.metric for key in score(found.predictions, labels, task)}
    usual = judge(vectors, windows, labels, "detection", spaces=("full",))
    assert not [note for note in usual.notes if note.startswith("Probes and heads")]


def test_several_labels_a_window_are_refused_in_classification(blobs, as_windows):
    vectors, windows, labels = blobs(n=60, background=0.0)
    names = [labels[:2], *windows.column("labels").to_pylist()[1:]]
    with pytest.raises(CallspaceError, match="1 of 60 windows have several labels, the first species 0 and species 1"):
        judge(
            vectors, as_windows(names, windows.column("split").to_pylist(), windows.column("group").to_pylist()), labels, "classification"
        )
