"""Work that is repeated while the server runs."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from snapproxy.base.schedule import FIRST_SECONDS, repeat
from snapproxy.core.model import Refusal
from tests.fakes.leaping_clock import LeapingClock
from tests.fakes.virtual_clock import VirtualClock

HOUR = 3600.0


async def test_work_is_repeated_after_every_period_and_after_a_failure() -> None:
    clock, turns = LeapingClock(), asyncio.Queue[int]()

    async def working() -> Refusal:
        turns.put_nowait(clock.now())
        return Refusal(424, "down")

    repeating = asyncio.create_task(repeat(working, 100 * HOUR, clock.now() - 50, clock, what="vendor"))
    await asyncio.sleep(0.05)
    assert turns.empty(), "done just before the restart"
    started = clock.now()
    for turn in range(1, 4):
        clock.leap(111 * HOUR)
        assert await asyncio.wait_for(turns.get(), 5) >= started + turn * 90 * HOUR
        await asyncio.sleep(0.05)
    repeating.cancel()
    await asyncio.wait({repeating})


async def test_periods_vary_by_a_tenth_and_differ_between_machines() -> None:
    class Skipping(LeapingClock):
        """Records the requested durations, and does not sleep."""

        def __init__(self) -> None:
            super().__init__()
            self.slept: list[float] = []

        async def sleep(self, seconds: float) -> None:
            self.slept.append(seconds)
            if len(self.slept) > 200:
                raise asyncio.CancelledError

    async def working() -> Refusal:
        return Refusal(424, "down")

    clocks = Skipping(), Skipping()
    for clock in clocks:
        with pytest.raises(asyncio.CancelledError):
            await repeat(working, HOUR, None, clock, what="vendor")
        first, *turns = clock.slept
        assert 0 <= first <= FIRST_SECONDS, "soon after the first start, but not before the first clients"
        assert all(0.9 * HOUR <= each <= 1.1 * HOUR for each in turns)
        assert min(turns) < 0.95 * HOUR < 1.05 * HOUR < max(turns)
    assert clocks[0].slept != clocks[1].slept


@pytest.mark.parametrize("seconds", [-86_400 * 365, 86_400 * 365])
async def test_a_wall_clock_that_jumps_moves_no_turn(seconds: float) -> None:
    """Neither a jump while the server waits, nor a last turn that was recorded while the clock was wrong."""
    clock, turns = VirtualClock(), list[float]()

    async def working() -> str:
        turns.append(clock.monotonic())
        return "done"

    repeating = asyncio.create_task(repeat(working, HOUR, int(clock.now() - seconds), clock, what="vendor"))
    await clock.advance(HOUR / 100)
    clock.jump(seconds)
    await clock.advance(5 * HOUR)
    repeating.cancel()
    await asyncio.wait({repeating})
    assert len(turns) in {4, 5, 6}
    assert all(0.9 * HOUR <= after - before <= 1.1 * HOUR for before, after in itertools.pairwise(turns))
