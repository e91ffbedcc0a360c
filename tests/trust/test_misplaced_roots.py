"""A signed root of another time or another suite is refused: its signature does not show where it belongs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from snapproxy.core.root_checks import CLOCK_SLACK
from tests.fakes.content import FixedTree, epoch, stamp
from tests.fakes.faults import Redirect, Replace
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, RELEASE, SECOND, SUITE, Hamlet
from tests.fakes.house import House
from tests.fakes.publisher import Publisher, SuitePlan

MakeHouse = Callable[..., Awaitable[House]]

FUTURE = f"Upstream's root is dated {SECOND}, after the time it is for"
ELSEWHERE = "Upstream's root is of another suite than its path names"


def published(hamlet: Hamlet, at: str, **fields: str) -> FixedTree:
    """Return the suite of FIRST, published at another instant, with other fields."""
    plan = SuitePlan(SUITE, (hamlet.edition.old,), headers=fields)
    return Publisher(hamlet.edition.key).tree(at, [plan])


def nothing_is_stored(house: House) -> bool:
    catalog = house.store.catalog
    return not any(catalog.names(f"{space}debian/{FIRST}") for space in ("", "roots:")) and not catalog.keys("root/")


@pytest.mark.parametrize("path", [INRELEASE, RELEASE])
async def test_a_root_from_the_future_of_its_snapshot_is_refused(house: House, hamlet: Hamlet, path: str) -> None:
    hamlet.publish(FIRST, hamlet.edition.trees[SECOND])
    for _ in range(2):
        got = await house.get(FIRST, path)
        assert (got.status, got.refusal.reason) == (424, FUTURE)
        assert SECOND in got.refusal.why
    assert (await house.get(FIRST, PACKAGES)).status == 424
    assert nothing_is_stored(house)
    hamlet.publish(FIRST, hamlet.edition.trees[FIRST])
    house.clock.leap(601)
    assert (await house.get(FIRST, path)).status == 200


async def test_clocks_may_differ_by_the_slack(house: House, hamlet: Hamlet) -> None:
    for seconds, status in ((CLOCK_SLACK, 200), (CLOCK_SLACK + 1, 424)):
        hamlet.publish(SECOND, published(hamlet, stamp(epoch(SECOND) + seconds)))
        release = INRELEASE if status == 200 else RELEASE
        assert (await house.get(SECOND, release)).status == status


async def test_the_next_source_is_asked_after_a_root_from_the_future(make_house: MakeHouse, hamlet: Hamlet) -> None:
    """The first one answers with the present, whatever time is requested."""
    hamlet.now.fault(f"*{FIRST}/dists/*", Redirect(f"{hamlet.now.url}/debian/{INRELEASE}"))
    house = await make_house(rows=(replace(hamlet.row, snapshot=(*hamlet.row.mirrors, *hamlet.row.snapshot)),))
    got = await house.get(FIRST, INRELEASE)
    assert [each.status for each in hamlet.now.requests(f"/debian/{INRELEASE}")] == [200]
    assert (got.status, got.data) == (200, hamlet.content(INRELEASE).data)


@pytest.mark.parametrize("when", [FIRST, "live"])
async def test_the_root_of_another_suite_is_refused_live_too(house: House, hamlet: Hamlet, when: str) -> None:
    sid = published(hamlet, FIRST, Suite="unstable", Codename="sid")
    hamlet.publish(FIRST, sid)
    hamlet.now.fault("*InRelease", Replace(sid.files[INRELEASE]))
    got = await house.get(when, INRELEASE)
    assert (got.status, got.refusal.reason) == (424, ELSEWHERE)
    assert "unstable and sid" in got.refusal.why
    assert nothing_is_stored(house)


async def test_a_live_root_dated_in_the_future_is_served_and_not_recorded(house: House, hamlet: Hamlet) -> None:
    now = house.clock.now()
    later = published(hamlet, stamp(now + 2 * CLOCK_SLACK)).files[INRELEASE]
    hamlet.now.fault("*InRelease", Replace(later))
    assert (await house.get("live", INRELEASE)).data == later.data
    assert not house.store.catalog.keys("root/")
