"""The layout on disk: permissions, refused files in place of a folder, and the error messages."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from snapproxy_storage import StorageFailure, Store, open_store
from snapproxy_storage.layout import blob_name, draft_of, version_name
from tests.fakes.descriptors import open_descriptors
from tests.stores.contracts import begin, put


async def test_the_map_is_as_drawn(store: Store, state_dir: Path, cache_dir: Path) -> None:
    digest = await put(store, b"bytes")
    draft = begin(store, "k")
    await draft.write(b"x")
    store.tables.build("a" * 64, "apt-1", [("n", b"v")])
    await store.expiring.put("k", 1, seconds=9)
    store.journals.open("0" * 32).close()
    assert {str(path.relative_to(state_dir)) for path in state_dir.rglob("*")} == {
        "blobs",
        "blobs/sha256",
        f"blobs/sha256/{digest}",
        "drafts",
        "drafts/8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a",
        "drafts/8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a.meta",
        "journals",
        f"journals/{'0' * 32}",
        "counters",
        "catalog.sqlite3",
        "catalog.sqlite3-shm",
        "catalog.sqlite3-wal",
        "epoch",
        "slots",
        "space",
        "removals",
    }
    assert (cache_dir / "tables/apt-1" / ("a" * 64)).is_file()
    assert stat.S_IMODE((state_dir / "blobs/sha256" / digest).stat().st_mode) == 0o444
    folders = [
        state_dir,
        cache_dir,
        *(path for path in (*state_dir.rglob("*"), *cache_dir.rglob("*")) if path.is_dir()),
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders if "ephemera/" not in str(path)} == {0o700}
    await draft.abandon("done")


async def test_the_state_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")
    async with open_store(tmp_path / "state", tmp_path / "cache") as store:
        await put(store, b"x")
    assert (tmp_path / "elsewhere/catalog.sqlite3").exists()


@pytest.mark.parametrize("name", ["blobs", "drafts", "blobs/sha256", "catalog.sqlite3", "epoch", "slots"])
async def test_a_link_below_it_is_refused(state_dir: Path, cache_dir: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    place = state_dir / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFailure, match=str(place)):
        open_store(state_dir, cache_dir)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_in_place_of_the_state_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StorageFailure, match="move it away"):
        open_store(tmp_path / "state", tmp_path / "cache")


def test_an_unwritable_state_directory_says_what_why_and_what_to_do(open_to_all: Path) -> None:
    """Runs as another user than root, because root can write anywhere."""
    (open_to_all / "state").mkdir(mode=0o555)
    script = (
        "import os, sys; from pathlib import Path; from snapproxy_storage import open_store, StorageFailure\n"
        "os.getuid() or os.setuid(65534)\n"
        "try: open_store(Path(sys.argv[1]), Path(sys.argv[1], 'cache'))\n"
        "except StorageFailure as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(open_to_all / "state")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path.cwd(),
    )
    expected = (
        "Permission denied; make it readable and writable for the user that runs snapproxy, or configure another folder"
    )
    assert done.stdout == f"cannot write to the folder {open_to_all / 'state'}: {expected}\n"


def test_a_read_only_file_system_is_named_as_such(tiny_disk: Callable[[str], Path], tmp_path: Path) -> None:
    place = tiny_disk("1m")
    (place / "state").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    with pytest.raises(StorageFailure, match=r"Read-only file system; mount it writable"):
        open_store(place / "state", tmp_path / "cache")


def test_nothing_stays_open_when_opening_fails(state_dir: Path, cache_dir: Path) -> None:
    before = open_descriptors()
    state_dir.mkdir()
    (state_dir / "catalog.sqlite3").write_bytes(b"this is no database" * 100)
    with pytest.raises(StorageFailure, match="damaged"):
        open_store(state_dir, cache_dir)
    assert open_descriptors() == before


async def test_nothing_stays_open_after_a_close(state_dir: Path, cache_dir: Path) -> None:
    async def use() -> None:
        async with open_store(state_dir, cache_dir) as store:
            await put(store, b"x" * 100_000)
            for keep in (True, False):
                draft = begin(store, f"{keep}")
                if draft.size:
                    await draft.restart()
                body = draft.follow()
                await draft.write(b"x" * 100_000)
                await draft.abandon("enough", keep=keep)
                body.close()
            left = begin(store, "left open")
            if left.size:
                await left.restart()
            await left.write(b"y" * 100_000)
            await store.expiring.put("k", 1, seconds=9)
            store.tables.build("a" * 64, "v", [("n", b"v")])

    await use()
    before = open_descriptors()
    await use()
    assert open_descriptors() == before


async def test_a_draft_left_open_at_the_close_can_be_resumed(state_dir: Path, cache_dir: Path) -> None:
    async with open_store(state_dir, cache_dir) as store:
        await begin(store, "k").write(b"y" * 100_000)
    async with open_store(state_dir, cache_dir) as store:
        assert begin(store, "k").size > 0
        with pytest.raises(AssertionError):
            begin(store, "k")
    with pytest.raises(StorageFailure, match="closed"):
        store.drafts.begin("k")


def test_only_our_own_files_count_as_drafts() -> None:
    draft = "a" * 64
    assert [draft_of(name) for name in (draft, f"{draft}.meta", f"{draft}.new")] == [draft] * 3
    assert [draft_of(name) for name in ("", "x", f"{draft}.bak", f"{draft}.meta.meta", draft.upper())] == [None] * 5


@pytest.mark.parametrize("version", ["", "..", ".hidden", "a/b", "x" * 65, "nul\0"])
def test_a_version_is_a_plain_name(version: str) -> None:
    with pytest.raises(StorageFailure, match="table version"):
        version_name(version)


def test_a_blob_name_is_its_digest() -> None:
    assert blob_name("0123456789abcdef" * 4) == "0123456789abcdef" * 4


def test_the_usual_floor_of_free_space_is_a_part_of_the_file_system(
    tiny_disk: Callable[[str], Path], cache_dir: Path
) -> None:
    store = open_store(tiny_disk("20m") / "state", cache_dir, free_space=None)
    assert store.space.floor == 1 << 20
    asyncio.run(store.close())
