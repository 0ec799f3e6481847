"""The matrix: protocols, the plan of cells, their execution with resume, the results, and the choice.

The package is callable, because `callspace.bench` is both this room and the function that users call.
"""

import sys
import types
from typing import Any


class _Callable(types.ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        from callspace.bench.bench import bench

        return bench(*args, **options)


sys.modules[__name__].__class__ = _Callable
