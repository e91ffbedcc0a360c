"""One quota for several real processes, some of which are killed while they write."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from snapproxy_storage import Store, open_store
from tests.stores.conftest import Peer
from tests.stores.contracts import begin, put, settled

MIB = 1 << 20
QUOTA = 8 * MIB

Start = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def limited(state_dir: Path, cache_dir: Path) -> AsyncIterator[Store]:
    async with open_store(state_dir, cache_dir, quota=QUOTA) as opened:
        yield opened


def on_disk(state_dir: Path) -> int:
    """Return the bytes of all blobs and drafts. A file that is renamed meanwhile may count twice, so look again."""
    least = 1 << 60
    for _ in range(3):
        total = 0
        for folder in ("drafts", "blobs/sha256"):
            for path in (state_dir / folder).iterdir():
                try:
                    total += -(-path.stat().st_size // 4096) * 4096
                except FileNotFoundError:
                    continue
        least = min(least, total)
    return least


async def test_the_processes_together_never_store_above_the_quota(limited: Store, state_dir: Path, peer: Start) -> None:
    peers = [await peer(str(QUOTA)) for _ in range(3)]
    order = random.Random(4)
    stored: list[str] = []

    async def work(number: int, other: Peer) -> None:
        for turn in range(10):
            await other.do(f"put {number}-{'x' * turn} {order.randrange(1, 2 * MIB)}")
            answer = await other.hear()
            stored.extend(answer.split()[1:])
            if stored and order.random() < 0.4:
                await other.do(f"remove {stored.pop(order.randrange(len(stored)))}")
                await other.hear()

    async def watch() -> None:
        while True:
            assert on_disk(state_dir) <= QUOTA
            assert limited.space.stored + limited.space.kept + limited.space.reserved <= QUOTA
            await asyncio.sleep(0.005)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(work(number, other) for number, other in enumerate(peers)))
    watching.cancel()
    (end,) = await asyncio.gather(watching, return_exceptions=True)
    assert isinstance(end, asyncio.CancelledError), end
    await settled(lambda: limited.space.reserved == 0)
    assert limited.space.stored == on_disk(state_dir)


async def test_what_a_killed_process_reserved_counts_until_room_is_needed(
    limited: Store, state_dir: Path, peer: Start
) -> None:
    other = await peer(str(QUOTA))
    for command in ("begin k", f"describe {6 * MIB}", "write 1000000"):
        await other.do(command)
        await other.hear()
    assert limited.space.reserved >= 6 * MIB
    await other.kill()
    assert limited.space.reserved >= 6 * MIB
    digest = await put(limited, b"x" * 5 * MIB)
    assert limited.blobs.size(digest) == 5 * MIB
    assert limited.space.reserved == 0
    assert 900_000 < limited.space.kept < 2 * MIB, "the bytes that it left are resumed by the next writer"
    assert limited.space.stored + limited.space.kept == on_disk(state_dir)
    draft = begin(limited, "k")
    assert draft.size > 900_000
    await draft.abandon("enough")
    assert limited.space.kept == 0


async def test_processes_killed_while_they_store_and_remove_leave_figures_that_a_count_mends(
    limited: Store, state_dir: Path, peer: Start
) -> None:
    async def churn(other: Peer, number: int) -> None:
        for turn in range(200):
            await other.do(f"put {number}-{turn} {1000 + turn}")
            answer = (await other.hear()).split()
            if not answer:
                return
            if turn % 2:
                await other.do(f"remove {answer[1]}")
                await other.hear()

    for seconds in (0.05, 0.12, 0.21):
        peers = [await peer(str(QUOTA)) for _ in range(2)]
        churning = [asyncio.create_task(churn(other, number)) for number, other in enumerate(peers)]
        await asyncio.sleep(seconds)
        for other in peers:
            await other.kill()
        await asyncio.gather(*churning, return_exceptions=True)
        space = limited.space
        assert space.stored + space.kept + space.reserved >= on_disk(state_dir)
        await space.recount()
        assert space.stored + space.kept == on_disk(state_dir)
        assert space.reserved == 0


async def test_two_processes_that_count_get_one_result(limited: Store, peer: Start) -> None:
    other = await peer(str(QUOTA))
    for number in range(50):
        await put(limited, b"%d" % number)
    await other.do("count")
    assert await limited.space.recount() == 50 * 4096
    assert await other.hear() == str(50 * 4096)


async def test_an_older_store_is_counted_before_anything_is_stored(state_dir: Path, cache_dir: Path) -> None:
    """With a quota, a store that was filled without counting must not be filled beyond it."""
    async with open_store(state_dir, cache_dir) as store:
        for number in range(6):
            await put(store, bytes([number]) * MIB)
    (state_dir / "space").unlink()
    async with open_store(state_dir, cache_dir, quota=QUOTA) as store:
        assert not store.space.is_counted
        assert store.space.room() == 0
        small = begin(store, "small")
        await small.write(b"x" * 500_000)
        (await small.commit()).close()
        assert (small.full, store.space.is_counted, store.space.stored) == (False, True, 6 * MIB + 503_808)
        large = begin(store, "large")
        await large.write(b"x" * 2 * MIB)
        (await large.commit()).close()
        assert large.full


@pytest.mark.parametrize("content", [b"\xff" * 4096, b"short", b""])
async def test_figures_that_cannot_be_trusted_are_counted_anew(
    state_dir: Path, cache_dir: Path, content: bytes
) -> None:
    """After a reboot the page may be an older one, or damaged."""
    async with open_store(state_dir, cache_dir) as store:
        await put(store, b"x" * MIB)
        draft = begin(store, "k")
        await draft.write(b"x" * 100_000)
        await draft.abandon("broke", keep=True)
    (state_dir / "space").write_bytes(content)
    async with open_store(state_dir, cache_dir, quota=QUOTA) as store:
        assert not store.space.is_counted
        assert await store.space.recount() == MIB
        assert store.space.stored + store.space.kept == on_disk(state_dir)
        assert store.space.reserved == 0
