"""A confound is a problem only where it is heard and tied to the label; then the evidence says how much of the score it could be."""

import numpy as np
import pyarrow as pa
import pytest

from callspace.errors import CallspaceError
from callspace.evaluation.diagnosis.confounds import confounds
from callspace.evaluation.diagnosis.planted import plant

LABELS = ["a", "b", "c"]
SITES = 4


def clips(seed, *, tied=0.0, heard=0.0, split_by_site=False, n_recordings=60, per=6, label_heard=0.6, d=12):
    """Recordings of one label; a share `tied` of them from the label's own site; sites `heard` in the embedding."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, len(LABELS), n_recordings)
    site = np.where(rng.random(n_recordings) < tied, label, rng.integers(0, SITES, n_recordings))
    split = np.where(np.arange(n_recordings) % 3 < 2, "train", "test")
    if split_by_site:
        split = np.where(site < 2, "train", "test")
    of = np.repeat(np.arange(n_recordings), per)
    vectors = label_heard * rng.standard_normal((3, d))[label[of]] + heard * rng.standard_normal((SITES, d))[site[of]]
    vectors = vectors + 0.3 * rng.standard_normal((n_recordings, d))[of] + rng.standard_normal((len(of), d))
    windows = pa.table(
        {
            "window_id": np.arange(len(of)),
            "recording": [f"{at}.wav" for at in of],
            "labels": [[LABELS[code]] for code in label[of]],
            "split": split[of].tolist(),
            "group": [f"{at}" for at in of],
        }
    )
    return vectors, windows, {"site": [f"site {at}" for at in site[of]]}


def only(findings):
    (finding,) = findings
    return finding


@pytest.mark.parametrize("seed", range(3))
def test_a_site_that_goes_with_the_label_and_is_heard_is_a_problem(seed):
    vectors, windows, nuisances = clips(seed, tied=0.8, heard=1.5)
    finding = only(confounds(vectors, windows, LABELS, "classification", nuisances, subject={"encoder": "e"}))
    assert finding.verdict == "problem"
    assert finding.subject == {"encoder": "e"}
    assert "site" in finding.sentence
    assert finding.remedy
    evidence = finding.evidence
    assert evidence["p_holm"] <= 0.005
    assert evidence["label_by_nuisance"]["value"] > 0.6
    assert evidence["kappa_within"]["value"] < evidence["kappa"]["value"]


def test_a_site_that_is_heard_but_has_all_species_is_no_problem():
    for seed in range(3):
        vectors, windows, nuisances = clips(seed, heard=2.0)
        finding = only(confounds(vectors, windows, LABELS, "classification", nuisances))
        assert finding.evidence["nuisance_by_linear"]["interval"][0] > finding.evidence["nuisance_chance"]
        assert finding.verdict in {"fine", "look"}


def test_a_site_that_goes_with_the_label_but_is_not_heard_is_no_problem():
    # What tells the label would tell the site that goes with it; so the label is not heard either.
    for seed in range(3):
        vectors, windows, nuisances = clips(seed, tied=0.8, label_heard=0.0)
        finding = only(confounds(vectors, windows, LABELS, "classification", nuisances))
        assert finding.evidence["p_holm"] <= 0.005
        assert finding.verdict == "look"
        assert "does not tell the site" in finding.sentence


def test_sites_that_the_split_keeps_apart_are_fine_and_told_within_train():
    vectors, windows, nuisances = clips(0, tied=0.8, heard=2.0, split_by_site=True)
    finding = only(confounds(vectors, windows, LABELS, "classification", nuisances))
    assert finding.verdict == "fine"
    assert finding.sentence == "No site is in both train and test, so that it can't have been memorised into the score."
    assert finding.evidence["nuisance_within_train"] > 0.8
    assert finding.evidence["nuisance_chance"] == 0.5


def test_one_value_in_both_splits_is_too_few_to_measure_and_not_fine():
    vectors, windows, _ = clips(0)
    train = np.array(windows.column("split").to_pylist()) == "train"
    rows = np.arange(len(train))
    site = np.where(rows % 2 == 0, "shared", np.where(train, "only train", "only test")).tolist()
    finding = only(confounds(vectors, windows, LABELS, "classification", {"site": site}))
    assert finding.verdict == "unmeasured"
    assert "fewer than two of its values" in finding.sentence


def test_nuisances_with_the_same_parts_are_one_finding():
    vectors, windows, nuisances = clips(0)
    n = len(vectors)
    recording = windows.column("recording").to_pylist()
    same = {"recording": recording, "tape": [name.upper() for name in recording], "format": ["WAV"] * n, "channels": [1] * n}
    tapes, constant, site = confounds(vectors, windows, LABELS, "classification", same | nuisances)
    assert tapes.sentence == (
        "No tape is in both train and test, so that it can't have been memorised into the score. "
        "The same holds of the recording, which changes with it."
    )
    assert tapes.evidence["same_as"] == ["recording"]
    assert "number of channels, which never changes either" in constant.sentence
    assert "same_as" not in site.evidence


def test_what_never_changes_is_fine_and_what_is_not_known_or_has_no_test_windows_is_unmeasured():
    vectors, windows, _ = clips(0)
    n = len(vectors)
    assert only(confounds(vectors, windows, LABELS, "classification", {"format": ["WAV"] * n})).verdict == "fine"
    unknown = confounds(vectors, windows, LABELS, "classification", {"site": [None] * n, "level_db": [np.nan] * n, "date": [""] * n})
    assert only(unknown).verdict == "unmeasured"
    assert "not known of any window" in only(unknown).sentence
    level = only(confounds(vectors, windows, LABELS, "classification", {"level_db": [np.nan] * n}))
    assert "callspace diagnose" in level.remedy
    all_train = windows.set_column(windows.column_names.index("split"), "split", pa.array(["train"] * n))
    halves = {"format": ["WAV", "FLAC"] * (n // 2)}
    assert only(confounds(vectors, all_train, LABELS, "classification", halves)).verdict == "unmeasured"


def test_a_site_that_is_written_down_for_one_label_only_is_a_problem():
    vectors, windows, _ = clips(0, label_heard=1.5)
    known = [labels == ["a"] for labels in windows.column("labels").to_pylist()]
    finding = only(confounds(vectors, windows, LABELS, "classification", {"site": ["S1" if ok else None for ok in known]}))
    assert finding.verdict == "problem"
    assert finding.evidence["unknown"] == len(known) - sum(known)
    assert "where it is not known counts as a value of its own" in finding.sentence
    assert "since most windows of a are of a site that holds no other label in test" in finding.sentence


def test_where_each_site_holds_one_label_nothing_is_said_of_what_is_left_and_p_is_never_zero():
    vectors, windows, _ = clips(0, label_heard=1.5)
    label = [labels[0] for labels in windows.column("labels").to_pylist()]
    finding = only(confounds(vectors, windows, LABELS, "classification", {"site": [f"plot of {name}" for name in label]}))
    assert finding.verdict == "problem"
    assert finding.evidence["kappa_within"] == {"value": None, "interval": None, "strata": 0, "of": 3}
    assert "it can't be said what is left" in finding.sentence
    assert "p < 0.001" in finding.sentence
    assert "0.000" not in finding.sentence


def test_a_handful_of_groups_has_wider_intervals_than_percentiles_and_fewer_have_none():
    vectors, windows, nuisances = clips(0, n_recordings=18)
    evidence = only(confounds(vectors, windows, LABELS, "classification", nuisances)).evidence
    assert evidence["groups"] == 5
    of = evidence["label_by_linear"]
    assert 0 <= of["interval"][0] < of["value"] < of["interval"][1] <= 1
    assert of["interval"][1] - of["interval"][0] > 0.3
    vectors, windows, nuisances = clips(0, n_recordings=12)
    assert only(confounds(vectors, windows, LABELS, "classification", nuisances)).evidence["label_by_linear"]["interval"] is None


def test_p_is_corrected_for_the_number_of_nuisances():
    vectors, windows, nuisances = clips(1, tied=0.8, heard=1.5)
    rng = np.random.default_rng(0)
    more = nuisances | {f"dice {at}": rng.integers(0, 3, len(vectors)).astype(str).tolist() for at in range(4)}
    findings = confounds(vectors, windows, LABELS, "classification", more)
    assert [finding.evidence["nuisance"] for finding in findings] == list(more)
    assert findings[0].evidence["p_holm"] == pytest.approx(5 * findings[0].evidence["p"])
    assert all(finding.verdict != "problem" for finding in findings[1:])


def test_a_level_that_varies_from_window_to_window_is_found_where_it_tells_the_label():
    of = plant(3, "level", n_recordings=60)
    found = confounds(of.vectors, of.windows, of.labels, of.task, {"level_db": of.nuisances_measured["level_db"].tolist()})
    assert only(found).verdict == "problem"


def soundscapes(seed, n_species, *, louder_db=0.0, n_recordings=60, per=20, heard=1.0, level_heard=0.0):
    """Soundscapes whose calls are 5 to 25 dB above the background, and `louder_db` more from each species to the next; levels, in dB."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(n_recordings), per)
    n = len(of)
    call, species = rng.random(n) < 0.4, rng.integers(0, n_species, n)
    background = rng.normal(-45, 4, n_recordings)[of] + rng.normal(0, 1, n)
    above = rng.uniform(5, 25, n) + louder_db * species
    level = np.where(call, 10 * np.log10(10 ** (background / 10) + 10 ** ((background + above) / 10)), background)
    centres = heard * rng.standard_normal((n_species, 32))
    vectors = np.where(call[:, None], (0.5 + above / 8)[:, None] * centres[species], 0) + 0.3 * rng.standard_normal((n_recordings, 32))[of]
    vectors = vectors + rng.standard_normal((n, 32))
    vectors[:, 0] += level_heard * (level + 30)
    windows = pa.table(
        {
            "window_id": np.arange(n),
            "recording": [f"{at}.wav" for at in of],
            "labels": [[LABELS[code]] if called else [] for code, called in zip(species, call, strict=True)],
            "split": np.where(np.arange(n_recordings) % 3 < 2, "train", "test")[of].tolist(),
            "group": [f"{at}" for at in of],
        }
    )
    return vectors, windows, LABELS[:n_species], {"level_db": level.tolist()}


@pytest.mark.parametrize("seed", range(3))
def test_a_window_that_is_louder_for_the_call_in_it_is_no_confound(seed):
    vectors, windows, labels, level = soundscapes(seed, 3)
    finding = only(confounds(vectors, windows, labels, "detection", level))
    assert finding.verdict == "fine"
    assert "Windows without a call are left out" in finding.sentence
    assert finding.evidence["windows"] < 400 / 2
    vectors, windows, labels, level = soundscapes(seed, 1)
    finding = only(confounds(vectors, windows, labels, "detection", level))
    assert finding.verdict == "unmeasured"
    assert "fewer than two labels" in finding.sentence
    assert "Windows without a call are left out" in finding.sentence


def test_calls_that_are_told_by_their_level_are_a_problem_in_soundscapes_too():
    vectors, windows, labels, level = soundscapes(0, 3, louder_db=15.0, heard=0.0, level_heard=0.2)
    finding = only(confounds(vectors, windows, labels, "detection", level))
    assert finding.verdict == "problem"
    assert finding.evidence["kappa_within"]["value"] < 0.7 * finding.evidence["kappa"]["value"]
    assert "invariance" in finding.remedy
    assert "belongs to it" in finding.remedy


def test_a_tie_within_which_the_label_is_told_as_well_as_before_is_no_problem():
    vectors, windows, labels, level = soundscapes(0, 3, louder_db=10.0, heard=2.0, level_heard=0.2)
    finding = only(confounds(vectors, windows, labels, "detection", level))
    assert finding.evidence["p_holm"] <= 0.005
    assert finding.evidence["kappa_within"]["value"] > 0.95 * finding.evidence["kappa"]["value"]
    assert finding.verdict == "look"
    assert "the label is told as well among windows of the same level" in finding.sentence


def one_site_a_label(n_train, n_test, n_labels, seed=0):
    """Recordings of a label each, all of a label's at one site, well told."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(n_train + n_test), 20)
    label = of % n_labels
    windows = pa.table(
        {
            "window_id": np.arange(len(of)),
            "recording": [f"{at}.wav" for at in of],
            "labels": [[LABELS[code]] for code in label],
            "split": np.where(of < n_train, "train", "test").tolist(),
            "group": [f"{at}" for at in of],
        }
    )
    vectors = 3 * rng.standard_normal((n_labels, 16))[label] + rng.standard_normal((len(of), 16))
    return vectors, windows, {"site": [f"site {code}" for code in label]}


def test_too_few_recordings_to_tell_a_tie_from_chance_are_not_called_fine():
    vectors, windows, nuisances = one_site_a_label(3, 3, 3)
    finding = only(confounds(vectors, windows, LABELS, "classification", nuisances))
    assert finding.evidence["p"] > 0.05
    assert finding.evidence["least_p"] == pytest.approx(1 / 6, abs=0.05)
    assert finding.verdict == "unmeasured"
    assert "too few recordings" in finding.sentence
    assert "the site alone tells the label at 1.00" in finding.sentence


def test_a_large_gain_that_is_not_beyond_chance_is_undecided():
    # Eight recordings in each split, two of which are at the other's site; with dice beside it, its p is not small enough any more.
    vectors, windows, nuisances = one_site_a_label(8, 8, 2)
    of = np.repeat(np.arange(16), 20)
    site = np.array(nuisances["site"])
    site[of == 0], site[of == 1] = "site 1", "site 0"
    rng = np.random.default_rng(0)
    dice = {f"dice {at}": [f"v{side}" for side in rng.permutation(np.arange(16) % 2)[of]] for at in range(5)}
    finding, *_ = confounds(vectors, windows, LABELS[:2], "classification", {"site": site.tolist()} | dice)
    assert finding.evidence["p_holm"] > 0.05
    assert finding.evidence["least_p"] < 0.005
    assert finding.verdict == "unmeasured"
    assert "too few recordings (16 groups in train and test)" in finding.sentence


def test_where_test_has_too_few_groups_the_embedding_is_not_said_not_to_tell_the_site():
    vectors, windows, nuisances = one_site_a_label(30, 4, 2)
    finding = only(confounds(vectors, windows, LABELS[:2], "classification", nuisances))
    assert finding.evidence["nuisance_by_linear"] == {"value": 1.0, "interval": None}
    assert finding.verdict == "look"
    assert "does not tell" not in finding.sentence
    assert (
        "the embedding tells the site at 1.00 (chance 0.50), but 4 groups in test are too few to say that this is beyond chance"
        in finding.sentence
    )


def test_values_that_don_t_fit_the_windows_are_refused_by_name():
    vectors, windows, _ = clips(0)
    with pytest.raises(CallspaceError, match="'site' has 1 values"):
        confounds(vectors, windows, LABELS, "classification", {"site": ["x"]})
    with pytest.raises(CallspaceError, match="one row a window"):
        confounds(vectors[:5], windows, LABELS, "classification", {})
    with pytest.raises(CallspaceError, match="NaN"):
        confounds(vectors * np.nan, windows, LABELS, "classification", {})
