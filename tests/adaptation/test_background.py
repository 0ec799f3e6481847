import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callspace.adaptation.background import keep_background
from callspace.errors import CallspaceError


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=200), st.floats(0, 1), st.integers(0, 5))
def test_labelled_windows_stay_and_the_share_of_background_is_kept(background, share, seed):
    keep = keep_background(background, share, seed=seed)
    background = np.array(background, dtype=bool)
    assert keep[~background].all()
    assert keep[background].sum() == round(share * background.sum())


def test_a_smaller_share_is_part_of_a_larger_one():
    background = [True] * 100
    small, large = (keep_background(background, share, seed=3) for share in (0.1, 0.5))
    assert (large | ~small).all()


def test_a_share_above_one_is_refused():
    with pytest.raises(CallspaceError, match="between 0 and 1"):
        keep_background([True], 1.5, seed=0)
