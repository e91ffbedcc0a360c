"""The protocol of a clock, for packages that may not import the implementation in `base.clock`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from snapproxy.core.model import Instant


def is_fresh(until: Instant, now: Instant, lifetime: int) -> bool:
    """Return whether a fact that is kept for `lifetime` seconds may still be used.

    A fact from the future was recorded while the clock was ahead, and would be kept longer than its lifetime.
    """
    return now < until <= now + lifetime


class Clock(Protocol):
    """Returns the time and waits. Durations are in seconds."""

    def now(self) -> Instant:
        """Return the wall-clock time in whole seconds since the epoch."""

    def time(self) -> float:
        """Return the wall-clock time with its fraction. Comparable between processes and restarts; may jump."""

    def monotonic(self) -> float:
        """Return a time that never decreases. Comparable within this process only."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Limit the time of a `with` block: TimeoutError after `seconds` (None: no limit)."""
