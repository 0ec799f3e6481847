"""The study's protocol as a whole, on a miniature of one of its datasets."""

import json

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from beans_originals import dogs
from callspace.bench.bench import bench
from callspace.bench.protocols import load_protocol
from callspace.bench.published import published
from callspace.cli.app import app
from callspace.datasets import load_dataset
from callspace.datasets.beans import prepare
from callspace.encoders.load import load_encoder
from callspace.errors import CallspaceError
from callspace.tables import read_json

SMALL = ("training.max_epochs=2", "training.learning_rates=[1e-4]", 'spaces=["full", "umap-50-0.5"]', "bootstrap=20")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache in which `beans/dogs` is prepared from its miniature: 35 barks of three dogs."""
    folder, original = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("dogs")
    dogs(original)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALLSPACE_CACHE", str(folder))
        prepare("dogs", source=original)
    return folder


@pytest.fixture(autouse=True)
def _own(cache, monkeypatch):
    monkeypatch.setenv("CALLSPACE_CACHE", str(cache))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file with AlexNet's keys and shapes, as one would give by hand; its numbers are random."""
    path = tmp_path_factory.mktemp("weights") / "alexnet.safetensors"
    save_file({key: value.contiguous() for key, value in load_encoder("alexnet:random", seed=1).network.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("run") / "paper"


@pytest.fixture(scope="module")
def run(weights, cache, out):
    """What the terminal shows of `callspace bench beans/dogs --protocol paper --encoders alexnet`."""
    command = [
        "bench",
        "beans/dogs",
        "-p",
        "paper",
        "-e",
        "alexnet",
        "-r",
        "frozen,full",
        "--weights",
        f"alexnet={weights}",
        "-o",
        str(out),
    ]
    command += ["--keep-encoders", *(part for change in SMALL for part in ("--set", change))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALLSPACE_CACHE", str(cache))
        found = CliRunner().invoke(app, command, env={"COLUMNS": "80"}, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_the_protocol_is_the_studys():
    paper = load_protocol("paper")
    recipe = paper.recipe
    assert (recipe.optimiser, recipe.batch_size, recipe.head_rate) == ("adam", 32, 1.0)
    assert recipe.learning_rates == (1e-5, 5e-5, 1e-4, 5e-4)
    assert recipe.max_epochs == recipe.patience == 50
    assert (paper.first_seed, paper.seeds, paper.front_end, paper.label_rule) == (42, 1, "power", "first")
    assert set(paper.spaces) == {"full", "umap-50-0.5", "umap-50-0.1", "umap-100-0.5", "tsne-25", "tsne-100"}
    assert paper.clean_all and not load_protocol("fair").clean_all


def test_the_numbers_stand_beside_the_published_ones(run, out):
    rows = (out / "published.csv").read_text().splitlines()
    assert len(rows) == 1 + 3  # one space of the study, three scores
    theirs = published("beans/dogs", "alexnet", "umap-50-0.5")
    summary = [json.loads(json.dumps(row, default=str)) for row in _summary(out)]
    [ours] = [
        row["value"]
        for row in summary
        if (row["regime"], row["space"], row["clusterer"], row["metric"]) == ("full", "umap-50-0.5", "kmeans", "nmi")
        and row["class"] is None
    ]
    header = rows[0].replace('"', "").split(",")
    [nmi] = [dict(zip(header, row.replace('"', "").split(","), strict=True)) for row in rows[1:] if ',"nmi",' in row]
    assert float(nmi["published"]) == theirs["nmi"] == 0.358
    assert float(nmi["ours"]) == pytest.approx(ours) and float(nmi["difference"]) == pytest.approx(ours - theirs["nmi"])
    line = next(line for line in run.splitlines() if "umap-50-0.5" in line)
    assert "0.358" in line and f"{ours:.3f}" in line


def test_what_differs_is_said(run, out):
    assert "Not comparable as they stand" in run and "paper (changed)" in run  # two epochs are not the study's fifty
    assert "the weights of alexnet are a file" in " ".join(run.split())
    about = read_json(out / "provenance.json")
    assert any("UMAP" in sentence for sentence in about["deviations"]) and about["seeds"] == [42]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Beside the study" in page and "What differs from the study" in page


def test_the_vision_models_are_read_at_their_thousand_outputs(run, out):
    assert {(row["layer"], row["seed"]) for row in _results(out)} == {("logits", 42)}
    encoder = next((out / "cells").glob("*/encoder/card.json"))
    card = json.loads(encoder.read_text())
    assert (card["layer"], card["embedding_dim"], card["front_end"]) == ("logits", 1000, "power")


def test_another_layer_may_be_asked_for(tmp_path):
    changes = [*SMALL, 'spaces=["full"]']
    found = bench("beans/dogs", ["resnet18:random"], ["frozen"], layers="pooled", protocol="paper", changes=changes, out=tmp_path / "run")
    assert {row["layer"] for row in found.results.to_pylist()} == {"pooled"}
    assert not (found.folder / "published.csv").exists()  # frozen encoders were not published


def test_under_another_protocol_the_comparison_says_so(tmp_path):
    changes = ["training.max_epochs=1", 'spaces=["umap-50-0.1"]', "bootstrap=0"]
    found = bench("beans/dogs", ["resnet18:random"], ["full"], protocol="quick", changes=changes, out=tmp_path / "run")
    assert "another protocol ('quick (changed)', not 'paper')" in read_json(found.folder / "provenance.json")["not_as_published"]
    assert read_json(found.folder / "provenance.json")["deviations"] == []
    text = (found.folder / "published.csv").read_text()
    assert "umap-50-0.1" in text and ",false" in text and ",true" not in text


def test_the_studys_defects_come_back_with_one_option(tmp_path):
    changes = [*SMALL[1:], "training.max_epochs=1", 'spaces=["full"]', "study_defects=true"]
    found = bench("beans/dogs", ["resnet18:random"], ["full"], protocol="paper", changes=changes, out=tmp_path / "run")
    about = read_json(found.folder / "provenance.json")
    assert about["encoders"][0]["front_end"] == "power-batch" and "batch-mates" in about["encoders"][0]["note"]
    assert "repeated on purpose" in about["deviations"][0]
    saved = found.folder / found.choice["tuned_encoder"]
    again = load_encoder(saved)
    assert again.spec.front_end == "power-batch"
    dataset = load_dataset("beans/dogs")
    assert again.sample_rate_hz == dataset.sample_rate_hz
    loud, quiet = torch.randn(1, 44_100), 0.1 * torch.randn(1, 44_100)
    assert not torch.allclose(again(torch.cat([quiet, loud]))[0], again(quiet)[0])


def test_the_defects_go_with_the_studys_front_end_only():
    with pytest.raises(CallspaceError, match="front_end"):
        load_protocol("fair", ["study_defects=true"])


def test_a_layer_of_an_unknown_encoder_is_refused():
    with pytest.raises(CallspaceError, match=r"layers\.alexnot"):
        load_protocol("paper", ["layers.alexnot=logits"])


def test_a_layer_that_an_encoder_has_not_is_refused(tmp_path):
    with pytest.raises(CallspaceError, match="reads 'alexnet:random' at the layer 'layer7', which it has not"):
        bench("beans/dogs", ["alexnet:random"], ["frozen"], protocol="paper", changes=["layers.alexnet=layer7"], out=tmp_path / "run")


def _summary(folder):
    from callspace.bench.run import load_run

    return load_run(folder).summary.to_pylist()


def _results(folder):
    from callspace.bench.run import load_run

    return load_run(folder).results.to_pylist()
