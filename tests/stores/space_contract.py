"""The contract tests of disk space and of served times. See `contracts`. `limited` is a store with a quota of 4 MiB."""

from __future__ import annotations

import asyncio

import pytest

from snapproxy_storage import DiskFailure, Draft, DraftFailed, Meta, Store, StoredBlob
from tests.stores.contracts import begin, put, read_all, settled

QUOTA = 4 << 20
MIB = 1 << 20


def on_disk(*sizes: int) -> int:
    """Return the bytes that files take in whole blocks."""
    return sum(-(-size // 4096) * 4096 for size in sizes)


def used(store: Store) -> int:
    return store.space.stored + store.space.kept + store.space.reserved


async def described(store: Store, key: str, length: int) -> Draft:
    """Return a draft of a known length that has written its first byte."""
    draft = begin(store, key)
    await draft.describe(Meta(length=length))
    await draft.write(b"x")
    return draft


async def write(draft: Draft, size: int) -> None:
    for _ in range(0, size, 250_000):
        await draft.write(b"x" * 250_000)


async def reserved(store: Store, size: int) -> None:
    """Wait until drafts have reserved at least so many bytes."""
    await settled(lambda: store.space.reserved >= size)


class SpaceContract:
    async def test_a_new_store_is_empty_and_counted(self, limited: Store) -> None:
        space = limited.space
        assert (space.limit, space.stored, space.kept, space.reserved, space.is_counted) == (QUOTA, 0, 0, 0, True)
        assert 3 * MIB < space.room() <= QUOTA
        assert space.free > 0

    async def test_blobs_count_in_whole_blocks_until_they_are_removed(self, limited: Store) -> None:
        digests = [await put(limited, bytes([size % 251]) * size) for size in (0, 1, 4096, 4097, 300_000)]
        assert limited.space.stored == on_disk(1, 4096, 4097, 300_000)
        assert limited.space.reserved == 0
        assert await limited.blobs.remove(digests[4]) == on_disk(300_000)
        assert await limited.blobs.remove(digests[4]) == 0
        assert limited.space.stored == on_disk(1, 4096, 4097)

    async def test_a_blob_that_is_stored_twice_counts_once(self, limited: Store) -> None:
        for _ in range(2):
            await put(limited, b"same" * 10_000)
        assert limited.space.stored == on_disk(40_000)

    async def test_stored_lists_every_blob_with_its_size(self, limited: Store) -> None:
        digests = {await put(limited, bytes([n]) * 5000) for n in range(30)}
        stored = list(limited.blobs.stored())
        assert {each.digest for each in stored} == digests
        assert {each.size for each in stored} == {8192}
        assert sum(each.size for each in stored) == limited.space.stored

    async def test_a_described_draft_reserves_its_length_and_gives_it_back(self, limited: Store) -> None:
        draft = await described(limited, "k", 2 * MIB)
        await reserved(limited, 2 * MIB)
        assert limited.space.reserved < 2 * MIB + 65_536
        assert limited.space.stored == 0
        await draft.abandon("enough")
        assert used(limited) == 0

    async def test_a_draft_of_unknown_length_reserves_more_than_it_has(self, limited: Store) -> None:
        draft = begin(limited, "k")
        for size in range(100_000, 2 * MIB, 100_000):
            await draft.write(b"x" * 100_000)
            await settled(lambda size=size: limited.space.reserved >= size)
        blob = await draft.commit()
        assert (limited.space.stored, limited.space.reserved) == (on_disk(blob.size), 0)
        blob.close()

    async def test_an_interrupted_download_counts_until_it_is_swept(self, limited: Store) -> None:
        draft = await described(limited, "k", MIB)
        await draft.write(b"x" * 500_000)
        await draft.abandon("broke", keep=True)
        assert limited.space.reserved == 0
        assert limited.space.kept >= 500_000
        again = begin(limited, "k")
        assert limited.space.reserved >= again.size > 0
        assert limited.space.kept <= 8192
        await again.abandon("broke", keep=True)
        assert await limited.drafts.sweep(older_than=-1) == 1
        assert used(limited) == 0

    async def test_nothing_is_stored_above_the_quota(self, limited: Store) -> None:
        """Drafts that are being written at the same time, of known and unknown length, count together."""

        async def download(number: int) -> bool:
            data = bytes([number]) * 900_000
            draft = begin(limited, str(number))
            if number % 2:
                await draft.describe(Meta(length=len(data)))
            body = draft.follow()
            reading = asyncio.create_task(read_all(body))
            for at in range(0, len(data), 50_000):
                await draft.write(data[at : at + 50_000])
                assert used(limited) <= QUOTA
                await asyncio.sleep(0)
            blob = await draft.commit()
            assert await reading == data, "a file that does not fit is served all the same"
            body.close()
            blob.close()
            return not draft.full

        stored = await asyncio.gather(*map(download, range(8)))
        assert 3 <= sum(stored) <= 4
        assert limited.space.stored == on_disk(*[900_000] * sum(stored))

    async def test_a_file_longer_than_the_quota_is_served_and_nothing_else_removed(self, limited: Store) -> None:
        asked: list[int] = []

        async def make_room(wanted: int) -> bool:
            asked.append(wanted)
            return False

        limited.space.on_shortage(make_room)
        draft = await described(limited, "huge", 2 * QUOTA)
        await settled(lambda: draft.full)
        assert asked == []
        await draft.abandon("enough")

    async def test_without_room_the_owner_is_asked_and_the_file_is_stored(self, limited: Store) -> None:
        old = [await put(limited, bytes([n]) * MIB) for n in range(3)]
        asked: list[int] = []

        async def make_room(wanted: int) -> bool:
            asked.append(wanted)
            await limited.blobs.remove(old[0])
            return True

        limited.space.on_shortage(make_room)
        new = await put(limited, b"new" * 300_000)
        assert limited.blobs.peek(new) is not None
        assert len(asked) == 1
        assert 0 < asked[0] <= 900_000
        assert limited.blobs.size(old[0]) is None

    @pytest.mark.parametrize("is_raising", [False, True])
    async def test_an_owner_that_makes_no_room_is_not_asked_by_every_draft(
        self, limited: Store, *, is_raising: bool
    ) -> None:
        for number in range(3):
            await put(limited, bytes([number]) * MIB)
        asked: list[int] = []

        async def make_room(wanted: int) -> bool:
            asked.append(wanted)
            if is_raising:
                raise RuntimeError("out of order")
            return False

        limited.space.on_shortage(make_room)
        for number in range(4):
            draft = begin(limited, str(number))
            await draft.write(bytes([number]) * 900_000)
            (await draft.commit()).close()
            assert draft.full
        assert len(asked) == 1
        assert limited.space.stored == 3 * MIB

    async def test_what_fits_neither_in_the_quota_nor_into_memory_names_the_quota(self, limited: Store) -> None:
        draft = begin(limited, "k", window=MIB)
        with pytest.raises(DiskFailure, match="does not fit into memory, and the quota of 4194304 bytes") as raised:
            await write(draft, 10_000_000)
        assert raised.value.state == "is over its quota"
        await draft.abandon("no room")
        assert used(limited) == 0

    async def test_a_store_at_its_quota_has_no_disk_fault(self, limited: Store) -> None:
        draft = await described(limited, "k", 2 * QUOTA)
        await settled(lambda: draft.full)
        await draft.abandon("enough")
        assert await limited.disk_fault() == ""

    async def test_a_draft_that_waits_for_room_can_be_abandoned_at_once(self, limited: Store) -> None:
        await put(limited, b"x" * 3 * MIB)
        asking = asyncio.Event()

        async def make_room(_: int) -> bool:
            asking.set()
            await asyncio.Event().wait()
            return False

        limited.space.on_shortage(make_room)
        draft = begin(limited, "k")
        body = draft.follow()
        await draft.write(b"y" * MIB)
        await asking.wait()
        await draft.abandon("the client left")
        with pytest.raises(DraftFailed, match="the client left"):
            await body.wait(0)
        body.close()
        assert limited.space.reserved == 0

    async def test_other_limits_apply_from_then_on(self, limited: Store) -> None:
        await put(limited, b"x" * 3 * MIB)
        limited.space.set_limits(2 * MIB, 0)
        assert (limited.space.limit, limited.space.room(), limited.space.stored) == (2 * MIB, 0, 3 * MIB)
        small = begin(limited, "small")
        await small.write(b"y")
        (await small.commit()).close()
        assert small.full
        limited.space.set_limits(None, 0)
        await put(limited, b"z" * 3 * MIB)
        assert limited.space.stored == 6 * MIB

    async def test_a_count_while_files_are_stored_and_removed_is_exact(self, limited: Store) -> None:
        async def churn(number: int) -> None:
            for turn in range(20):
                digest = await put(limited, b"%d %d" % (number, turn) * 500)
                if turn % 3:
                    await limited.blobs.remove(digest)

        async def count() -> None:
            for _ in range(20):
                await limited.space.recount()

        await asyncio.gather(count(), *map(churn, range(4)))
        assert limited.space.stored == sum(each.size for each in limited.blobs.stored()) > 0


class FloorContract:
    """`floored` is a store without a quota, whose file system must keep more free space than it has."""

    async def test_below_the_floor_files_are_served_and_not_stored(self, floored: Store) -> None:
        asked: list[int] = []

        async def make_room(wanted: int) -> bool:
            asked.append(wanted)
            return True

        floored.space.on_shortage(make_room)
        assert (floored.space.limit, floored.space.room()) == (None, 0)
        draft = begin(floored, "k")
        body = draft.follow()
        reading = asyncio.create_task(read_all(body))
        await draft.write(b"x" * 500_000)
        blob = await draft.commit()
        assert draft.full
        assert await reading == b"x" * 500_000
        assert len(asked) == 1
        blob.close()
        body.close()

    async def test_what_does_not_fit_into_memory_names_the_floor(self, floored: Store) -> None:
        draft = begin(floored, "k", window=MIB)
        with pytest.raises(DiskFailure, match="bytes of the file system would stay free") as raised:
            await write(draft, 10_000_000)
        assert raised.value.state == "is full"
        await draft.abandon("no room")


class ServedContract:
    async def test_a_blob_that_was_never_served_has_the_time_of_its_bytes(self, store: Store) -> None:
        await put(store, b"bytes")
        (blob,) = store.blobs.stored()
        assert blob.served > 1_600_000_000

    async def test_the_last_time_counts_before_and_after_it_is_written(self, store: Store) -> None:
        digest = await put(store, b"bytes")
        for at in (5_000_000_000, 5_000_007_200):
            store.served.note(digest, at)
            assert list(store.blobs.stored()) == [StoredBlob(digest, 4096, at)]
            await store.served.flush()
            assert list(store.blobs.stored()) == [StoredBlob(digest, 4096, at)]

    async def test_within_an_hour_nothing_is_written_again(self, store: Store) -> None:
        digest = await put(store, b"bytes")
        for at in (7200, 7200 + 3599):
            store.served.note(digest, at)
            await store.served.flush()
        assert [each.served for each in store.blobs.stored()] == [7200]

    async def test_a_time_of_a_clock_that_was_ahead_is_replaced(self, store: Store) -> None:
        digest = await put(store, b"bytes")
        for at in (9_000_000_000, 2_000_000_000):
            store.served.note(digest, at)
            await store.served.flush()
        assert [each.served for each in store.blobs.stored()] == [2_000_000_000]

    async def test_the_time_of_a_removed_blob_is_forgotten(self, store: Store) -> None:
        digest = await put(store, b"bytes")
        store.served.note(digest, 7200)
        await store.served.flush()
        store.served.note(digest, 7200)
        await store.blobs.remove(digest)
        await store.served.flush()
        await store.catalog.put_fact("the next write", 1)
        assert await put(store, b"bytes") == digest
        (blob,) = store.blobs.stored()
        assert blob.served > 1_600_000_000
