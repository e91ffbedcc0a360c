"""The tables in the cache folder: published atomically, read block by block, removed if damaged.

A table is not mapped into memory: reading a page that another program has cut off would kill the process.
"""

from __future__ import annotations

import bisect
import contextlib
import logging
import os
from collections.abc import Iterable, Iterator

from snapproxy_storage.failures import os_failure
from snapproxy_storage.layout import is_digest, table_name, version_name
from snapproxy_storage.locks import lock
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import StorageFailure
from snapproxy_storage.space_count import size_on_disk
from snapproxy_storage.space_protocols import StoredTable, blocks
from snapproxy_storage.table_format import (
    MAGIC,
    TRAILER,
    BlockEntry,
    block_rows,
    find,
    index_place,
    is_sound,
    read_index,
    write_table,
)
from snapproxy_storage.table_sort import sorted_rows

_log = logging.getLogger(__name__)

_SORT_BYTES = 8 << 20
"""Maximum bytes of rows in memory while sorting. Debian's longest indexes need a few runs of this size, as fast as one
run.
"""


class LocalTable:
    """An open table.

    If `get` or `items` detects damage, it removes the file and raises StorageFailure: build the table again.

    It does not return None, because None means that the table does not contain the name.
    """

    def __init__(self, folder: OpenFolder, name: str, fd: int, names: list[bytes], entries: list[BlockEntry]) -> None:
        self._folder = folder
        self._name = name
        self._fd = fd
        self._names = names
        self._entries = entries

    def get(self, name: str) -> bytes | None:
        key = name.encode("utf-8", "surrogatepass")
        number = bisect.bisect_right(self._names, key) - 1
        return find(self._block(number), key) if number >= 0 else None

    def items(self) -> Iterator[tuple[str, bytes]]:
        for number in range(len(self._entries)):
            for name, value in block_rows(self._block(number)):
                yield name.decode(), value

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _block(self, number: int) -> bytes:
        entry = self._entries[number]
        try:
            block = os.pread(self._fd, entry.length, entry.offset)
        except OSError as error:
            raise os_failure(f"cannot read the table {self._folder.path / self._name}", error) from error
        if not is_sound(block, entry):
            self._folder.remove(self._name)
            raise StorageFailure(
                f"the table {self._folder.path / self._name} was damaged and has been removed; build it again"
            )
        return block


class LocalTables:
    """The folders of tables, one for each parser version."""

    def __init__(self, folder: OpenFolder, *, sort_bytes: int = _SORT_BYTES) -> None:
        self._folder = folder
        self._sort_bytes = sort_bytes
        self._versions: dict[str, OpenFolder] = {}

    def open(self, digest: str, version: str) -> LocalTable | None:
        folder, name = self._version(version), table_name(digest)
        try:
            with contextlib.ExitStack() as undo:
                fd = folder.open_file(name, os.O_RDONLY)
                undo.callback(os.close, fd)
                index = _read_index(fd)
                if index is None:
                    _log.warning("The table %s is truncated or damaged and counts as absent", folder.path / name)
                    return None
                _note_use(fd)
                undo.pop_all()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise os_failure(f"cannot open the table {folder.path / name}", error) from error
        return LocalTable(folder, name, fd, *index)

    def build(self, digest: str, version: str, rows: Iterable[tuple[str, bytes]]) -> None:
        folder, name = self._version(version), table_name(digest)
        try:
            with sorted_rows(rows, folder.path, self._sort_bytes) as ready, _replacing(folder, name) as fd:
                for piece in write_table(ready):
                    _write(fd, piece)
        except OSError as error:
            raise os_failure(f"cannot write the table {folder.path / name}", error) from error

    def stored(self) -> Iterator[StoredTable]:
        try:
            for version in sorted(self._folder.names()):
                with contextlib.suppress(FileNotFoundError, StorageFailure):
                    yield from self._stored_of(version)
        except OSError as error:
            raise os_failure(f"cannot list the tables in {self._folder.path}", error) from error

    def remove(self, digest: str, version: str) -> int:
        folder, name = self._version(version), table_name(digest)
        try:
            size = size_on_disk(folder, name)
            folder.remove(name)
        except OSError as error:
            raise os_failure(f"cannot remove the table {folder.path / name}", error) from error
        return size

    def _stored_of(self, version: str) -> Iterator[StoredTable]:
        with self._version(version).entries() as entries:
            for entry in entries:
                if is_digest(entry.name):
                    status = entry.stat(follow_symlinks=False)
                    yield StoredTable(entry.name, version, blocks(status.st_size), int(status.st_mtime))

    def close(self) -> None:
        for folder in self._versions.values():
            folder.close()
        self._versions.clear()

    def _version(self, version: str) -> OpenFolder:
        if version not in self._versions:
            self._versions[version] = self._folder.sub(version_name(version))
        return self._versions[version]


def _note_use(fd: int) -> None:
    """Set the time of a table to now, because the table that was not opened for the longest time is removed first."""
    with contextlib.suppress(OSError):  # a read-only disk: its tables are not removed either
        os.utime(fd)


def _read_index(fd: int) -> tuple[list[bytes], list[BlockEntry]] | None:
    size = os.fstat(fd).st_size
    if os.pread(fd, len(MAGIC), 0) != MAGIC:
        return None
    trailer = os.pread(fd, TRAILER.size, max(0, size - TRAILER.size))
    place = index_place(trailer, size)
    return None if place is None else read_index(os.pread(fd, place[1] - place[0], place[0]), trailer)


@contextlib.contextmanager
def _replacing(folder: OpenFolder, name: str) -> Iterator[int]:
    """Provide an empty file that replaces `name` if the block succeeds. Several builders take turns."""
    new = f"{name}.new"  # a fixed name, so that the next builder overwrites the remains of a crash
    while True:
        fd = folder.open_file(new, os.O_RDWR | os.O_CREAT)
        try:
            lock(fd)
            if folder.is_still(new, fd):
                with _removed_on_failure(folder, new):
                    os.ftruncate(fd, 0)
                    yield fd
                    os.fsync(fd)
                    folder.rename(new, folder, name)
                return
        finally:
            os.close(fd)


@contextlib.contextmanager
def _removed_on_failure(folder: OpenFolder, name: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        folder.remove(name)
        raise


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
