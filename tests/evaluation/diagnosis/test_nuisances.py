"""What may be in an embedding beside the animal, gathered and coded."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from callspace.errors import CallspaceError
from callspace.evaluation.diagnosis.nuisances import coded, nuisances_of


def windows(recordings, **columns):
    n = len(recordings)
    return pa.table(
        {
            "window_id": list(range(n)),
            "recording": recordings,
            "onset_s": [0.0] * n,
            "offset_s": [1.0] * n,
            "labels": [["a"]] * n,
            "split": ["train"] * n,
            "fold": [None] * n,
            "group": recordings,
            **columns,
        }
    )


def test_site_date_and_recorder_are_nuisances_and_what_belongs_to_the_animal_is_not():
    table = windows(
        ["a.wav", "b.wav"], site=["x", "y"], date=["2024-05-01", "dawn"], individual=["i", "j"], snr_db=[1.0, 2.0], low_hz=[1, 2]
    )
    found = nuisances_of(table)
    assert set(found) == {"recording", "site", "date"}
    assert found["date"][0] == date(2024, 5, 1).toordinal()  # a day is a number, so that seasons can be parted
    assert found["date"][1] == "dawn"


@pytest.mark.parametrize(
    "texts",
    [
        ["2024-06-01T05:30:00", "2024-06-01 18:07", "2024-06-13T05:30:00Z"],
        ["01/06/2024 05:30", "1/6/2024 18:07:21", "13/06/2024 05:30"],
        ["06/01/2024 05:30 AM", "06/01/2024 6:07 PM", "06/13/2024 05:30 AM"],
        ["05:30 01.06.2024", "18:07 01.06.2024", "05:30 13.06.2024"],
        ["01.06.24 05:30", "01.06.24", "13.06.24 05:30"],
        ["2024/06/01 05:30", "2024/6/1", "2024/06/13 05:30+02:00"],
        ["20240601_053000", "20240601T180721", "20240613053000"],
        [20240601, 20240601, 20240613],
        ["1 Jun 2024 05:30", "01-Jun-2024", "June 13, 2024 05:30"],
    ],
)
def test_a_date_counts_as_its_day_however_it_is_written(texts):
    days = nuisances_of(windows(["a", "b", "c"], datetime=pa.array(texts)))["datetime"]
    assert days == [date(2024, 6, 1).toordinal()] * 2 + [date(2024, 6, 13).toordinal()]


def test_a_day_that_can_be_read_two_ways_is_one_day_and_what_is_no_date_stays():
    table = windows(["a", "b", "c", "d"], date=["01/06/2024 05:30", "01/06/2024 05:31", "02/06/2024 05:30", "06/01/2024"])
    days = nuisances_of(table)["date"]
    assert days[0] == days[1]
    assert len(set(days)) == 3
    assert nuisances_of(windows(["a", "b", "c"], date=["dawn", None, "99/99/2024 05:30"]))["date"] == ["dawn", None, "99/99/2024"]


def test_the_recordings_table_adds_format_rate_channels_and_duration_to_each_window():
    recordings = pa.table(
        {"recording": ["b.wav", "a.wav"], "duration_s": [2.0, 1.0], "sample_rate_hz": [8000, 16000], "format": ["WAV", "FLAC"]}
    )
    found = nuisances_of(windows(["a.wav", "b.wav", "a.wav"]), recordings)
    assert found["duration_s"] == [1.0, 2.0, 1.0]
    assert found["sample_rate_hz"] == [16000, 8000, 16000]
    assert found["format"] == ["FLAC", "WAV", "FLAC"]
    assert "channels" not in found


def test_names_that_recorders_give_tell_site_and_date():
    found = nuisances_of(windows(["PLOT1_20230615_053000.wav", "PLOT2_20230701_053000.wav"]))
    assert found["site"] == ["PLOT1", "PLOT2"]
    assert found["date"][1] - found["date"][0] == 16


def test_what_was_measured_is_added_and_must_be_one_value_a_window():
    assert nuisances_of(windows(["a.wav"]), level_db=[-30.0])["level_db"] == [-30.0]
    with pytest.raises(CallspaceError, match="level_db"):
        nuisances_of(windows(["a.wav"]), level_db=[-30.0, -20.0])


def test_many_numbers_are_cut_at_the_eighths_of_train():
    values = np.arange(200.0)
    of = coded(values.tolist(), values < 100)
    assert set(np.bincount(of.codes[:100])) == {12, 13}
    assert (of.codes[100:] == 7).all()
    assert len(of.names) == 8


def test_few_numbers_and_texts_are_names_and_what_is_unknown_is_minus_one():
    assert coded([44100, 8000, None, 44100], np.ones(4, bool)).names == ["44100", "8000"]
    of = coded(["b", None, "a", "", "b"], np.ones(5, bool))
    assert of.codes.tolist() == [1, -1, 0, -1, 1]
    assert coded([float("nan"), 1.0], np.ones(2, bool)).codes.tolist() == [-1, 0]
    assert coded([None, None], np.ones(2, bool)).codes.tolist() == [-1, -1]
