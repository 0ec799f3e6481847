"""Progress bars for long work, on standard error; silent where there is no terminal to draw on.

A function that works long takes ``progress: Progress`` and calls ``with progress.task("embedding resnet18", total) as advance:``
and then ``advance(n)``; `SILENT` does nothing, so that the library never prints unless asked to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["SILENT", "Progress", "terminal_progress"]


class Progress(Protocol):
    """Something that shows how far work has come."""

    def task(self, description: str, total: int | None) -> _Task: ...

    def say(self, sentence: str) -> None: ...


class _Task(Protocol):
    def __enter__(self) -> Callable[[int], None]: ...

    def __exit__(self, *exc: object) -> None: ...


class _Silent:
    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Callable[[int], None]]:
        yield lambda n: None

    def say(self, sentence: str) -> None:
        pass


SILENT: Progress = _Silent()  # type: ignore[assignment]


class _Terminal:
    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.console = console
        self._bars = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._open = 0

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Callable[[int], None]]:
        if self._open == 0:
            self._bars.start()
        self._open += 1
        from rich.markup import escape

        bar = self._bars.add_task(escape(description), total=total)
        try:
            yield lambda n: self._bars.advance(bar, n)
        finally:
            self._bars.remove_task(bar)
            self._open -= 1
            if self._open == 0:
                self._bars.stop()

    def say(self, sentence: str) -> None:
        self.console.print(sentence, markup=False, highlight=False, soft_wrap=not self.console.is_terminal)


def terminal_progress(console: Console | None = None) -> Progress:
    """Bars on standard error in a terminal; in a file or a pipe only what is said, a line each."""
    from rich.console import Console

    return _Terminal(console or Console(stderr=True))  # type: ignore[return-value]
