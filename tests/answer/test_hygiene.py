"""Hundreds of requests of every kind leave no descriptor, task or draft behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from snapproxy.core.exchange import Served
from tests.fakes.faults import Reset, Status, Truncate, WrongBytes
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, RELEASE, SECOND, SIGNATURE, Hamlet
from tests.fakes.house import House

MakeHouse = Callable[..., Awaitable[House]]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 no path is wanted


async def left(house: House) -> tuple[int, set[str]]:
    """Return the number of open descriptors, and the tasks other than the test's own, once all work has ended."""
    await asyncio.sleep(0.5)
    house.app.executor._planner._facts._tables._helper._kill()  # it would stay for some seconds after its last job
    await asyncio.sleep(0.2)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return await asyncio.to_thread(descriptors), {repr(task.get_coro()) for task in others}


async def wave(house: House, hamlet: Hamlet) -> list[int]:
    """Send forty concurrent requests: hits, misses, absences, refusals; every tenth client disconnects immediately."""
    kept, old = hamlet.edition.kept.path, hamlet.edition.old.path
    paths = [INRELEASE, RELEASE, SIGNATURE, PACKAGES, kept, old, "README", "dists/nothing/InRelease"]
    wanted = [(when, path) for when in (FIRST, SECOND, "live", "19990101") for path in paths]
    context = [asyncio.create_task(house.get(when, path)) for when, path in wanted]
    gone = [asyncio.create_task(house.ask(when, path)) for when, path in wanted[::4]]
    await asyncio.sleep(0.02)
    for task in gone:
        task.cancel()
    for outcome in await asyncio.gather(*gone, return_exceptions=True):
        if isinstance(outcome, Served):
            outcome.body.close()
    return [got.status for got in await asyncio.gather(*context)]


async def test_two_hundred_requests_leave_no_descriptor_and_no_task(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house()
    await wave(house, hamlet)
    before = await left(house)
    for turn in range(5):
        house.clock.leap(700.0 * turn)
        statuses = await wave(house, hamlet)
        assert statuses.count(200) >= 16
    after = await left(house)
    assert after[1] == before[1] == set()
    # Tables of both sets may be open by now, and one connection per concurrent request.
    assert after[0] <= before[0] + 12, (before, after)


@pytest.mark.long
async def test_upstreams_that_fail_leave_nothing_either(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house()
    await wave(house, hamlet)
    before = await left(house)
    for fault in (Status(500), Reset(after=100), Truncate(after=50), WrongBytes(), Status(429)):
        for server in (hamlet.now, hamlet.past):
            server.heal()
            server.fault("*", fault)
        house.clock.leap(4000.0)
        for path in (INRELEASE, PACKAGES, hamlet.edition.new.path, "README"):
            for when in ("live", FIRST):
                await asyncio.wait_for(_get_in_leaps(house, when, path), 60)
    for server in (hamlet.now, hamlet.past):
        server.heal()
    # Flights whose client got a Retry-After continue, cool-down by cool-down, until they end.
    for _ in range(20):
        house.clock.leap(4000.0)
        await asyncio.sleep(0.1)
    after = await left(house)
    assert after[1] == set()
    assert after[0] <= before[0] + 12, (before, after)
    assert not house.drafts


async def _get_in_leaps(house: House, when: str, path: str) -> None:
    """Send a request, and advance the clock until there is an answer."""
    context = asyncio.create_task(house.get(when, path))
    while not context.done():
        await asyncio.wait({context}, timeout=0.3)
        if not context.done():
            house.clock.leap(5.0)
    await context
