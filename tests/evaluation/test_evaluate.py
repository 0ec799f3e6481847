"""From stored embeddings to the results table: what is passed on, and what the windows carry."""

import numpy as np
import pyarrow as pa
import pytest

from callspace.embedding.store import Embeddings
from callspace.errors import CallspaceError
from callspace.evaluation.evaluate import evaluate


def embeddings(blobs, **columns):
    vectors, windows, labels = blobs(n=240, distance=1.0)
    for name, values in columns.items():
        windows = windows.append_column(name, values)
    about = {
        "dataset": {"name": "blobs", "labels": labels, "task": "detection"},
        "encoder": {"name": "e", "pretraining": "none", "layer": "last", "pool": "mean"},
    }
    # Groups lie apart, so that a window's neighbours are of its own.
    return Embeddings(vectors + 20 * np.random.default_rng(0).normal(size=(40, 12))[np.arange(240) // 6], windows, about)


def metrics(found) -> dict:
    return {row["metric"]: row["value"] for row in found.table.to_pylist() if row["class"] is None}


def test_where_neighbours_are_from_reaches_the_judgement(blobs):
    given = embeddings(blobs)
    alike, apart = (evaluate(given, spaces="full", neighbours_from=which, n_bootstrap=0) for which in ("all", "other-groups"))
    assert metrics(alike)["knn_purity"] != metrics(apart)["knn_purity"]
    with pytest.raises(CallspaceError, match="neighbours are from"):
        evaluate(given, neighbours_from="typo")


def test_windows_that_carry_levels_have_scores_by_level(blobs):
    plain = embeddings(blobs)
    assert not [name for name in metrics(evaluate(plain, spaces="full", n_bootstrap=0)) if "level" in name]
    levels = [str(at % 10) if names else "" for at, names in enumerate(plain.windows["labels"].to_pylist())]  # text, as tables carry it
    found = evaluate(embeddings(blobs, snr_db=pa.array(levels)), spaces="full", n_bootstrap=0)
    bands = {row["class"] for row in found.table.to_pylist() if row["metric"] == "separation_auroc_by_level"}
    assert bands == {"0 to 5 dB", "5 to 10 dB"}


def test_where_there_is_no_hearing_threshold_the_notes_say_why(blobs):
    levels = ["1" if names else "" for names in embeddings(blobs).windows["labels"].to_pylist()]
    found = evaluate(embeddings(blobs, snr_db=pa.array(levels)), spaces="full", n_bootstrap=0)
    assert "hearing_threshold_db" not in metrics(found)
    assert any("missing for 'linear': the calls are of one band of levels only" in note for note in found.notes)
