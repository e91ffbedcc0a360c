"""Index tables: the files that an index lists, with size and digests, looked up by name.

A table is derived data in the cache folder, one for each (index digest, path, parser version): all snapshots with the
same index share it, and a lost table is built again from the blob by the helper process. This module owns the open
tables and the builds in progress.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TypeVar

from snapproxy.core.expected_files import DroppedCount, DroppedEntries, DroppedEntry
from snapproxy.core.model import ExpectedFile, Family
from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.indexes.helper_process import HelperDiedError, HelperProcess
from snapproxy.indexes.table_format import DROPPED, decode_count, decode_expected, table_name
from snapproxy_storage import BodyTooLarge, StorageFailure, Store, Table, read_blob

log = logging.getLogger(__name__)
T = TypeVar("T")

OPEN_TABLES = 64
"""Maximum number of tables that stay open; the least recently used one is closed first."""

MAX_READ = 1 << 20
"""Maximum bytes of an index that this process parses if its table cannot be written.

Debian's roots are smaller, a large Packages is not.
"""


class IndexTables:
    """Lookups in index tables, which are built on demand. Each table has one build, for any number of callers."""

    def __init__(self, store: Store, helper: HelperProcess) -> None:
        self._store = store
        self._helper = helper
        self._open: OrderedDict[tuple[str, str], Table] = OrderedDict()
        self._builds: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._unreadable: OrderedDict[tuple[str, str], ArchiveDataError] = OrderedDict()

    async def expected(self, family: Family, digest: str, index: str, name: str) -> ExpectedFile | None:
        """Return the file that the index at path `index` with `digest` lists as `name`, None if it lists no such file.

        Raise ArchiveDataError if the index cannot be parsed, StorageError if its table cannot be built.
        """
        try:
            row = await self._read(family, digest, index, lambda table: _usable_row(table, name))
        except StorageError as error:
            return dict(await self._without_table(family, digest, index, error)).get(name)
        return None if row is None else decode_expected(row)

    async def dropped(self, family: Family, digest: str, index: str, name: str) -> DroppedEntry | None:
        """Return the entry of the file `name` if the index has one that was dropped. Raise the errors of `expected`."""
        reason = await self._read(family, digest, index, lambda table: table.get(DROPPED + name))
        return None if reason is None else DroppedEntry(name, reason.decode())

    async def dropped_count(self, family: Family, digest: str, index: str) -> DroppedCount:
        """Return the number of entries of an index that were dropped. Raise the errors of `expected`."""
        return decode_count(await self._read(family, digest, index, lambda table: table.get(DROPPED)))

    async def entries(self, family: Family, digest: str, index: str) -> list[tuple[str, ExpectedFile]]:
        """Return every (name, file) that an index lists. Use it for roots, which are short."""
        try:
            rows = await self._read(family, digest, index, lambda table: list(_usable_rows(table)))
        except StorageError as error:
            return await self._without_table(family, digest, index, error)
        return [(name, decode_expected(row)) for name, row in rows]

    async def all(self, family: Family, digest: str, index: str) -> list[ExpectedFile]:
        """Return every file that an index of any length lists, each once.

        The table is read in a thread, from a separate map.
        """
        await self._read(family, digest, index, lambda _: None)
        table = await asyncio.to_thread(self._store.tables.open, table_name(digest, index), family.parser)
        if table is None:
            raise _vanished()
        try:
            return await asyncio.to_thread(_canonical, table)
        finally:
            table.close()

    async def _without_table(
        self, family: Family, digest: str, index: str, error: StorageError
    ) -> list[tuple[str, ExpectedFile]]:
        """Parse a short index, such as a root, in this process if the disk is too full for a table.

        Raise `error` for a long one.
        """
        try:
            data = await read_blob(self._store.blobs, digest, MAX_READ)
        except BodyTooLarge:
            data = None
        if data is None:
            raise error
        return await asyncio.to_thread(_read_short, family, index, data)

    async def _read(self, family: Family, digest: str, index: str, look_up: Callable[[Table], T]) -> T:
        """Call `look_up` with the table of an index whose blob is stored. A damaged table is built again, once."""
        key = (table_name(digest, index), family.parser)
        try:
            return look_up(await self._table(family, digest, index, key))
        except StorageFailure as failure:
            log.warning("An index table is damaged and is built again: %s", failure)
            self._close(key)
            return look_up(await self._table(family, digest, index, key))

    async def _table(self, family: Family, digest: str, index: str, key: tuple[str, str]) -> Table:
        if key not in self._open:
            table = await asyncio.to_thread(self._store.tables.open, *key)
            if table is None:
                await self._build(family, digest, index, key)
                table = await asyncio.to_thread(self._store.tables.open, *key)
            if table is None:
                raise _vanished()
            self._close(key)  # another task may have opened it since
            self._open[key] = table
            if len(self._open) > OPEN_TABLES:
                self._close(next(iter(self._open)))
        self._open.move_to_end(key)
        return self._open[key]

    def _close(self, key: tuple[str, str]) -> None:
        if table := self._open.pop(key, None):
            table.close()

    async def _build(self, family: Family, digest: str, index: str, key: tuple[str, str]) -> None:
        if error := self._unreadable.get(key):
            raise ArchiveDataError(error.reason, why=error.why, hint=error.hint)
        task = self._builds.get(key)
        if task is None:
            task = self._builds[key] = asyncio.create_task(self._build_once(family, digest, index, key))
            task.add_done_callback(functools.partial(self._built, key, index))
        await asyncio.shield(task)

    def _built(self, key: tuple[str, str], index: str, task: asyncio.Task[None]) -> None:
        """Record an index that cannot be parsed: its bytes never change, and each build takes seconds."""
        del self._builds[key]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ArchiveDataError) and not isinstance(error, HelperDiedError):
            self._unreadable[key] = error
            log.warning("%s cannot be read, and proves nothing about any file: %s (%s)", index, error.reason, error.why)
            if len(self._unreadable) > OPEN_TABLES:
                self._unreadable.popitem(last=False)

    async def _build_once(self, family: Family, digest: str, index: str, key: tuple[str, str]) -> None:
        blob = await self._store.blobs.open(digest)
        if blob is None:
            raise StorageError(
                "An index was removed from the store", why="It was evicted between two lookups.", hint="Try again."
            )
        try:
            await self._helper.build(family.name, index, key[0], blob)
        finally:
            blob.close()

    async def close(self) -> None:
        """Close every table and end the helper."""
        builds = list(self._builds.values())
        for build in builds:
            build.cancel()
        await asyncio.gather(*builds, return_exceptions=True)
        for table in self._open.values():
            table.close()
        self._open.clear()
        await self._helper.close()


def _usable_row(table: Table, name: str) -> bytes | None:
    row = table.get(name)
    return None if row is None or table.get(DROPPED + name) is not None else row


def _usable_rows(table: Table) -> Iterator[tuple[str, bytes]]:
    """Yield the rows of the files that have no dropped entry. The rows of dropped entries are the first ones."""
    dropped: set[str] = set()
    for name, row in table.items():
        if name.startswith(DROPPED):
            dropped.add(name.removeprefix(DROPPED))
        elif name not in dropped:
            yield name, row


def _canonical(table: Table) -> list[ExpectedFile]:
    return [expected for name, row in _usable_rows(table) if (expected := decode_expected(row)).path == name]


def _read_short(family: Family, index: str, data: bytes) -> list[tuple[str, ExpectedFile]]:
    dropped = DroppedEntries()
    rows = list(dropped.some_of(family.read_index(index, [data], dropped.add)))
    return [(name, expected) for name, expected in rows if name not in dropped.paths]


def _vanished() -> StorageError:
    return StorageError(
        "The index table vanished",
        why="Another program deletes files in the cache folder.",
        hint="Exclude the cache folder of snapproxy from cleaning while snapproxy runs.",
    )
