"""Downloads that the disk did not take: kept in memory for a short time, within limits, and then released."""

from __future__ import annotations

import asyncio

from snapproxy.base.clock import Clock
from snapproxy.download.flight import Flight

KEPT_IN_MEMORY_SECONDS = 10.0
MAX_KEPT_IN_MEMORY_BYTES = 1 << 20
MAX_KEPT_IN_MEMORY = 16
"""Limits for keeping a download for later requests: seconds, bytes of one, number of downloads."""

FOLLOWED_SECONDS = 1.0
"""Seconds for which a longer download is kept for the requests that have waited for its outcome."""


class UnstoredDownloads:
    """The finished flights whose bytes are in memory only. A root is requested again for each of its indexes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[float, Flight]] = {}
        self._timers: dict[Flight, asyncio.TimerHandle] = {}

    def keep(self, flight: Flight) -> None:
        """Keep a finished flight, unless its bytes are stored or incomplete."""
        if flight.unstored is None:
            return
        is_short = (flight.unstored.size or 0) <= MAX_KEPT_IN_MEMORY_BYTES
        if is_short:
            while len(self._kept) >= MAX_KEPT_IN_MEMORY:
                self._release(next(iter(self._kept.values()))[1])
            self._kept[flight.step.question] = (self._clock.monotonic() + KEPT_IN_MEMORY_SECONDS, flight)
        seconds = KEPT_IN_MEMORY_SECONDS if is_short else FOLLOWED_SECONDS
        self._timers[flight] = asyncio.get_running_loop().call_later(seconds, self._release, flight)

    def get(self, question: str) -> Flight | None:
        """Return the kept flight that answers `question`, None if there is none."""
        until, flight = self._kept.get(question, (0.0, None))
        if flight is not None and until < self._clock.monotonic():
            self._release(flight)
            return None
        return flight

    def close(self) -> None:
        """Release every flight."""
        for flight in list(self._timers):
            self._release(flight)

    def _release(self, flight: Flight) -> None:
        self._timers.pop(flight).cancel()
        if self._kept.get(flight.step.question, (0.0, None))[1] is flight:
            del self._kept[flight.step.question]
        flight.release_unstored()
