import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callspace.datasets.windows import choose_clip_window, choose_event_window, label_windows, window_onsets
from callspace.errors import CallspaceError

# Times on a grid of 1/64 s are exact in binary, so that the plain statement of the rule below has no rounding of its own.
seconds = st.integers(0, 64 * 8).map(lambda n: n / 64)
lengths = st.integers(1, 64 * 4).map(lambda n: n / 64)


def plain_rule(onset: float, window: float, event: tuple[float, float]) -> bool:
    """The rule as one would say it, for one window and one event."""
    start, end = event
    if end <= start:
        return False
    if start <= onset and end >= onset + window:
        return True
    overlap = min(end, onset + window) - max(start, onset)
    return overlap > 0 and overlap / min(window, end - start) > 0.2


@settings(deadline=None)
@given(seconds, lengths, lengths, st.lists(st.tuples(seconds, seconds), max_size=6))
def test_labels_follow_the_rule_as_one_would_say_it(duration, window, hop, events):
    onsets = window_onsets(duration, window, hop)
    on = np.array([e[0] for e in events])
    off = np.array([e[1] for e in events])
    found = label_windows(onsets, window, on, off)
    expected = [[n for n, event in enumerate(events) if plain_rule(onset, window, event)] for onset in onsets]
    assert found == expected


@settings(deadline=None)
@given(seconds, lengths, lengths)
def test_windows_fill_the_recording_and_leave_less_than_a_hop(duration, window, hop):
    onsets = window_onsets(duration, window, hop)
    assert onsets[0] == 0
    if duration >= window:
        assert onsets[-1] + window <= duration + 1e-9
        assert duration - (onsets[-1] + window) < hop
    else:
        assert len(onsets) == 1


def test_a_window_is_labelled_when_an_event_overlaps_it_by_more_than_a_fifth():
    def on(overlap):
        return label_windows(np.array([0.0]), 1.0, np.array([1 - overlap]), np.array([3.0])) == [[0]]

    assert not on(0.2)
    assert on(0.21)


def test_a_short_event_inside_a_window_labels_it():
    assert label_windows(np.array([0.0, 1.0]), 1.0, np.array([0.5]), np.array([0.51])) == [[0], []]


def test_an_event_of_no_length_counts_for_nothing():
    assert label_windows(np.array([0.0]), 1.0, np.array([0.5]), np.array([0.5])) == [[]]


def test_decimal_times_give_the_windows_one_counts_by_hand():
    assert len(window_onsets(1.0, 0.5, 0.1)) == 6
    assert len(window_onsets(16.0, 0.5, 0.25)) == 63


def test_a_window_of_no_length_is_refused():
    with pytest.raises(CallspaceError, match="longer than 0 s"):
        window_onsets(10, 0, 1)


def test_the_default_window_of_clips_is_their_95th_percentile_and_at_most_ten_seconds():
    assert choose_clip_window([1.0] * 99 + [60.0]) == 1.0
    assert choose_clip_window([60.0]) == 10.0


def test_the_default_window_of_soundscapes_is_at_least_twice_the_median_annotation():
    assert choose_event_window([0.08, 0.1, 0.12]) == (0.5, 0.25)
    assert choose_event_window([0.7]) == (2.0, 1.0)
    assert choose_event_window([30.0]) == (10.0, 5.0)
