"""When the service counts its files, writes served times, and lets the reclaimer make room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from snapproxy.wiring.repeated_work import COUNT_SECONDS, SPACE_SECONDS, RepeatedWork
from snapproxy.wiring.space_keeper import SpaceKeeper
from snapproxy.wiring.tidy import Tidy
from snapproxy_storage import StorageFailure, Store, Writing, open_store
from tests.fakes.leaping_clock import LeapingClock

MIB = 1 << 20
QUOTA = 10 * MIB


class Oldest:
    """A reclaimer that removes the blobs that were not served for longest."""

    def __init__(self, store: Store, *, failing: bool = False) -> None:
        self.store = store
        self.failing = failing
        self.asked: list[int] = []

    async def reclaim(self, wanted: int) -> int:
        self.asked.append(wanted)
        if self.failing:
            raise StorageFailure("the disk reports errors")
        freed = 0
        for blob in sorted(self.store.blobs.stored(), key=lambda each: each.served):
            freed += await self.store.blobs.remove(blob.digest) if freed < wanted else 0
        return freed


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "state", tmp_path / "cache", quota=QUOTA) as opened:
        yield opened


async def put(store: Store, data: bytes) -> tuple[str, bool]:
    """Store bytes; return their digest and whether they were stored."""
    begun = store.drafts.begin(str(hash(data)))
    assert isinstance(begun, Writing)
    await begun.draft.write(data)
    blob = await begun.draft.commit()
    blob.close()
    return blob.digest, not begun.draft.full


async def until(predicate: Any) -> None:
    async with asyncio.timeout(20):
        while not predicate():
            await asyncio.sleep(0.01)


async def test_below_the_high_water_mark_nothing_is_removed(store: Store) -> None:
    reclaimer = Oldest(store)
    await put(store, b"x" * 8 * MIB)
    await SpaceKeeper(store, reclaimer).keep()
    assert reclaimer.asked == []


async def test_a_failing_reclaimer_makes_no_room_and_stops_nothing(store: Store) -> None:
    reclaimer = Oldest(store, failing=True)
    assert not await SpaceKeeper(store, reclaimer).make_room(1)
    assert len(reclaimer.asked) == 1


async def test_a_download_without_room_is_stored_after_the_files_served_first_are_removed(
    store: Store,
) -> None:
    reclaimer = Oldest(store)
    keeper = SpaceKeeper(store, reclaimer)
    store.space.on_shortage(keeper.make_room)
    digests = [(await put(store, bytes([number]) * MIB))[0] for number in range(9)]
    for at, digest in enumerate(reversed(digests)):
        store.served.note(digest, 1000 + at * 7200)
    _, is_stored = await put(store, b"new" * (MIB // 2))
    assert is_stored
    assert reclaimer.asked[0] > MIB // 2
    assert store.blobs.size(digests[0]) is not None, "it was served last"
    assert store.blobs.size(digests[-1]) is None


async def test_the_service_counts_writes_served_times_and_makes_room(store: Store, tmp_path: Path) -> None:
    clock, reclaimer = LeapingClock(), Oldest(store)
    app: Any = SimpleNamespace(store=store, clock=clock)
    nothing: Any = None
    tidy = Tidy(store=store, archives=["debian"])
    work = RepeatedWork(app, nothing, nothing, nothing, nothing, tidy, nothing, nothing, SpaceKeeper(store, reclaimer))
    digest, _ = await put(store, b"x" * 2 * MIB)
    other, _ = await put(store, b"y" * 2 * MIB)
    (tmp_path / "state/blobs/sha256" / digest).unlink()
    store.served.note(other, 5_000_000_000)
    running = asyncio.create_task(work._keep_space())
    try:
        await until(lambda: store.space.stored == 2 * MIB)
        await until(lambda: [each.served for each in store.blobs.stored()] == [5_000_000_000])
        for number in range(3):
            await put(store, bytes([number]) * 2 * MIB)
        (tmp_path / "state/blobs/sha256" / other).unlink()
        clock.leap(SPACE_SECONDS)
        await asyncio.sleep(0.1)
        assert store.space.stored == 8 * MIB, "files removed by hand count until the next day"
        clock.leap(COUNT_SECONDS)
        await until(lambda: store.space.stored == 6 * MIB)
        assert reclaimer.asked == []
    finally:
        running.cancel()
        await asyncio.wait({running})
