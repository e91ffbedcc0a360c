"""Listings: the packages that an index lists, parsed once for each index by the helper process.

A listing is a table of names without values, one for each (index digest, path, parser version). Like an index table it
is derived data in `cache_dir`.
"""

from __future__ import annotations

import asyncio

from snapproxy.core.listing import PackageVersion
from snapproxy.errors import StorageError
from snapproxy.families import LISTERS
from snapproxy.indexes.helper_process import HelperProcess
from snapproxy.indexes.table_format import DROPPED, decode_package, table_name
from snapproxy_storage import StorageFailure, Store, Table


class Listings:
    """The listings of stored indexes."""

    def __init__(self, store: Store, helper: HelperProcess) -> None:
        self._store = store
        self._helper = helper

    async def packages(self, family: str, digest: str, path: str) -> list[PackageVersion]:
        """Return the packages that the index at `path` with `digest` (sha256) lists.

        Raise ArchiveDataError if the index cannot be parsed, StorageError if its listing cannot be built.
        """
        try:
            return await self._read(family, digest, path)
        except StorageFailure:  # the table was damaged, and has been removed
            return await self._read(family, digest, path)

    async def _read(self, family: str, digest: str, path: str) -> list[PackageVersion]:
        key = (table_name(digest, path), LISTERS[family].parser)
        table = await asyncio.to_thread(self._store.tables.open, *key)
        if table is None:
            await self._build(family, digest, path, key[0])
            table = await asyncio.to_thread(self._store.tables.open, *key)
        if table is None:
            raise StorageError(
                "The listing of an index vanished",
                why="Another program deletes files in the cache folder.",
                hint="Exclude the cache folder of snapproxy from cleaning while snapproxy runs.",
            )
        try:
            return await asyncio.to_thread(_packages, table)
        finally:
            table.close()

    async def _build(self, family: str, digest: str, path: str, table: str) -> None:
        blob = await self._store.blobs.open(digest)
        if blob is None:
            raise StorageError(
                "An index was removed from the store", why="It was evicted between two lookups.", hint="Try again."
            )
        try:
            await self._helper.build(family, path, table, blob, "packages")
        finally:
            blob.close()


def _packages(table: Table) -> list[PackageVersion]:
    return [decode_package(name) for name, _ in table.items() if not name.startswith(DROPPED)]
