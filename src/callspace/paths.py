"""Where callspace keeps what it downloads and makes: one cache folder, CALLSPACE_CACHE if set."""

import os
import sys
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder(*parts: str) -> Path:
    r"""The cache folder, or a folder in it; not created.

    ``CALLSPACE_CACHE`` where it is set, else the platform's own place (``~/.cache/callspace`` on Linux,
    ``~/Library/Caches/callspace`` on macOS, ``%LOCALAPPDATA%\callspace`` on Windows).
    """
    if given := os.environ.get("CALLSPACE_CACHE"):
        root = Path(given).expanduser()
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches" / "callspace"
    elif sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "callspace"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "callspace"
    return root.joinpath(*parts)
