"""The clean-up of the store: expire, remove what can be built again, then remove blobs until enough is free.

One clean-up runs at a time on the machine. `References` describes why it removes nothing that a capture or a pin needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from snapproxy.base.clock import Clock
from snapproxy.base.protected_space import put_protected
from snapproxy.core.reclaim import excess, most_tables
from snapproxy.space.expiry import CaptureExpiry
from snapproxy.space.gc_counts import counted
from snapproxy.space.gc_report import GcReport
from snapproxy.space.ledger import Ledger
from snapproxy.space.order import Shortage, first_of, tables_to_remove
from snapproxy.space.protected_files import FileFigures
from snapproxy.space.references import References
from snapproxy_storage import CatalogScan, Store, StoredBlob

log = logging.getLogger(__name__)

DRAFT_SECONDS = 86400.0
"""How long the draft of an interrupted download is kept for a resume."""

MAX_NAMES = 1000
NAMES_READ = 100_000
"""Maximum number of names without bytes that one clean-up drops, and of names that it reads to find them.

A download may wait for the clean-up. The next one continues behind these names.
"""

_ATTEMPTS = 5
"""How often the references are read again in one clean-up because pins or observations were added meanwhile."""

_POLL_SECONDS = 0.1
"""Poll interval while another process cleans up."""

_KEPT_SPACES = ("capture/", "captures", "pin/", "pins", "absent:", "lacking:", "observed:", "beside:")
"""The catalog's spaces whose names stay although their files are gone: they are records, or name no file."""


class Collector:
    """Cleans up one store (`core.reclaim.Reclaimer`). `has_one_disk`: whether blobs and tables share one."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        references: References,
        expiry: CaptureExpiry,
        clock: Clock,
        *,
        has_one_disk: Callable[[], bool],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._references = references
        self._expiry = expiry
        self._clock = clock
        self._look_at_disks = has_one_disk
        self._has_one_disk = False
        self._running = asyncio.Lock()
        self._next_name = ("", "")

    async def expire_captures(self) -> None:
        """Remove the captures that were never closed and have expired."""
        await self._expiry.expire()

    async def reclaim(self, wanted: int) -> int:
        """Free so many bytes, or as many as can be freed. Return the bytes that were removed (`Reclaimer`)."""
        shortage = Shortage(disk=wanted) if self._is_disk_short() else Shortage(blobs=wanted)
        report = await self.run(shortage)
        return report.removed.size + (report.tables.size if self._has_one_disk else 0)

    async def run(self, shortage: Shortage | None = None, *, is_dry_run: bool = False) -> GcReport:
        """Clean up and return the report. Without a shortage the quota and the floor of free space decide.

        Raises StorageFailure and SnapproxyError; blobs that were removed before stay removed.
        """
        async with self._running, self._alone():
            report = GcReport(is_dry_run=is_dry_run, quota=self._store.space.limit)
            with counted(report, self._store.counters, self._clock):
                await self._clean_up(shortage, report)
        _log_line(report)
        return report

    async def _clean_up(self, shortage: Shortage | None, report: GcReport) -> None:
        report.expired = await self._expiry.expire(is_dry_run=report.is_dry_run)
        if not report.is_dry_run:
            report.drafts = await self._store.drafts.sweep(older_than=DRAFT_SECONDS)
        self._has_one_disk = await asyncio.to_thread(self._look_at_disks)
        shortage = shortage or self._shortage()
        await self._find_references(report)  # it reads tables, which a full disk would not let it build again
        await self._remove_tables(shortage, report)
        report.wanted = shortage.after(report.tables.size if self._has_one_disk else 0)
        await self._remove_blobs(report)
        if not report.is_dry_run:
            await self._drop_names(report)
            await put_protected(self._store, sum(each.size for each in report.protected.values()))

    # --- how much

    def _shortage(self) -> Shortage:
        space = self._store.space
        used = space.stored + space.kept + space.reserved
        free, floor = space.free, space.floor
        return Shortage(
            blobs=excess(used=used, limit=space.limit, free=free, floor=0),
            disk=excess(used=0, limit=None, free=free, floor=floor),
        )

    def _is_disk_short(self) -> bool:
        return self._shortage().disk > 0

    # --- derived data

    async def _remove_tables(self, shortage: Shortage, report: GcReport) -> None:
        tables, now = self._store.tables, self._clock.now()
        disk = shortage if self._has_one_disk else Shortage(blobs=shortage.blobs)
        chosen = await asyncio.to_thread(
            lambda: tables_to_remove(tables.stored(), disk, most=most_tables(self._store.space.limit), now=now)
        )
        report.tables = FileFigures(len(chosen), sum(table.size for table in chosen))
        if not report.is_dry_run:
            for table in chosen:
                await asyncio.to_thread(tables.remove, table.digest, table.version)

    # --- blobs

    async def _find_references(self, report: GcReport) -> None:
        await self._store.served.flush()
        await asyncio.to_thread(self._ledger.fill, self._store.blobs.stored())
        await self._references.mark()
        report.removable = await asyncio.to_thread(self._ledger.removable)
        report.protected = await asyncio.to_thread(self._ledger.protected)
        report.stored = sum(report.protected.values(), report.removable)
        report.in_flight, report.interrupted = self._store.space.reserved, self._store.space.kept

    async def _remove_blobs(self, report: GcReport) -> None:
        for _ in range(_ATTEMPTS):
            with await asyncio.to_thread(self._store.catalog.scan) as scan:
                if await self._remove_oldest(scan, report):
                    return
            log.info("Pins or observations were added during the clean-up, and the references are read again")
            await self._references.mark()

    async def _remove_oldest(self, scan: CatalogScan, report: GcReport) -> bool:
        """Remove the blobs that were served least recently. Return False if the references must be read again."""
        last: StoredBlob | None = None
        while (missing := report.wanted - report.removed.size) > 0:
            chosen = first_of(await asyncio.to_thread(self._ledger.oldest, last), missing)
            if not chosen:
                break
            last = chosen[-1]
            if report.is_dry_run:
                report.removed += FileFigures(len(chosen), sum(blob.size for blob in chosen))
            elif not await self._evict(scan, chosen, report):
                return False
        return True

    async def _evict(self, scan: CatalogScan, chosen: Sequence[StoredBlob], report: GcReport) -> bool:
        digests = [blob.digest for blob in chosen]
        evicted = await self._store.blobs.evict(digests, lambda: self._references.since(scan))
        if evicted.is_stopped:
            return False
        await asyncio.to_thread(self._ledger.remove, evicted.digests)
        report.removed += FileFigures(len(evicted.digests), evicted.size)
        report.pending += evicted.pending
        return True

    # --- names

    async def _drop_names(self, report: GcReport) -> None:
        """Drop names whose files are gone, a bounded number of them, and continue there the next time.

        A name without bytes costs its reader a look into the folder of blobs and is dropped then; the catalog would
        grow if no client asked for it again.
        """
        catalog, blobs = self._store.catalog, self._store.blobs
        with await asyncio.to_thread(catalog.scan) as scan:
            names = await asyncio.to_thread(lambda: [*itertools.islice(self._without_bytes(scan), MAX_NAMES)])
        gone = [
            (space, name)
            for space, name, digest in names
            if (current := catalog.name(space, name)) is not None
            and current.digest == digest
            and blobs.size(digest) is None
        ]
        await asyncio.gather(*(catalog.drop_name(space, name) for space, name in gone))  # in one transaction
        report.names = len(gone)

    def _without_bytes(self, scan: CatalogScan) -> Iterator[tuple[str, str, str]]:
        """Yield names in the order of the catalog, from where the last call ended."""
        after, self._next_name = self._next_name, ("", "")
        for count, (space, name, digest, _) in enumerate(scan.names(after=after)):
            if count == NAMES_READ:
                self._next_name = (space, name)
                return
            if digest and not space.startswith(_KEPT_SPACES) and not self._ledger.has(digest):
                self._next_name = (space, name)
                yield space, name, digest
        self._next_name = ("", "")

    # --- one at a time

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        while (slot := self._store.slots.take("clean-up", 1)) is None:
            await self._clock.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            slot.release()


def _log_line(report: GcReport) -> None:
    if report.is_dry_run:
        return
    if report.removed.files or report.tables.files:
        log.info(
            "Removed %d files of %d bytes (%d bytes still have readers) and %d tables",
            report.removed.files,
            report.removed.size,
            report.pending,
            report.tables.files,
        )
    if report.removed.size < report.wanted:
        log.warning(
            "Of %d bytes to free, %d could be: captures, pins, observations and live sets need the other files",
            report.wanted,
            report.removed.size,
        )
