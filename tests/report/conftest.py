"""Run folders of both tasks, made once."""

from pathlib import Path

import pytest

from callspace.report import write_report
from run_folders import make_run_folder


@pytest.fixture(scope="session")
def detection_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run_folder(tmp_path_factory.mktemp("detection"), "detection")


@pytest.fixture(scope="session")
def classification_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run_folder(tmp_path_factory.mktemp("classification"), "classification")


@pytest.fixture(scope="session")
def detection_page(detection_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(detection_run, tmp_path_factory.mktemp("pages") / "detection.html")


@pytest.fixture(scope="session")
def classification_page(classification_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(classification_run, tmp_path_factory.mktemp("pages") / "classification.html")
