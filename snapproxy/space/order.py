"""The order in which files are removed: derived data first, then the blobs that were served least recently. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from snapproxy_storage import StoredBlob, StoredTable

TABLE_IN_USE = 3600
"""Seconds since its last use for which a table is not removed to free the disk: it would be built again at once."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """The bytes to free: of blobs, for the quota; and of the disk, which derived data takes as well."""

    blobs: int = 0
    disk: int = 0

    def after(self, tables: int) -> int:
        """Return the bytes of blobs to remove after `tables` bytes of derived data were removed from the same disk."""
        return max(self.blobs, self.disk - tables)


def tables_to_remove(
    tables: Iterable[StoredTable], shortage: Shortage, *, most: int, now: int
) -> Sequence[StoredTable]:
    """Return the tables to remove, those first that were not used for longest.

    All of derived data can be built again, so its bytes go before those of any blob. But only blobs count for the
    quota: without a shortage of the disk, tables are removed down to `most` bytes alone. There are as many tables as
    indexes, which are few compared with the packages that they list.
    """
    ordered = sorted(tables, key=lambda table: (table.used, table.digest))
    surplus = sum(table.size for table in ordered) - most
    found: list[StoredTable] = []
    freed = 0
    for table in ordered:
        is_wanted = freed < shortage.disk and table.used < now - TABLE_IN_USE
        if freed >= surplus and not is_wanted:
            break
        found.append(table)
        freed += table.size
    return found


def first_of(blobs: Iterable[StoredBlob], wanted: int) -> Sequence[StoredBlob]:
    """Return as many of the blobs, in their order, as have the wanted bytes together."""
    found: list[StoredBlob] = []
    size = 0
    for blob in blobs:
        if size >= wanted:
            break
        found.append(blob)
        size += blob.size
    return found
