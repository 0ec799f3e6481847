"""What is added to a run at its end: a learning curve, gains, the study's questions, costs."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from callspace.bench.advice import write_advice
from callspace.embedding.store import Store
from callspace.evaluation.diagnosis.finding import Finding, findings_to_json
from callspace.tables import COMPARISONS, SUMMARY, from_rows, read_json, write_json, write_parquet, write_text
from study_rows import difference, score

LABELS = ["c0", "c1"]
CHOSEN = {"encoder": "yamnet", "regime": "linear", "background": 1.0, "layer": "top", "pool": "mean", "policy": "share"}


def dataset(train=12, task="detection"):
    """Twelve train groups, six of valid and eight of test, of eight windows of two overlapping kinds of call."""
    rng = np.random.default_rng(0)
    rows, vectors = [], []
    for split, groups in (("train", train), ("valid", 6), ("test", 8)):
        for group in range(groups):
            for window in range(8):
                label = int(rng.integers(2))
                vectors.append(rng.standard_normal(6) + 1.5 * label * np.eye(6)[0])
                rows.append((f"{split}{group}", float(window), [LABELS[label]], split))
    names, onsets, labels, splits = zip(*rows, strict=True)
    columns = {"window_id": range(len(rows)), "recording": names, "onset_s": onsets, "offset_s": [onset + 1 for onset in onsets]}
    windows = pa.table(
        {**{name: pa.array(list(own)) for name, own in columns.items()}, "labels": list(labels), "split": list(splits), "group": names}
    )
    fake = SimpleNamespace(windows=windows, labels=LABELS, task=task, folds=[], fingerprint=lambda: f"feed{train}")
    return fake, np.array(vectors, np.float32)


@pytest.fixture
def folder(tmp_path):
    """A run of yamnet alone, whose frozen embedding is stored."""
    data, vectors = dataset()
    encoder = {
        "name": "yamnet",
        "called": "yamnet",
        "trainable": True,
        "layer": "top",
        "pool": "mean",
        "fingerprint": "f1",
        "embedding_dim": 6,
        "parameters": 9,
        "licence": "Apache-2.0",
    }
    keys = [f"k{n}" for n in range(len(vectors))]
    store = Store(tmp_path / "embeddings" / "f1", {"encoder": encoder, "dataset": {"name": "d"}})
    store.append(keys, vectors)
    store.finish(data.windows, keys)
    write_json({"device": "cpu", "encoders": [encoder]}, tmp_path / "provenance.json")
    write_json({"name": "d", "task": "detection", "splits": {}}, tmp_path / "dataset.json")
    write_text("encoder,layer,pool,regime,background,policy,seconds_fit\nyamnet,top,mean,linear,1,share,3\n", tmp_path / "costs.csv")
    write_parquet(from_rows([score("yamnet", "frozen", "map", 0.9)], SUMMARY), tmp_path / "summary.parquet")
    write_parquet(
        from_rows([difference("tuning", ("yamnet", "frozen"), ("yamnet", "full"), "map", 0.1)], COMPARISONS),
        tmp_path / "comparisons.parquet",
    )
    write_json(CHOSEN | {"metric": "map", "headline": "Use it.", "reasons": [], "tied": [], "caveats": []}, tmp_path / "choice.json")
    return tmp_path


def test_a_run_gains_a_learning_curve_costs_and_answers(folder):
    write_advice(folder, dataset()[0])
    choice, curve = read_json(folder / "choice.json"), read_json(folder / "learning_curve.json")
    assert choice["headline"] == "Use it." and len(choice["study"]) == 3
    assert "Twice as many labelled recordings would bring about" in choice["gains"]["labels"]["sentence"]
    assert choice["gains"]["labels"]["value"] == curve["expected"][0]["gain"]["value"]
    assert choice["gains"]["tuning"]["value"] == 0.1 and "add --background" in choice["gains"]["background"]["sentence"]
    assert (curve["encoder"], curve["unit"], curve["groups"], curve["fold"]) == ("yamnet", "recordings", 12, None)
    assert read_json(folder / "costs.json")["costs"][0]["fit_s"] == 3.0


def test_a_tuned_folder_has_a_curve_costs_and_advice_of_its_own(folder):
    """Its own name is that of what it was tuned from."""
    about = read_json(folder / "provenance.json")
    write_json(about | {"encoders": [about["encoders"][0] | {"called": "my/tuned"}]}, folder / "provenance.json")
    write_text((folder / "costs.csv").read_text().replace("yamnet", "my/tuned"), folder / "costs.csv")
    write_json(read_json(folder / "choice.json") | {"encoder": "my/tuned"}, folder / "choice.json")
    write_advice(folder, dataset()[0])
    gains = read_json(folder / "choice.json")["gains"]
    assert gains["tuning"]["sentence"] == "What tuning my/tuned would bring was not tried: add lora or full to --regimes."
    assert "frozen embedding of my/tuned" in gains["labels"]["sentence"]
    assert read_json(folder / "learning_curve.json")["encoder"] == "my/tuned"
    [cost] = read_json(folder / "costs.json")["costs"]
    assert (cost["licence"], cost["restricted"], cost["parameters"]) == ("Apache-2.0", False, 9)


@pytest.mark.parametrize(("trainable", "words"), [(False, "yamnet cannot be tuned."), (True, "was not tried"), (None, "was not tried")])
def test_what_cannot_be_tuned_is_what_says_so_and_not_what_has_no_parameters(folder, trainable, words):
    about = read_json(folder / "provenance.json")
    write_json(about | {"encoders": [about["encoders"][0] | {"trainable": trainable}]}, folder / "provenance.json")
    write_parquet(from_rows([], COMPARISONS), folder / "comparisons.parquet")
    write_advice(folder, dataset()[0], learning=False)
    assert words in read_json(folder / "choice.json")["gains"]["tuning"]["sentence"]


def test_the_choices_own_score_bounds_what_is_promised(folder):
    write_parquet(
        from_rows([score("yamnet", "linear", "map", 1.0), score("yamnet", "frozen", "map", 0.5)], SUMMARY), folder / "summary.parquet"
    )
    write_advice(folder, dataset()[0])
    assert read_json(folder / "choice.json")["gains"]["labels"]["ci_high"] == 0.0


def test_again_it_writes_the_same_bytes_and_does_not_measure_twice(folder, monkeypatch):
    write_advice(folder, dataset()[0])
    before = {name: (folder / name).read_bytes() for name in ("choice.json", "learning_curve.json", "costs.json")}
    monkeypatch.setattr("callspace.bench.advice.learning_curve", None)
    write_advice(folder, dataset()[0])
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_other_data_are_measured_anew(folder):
    write_advice(folder, dataset()[0])
    curve = read_json(folder / "learning_curve.json")
    write_json(curve | {"dataset_fingerprint": "of old"}, folder / "learning_curve.json")
    write_advice(folder, dataset()[0])
    assert read_json(folder / "learning_curve.json") == curve


@pytest.mark.parametrize("text", ["{", "[]", "{}", "\x00"])
def test_a_learning_curve_that_cannot_be_read_is_measured_anew(folder, text):
    write_advice(folder, dataset()[0])
    whole = (folder / "learning_curve.json").read_bytes()
    (folder / "learning_curve.json").write_text(text)
    write_advice(folder, dataset()[0])
    assert (folder / "learning_curve.json").read_bytes() == whole


def test_without_a_stored_embedding_there_is_no_curve_and_it_is_said(folder):
    (folder / "embeddings" / "f1" / "windows.parquet").unlink()
    (folder / "learning_curve.json").write_text("{}")
    write_advice(folder, dataset()[0])
    assert not (folder / "learning_curve.json").exists()
    assert read_json(folder / "choice.json")["gains"]["labels"]["sentence"] == "What more labels would bring was not measured."


def test_problems_of_the_choice_are_among_its_caveats(folder):
    mine = {"encoder": "yamnet", "layer": "top", "pool": "mean", "regime": "frozen"}
    found = [Finding("collapse", mine, "problem", f"It collapsed {n} times.") for n in range(4)]
    found += [Finding("leakage", {}, "problem", "The test was heard in training.")]
    found += [Finding("collapse", mine | {"encoder": "mfcc"}, "problem", "Of another."), Finding("hubs", mine, "look", "Look.")]
    found += [Finding("confusions", mine | {"regime": "full"}, "problem", "Of another regime.")]
    write_json(findings_to_json(found), folder / "diagnosis.json")
    for _ in range(2):  # a resumed run says it once
        write_advice(folder, dataset()[0], learning=False)
    assert read_json(folder / "choice.json")["caveats"] == [
        *(f"The diagnosis found a problem: It collapsed {n} times." for n in range(3)),
        "It found 2 more: `callspace diagnose RUN` shows them.",
    ]
    write_json({"encoder": None, "metric": "map", "tied": []}, folder / "choice.json")
    write_advice(folder, dataset()[0])
    assert read_json(folder / "choice.json")["caveats"] == []


def test_where_nothing_was_chosen_the_questions_are_answered_all_the_same(folder):
    write_json({"encoder": None, "metric": "map", "tied": []}, folder / "choice.json")
    write_advice(folder, dataset()[0])
    choice = read_json(folder / "choice.json")
    assert choice["gains"] is None and len(choice["study"]) == 3
    json.dumps(choice, allow_nan=False)
