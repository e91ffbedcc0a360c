"""The writer's side of a draft on the local disk: call order, back-pressure and the two endings, in the event loop.

`DraftSink` does the blocking work on threads. Cancelling a call does not damage the draft: `write` accepts its bytes
immediately, and a `commit` or `abandon` that has started runs to its end in a separate task.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar

from snapproxy_storage.blobs import LocalBlobs
from snapproxy_storage.draft_files import DraftFiles
from snapproxy_storage.draft_room import DraftRoom
from snapproxy_storage.draft_sink import DraftSink, SinkStep
from snapproxy_storage.draft_stream import DraftStream, UnstoredBlob
from snapproxy_storage.failures import os_failure
from snapproxy_storage.held_back import releasable
from snapproxy_storage.memory_window import MemoryWindow
from snapproxy_storage.notifier import Notifier
from snapproxy_storage.protocols import Blob, Body, DiskFailure, DraftFailed, Meta, Sealed, StorageFailure
from snapproxy_storage.space import LocalSpace
from snapproxy_storage.space_account import Reservation
from snapproxy_storage.threads import Threads
from snapproxy_storage.write_queue import WriteQueue

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_R = TypeVar("_R")
_STALLED_SECONDS = 30.0
"""Maximum seconds for which the slowest reader may block the memory window of a full disk before it fails."""


class LocalDraft:
    """A draft on the local disk. `files` is None if the disk is too full to create them.

    `make_window` returns the window for the bytes from an offset on, once the disk is full.
    `backlog` returns the number of accepted but unwritten bytes above which `write` waits.
    """

    def __init__(
        self,
        key: str,
        files: DraftFiles | None,
        reservation: Reservation,
        *,
        space: LocalSpace,
        blobs: LocalBlobs,
        threads: Threads,
        make_window: Callable[[int, DiskFailure], MemoryWindow],
        backlog: Callable[[], int],
        on_end: Callable[[LocalDraft], None],
    ) -> None:
        self.key = key
        self._blobs = blobs
        self._threads = threads
        self._make_window = make_window
        self._backlog_limit = backlog
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._stream = DraftStream(files.open_reader() if files else None)
        self._sink = DraftSink(files, space.account, reservation)
        self._room = DraftRoom(key, self._sink, space, threads)
        self._meta = files.meta if files else Meta()
        self._size = self._inherited = files.written if files else 0
        self._is_read = self._inherited == 0
        """Whether the bytes of an earlier writer are hashed. Until then the readers here do not receive them."""
        self._is_begun = False
        self._queue = WriteQueue(self._start_write, self._written)
        self._jobs: set[asyncio.Future[Any]] = set()
        self._worked = Notifier()
        self._failure: Exception | None = None
        self._sealed: Sealed | None = None
        self._ending: asyncio.Task[None] | None = None
        self._unstored: UnstoredBlob | None = None
        if files is None:
            self._enter_full(0)

    @property
    def size(self) -> int:
        return self._size

    @property
    def meta(self) -> Meta:
        return self._meta

    @property
    def full(self) -> bool:
        return self._stream.window is not None

    def misfit(self) -> DiskFailure:
        return (self._stream.window or self._make_window(0, self._room.why_full)).misfit()

    def follow(self) -> Body:
        sealed = self._sealed if self._stream.is_closed else None  # the draft has ended, and its last reader is closed
        blob = self._blobs.peek(sealed.digest) if sealed is not None else None
        return blob or self._stream.follow()

    def tap(self, update: Callable[[bytes], None]) -> None:
        _require_unused("add a tap", is_begun=self._is_begun)
        self._sink.tap(update)

    async def rehash(self) -> None:
        _require_unused("rehash", is_begun=self._is_begun)
        self._is_begun = True
        at, reader = 0, self._stream.reader
        while at < self._inherited and reader is not None:
            at += await self._run(self._threads.writer, self._sink.rehash, reader, at, self._inherited)
        self._is_read = True
        self._stream.advance(self._inherited)

    async def restart(self) -> None:
        _require_unused("restart", is_begun=self._is_begun)
        reader = await self._run(self._threads.writer, self._sink.restart)
        self._meta, self._size, self._inherited, self._is_read = Meta(), 0, 0, True
        self._stream = self._stream.restarted(reader)
        if reader is None:
            self._enter_full(0)

    async def describe(self, meta: Meta) -> None:
        known = self._meta.length if self._inherited else self._stream.meta.length
        _check_length(meta.length, known, self._size, self._inherited)
        self._meta = meta
        self._stream.describe(meta)
        self._apply(await self._run(self._threads.writer, self._sink.describe, meta))

    async def write(self, data: bytes) -> None:
        self._raise_failure()
        if self._sealed is not None or self._ending is not None:
            raise StorageFailure("cannot write: the draft was already sealed or has ended")
        if not self._is_read:
            raise StorageFailure("cannot write to a resumed draft before rehash or restart")
        length = self._stream.meta.length
        if length is not None and self._size + len(data) > length:
            raise StorageFailure(f"the source sent more than the {length} bytes that it announced")
        self._is_begun = True
        self._size += len(data)
        self._queue.add(bytes(data))
        while self._queue.backlog > self._backlog_limit() and self._failure is None and self._ending is None:
            await self._worked.wait()
        await self._stream.make_room(_STALLED_SECONDS, lambda: self._ending is not None)
        self._raise_failure()

    async def seal(self) -> Sealed:
        await self._drain()
        self._raise_failure()
        length = self._stream.meta.length
        if length not in (None, self._size):
            raise StorageFailure(f"the source ended after {self._size} of {length} bytes")
        if not self._is_read:
            raise StorageFailure("cannot seal a resumed draft before rehash or restart")
        if self._sealed is None:
            self._sealed = Sealed(self._sink.digest(), self._size)
        return self._sealed

    async def commit(self) -> Blob:
        sealed = await self.seal()
        if self._ending is None:
            self._ending = _run_to_end(self._commit(sealed), self.key)
        await asyncio.shield(self._ending)
        if self._unstored is not None:
            unstored, self._unstored = self._unstored, None
            return unstored
        blob = None if self._stream.failure else await self._blobs.open(sealed.digest)
        if blob is None:
            raise StorageFailure("the draft was abandoned, or its blob was removed immediately")
        return blob

    async def abandon(self, reason: str, *, keep: bool = False) -> None:
        if self._ending is None:
            self._stream.fail(DraftFailed(reason))
            self._stream.consumed.notify()
            self._ending = _run_to_end(self._abandon(reason, keep=keep), self.key)
        with contextlib.suppress(StorageFailure):  # the failure of a commit was raised in its caller
            await asyncio.shield(self._ending)
        if self._unstored is not None:
            self._unstored.close()
            self._unstored = None

    async def _commit(self, sealed: Sealed) -> None:
        try:
            if not self.full:
                self._apply(await self._run(self._threads.writer, self._sink.take_rest))
            self._stream.advance(sealed.size)
            if not self.full:
                step = await self._run(self._threads.disk, self._sink.publish, self._blobs.folder, sealed.digest)
                if step.identity is not None:
                    self._blobs.record(sealed.digest, step.identity)
                self._apply(step)
            self._stream.finish(sealed.size)
            if self.full:
                self._unstored = UnstoredBlob(self._stream, sealed.digest, sealed.size)
        except StorageFailure:
            await self._discard("the store failed")
            raise
        finally:
            self._release()

    async def _abandon(self, reason: str, *, keep: bool) -> None:
        try:
            if keep and not self._room.is_short:
                await self._drain()
            self._room.stop_waiting()  # bytes that wait for room are not kept
            self._queue.clear()
            self._worked.notify()
            while self._jobs:
                await self._worked.wait()
            if keep and self._sink.on_disk and self._failure is None:
                await self._run(self._threads.disk, self._sink.keep, reason)
            else:
                await self._discard(reason)
        finally:
            self._release()

    async def _discard(self, reason: str) -> None:
        try:
            await self._run(self._threads.disk, self._sink.discard, reason)
        except StorageFailure as error:
            _log.warning("Cannot remove a draft; a later sweep will remove it: %s", error)

    def _release(self) -> None:
        self._queue.cancel_timer()
        self._sink.release()
        self._on_end(self)
        self._stream.retire()

    async def _run(self, pool: Executor, work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run blocking work on a thread. It completes even if the caller is cancelled. An OSError fails the draft."""
        job = self._loop.run_in_executor(pool, functools.partial(work, *args, **kwargs))
        self._jobs.add(job)
        job.add_done_callback(self._job_done)
        try:
            return await asyncio.shield(job)
        except OSError as error:
            raise self._fail(error) from error

    def _job_done(self, job: asyncio.Future[Any]) -> None:
        self._jobs.discard(job)
        self._worked.notify()

    def _start_write(self, pieces: list[bytes]) -> asyncio.Future[SinkStep]:
        job = self._room.give(pieces, self._stream.meta.length)
        self._jobs.add(job)
        return job

    def _written(self, job: asyncio.Future[SinkStep]) -> None:
        error = asyncio.CancelledError() if job.cancelled() else job.exception()
        if error is None:
            self._apply(job.result())
        elif isinstance(error, Exception):
            self._fail(error)
        self._job_done(job)

    async def _drain(self) -> None:
        """Wait until the writer thread has written all accepted bytes."""
        while not self._queue.is_empty and self._failure is None:
            self._queue.flush()
            await self._worked.wait()

    def _apply(self, step: SinkStep) -> None:
        if step.is_full:
            self._enter_full(step.on_disk)
        if self._stream.window is not None:
            self._stream.window.add(step.spilled)
            if self._stream.window.is_over_budget:
                self._fail(self._stream.window.misfit("too many files are kept in memory"))
        if self._is_read:
            self._stream.advance(step.available)

    def _enter_full(self, on_disk: int) -> None:
        if not self.full:
            _log.warning("%s continues in memory and will not be stored: %s", self.key, self._room.why_full)
            self._stream.spill(on_disk, self._make_window(on_disk, self._room.why_full))

    def _fail(self, error: Exception) -> Exception:
        """Record the failure, after which the draft can only be abandoned, and fail its readers."""
        self._failure = os_failure(f"cannot store {self.key}", error) if isinstance(error, OSError) else error
        self._stream.fail(DraftFailed(str(self._failure)))
        return self._failure

    def _raise_failure(self) -> None:
        if self._failure:
            raise self._failure


def _run_to_end(ending: Coroutine[None, None, None], key: str) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(ending, name=f"end draft {key}")
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # its caller may be cancelled
    return task


def _require_unused(action: str, *, is_begun: bool) -> None:
    if is_begun:
        raise StorageFailure(f"cannot {action}: bytes of this draft were already read or written")


def _check_length(length: int | None, known: int | None, size: int, inherited: int) -> None:
    """Raise StorageFailure for a length that contradicts the `known` one or the bytes that the draft already has."""
    if known not in (None, length):
        raise StorageFailure(
            f"the length changed from {known} to {length} bytes: this is another file; restart the draft"
        )
    if length is not None and (size > length or inherited > releasable(inherited, length)):
        raise StorageFailure(
            f"{size} of {length} bytes are already stored, so no last piece can be held back; restart the draft"
        )
