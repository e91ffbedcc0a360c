"""Report progress on stderr: bars on a terminal, a line every five seconds in a log."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TaskID, TextColumn, TransferSpeedColumn
from rich.progress import Progress as BarDisplay

from snapproxy.core.progress import Progress

PERIOD = 5.0
"""Seconds between two lines in a log."""

REFRESH = 0.5
"""Seconds between two updates of a text on a terminal."""


class Bars:
    """One bar for each file."""

    def __init__(self, display: BarDisplay) -> None:
        self._display = display
        self._tasks: dict[str, TaskID] = {}

    def advance(self, path: str, done: int, total: int | None) -> None:
        if path not in self._tasks:
            self._tasks[path] = self._display.add_task(path.rsplit("/", 1)[-1], total=total)
        self._display.update(self._tasks[path], completed=done, total=total)

    def finish(self, path: str) -> None:
        if path in self._tasks:
            self._display.remove_task(self._tasks.pop(path))


class Lines:
    """One line for all files; `count` is 0 if their number is unknown."""

    def __init__(self, what: str, count: int) -> None:
        self._what = what
        self._count = count
        self._finished = 0
        self._done: dict[str, int] = {}

    def advance(self, path: str, done: int, total: int | None) -> None:
        del total
        self._done[path] = done

    def finish(self, path: str) -> None:
        del path
        self._finished += 1

    def line(self) -> str:
        """Return the current progress as a line."""
        files = f"{self._finished} of {self._count} files, " if self._count else ""
        return f"{self._what}: {files}{decimal(sum(self._done.values()))}"


@asynccontextmanager
async def reporting(paths: Collection[str], *, what: str = "fetch", period: float = PERIOD) -> AsyncIterator[Progress]:
    """Report on stderr while the block runs; `what` begins each line in a log."""
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with BarDisplay(*columns, console=Console(stderr=True), transient=True) as display:
            yield Bars(display)
        return
    lines = Lines(what, len(paths))
    async with _repeating(lambda: print(lines.line(), file=sys.stderr), period):
        yield lines


@asynccontextmanager
async def reporting_line(
    line: Callable[[], str], count: Callable[[], tuple[int, int]], *, what: str, period: float = PERIOD
) -> AsyncIterator[None]:
    """Report on stderr while the block runs: a bar with a text on a terminal, a line every `period` seconds in a log.

    `line` returns the current progress in words, `count` the finished items and their total. `what` begins each line in
    a log.
    """
    if sys.stderr.isatty():
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        with BarDisplay(*columns, console=Console(stderr=True), transient=True) as display:
            task = display.add_task("")

            def show() -> None:
                done, total = count()
                display.update(task, completed=done, total=total, description=line())

            async with _repeating(show, REFRESH):
                yield
        return
    async with _repeating(lambda: print(f"{what}: {line()}", file=sys.stderr), period):
        yield


@asynccontextmanager
async def _repeating(action: Callable[[], None], period: float) -> AsyncIterator[None]:
    """Run `action` every `period` seconds while the block runs."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(period)
            action()

    repeating = asyncio.create_task(repeat())
    try:
        yield
    finally:
        repeating.cancel()
        with suppress(asyncio.CancelledError):
            await repeating
