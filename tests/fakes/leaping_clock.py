"""A clock that runs like the machine's own and leaps forward on command.

It is for tests with real servers, where time must pass between requests. `VirtualClock` is for tests within the loop
alone; it would let an upstream's timeout run out while a real socket is read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class LeapingClock:
    """A Clock for tests. Sleepers and timeouts whose time a leap reaches are due immediately."""

    def __init__(self) -> None:
        self._leapt = 0.0
        self._leap = asyncio.Event()

    def now(self) -> int:
        return int(self.time())

    def time(self) -> float:
        return time.time() + self._leapt

    def monotonic(self) -> float:
        return time.monotonic() + self._leapt

    def leap(self, seconds: float) -> None:
        """Advance the clock by `seconds` immediately."""
        self._leapt += seconds
        self._leap.set()
        self._leap = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self._sleep_until(self.monotonic() + seconds)

    async def _sleep_until(self, due: float) -> None:
        while (left := due - self.monotonic()) > 0:
            waiting = asyncio.ensure_future(self._leap.wait())
            try:
                await asyncio.wait({waiting}, timeout=left)
            finally:
                waiting.cancel()

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[object]:
        async with asyncio.timeout(seconds) as limit:
            # Count from now, not from the alarm's first run: a leap may come in between.
            alarm = None if seconds is None else asyncio.create_task(self._ring(limit, self.monotonic() + seconds))
            try:
                yield limit
            finally:
                if alarm is not None:
                    alarm.cancel()

    async def _ring(self, limit: asyncio.Timeout, due: float) -> None:
        await self._sleep_until(due)
        limit.reschedule(0)
