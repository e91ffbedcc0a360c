"""A service that allows one request in some seconds refuses once, and the work takes the predicted time."""

from __future__ import annotations

import asyncio

import pytest

from snapproxy.core.rate_limit import SLOW_DOWN, seconds_for
from snapproxy.upstream.rate_limit import RateLimiter
from tests.fakes.pace_machine import SERVICE, Machine, OneEvery

FILES = 400


async def fetch_all(machine: Machine, limiters: list[RateLimiter], service: OneEvery) -> None:
    """Request FILES files from several processes, eight at a time each, until every one is answered."""
    remaining = iter(range(FILES))

    async def worker(limiter: RateLimiter) -> None:
        for _ in remaining:
            await machine.insist(limiter, service)

    async def everything() -> None:
        async with asyncio.TaskGroup() as group:
            for limiter in limiters * 8:
                group.create_task(worker(limiter))

    await machine.clock.run(everything())


@pytest.mark.parametrize("processes", [1, 3])
async def test_one_refusal_teaches_the_pace_and_the_prediction_is_true(processes: int) -> None:
    machine, service = Machine(), OneEvery(1.5)
    limiters = [machine.limiter() for _ in range(processes)]
    await machine.ask(limiters[0], service)
    await machine.ask(limiters[0], service)
    state = limiters[0].state(SERVICE)
    predicted = seconds_for(state, limiters[0].policy(SERVICE), machine.clock.time(), FILES)
    await fetch_all(machine, limiters, service)
    assert service.statuses.count(509) == 1, "the burst of the first requests"
    assert len(machine.sent) == FILES + 2
    assert machine.clock.monotonic() == pytest.approx(predicted, rel=0.1)
    assert machine.clock.monotonic() == pytest.approx(30 + (FILES - 1) * SLOW_DOWN / 0.7, rel=0.02)


async def test_a_service_that_allows_less_refuses_once_a_step() -> None:
    machine, service = Machine(), OneEvery(3.0)
    await fetch_all(machine, [machine.limiter()], service)
    assert service.statuses.count(509) == 2
    assert set(service.statuses[4:]) == {200}


async def test_a_restart_keeps_the_pace() -> None:
    machine, service = Machine(), OneEvery(1.5)
    await fetch_all(machine, [machine.limiter()], service)
    await machine.clock.advance(60)
    before = len(service.statuses)
    await fetch_all(machine, [machine.limiter()], service)
    assert set(service.statuses[before:]) == {200}
