"""The contract tests of removing blobs, of reading all journals, and of reading a whole catalog. See `contracts`."""

from __future__ import annotations

import asyncio
from collections.abc import Container

from snapproxy_storage import Name, Store
from tests.stores.contracts import NAME, put


def none_needed() -> Container[str]:
    return ()


class EvictionContract:
    async def test_blobs_are_removed_except_those_that_turn_out_to_be_needed(self, limited: Store) -> None:
        one, two = [await put(limited, text) for text in (b"one" * 5000, b"two")]
        before = limited.catalog.epoch
        evicted = await limited.blobs.evict([one, two, "f" * 64], lambda: {two})
        assert (one in evicted.digests, two in evicted.digests) == (True, False)
        assert (evicted.size, evicted.pending, evicted.is_stopped) == (16384, 0, False)
        assert await limited.blobs.open(one) is None
        assert limited.blobs.size(two) == 3
        assert limited.space.stored == 4096
        assert limited.catalog.epoch > before

    async def test_nothing_is_removed_if_the_references_cannot_be_followed(self, store: Store) -> None:
        digest = await put(store, b"one")
        assert (await store.blobs.evict([digest], lambda: None)).is_stopped
        assert store.blobs.size(digest) == 3

    async def test_the_bytes_of_a_blob_with_a_reader_are_pending(self, store: Store) -> None:
        one, two = [await put(store, text) for text in (b"one", b"two")]
        reader = await store.blobs.open(one)
        assert reader is not None
        evicted = await store.blobs.evict([one, two], none_needed)
        assert (evicted.size, evicted.pending) == (8192, 4096)
        assert [piece async for piece in reader.chunks(0, 3)] == [b"one"]
        reader.close()

    async def test_an_eviction_waits_for_holds(self, store: Store) -> None:
        digest = await put(store, b"one")
        first, second = store.blobs.hold(), store.blobs.hold()
        assert first is not None
        assert second is not None
        evicting = asyncio.create_task(store.blobs.evict([digest], none_needed))
        first.release()
        await asyncio.sleep(0.05)
        assert store.blobs.size(digest) == 3
        second.release()
        second.release()  # harmless
        assert (await evicting).digests == [digest]

    async def test_no_hold_is_given_while_blobs_are_removed(self, store: Store) -> None:
        digest = await put(store, b"one")
        held = []
        await store.blobs.evict([digest], lambda: held.append(store.blobs.hold()) or ())  # type: ignore[func-returns-value]
        assert held == [None]
        after = store.blobs.hold()
        assert after is not None
        after.release()


class ScanContract:
    async def test_names_of_some_spaces_are_read_in_order(self, store: Store) -> None:
        for space, name, digest in (("b/1", "y", "d2"), ("a/1", "z", "d1"), ("b/1", "x", "d3"), ("b/2", "", "d4")):
            await store.catalog.put_name(space, name, Name(digest, 5, 1))
        with store.catalog.scan() as scan:
            assert [each[:3] for each in scan.names("b/")] == [
                ("b/1", "x", "d3"),
                ("b/1", "y", "d2"),
                ("b/2", "", "d4"),
            ]
            assert [each[2] for each in scan.names()] == ["d1", "d3", "d2", "d4"]
            assert list(scan.names("b")) == list(scan.names("b/"))
            assert list(scan.names("c")) == []

    async def test_more_names_than_a_page_are_each_read_once(self, store: Store) -> None:
        await store.catalog.put_names("s", {f"{number:05}": Name("d", number, 1) for number in range(11_000)})
        with store.catalog.scan() as scan:
            assert [size for _, _, _, size in scan.names("s")] == list(range(11_000))

    async def test_values_and_facts_are_read_by_prefix(self, store: Store) -> None:
        for key, at, value in (("root/a/x", 5, "v1"), ("root/a/x", 7, "v2"), ("root/a/y", 5, ""), ("root/b/x", 5, "v")):
            await store.catalog.observe(key, at, value)
        await store.catalog.put_fact("live/a/x", {"file": 1})
        await store.catalog.put_fact("lives", 2)
        with store.catalog.scan() as scan:
            assert list(scan.values("root/a/")) == [("root/a/x", "v1"), ("root/a/x", "v2"), ("root/a/y", "")]
            assert scan.count_values("root/a/") == 3
            assert list(scan.facts("live/")) == [("live/a/x", {"file": 1})]


class AllJournalsContract:
    def test_journals_are_listed_and_read_from_an_offset(self, store: Store) -> None:
        journal = store.journals.open(NAME)
        journal.add([b"one", b"two"])
        assert [(each.name, each.size) for each in store.journals.stored()] == [(NAME, 9)]
        lines, offset = store.journals.read(NAME, 0)
        assert lines == [b"one", b"two"]
        journal.add([b"three"])
        lines, end = store.journals.read(NAME, offset)
        assert lines == [b"three"]
        assert store.journals.read(NAME, end) == ([], end)
        journal.close()

    def test_reading_an_absent_journal_creates_none(self, store: Store) -> None:
        assert store.journals.read("0" * 32, 0) == ([], 0)
        assert list(store.journals.stored()) == []
