"""A recorded answer counts for the sources that gave it: one that is configured later is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from tests.fakes.faults import Status
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet
from tests.fakes.house import House

MakeHouse = Callable[..., Awaitable[House]]
CALL = "/mr/binary/kept/"


async def test_a_mirror_that_is_added_is_asked_for_a_current_file(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house(rows=(replace(hamlet.row, mirrors=(f"{hamlet.now.url}/empty",)),))
    assert (await house.get("live", INRELEASE)).status == 404
    await house.close()
    both = (f"{hamlet.now.url}/empty", f"{hamlet.now.url}/debian")
    assert (await (await make_house(rows=(replace(hamlet.row, mirrors=both),))).get("live", INRELEASE)).status == 200


async def test_a_mirror_that_is_added_is_asked_for_a_listed_package(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house(rows=(replace(hamlet.row, mirrors=()),))
    for path in (INRELEASE, PACKAGES):
        assert (await house.get(FIRST, path)).status == 200
    hamlet.past.fault(f"*{hamlet.edition.kept.path}", Status(404))
    assert (await house.get(FIRST, hamlet.edition.kept.path)).status == 502
    await house.close()
    assert (await (await make_house()).get(FIRST, hamlet.edition.kept.path)).status == 200


async def test_an_answer_of_another_service_is_not_used(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house()
    assert (await house.call(CALL)).served.cache == "MISS"
    await house.close()
    other = replace(hamlet.row, snapshot=(f"{hamlet.past.url}/archive/debian/",))
    assert (await (await make_house(rows=(other,))).call(CALL)).served.cache == "MISS"
