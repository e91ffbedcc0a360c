"""A small download that uses every write operation once: begin, keep, resume, commit, name, remove. Prints "done".

Runs on one thread and without timers, so that two runs make the same system calls in the same order. If the store
fails, the process prints the failure on standard error and exits with code 3.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import snapproxy_storage.threads
import snapproxy_storage.write_queue
from snapproxy_storage import Draft, Meta, Name, StorageFailure, Store, Writing, open_store

SIZE = 400_000
DATA = bytes(i % 251 for i in range(SIZE))


class OneThread(Executor):
    """Run submitted work immediately, on the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the future carries it
            done.set_exception(error)
        return done


async def at_once(work: Callable[..., Any], *args: Any) -> Any:
    return work(*args)


def begin(store: Store, key: str) -> Draft:
    begun = store.drafts.begin(key)
    assert isinstance(begun, Writing)
    return begun.draft


async def download(store: Store) -> None:
    draft = begin(store, "k")
    if draft.size == 0:
        await draft.describe(Meta(source="s", length=SIZE, etag='"1"'))
        for at in range(0, SIZE // 2, 50_000):
            await draft.write(DATA[at : at + 50_000])
        await draft.abandon("upstream broke", keep=True)
        draft = begin(store, "k")
    if draft.meta.length not in (None, SIZE):
        await draft.restart()
    await draft.describe(Meta(source="s", length=SIZE, etag='"1"'))
    if draft.size:
        await draft.rehash()
    for at in range(draft.size, SIZE, 50_000):
        await draft.write(DATA[at : at + 50_000])
    blob = await draft.commit()
    blob.close()
    if draft.full:
        raise StorageFailure("the disk is full: the readers were served, nothing was named")
    await store.catalog.put_name("debian", "pool/k", Name(blob.digest, blob.size, 2))
    await store.catalog.observe("root", 5, blob.digest)


async def tidy(store: Store) -> None:
    """Remove a blob and its name, and build a table."""
    draft = begin(store, "short-lived")
    await draft.write(b"short-lived")
    blob = await draft.commit()
    blob.close()
    await store.catalog.put_name("debian", "short-lived", Name(blob.digest, blob.size, 2))
    await store.catalog.drop_name("debian", "short-lived")
    await store.blobs.remove(blob.digest)
    await store.drafts.sweep(older_than=3600)
    store.tables.build("a" * 64, "v", [("x", b"1")])


async def main() -> None:
    async with open_store(Path(sys.argv[1]), Path(sys.argv[2])) as store:
        await download(store)
        await tidy(store)


if __name__ == "__main__":
    if "threads" not in sys.argv:
        threads: Any = snapproxy_storage.threads
        threads.ThreadPoolExecutor = lambda *_: OneThread()
        asyncio.to_thread = at_once  # type: ignore[assignment]
        snapproxy_storage.write_queue._GATHER_SECONDS = 0
    try:
        asyncio.run(main())
    except StorageFailure as failure:
        print(failure, file=sys.stderr)
        sys.exit(3)
    print("done")
