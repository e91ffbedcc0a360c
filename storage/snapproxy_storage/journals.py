"""Journals: append-only files of lines to which any process writes, in one order for all processes.

They are used for notes that are written for every answer: a line costs a few microseconds, a transaction of the catalog
about a hundred. Appending takes no lock. The order of the file decides which line came first, and `add` returns the
lines before its own. A line is kept if its writer dies immediately after the append, and after a power cut once `sync`
has returned.

Every write starts and ends with a line break, so that a line truncated by the death of its writer does not damage
another.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence

from snapproxy_storage.failures import os_failure
from snapproxy_storage.layout import journal_name
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import Journal, StorageFailure

_MAX_BYTES = 1 << 30


class LocalJournals:
    """The journals of one store."""

    def __init__(self, folder: OpenFolder) -> None:
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
    """An open journal file. `_read` is the offset up to which it was read; a truncated last line is read again."""

    def __init__(self, fd: int, what: str) -> None:
        self._fd = fd
        self._what = what
        self._read = 0

    def add(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        data = b"\n%b\n" % b"\n".join(lines)
        if lines and data.count(b"\n") != len(lines) + 1:
            raise ValueError("a line must not contain a line break")
        try:
            if not lines:
                return self._new_lines(os.fstat(self._fd).st_size)
            written = os.write(self._fd, data)
            if written < len(data):
                # a partial write is a failure as well, and leaves no valid line
                raise OSError(errno.ENOSPC, "")  # noqa: TRY301
            end = os.lseek(self._fd, 0, os.SEEK_CUR)  # an append leaves the position at the end of its own bytes
            if end == self._read + written:  # no other writer: the lines of this process need not be read back
                self._read = end
                return lines
            return self._new_lines(end)
        except OSError as error:
            raise os_failure(f"cannot use {self._what}", error) from error

    async def sync(self) -> None:
        try:
            await asyncio.to_thread(os.fsync, self._fd)
        except OSError as error:
            raise os_failure(f"cannot use {self._what}", error) from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _new_lines(self, size: int) -> list[bytes]:
        """Return the complete lines from the last read offset to `size`."""
        if size > _MAX_BYTES:
            raise StorageFailure(f"cannot use {self._what}: it has grown beyond {_MAX_BYTES} bytes")
        data = bytearray()
        while self._read < size and (piece := os.pread(self._fd, size - self._read, self._read)):
            data += piece
            self._read += len(piece)
        *lines, rest = bytes(data).split(b"\n")
        self._read -= len(rest)
        return [line for line in lines if line]
