"""What every store must do, whatever stands behind it. A test file subclasses these and gives a `store` fixture."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from storage import Body, Draft, DraftFailed, Meta, Name, StorageFailure, Store, Value

HELD = 16 * 1024


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def read_all(body: Body) -> bytes:
    """Read a body as a server would: wait, then read what may be sent."""
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
    assert isinstance(begun, Draft)
    return begun


async def put(store: Store, data: bytes) -> str:
    """Store the bytes as a blob, and return its digest."""
    draft = begin(store, f"put {digest_of(data)}")
    await draft.write(data)
    blob = await draft.commit()
    blob.close()
    return blob.digest


async def settled(predicate: Any, seconds: float = 5) -> None:
    """Wait until the predicate holds."""
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
        await store.blobs.remove(digest)  # gone already: no error
        assert store.blobs.peek(digest) is None
        assert await read_all(reader) == b"evicted" * 1000
        assert store.catalog.epoch > epoch
        reader.close()

    async def test_digests_lists_every_blob_in_order(self, store: Store) -> None:
        held = sorted([await put(store, bytes([n])) for n in range(20)])
        assert list(store.blobs.digests()) == held


class DraftsContract:
    async def test_exactly_one_caller_writes_and_the_others_read(self, store: Store) -> None:
        draft = begin(store, "k")
        begun = [store.drafts.begin("k") for _ in range(3)] + [store.drafts.follow("k")]
        bodies = [body for body in begun if body is not None and not isinstance(body, Draft)]
        assert len(bodies) == 4
        await draft.write(b"a" * 100_000)
        blob = await draft.commit()
        for body in bodies:
            assert digest_of(await read_all(body)) == blob.digest
            body.close()
        blob.close()
        assert store.drafts.follow("k") is None

    @pytest.mark.parametrize("key", ["x" * 10_000, "a/../b", "nul\0", "\u00e9\U0001f600"])
    async def test_a_key_is_any_text(self, store: Store, key: str) -> None:
        draft = begin(store, key)
        assert draft.key == key
        await draft.abandon("done")

    async def test_a_single_first_byte_reaches_fifty_readers_at_once(self, store: Store) -> None:
        draft = begin(store, "k")
        await draft.describe(Meta(length=10 << 20))
        bodies = [draft.follow() for _ in range(50)]
        waits = [asyncio.create_task(body.wait(0)) for body in bodies]
        await draft.write(b"!")
        assert await asyncio.wait_for(asyncio.gather(*waits), 2) == [1] * 50
        await draft.abandon("enough")
        for body in bodies:
            body.close()

    @pytest.mark.parametrize("length", [None, 1, HELD, HELD + 1, 100_000, 1_000_000])
    async def test_the_last_piece_waits_for_the_verdict(self, store: Store, length: int | None) -> None:
        data = bytes(i % 251 for i in range(length or 100_000))
        draft = begin(store, "k")
        if length is not None:
            await draft.describe(Meta(length=length))
        body = draft.follow()
        await draft.write(data)
        sealed = await draft.seal()
        shown = max(0, len(data) - HELD)
        if shown:
            await settled(lambda: _now(body) == shown)
        await asyncio.sleep(0.05)
        assert _now(body) == shown
        assert (sealed.digest, sealed.size) == (digest_of(data), len(data))
        assert body.size == length
        blob = await draft.commit()
        assert await body.wait(len(data)) == len(data) == body.size
        assert await read_all(body) == data
        blob.close()
        body.close()

    async def test_an_empty_draft_ends_only_with_its_verdict(self, store: Store) -> None:
        draft = begin(store, "k")
        await draft.describe(Meta(length=0))
        body = draft.follow()
        waiting = asyncio.create_task(body.wait(0))
        await asyncio.sleep(0.03)
        assert not waiting.done()
        blob = await draft.commit()
        assert await waiting == 0
        assert blob.size == 0
        blob.close()
        body.close()

    async def test_an_abandoned_draft_fails_every_reader_with_the_reason(self, store: Store) -> None:
        draft = begin(store, "k")
        bodies = [draft.follow() for _ in range(3)]
        waits = [asyncio.create_task(body.wait(0)) for body in bodies]
        await asyncio.sleep(0)
        await draft.abandon("wrong digest")
        for outcome in await asyncio.gather(*waits, return_exceptions=True):
            assert isinstance(outcome, DraftFailed)
            assert outcome.reason == "wrong digest"
        for body in bodies:
            body.close()
        again = begin(store, "k")
        assert again.size == 0
        await again.abandon("done")

    async def test_a_kept_draft_is_resumed_by_the_next_begin(self, store: Store) -> None:
        data = bytes(i % 251 for i in range(400_000))
        meta = Meta(source="s", length=len(data), etag='"1"', last_modified="yesterday")
        draft = begin(store, "k")
        await draft.describe(meta)
        await draft.write(data[:200_000])
        reader = draft.follow()
        await draft.abandon("upstream broke", keep=True)
        with pytest.raises(DraftFailed, match="upstream broke"):
            await reader.wait(200_000)
        reader.close()

        resumed = begin(store, "k")
        assert (resumed.size, resumed.meta) == (200_000, meta)
        with pytest.raises(StorageFailure, match="rehash"):
            await resumed.write(b"too early")
        tapped = bytearray()
        resumed.tap(tapped.extend)
        await resumed.describe(meta)
        await resumed.rehash()
        await resumed.write(data[200_000:])
        blob = await resumed.commit()
        assert blob.digest == digest_of(data)
        assert tapped == data
        blob.close()

    async def test_restart_throws_away_what_was_left(self, store: Store) -> None:
        draft = begin(store, "k")
        await draft.write(b"old" * 100_000)
        await draft.abandon("broke", keep=True)
        again = begin(store, "k")
        assert again.size > 0
        reader = again.follow()
        await again.restart()
        assert (again.size, again.meta) == (0, Meta())
        await again.write(b"new" * 50_000)
        blob = await again.commit()
        assert await read_all(reader) == b"new" * 50_000
        blob.close()
        reader.close()

    async def test_what_was_left_is_not_mixed_with_other_bytes(self, store: Store) -> None:
        draft = begin(store, "k")
        await draft.describe(Meta(length=100_000))
        await draft.write(b"o" * 50_000)
        await draft.abandon("broke", keep=True)
        again = begin(store, "k")
        with pytest.raises(StorageFailure, match="begin again"):
            await again.describe(Meta(length=90_000))
        await again.abandon("done")

    async def test_a_source_that_breaks_its_word_on_the_length_is_refused(self, store: Store) -> None:
        draft = begin(store, "k")
        await draft.describe(Meta(length=10))
        with pytest.raises(StorageFailure, match="more than the 10 bytes"):
            await draft.write(b"x" * 11)
        await draft.write(b"x" * 9)
        with pytest.raises(StorageFailure, match="after 9 of 10 bytes"):
            await draft.commit()
        await draft.abandon("short")

    async def test_taps_see_every_byte_in_order(self, store: Store) -> None:
        seen = bytearray()
        draft = begin(store, "k")
        draft.tap(seen.extend)
        for n in range(300):
            await draft.write(bytes([n % 256]) * n)
        await draft.seal()
        assert bytes(seen) == b"".join(bytes([n % 256]) * n for n in range(300))
        await draft.abandon("done")

    async def test_a_tap_that_raises_fails_the_draft_not_the_store(self, store: Store) -> None:
        def refuse(data: bytes) -> None:
            raise ValueError("no such bytes")

        draft = begin(store, "k")
        draft.tap(refuse)
        body = draft.follow()
        await draft.write(b"x")
        with pytest.raises(ValueError, match="no such bytes"):
            await draft.seal()
        with pytest.raises(DraftFailed):
            await body.wait(0)
        await draft.abandon("bad")
        body.close()
        assert await put(store, b"fine") == digest_of(b"fine")

    async def test_an_equal_blob_may_be_committed_again(self, store: Store) -> None:
        assert await put(store, b"same") == await put(store, b"same")
        assert list(store.blobs.digests()) == [digest_of(b"same")]

    async def test_a_reader_that_leaves_harms_nobody(self, store: Store) -> None:
        draft = begin(store, "k")
        leaving, staying = draft.follow(), draft.follow()
        gone = asyncio.create_task(leaving.wait(0))
        await asyncio.sleep(0)
        gone.cancel()
        leaving.close()
        await draft.write(b"z" * 200_000)
        blob = await draft.commit()
        assert await read_all(staying) == b"z" * 200_000
        staying.close()
        blob.close()

    async def test_a_reader_that_comes_as_the_draft_has_ended_reads_all_of_it(self, store: Store) -> None:
        """Between the commit and what its writer does next nobody must be given an empty body."""
        draft = begin(store, "key")
        await draft.write(b"whole")
        (await draft.commit()).close()
        late = draft.follow()
        assert await read_all(late) == b"whole"
        late.close()

    async def test_any_range_can_be_followed(self, store: Store) -> None:
        data = bytes(i % 253 for i in range(500_000))
        draft = begin(store, "k")
        await draft.describe(Meta(length=len(data)))
        body = draft.follow()

        async def stretch() -> bytes:
            return b"".join([piece async for piece in body.chunks(300_000, 450_000)])

        reading = asyncio.create_task(stretch())
        for at in range(0, len(data), 33_333):
            await draft.write(data[at : at + 33_333])
        blob = await draft.commit()
        assert await reading == data[300_000:450_000]
        body.close()
        blob.close()

    async def test_nothing_is_left_when_a_draft_has_ended(self, store: Store) -> None:
        for keep in (False, True):
            draft = begin(store, "empty")
            await draft.abandon("nothing came", keep=keep)
        await put(store, b"committed")
        assert await store.drafts.sweep(older_than=-1) == 0

    async def test_a_sweep_removes_what_nobody_writes_and_nothing_else(self, store: Store) -> None:
        kept = begin(store, "kept")
        await kept.write(b"k" * 100_000)
        await kept.abandon("broke", keep=True)
        live = begin(store, "live")
        await live.write(b"l" * 100_000)
        assert await store.drafts.sweep(older_than=3600) == 0
        assert await store.drafts.sweep(older_than=-1) == 1
        assert begin(store, "kept").size == 0
        blob = await live.commit()
        assert blob.size == 100_000
        blob.close()

    async def test_cancelling_a_write_loses_no_byte(self, store: Store) -> None:
        draft = begin(store, "k")
        data = bytes(i % 249 for i in range(4 << 20))
        writing = asyncio.create_task(draft.write(data))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert draft.size == len(data)
        blob = await draft.commit()
        assert blob.digest == digest_of(data)
        blob.close()

    async def test_cancelling_a_commit_leaves_all_or_nothing(self, store: Store) -> None:
        for steps in range(12):
            data = b"%d" % steps * 70_000
            draft = begin(store, "k")
            await draft.write(data)
            committing = asyncio.create_task(draft.commit())
            for _ in range(steps):
                await asyncio.sleep(0.0005)
            committing.cancel()
            (outcome,) = await asyncio.gather(committing, return_exceptions=True)
            if not isinstance(outcome, BaseException):
                outcome.close()
            await draft.abandon("cancelled")
            found = store.blobs.peek(digest_of(data))
            if found is not None:
                assert await read_all(found) == data
                found.close()
            assert store.drafts.follow("k") is None

    async def test_a_cancelled_abandon_is_carried_through(self, store: Store) -> None:
        draft = begin(store, "k")
        await draft.write(b"x" * 100_000)
        leaving = asyncio.create_task(draft.abandon("leaving"))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await settled(lambda: store.drafts.follow("k") is None)
        again = begin(store, "k")
        assert again.size == 0
        await again.abandon("done")


def _now(body: Body) -> int:
    """Return how many bytes may be read without waiting."""
    waiting = body.wait(-1)
    try:
        waiting.send(None)  # type: ignore[attr-defined]
    except StopIteration as stop:
        return int(stop.value)
    finally:
        waiting.close()  # type: ignore[attr-defined]
    return 0


class CatalogContract:
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
        await store.catalog.put_name(
            "s", "n", Name("b" * 64, 1, 1)
        )  # other bytes: who remembers the old ones must ask again
        assert store.catalog.epoch == epoch + 2

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

    async def test_facts_expire(self, store: Store) -> None:
        await store.catalog.put_fact("f", {"deep": [1, None]}, expires=100)
        assert store.catalog.fact("f", 99) == {"deep": [1, None]}
        assert store.catalog.fact("f", 100) is None
        await store.catalog.put_fact("f", 2)
        assert store.catalog.fact("f", 10**10) == 2
        await store.catalog.drop_fact("f")
        assert store.catalog.fact("f", 0) is None

    async def test_a_journal_keeps_its_order(self, store: Store) -> None:
        await store.catalog.append("s", [{"n": 1}, {"n": 2}])
        await store.catalog.append("other", [{"n": 9}])
        await store.catalog.append("s", [{"n": 3}])
        entries = store.catalog.journal("s")
        assert [entry["n"] for _, entry in entries] == [1, 2, 3]
        assert store.catalog.journal("s", after=entries[1][0]) == entries[2:]

    async def test_many_writes_at_once_all_stand(self, store: Store) -> None:
        await asyncio.gather(*(store.catalog.put_name("s", f"{n:03}", Name("", n, 0)) for n in range(200)))
        assert [value.size for _, value in store.catalog.names("s")] == list(range(200))

    async def test_one_bad_write_does_not_take_the_others_with_it(self, store: Store) -> None:
        outcomes = await asyncio.gather(
            *(store.catalog.put_fact("\ud800" if n == 5 else str(n), n) for n in range(10)), return_exceptions=True
        )
        assert [n for n, outcome in enumerate(outcomes) if outcome is not None] == [5]
        assert [store.catalog.fact(str(n), 0) for n in range(10) if n != 5] == [n for n in range(10) if n != 5]


class EphemeraContract:
    async def test_what_was_put_is_there_until_it_expires(self, store: Store, watchdog: object) -> None:
        assert await store.ephemera.get("k") is None
        await store.ephemera.put("k", {"a": [1, "x"]}, seconds=60)
        assert await store.ephemera.get("k") == {"a": [1, "x"]}
        await store.ephemera.put("k", 1, seconds=-1)
        assert await store.ephemera.get("k") is None

    async def test_only_json_is_kept(self, store: Store) -> None:
        with pytest.raises(TypeError):
            await store.ephemera.put("k", object(), seconds=60)


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
