"""The checks of a local store: damage that no request can see, the limits of the quarantine, foreign files."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from snapproxy_storage import BlobState, FileCount, Store, blob_audit, open_store
from snapproxy_storage.blob_check import identity_of
from tests.stores.audit_contract import DATA, AuditContract, at_once
from tests.stores.contracts import put


def blob(state_dir: Path, digest: str) -> Path:
    return state_dir / "blobs/sha256" / digest


@pytest.fixture
def flip(store: Store, state_dir: Path) -> Callable[[str], None]:
    """Change a byte and record the changed file as verified: a disk that rots changes no time of a file."""

    def change(digest: str) -> None:
        file = blob(state_dir, digest)
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.chmod(0o600)
        file.write_bytes(data)
        store.blobs.record(digest, identity_of(file.stat()))

    return change


class TestLocalAudit(AuditContract): ...


async def test_a_quota_counts_a_damaged_blob_no_longer(limited: Store, state_dir: Path) -> None:
    digest = await put(limited, DATA)
    before = limited.space.stored
    blob(state_dir, digest).chmod(0o600)
    with blob(state_dir, digest).open("r+b") as file:
        file.write(b"X")
    assert (await limited.audit.check(digest, at_once)).state is BlobState.DAMAGED
    assert limited.space.stored == before - 45_056


async def test_the_quarantine_keeps_the_newest_files_within_its_limits(
    store: Store, flip: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, state_dir: Path
) -> None:
    monkeypatch.setattr(blob_audit, "QUARANTINE_BYTES", 3 * len(DATA))
    monkeypatch.setattr(blob_audit, "QUARANTINE_FILES", 2)
    damaged = [await put(store, DATA + bytes([each])) for each in range(4)]
    for digest in damaged:
        flip(digest)
        await store.audit.check(digest, at_once)
    assert sorted(each.name for each in (state_dir / "quarantine").iterdir()) == sorted(damaged[2:])
    monkeypatch.setattr(blob_audit, "QUARANTINE_BYTES", 10)
    flip(longer := await put(store, DATA * 2))
    await store.audit.check(longer, at_once)
    assert await store.audit.quarantined() == FileCount(0, 0)


async def test_an_entry_that_is_no_file_is_damage(store: Store, state_dir: Path) -> None:
    digest = await put(store, DATA)
    blob(state_dir, digest).unlink()
    blob(state_dir, digest).symlink_to("/etc/passwd")
    assert (await store.audit.check(digest, at_once)).state is BlobState.DAMAGED
    assert not os.path.lexists(blob(state_dir, digest))


async def test_a_file_that_the_disk_cannot_read_is_damage(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    digest = await put(store, DATA)

    def unreadable(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(blob_audit, "_from_disk", unreadable)
    assert (await store.audit.check(digest, at_once)).state is BlobState.DAMAGED
    assert "the disk reports errors" in caplog.text
    assert await store.blobs.open(digest) is None


async def test_entries_that_are_not_the_stores_are_listed(store: Store, state_dir: Path) -> None:
    digest = await put(store, DATA)
    (state_dir / "notes.txt").touch()
    (state_dir / "blobs/sha512").mkdir()
    (state_dir / "blobs/sha256/README").touch()
    (state_dir / "blobs/sha256" / f"{digest}.bak").touch()
    (state_dir / "journals/old").touch()
    (state_dir / "drafts/part").touch()
    (state_dir / "journals" / ("c" * 32)).mkdir()
    assert await store.audit.strangers() == sorted(
        [
            "blobs/sha256/README",
            f"blobs/sha256/{digest}.bak",
            "blobs/sha512",
            "drafts/part",
            f"journals/{'c' * 32}",
            "journals/old",
            "notes.txt",
        ]
    )


async def test_a_damaged_catalog_is_reported(state_dir: Path, cache_dir: Path) -> None:
    async with open_store(state_dir, cache_dir) as store:
        for each in range(300):
            await store.catalog.put_fact(f"key {each}", "x" * 200)
    with sqlite3.connect(state_dir / "catalog.sqlite3") as catalog:
        (page,) = catalog.execute("SELECT rootpage FROM sqlite_master WHERE name = 'fact'").fetchone()
        (size,) = catalog.execute("PRAGMA page_size").fetchone()
    with (state_dir / "catalog.sqlite3").open("r+b") as file:
        file.seek((page - 1) * size + 100)
        file.write(b"\xff" * 500)
    async with open_store(state_dir, cache_dir) as store:
        assert await store.audit.catalog_faults()


async def test_the_thread_of_the_checks_has_the_lowest_priority(store: Store) -> None:
    async def priority(_size: int) -> None:
        nice.extend(os.getpriority(os.PRIO_PROCESS, int(each.name)) for each in Path("/proc/self/task").iterdir())

    nice: list[int] = []
    await store.audit.check(await put(store, DATA), priority)
    assert nice.count(19) == 1, "the other threads keep theirs"


async def test_a_service_that_may_not_lower_its_priority_checks_nevertheless(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", forbidden)
    assert (await store.audit.check(await put(store, DATA), at_once)).state is BlobState.INTACT
