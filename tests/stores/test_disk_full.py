"""A full disk: the readers in this process are still served, nothing is named, other processes must try again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from snapproxy_storage import DraftFailed, Meta, Name, StorageFailure, Store, open_store
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
