"""What the tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache; one folder a worker, so that what is made once serves all."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("CALLSPACE_CACHE", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Real recordings and weights, which are not part of the project."""
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("CALLSPACE_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no real recordings here: set CALLSPACE_TEST_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def reference(test_data: Path) -> Path:
    """Published checkpoint layouts and outputs, beside the real recordings."""
    folder = test_data.parent / "reference"
    if not folder.is_dir():
        pytest.skip("no published layouts here: CALLSPACE_TEST_DATA has no 'reference' folder beside it")
    return folder
