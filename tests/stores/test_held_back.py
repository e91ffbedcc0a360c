"""The bytes of a draft that may be released, for every division into pieces."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from snapproxy_storage import Meta, open_store
from snapproxy_storage.draft_record import MAX_BYTES, DraftRecord, State, decode, encode
from snapproxy_storage.held_back import HELD_BACK, HeldBack, releasable
from snapproxy_storage.memory_window import MemoryBudget, MemoryWindow
from snapproxy_storage.protocols import DiskFailure
from tests.stores.contracts import begin, read_all

untimed = settings(deadline=None)  # a busy machine may be slow

sizes = st.integers(0, 10 * HELD_BACK)


@untimed
@given(taken=sizes, length=st.none() | sizes)
def test_the_last_piece_is_never_among_what_may_be_seen(taken: int, length: int | None) -> None:
    shown = releasable(taken, length)
    assert 0 <= shown <= taken
    assert shown <= max(0, (taken if length is None else length) - HELD_BACK)


@untimed
@given(length=sizes, taken=sizes)
def test_with_a_known_length_every_other_byte_is_shown_at_once(length: int, taken: int) -> None:
    assert releasable(taken, length) == min(taken, max(0, length - HELD_BACK))


@untimed
@given(taken=sizes, more=sizes, length=st.none() | sizes)
def test_what_has_been_shown_stays_shown(taken: int, more: int, length: int | None) -> None:
    assert releasable(taken + more, length) >= releasable(taken, length)


@untimed
@given(st.lists(st.binary(max_size=50)), st.lists(st.integers(0, 60)))
def test_held_bytes_leave_in_the_order_they_came(pieces: list[bytes], counts: list[int]) -> None:
    held, rest = HeldBack(), b"".join(pieces)
    held.add(pieces)
    for count in counts:
        taken = min(count, held.size)
        assert b"".join(held.front(taken)) == rest[:taken]
        held.drop(taken)
        rest = rest[taken:]
    assert (held.size, b"".join(held.front(held.size))) == (len(rest), rest)


@untimed
@given(st.integers(0, 100), st.integers(0, 50), st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 400))))
def test_a_window_keeps_the_newest_bytes_and_drops_no_more_than_it_must(
    start: int, capacity: int, steps: list[tuple[bytes, int]]
) -> None:
    window, everything = MemoryWindow(start, capacity, MemoryBudget(1 << 20), DiskFailure("full")), b""
    for data, dropped in steps:
        window.add([memoryview(data)])
        everything += data
        before = window.start
        window.drop_to(dropped)
        assert before <= window.start <= max(before, dropped)
        assert window.end == start + len(everything)
        assert window.end - window.start >= min(capacity, window.end - before)
        assert window.read(window.start, window.end) == everything[window.start - start :]


@settings(max_examples=25, deadline=None)
@given(
    pieces=st.lists(st.integers(0, 60_000), max_size=12),
    is_known=st.booleans(),
    cut=st.none() | st.integers(0, 11),
)
def test_any_way_of_cutting_gives_the_same_bytes(pieces: list[int], is_known: bool, cut: int | None) -> None:
    """Complete, and with an interruption and a resume after piece `cut`."""
    data = hashlib.shake_128(b"seed").digest(sum(pieces))
    length = len(data) if is_known else None

    async def download() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with open_store(Path(folder, "state"), Path(folder, "cache")) as store:
                draft, at = begin(store, "k"), 0
                await draft.describe(Meta(length=length))
                for number, count in enumerate(pieces):
                    await draft.write(data[at : at + count])
                    at += count
                    if number == cut:
                        await draft.abandon("broke", keep=True)
                        draft = begin(store, "k")
                        at = draft.size
                        assert at == releasable(sum(pieces[: number + 1]), length)
                        await draft.describe(Meta(length=length))
                        if at:
                            await draft.rehash()
                        await draft.write(data[at : sum(pieces[: number + 1])])
                        at = draft.size
                body = draft.follow()
                blob = await draft.commit()
                assert blob.digest == hashlib.sha256(data).hexdigest()
                assert await read_all(body) == await read_all(blob) == data
                body.close()
                blob.close()

    asyncio.run(download())


metas = st.builds(Meta, st.text(), st.none() | st.integers(0, 2**63), st.text(), st.text())
records = st.builds(DraftRecord, st.sampled_from(State), st.integers(0, 2**63), st.text(), metas, st.text(), st.text())


@untimed
@given(records)
def test_a_record_reads_back(record: DraftRecord) -> None:
    data = encode(record)
    assert decode(data) == record
    assert len(data) % 4096 == 0


@untimed
@given(records, records, st.integers(0, 4096))
def test_a_torn_record_is_noticed(old: DraftRecord, new: DraftRecord, torn: int) -> None:
    """A new record that is partly written over an old one decodes to one of the two, or to None."""
    first, second = encode(old), encode(new)
    assert decode(second[:torn] + first[torn:]) in (old, new, None)


@untimed
@given(st.binary(max_size=300))
def test_any_other_bytes_are_no_record(data: bytes) -> None:
    assert decode(data) is None


def test_a_record_is_bounded_and_a_validator_is_never_cut_short() -> None:
    meta = Meta(source="s" * 10**6, length=5, etag="e" * 10**6, last_modified="yesterday")
    data = encode(DraftRecord(State.FAILED, 1, "", meta, reason="r" * 10**6))
    assert len(data) <= MAX_BYTES
    found = decode(data)
    assert found is not None
    assert found.meta == Meta(length=5, last_modified="yesterday")
