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
import contextlib
import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from snapproxy_storage.failures import os_failure
from snapproxy_storage.layout import is_journal, journal_name
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import Journal, JournalRemoved, StorageFailure
from snapproxy_storage.space_protocols import StoredJournal

_MAX_BYTES = 1 << 30

_READ_BYTES = 1 << 20
"""Bytes that one call of `read` reads: many lines, and a bounded share of memory."""

_MOST_OPEN = 64
"""Maximum number of journals with a descriptor. Opening one again takes a few microseconds."""


class LocalJournals:
    """The journals of one store. At most `most_open` of them have a descriptor, those that were used last."""

    def __init__(self, folder: OpenFolder, *, most_open: int = _MOST_OPEN) -> None:
        self._folder = folder
        self._most_open = most_open
        self._descriptors: OrderedDict[_LocalJournal, int] = OrderedDict()

    def open(self, name: str) -> Journal:
        journal = _LocalJournal(self, journal_name(name), f"the journal {self._folder.path / journal_name(name)}")
        try:
            journal.inode = os.fstat(self._open(journal, os.O_CREAT)).st_ino
        except OSError as error:
            raise os_failure(f"cannot open {journal.what}", error) from error
        return journal

    async def count(self) -> int:
        return len(await asyncio.to_thread(self._folder.names))

    def stored(self) -> Iterator[StoredJournal]:
        try:
            with self._folder.entries() as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):  # removed in the meantime
                        if is_journal(entry.name):
                            status = entry.stat(follow_symlinks=False)
                            yield StoredJournal(entry.name, status.st_size, int(status.st_mtime))
        except OSError as error:
            raise os_failure(f"cannot list the journals in {self._folder.path}", error) from error

    def read(self, name: str, start: int) -> tuple[Sequence[bytes], int]:
        try:
            fd = self._folder.open(journal_name(name), os.O_RDONLY)
            try:
                data = os.pread(fd, _READ_BYTES, start)
            finally:
                os.close(fd)
        except FileNotFoundError:
            return [], start
        except OSError as error:
            raise os_failure(f"cannot read the journal {self._folder.path / name}", error) from error
        *lines, rest = data.split(b"\n")
        if not lines and len(data) == _READ_BYTES:
            raise StorageFailure(f"a line of the journal {self._folder.path / name} is longer than {_READ_BYTES} bytes")
        return [line for line in lines if line], start + len(data) - len(rest)

    def close(self) -> None:
        """Close every descriptor."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    def descriptor(self, journal: _LocalJournal) -> int:
        """Return the descriptor of a journal. Opens it again if it was closed in favour of others. Raises OSError."""
        fd = self._descriptors.get(journal)
        if fd is not None:
            self._descriptors.move_to_end(journal)
            return fd
        try:
            fd = self._open(journal)
        except FileNotFoundError:
            raise JournalRemoved(f"{journal.what} was removed") from None
        if os.fstat(fd).st_ino != journal.inode:
            self.release(journal)
            raise JournalRemoved(f"{journal.what} was removed, and created again")
        return fd

    def release(self, journal: _LocalJournal) -> None:
        """Close the descriptor of a journal, if it has one."""
        fd = self._descriptors.pop(journal, None)
        if fd is not None:
            os.close(fd)

    def _open(self, journal: _LocalJournal, flags: int = 0) -> int:
        fd = self._folder.open(journal.name, os.O_RDWR | os.O_APPEND | flags)
        if not stat.S_ISREG(os.fstat(fd).st_mode):  # its lines are lost, which must not be concealed
            os.close(fd)
            raise OSError(errno.ENXIO, "")
        self._descriptors[journal] = fd
        while len(self._descriptors) > self._most_open:
            os.close(self._descriptors.popitem(last=False)[1])
        return fd

    async def remove(self, name: str) -> None:
        try:
            await asyncio.to_thread(self._remove, journal_name(name))
        except OSError as error:
            raise os_failure(f"cannot remove the journal {self._folder.path / journal_name(name)}", error) from error

    def _remove(self, name: str) -> None:
        self._folder.remove(name)
        self._folder.sync()


class _LocalJournal:
    """A journal file. `_read` is the offset up to which it was read; a truncated last line is read again."""

    def __init__(self, journals: LocalJournals, name: str, what: str) -> None:
        self.name = name
        self.what = what
        self.inode = 0
        self._journals = journals
        self._read = 0

    def add(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        data = b"\n%b\n" % b"\n".join(lines)
        if lines and data.count(b"\n") != len(lines) + 1:
            raise ValueError("a line must not contain a line break")
        try:
            fd = self._journals.descriptor(self)
            if not lines:
                return self._new_lines(fd, os.fstat(fd).st_size)
            written = os.write(fd, data)
            if written < len(data):
                # a partial write is a failure as well, and leaves no valid line
                raise OSError(errno.ENOSPC, "")  # noqa: TRY301
            end = os.lseek(fd, 0, os.SEEK_CUR)  # an append leaves the position at the end of its own bytes
            if end == self._read + written:  # no other writer: the lines of this process need not be read back
                self._read = end
                return lines
            return self._new_lines(fd, end)
        except OSError as error:
            raise os_failure(f"cannot use {self.what}", error) from error

    async def sync(self) -> None:
        try:
            fd = os.dup(self._journals.descriptor(self))  # the other may be closed in favour of another journal
            try:
                await asyncio.to_thread(os.fsync, fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise os_failure(f"cannot use {self.what}", error) from error

    def close(self) -> None:
        self._journals.release(self)

    def _new_lines(self, fd: int, size: int) -> list[bytes]:
        """Return the complete lines from the last read offset to `size`."""
        if size > _MAX_BYTES:
            raise StorageFailure(f"cannot use {self.what}: it has grown beyond {_MAX_BYTES} bytes")
        if size < self._read:
            raise StorageFailure(f"{self.what} is shorter than before: it has lost lines; check the disk")
        data = bytearray()
        while self._read < size and (piece := os.pread(fd, size - self._read, self._read)):
            data += piece
            self._read += len(piece)
        *lines, rest = bytes(data).split(b"\n")
        self._read -= len(rest)
        return [line for line in lines if line]
