"""The five lines of Python that the README promises."""

import subprocess
import sys

import callspace
from small_audio import class_folders


def test_a_dataset_an_encoder_embeddings_scores_and_a_tuned_encoder(tmp_path):
    ds = callspace.load_dataset(class_folders(tmp_path, clips=10, seconds=0.3))
    enc = callspace.load_encoder("mfcc")
    emb = callspace.embed(ds, enc)
    frame = callspace.evaluate(emb, spaces=["full"]).to_pandas()
    tuned = callspace.finetune(ds, enc, regime="linear")
    assert emb.vectors.shape == (30, 80)
    assert frame[(frame.metric == "accuracy") & (frame.clusterer == "linear")].value.item() == 1.0
    assert tuned.labels == ["high", "low", "top"]


def test_bench_and_report_can_be_called_whichever_room_was_imported_first():
    code = "import callspace.bench.plan, callspace.report.page, callspace; assert callable(callspace.bench) and callable(callspace.report)"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import callspace; callspace.bench; import callspace.bench.plan as p; assert callable(callspace.bench) and p.make_plan"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_not_there_is_an_attribute_error():
    assert not hasattr(callspace, "benchmark")
    assert "bench" in dir(callspace)
