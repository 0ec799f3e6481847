"""All checks of one embedding together: what is planted is found, and clean embeddings raise no alarm.

The long version, 100 clean seeds and 20 of each trouble, is ``benchmarks/diagnosis.py``.
"""

import numpy as np
import pytest

from callspace.errors import CallspaceError
from callspace.evaluation.diagnosis import findings_to_json
from callspace.evaluation.diagnosis.confounds import nuisances_of
from callspace.evaluation.diagnosis.confusions import confusions
from callspace.evaluation.diagnosis.planted import TROUBLES, plant
from callspace.evaluation.diagnosis.summary import diagnose_embedding


def diagnose(of, seed=0):
    nuisances = nuisances_of(of.windows, of.recordings, **of.nuisances_measured)
    return diagnose_embedding(of.vectors, of.windows, of.labels, of.task, nuisances=nuisances, predictions=of.predictions, seed=seed)


def problems(of):
    return {finding.check for finding in diagnose(of) if finding.verdict == "problem"}


@pytest.mark.parametrize("seed", range(100, 106))
def test_a_clean_embedding_raises_no_alarm(seed):
    assert problems(plant(seed, n_recordings=30)) == set()


def test_many_classes_in_few_dimensions_raise_no_alarm():
    assert problems(plant(100, n_recordings=60, many=True)) == set()


@pytest.mark.parametrize("seed", [110, 111])
def test_a_clean_embedding_with_an_unlearnable_class_raises_no_other_alarm(seed):
    of = plant(seed, n_recordings=40, unlearnable=True)
    said = [finding for finding in diagnose(of) if finding.verdict == "problem"]
    assert all(finding.check == "confusions" and f"loses {of.unlearnable}:" in finding.sentence for finding in said)


@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("trouble", sorted(TROUBLES.keys() - {"lost class"}))
def test_what_is_planted_is_found_by_its_check(trouble, seed):
    assert TROUBLES[trouble] in problems(plant(seed, trouble, n_recordings=60))


def test_where_the_site_tells_the_label_windows_that_sound_like_another_site_s_species_are_no_proof_of_label_errors():
    found = {finding.check: finding for finding in diagnose(plant(0, "confound", n_recordings=60)) if finding.check == "label_errors"}
    finding = found["label_errors"]
    assert finding.evidence["suspected"] > 20
    assert finding.verdict == "look"
    assert "sounds like where it was recorded: see the confounds" in finding.sentence
    assert {window["kind"] for window in finding.windows} == {"suspect", "misplaced", "typical"}


@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize(("trouble", "nuisance"), [("confound", "site"), ("level", "level_db")])
def test_of_a_confound_the_nuisance_that_was_planted_is_named(trouble, nuisance, seed):
    found = [finding for finding in diagnose(plant(seed, trouble, n_recordings=60)) if finding.check == "confounds"]
    assert [finding.evidence["nuisance"] for finding in found if finding.verdict == "problem"] == [nuisance]


@pytest.mark.parametrize("seed", [2, 3])
def test_a_lost_class_is_found_by_the_confusions(seed):
    of = plant(seed, "lost class", n_recordings=240)
    (finding,) = confusions(of.predictions, of.windows, of.labels, of.task)
    assert finding.verdict == "problem"


def test_every_check_speaks_of_the_subject_and_the_same_seed_gives_the_same_findings():
    of = plant(1, n_recordings=40)
    subject = {"encoder": "e", "layer": "last"}
    first, second = (
        diagnose_embedding(
            of.vectors, of.windows, of.labels, of.task, recordings=of.recordings, predictions=of.predictions, subject=subject
        )
        for _ in range(2)
    )
    assert findings_to_json(first) == findings_to_json(second)
    assert {finding.check for finding in first} == {"confounds", "collapse", "hubs", "label_errors", "confusions"}
    assert all(finding.subject == subject and finding.sentence.endswith(".") for finding in first)


def test_label_errors_of_a_tuned_encoder_are_looked_for_where_it_has_not_learnt_them():
    of = plant(1, n_recordings=60)
    found = diagnose_embedding(of.vectors, of.windows, of.labels, of.task, tuned_on=("train", "valid"))
    (finding,) = [finding for finding in found if finding.check == "label_errors"]
    split = np.array(of.windows.column("split").to_pylist())
    assert finding.evidence["windows"] <= (split == "test").sum()
    assert all(split[window["window_id"]] == "test" for window in finding.windows)
    assert finding.windows


def test_without_predictions_confusions_are_not_looked_at_and_nan_is_refused():
    of = plant(1, n_recordings=40)
    found = diagnose_embedding(of.vectors, of.windows, of.labels, of.task)
    assert "confusions" not in {finding.check for finding in found}
    broken = of.vectors.copy()
    broken[3] = np.nan
    with pytest.raises(CallspaceError, match="row 3"):
        diagnose_embedding(broken, of.windows, of.labels, of.task)
