"""Reading a blob or an arriving draft whole: every byte or an error, and no descriptor left open."""

from __future__ import annotations

import asyncio

import pytest

from snapproxy_storage import BodyTooLarge, DraftFailed, Meta, Store, read_blob, read_whole
from tests.fakes.descriptors import open_descriptors
from tests.stores.contracts import begin, put

DATA = bytes(range(256)) * 2000


@pytest.mark.parametrize("data", [b"", b"x", DATA])
async def test_a_blob_is_read_whole_and_closed(store: Store, data: bytes) -> None:
    digest = await put(store, data)
    before = open_descriptors()
    assert await read_blob(store.blobs, digest, len(data)) == data
    assert open_descriptors() == before


async def test_a_blob_above_the_limit_is_refused_and_closed(store: Store) -> None:
    digest = await put(store, DATA)
    before = open_descriptors()
    with pytest.raises(BodyTooLarge, match="512000 bytes"):
        await read_blob(store.blobs, digest, len(DATA) - 1)
    assert open_descriptors() == before


async def test_an_absent_blob_is_none(store: Store) -> None:
    assert await read_blob(store.blobs, "0" * 64, 1) is None


@pytest.mark.parametrize("length", [None, len(DATA)])
async def test_an_arriving_draft_is_read_to_its_end(store: Store, length: int | None) -> None:
    draft = begin(store, "k")
    await draft.describe(Meta(length=length))
    reading = asyncio.create_task(read_whole(draft.follow(), len(DATA)))
    await draft.write(DATA)
    (await draft.commit()).close()
    assert await reading == DATA


async def test_an_arriving_draft_is_refused_once_it_exceeds_the_limit(store: Store) -> None:
    draft = begin(store, "k")
    reading = asyncio.create_task(read_whole(draft.follow(), 100_000))
    await draft.write(DATA)
    with pytest.raises(BodyTooLarge):
        await reading
    await draft.abandon("done")


async def test_the_body_of_a_failed_draft_is_closed(store: Store) -> None:
    before = open_descriptors()
    draft = begin(store, "k")
    reading = asyncio.create_task(read_whole(draft.follow(), len(DATA)))
    await draft.write(DATA)
    await draft.abandon("upstream broke")
    with pytest.raises(DraftFailed, match="upstream broke"):
        await reading
    assert open_descriptors() == before
