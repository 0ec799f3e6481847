"""The command line: one module a command. A user's mistake is one sentence and exit code 2, never a traceback."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of the ``callspace`` command."""
    from callspace.cli.app import app
    from callspace.errors import CallspaceError

    try:
        app()
    except CallspaceError as error:
        print(f"callspace: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("callspace: stopped; the same command goes on from here", file=sys.stderr)  # noqa: T201
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
