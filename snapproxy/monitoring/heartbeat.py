"""The heartbeat of a process: it measures the delay of the event loop, and publishes the gauges of the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Never

from snapproxy.base.clock import Clock
from snapproxy.base.metrics import LOOP_LAG, Metric
from snapproxy_storage import Counters

PERIOD_SECONDS = 1.0
"""Seconds between two beats."""

WINDOW_BEATS = 60
"""Number of beats of which the longest delay is published."""


class Heartbeat:
    """Publishes `gauges` once a second. A gauge that raises no error is a quick function of the process's state."""

    def __init__(self, counters: Counters, clock: Clock, gauges: Mapping[Metric, Callable[[], int]]) -> None:
        self._counters = counters
        self._clock = clock
        self._gauges = gauges
        self._delays: deque[float] = deque(maxlen=WINDOW_BEATS)

    @property
    def lag(self) -> float:
        """The longest delay of the event loop in the last minute, in seconds."""
        return max(self._delays, default=0.0)

    async def run(self) -> Never:
        """Beat until cancelled."""
        while True:
            self.publish()
            began = self._clock.monotonic()
            await self._clock.sleep(PERIOD_SECONDS)
            self._delays.append(max(0.0, self._clock.monotonic() - began - PERIOD_SECONDS))

    def publish(self) -> None:
        """Set the gauges."""
        for metric, value in self._gauges.items():
            self._counters.set_gauge(metric.key(), value())
        self._counters.set_gauge(LOOP_LAG.key(), round(self.lag * LOOP_LAG.scale))
