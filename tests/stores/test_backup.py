"""A backup is consistent and incremental, survives kills and full disks, and is restored whole or refused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from snapproxy_storage import (
    BackupSummary,
    Meta,
    Name,
    StorageFailure,
    Store,
    Value,
    back_up,
    backup,
    blob_check,
    open_store,
    restore,
)
from tests.stores.conftest import PYTHON_PATH
from tests.stores.contracts import begin, digest_of, put, read_all

DATA = [bytes([each]) * 20_000 for each in range(4)]
JOURNAL = "a" * 32


def ignore(_digest: str, _size: int) -> None:
    """Report no progress."""


async def fill(store: Store) -> list[str]:
    """Store rows of each kind, blobs and a journal; return the digests."""
    digests = [await put(store, each) for each in DATA]
    for digest, data in zip(digests, DATA, strict=True):
        await store.catalog.put_name("debian/1", digest, Name(digest, len(data), 3, {"k": "v"}))
    await store.catalog.observe("root/debian/x", 10, digests[0])
    await store.catalog.put_fact("fact", {"a": [1, 2]})
    journal = store.journals.open(JOURNAL)
    journal.add([b'{"note": 1}'])
    journal.close()
    return digests


async def copy(state_dir: Path, target: Path, *, with_blobs: bool = True) -> BackupSummary:
    return await asyncio.to_thread(back_up, state_dir, target, with_blobs=with_blobs, now=77, step=ignore)


async def check_filled(store: Store, digests: list[str]) -> None:
    for digest, data in zip(digests, DATA, strict=True):
        assert store.catalog.name("debian/1", digest) == Name(digest, len(data), 3, {"k": "v"})
        blob = store.blobs.peek(digest)
        assert blob is not None, "a restored file is recorded as verified"
        assert await read_all(blob) == data
        blob.close()
    assert store.catalog.around("root/debian/x", 10) == (Value(10, 10, digests[0]), None)
    assert store.catalog.fact("fact", 0) == {"a": [1, 2]}
    journal = store.journals.open(JOURNAL)
    assert journal.add([])[0] == b'{"note": 1}'
    journal.close()


async def test_a_restored_store_has_everything(store: Store, state_dir: Path, tmp_path: Path) -> None:
    digests = await fill(store)
    summary = await copy(state_dir, tmp_path / "backup")
    assert (summary.copied, summary.present, summary.journals, summary.missing) == (4, 0, 1, 0)
    assert await store.audit.strangers() == []
    restored = await asyncio.to_thread(restore, tmp_path / "backup", tmp_path / "new", step=ignore)
    assert (restored.restored, restored.damaged, restored.made, restored.journals) == (4, (), 77, 1)
    async with open_store(tmp_path / "new", tmp_path / "cache2") as other:
        await check_filled(other, digests)
        assert await other.audit.strangers() == []
        assert await other.audit.catalog_faults() == []


async def test_a_later_backup_copies_new_blobs_and_the_new_state(store: Store, state_dir: Path, tmp_path: Path) -> None:
    digests = await fill(store)
    await copy(state_dir, tmp_path / "backup")
    new = await put(store, b"new")
    await store.catalog.put_name("debian/2", "new", Name(new, 3, 3))
    await store.blobs.remove(digests[0])
    summary = await copy(state_dir, tmp_path / "backup")
    assert (summary.copied, summary.present, summary.size) == (1, 3, 3)
    assert summary.missing == 0, "the earlier backup has it"
    assert len([each for each in (tmp_path / "backup").iterdir() if each.name.startswith("state-")]) == 1
    await asyncio.to_thread(restore, tmp_path / "backup", tmp_path / "new", step=ignore)
    async with open_store(tmp_path / "new", tmp_path / "cache2") as other:
        assert other.catalog.name("debian/2", "new") == Name(new, 3, 3)


async def test_a_backup_without_blobs_has_names_and_journals(store: Store, state_dir: Path, tmp_path: Path) -> None:
    digests = await fill(store)
    await copy(state_dir, tmp_path / "backup", with_blobs=False)
    assert not (tmp_path / "backup/blobs").exists()
    await asyncio.to_thread(restore, tmp_path / "backup", tmp_path / "new", step=ignore)
    async with open_store(tmp_path / "new", tmp_path / "cache2") as other:
        assert other.catalog.name("debian/1", digests[0]) is not None
        assert await other.blobs.open(digests[0]) is None


async def test_catalog_and_journals_are_of_one_moment(
    store: Store, state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store)
    real, loop = backup._copy_catalog, asyncio.get_running_loop()

    async def close_the_capture() -> None:
        journal = store.journals.open(JOURNAL)
        journal.add([b"later"])
        journal.close()
        await store.catalog.put_fact("closed", value=True)
        await store.journals.remove(JOURNAL)

    def late(*arguments: object) -> None:
        asyncio.run_coroutine_threadsafe(close_the_capture(), loop).result(20)
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(backup, "_copy_catalog", late)
    await copy(state_dir, tmp_path / "backup")
    assert store.catalog.fact("closed", 0), "the store was written while it was copied"
    await asyncio.to_thread(restore, tmp_path / "backup", tmp_path / "new", step=ignore)
    async with open_store(tmp_path / "new", tmp_path / "cache2") as other:
        assert other.catalog.fact("closed", 0) is None
        journal = other.journals.open(JOURNAL)
        assert list(journal.add([])) == [b'{"note": 1}']
        journal.close()


async def test_a_name_without_its_blob_is_counted(store: Store, state_dir: Path, tmp_path: Path) -> None:
    digests = await fill(store)
    await store.blobs.remove(digests[0])
    assert (await copy(state_dir, tmp_path / "backup")).missing == 1


async def test_a_damaged_blob_is_not_copied_over_a_good_one(store: Store, state_dir: Path, tmp_path: Path) -> None:
    digests = await fill(store)
    await copy(state_dir, tmp_path / "other", with_blobs=False)
    rotten = state_dir / "blobs/sha256" / digests[0]
    rotten.chmod(0o600)
    rotten.write_bytes(b"x" * len(DATA[0]))
    store.blobs.record(digests[0], blob_check.identity_of(rotten.stat()))
    summary = await copy(state_dir, tmp_path / "backup")
    assert summary.damaged == (digests[0],)
    assert (summary.copied, summary.missing) == (3, 1)


async def test_a_blob_that_is_damaged_in_the_backup_is_left_out(store: Store, state_dir: Path, tmp_path: Path) -> None:
    digests = await fill(store)
    await copy(state_dir, tmp_path / "backup")
    rotten = tmp_path / "backup/blobs/sha256" / digests[1]
    rotten.chmod(0o600)
    rotten.write_bytes(b"x" * len(DATA[1]))
    restored = await asyncio.to_thread(restore, tmp_path / "backup", tmp_path / "new", step=ignore)
    assert restored.damaged == (digests[1],)
    async with open_store(tmp_path / "new", tmp_path / "cache2") as other:
        assert await other.blobs.open(digests[1]) is None


# --- interruptions ------------------------------------------------------------------------------------------------


def killed(what: str, *arguments: Path, after: int) -> None:
    """Run `back_up` or `restore` in another process, which kills itself after so many blobs."""
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom snapproxy_storage import back_up, restore\n"
        f"left = [{after}]\n"
        "def step(digest, size):\n"
        "    left[0] -= 1\n"
        "    if left[0] == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "one, other = map(Path, sys.argv[1:])\n"
        + (
            "back_up(one, other, with_blobs=True, now=1, step=step)"
            if what == "back_up"
            else "restore(one, other, step=step)"
        )
    )
    command = [sys.executable, "-c", script, *map(str, arguments)]
    ended = subprocess.run(command, check=False, timeout=60, env=os.environ | {"PYTHONPATH": PYTHON_PATH})
    assert ended.returncode == -signal.SIGKILL


async def test_a_killed_backup_leaves_the_earlier_one_whole(store: Store, state_dir: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    digests = await fill(store)
    await copy(state_dir, target)
    for each in range(5):
        await put(store, b"new" + bytes([each]))
    await store.catalog.drop_name("debian/1", digests[0])
    await asyncio.to_thread(killed, "back_up", state_dir, target, after=2)
    await asyncio.to_thread(restore, target, tmp_path / "old", step=ignore)
    async with open_store(tmp_path / "old", tmp_path / "cache2") as other:
        await check_filled(other, digests)
    await copy(state_dir, target)
    assert len([each for each in target.iterdir() if each.name.startswith("state-")]) == 1
    assert await store.audit.strangers() == []


async def test_a_first_backup_that_was_killed_is_no_backup_and_is_continued(
    store: Store, state_dir: Path, tmp_path: Path
) -> None:
    digests = await fill(store)
    await asyncio.to_thread(killed, "back_up", state_dir, tmp_path / "backup", after=2)
    with pytest.raises(StorageFailure, match="no whole backup"):
        await asyncio.to_thread(restore, tmp_path / "backup", tmp_path / "new", step=ignore)
    summary = await copy(state_dir, tmp_path / "backup")
    assert summary.present == 2
    await asyncio.to_thread(restore, tmp_path / "backup", tmp_path / "new", step=ignore)
    async with open_store(tmp_path / "new", tmp_path / "cache2") as other:
        await check_filled(other, digests)


async def test_a_killed_restore_opens_no_store_and_is_continued(store: Store, state_dir: Path, tmp_path: Path) -> None:
    digests = await fill(store)
    await copy(state_dir, tmp_path / "backup")
    await asyncio.to_thread(killed, "restore", tmp_path / "backup", tmp_path / "new", after=2)
    with pytest.raises(StorageFailure, match=r"restore into .* was interrupted"):
        open_store(tmp_path / "new", tmp_path / "cache2")
    await asyncio.to_thread(restore, tmp_path / "backup", tmp_path / "new", step=ignore)
    async with open_store(tmp_path / "new", tmp_path / "cache2") as other:
        await check_filled(other, digests)


async def test_a_full_disk_leaves_the_earlier_backup(
    store: Store, state_dir: Path, tiny_disk: Callable[[str], Path]
) -> None:
    target = tiny_disk("600k") / "backup"
    digests = await fill(store)
    await copy(state_dir, target)
    await put(store, os.urandom(900_000))
    with pytest.raises(StorageFailure, match="free some space"):
        await copy(state_dir, target)
    assert list(target.rglob("*.part")) == []
    small = tiny_disk("50k") / "state"
    with pytest.raises(StorageFailure, match="free some space"):
        await asyncio.to_thread(restore, target, small, step=ignore)
    await asyncio.to_thread(restore, target, state_dir.parent / "new", step=ignore)
    async with open_store(state_dir.parent / "new", state_dir.parent / "cache2") as other:
        await check_filled(other, digests)


# --- bad input ----------------------------------------------------------------------------------------------------


async def test_what_cannot_be_backed_up_is_refused(store: Store, state_dir: Path, tmp_path: Path) -> None:
    await fill(store)
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents/letter").touch()
    with pytest.raises(StorageFailure, match="is not a backup: it contains letter"):
        await copy(state_dir, tmp_path / "documents")
    for place in (state_dir, state_dir / "backups", state_dir.parent):
        with pytest.raises(StorageFailure, match="contain one another"):
            await copy(state_dir, place)
    with pytest.raises(StorageFailure, match="nothing to back up"):
        await copy(tmp_path / "empty", tmp_path / "backup")


async def test_two_backups_into_one_folder_at_a_time_are_refused(store: Store, state_dir: Path, tmp_path: Path) -> None:
    await fill(store)

    def second(_digest: str, _size: int) -> None:
        for target in ("backup", "other"):  # both use one folder of the store
            with pytest.raises(StorageFailure, match="another backup"):
                back_up(state_dir, tmp_path / target, with_blobs=True, now=2, step=ignore)

    await asyncio.to_thread(back_up, state_dir, tmp_path / "backup", with_blobs=True, now=1, step=second)


async def test_a_capture_that_is_closed_while_a_backup_begins_does_not_end_it(
    store: Store, state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its journal is removed after its notes are in the catalog."""
    await fill(store)
    real = os.link

    def late(name: str, *arguments: object, **options: object) -> None:
        (state_dir / "journals" / name).unlink()
        real(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(backup.os, "link", late)
    assert (await copy(state_dir, tmp_path / "backup")).journals == 0


def change_manifest(folder: Path, **values: object) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schema": 999}, "a newer program made the backup"),
        ({"format": 2}, "a newer program wrote this backup"),
        ({"kind": "something"}, "not the manifest of a backup"),
        ({"state": "../../etc"}, "not the manifest of a backup"),
        ({"journals": {"../x": {"size": 1, "sha256": "0" * 64}}}, "not the manifest of a backup"),
        ({"catalog": {"size": 1, "sha256": "0" * 64}}, "is damaged"),
    ],
)
async def test_what_cannot_be_restored_is_refused_before_anything_is_written(
    store: Store, state_dir: Path, tmp_path: Path, values: dict[str, object], message: str
) -> None:
    await fill(store)
    await copy(state_dir, tmp_path / "backup")
    change_manifest(tmp_path / "backup", **values)
    with pytest.raises(StorageFailure, match=message):
        await asyncio.to_thread(restore, tmp_path / "backup", tmp_path / "new", step=ignore)
    assert list((tmp_path / "new").iterdir()) == []


async def test_a_store_is_never_restored_over_another(store: Store, state_dir: Path, tmp_path: Path) -> None:
    await fill(store)
    await copy(state_dir, tmp_path / "backup")
    with pytest.raises(StorageFailure, match="is not empty"):
        await asyncio.to_thread(restore, tmp_path / "backup", state_dir, step=ignore)
    with pytest.raises(StorageFailure, match="there is no backup"):
        await asyncio.to_thread(restore, tmp_path / "nothing", tmp_path / "new", step=ignore)


async def test_an_unfinished_download_is_no_part_of_a_backup(store: Store, state_dir: Path, tmp_path: Path) -> None:
    await fill(store)
    draft = begin(store, "arriving")
    await draft.describe(Meta(length=500_000))
    await draft.write(b"x" * 400_000)
    assert (await copy(state_dir, tmp_path / "backup")).copied == 4
    await draft.abandon("over")


async def test_the_backup_has_one_file_of_the_catalog(store: Store, state_dir: Path, tmp_path: Path) -> None:
    digests = await fill(store)
    await copy(state_dir, tmp_path / "backup")
    (copied,) = (tmp_path / "backup").glob("state-*/catalog*")
    with sqlite3.connect(copied) as catalog:
        assert catalog.execute("SELECT count(*) FROM name").fetchone() == (4,)
    assert digest_of(DATA[0]) == digests[0]
