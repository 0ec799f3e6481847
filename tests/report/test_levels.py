"""The section on levels: what it draws, and what it says where no level can be given."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from callspace import tables
from callspace.evaluation.scoring.levels import FLOOR_BAND
from callspace.report.levels import levels_section
from callspace.report.reading import read_run


def section(
    detection_run: Path, folder: Path, curve: dict[str, float], threshold: float | None = None, reader: str = "linear"
) -> dict[str, Any]:
    """Of a run whose every frozen encoder has this curve."""
    shutil.copytree(detection_run, folder, dirs_exist_ok=True)
    summary = tables.read_parquet(folder / "summary.parquet", tables.SUMMARY)
    rows = summary.to_pylist()
    frozen = {(row["encoder"], row["layer"], row["pool"]): row for row in rows if row["regime"] == "frozen"}
    for row in list(frozen.values()):
        shared = row | {"space": "full", "clusterer": "linear", "ci_low": None, "ci_high": None, "ci_method": None, "n": 20, "cells": 1}
        rows += [shared | {"metric": "separation_auroc_by_level", "class": band, "value": value} for band, value in curve.items()]
        if threshold is not None:
            rows.append(shared | {"metric": "hearing_threshold_db", "class": None, "value": threshold, "clusterer": reader})
    tables.write_parquet(tables.from_rows(rows, tables.SUMMARY), folder / "summary.parquet")
    found = levels_section(read_run(folder))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "curve, reason",
    [
        ({"-5 to 0 dB": 0.8, "0 to 5 dB": 0.9}, "even the faintest calls (−5 to 0 dB) are more than half heard"),
        ({"-5 to 0 dB": 0.5, "0 to 5 dB": 0.6}, "even the loudest calls (0 to 5 dB) are not half heard"),
        ({"-40 to -35 dB": 0.5, "20 to 25 dB": 1.0}, "between calls of −40 to −35 dB and of 20 to 25 dB, with too few between"),
        ({FLOOR_BAND: 0.5, "-15 to -10 dB": 0.9}, "between calls at or below the background, whose level is not known"),
        ({"0 to 5 dB": 0.5, "5 to 10 dB": 0.9}, "in no single fold and seed"),
    ],
)
def test_where_no_level_can_be_given_the_reason_is(detection_run, tmp_path, curve, reason):
    lead = " ".join(section(detection_run, tmp_path / "run", curve)["lead"])
    assert "At which level calls are half heard can't be said of" in lead
    assert reason in lead


def test_a_level_is_that_of_the_curve_that_is_drawn(detection_run, tmp_path):
    curve = {"0 to 5 dB": 0.5, "5 to 10 dB": 0.9}
    assert any("−1.5 dB" in one for one in section(detection_run, tmp_path / "one", curve, -1.5)["lead"])
    # The nearest neighbours' level is not that of the linear probe's curve.
    assert not any("−1.5 dB" in one for one in section(detection_run, tmp_path / "other", curve, -1.5, reader="knn")["lead"])


def test_calls_of_no_known_level_are_drawn_first_and_explained(detection_run, tmp_path):
    found = section(detection_run, tmp_path / "run", {"-15 to -10 dB": 0.9, FLOOR_BAND: 0.5})
    figure = found["panes"][0]["figures"][0]["chart"]
    assert figure["layout"]["xaxis"]["ticktext"] == ["≤ noise", "−15 to −10"]
    assert figure["data"][0]["x"] == [-17.5, -12.5]
    assert "no louder than their background" in found["panes"][0]["caption"]
