"""A store at its quota: clients are served, nothing more is stored, and files are stored once there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from snapproxy.download.unstored import KEPT_IN_MEMORY_SECONDS
from snapproxy_storage import StorageFailure, Writing
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet, content_of
from tests.fakes.house import House

MakeHouse = Callable[..., Awaitable[House]]

QUOTA = 1 << 20


async def fill(house: House) -> str:
    """Store a blob that takes all room of the quota, and return its digest."""
    begun = house.store.drafts.begin("ballast")
    assert isinstance(begun, Writing)
    await begun.draft.write(bytes(house.store.space.room()))
    blob = await begun.draft.commit()
    blob.close()
    assert not begun.draft.full
    return blob.digest


async def test_everything_is_served_and_stored_as_soon_as_there_is_room(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house(quota=QUOTA)
    ballast = await fill(house)
    package = hamlet.edition.kept
    wanted = {path: hamlet.content(path, FIRST).data for path in (INRELEASE, PACKAGES)}
    wanted[package.path] = content_of(package).data
    for path, data in wanted.items():
        got = await house.get(FIRST, path)
        assert (got.status, got.broke, got.data == data) == (200, "", True), (path, got.outcome)
    assert await asyncio.to_thread(lambda: list(house.store.blobs.digests())) == [ballast]
    assert house.store.catalog.names(f"debian/{FIRST}") == []
    assert await house.app.ready() == "", "a service that answers is ready"
    await house.store.blobs.remove(ballast)
    house.clock.leap(KEPT_IN_MEMORY_SECONDS)  # type: ignore[attr-defined]
    for path, data in wanted.items():
        got = await house.get(FIRST, path)
        assert (got.status, got.data == data) == (200, True), path
        await asyncio.sleep(0.2)  # a body is complete shortly before its flight is finished
    assert {path for path, _ in house.store.catalog.names(f"debian/{FIRST}")} >= set(wanted)


async def test_what_does_not_fit_into_memory_either_names_the_quota(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house(quota=QUOTA)
    await fill(house)
    house.store.drafts._budget.limit = 10  # type: ignore[attr-defined]
    got = await house.get(FIRST, INRELEASE)
    assert (got.status, got.refusal.reason) == (424, "The quota of snapproxy's stored files is used")
    assert "the quota of 1048576 bytes is used" in got.refusal.why
    assert "`quota`" in got.refusal.hint
    assert await house.app.ready() == ""


async def test_a_download_asks_the_owner_for_room(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house(quota=QUOTA)
    ballast = await fill(house)

    async def make_room(_: int) -> bool:
        await house.store.blobs.remove(ballast)
        return True

    house.store.space.on_shortage(make_room)
    assert (await house.get(FIRST, INRELEASE)).status == 200
    assert house.store.catalog.name(f"debian/{FIRST}", INRELEASE) is not None


async def test_an_owner_that_fails_does_not_stop_the_downloads(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house(quota=QUOTA)
    await fill(house)

    async def make_room(_: int) -> bool:
        raise StorageFailure("the disk reports errors")

    house.store.space.on_shortage(make_room)
    assert (await house.get(FIRST, INRELEASE)).status == 200


async def test_the_limits_of_a_configuration_apply_when_the_server_begins_to_use_it(
    make_house: MakeHouse, hamlet: Hamlet
) -> None:
    """A reload keeps the store and builds another application over it."""
    house = await make_house(quota=QUOTA)
    house.store.space.set_limits(None, 0)
    working = asyncio.create_task(house.app.repeat_work())
    await asyncio.sleep(0)
    assert house.store.space.limit == QUOTA
    assert house.store.space.floor > 0, "the usual one"
    working.cancel()
    await asyncio.wait({working})
