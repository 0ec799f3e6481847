"""What is planted is there: the benchmark of the diagnosis is worth no more than its simulated data."""

import numpy as np
import pytest

from callspace.evaluation.diagnosis.planted import plant


def soundscape(**more):
    return next(of for of in (plant(seed, n_recordings=30, **more) for seed in range(20)) if of.task == "detection")


def test_in_soundscapes_a_window_with_a_call_is_louder_for_it():
    of = soundscape()
    level = of.nuisances_measured["level_db"]
    call = np.array([bool(labels) for labels in of.windows["labels"].to_pylist()])
    assert 8 < level[call].mean() - level[~call].mean() < 22


def test_the_level_that_is_planted_goes_with_the_species():
    of = soundscape(trouble="level")
    level, labels = of.nuisances_measured["level_db"], of.windows["labels"].to_pylist()
    means = [level[[each == [label] for each in labels]].mean() for label in of.labels]
    assert (np.diff(means) > 3).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_many_classes_are_more_than_dimensions_and_far_apart(seed):
    of = plant(seed, many=True, n_recordings=60)
    assert len(of.labels) >= 99
    assert of.vectors.shape[1] == 16
    first = np.array([labels[0] if labels else "background" for labels in of.windows["labels"].to_pylist()])
    means = {label: of.vectors[first == label].mean(axis=0) for label in np.unique(first)}
    names = np.array(list(means))
    nearest = names[np.linalg.norm(of.vectors[:, None] - np.array(list(means.values())), axis=2).argmin(axis=1)]
    assert (nearest == first).mean() > 0.95
