"""The contract tests of the checks of a store. See `contracts`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from snapproxy_storage import AuditedBlob, BlobState, FileCount, Name, Store, StoredName
from tests.stores.contracts import begin, digest_of, put, read_all

DATA = b"verified " * 5000
Flip = Callable[[str], None]
"""Change a byte of a stored blob, so that nothing but its content shows the change."""


async def at_once(_size: int) -> None:
    """Read without a limit."""


class AuditContract:
    async def test_an_intact_blob_stays(self, store: Store) -> None:
        digest = await put(store, DATA)
        assert await store.audit.check(digest, at_once) == AuditedBlob(BlobState.INTACT, len(DATA))
        assert await store.blobs.open(digest) is not None
        assert await store.audit.quarantined() == FileCount(0, 0)

    async def test_an_empty_blob_is_intact(self, store: Store) -> None:
        assert await store.audit.check(await put(store, b""), at_once) == AuditedBlob(BlobState.INTACT, 0)

    async def test_a_byte_that_changed_unseen_is_found_by_the_check_alone(self, store: Store, flip: Flip) -> None:
        digest = await put(store, DATA)
        flip(digest)
        unseen = store.blobs.peek(digest)
        assert unseen is not None, "the record of the file shows no change"
        assert await read_all(unseen) != DATA
        unseen.close()
        epoch = store.catalog.epoch
        assert (await store.audit.check(digest, at_once)).state is BlobState.DAMAGED
        assert store.blobs.peek(digest) is None
        assert await store.blobs.open(digest) is None
        assert store.blobs.was_damaged(digest)
        assert store.catalog.epoch > epoch
        assert await store.audit.quarantined() == FileCount(1, len(DATA))
        assert await put(store, DATA) == digest
        assert (await store.audit.check(digest, at_once)).state is BlobState.INTACT

    async def test_a_removed_blob_is_absent(self, store: Store) -> None:
        assert await store.audit.check(digest_of(b"never stored"), at_once) == AuditedBlob(BlobState.ABSENT, 0)

    async def test_a_blob_that_is_stored_again_during_the_check_stays(self, store: Store, flip: Flip) -> None:
        digest = await put(store, DATA)
        flip(digest)

        async def replace(_size: int) -> None:
            await store.blobs.remove(digest)
            await put(store, DATA)

        assert (await store.audit.check(digest, replace)).state is BlobState.ABSENT
        assert await store.blobs.open(digest) is not None
        assert not store.blobs.was_damaged(digest)

    async def test_the_pace_is_asked_before_each_piece(self, store: Store) -> None:
        digest = await put(store, bytes(5 << 19))
        asked: list[int] = []

        async def pace(size: int) -> None:
            asked.append(size)

        await store.audit.check(digest, pace)
        assert asked == [1 << 20, 1 << 20, 1 << 19]

    async def test_a_check_can_be_cancelled(self, store: Store) -> None:
        digest = await put(store, DATA)
        check = asyncio.create_task(store.audit.check(digest, lambda _: asyncio.sleep(3600)))
        await asyncio.sleep(0.05)
        check.cancel()
        with pytest.raises(asyncio.CancelledError):
            await check
        assert (await store.audit.check(digest, at_once)).state is BlobState.INTACT

    async def test_digests_continue_after_one(self, store: Store) -> None:
        digests = sorted([await put(store, bytes([each]) * 10) for each in range(6)])
        assert await store.audit.digests() == digests
        assert await store.audit.digests(digests[2]) == digests[3:]
        assert await store.audit.digests(digests[-1]) == []
        assert await store.audit.digests(digests[0], most=2) == digests[1:3]

    async def test_names_of_blobs_are_found(self, store: Store) -> None:
        one, other = await put(store, b"one"), await put(store, b"other")
        await store.catalog.put_name("a/1", "x", Name(one, 3, 2, {"k": 1}))
        await store.catalog.put_name("a/1", "y", Name(other, 5, 2))
        await store.catalog.put_name("b/1", "z", Name(one, 3, 1))
        assert await store.audit.names_of([one]) == [
            StoredName("a/1", "x", Name(one, 3, 2, {"k": 1})),
            StoredName("b/1", "z", Name(one, 3, 1)),
        ]
        assert await store.audit.names_of([]) == []

    async def test_names_without_a_blob_are_counted_and_absences_are_not(self, store: Store) -> None:
        stored, gone = await put(store, b"stored"), digest_of(b"gone")
        await store.catalog.put_name("a/1", "x", Name(stored, 6, 2))
        await store.catalog.put_name("a/1", "y", Name(gone, 4, 2))
        await store.catalog.put_name("a/2", "y", Name(gone, 4, 2))
        await store.catalog.put_name("a/2", "absent", Name("", 0, 2))
        assert await store.audit.missing_blobs() == FileCount(2, 4)

    async def test_a_sound_catalog_has_no_faults(self, store: Store) -> None:
        assert await store.audit.catalog_faults() == []

    async def test_drafts_and_journals_are_counted(self, store: Store) -> None:
        draft = begin(store, "interrupted")
        await draft.write(b"x" * 400_000)
        await draft.abandon("interrupted", keep=True)
        store.journals.open("b" * 32).close()
        store.journals.open("a" * 32).close()
        drafts = await store.audit.drafts()
        assert drafts.files == 1
        assert 0 < drafts.size <= 400_000
        assert await store.audit.journals() == ["a" * 32, "b" * 32]

    async def test_a_store_has_no_strangers(self, store: Store) -> None:
        await put(store, DATA)
        store.journals.open("b" * 32).close()
        draft = begin(store, "arriving")
        await draft.write(b"x" * 400_000)
        assert await store.disk_fault() == ""
        assert await store.audit.strangers() == []
        await draft.abandon("over")
