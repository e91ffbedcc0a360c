"""How bytes and names lie on disk. Knows no distribution and no HTTP. snapproxy reaches it through this file only."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from snapproxy_storage.blobs import LocalBlobs
from snapproxy_storage.catalog import LocalCatalog
from snapproxy_storage.drafts import LocalDrafts
from snapproxy_storage.epoch import Epoch
from snapproxy_storage.expiring import LocalExpiring
from snapproxy_storage.journals import LocalJournals
from snapproxy_storage.layout import TABLES, StoreLayout
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import (
    Blob,
    Blobs,
    Body,
    Catalog,
    Draft,
    DraftFailed,
    DraftOrphaned,
    Drafts,
    Expiring,
    Following,
    Journal,
    Journals,
    Meta,
    Name,
    Sealed,
    Slot,
    Slots,
    StorageFailure,
    Table,
    Tables,
    Value,
    Writing,
)
from snapproxy_storage.read_whole import BodyTooLarge, read_blob, read_whole
from snapproxy_storage.slots import LocalSlots
from snapproxy_storage.tables import LocalTables
from snapproxy_storage.threads import Threads

__all__ = [
    "Blob",
    "Blobs",
    "Body",
    "BodyTooLarge",
    "Catalog",
    "Draft",
    "DraftFailed",
    "DraftOrphaned",
    "Drafts",
    "Expiring",
    "Following",
    "Journal",
    "Journals",
    "Meta",
    "Name",
    "Sealed",
    "Slot",
    "Slots",
    "StorageFailure",
    "Store",
    "Table",
    "Tables",
    "Value",
    "Writing",
    "open_store",
    "open_tables",
    "read_blob",
    "read_whole",
]


@dataclass(frozen=True)
class Store:
    """Everything one process needs of a store. Use it in one event loop; close it, or leave its `async with`, once."""

    blobs: Blobs
    drafts: Drafts
    catalog: Catalog
    expiring: Expiring
    tables: Tables
    slots: Slots
    journals: Journals
    _closing: contextlib.AsyncExitStack

    async def close(self) -> None:
        """End the drafts of this process, keeping their bytes for a later resume, and finish the writes that wait."""
        await self._closing.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def open_store(state_dir: Path, cache_dir: Path) -> Store:
    """Open the store, making its folders where they are missing. Does nothing slow, and may be called in any number of processes.

    Raises StorageFailure when a folder cannot be used, a symbolic link stands in its place, or a newer program wrote the catalog.
    """
    with contextlib.ExitStack() as undo:
        layout = StoreLayout(state_dir, cache_dir)
        undo.callback(layout.close)
        threads = Threads()
        undo.callback(threads.close)
        epoch = Epoch(layout.state)
        undo.callback(epoch.close)
        slots = LocalSlots(layout.state)
        catalog = LocalCatalog(layout.catalog(), epoch, threads)
        undo.pop_all()
    blobs = LocalBlobs(layout.blobs, epoch, threads)
    drafts = LocalDrafts(layout.drafts, blobs, threads)
    expiring = LocalExpiring(layout.expiring, threads)
    tables = LocalTables(layout.tables)

    closing = contextlib.AsyncExitStack()  # runs in reverse
    closing.callback(layout.close)
    closing.callback(epoch.close)
    closing.push_async_callback(asyncio.to_thread, threads.close)
    closing.push_async_callback(asyncio.to_thread, catalog.close)
    closing.push_async_callback(asyncio.to_thread, expiring.close)
    closing.callback(tables.close)
    closing.push_async_callback(drafts.close)
    return Store(blobs, drafts, catalog, expiring, tables, slots, LocalJournals(layout.journals), closing)


def open_tables(cache_dir: Path) -> Tables:
    """Open the promise tables alone, for the process that builds them. Raises StorageFailure as `open_store`."""
    return LocalTables(OpenFolder.root(cache_dir).sub(TABLES))
