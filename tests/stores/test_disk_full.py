"""A full disk: the readers in this process are still served, nothing is named, other processes must try again."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from snapproxy_storage import DiskFailure, Draft, DraftFailed, Meta, Name, StorageFailure, Store, open_store
from tests.stores.contracts import NAME, begin, digest_of, put, read_all, settled
from tests.stores.peer import pattern


@pytest.fixture
def state_dir(tiny_disk: Callable[[str], Path]) -> Path:
    return tiny_disk("2m") / "state"


@pytest.fixture
async def store(state_dir: Path, cache_dir: Path) -> AsyncIterator[Store]:
    async with open_store(state_dir, cache_dir) as opened:
        yield opened


def fill(state_dir: Path) -> None:
    """Fill the disk to the last byte."""
    with (state_dir.parent / "filler").open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while file.write(b"f" * size) == size:
                    pass
            except OSError:
                continue


async def write_all(draft: Draft, size: int) -> None:
    for at in range(0, size, 100_000):
        await draft.write(b"z" * min(100_000, size - at))
    await draft.seal()


def files(state_dir: Path) -> list[str]:
    return sorted(name.name for folder in ("drafts", "blobs/sha256") for name in (state_dir / folder).iterdir())


@pytest.mark.parametrize("length", [None, 6_000_000])
async def test_readers_here_get_every_byte_and_nothing_is_named(
    store: Store, state_dir: Path, length: int | None
) -> None:
    data = pattern(0, 6_000_000)
    draft = begin(store, "big", window=1 << 20)
    if length:
        await draft.describe(Meta(length=length))
    bodies = [draft.follow() for _ in range(5)]
    readers = [asyncio.create_task(read_all(body)) for body in bodies]
    for at in range(0, len(data), 100_000):
        await draft.write(data[at : at + 100_000])
        await asyncio.sleep(0)
    assert draft.full
    sealed = await draft.seal()
    assert sealed.digest == digest_of(data)
    await asyncio.sleep(0.05)
    assert not any(reader.done() for reader in readers), "the last piece waits for the verdict, in memory too"
    blob = await draft.commit()
    assert [await reader for reader in readers] == [data] * 5
    assert (blob.digest, blob.size) == (digest_of(data), len(data))
    assert store.blobs.peek(blob.digest) is None
    assert files(state_dir) == []
    for body in (*bodies, blob):
        body.close()


async def test_a_bad_verdict_fails_the_readers_on_a_full_disk_too(store: Store, state_dir: Path) -> None:
    draft = begin(store, "big", window=1 << 20)
    body = draft.follow()
    reading = asyncio.create_task(read_all(body))
    for _ in range(40):
        await draft.write(b"x" * 100_000)
    await draft.abandon("wrong digest")
    with pytest.raises(DraftFailed, match="wrong digest"):
        await reading
    body.close()
    assert files(state_dir) == []


async def test_bytes_that_fit_in_the_window_can_be_read_after_the_commit(store: Store, state_dir: Path) -> None:
    fill(state_dir)
    data = pattern(0, 700_000)
    draft = begin(store, "index", window=1 << 20)
    await draft.write(data)
    blob = await draft.commit()
    assert draft.full
    assert await read_all(blob) == data
    assert b"".join([piece async for piece in blob.chunks(5, 300_000)]) == data[5:300_000]
    blob.close()
    assert files(state_dir) == []


async def test_a_stalled_reader_holds_the_others_up_only_so_long(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snapproxy_storage.draft._STALLED_SECONDS", 0.1)
    data = pattern(0, 5_000_000)
    draft = begin(store, "big", window=1 << 20)
    await draft.describe(Meta(length=len(data)))
    stalled, quick = draft.follow(), draft.follow()
    await draft.write(data[:50_000])
    assert await stalled.wait(0) > 0
    reading = asyncio.create_task(read_all(quick))
    for at in range(50_000, len(data), 200_000):
        await draft.write(data[at : at + 200_000])
    blob = await draft.commit()
    assert await reading == data
    with pytest.raises(DraftFailed, match="disk full; try again"):
        await read_all(stalled)
    for body in (stalled, quick, blob):
        body.close()


async def test_a_writer_waits_while_the_window_is_full(store: Store) -> None:
    draft = begin(store, "big", window=1 << 20)
    await draft.describe(Meta(length=8_000_000))
    body = draft.follow()

    async def write_all() -> None:
        for at in range(0, 8_000_000, 100_000):
            await draft.write(pattern(at, 100_000))

    writing = asyncio.create_task(write_all())
    await settled(lambda: draft.full)
    await asyncio.sleep(0.2)
    assert draft.size < 8_000_000
    assert not writing.done()
    reading = asyncio.create_task(read_all(body))
    await writing
    blob = await draft.commit()
    assert await reading == pattern(0, 8_000_000)
    body.close()
    blob.close()


async def test_readers_elsewhere_are_told_to_ask_again(store: Store, peer: Any) -> None:
    other = await peer()
    draft = begin(store, "big")
    await draft.write(b"x" * 100_000)
    await other.do("read big")
    await asyncio.sleep(0.1)
    for _ in range(30):
        await draft.write(b"x" * 100_000)
    assert await other.hear() == "failed disk full; try again"
    await other.do("first big")
    assert await other.hear() == "none"
    await draft.abandon("done")


async def test_a_disk_too_full_to_create_a_draft_still_serves(
    tiny_disk: Callable[[str], Path], cache_dir: Path
) -> None:
    state_dir = tiny_disk("4m,nr_inodes=14") / "state"
    async with open_store(state_dir, cache_dir) as store:
        await put(store, b"first")
        made = 0
        try:
            while True:
                (state_dir.parent / f"f{made}").touch()
                made += 1
        except OSError:
            pass
        draft = begin(store, "k")
        assert draft.full
        body = draft.follow()
        assert body.fileno() is None
        await draft.write(b"z" * 300_000)
        blob = await draft.commit()
        assert await read_all(body) == b"z" * 300_000
        slot = store.slots.take("upstream", 2)
        assert slot is not None, "a full disk must not stop us from asking upstream"
        slot.release()
        body.close()
        blob.close()


async def test_a_catalog_that_cannot_write_says_so_and_goes_on_reading(store: Store, state_dir: Path) -> None:
    await store.catalog.put_name("s", "n", Name("a" * 64, 1, 1))
    fill(state_dir)
    with pytest.raises(StorageFailure, match="full"):
        await store.catalog.put_names("s", {f"{n}": Name("x" * 1000, n, 1) for n in range(500)})
    assert store.catalog.name("s", "n") == Name("a" * 64, 1, 1)
    (state_dir.parent / "filler").unlink()
    await store.catalog.put_name("s", "m", Name("b" * 64, 1, 1))
    assert store.catalog.name("s", "m") is not None


def test_a_journal_that_cannot_grow_says_so_and_goes_on_later(store: Store, state_dir: Path) -> None:
    journal = store.journals.open(NAME)
    journal.add([b"first"])
    fill(state_dir)
    with pytest.raises(StorageFailure, match="No space left"):
        journal.add([b"x" * 1_000_000])
    (state_dir.parent / "filler").unlink()
    journal.add([b"last"])
    again = store.journals.open(NAME)
    lines = again.add([])
    assert (lines[0], lines[-1]) == (b"first", b"last")
    assert all(len(line) < 1_000_000 for line in lines), "what was cut off is no line of ours"
    journal.close()
    again.close()


async def test_once_there_is_room_the_same_key_is_stored(store: Store, state_dir: Path) -> None:
    fill(state_dir)
    draft = begin(store, "k")
    await draft.write(b"a" * 500_000)
    (await draft.commit()).close()
    assert draft.full
    (state_dir.parent / "filler").unlink()
    again = begin(store, "k")
    await again.write(b"a" * 500_000)
    blob = await again.commit()
    assert not again.full
    assert store.blobs.peek(blob.digest) is not None
    blob.close()


def test_a_table_that_does_not_fit_is_refused(tiny_disk: Callable[[str], Path], tmp_path: Path) -> None:
    place = tiny_disk("200k")
    store = open_store(tmp_path / "state", place / "cache")
    with pytest.raises(StorageFailure, match="free some space"):
        store.tables.build("a" * 64, "v", ((f"{n:08}", b"x" * 100) for n in range(20_000)))
    assert store.tables.open("a" * 64, "v") is None
    store.tables.build("b" * 64, "v", [("x", b"1")])
    asyncio.run(store.close())


async def test_the_memory_of_an_unstored_file_is_freed_with_its_last_reader(store: Store, state_dir: Path) -> None:
    """It stayed in memory until the next collection of reference cycles."""
    fill(state_dir)
    gc.disable()
    try:
        for number in range(5):
            draft = begin(store, f"index {number}")
            body = draft.follow()
            await draft.write(b"z" * 3_000_000)
            blob = await draft.commit()
            assert await read_all(blob) == b"z" * 3_000_000
            assert store.drafts._budget.used == 3_000_000  # type: ignore[attr-defined]
            blob.close()
            body.close()
            assert store.drafts._budget.used == 0  # type: ignore[attr-defined]
            with pytest.raises(DraftFailed, match="disk full"):
                await draft.follow().wait(0)
    finally:
        gc.enable()


async def test_an_abandoned_file_frees_its_memory(store: Store, state_dir: Path) -> None:
    fill(state_dir)
    draft = begin(store, "index")
    await draft.write(b"z" * 3_000_000)
    await draft.abandon("wrong digest")
    assert store.drafts._budget.used == 0  # type: ignore[attr-defined]


async def test_a_file_that_fits_neither_on_the_disk_nor_into_memory_fails_at_once(
    store: Store, state_dir: Path
) -> None:
    fill(state_dir)
    draft = begin(store, "index", window=1 << 20)
    with pytest.raises(DiskFailure, match="does not fit"):
        await write_all(draft, 10_000_000)
    await draft.abandon("the disk is full")


async def test_all_files_in_memory_share_one_limit(
    store: Store, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.drafts._budget, "limit", 2_000_000)  # type: ignore[attr-defined]
    fill(state_dir)
    first, second = begin(store, "first"), begin(store, "second")
    await first.write(b"z" * 1_500_000)
    await first.seal()
    with pytest.raises(DiskFailure, match="too many files"):
        await write_all(second, 1_500_000)
    await second.abandon("the disk is full")
    (await first.commit()).close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
async def test_every_disk_that_takes_no_bytes_is_served_from_memory(
    store: Store, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, "")

    monkeypatch.setattr(os, "pwritev", refuse)
    draft = begin(store, "key")
    await draft.write(b"z" * 300_000)
    blob = await draft.commit()
    assert draft.full
    assert await read_all(blob) == b"z" * 300_000
    blob.close()


async def test_a_disk_that_fails_after_some_bytes_fails_the_draft(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = begin(store, "key")
    await draft.write(b"z" * 300_000)
    await settled(lambda: draft.follow().fileno() is not None and draft._sink.on_disk > 0)  # type: ignore[attr-defined]

    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, "")

    monkeypatch.setattr(os, "pwritev", refuse)
    with pytest.raises(DiskFailure, match="the disk reports errors"):
        await write_all(draft, 300_000)
    await draft.abandon("failed")


async def test_the_store_reports_a_full_disk_until_it_has_room(
    store: Store, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await store.disk_fault() == ""
    fill(state_dir)
    assert "free some space" in await store.disk_fault()
    (state_dir.parent / "filler").unlink()
    assert await store.disk_fault() == ""
    monkeypatch.setattr("snapproxy_storage.drafts._RECENT_SECONDS", 1000.0)
    draft = begin(store, "longer than what is left")
    await draft.write(b"z" * 4_000_000)
    await draft.abandon("stopped")
    assert "did not fit" in await store.disk_fault()
    monkeypatch.setattr("snapproxy_storage.drafts._RECENT_SECONDS", 0.0)
    assert await store.disk_fault() == ""
    assert files(state_dir) == []
