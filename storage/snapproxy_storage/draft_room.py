"""Reserve the disk space of a draft before its bytes are written. Without room the draft continues in memory."""

from __future__ import annotations

import asyncio

from snapproxy_storage.draft_sink import DraftSink, SinkStep
from snapproxy_storage.protocols import DiskFailure, StorageFailure
from snapproxy_storage.space import LocalSpace
from snapproxy_storage.threads import Threads


class DraftRoom:
    """The way from the queue of a draft to its sink."""

    def __init__(self, key: str, sink: DraftSink, space: LocalSpace, threads: Threads) -> None:
        self.why_full = DiskFailure("the disk takes no more bytes")
        """Why the draft continues in memory, if it does."""
        self._key = key
        self._sink = sink
        self._space = space
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._obtaining: asyncio.Task[bool] | None = None
        if sink.is_off_disk:
            self._note_shortage()

    @property
    def is_short(self) -> bool:
        """Whether the draft may have to wait until room is made."""
        return self._space.is_short

    def give(self, pieces: list[bytes], length: int | None) -> asyncio.Future[SinkStep]:
        """Let the sink take the pieces, after it has got the space for them. `length`: of the file, if known."""
        total = self._sink.hashed + sum(map(len, pieces))
        if self._sink.must_reserve(total):
            giving = self._give_with_space(pieces, total, length)
            return self._loop.create_task(giving, name=f"reserve space for {self._key}")
        return self._loop.run_in_executor(self._threads.writer, self._sink.take, pieces, length)

    def stop_waiting(self) -> None:
        """Fail the pieces that wait for space."""
        if self._obtaining is not None:
            self._obtaining.cancel()

    def _note_shortage(self) -> None:
        self.why_full = self._space.account.shortage() or self.why_full

    async def _give_with_space(self, pieces: list[bytes], total: int, length: int | None) -> SinkStep:
        wanted = total if length is None else length
        obtaining = self._space.obtain(self._sink.reservation, wanted, is_final=length is not None)
        self._obtaining = self._loop.create_task(obtaining, name=f"make room for {self._key}")
        try:
            await asyncio.wait({self._obtaining})
            if self._obtaining.cancelled():
                raise StorageFailure("the draft was abandoned while it waited for disk space")
            if not self._obtaining.result():
                self._note_shortage()
                await self._loop.run_in_executor(self._threads.writer, self._sink.refuse_disk)
        finally:
            self._obtaining = None
        return await self._loop.run_in_executor(self._threads.writer, self._sink.take, pieces, length)
