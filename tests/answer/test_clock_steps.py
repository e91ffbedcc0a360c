"""A fact that was recorded while the clock was ahead is not used longer than its age."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from snapproxy.core.clock import is_fresh
from tests.fakes.content import epoch
from tests.fakes.hamlet import FIRST, INRELEASE, SECOND, Hamlet, later
from tests.fakes.house import House
from tests.fakes.leaping_clock import LeapingClock

MakeHouse = Callable[..., Awaitable[House]]
CALL = "/mr/binary/kept/"
UNLISTED = "pool/main/k/kept/kept_1.changelog"
HOUR, DAY = 3600, 86400


@pytest.fixture
async def ahead(make_house: MakeHouse) -> House:
    """A process whose clock is a day ahead; those that a test makes have the right time and the same store."""
    clock = LeapingClock()
    clock.leap(DAY)
    return await make_house(clock=clock)


def test_a_fact_is_fresh_within_its_lifetime_only() -> None:
    assert [is_fresh(until, 1000, 600) for until in (999, 1000, 1001, 1600, 1601, 90_000)] == [
        False, False, True, True, False, False,
    ]  # fmt: skip


async def test_an_absence_from_the_future_is_not_used(ahead: House, make_house: MakeHouse, hamlet: Hamlet) -> None:
    assert (await ahead.get(FIRST, UNLISTED)).status == 404
    await ahead.close()
    hamlet.place(UNLISTED, hamlet.content("dists/stable/Release"))
    right = await make_house()
    assert (await right.get(FIRST, UNLISTED)).status == 200


async def test_an_answer_of_the_service_from_the_future_is_asked_for_again(
    ahead: House, make_house: MakeHouse, hamlet: Hamlet
) -> None:
    await ahead.call(CALL)
    await ahead.close()
    right = await make_house()
    assert (await right.call(CALL)).served.cache == "MISS"
    assert (await right.call(CALL)).served.cache == "HIT"
    assert len(hamlet.asked(CALL)) == 2


async def test_an_unsettled_window_of_a_timeline_from_the_future_is_asked_for_again(
    make_house: MakeHouse, hamlet: Hamlet
) -> None:
    """Published in between: the window shows less than its time says, so an older state would answer."""
    clock = LeapingClock()
    clock.leap(epoch(later(SECOND, 4 * HOUR)) - clock.now())
    wrong = await make_house(clock=clock)
    assert (await wrong.get(FIRST, INRELEASE)).status == 200
    await wrong.close()
    asked = len(hamlet.past.requests("/mr/timestamp"))
    clock = LeapingClock()
    clock.leap(epoch(later(SECOND, 2 * HOUR)) - clock.now())
    right = await make_house(clock=clock)
    await right.get(later(FIRST, HOUR), INRELEASE)
    assert len(hamlet.past.requests("/mr/timestamp")) == asked + 1
