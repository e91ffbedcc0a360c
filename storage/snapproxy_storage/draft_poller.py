"""Follows a draft that another process writes, by looking at its files every 20 ms while somebody waits."""

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
    """One for every followed draft and process; it feeds the `stream` that all readers here share."""

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
        """Watch the live draft `name`, None when nobody writes one. Raises OSError."""
        try:
            fd = folder.open(name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        poller = cls(folder, name, fd, on_end)
        try:
            # Bytes that nobody saw arrive are not believed, even if there are as many as announced.
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
        """Whether the draft still arrives, under this name. Looks anew."""
        self.poll()
        return not self._is_over and self._folder.is_still(self.name, self._fd)

    def poll(self) -> None:
        """Bring the stream up to date."""
        if self._is_over:
            return
        try:
            # The lock before the record: a writer says how it ended, and then lets go.
            is_alive = is_locked(self._fd)
            record = self._read()
            self._feed(record, os.fstat(self._fd).st_size, is_alive=is_alive)
        except OSError as error:
            self.stream.fail(os_failure(f"cannot follow the draft {self._folder.path / self.name}", error))
        if self._is_over:
            self._on_end(self)

    def close(self) -> None:
        """Stop watching. Readers that are left get what they have been shown, and no more."""
        self._on_end(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._record_fd is not None:
            os.close(self._record_fd)
            self._record_fd = None
        self.stream.fail(DraftOrphaned("nobody watches this draft any more"))
        self.stream.retire()

    @property
    def _is_over(self) -> bool:
        return self.stream.failure is not None or self.stream.size is not None

    def _feed(self, record: DraftRecord | None, on_disk: int, *, is_alive: bool) -> None:
        orphaned = DraftOrphaned("the writer of this draft is gone")
        if record is None:  # not written yet, or torn by a write under way: the next look tells
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
        # All bytes there means a good verdict: the last piece is not written before it.
        if record.state is State.WHOLE or (not is_alive and length and on_disk == length):
            self.stream.finish(on_disk)
        elif not is_alive:
            self.stream.fail(orphaned)

    def _read(self) -> DraftRecord | None:
        """Read the record that belongs to this very file.

        One that has failed before the first look is of a writer that is just leaving, or of the one before: the next look
        finds another record, or the lock free.
        """
        if self._record_fd is not None:
            return read_record(self._record_fd)
        try:
            fd = self._folder.open(meta_name(self.name), os.O_RDONLY)
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
