"""The contract tests of a store. A test file subclasses these classes and provides a `store` fixture."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from snapproxy_storage import (
    MAX_COUNTER_NAME,
    MAX_COUNTERS,
    Body,
    Draft,
    Meta,
    Name,
    StorageFailure,
    Store,
    Value,
    Writing,
)

HELD = 16 * 1024


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def read_all(body: Body) -> bytes:
    """Read a body like a server: wait, then read the bytes that may be sent."""
    data = bytearray()
    while len(data) != body.size:
        end = await body.wait(len(data))
        if end == len(data):
            break
        async for piece in body.chunks(len(data), end):
            data += piece
    return bytes(data)


def begin(store: Store, key: str, **options: Any) -> Draft:
    begun = store.drafts.begin(key, **options)
    assert isinstance(begun, Writing)
    return begun.draft


async def put(store: Store, data: bytes) -> str:
    """Store the bytes as a blob, and return its digest."""
    draft = begin(store, f"put {digest_of(data)}")
    await draft.write(data)
    blob = await draft.commit()
    blob.close()
    return blob.digest


async def settled(predicate: Any, seconds: float = 5) -> None:
    """Wait until the predicate is true."""
    async with asyncio.timeout(seconds):
        while not predicate():
            await asyncio.sleep(0.002)


class BlobsContract:
    async def test_a_blob_that_is_not_there_is_none(self, store: Store) -> None:
        assert store.blobs.peek("0" * 64) is None
        assert await store.blobs.open("0" * 64) is None

    @pytest.mark.parametrize("name", ["", "..", "../catalog.sqlite3", "A" * 64, "0" * 63])
    def test_only_a_digest_names_a_blob(self, store: Store, name: str) -> None:
        with pytest.raises(ValueError, match="not a lower-case sha256"):
            store.blobs.peek(name)

    @pytest.mark.parametrize("size", [0, 1, HELD, 300_000, 3_000_000])
    async def test_a_blob_gives_back_its_bytes_and_any_range_of_them(self, store: Store, size: int) -> None:
        data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        digest = await put(store, data)
        blob = await store.blobs.open(digest)
        assert blob is not None
        assert (blob.digest, blob.size, blob.meta) == (digest_of(data), size, Meta())
        assert await read_all(blob) == data
        for start, stop in ((0, size), (size // 3, size // 2), (size, size), (0, size + 10)):
            assert b"".join([piece async for piece in blob.chunks(start, stop)]) == data[start:stop]
        blob.close()
        blob.close()  # harmless

    async def test_removing_is_an_eviction_that_readers_survive(self, store: Store) -> None:
        digest = await put(store, b"evicted" * 1000)
        reader = store.blobs.peek(digest)
        assert reader is not None
        epoch = store.catalog.epoch
        await store.blobs.remove(digest)
        await store.blobs.remove(digest)  # already absent: no error
        assert store.blobs.peek(digest) is None
        assert await read_all(reader) == b"evicted" * 1000
        assert store.catalog.epoch > epoch
        reader.close()

    async def test_digests_lists_every_blob_in_order(self, store: Store) -> None:
        held = sorted([await put(store, bytes([n])) for n in range(20)])
        assert list(store.blobs.digests()) == held


class CatalogContract:
    async def test_beyond_the_bound_the_names_that_were_written_first_are_forgotten(self, store: Store) -> None:
        catalog, value = store.catalog, Name("", 0, 0)
        await catalog.put_name("permanent", "n", value)
        await catalog.put_names("pinned", {f"{n}": value for n in range(5)}, at=1)
        for at in range(10, 20):
            await catalog.put_name("s", f"{at}", value, at=at)
        assert await catalog.tidy(0, most_names=8, most_facts=0, kept=["pinned"]) == 7
        assert [name for name, _ in catalog.names("s")] == ["17", "18", "19"]
        assert len(catalog.names("pinned")) == 5
        assert catalog.name("permanent", "n") is not None
        assert await catalog.tidy(0, most_names=0, most_facts=0) == 8
        assert catalog.name("permanent", "n") is not None

    async def test_a_million_names_are_forgotten_in_batches(self, store: Store) -> None:
        """Each batch is a short transaction; a few thousand names show it."""
        for at in range(6):
            await store.catalog.put_names(f"{at}", {f"{n}": Name("", 0, 0) for n in range(1000)}, at=at)
        assert await store.catalog.tidy(0, most_names=500, most_facts=0) == 5500
        assert sum(len(store.catalog.names(f"{at}")) for at in range(5)) == 0
        assert len(store.catalog.names("5")) == 500

    async def test_a_name_that_was_stored_once_to_stay_is_never_forgotten(self, store: Store) -> None:
        for name, times in (("first", (None, 5)), ("later", (5, None)), ("better", (None, 5))):
            for proof, at in enumerate(times):
                await store.catalog.put_name("s", name, Name("a" * 64, 1, proof if name == "better" else 1), at=at)
        await store.catalog.tidy(9, most_names=0, most_facts=0)
        assert [name for name, _ in store.catalog.names("s")] == ["better", "first", "later"]

    async def test_expired_facts_are_deleted_and_the_next_ones_beyond_the_bound(self, store: Store) -> None:
        await store.catalog.put_fact("permanent", 1)
        for expires in range(100, 110):
            await store.catalog.put_fact(f"{expires}", 1, expires=expires)
        assert await store.catalog.tidy(104, most_names=0, most_facts=3) == 7
        assert [key for key in map(str, range(100, 110)) if store.catalog.fact(key, 0)] == ["107", "108", "109"]
        assert store.catalog.fact("permanent", 0) == 1

    async def test_what_is_recorded_about_removed_blobs_is_deleted(self, store: Store) -> None:
        here, gone = await put(store, b"here"), "f" * 64
        for digest in (here, gone):
            for space in ("sha512", "sha512-like"):
                await store.catalog.put_name(space, digest, Name(digest, 1, 1))
            await store.catalog.put_fact(f"date/{digest}", 1)
        await store.catalog.put_name("sha512", "absent", Name("", 0, 0))

        def is_stored(digest: str) -> bool:
            return store.blobs.size(digest) is not None

        assert await store.catalog.drop_dangling(is_stored, spaces=["sha512"], facts=["date/"]) == 2
        assert [name for name, _ in store.catalog.names("sha512")] == sorted([here, "absent"])
        assert len(store.catalog.names("sha512-like")) == 2
        assert (store.catalog.fact(f"date/{here}", 0), store.catalog.fact(f"date/{gone}", 0)) == (1, None)

    async def test_a_name_stands_until_a_stronger_proof(self, store: Store) -> None:
        catalog = store.catalog
        weak, equal, strong = Name("a" * 64, 1, 1), Name("b" * 64, 2, 1), Name("c" * 64, 3, 2, {"date": 5})
        assert catalog.name("s", "n") is None
        assert await catalog.put_name("s", "n", weak) == weak
        assert await catalog.put_name("s", "n", equal) == weak
        assert catalog.name("s", "n") == weak
        assert await catalog.put_name("s", "n", strong) == strong
        assert await catalog.put_name("s", "n", weak) == strong
        assert catalog.name("s", "n") == strong
        assert catalog.name("other", "n") is None

    async def test_names_are_listed_by_prefix_in_order(self, store: Store) -> None:
        for name in ("dists/b", "dists/a", "pool/x", "dists\U0010fffe", "dist"):
            await store.catalog.put_name("s", name, Name("", 0, 0))
        assert [name for name, _ in store.catalog.names("s", prefix="dists/")] == ["dists/a", "dists/b"]
        assert [name for name, _ in store.catalog.names("s")] == sorted(
            ["dists/b", "dists/a", "pool/x", "dists\U0010fffe", "dist"]
        )

    async def test_taking_back_raises_the_epoch_and_naming_does_not(self, store: Store) -> None:
        epoch = store.catalog.epoch
        await store.catalog.put_name("s", "n", Name("a" * 64, 1, 1))
        assert store.catalog.epoch == epoch
        await store.catalog.drop_name("s", "n")
        assert store.catalog.name("s", "n") is None
        assert store.catalog.epoch == epoch + 1
        await store.catalog.put_name("s", "n", Name("a" * 64, 1, 0))
        # Other bytes: a caller that caches the old ones must ask again.
        await store.catalog.put_name("s", "n", Name("b" * 64, 1, 1))
        assert store.catalog.epoch == epoch + 2

    async def test_a_fact_that_forbids_raises_the_epoch(self, store: Store) -> None:
        epoch = store.catalog.epoch
        await store.catalog.update_fact("f", lambda _: 1)
        assert store.catalog.epoch == epoch
        await store.catalog.update_fact("f", lambda _: 2, invalidates=True)
        assert store.catalog.epoch == epoch + 1

    async def test_around_brackets_an_instant(self, store: Store) -> None:
        for at, value in ((10, "a"), (20, "a"), (30, "b")):
            await store.catalog.observe("k", at, value)
        a, b = Value(10, 20, "a"), Value(30, 30, "b")
        around = store.catalog.around
        assert around("k", 9) == (None, a)
        assert around("k", 10) == around("k", 15) == around("k", 25) == (a, b)
        assert around("k", 30) == around("k", 99) == (b, None)
        assert around("other", 15) == (None, None)
        assert store.catalog.keys("") == ["k"]
        assert store.catalog.keys("x") == []

    async def test_what_was_observed_together_is_written_together(self, store: Store) -> None:
        await store.catalog.observe_all(10, {"k": "a", "l": "b"})
        await store.catalog.observe_all(20, {"k": "a", "l": "c"})
        assert store.catalog.around("k", 15) == (Value(10, 20, "a"), None)
        assert store.catalog.around("l", 15) == (Value(10, 10, "b"), Value(20, 20, "c"))

    async def test_facts_expire(self, store: Store) -> None:
        await store.catalog.put_fact("f", {"deep": [1, None]}, expires=100)
        assert store.catalog.fact("f", 99) == {"deep": [1, None]}
        assert store.catalog.fact("f", 100) is None
        await store.catalog.put_fact("f", 2)
        assert store.catalog.fact("f", 10**10) == 2
        await store.catalog.drop_fact("f")
        assert store.catalog.fact("f", 0) is None

    async def test_names_are_put_together_and_a_space_goes_as_one(self, store: Store) -> None:
        await store.catalog.put_name("s", "a", Name("old", 1, 5))
        await store.catalog.put_names("s", {"a": Name("new", 1, 3), "b": Name("", 0, 0, {"k": "v"})})
        await store.catalog.put_name("t", "a", Name("kept", 1, 1))
        assert store.catalog.names("s") == [("a", Name("old", 1, 5)), ("b", Name("", 0, 0, {"k": "v"}))]
        before = store.catalog.epoch
        await store.catalog.drop_space("s")
        assert store.catalog.names("s") == []
        assert store.catalog.names("t") == [("a", Name("kept", 1, 1))]
        assert store.catalog.epoch > before

    async def test_many_writes_at_once_all_stand(self, store: Store) -> None:
        await asyncio.gather(*(store.catalog.put_name("s", f"{n:03}", Name("", n, 0)) for n in range(200)))
        assert [value.size for _, value in store.catalog.names("s")] == list(range(200))

    async def test_one_bad_write_does_not_take_the_others_with_it(self, store: Store) -> None:
        outcomes = await asyncio.gather(
            *(store.catalog.put_fact("\ud800" if n == 5 else str(n), n) for n in range(10)), return_exceptions=True
        )
        assert [n for n, outcome in enumerate(outcomes) if outcome is not None] == [5]
        assert [store.catalog.fact(str(n), 0) for n in range(10) if n != 5] == [n for n in range(10) if n != 5]


NAME = "0123456789abcdef" * 2


class JournalsContract:
    async def test_every_opening_sees_the_lines_of_the_others_in_one_order(self, store: Store) -> None:
        one, two = store.journals.open(NAME), store.journals.open(NAME)
        mine = [b"a", b"b"]
        assert one.add(mine) is mine
        assert two.add([b"c"]) == [b"a", b"b", b"c"]
        assert one.add([b"d"]) == [b"c", b"d"]
        assert two.add([]) == [b"d"]
        assert two.add([]) == []
        await one.sync()
        one.close()
        two.close()
        again = store.journals.open(NAME)
        assert again.add([]) == [b"a", b"b", b"c", b"d"]
        again.close()

    def test_all_agree_who_came_first(self, store: Store) -> None:
        journals = [store.journals.open(NAME) for _ in range(20)]
        seen = [list(each.add([f"{number}".encode()])) for number, each in enumerate(journals)]
        assert {lines[0] for lines in seen} == {b"0"}
        for journal in journals:
            journal.close()

    async def test_what_is_removed_is_empty_again(self, store: Store) -> None:
        journal = store.journals.open(NAME)
        journal.add([b"gone"])
        await store.journals.remove(NAME)
        await store.journals.remove(NAME)  # harmless
        again = store.journals.open(NAME)
        assert again.add([]) == []
        journal.close()
        again.close()

    @pytest.mark.parametrize("name", ["", "..", "A" * 32, "0" * 31, "0" * 33, "../0123456789abcdef"])
    def test_only_32_hex_digits_name_a_journal(self, store: Store, name: str) -> None:
        with pytest.raises(ValueError, match="not the name of a journal"):
            store.journals.open(name)

    def test_a_line_is_one_line(self, store: Store) -> None:
        journal = store.journals.open(NAME)
        with pytest.raises(ValueError, match="a line must not contain a line break"):
            journal.add([b"one", b"two\nlines"])
        assert journal.add([]) == []
        journal.close()


class ExpiringContract:
    async def test_what_was_put_is_there_until_it_expires(self, store: Store, watchdog: object) -> None:
        assert await store.expiring.get("k") is None
        await store.expiring.put("k", {"a": [1, "x"]}, seconds=60)
        assert await store.expiring.get("k") == {"a": [1, "x"]}
        await store.expiring.put("k", 1, seconds=-1)
        assert await store.expiring.get("k") is None

    async def test_only_json_is_kept(self, store: Store) -> None:
        with pytest.raises(TypeError):
            await store.expiring.put("k", object(), seconds=60)


class TablesContract:
    def test_a_table_gives_back_its_rows_sorted(self, store: Store) -> None:
        rows = {f"pool/{n * 7919 % 5000:05}": b"v%d" % n for n in range(5000)}
        store.tables.build("a" * 64, "apt-1", rows.items())
        table = store.tables.open("a" * 64, "apt-1")
        assert table is not None
        assert list(table.items()) == sorted(rows.items())
        assert all(table.get(name) == value for name, value in rows.items())
        for absent in ("", "pool/", "pool/99999", "zzz", "pool/00000x"):
            assert table.get(absent) is None
        table.close()

    def test_no_table_is_none(self, store: Store) -> None:
        assert store.tables.open("b" * 64, "apt-1") is None

    def test_an_empty_table_is_one(self, store: Store) -> None:
        store.tables.build("a" * 64, "v", [])
        table = store.tables.open("a" * 64, "v")
        assert table is not None
        assert list(table.items()) == []
        assert table.get("x") is None
        table.close()

    def test_a_name_with_two_values_is_refused_and_nothing_published(self, store: Store) -> None:
        store.tables.build("a" * 64, "v", [("x", b"1"), ("y", b"2"), ("x", b"1")])
        with pytest.raises(StorageFailure, match="two values for one name: x"):
            store.tables.build("b" * 64, "v", [("x", b"1"), ("y", b"2"), ("x", b"3")])
        assert store.tables.open("b" * 64, "v") is None

    def test_a_removed_table_is_absent_and_stays_readable_where_it_is_open(self, store: Store) -> None:
        for version in ("v1", "v2"):
            store.tables.build("a" * 64, version, [("x", b"1")])
        assert {(each.version, each.size) for each in store.tables.stored()} == {("v1", 4096), ("v2", 4096)}
        table = store.tables.open("a" * 64, "v1")
        assert table is not None
        assert store.tables.remove("a" * 64, "v1") == 4096
        assert store.tables.remove("a" * 64, "v1") == 0
        assert store.tables.open("a" * 64, "v1") is None
        assert table.get("x") == b"1"
        table.close()
        assert [each.version for each in store.tables.stored()] == ["v2"]


class SlotsContract:
    def test_no_more_than_so_many_are_taken(self, store: Store) -> None:
        first, second = store.slots.take("h", 2), store.slots.take("h", 2)
        assert first is not None
        assert second is not None
        assert store.slots.take("h", 2) is None
        assert store.slots.take("other", 1) is not None
        first.release()
        first.release()  # harmless
        assert store.slots.take("h", 2) is not None
        assert store.slots.take("h", 2) is None


class CountersContract:
    def test_an_unknown_counter_has_no_total(self, store: Store) -> None:
        assert "a" not in store.counters.totals()

    def test_a_cell_and_add_count_the_same_counter(self, store: Store) -> None:
        cell = store.counters.cell("a")
        cell[0] += 2
        store.counters.add("a", 3)
        store.counters.add("b")
        totals = store.counters.totals()
        assert (totals["a"], totals["b"]) == (5, 1)

    def test_a_gauge_is_no_counter(self, store: Store) -> None:
        store.counters.add("a", 3)
        store.counters.set_gauge("a", 7)
        store.counters.set_gauge("a", -1)
        assert store.counters.totals()["a"] == 3
        assert [gauges["a"] for gauges in store.counters.gauges()] == [-1]

    def test_a_name_may_be_any_text(self, store: Store) -> None:
        for name in ("", "ä|ö\n", "x" * MAX_COUNTER_NAME):
            store.counters.add(name)
            assert store.counters.totals()[name] == 1

    @pytest.mark.parametrize("name", ["x" * (MAX_COUNTER_NAME + 1), "ä" * (MAX_COUNTER_NAME // 2 + 1), "a\0b"])
    def test_a_name_that_cannot_be_stored_counts_as_other(self, store: Store, name: str) -> None:
        store.counters.add(name, 4)
        store.counters.set_gauge(name, 9)
        assert store.counters.totals() == {"other": 4}

    def test_names_beyond_the_limit_count_as_other(self, store: Store) -> None:
        for number in range(MAX_COUNTERS + 10):
            store.counters.add(f"name {number}")
        totals = store.counters.totals()
        assert (len(totals), sum(totals.values())) == (MAX_COUNTERS, MAX_COUNTERS + 10)
        assert totals["other"] == 11  # its own name is one of the limit

    async def test_folding_changes_no_total(self, store: Store) -> None:
        store.counters.add("a", 3)
        await store.counters.fold()
        store.counters.add("a", 1)
        assert store.counters.totals()["a"] == 4
