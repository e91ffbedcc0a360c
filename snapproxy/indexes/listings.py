"""The packages that an index lists, out of the store: read once an index, by the helper process that builds promise tables.

A listing is a table of names without values, one a (index digest, path, parser version), derived data in `cache_dir` like promise tables.
"""

from __future__ import annotations

import asyncio

from snapproxy.core.listing import PackageVersion
from snapproxy.errors import StorageError
from snapproxy.families import LISTERS
from snapproxy.indexes.helper_main import unspell
from snapproxy.indexes.index_tables import HelperProcess, table_name
from snapproxy_storage import StorageFailure, Store, Table


class Listings:
    """Readings of indexes that the store holds."""

    def __init__(self, store: Store, helper: HelperProcess) -> None:
        self._store = store
        self._helper = helper

    async def packages(self, family: str, digest: str, path: str) -> list[PackageVersion]:
        """Return what the index at `path` with `digest` (sha256) lists. Raises ArchiveDataError, StorageError."""
        try:
            return await self._read(family, digest, path)
        except StorageFailure:  # the table is damaged, and is gone by now
            return await self._read(family, digest, path)

    async def _read(self, family: str, digest: str, path: str) -> list[PackageVersion]:
        key = (table_name(digest, path), LISTERS[family].parser)
        table = await asyncio.to_thread(self._store.tables.open, *key)
        if table is None:
            await self._build(family, digest, path, key[0])
            table = await asyncio.to_thread(self._store.tables.open, *key)
        if table is None:
            raise StorageError(
                "The listing of an index vanished", why="Something empties the cache folder while it is in use."
            )
        try:
            return await asyncio.to_thread(_all, table)
        finally:
            table.close()

    async def _build(self, family: str, digest: str, path: str, table: str) -> None:
        blob = await self._store.blobs.open(digest)
        if blob is None:
            raise StorageError(
                "An index is gone from the store", why="It was evicted between two look-ups.", hint="Ask again."
            )
        try:
            await self._helper.build(family, path, table, blob, "packages")
        finally:
            blob.close()


def _all(table: Table) -> list[PackageVersion]:
    return [unspell(name) for name, _ in table.items()]
