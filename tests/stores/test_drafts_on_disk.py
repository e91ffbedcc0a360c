"""Drafts in local files: which bytes are trusted after a crash, when bytes are written, which calls may block."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from snapproxy_storage import DraftFailed, DraftOrphaned, Following, Meta, StorageFailure, Store, open_store
from snapproxy_storage.draft_files import DraftFiles
from snapproxy_storage.draft_record import State, decode, encode
from snapproxy_storage.draft_sink import DraftSink
from snapproxy_storage.layout import draft_name
from snapproxy_storage.open_folder import OpenFolder
from tests.stores.contracts import HELD, begin, digest_of, put, read_all, settled

META = Meta(length=300_000, etag='"1"')


def orphan(state_dir: Path, size: int, *, boot: str, meta: Meta = META) -> Path:
    """Create the files that a killed writer leaves: bytes and a record, without a lock."""
    folder = OpenFolder(state_dir / "drafts", os.open(state_dir / "drafts", os.O_RDONLY))
    files = DraftFiles.take(folder, draft_name("k"), boot)
    assert files is not None
    files.describe(meta)
    files.append([memoryview(b"o" * size)])
    files.close()
    folder.close()
    return state_dir / "drafts" / draft_name("k")


@pytest.fixture
def boot(store: Store) -> str:
    return store.drafts._boot  # type: ignore[attr-defined, no-any-return]


async def test_an_orphan_of_this_boot_is_resumed(store: Store, state_dir: Path, boot: str) -> None:
    orphan(state_dir, 100_000, boot=boot)
    draft = begin(store, "k")
    assert (draft.size, draft.meta) == (100_000, META)
    await draft.abandon("done")


async def test_an_orphan_of_another_boot_is_not_trusted(store: Store, state_dir: Path) -> None:
    """Its bytes were not flushed to disk: after a power cut they are undefined."""
    orphan(state_dir, 100_000, boot="another")
    draft = begin(store, "k")
    assert (draft.size, draft.meta) == (0, Meta())
    await draft.abandon("done")


async def test_an_orphan_that_shows_its_last_piece_is_not_resumed(store: Store, state_dir: Path, boot: str) -> None:
    """Its writer died between the last piece and the rename: a resume would release all bytes before the verdict."""
    orphan(state_dir, 300_000 - HELD + 1, boot=boot)
    draft = begin(store, "k")
    assert draft.size == 0
    await draft.abandon("done")


async def test_an_orphan_without_its_record_is_not_resumed(store: Store, state_dir: Path, boot: str) -> None:
    path = orphan(state_dir, 100_000, boot=boot)
    path.with_name(f"{path.name}.meta").write_bytes(b"torn")
    draft = begin(store, "k")
    assert draft.size == 0
    await draft.abandon("done")


async def test_a_record_of_another_file_is_not_believed(store: Store, state_dir: Path, boot: str) -> None:
    path = orphan(state_dir, 100_000, boot=boot)
    record_path = path.with_name(f"{path.name}.meta")
    record = decode(record_path.read_bytes())
    assert record is not None
    record_path.write_bytes(encode(replace(record, inode=record.inode + 1, state=State.KEPT)))
    draft = begin(store, "k")
    assert draft.size == 0
    await draft.abandon("done")


async def test_readers_of_an_orphan_that_is_thrown_away_fail(
    store: Store, state_dir: Path, cache_dir: Path, boot: str
) -> None:
    async with open_store(state_dir, cache_dir) as other:
        draft = begin(other, "k")
        await draft.describe(META)
        await draft.write(b"x" * 100_000)
        body = store.drafts.follow("k")
        assert body is not None
        assert await body.wait(0) == 100_000
        await draft.abandon("broke", keep=True)
        with pytest.raises(DraftFailed, match="broke"):
            await body.wait(100_000)
        again = begin(other, "k")
        await again.restart()
        begun = store.drafts.begin("k")
        assert isinstance(begun, Following)
        fresh = begun.body
        await again.write(b"y" * 100_000)
        blob = await again.commit()
        assert await read_all(fresh) == b"y" * 100_000
        for open_body in (body, fresh, blob):
            open_body.close()


async def test_a_write_protected_orphan_is_taken_over_by_its_plain_user(open_to_all: Path) -> None:
    """A writer died after it had made the file read-only, before the rename. Root would not notice."""
    state = open_to_all / "own"
    state.mkdir()
    state.chmod(0o777)
    script = f"""
import asyncio, os, sys
from pathlib import Path
from snapproxy_storage import Writing, open_store
os.getuid() or os.setuid(65534)
async def main():
    root = Path({str(state)!r})
    async with open_store(root / "state", root / "cache") as store:
        path = root / "state/drafts" / {draft_name("k")!r}
        path.write_bytes(b"x" * 1000)
        path.chmod(0o444)
        begun = store.drafts.begin("k")
        assert isinstance(begun, Writing) and begun.draft.size == 0
        draft = begun.draft
        await draft.write(b"fine")
        blob = await draft.commit()
        print(blob.size)
        blob.close()
        path.write_bytes(b"x" * 1000)
        path.chmod(0o444)
        print(await store.drafts.sweep(older_than=-1))
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=Path.cwd())
    assert (done.stdout, done.stderr) == ("4\n1\n", "")


async def test_a_draft_that_lost_its_writer_before_the_first_look_is_no_draft(
    store: Store, state_dir: Path, boot: str
) -> None:
    orphan(state_dir, 100_000, boot=boot)
    assert store.drafts.follow("k") is None


async def test_a_reader_survives_the_writers_death_after_the_last_piece(
    store: Store, state_dir: Path, cache_dir: Path
) -> None:
    """A complete file means a good verdict, with or without the rename."""
    async with open_store(state_dir, cache_dir) as other:
        draft = begin(other, "k")
        await draft.describe(META)
        await draft.write(b"x" * 300_000)
        await draft.seal()
        body = store.drafts.follow("k")
        assert body is not None
        sink: DraftSink = draft._sink  # type: ignore[attr-defined]
        sink.take_rest()
        sink._close()  # dies here: the lock is free
        assert await read_all(body) == b"x" * 300_000
        body.close()
        assert store.drafts.follow("k") is None, "a process that did not follow the draft does not trust its bytes"


async def test_small_pieces_that_keep_coming_are_written_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    real = os.pwritev
    monkeypatch.setattr(
        os, "pwritev", lambda fd, pieces, at: written.append(sum(map(len, pieces))) or real(fd, pieces, at)
    )
    monkeypatch.setattr("snapproxy_storage.write_queue._GATHER_SECONDS", 0.2)
    draft = begin(store, "k")
    await draft.describe(Meta(length=4 << 20))
    for _ in range(512):
        await draft.write(b"x" * 8192)
    await draft.seal()
    assert written[0] == 8192, "bytes after a pause are written immediately"
    assert min(written[1:-1]) >= 256 * 1024
    await draft.abandon("done")


async def test_a_write_waits_while_the_writer_thread_is_behind(store: Store) -> None:
    gate = threading.Event()
    draft = begin(store, "k")
    draft.tap(lambda _: gate.wait(10) and None)
    await draft.write(b"x")
    await asyncio.sleep(0.02)
    writing = asyncio.create_task(draft.write(b"x" * (2 << 20)))
    await asyncio.sleep(0.05)
    assert not writing.done()
    gate.set()
    await writing
    await draft.abandon("done")


async def test_an_abandon_frees_a_writer_that_waits(store: Store) -> None:
    gate = threading.Event()
    draft = begin(store, "k")
    draft.tap(lambda _: gate.wait(10) and None)
    await draft.write(b"x")
    await asyncio.sleep(0.02)
    writing = asyncio.create_task(draft.write(b"x" * (2 << 20)))
    await asyncio.sleep(0.02)
    leaving = asyncio.create_task(draft.abandon("leaving"))
    await asyncio.wait_for(writing, 2)
    gate.set()
    await leaving


async def test_a_broken_disk_fails_the_draft_with_the_systems_words(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = begin(store, "k")
    body = draft.follow()

    def broken(*_: object) -> int:
        raise OSError(5, "")

    await draft.write(b"x" * 300_000)
    await settled(lambda: draft._sink.on_disk > 0)  # type: ignore[attr-defined]  # before, memory would take the bytes
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", broken)
        await draft.write(b"x" * 100_000)
        with pytest.raises(StorageFailure, match="Input/output error; the disk reports errors"):
            await draft.seal()
    with pytest.raises(DraftFailed, match="Input/output error"):
        await body.wait(0)
    await draft.abandon("broken")
    body.close()
    assert await put(store, b"next") == digest_of(b"next")


async def test_a_broken_disk_at_the_commit_names_nothing(
    store: Store, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = begin(store, "k")
    await draft.write(b"x" * 100_000)

    def broken(fd: int) -> None:
        raise OSError(5, "")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(StorageFailure, match="Input/output error"):
            await draft.commit()
    assert list(store.blobs.digests()) == []
    assert list((state_dir / "drafts").iterdir()) == []
    await draft.abandon("told already")


async def test_nothing_slow_runs_on_the_event_loop(store: Store, watchdog: BlockBuster, no_inline_fsync: None) -> None:
    draft = begin(store, "k")
    body = draft.follow()
    for _ in range(20):
        await draft.write(b"x" * 100_000)
    blob = await draft.commit()
    assert await read_all(body) == await read_all(blob)
    await store.catalog.put_fact("f", 1)
    assert store.catalog.fact("f", 0) == 1
    await store.catalog.drop_fact("f")
    await store.blobs.remove(blob.digest)
    await store.drafts.sweep(older_than=0)
    for keep in (True, False):
        draft = begin(store, "kept")
        if draft.size:
            await draft.rehash()
        await draft.write(b"x" * 100_000)
        await draft.abandon("broke", keep=keep)
    body.close()
    blob.close()


async def test_readers_elsewhere_share_one_poll(
    store: Store, state_dir: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(state_dir, cache_dir) as other:
        draft = begin(other, "k")
        await draft.describe(META)
        bodies = [store.drafts.follow("k") for _ in range(30)]
        pollers = store.drafts._pollers  # type: ignore[attr-defined]
        (poller,) = pollers.values()
        polls = 0
        real = type(poller).poll

        def counted(self: object) -> None:
            nonlocal polls
            polls += 1
            real(self)

        monkeypatch.setattr(type(poller), "poll", counted)
        waits = [asyncio.create_task(body.wait(0)) for body in bodies if body is not None]
        await asyncio.sleep(0.3)
        assert 5 <= polls <= 16
        await draft.write(b"!")
        assert await asyncio.gather(*waits) == [1] * 30
        for body in bodies:
            assert body is not None
            body.close()
        assert pollers == {}
        await draft.abandon("done")
        await settled(lambda: store.drafts.follow("k") is None)


async def test_a_writer_that_is_just_leaving_is_waited_for(store: Store, state_dir: Path, boot: str) -> None:
    """A slow machine may pause between the last record and the release of the lock.

    A caller that begins in between neither fails with the old writer nor gives up.
    """
    folder = OpenFolder(state_dir / "drafts", os.open(state_dir / "drafts", os.O_RDONLY))
    leaving = DraftFiles.take(folder, draft_name("k"), boot)
    assert leaving is not None
    leaving._update_record(replace(leaving._record, state=State.FAILED, reason="the one before"))
    begun = store.drafts.begin("k")
    assert isinstance(begun, Following)
    body = begun.body
    waiting = asyncio.create_task(body.wait(0))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    leaving.close()
    with pytest.raises(DraftOrphaned):
        await waiting
    body.close()
    await begin(store, "k").abandon("done")
    folder.close()
