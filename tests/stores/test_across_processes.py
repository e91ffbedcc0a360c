"""Drafts, names and slots shared by real processes. A lock, which the kernel frees, shows that a writer is alive."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from snapproxy_storage import DraftFailed, DraftOrphaned, Following, Meta, Name, Store
from tests.stores.conftest import PYTHON_PATH
from tests.stores.contracts import HELD, begin, digest_of, put, read_all, settled
from tests.stores.peer import pattern

CROWD = Path(__file__).with_name("crowd.py")


async def test_a_reader_in_another_process_streams_along(store: Store, peer: Any) -> None:
    other = await peer()
    await other.do("begin k")
    assert await other.hear() == "draft 0"
    await other.do("describe 500000")
    assert await other.hear() == "ok"
    begun = store.drafts.begin("k")
    assert isinstance(begun, Following)
    body = begun.body
    waiting = asyncio.create_task(body.wait(0))
    await other.do("write 1")
    assert await asyncio.wait_for(waiting, 5) == 1
    assert body.size == 500_000
    assert body.meta.etag == '"1"'
    reading = asyncio.create_task(read_all(body))
    await other.hear()
    await other.do("write 499999")
    await other.hear()
    await settled(lambda: body.position == 500_000 - HELD)  # type: ignore[attr-defined]
    assert not reading.done()
    await other.do("commit")
    assert await other.hear() == f"blob {digest_of(pattern(0, 500_000))} 500000"
    assert await reading == pattern(0, 500_000)
    body.close()


async def test_fifty_readers_over_two_processes_share_one_byte(store: Store, peer: Any) -> None:
    draft = begin(store, "k")
    await draft.describe(Meta(length=1_000_000))
    others = [await peer() for _ in range(2)]
    for other in others:
        await other.do("first k")
    here = [asyncio.create_task(draft.follow().wait(0)) for _ in range(48)]
    await draft.write(b"!")
    assert set(await asyncio.gather(*here)) == {1}
    assert [await other.hear() for other in others] == ["byte", "byte"]
    await draft.abandon("enough")


@pytest.mark.parametrize("ending", ["abandon", "keep"])
async def test_a_failure_reaches_readers_in_every_process(store: Store, peer: Any, ending: str) -> None:
    other = await peer()
    await other.do("begin k")
    await other.hear()
    body = store.drafts.follow("k")
    assert body is not None
    waiting = asyncio.create_task(body.wait(0))
    await asyncio.sleep(0.05)
    await other.do("write 100000")
    await other.hear()
    assert await waiting == 100_000 - HELD
    await other.do(ending)
    await other.hear()
    with pytest.raises(DraftFailed, match="the peer gave up"):
        await body.wait(100_000 - HELD)
    body.close()
    again = begin(store, "k")
    assert again.size == (100_000 - HELD if ending == "keep" else 0)
    await again.abandon("done")


async def test_a_killed_writer_leaves_an_orphan_that_the_next_resumes(store: Store, peer: Any) -> None:
    length = 400_000
    other, reader = await peer(), await peer()
    await other.do("begin k")
    await other.hear()
    await other.do(f"describe {length}")
    await other.hear()
    await other.do("write 200000")
    await other.hear()
    body = store.drafts.follow("k")
    assert body is not None
    assert await body.wait(0) == 200_000
    await reader.do("read k")
    await asyncio.sleep(0.1)
    await other.kill()
    with pytest.raises(DraftOrphaned):
        await body.wait(200_000)
    body.close()
    assert await reader.hear() == "orphaned"

    draft = begin(store, "k")
    assert (draft.size, draft.meta.length, draft.meta.etag) == (200_000, length, '"1"')
    await draft.rehash()
    await draft.write(pattern(200_000, length - 200_000))
    blob = await draft.commit()
    assert blob.digest == digest_of(pattern(0, length))
    blob.close()


async def test_readers_go_on_when_another_process_takes_the_orphan_over(store: Store, peer: Any) -> None:
    first, second = await peer(), await peer()
    for line in ("begin k", "describe 300000", "write 100000"):
        await first.do(line)
        await first.hear()
    body = store.drafts.follow("k")
    assert body is not None
    assert await body.wait(0) == 100_000
    await first.kill()  # no reader waits at this time, so none notices before the next writer has begun
    for line in ("begin k", "describe 300000", "rehash", "write 200000"):
        await second.do(line)
        await second.hear()
    reading = asyncio.create_task(read_all(body))
    await second.do("commit")
    await second.hear()
    assert await reading == pattern(0, 300_000)
    body.close()


async def test_readers_fail_when_the_next_writer_begins_again(store: Store, peer: Any) -> None:
    first, second = await peer(), await peer()
    for line in ("begin k", "describe 300000", "write 100000"):
        await first.do(line)
        await first.hear()
    body = store.drafts.follow("k")
    assert body is not None
    assert await body.wait(0) == 100_000
    await first.kill()
    for line in ("begin k", "restart", "describe 200000", "write 150000"):
        await second.do(line)
        await second.hear()
    with pytest.raises(DraftFailed, match="the download restarted from the beginning"):
        await body.wait(100_000)
    body.close()
    fresh = store.drafts.follow("k")
    assert fresh is not None
    assert await fresh.wait(0) == 150_000
    fresh.close()


async def test_of_many_processes_exactly_one_writes(store: Store, peer: Any) -> None:
    others = await asyncio.gather(*(peer() for _ in range(4)))
    for other in others:
        await other.do("begin k")
    assert sorted([await other.hear() for other in others]) == ["body", "body", "body", "draft 0"]


async def test_a_name_given_in_one_process_is_read_in_another(store: Store, peer: Any) -> None:
    other = await peer()
    await other.do(f"name s n {'a' * 64} 2")
    await other.hear()
    assert store.catalog.name("s", "n") == Name("a" * 64, 1, 2)
    await store.catalog.drop_name("s", "n")
    await other.do("epoch")
    assert await other.hear() == str(store.catalog.epoch) == "1"


async def test_a_slot_is_free_again_when_its_process_dies(store: Store, peer: Any) -> None:
    other = await peer()
    await other.do("slot upstream 1")
    assert await other.hear() == "taken"
    assert store.slots.take("upstream", 1) is None
    await other.kill()
    slot = store.slots.take("upstream", 1)
    assert slot is not None
    slot.release()


async def test_a_sweep_leaves_what_another_process_writes(store: Store, peer: Any) -> None:
    other = await peer()
    for line in ("begin k", "write 100000"):
        await other.do(line)
        await other.hear()
    assert await store.drafts.sweep(older_than=-1) == 0
    await other.kill()
    assert await store.drafts.sweep(older_than=-1) == 1


@pytest.mark.long
def test_a_crowd_with_sudden_deaths_never_reads_a_wrong_byte(state_dir: Path, cache_dir: Path) -> None:
    """Twenty processes, three at a time, a third of them killed at a random time."""
    whim = random.Random(7)
    environment = os.environ | {"PYTHONPATH": PYTHON_PATH}
    for seed in range(7):
        crowd = [
            subprocess.Popen(
                [sys.executable, str(CROWD), str(state_dir), str(cache_dir), f"{seed} {number}", "3"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
            )
            for number in range(3)
        ]  # fmt: skip
        time.sleep(whim.uniform(0.5, 2.5))
        crowd[0].kill()
        crowd[0].communicate()
        assert [one.communicate(timeout=60)[0] for one in crowd[1:]] == ["fine\n", "fine\n"]
    for blob in (state_dir / "blobs/sha256").iterdir():
        assert digest_of(blob.read_bytes()) == blob.name


async def test_an_eviction_waits_for_the_hold_of_another_process_which_may_die(store: Store, peer: Any) -> None:
    digest = await put(store, b"one")
    for end in ("release", "kill"):
        other = await peer()
        await other.do("hold")
        assert await other.hear() == "held"
        evicting = asyncio.create_task(store.blobs.evict([digest], lambda: ()))
        await asyncio.sleep(0.05)
        assert store.blobs.size(digest) == 3
        await (other.do("release") if end == "release" else other.kill())
        assert (await evicting).digests == [digest]
        await put(store, b"one")


async def test_a_blob_that_another_process_has_open_is_pending(store: Store, peer: Any) -> None:
    digest = await put(store, b"one")
    other = await peer()
    await other.do(f"open {digest}")
    assert await other.hear() == "open"
    assert (await store.blobs.evict([digest], lambda: ())).pending == 4096
