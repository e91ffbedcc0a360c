"""Both clocks fulfil the protocol; the virtual one to the exact second."""

from __future__ import annotations

import asyncio
import time

import pytest

from snapproxy.base.clock import Clock, SystemClock
from tests.fakes.virtual_clock import VirtualClock


async def test_the_system_clock_returns_the_time_of_the_machine() -> None:
    clock: Clock = SystemClock()
    assert abs(clock.time() - time.time()) < 5
    assert abs(clock.now() - clock.time()) < 5
    before = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() > before


async def test_the_system_clock_bounds_a_block() -> None:
    with pytest.raises(TimeoutError):
        async with SystemClock().timeout(0.01):
            await asyncio.sleep(60)
    async with SystemClock().timeout(None):
        pass


async def test_virtual_sleepers_wake_at_their_own_time_and_in_order() -> None:
    clock = VirtualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        for name, seconds in (("long", 900.0), ("short", 30.0), ("none", 0.0)):
            group.create_task(sleeper(name, seconds))
        await clock.advance(29)
        assert woken == [("none", 0.0)]
        await clock.advance(871)
    assert woken == [("none", 0.0), ("short", 30.0), ("long", 900.0)]


async def test_a_virtual_timeout_bounds_a_block_and_leaves_nothing_behind() -> None:
    clock = VirtualClock()

    async def stall() -> None:
        async with clock.timeout(25):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await clock.run(stall())
    assert clock.monotonic() == 25
    async with clock.timeout(25):
        assert clock.sleepers == 1
    assert clock.sleepers == 0


async def test_a_cancelled_virtual_sleeper_leaves_nothing_behind() -> None:
    clock = VirtualClock()
    task = asyncio.create_task(clock.sleep(5))
    await clock.advance(1)
    task.cancel()
    await asyncio.wait({task})
    assert clock.sleepers == 0
