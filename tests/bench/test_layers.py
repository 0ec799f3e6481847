"""Layers and poolings as factors of a bench."""

import sys

import numpy as np
import pytest

from callspace.bench.bench import bench
from callspace.bench.plan import Reading
from callspace.bench.request import check_request
from callspace.embedding.embed import embed, embed_layers
from callspace.embedding.store import Store
from callspace.encoders import load_encoder
from callspace.encoders.contract import Encoder
from callspace.errors import CallspaceError, MissingDependencyError
from callspace.report.page import write_report
from callspace.tables import read_json, read_parquet
from small_audio import class_folders
from tiny_protocol import write_tiny_protocol


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return class_folders(tmp_path_factory.mktemp("clips"), clips=15, seconds=0.3)


@pytest.fixture(scope="module")
def protocol(tmp_path_factory):
    return write_tiny_protocol(tmp_path_factory.mktemp("protocol"))


def run_of(clips, protocol, out, **options):
    return bench(clips, ["aves:random", "mfcc"], ["frozen", "linear"], protocol=protocol, out=out, device="cpu", **options)


@pytest.fixture(scope="module")
def layered(clips, protocol, tmp_path_factory):
    return run_of(clips, protocol, tmp_path_factory.mktemp("run") / "layers", layers={"aves:random": "2,1"}, pool={"aves:random": "max"})


def test_each_layer_is_a_cell_and_stands_in_every_table(layered):
    for table in ("plan", "results", "summary", "maps"):
        rows = read_parquet(layered.folder / f"{table}.parquet").to_pylist()
        assert {(row["encoder"], row["layer"], row["pool"]) for row in rows} == {
            ("aves:random", "layer2", "max"),
            ("aves:random", "layer1", "max"),
            ("mfcc", "statistics", "mean"),
        }
    comparisons = read_parquet(layered.folder / "comparisons.parquet").to_pylist()
    pairs = [row for row in comparisons if row["question"] == "pair" and row["a_encoder"] == row["b_encoder"] == "aves:random"]
    assert pairs and {(row["a_layer"], row["a_pool"], row["b_layer"], row["b_pool"]) for row in pairs} == {
        ("layer2", "max", "layer1", "max")
    }
    choice = read_json(layered.folder / "choice.json")
    assert choice["layer"] in ("layer1", "layer2", "statistics")
    assert (layered.folder / choice["tuned_encoder"] / "card.json").exists()
    assert read_json(layered.folder / choice["tuned_encoder"] / "card.json")["layer"] == choice["layer"]


def test_layers_have_embeddings_and_scores_of_their_own(layered, clips):
    stores = [Store(folder) for folder in (layered.folder / "embeddings").iterdir()]
    own = {store.about["encoder"]["layer"]: store.read().vectors for store in stores if store.about["encoder"]["name"] == "aves:random"}
    assert set(own) == {"layer1", "layer2"}
    for layer, vectors in own.items():
        alone = embed(clips, load_encoder("aves:random", layer=layer, pool="max"), device="cpu").vectors
        assert np.abs(vectors - alone).max() <= 1e-4 * np.abs(alone).max()


def test_the_page_names_the_layer_of_each_row_and_shows_the_depth(layered, tmp_path):
    page = write_report(layered.folder, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "layer1" in page
    assert "Which layer holds it?" in page


def test_all_layers_are_embedded_in_one_pass(clips, monkeypatch):
    encoder = load_encoder("alexnet:random")
    passes = []
    run = Encoder.layer_embeddings
    monkeypatch.setattr(Encoder, "layer_embeddings", lambda self, *rest: passes.append(len(rest[0])) or run(self, *rest))
    found = embed_layers(clips, encoder, device="cpu")
    assert sum(passes) == len(found["pooled"].vectors)
    assert {layer: own.vectors.shape[1] for layer, own in found.items()} == {"pooled": 4096, "logits": 1000}


def test_a_layer_that_was_embedded_before_is_not_computed_again(clips, tmp_path, monkeypatch):
    encoder = load_encoder("alexnet:random")
    first = embed_layers(clips, encoder, ["pooled"], tmp_path, device="cpu")
    both = embed_layers(clips, encoder, None, tmp_path, device="cpu")
    assert np.array_equal(first["pooled"].vectors, both["pooled"].vectors)
    monkeypatch.setattr("callspace.embedding.embed.embed_rows", lambda *a, **k: pytest.fail("computed again"))
    again = embed_layers(clips, encoder, None, tmp_path, device="cpu")
    assert np.array_equal(again["logits"].vectors, both["logits"].vectors)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"layers": "13"}, r"'aves:random' has no layer '13'; it has layer12, .*--layer NAME=13"),
        ({"layers": "6"}, "'mfcc' has no layer '6'; it has statistics"),
        ({"layers": {"aves": "6"}}, "--layer names 'aves', which is not among the encoders"),
        ({"pool": "cls"}, "'aves:random' cannot be pooled by 'cls', only by mean, max"),
        ({"pool": {"mfcc": "max"}}, "'mfcc' cannot be pooled by 'max', only by mean"),
    ],
)
def test_a_layer_or_pooling_that_is_none_is_told_before_any_work(options, sentence):
    with pytest.raises(CallspaceError, match=sentence):
        check_request(["aves:random", "mfcc"], ["frozen"], [1.0], device="cpu", **options)


def test_a_hint_at_naming_one_encoder_needs_several():
    with pytest.raises(CallspaceError, match="it has layer12") as found:
        check_request(["aves:random"], ["frozen"], [1.0], layers="13", device="cpu")
    assert "NAME=" not in str(found.value)


def test_an_encoder_of_a_package_that_is_not_installed_can_be_skipped(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingDependencyError, match=r"timm.*; --skip-missing goes on without"):
        check_request(["mfcc", "timm:resnet18"], ["frozen"], [1.0], layers="all", device="cpu")
    request = check_request(["mfcc", "timm:resnet18"], ["frozen"], [1.0], layers="all", device="cpu", skip_missing=True)
    assert (list(request.sources), list(request.readings)) == (["mfcc"], ["mfcc"])
    assert [row["path"] for row in request.skipped] == ["timm:resnet18"]


def test_all_stands_for_every_layer_of_each_encoder_its_own_default_first():
    readings = check_request(["aves:random", "mfcc"], ["frozen"], [1.0], layers="all", device="cpu").readings
    assert [reading.layer for reading in readings["aves:random"]] == [f"layer{n}" for n in range(12, 0, -1)]
    assert [reading.words for reading in readings["aves:random"][:2]] == ["", "layer11"]
    assert readings["mfcc"] == [Reading("statistics", "mean")]


def test_where_frames_are_to_be_pooled_anew_each_reading_is_asked_whether_it_has_some():
    readings = check_request(["callspace-small:random", "mfcc"], ["linear", "attentive"], [1.0], layers="all", device="cpu").readings
    assert {reading.frames for reading in readings["callspace-small:random"]} == {True}
    assert [reading.frames for reading in readings["mfcc"]] == [False]
