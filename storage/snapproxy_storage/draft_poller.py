"""Follow a draft that another process writes, by polling its files every 20 ms while a reader waits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from snapproxy_storage.draft_files import read_record
from snapproxy_storage.draft_record import DraftRecord, State
from snapproxy_storage.draft_stream import DraftStream
from snapproxy_storage.failures import os_failure
from snapproxy_storage.layout import meta_name
from snapproxy_storage.locks import is_locked
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import DraftFailed, DraftOrphaned

_POLL_SECONDS = 0.02


class DraftPoller:
    """The poller of one draft. It feeds the `stream` that all readers in this process share."""

    def __init__(self, folder: OpenFolder, name: str, fd: int, on_end: Callable[[DraftPoller], None]) -> None:
        self.name = name
        self.stream = DraftStream(fd)
        self.stream.on_wait = self._schedule_poll
        self.stream.on_idle = self.close
        self._folder = folder
        self._fd = fd
        self._record_fd: int | None = None
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def open(cls, folder: OpenFolder, name: str, on_end: Callable[[DraftPoller], None]) -> DraftPoller | None:
        """Start to follow the draft `name`. Return None if it has no writer. Raises OSError."""
        try:
            fd = folder.open_file(name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        poller = cls(folder, name, fd, on_end)
        try:
            # Without a live writer the bytes are not trusted, even if their number equals the announced length.
            is_alive = is_locked(fd)
        except OSError:
            poller.close()
            raise
        poller.poll()
        if not is_alive or poller.stream.failure is not None:
            poller.close()
            return None
        return poller

    @property
    def is_current(self) -> bool:
        """Whether the draft is still being written under this name. Polls the files."""
        self.poll()
        return not self._is_over and self._folder.is_still(self.name, self._fd)

    def poll(self) -> None:
        """Update the stream from the files."""
        if self._is_over:
            return
        try:
            # Check the lock before the record: a writer first records how it ended, then releases the lock.
            is_alive = is_locked(self._fd)
            record = self._read()
            self._feed(record, os.fstat(self._fd).st_size, is_alive=is_alive)
        except OSError as error:
            self.stream.fail(os_failure(f"cannot follow the draft {self._folder.path / self.name}", error))
        if self._is_over:
            self._on_end(self)

    def close(self) -> None:
        """Stop polling. The remaining readers receive no further bytes."""
        self._on_end(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._record_fd is not None:
            os.close(self._record_fd)
            self._record_fd = None
        self.stream.fail(DraftOrphaned("this process no longer follows the draft"))
        self.stream.retire()

    @property
    def _is_over(self) -> bool:
        return self.stream.failure is not None or self.stream.size is not None

    def _feed(self, record: DraftRecord | None, on_disk: int, *, is_alive: bool) -> None:
        orphaned = DraftOrphaned("the process that wrote this draft has ended")
        if record is None:  # not written yet, or torn by a concurrent write: the next poll reads it
            if not is_alive:
                self.stream.fail(orphaned)
            return
        if record.state is State.FAILED:
            self.stream.fail(DraftFailed(record.reason))
            return
        length = record.meta.length
        if record.meta != self.stream.meta:
            self.stream.describe(record.meta)
        self.stream.advance(on_disk)
        # A complete file means a good verdict, because the last piece is written only after the verdict.
        if record.state is State.WHOLE or (not is_alive and length and on_disk == length):
            self.stream.finish(on_disk)
        elif not is_alive:
            self.stream.fail(orphaned)

    def _read(self) -> DraftRecord | None:
        """Return the record of the open file of bytes, None if it does not exist yet.

        A record that is marked as failed at the first poll is that of a writer that is about to end, or of an earlier
        one. It is ignored: a later poll finds another record or a free lock.
        """
        if self._record_fd is not None:
            return read_record(self._record_fd)
        try:
            fd = self._folder.open_file(meta_name(self.name), os.O_RDONLY)
        except FileNotFoundError:
            return None
        record = read_record(fd)
        if record is None or record.inode != os.fstat(self._fd).st_ino or record.state is State.FAILED:
            os.close(fd)
            return None
        self._record_fd = fd
        return record

    def _schedule_poll(self) -> None:
        if self._timer is None and not self._is_over:
            self._timer = asyncio.get_running_loop().call_later(_POLL_SECONDS, self._poll_and_reschedule)

    def _poll_and_reschedule(self) -> None:
        self._timer = None
        self.poll()
        if self.stream.moved.has_waiters:
            self._schedule_poll()
