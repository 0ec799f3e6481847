"""What a user's mistake turns into: one sentence that says what, where and how to mend it."""

__all__ = ["CallspaceError", "MissingDependencyError", "MissingWeightsError"]


class CallspaceError(Exception):
    """A mistake the user can mend; its text is one clear sentence, shown without a traceback.

    The command line prints the text and exits with code 2. Raise it with what went wrong, where, and the remedy:
    ``CallspaceError("clips.csv has no column 'label'; its columns are 'path' and 'species' (use --label-column species)")``.
    """

    exit_code = 2


class MissingWeightsError(CallspaceError):
    """Published weights are neither given nor in the cache; the text says how to get them and where to put them."""


class MissingDependencyError(CallspaceError):
    """An optional package is not installed; the text holds the install command."""
