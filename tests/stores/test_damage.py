"""Damaged files of the store: detected before their bytes are used, removed, and stored again."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapproxy_storage import StorageFailure, Store, Writing, blob_check, open_store
from snapproxy_storage.layout import draft_name
from tests.fakes.damage import DAMAGES
from tests.stores.contracts import begin, digest_of, put, read_all

DATA = b"verified " * 5000


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The descriptors of the files that were hashed because their identity was unknown."""
    found: list[int] = []
    real = blob_check._sha256

    def counted(fd: int) -> str:
        found.append(fd)
        return real(fd)

    monkeypatch.setattr(blob_check, "_sha256", counted)
    return found


def path_of(state_dir: Path, digest: str) -> Path:
    return state_dir / "blobs/sha256" / digest


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_damaged_blob_is_removed_and_can_be_stored_again(
    store: Store, state_dir: Path, cache_dir: Path, damage: str, *, restarted: bool
) -> None:
    digest = await put(store, DATA)
    if restarted:
        await store.close()
        store = open_store(state_dir, cache_dir)
    epoch = store.catalog.epoch
    DAMAGES[damage](path_of(state_dir, digest))
    assert store.blobs.peek(digest) is None
    assert await store.blobs.open(digest) is None
    assert not os.path.lexists(path_of(state_dir, digest))
    assert store.blobs.was_damaged(digest)
    assert store.catalog.epoch > epoch
    assert await put(store, DATA) == digest
    assert not store.blobs.was_damaged(digest)
    blob = await store.blobs.open(digest)
    assert blob is not None
    assert await read_all(blob) == DATA
    blob.close()
    if restarted:
        await store.close()


async def test_a_folder_with_content_is_renamed_and_not_deleted(store: Store, state_dir: Path) -> None:
    digest = await put(store, DATA)
    DAMAGES["full folder"](path_of(state_dir, digest))
    assert await store.blobs.open(digest) is None
    (aside,) = (state_dir / "blobs/sha256").iterdir()
    assert (aside / "file").read_text() == "of value"
    assert list(store.blobs.digests()) == []


async def test_a_folder_that_appears_during_a_download_does_not_prevent_its_commit(
    store: Store, state_dir: Path
) -> None:
    path_of(state_dir, digest_of(DATA)).mkdir()
    assert await put(store, DATA) == digest_of(DATA)
    assert path_of(state_dir, digest_of(DATA)).is_file()


async def test_a_restored_store_is_hashed_once(
    store: Store, state_dir: Path, cache_dir: Path, tmp_path: Path, hashed: list[int]
) -> None:
    digest = await put(store, DATA)
    blob = await store.blobs.open(digest)
    assert blob is not None
    blob.close()
    await store.close()
    assert hashed == [], "a file whose bytes were hashed as they arrived is not hashed again"
    shutil.copytree(state_dir, tmp_path / "restored")
    for _ in range(2):
        async with open_store(tmp_path / "restored", cache_dir) as restored:
            assert restored.blobs.size(digest) == len(DATA)
            for _ in range(2):
                blob = await restored.blobs.open(digest)
                assert blob is not None
                assert await read_all(blob) == DATA
                blob.close()
    assert len(hashed) == 1


async def test_a_store_of_an_earlier_version_is_hashed_once(
    store: Store, state_dir: Path, cache_dir: Path, hashed: list[int]
) -> None:
    digests = [await put(store, bytes([number]) * 1000) for number in range(5)]
    await store.close()
    with sqlite3.connect(state_dir / "catalog.sqlite3") as catalog:
        catalog.execute("DROP TABLE blob")
        catalog.execute("DROP TABLE served")
        catalog.execute("DROP INDEX name_written")
        catalog.execute("ALTER TABLE name DROP COLUMN written")
        catalog.execute("DROP INDEX fact_expires")
        catalog.execute("PRAGMA user_version = 3")
    for _ in range(2):
        async with open_store(state_dir, cache_dir) as upgraded:
            for digest in digests:
                blob = await upgraded.blobs.open(digest)
                assert blob is not None
                blob.close()
    assert len(hashed) == len(digests)


async def test_simultaneous_readers_wait_for_one_check(store: Store, state_dir: Path, hashed: list[int]) -> None:
    digest = await put(store, DATA)
    path = path_of(state_dir, digest)
    path.rename(path.with_suffix(".old"))
    shutil.copy(path.with_suffix(".old"), path)
    blobs = await asyncio.gather(*(store.blobs.open(digest) for _ in range(20)))
    assert len(hashed) == 1
    for blob in blobs:
        assert blob is not None
        blob.close()


@pytest.mark.parametrize("damage", ["fifo", "folder", "full folder", "link", "dangling link", "socket"])
@pytest.mark.parametrize("suffix", ["", ".meta", ".new"])
async def test_another_entry_in_place_of_a_draft_does_not_prevent_the_download(
    store: Store, state_dir: Path, damage: str, suffix: str
) -> None:
    place = state_dir / "drafts" / f"{draft_name('key')}{suffix}"
    place.touch()
    DAMAGES[damage](place)
    assert store.drafts.follow("key") is None
    draft = begin(store, "key")
    await draft.write(DATA)
    blob = await draft.commit()
    assert await read_all(blob) == DATA
    blob.close()


async def test_the_bytes_that_a_damaged_draft_left_are_hashed_before_they_are_used(
    store: Store, state_dir: Path
) -> None:
    draft = begin(store, "key")
    await draft.write(DATA)
    await draft.abandon("stopped", keep=True)
    DAMAGES["flipped"](state_dir / "drafts" / draft_name("key"))
    resumed = store.drafts.begin("key")
    assert isinstance(resumed, Writing)
    assert resumed.draft.size > 0
    await resumed.draft.rehash()
    await resumed.draft.write(DATA[resumed.draft.size :])
    assert (await resumed.draft.seal()).digest != digest_of(DATA)
    await resumed.draft.abandon("wrong digest")


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_database_of_expiring_values_is_replaced(store: Store, cache_dir: Path, damage: str) -> None:
    database = cache_dir / "ephemera/cache.db"
    database.write_bytes(b"no database" * 1000)
    DAMAGES[damage](database)
    for _ in range(2):
        await store.expiring.put("key", 1, seconds=60)
    assert await store.expiring.get("key") == 1


def build(store: Store) -> None:
    store.tables.build("a" * 64, "1", ((f"{number:06}", b"value %d" % number) for number in range(20_000)))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_absent_or_refused_and_can_be_built_again(
    store: Store, cache_dir: Path, damage: str
) -> None:
    build(store)
    DAMAGES[damage](cache_dir / "tables/1" / ("a" * 64))
    table = store.tables.open("a" * 64, "1")
    if table is not None:  # a flipped block is detected when it is read
        with pytest.raises(StorageFailure, match="damaged"):
            dict(table.items())
        table.close()
    build(store)
    table = store.tables.open("a" * 64, "1")
    assert table is not None
    assert table.get("012345") == b"value 12345"
    table.close()


@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped"])
def test_a_table_that_is_damaged_while_it_is_open_gives_no_wrong_answer(
    store: Store, cache_dir: Path, damage: str
) -> None:
    """A table that was mapped into memory killed the process when its file was cut."""
    build(store)
    table = store.tables.open("a" * 64, "1")
    assert table is not None
    assert sum(1 for _ in table.items()) == 20_000
    DAMAGES[damage](cache_dir / "tables/1" / ("a" * 64))
    with pytest.raises(StorageFailure, match="damaged"):
        dict(table.items())
    assert store.tables.open("a" * 64, "1") is None
    table.close()


async def test_a_file_that_writers_replace_while_it_is_hashed_is_no_damage(
    store: Store, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several processes may store one blob at the same time; each renames its own file to the name."""
    digest = await put(store, DATA)
    path, real, left = path_of(state_dir, digest), blob_check._sha256, list(range(10))

    def replaced(fd: int) -> str:
        if left:
            left.pop()
            shutil.copy(path, path.with_name("copy"))
            path.with_name("copy").rename(path)
        return real(fd)

    monkeypatch.setattr(blob_check, "_sha256", replaced)
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").rename(path)
    blob = await store.blobs.open(digest)
    assert blob is not None
    blob.close()
    assert path.read_bytes() == DATA
    assert not left
