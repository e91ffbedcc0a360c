"""The heartbeat publishes the gauges, and the longest delay of the loop in the last minute."""

from __future__ import annotations

import asyncio

import pytest

from snapproxy.base.metrics import CONNECTIONS, LOOP_LAG
from snapproxy.monitoring.heartbeat import WINDOW_BEATS, Heartbeat
from snapproxy_storage import MemoryCounters
from tests.fakes.virtual_clock import VirtualClock


class LateClock(VirtualClock):
    """A clock whose sleeps end late."""

    def __init__(self, delays: list[float]) -> None:
        super().__init__()
        self.delays = delays
        self.slept = 0.0

    def monotonic(self) -> float:
        return self.slept

    async def sleep(self, seconds: float) -> None:
        if not self.delays:
            raise asyncio.CancelledError
        self.slept += seconds + self.delays.pop(0)


@pytest.mark.parametrize(
    ("delays", "lag"),
    [([], 0.0), ([0.0, 0.3, 0.1], 0.3), ([0.5, *[0.0] * WINDOW_BEATS], 0.0), ([-1.0], 0.0)],
)
async def test_the_longest_delay_of_the_last_minute_is_published(delays: list[float], lag: float) -> None:
    counters = MemoryCounters()
    connections = iter(range(1, 1000))
    heartbeat = Heartbeat(counters, LateClock(delays), {CONNECTIONS: lambda: next(connections)})
    beats = len(delays)
    with pytest.raises(asyncio.CancelledError):
        await heartbeat.run()
    (gauges,) = counters.gauges()
    assert gauges == {CONNECTIONS.key(): beats + 1, LOOP_LAG.key(): round(lag * 1_000_000)}
    assert heartbeat.lag == pytest.approx(lag)
