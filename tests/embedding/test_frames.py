import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callspace.embedding.frames import frames_of_window


@settings(deadline=None)
@given(st.floats(0, 100), st.floats(0.02, 200), st.floats(0.1, 10))
def test_frames_cover_a_window_without_leaving_it(onset, duration, window):
    frames = frames_of_window(onset, onset + duration, window)
    assert frames[0][0] == onset
    assert frames[-1][1] == pytest.approx(onset + duration, abs=1e-6)
    for (_, end), (start, _) in itertools.pairwise(frames):
        assert start <= end + 1.1e-3
    if duration > window + 1e-3:
        assert all(end - start == pytest.approx(window) for start, end in frames)
        assert len(frames) * window < duration + window + 1e-6
    else:
        assert len(frames) == 1


def test_a_clip_twice_as_long_as_the_window_gives_two_frames():
    assert frames_of_window(0, 2, 1) == [(0, 1), (1, 2)]


def test_a_clip_a_little_longer_overlaps_its_frames():
    assert frames_of_window(0, 1.5, 1) == [(0, 1), (0.5, 1.5)]
