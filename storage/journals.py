"""Journals: append-only files of lines, written by any process, in one order for all of them.

For what is told once an answer: a line costs a few microseconds, where a transaction of the catalog would cost a hundred. What a
journal says survives the death of its writers at once, and a power cut after `sync`. A line that was cut off with its writer is no line.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Sequence

from storage.failures import os_failure
from storage.folder import Folder
from storage.layout import journal_name
from storage.locks import try_lock, unlock
from storage.protocols import Journal, StorageFailure

_RETRY_SECONDS = 0.001
_PATIENCE_SECONDS = 10.0
"""Turns take microseconds: who has to wait this long waits for a stopped process."""

_MOST_BYTES = 1 << 30


class LocalJournals:
    """The journals of one store."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def open(self, name: str) -> Journal:
        path = self._folder.path / journal_name(name)
        try:
            fd = self._folder.open(journal_name(name), os.O_RDWR | os.O_APPEND | os.O_CREAT)
        except OSError as error:
            raise os_failure(f"cannot open the journal {path}", error) from error
        return _LocalJournal(fd, f"the journal {path}")

    async def remove(self, name: str) -> None:
        try:
            await asyncio.to_thread(self._remove, journal_name(name))
        except OSError as error:
            raise os_failure(f"cannot remove the journal {self._folder.path / journal_name(name)}", error) from error

    def _remove(self, name: str) -> None:
        self._folder.remove(name)
        self._folder.sync()


class _LocalJournal:
    """One opening of a journal file. `_read` is the end of the last whole line that this opening knows."""

    def __init__(self, fd: int, what: str) -> None:
        self._fd = fd
        self._what = what
        self._read = 0

    async def turn(self, decide: Callable[[Sequence[bytes]], Sequence[bytes]]) -> None:
        await self._lock()
        try:
            lines = decide(self._news())
            if lines:
                self._append(lines)
        except OSError as error:
            raise os_failure(f"cannot use {self._what}", error) from error
        finally:
            unlock(self._fd)

    async def sync(self) -> None:
        try:
            await asyncio.to_thread(os.fsync, self._fd)
        except OSError as error:
            raise os_failure(f"cannot use {self._what}", error) from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def _lock(self) -> None:
        """Wait for our turn, without keeping the loop from others."""
        end = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while not try_lock(self._fd):
            if asyncio.get_running_loop().time() > end:
                raise StorageFailure(f"cannot use {self._what}: another process holds it; is one of them stopped?")
            await asyncio.sleep(_RETRY_SECONDS)

    def _news(self) -> list[bytes]:
        """Return the lines that came since our last turn."""
        size = os.fstat(self._fd).st_size
        if size > _MOST_BYTES:
            raise StorageFailure(f"cannot use {self._what}: it has grown beyond {_MOST_BYTES} bytes")
        data = bytearray()
        while self._read < size and (piece := os.pread(self._fd, size - self._read, self._read)):
            data += piece
            self._read += len(piece)
        if not data:
            return []
        *lines, rest = bytes(data).split(b"\n")
        self._read -= len(rest)
        return lines

    def _append(self, lines: Sequence[bytes]) -> None:
        """Write lines behind the last whole one; what a writer who died left of another is cut away."""
        if any(b"\n" in line for line in lines):
            raise ValueError("a line holds no line break")
        data = b"".join(line + b"\n" for line in lines)
        try:
            os.ftruncate(self._fd, self._read)
            if os.write(self._fd, data) < len(data):
                raise OSError(errno.ENOSPC, "")  # noqa: TRY301 # half of it is a failure as well, with the same end
        except OSError:
            os.ftruncate(self._fd, self._read)
            raise
        self._read += len(data)
