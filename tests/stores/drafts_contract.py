"""The contract tests of drafts. See `contracts`."""

from __future__ import annotations

import asyncio

import pytest

from snapproxy_storage import Body, DraftFailed, Following, Meta, StorageFailure, Store
from tests.stores.contracts import HELD, begin, digest_of, put, read_all, settled


class DraftsContract:
    async def test_exactly_one_caller_writes_and_the_others_read(self, store: Store) -> None:
        draft = begin(store, "k")
        begun = [store.drafts.begin("k") for _ in range(3)]
        bodies = [each.body for each in begun if isinstance(each, Following)]
        follower = store.drafts.follow("k")
        assert len(bodies) == 3
        assert follower is not None
        bodies.append(follower)
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
        with pytest.raises(
            StorageFailure,
            match="the length changed from 100000 to 90000 bytes: this is another file; restart the draft",
        ):
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
        """Between the commit and the next step of its writer, no reader may receive an empty body."""
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
