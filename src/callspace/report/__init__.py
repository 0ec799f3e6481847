"""Looking at a run: the leaderboard, the self-contained HTML page, and the same table for the terminal.

The package is callable, because `callspace.report` is both this room and the function that users call.
"""

import os
import sys
import types
from pathlib import Path
from typing import Any, Protocol

from callspace.report.leaderboard import LEADERBOARD, leaderboard
from callspace.report.page import write_report
from callspace.report.terminal import leaderboard_table

__all__ = ["LEADERBOARD", "leaderboard", "leaderboard_table", "report", "write_report"]


class _HasFolder(Protocol):
    folder: Path


def report(run: "str | os.PathLike[str] | _HasFolder", path: str | os.PathLike[str] | None = None) -> Path:
    """Write the HTML page of a run.

    Parameters
    ----------
    run : Run or path
        What `callspace.bench` gave, or the folder of a run.
    path : path, optional
        Where to write; ``report.html`` in the run folder when not given.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    CallspaceError
        The folder holds no finished run.
    """
    folder = run if isinstance(run, str | os.PathLike) else run.folder
    return write_report(Path(folder), None if path is None else Path(path))


class _Callable(types.ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Path:
        return report(*args, **options)


sys.modules[__name__].__class__ = _Callable
