"""The queue between `Draft.write` and the writer thread. It combines small pieces into larger writes."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable

from snapproxy_storage.draft_sink import SinkStep

_PIECE = 256 * 1024
"""Bytes after which a write starts without delay. A write of this size costs half as much per byte as one of 16 KiB."""
_GATHER_SECONDS = 0.005
"""Seconds for which fewer bytes are queued if the previous write has just started. After a pause they are written
immediately.
"""


class WriteQueue:
    """The accepted bytes of one draft that the writer thread has not yet written.

    `start_write` hands pieces to the writer thread. `on_written` receives its finished future in the event loop.
    """

    def __init__(
        self,
        start_write: Callable[[list[bytes]], asyncio.Future[SinkStep]],
        on_written: Callable[[asyncio.Future[SinkStep]], None],
    ) -> None:
        self._start_write = start_write
        self._on_written = on_written
        self._loop = asyncio.get_running_loop()
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._writing: asyncio.Future[SinkStep] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_start = float("-inf")
        self.backlog = 0
        """Bytes that are queued or being written."""

    @property
    def is_empty(self) -> bool:
        return not self._pending and self._writing is None

    def add(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_size += len(data)
        self.backlog += len(data)
        self._schedule()

    def flush(self) -> None:
        """Start writing the queued bytes, unless a write is running: its end starts the next one."""
        self.cancel_timer()
        if self._writing is not None or not self._pending:
            return
        pieces, count = self._pending, self._pending_size
        self._pending, self._pending_size = [], 0
        self._last_start = self._loop.time()
        self._writing = self._start_write(pieces)
        self._writing.add_done_callback(functools.partial(self._finish_write, count))

    def clear(self) -> None:
        """Discard the bytes that no write has started on."""
        self._pending.clear()

    def cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        """Start a write: immediately after a pause or for a large piece, otherwise after `_GATHER_SECONDS`."""
        if self._writing is not None or not self._pending:
            return
        delay = self._last_start + _GATHER_SECONDS - self._loop.time()
        if self._pending_size >= _PIECE or delay <= 0:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(delay, self.flush)

    def _finish_write(self, count: int, job: asyncio.Future[SinkStep]) -> None:
        self._writing = None
        self.backlog -= count
        self._on_written(job)
        if job.exception() is None:
            self._schedule()
