"""One thread for BLAS and OpenMP, so that no sum depends on the number of cores."""

from contextlib import AbstractContextManager

__all__ = ["one_thread"]


def one_thread() -> AbstractContextManager:
    """A block in which BLAS and OpenMP use one thread.

    The limit holds for libraries that are loaded when it is set; so those that are used here are loaded first.
    """
    import sklearn.cluster  # noqa: F401
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)
