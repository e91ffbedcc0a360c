"""The store: blobs, drafts, catalog, tables, journals, slots and counters on a local disk.

It has no code for distributions or HTTP. `protocols` is its contract. snapproxy imports only the names listed here,
never a submodule or a path on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from snapproxy_storage.audit_protocols import Audit, AuditedBlob, BlobState, FileCount, Pace, StoredName
from snapproxy_storage.backup import BackupSummary, back_up
from snapproxy_storage.blobs import LocalBlobs
from snapproxy_storage.cache_protocols import Expiring, Slot, Slots, Table, Tables
from snapproxy_storage.catalog import LocalCatalog
from snapproxy_storage.counter_protocols import (
    MAX_COUNTER_NAME,
    MAX_COUNTERS,
    OTHER_COUNTER,
    CounterCell,
    Counters,
)
from snapproxy_storage.counters import LocalCounters, MemoryCounters
from snapproxy_storage.disk_probe import DiskProbe
from snapproxy_storage.drafts import LocalDrafts, boot_id
from snapproxy_storage.epoch import Epoch
from snapproxy_storage.eviction import EvictionLock
from snapproxy_storage.expiring import LocalExpiring
from snapproxy_storage.inspection import CatalogState, inspect_catalog
from snapproxy_storage.journals import LocalJournals
from snapproxy_storage.layout import TABLES, StoreLayout
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.overview import SpaceTotals, StoreOverview
from snapproxy_storage.protocols import (
    Blob,
    Blobs,
    Body,
    Catalog,
    DiskFailure,
    Draft,
    DraftFailed,
    DraftOrphaned,
    Drafts,
    Following,
    Journal,
    JournalRemoved,
    Journals,
    Meta,
    Name,
    Sealed,
    StorageFailure,
    Value,
    Writing,
)
from snapproxy_storage.read_whole import BodyTooLarge, read_blob, read_whole
from snapproxy_storage.restore import RestoreSummary, restore
from snapproxy_storage.served_times import LocalServedTimes
from snapproxy_storage.slots import LocalSlots
from snapproxy_storage.space_account import SpaceAccount
from snapproxy_storage.space_file import SpaceFile
from snapproxy_storage.space_protocols import (
    CatalogScan,
    Evicted,
    Hold,
    MakeRoom,
    ServedTimes,
    Space,
    StoredBlob,
    StoredJournal,
    StoredTable,
)
from snapproxy_storage.store_audit import LocalAudit
from snapproxy_storage.tables import LocalTables
from snapproxy_storage.threads import Threads

__all__ = [
    "MAX_COUNTERS",
    "MAX_COUNTER_NAME",
    "OTHER_COUNTER",
    "Audit",
    "AuditedBlob",
    "BackupSummary",
    "Blob",
    "BlobState",
    "Blobs",
    "Body",
    "BodyTooLarge",
    "Catalog",
    "CatalogScan",
    "CatalogState",
    "CounterCell",
    "Counters",
    "DiskFailure",
    "Draft",
    "DraftFailed",
    "DraftOrphaned",
    "Drafts",
    "Evicted",
    "Expiring",
    "FileCount",
    "Following",
    "Hold",
    "Journal",
    "JournalRemoved",
    "Journals",
    "MakeRoom",
    "MemoryCounters",
    "Meta",
    "Name",
    "Pace",
    "RestoreSummary",
    "Sealed",
    "ServedTimes",
    "Slot",
    "Slots",
    "Space",
    "SpaceTotals",
    "StorageFailure",
    "Store",
    "StoreOverview",
    "StoredBlob",
    "StoredJournal",
    "StoredName",
    "StoredTable",
    "Table",
    "Tables",
    "Value",
    "Writing",
    "back_up",
    "inspect_catalog",
    "open_store",
    "open_tables",
    "read_blob",
    "read_whole",
    "restore",
]


@dataclass(frozen=True)
class Store:
    """An open store. Use it in one event loop only. Close it once, by `close` or `async with`."""

    blobs: Blobs
    drafts: Drafts
    catalog: Catalog
    expiring: Expiring
    tables: Tables
    slots: Slots
    journals: Journals
    space: Space
    served: ServedTimes
    counters: Counters
    audit: Audit
    overview: StoreOverview
    _probe: DiskProbe
    _closing: contextlib.AsyncExitStack

    async def disk_fault(self) -> str:
        """Return why the disks of the store take no bytes, '' if they do."""
        return await self._probe.fault()

    async def close(self) -> None:
        """Abandon the drafts of this process, keep their bytes for a resume, and complete the pending writes."""
        await self._closing.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def open_store(state_dir: Path, cache_dir: Path, *, quota: int | None = None, free_space: int | None = 0) -> Store:
    """Open the store and create missing folders. It returns quickly; any number of processes may open the same store.

    `quota`: the maximum bytes of blobs and drafts. `free_space`: the bytes of their file system that stay free; None:
    5 % of it, at most 5 GB.
    Raises StorageFailure if a folder cannot be used or is a symbolic link, or if a newer program wrote the catalog.
    """
    with contextlib.ExitStack() as undo:
        layout = StoreLayout(state_dir, cache_dir)
        undo.callback(layout.close)
        threads = Threads()
        undo.callback(threads.close)
        epoch = Epoch(layout.state)
        undo.callback(epoch.close)
        slots = LocalSlots(layout.state)
        eviction = EvictionLock(layout.state)
        space_file = SpaceFile(layout.state, boot_id(), is_empty=layout.is_new)
        undo.callback(space_file.close)
        catalog = LocalCatalog(layout.catalog(), epoch, threads)
        undo.pop_all()
    account = SpaceAccount(space_file, layout.blobs, layout.drafts, quota=quota, floor=free_space)
    served = LocalServedTimes(catalog)
    blobs = LocalBlobs(layout.blobs, catalog, epoch, account, served, eviction, threads)
    drafts = LocalDrafts(layout.drafts, blobs, account, threads)
    expiring = LocalExpiring(layout.expiring, threads)
    tables = LocalTables(layout.tables)
    journals = LocalJournals(layout.journals)
    counters = LocalCounters(layout.counters, threads)
    audit = LocalAudit(layout, blobs)

    closing = contextlib.AsyncExitStack()  # callbacks run in reverse order
    closing.callback(layout.close)
    closing.callback(epoch.close)
    closing.callback(account.close)
    closing.push_async_callback(asyncio.to_thread, threads.close)
    closing.push_async_callback(counters.close)
    closing.push_async_callback(asyncio.to_thread, catalog.close)
    closing.push_async_callback(served.close)
    closing.push_async_callback(asyncio.to_thread, expiring.close)
    closing.callback(tables.close)
    closing.callback(journals.close)
    closing.push_async_callback(drafts.space.close)
    closing.push_async_callback(drafts.close)
    closing.push_async_callback(audit.close)
    return Store(
        blobs,
        drafts,
        catalog,
        expiring,
        tables,
        slots,
        journals,
        drafts.space,
        served,
        counters,
        audit,
        StoreOverview(layout.catalog(), layout.journals),
        DiskProbe([layout.drafts, layout.tables], drafts, threads),
        closing,
    )


def open_tables(cache_dir: Path) -> Tables:
    """Open the tables only, for the process that builds them. Raises the same errors as `open_store`."""
    return LocalTables(OpenFolder.root(cache_dir).sub(TABLES))
