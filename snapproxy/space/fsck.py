"""Check the store: hash every stored file at a limited rate, and fetch damaged ones again.

Each file is read from the disk once a period, whatever the catalog records about it: a disk that returns another byte
than it took changes no time and no size, so no request can see it. A damaged file is moved to the quarantine
before anything else is done, and is never served again.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace

from snapproxy.base.clock import Clock
from snapproxy.base.metrics import FSCK_BYTES, FSCK_DAMAGED, FSCK_FILES, FSCK_REPAIRED, FSCK_RUNS
from snapproxy.capture.captures import Captures
from snapproxy.capture.deferred_body import wait_for_end
from snapproxy.capture.stored_entry import StoredBytes
from snapproxy.core.model import Instant, Refusal
from snapproxy.core.progress import SILENT
from snapproxy.core.progress import Progress as Display
from snapproxy.core.record import RecordEntry
from snapproxy.errors import SnapproxyError
from snapproxy.space.check_report import (
    MOST_DAMAGED,
    MOST_NAMES,
    Blemishes,
    CheckProgress,
    CheckReport,
    DamagedFile,
    Repair,
    progress_as_json,
    progress_from_json,
    report_as_json,
)
from snapproxy.space.needed_by import NeedingName, needed_by
from snapproxy_storage import AuditedBlob, BlobState, StorageFailure, Store

log = logging.getLogger(__name__)

REPORT = "fsck"
"""The fact with the last finished check (`report_as_json`)."""

PROGRESS = "fsck/progress"
"""The fact with the check that a server has begun."""

SLOT = "fsck"
"""The slot of the one server that checks in the background."""

SAVE_SECONDS = 60.0
"""Interval at which the progress is recorded, and damaged files are fetched again."""

MOST_TRIES = 3
"""Number of names by which a damaged file is requested from upstream."""

Bring = Callable[[RecordEntry], Awaitable[StoredBytes | Refusal]]
"""Returns the bytes of an entry, from upstream if they are not stored, and compares them with the entry."""


class Fsck:
    """The check of one store. `bring` is None if upstream must not be asked."""

    def __init__(self, store: Store, captures: Captures, bring: Bring | None, clock: Clock) -> None:
        self._store = store
        self._captures = captures
        self._bring = bring
        self._clock = clock

    async def run(self, rate: float, display: Display = SILENT, *, is_resumed: bool = False) -> CheckReport:
        """Check everything, at most `rate` bytes a second, and record the report. Raises StorageFailure.

        `is_resumed`: record the progress, and continue a check that was interrupted.
        """
        progress = (self._interrupted() if is_resumed else None) or CheckProgress(self._clock.now())
        pace, unrepaired, saved = ReadRate(rate, self._clock), list[DamagedFile](), self._clock.monotonic()
        async for digest in self._digests(progress.after):
            audited = await self._store.audit.check(digest, pace)
            self._count(audited)
            display.advance(digest, audited.size, audited.size)
            display.finish(digest)
            if audited.state is BlobState.DAMAGED:
                log.error("The stored file %s was damaged and has been moved to the quarantine", digest)
                unrepaired.append(DamagedFile(digest, audited.size, Repair.REMOVED))
            progress = progress.plus(digest, audited.size, is_present=audited.state is not BlobState.ABSENT)
            # Damage is recorded at once: after a stop a resumed check would only find that the file is absent.
            if unrepaired or self._clock.monotonic() - saved >= SAVE_SECONDS:
                progress, unrepaired = await self._repair(progress, unrepaired), []
                saved = self._clock.monotonic()
                if is_resumed:
                    await self._store.catalog.put_fact(PROGRESS, progress_as_json(progress))
        progress = await self._repair(progress, unrepaired)
        return await self._finish(progress, is_resumed=is_resumed)

    def _count(self, audited: AuditedBlob) -> None:
        counters = self._store.counters
        counters.add(FSCK_FILES.key())
        counters.add(FSCK_BYTES.key(), audited.size)
        if audited.state is BlobState.DAMAGED:
            counters.add(FSCK_DAMAGED.key())

    async def _digests(self, after: str) -> AsyncIterator[str]:
        while digests := await self._store.audit.digests(after):
            for digest in digests:
                yield digest
            after = digests[-1]

    async def run_if_due(self, rate: float, every: float) -> CheckReport | None:
        """Check everything if the last check ended `every` seconds ago, or one was interrupted; otherwise return None.

        One process on the machine does so at a time.
        """
        if not self._is_due(every):
            return None
        slot = self._store.slots.take(SLOT, 1)
        if slot is None:
            return None
        try:
            return await self.run(rate, is_resumed=True) if self._is_due(every) else None
        finally:
            slot.release()

    def _is_due(self, every: float) -> bool:
        now = self._clock.now()
        last: dict[str, Instant] | None = self._store.catalog.fact(REPORT, 0)
        is_recent = last is not None and now - every < last["ended"] <= now  # a clock that was ahead proves nothing
        return not is_recent or self._store.catalog.fact(PROGRESS, 0) is not None

    def _interrupted(self) -> CheckProgress | None:
        recorded = self._store.catalog.fact(PROGRESS, 0)
        return None if recorded is None else progress_from_json(recorded)

    async def _finish(self, progress: CheckProgress, *, is_resumed: bool) -> CheckReport:
        report = CheckReport(
            progress.begun,
            self._clock.now(),
            progress.checked,
            progress.size,
            progress.damaged,
            progress.damaged_count,
            await self._blemishes(),
        )
        self._store.counters.add(FSCK_RUNS.key())
        await self._store.catalog.put_fact(REPORT, report_as_json(report))
        if is_resumed:
            await self._store.catalog.drop_fact(PROGRESS)
        return report

    async def _blemishes(self) -> Blemishes:
        audit = self._store.audit
        missing, drafts, quarantined = await audit.missing_blobs(), await audit.drafts(), await audit.quarantined()
        journals = await audit.journals()
        captures = self._captures.ids()  # read afterwards: a capture is registered before its journal is created
        stray = tuple(each for each in journals if each not in captures)
        return Blemishes(
            catalog=tuple(await audit.catalog_faults()),
            missing=missing.files,
            missing_size=missing.size,
            drafts=drafts.files,
            drafts_size=drafts.size,
            journals=len(journals) - len(stray),
            stray_journals=stray,
            strangers=tuple(await audit.strangers()),
            quarantined=quarantined.files,
            quarantined_size=quarantined.size,
        )

    # --- damaged files

    async def _repair(self, progress: CheckProgress, damaged: Sequence[DamagedFile]) -> CheckProgress:
        """Fetch damaged files again, and add them to the progress."""
        if not damaged:
            return progress
        needs = await needed_by({each.digest for each in damaged}, self._store.audit, self._captures)
        done = [await self._outcome(each, needs.get(each.digest, ())) for each in damaged]
        self._store.counters.add(FSCK_REPAIRED.key(), sum(each.outcome is Repair.FETCHED for each in done))
        listed = (*progress.damaged, *done)[:MOST_DAMAGED]
        return replace(progress, damaged=listed, damaged_count=progress.damaged_count + len(done))

    async def _outcome(self, file: DamagedFile, needs: Sequence[NeedingName]) -> DamagedFile:
        file = replace(file, names=tuple(need.name for need in needs[:MOST_NAMES]), count=len(needs))
        if await self._is_stored(file.digest):
            return replace(file, outcome=Repair.FETCHED, why="A request has fetched it again.")
        if not needs:
            return replace(file, outcome=Repair.UNNEEDED)
        if self._bring is None:
            return replace(file, outcome=Repair.REMOVED, why="Upstream was not asked.")
        why, outcome = "", Repair.LOST
        for need in needs[:MOST_TRIES]:
            why, may_pass = await self._fetch(need.entry, self._bring)
            if await self._is_stored(file.digest):
                log.info("The damaged file %s was fetched again: %s", file.digest, need.name)
                return replace(file, outcome=Repair.FETCHED)
            outcome = Repair.WAITING if may_pass else outcome
        log.error("The damaged file %s of %s could not be fetched again: %s", file.digest, needs[0].name, why)
        return replace(file, outcome=outcome, why=why)

    async def _fetch(self, entry: RecordEntry, bring: Bring) -> tuple[str, bool]:
        """Fetch an entry; return why it could not be fetched ('' if it was), and whether that may change soon."""
        try:
            got = await bring(entry)
            if isinstance(got, Refusal):
                return f"{got.reason}: {got.why}" if got.why else got.reason, got.may_pass
            try:
                await wait_for_end(got.body)
            finally:
                got.body.close()
        except (SnapproxyError, StorageFailure) as error:
            return str(error), False
        return "", False

    async def _is_stored(self, digest: str) -> bool:
        blob = await self._store.blobs.open(digest)
        if blob is not None:
            blob.close()
        return blob is not None


class ReadRate:
    """Limits a rate to so many bytes a second (`snapproxy_storage.Pace`)."""

    def __init__(self, rate: float, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._free_at = 0.0

    async def __call__(self, size: int) -> None:
        """Wait until `size` more bytes may be read."""
        now = self._clock.monotonic()
        wait = self._free_at - now
        self._free_at = max(self._free_at, now) + size / self._rate
        if wait > 0:
            await self._clock.sleep(wait)
