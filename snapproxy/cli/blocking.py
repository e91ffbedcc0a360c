"""Run long blocking work on a thread, with progress; Ctrl-C and SIGTERM end it at the next step."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from snapproxy.cli.progress import reporting
from snapproxy_storage import StorageFailure

T = TypeVar("T")
Step = Callable[[str, int], None]


async def stepwise(work: Callable[[Step], T], *, what: str) -> T:
    """Return the result of `work`, which calls the function that it gets after each file, with its size."""
    stop = threading.Event()
    async with reporting((), what=what) as progress:

        def step(name: str, size: int) -> None:
            if stop.is_set():
                raise StorageFailure("interrupted")
            progress.advance(name, size, size)
            progress.finish(name)

        task = asyncio.ensure_future(asyncio.to_thread(work, step))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait({task})
            raise
