"""Collapse and hubs: known spectra, known crowds, and noise that has neither."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.neighbors import NearestNeighbors

from callspace.errors import CallspaceError
from callspace.evaluation.diagnosis.collapse import collapse, effective_rank, hubs, k_occurrence


def noise(n=200, d=16, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


@given(st.integers(2, 40), st.integers(1, 8), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_effective_rank_is_exp_of_the_entropy_of_the_singular_values(n, d, seed):
    points = noise(n, d, seed) * 10.0 ** np.random.default_rng(seed).integers(-3, 3, d)
    values = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    assert effective_rank(points) == pytest.approx(np.exp(entropy(values)), rel=1e-6)
    assert effective_rank(points) <= min(n, d) + 1e-9


def test_effective_rank_of_points_on_a_line_is_one_and_of_equal_points_none():
    line = np.outer(np.linspace(-1, 1, 50), np.arange(1.0, 6.0))
    assert effective_rank(line) == pytest.approx(1, abs=1e-6)
    assert effective_rank(np.ones((50, 5))) == 0


def test_noise_has_not_collapsed():
    finding = collapse(noise(), n_classes=10)
    assert finding.verdict == "fine"
    assert finding.evidence["dead_dimensions"] == 0
    assert finding.evidence["copies"] == 0


def test_one_direction_for_many_classes_is_a_problem_and_for_two_it_is_a_look():
    line = np.outer(noise(200, 1)[:, 0], noise(1, 16, 1)[0]) + 1e-4 * noise(seed=2)
    assert collapse(line, n_classes=10).verdict == "problem"
    assert collapse(line, n_classes=2).verdict == "look"


def test_more_classes_than_dimensions_are_no_collapse_where_they_are_told():
    # 264 classes can't have 263 directions in 64 dimensions, nor do they need them.
    classes = np.repeat(np.arange(264), 8)
    groups = np.tile(np.arange(8), 264)
    points = 4 * noise(264, 64)[classes] + noise(len(classes), 64, 1)
    assert collapse(points, n_classes=264).verdict == "fine"
    finding = collapse(points, n_classes=264, codes=classes, groups=groups)
    assert finding.verdict == "fine"
    assert finding.evidence["labels_told"] > 0.95


def test_few_directions_that_tell_all_classes_are_worth_a_look_and_no_problem():
    # 60 classes on a circle of 64 dimensions.
    classes = np.repeat(np.arange(60), 10)
    angle = 2 * np.pi * classes / 60
    points = np.column_stack([np.cos(angle), np.sin(angle)]) @ noise(2, 64, 3) + 0.002 * noise(600, 64)
    groups = np.tile(np.arange(10), 60)
    finding = collapse(points, n_classes=60, codes=classes, groups=groups)
    assert finding.evidence["effective_rank"] < 4
    assert finding.verdict == "look"
    assert finding.evidence["labels_told"] > 0.8
    assert "evenly spread take 59 directions" in finding.sentence
    blurred = collapse(points[np.random.default_rng(0).permutation(600)], n_classes=60, codes=classes, groups=groups)
    assert blurred.verdict == "problem"
    assert "has collapsed" in blurred.sentence


def test_classes_that_sit_on_as_many_points_have_not_collapsed():
    # What a tuned network tends to: nothing but its classes, in K - 1 directions.
    centres = noise(10, 64)
    finding = collapse(centres[np.arange(400) % 10] + 0.01 * noise(400, 64, 1), n_classes=10)
    assert finding.verdict == "fine"


def test_the_same_embedding_everywhere_is_a_problem_even_with_rounding():
    assert collapse(np.full((100, 8), 3.0)).verdict == "problem"
    assert collapse((100 + 1e-5 * noise(100, 8)).astype(np.float32)).verdict == "problem"
    assert collapse(np.zeros((100, 8))).verdict == "problem"


@pytest.mark.parametrize("n", [2, 10, 40])
def test_a_constant_embedding_of_few_windows_has_collapsed_too(n):
    assert collapse(np.ones((n, 16))).verdict == "problem"
    assert collapse(noise(n)).verdict == "unmeasured"
    assert collapse(np.ones((1, 16))).verdict == "unmeasured"


def test_most_dimensions_dead_or_a_far_origin_are_worth_a_look():
    dead = np.column_stack([noise(200, 4), np.zeros((200, 12))])
    finding = collapse(dead, n_classes=3)
    assert finding.verdict == "look"
    assert finding.evidence["dead_dimensions"] == pytest.approx(0.75)
    far = collapse(noise() + 1000, n_classes=3)
    assert far.verdict == "look"
    assert "centre" in far.remedy


def test_copies_count_between_recordings_only():
    points = np.repeat(noise(50), 4, axis=0)
    assert collapse(points, recordings=[str(at // 4) for at in range(200)]).evidence["copies"] == 0
    other = collapse(points, recordings=[str(at % 4) for at in range(200)])
    assert other.evidence["copies"] == 1
    assert other.verdict == "problem"


def test_k_occurrence_is_a_count_of_scikit_learn_s_neighbours():
    points = noise(80, 5)
    near = NearestNeighbors(n_neighbors=10).fit(points).kneighbors(return_distance=False)
    np.testing.assert_array_equal(k_occurrence(points), np.bincount(near.ravel(), minlength=80))


@pytest.mark.parametrize("d", [4, 64, 512])
def test_noise_of_any_dimension_has_no_problem_with_hubs(d):
    assert hubs(noise(600, d)).verdict != "problem"


def test_windows_at_the_centre_of_a_high_dimensional_cloud_are_hubs_and_centring_helps():
    points = noise(500, 64)
    points[:5] *= 0.05
    finding = hubs(points)
    assert finding.verdict == "problem"
    assert finding.evidence["share_of_the_most_wanted"] > 0.45  # five of 500 can be in half of the places
    assert finding.evidence["share_after_centring"] < 0.2


def test_a_window_that_all_others_have_among_their_neighbours_is_worth_a_look_among_few_too():
    points = noise(150, 64)
    points[7] = 0
    finding = hubs(points)
    assert finding.evidence["most"] == 149
    assert finding.verdict == "look"
    assert "of 149 of the 149 others" in finding.sentence
    assert hubs(noise(150, 4)).verdict == "fine"
    # Ten neighbours of eighty: some window is in most neighbourhoods whatever the data.
    assert hubs(noise(80, 64)).verdict == "unmeasured"


def test_few_windows_and_equal_windows_are_unmeasured_and_nan_is_refused():
    assert hubs(noise(20)).verdict == collapse(noise(20)).verdict == "unmeasured"
    assert hubs(np.ones((100, 4))).verdict == "unmeasured"
    for check in (hubs, collapse):
        with pytest.raises(CallspaceError, match="NaN"):
            check(np.full((60, 3), np.nan))


def test_scale_and_shift_of_the_whole_change_no_rank():
    points = noise(100, 6)
    assert effective_rank(points * 7 + 3) == pytest.approx(effective_rank(points))
