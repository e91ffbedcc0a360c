"""What a clock is, for rooms that may not import the shell. The one clock there is stands in `base.clock`."""

from __future__ import annotations

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
