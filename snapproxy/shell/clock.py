"""The only reader of time. Everything else is handed a Clock, so that tests can hold the hands still."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from snapproxy.core.model import Instant


class Clock(Protocol):
    """Tells the time and lets it pass. Durations are in seconds."""

    def now(self) -> Instant:
        """Return the wall-clock time in whole seconds since the epoch."""

    def time(self) -> float:
        """Return the wall-clock time with its fraction; comparable between processes and restarts, may jump."""

    def monotonic(self) -> float:
        """Return a time that never goes back, comparable within this process only."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Bound the block it guards: TimeoutError once it took `seconds` (None: no bound)."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> Instant:
        return int(time.time())

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout(seconds)
