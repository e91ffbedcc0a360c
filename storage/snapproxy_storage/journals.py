"""Journals: append-only files of lines, written by any process, in one order for all of them.

For what is told once an answer: a line costs a few microseconds, where a transaction of the catalog would cost a hundred. Nobody takes
a lock: the file's own order decides who came first, and whoever adds a line is shown what stands before it. What a journal says
survives the death of its writers at once, and a power cut after `sync`.

Every write begins and ends with a line break, so that a line which was cut off with its writer spoils no other.
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

_MOST_BYTES = 1 << 30


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
    """One opening of a journal file. `_read` is how far it has been read; what is cut off at the end is read again."""

    def __init__(self, fd: int, what: str) -> None:
        self._fd = fd
        self._what = what
        self._read = 0

    def add(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        data = b"\n%b\n" % b"\n".join(lines)
        if lines and data.count(b"\n") != len(lines) + 1:
            raise ValueError("a line holds no line break")
        try:
            if not lines:
                return self._news(os.fstat(self._fd).st_size)
            written = os.write(self._fd, data)
            if written < len(data):
                raise OSError(errno.ENOSPC, "")  # noqa: TRY301 # half of it is a failure as well, and what it left is no line
            end = os.lseek(self._fd, 0, os.SEEK_CUR)  # an append leaves it at the end of what was written
            if end == self._read + written:  # nobody else has written: no need to read our own
                self._read = end
                return lines
            return self._news(end)
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

    def _news(self, size: int) -> list[bytes]:
        """Return the whole lines between what was read last and `size`."""
        if size > _MOST_BYTES:
            raise StorageFailure(f"cannot use {self._what}: it has grown beyond {_MOST_BYTES} bytes")
        data = bytearray()
        while self._read < size and (piece := os.pread(self._fd, size - self._read, self._read)):
            data += piece
            self._read += len(piece)
        *lines, rest = bytes(data).split(b"\n")
        self._read -= len(rest)
        return [line for line in lines if line]
