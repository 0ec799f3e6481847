"""The command line: one module a command. A user's mistake is one sentence and exit code 2, never a traceback."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of the ``callspace`` command."""
    from callspace.cli.app import app
    from callspace.errors import CallspaceError

    try:
        app()  # typer ends the process itself, with 2 for a wrong option and 130 when interrupted
    except CallspaceError as error:
        print(f"callspace: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"callspace: '{error.filename}' cannot be read or written: {error.strerror}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
