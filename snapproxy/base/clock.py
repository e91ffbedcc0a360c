"""The system clock: the only module that reads the time. All others receive a `Clock`, which tests can control."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager

from snapproxy.core.clock import Clock
from snapproxy.core.model import Instant

__all__ = ["Clock", "SystemClock"]


class SystemClock:
    """The clock of the machine."""

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
