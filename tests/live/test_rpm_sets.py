"""Sets of rpm metadata, with checksums in names and SHA-512.

Successors are found by their series, and blobs by another digest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from snapproxy.live.live_files import FRESH_SECONDS
from tests.fakes.faults import Status
from tests.fakes.house import House
from tests.fakes.rpm_world import REPOSITORY, RpmWorld
from tests.fakes.world import FIRST, SECOND

REPOMD = f"{REPOSITORY}/repodata/repomd.xml"
LATER = 700.0
"""Seconds after which a recorded absence is stale."""


@pytest.fixture
async def house(rpm_world: RpmWorld, tmp_path: Path) -> AsyncIterator[House]:
    async with House(folder=tmp_path / "house", rows=(rpm_world.row,)) as house:
        yield house


async def test_a_new_root_waits_for_what_follows_on_metadata_of_another_name(house: House, rpm_world: RpmWorld) -> None:
    """Rule 7: the mirror has the new repomd, but not yet the primary.xml.xz that replaces primary.xml.gz."""
    old, new = (rpm_world.trees[when].files[REPOMD].data for when in (FIRST, SECOND))
    with rpm_world.showing(FIRST):
        for path in (REPOMD, rpm_world.path_of(FIRST, "-primary.xml")):
            assert (await house.get("live", path)).status == 200
    primary = rpm_world.path_of(SECOND, "-primary.xml")
    rpm_world.mirror.fault(f"*/{primary}", Status(404))
    house.clock.leap(FRESH_SECONDS + 1)
    got = await house.get("live", REPOMD)
    assert (got.data, bool(got.stale)) == (old, True)
    rpm_world.mirror.heal()
    house.clock.leap(LATER)
    got = await house.get("live", REPOMD)
    assert (got.data, got.stale) == (new, "")
    rpm_world.reset()
    assert (await house.get("live", primary)).proof == "gpg"
    assert rpm_world.log.requests() == [], "it came with its root"


async def test_bytes_promised_by_sha512_are_fetched_once_for_the_past_and_the_present(
    house: House, rpm_world: RpmWorld
) -> None:
    steady = rpm_world.path_of(SECOND, "/steady-")
    paths = (REPOMD, rpm_world.path_of(SECOND, "-primary.xml"), steady)
    for when in (SECOND, "live"):
        for path in paths:
            got = await house.get(when, path)
            assert (got.data, got.proof) == (rpm_world.trees[SECOND].files[path].data, "gpg")
    asked = [each.path for each in rpm_world.log.requests() if each.path.endswith(steady)]
    assert len(asked) == 1


async def test_who_comes_while_a_download_is_being_stored_is_served_from_the_store(
    house: House, rpm_world: RpmWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At that time the draft's file is removed, and its names are not written yet."""
    steady = rpm_world.path_of(SECOND, "/steady-")
    for path in (REPOMD, rpm_world.path_of(SECOND, "-primary.xml")):
        await house.get(SECOND, path)
    put_fact, late = house.store.catalog.put_fact, []

    async def interrupted(key: str, value: object) -> None:
        if key.startswith("date/"):
            late.append(asyncio.create_task(house.get(SECOND, steady)))
            await asyncio.sleep(0.05)
        await put_fact(key, value)

    monkeypatch.setattr(house.store.catalog, "put_fact", interrupted)
    first = await house.get(SECOND, steady)
    while not late:
        await asyncio.sleep(0.01)
    second = await late[0]
    assert (first.broke, second.broke) == ("", "")
    assert first.data == second.data == rpm_world.trees[SECOND].files[steady].data
