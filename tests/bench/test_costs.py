"""What choices cost: read from what a run measured, and what as good a choice costs less."""

import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from callspace.bench.costs import Cost, cheaper, costs_of, in_words, write_costs
from callspace.bench.meter import EMBEDDING_COST, Spent, metered, metered_embedding
from callspace.bench.plan import Choice
from callspace.embedding.store import Store
from callspace.tables import read_json, write_json, write_text

BEST = Cost(Choice("resnet152", "full", 1.0, "top", "mean"), 100.0, 4000.0, 1200.0, 60_000_000, "CC-BY-NC-4.0", True, "cpu", 3600.0)
LIGHT = Cost(Choice("yamnet", "linear", 1.0, "top", "mean"), 8.0, 500.0, 2.0, 3_200_000, "Apache-2.0", False, "cpu", 450.0)


def test_costs_are_said_with_their_units():
    [sentence] = in_words(BEST)
    told = "100 ms to embed a second of sound on cpu, 10 times faster than real time; 4,000 MiB of memory meanwhile, 3,600 of them for that work; 20 min to fit once; "
    assert sentence == f"It costs: {told}60.0 million parameters; licence CC-BY-NC-4.0 (restricted)."


def test_what_was_not_measured_is_left_out():
    bare = replace(BEST, embed_ms_per_s=None, embed_mib=None, grown_mib=None, fit_s=None, parameters=0, licence=None, restricted=None)
    assert in_words(bare) == [] and in_words(replace(bare, fit_s=3.2)) == ["It costs: 3.2 s to fit once; licence not known."]
    assert in_words(replace(bare, fit_s=3.2, restricted=False)) == ["It costs: 3.2 s to fit once."]
    assert in_words(replace(bare, restricted=True)) == ["It costs: licence not stated (restricted)."]


def test_a_tie_that_is_much_cheaper_and_freer_is_named_with_by_how_much():
    [sentence] = cheaper(BEST, [LIGHT])
    for part in ("yamnet linear", "embeds 12 times faster", "8 times less memory", "19 times smaller", "fits in 2 s", "licence Apache-2.0"):
        assert part in sentence


@pytest.mark.parametrize(
    "other",
    [
        replace(BEST, embed_ms_per_s=60.0, restricted=True),  # not twice as fast
        replace(BEST, embed_ms_per_s=None, embed_mib=None, grown_mib=None, fit_s=None, parameters=None),
        replace(BEST, fit_s=900.0),
    ],
)
def test_a_tie_that_costs_about_as_much_is_not(other):
    assert cheaper(BEST, [other]) == []


def test_memory_is_compared_by_what_the_work_itself_took():
    """The interpreter and what an earlier cell left are in every peak, and say nothing of an encoder."""
    assert "memory" not in cheaper(BEST, [replace(LIGHT, grown_mib=None)])[0]
    assert "36 times less memory" in cheaper(BEST, [replace(LIGHT, embed_mib=4000.0, grown_mib=3.0)])[0]  # of less than 100 MiB as of 100
    assert "memory" not in cheaper(replace(BEST, grown_mib=150.0), [replace(LIGHT, grown_mib=1.0)])[0]


def test_a_freer_licence_alone_is_worth_a_word_and_a_stricter_one_is_told():
    assert "licence Apache-2.0" in cheaper(BEST, [replace(BEST, licence="Apache-2.0", restricted=False)])[0]
    assert "no licence to heed" in cheaper(BEST, [replace(BEST, licence=None, restricted=False)])[0]
    free = replace(BEST, licence="MIT", restricted=False)
    assert "but its licence is restricted" in cheaper(free, [replace(LIGHT, restricted=True, licence="CC-BY-NC-4.0")])[0]


def test_a_licence_that_is_not_known_is_not_called_free():
    unknown = replace(BEST, licence=None, restricted=None)
    assert cheaper(BEST, [unknown]) == []
    [sentence] = cheaper(BEST, [replace(LIGHT, licence=None, restricted=None)])
    assert "licence to heed" not in sentence and sentence.endswith(", but its licence is not known).")


def test_a_frozen_tie_has_nothing_to_fit():
    frozen = replace(BEST, choice=BEST.choice._replace(regime="frozen"), fit_s=None)
    assert "nothing to fit" in cheaper(BEST, [frozen])[0]


@pytest.fixture
def run(tmp_path):
    """A run of one encoder whose embedding was measured, and one whose was not."""
    encoders = [
        {
            "name": "yamnet",
            "called": "yamnet",
            "layer": "top",
            "pool": "mean",
            "fingerprint": "f1",
            "parameters": 3_200_000,
            "licence": "Apache-2.0",
            "licence_notice": None,
        },
        {
            "name": "perch",
            "called": "my/tuned",
            "layer": "top",
            "pool": "mean",
            "fingerprint": "f2",
            "parameters": 7,
            "licence": "CC-BY-NC-4.0",
            "licence_notice": "ask",
        },
    ]
    write_json({"device": "cpu", "encoders": encoders}, tmp_path / "provenance.json")
    cost = {"seconds": 2.0, "audio_s": 100.0, "windows": 50, "peak_mib": 700.0, "device": "cpu"}
    write_json(cost, tmp_path / "embeddings" / "f1" / EMBEDDING_COST)
    head = "encoder,layer,pool,regime,background,policy,fold,seed,seconds,seconds_fit,peak_mib,seconds_embed"
    rows = [
        "yamnet,top,mean,frozen,1,share,,0,9,,900,2",
        "yamnet,top,mean,full,1,share,,0,80,60,900,2",
        "yamnet,top,mean,full,1,share,,1,80,60,900,0",
    ]
    rows += ["my/tuned,top,mean,linear,1,share,,0,9,5,900,3", "lost,top,mean,linear,1,share,,0,9,,900,3"]
    write_text("\n".join([head, *rows]) + "\n", tmp_path / "costs.csv")
    best = {"encoder": "yamnet", "regime": "full", "background": 1.0, "layer": "top", "pool": "mean", "policy": "share"}
    write_json(best | {"tied": [best | {"regime": "frozen"}]}, tmp_path / "choice.json")
    return tmp_path


def test_a_run_is_read_by_choice(run):
    frozen, full, tuned, _ = costs_of(run)
    assert (frozen.embed_ms_per_s, frozen.embed_mib, frozen.fit_s, frozen.restricted) == (20.0, 700.0, None, False)
    assert (full.fit_s, full.embed_ms_per_s) == (60.0, 20.0)  # a mean over seeds
    assert (tuned.embed_ms_per_s, tuned.fit_s) == (None, 5.0)


def test_an_encoder_is_known_by_what_the_user_calls_it(run):
    """A tuned one is a folder: its licence is that of what it was tuned from."""
    *_, tuned, lost = costs_of(run)
    assert (tuned.choice.encoder, tuned.licence, tuned.restricted, tuned.parameters) == ("my/tuned", "CC-BY-NC-4.0", True, 7)
    assert (lost.licence, lost.restricted, lost.parameters, lost.fit_s) == (None, None, None, None)


def test_costs_json_holds_every_choice_and_the_sentences(run):
    found = write_costs(run)
    assert found == read_json(run / "costs.json")
    assert [(one["encoder"], one["regime"]) for one in found["costs"]][:3] == [
        ("yamnet", "frozen"),
        ("yamnet", "full"),
        ("my/tuned", "linear"),
    ]
    assert any(sentence.startswith("It costs: 20 ms") for sentence in found["sentences"])
    assert any("yamnet frozen (nothing to fit)" in sentence for sentence in found["sentences"])


def test_nothing_chosen_has_no_sentences(run):
    write_json({"encoder": None, "tied": []}, run / "choice.json")
    assert write_costs(run)["sentences"] == []


# ------------------------------------------------------------------------------------------------------------------- measuring


def spent_on_60_mib() -> Spent:
    with metered() as spent:
        block = np.ones(60 << 17)
        time.sleep(0.05)
    assert block[-1] == 1
    return spent


def test_a_block_is_timed_and_its_own_peak_is_found():
    larger = [spent_on_60_mib() for _ in range(3)]  # a busy system may take other memory from the process meanwhile
    with metered() as small:
        pass
    assert min(large.seconds for large in larger) >= 0.05 > small.seconds
    if small.peak_is_own:
        assert max(large.grown_mib for large in larger) > 40 > small.grown_mib
        assert max(large.peak_mib for large in larger) - small.peak_mib > 40
    assert {"seconds", "peak_mib", "grown_mib", "peak_is_own"} <= set(larger[0].to_json())


def test_a_block_that_fails_is_timed_too():
    with pytest.raises(ValueError, match="no"), metered() as spent:
        raise ValueError("no")
    assert spent.seconds > 0


class Windows:
    """A dataset of half-second windows."""

    windows = pa.table({"recording": ["a"] * 3, "onset_s": [0.0, 0.5, 1.0], "offset_s": [0.5, 1.0, 1.5]})


def test_only_windows_that_were_embedded_are_counted_and_passes_add_up(tmp_path):
    about = {"encoder": {"name": "a", "layer": "top", "pool": "mean", "fingerprint": "f1", "embedding_dim": 4}, "dataset": {"name": "d"}}
    folder = tmp_path / "f1"

    def embed(keys):
        with metered_embedding({"top": folder}, Windows, "cpu"):
            store = Store(folder, about)
            store.append(keys, np.zeros((len(keys), 4), np.float32)) if keys else None

    embed(["a", "b"])
    first = read_json(folder / EMBEDDING_COST)
    assert (first["windows"], first["audio_s"], first["device"]) == (2, 1.0, "cpu")
    embed([])
    assert read_json(folder / EMBEDDING_COST) == first
    embed(["c"])
    again = read_json(folder / EMBEDDING_COST)
    assert (again["windows"], again["audio_s"]) == (3, 1.5) and again["seconds"] >= first["seconds"]


def test_of_overlapping_windows_each_second_of_a_recording_counts_once(tmp_path):
    class Overlapping:
        windows = pa.table({"recording": ["a", "a", "a", "b"], "onset_s": [0.0, 0.5, 3.0, 0.0], "offset_s": [1.0, 1.5, 4.0, 1.0]})

    about = {"encoder": {"name": "a", "layer": "top", "pool": "mean", "fingerprint": "f1", "embedding_dim": 4}, "dataset": {"name": "d"}}
    with metered_embedding({"top": tmp_path / "f1"}, Overlapping, "cpu"):
        Store(tmp_path / "f1", about).append(list("wxyz"), np.zeros((4, 4), np.float32))
    assert read_json(tmp_path / "f1" / EMBEDDING_COST)["audio_s"] == 3.5
