"""The traffic of the last minutes, from counters that are read now and then."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW_SECONDS = 300.0
"""Seconds that count as recent, if the counters were read before and in that time."""

STEP_SECONDS = 10.0
"""Minimum seconds between two readings that are kept."""


@dataclass(frozen=True, slots=True)
class TrafficReading:
    """Counters at a monotonic time: requests, those that failed, and files with wrong bytes."""

    at: float
    requests: int
    failures: int
    bad_files: int


class RecentTraffic:
    """Differences of counters over the window. Readings that are farther apart make it longer, never shorter."""

    def __init__(self, first: TrafficReading) -> None:
        self._readings = deque([first])

    def since(self, now: TrafficReading) -> TrafficReading:
        """Add a reading, and return its difference from the newest one that is older than the window."""
        while len(self._readings) > 1 and self._readings[1].at <= now.at - WINDOW_SECONDS:
            self._readings.popleft()
        before = self._readings[0]
        if now.at - self._readings[-1].at >= STEP_SECONDS:
            self._readings.append(now)
        return TrafficReading(
            now.at,
            max(0, now.requests - before.requests),
            max(0, now.failures - before.failures),
            max(0, now.bad_files - before.bad_files),
        )
