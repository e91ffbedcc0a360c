"""The bytes of one flight as they arrive: the draft they go to, who gave them, and what is known of them once they are judged.

Begins anew when bytes must be given up, and ends its draft once, by commit or abandon. Where bytes come from is `download`'s.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snapproxy.base.clock import Clock
from snapproxy.base.names import Names, size_of
from snapproxy.base.stats import Stats
from snapproxy.core.http_date import read_http_date
from snapproxy.core.model import Instant
from snapproxy.core.plan_model import Fetch, Source
from snapproxy.core.upstream_answer import Offer
from snapproxy.download.byte_checks import ByteChecks
from snapproxy.download.outcome import RecentOutcomes
from snapproxy.upstream.client import UpstreamClient
from snapproxy_storage import Blobs, Body, Draft, Drafts, Meta, Sealed, Slot, Slots, StorageFailure

if TYPE_CHECKING:
    from snapproxy.download.downloads import Flight

log = logging.getLogger(__name__)

WINDOW_WHOLE = 64 << 20
"""Bytes kept in memory, once the disk is full, of a file that must be whole before it is sent."""

WINDOW_STREAM = 8 << 20
"""The same of a file that streams: readers that fall further behind are cut."""

NAMING_SECONDS = 0.05
NAMING_LOOKS = 200
"""How often, and how many times, is looked whether what has come has been named by now: ten seconds in all."""

A_PROCESS_THAT_DIED = Source("", "", last_resort=True)
"""Who gave the bytes of a draft that was left behind."""


class TakenError(Exception):
    """Another process has become the writer of our draft meanwhile."""


@dataclass(frozen=True, slots=True)
class DownloadServices:
    """What every download needs."""

    upstream: UpstreamClient
    recent: RecentOutcomes
    names: Names
    drafts: Drafts
    blobs: Blobs
    slots: Slots
    clock: Clock
    stats: Stats

    def begin(self, step: Fetch) -> Draft | Body:
        """Return the draft of a flight to its one writer, and a body that follows it to everybody else."""
        return self.drafts.begin(step.key, window=WINDOW_WHOLE if step.whole else WINDOW_STREAM)

    def mark_name_pending(self, step: Fetch) -> Slot | None:
        """Say to everybody on the machine that a file has come and is about to be named; None: somebody else is saying so."""
        return self.slots.take(f"naming/{step.key}", 1)

    async def is_stored(self, step: Fetch, archive: str) -> bool:
        """Whether the store has the bytes by now: by their digest, or by the name that they were to bear.

        A draft goes when its bytes are stored, a name comes several durable writes later: who is about to write it is waited for.
        """
        for _ in range(NAMING_LOOKS):
            if self._has_blob(step, archive):
                return True
            if (slot := self.mark_name_pending(step)) is not None:
                slot.release()
                break
            await self.clock.sleep(NAMING_SECONDS)
        return self._has_blob(step, archive)  # it may have been named between the two looks

    def _has_blob(self, step: Fetch, archive: str) -> bool:
        # A name without proof, from before anything vouched for the file, is what is to be replaced.
        digest = None if step.expected is None else self.names.sha256_of(archive, step.expected)
        if digest is None and (held := self.names.held(step.space, step.path)) and held.proof >= step.proof:
            digest = held.digest
        return digest is not None and size_of(self.blobs, digest) is not None


class Incoming:
    """What has come so far. `is_root`: its bytes are kept for a judge."""

    def __init__(self, services: DownloadServices, flight: Flight, draft: Draft, *, is_root: bool) -> None:
        self._services = services
        self._flight = flight
        self._is_root = is_root
        self._is_ended = False
        self._take_up(draft)

    def _take_up(self, draft: Draft) -> None:
        self._draft = self._flight.draft = draft
        self.checks = ByteChecks(self._flight.step.expected, self._flight.context.family, keeps_all=self._is_root)
        self.byte_sources: list[Source] = []
        draft.tap(self.checks.see)

    @property
    def size(self) -> int:
        """Bytes that have come, those of an earlier process included."""
        return self._draft.size

    @property
    def is_followed(self) -> bool:
        """Whether a reader may have passed bytes on already, which no status can take back."""
        return not self._flight.step.whole and self._flight.is_followed

    @property
    def is_promised(self) -> bool:
        """Whether anybody's bytes will do, since their digest will tell."""
        expected = self._flight.step.expected
        return expected is not None and expected.is_strong

    async def take_over(self) -> None:
        """Go on with what a process that is gone has left, where that can be told from another file's bytes; else throw it away."""
        if self.size and self.is_promised:
            self.byte_sources.append(A_PROCESS_THAT_DIED)
            await self._draft.rehash()
        elif self.size:
            await self._draft.restart()

    def length_with(self, offer: Offer) -> int | None:
        """Return how long the file is, by this offer or by an earlier one."""
        return self._draft.meta.length if offer.total is None else offer.total

    def contradicts(self, length: int | None) -> bool:
        """Whether a file of that length cannot be the one that has begun to arrive."""
        return self._draft.meta.length not in (None, length) or (length is not None and length < self.size)

    async def begin(self, source: Source, offer: Offer, length: int | None) -> None:
        """Let readers know what comes."""
        await self._draft.describe(Meta(source.url, length, offer.etag, offer.last_modified))
        self._flight.date = read_http_date(offer.last_modified)
        self._flight.receiving.set()

    async def take(self, data: bytes, source: Source) -> None:
        """Take the next bytes."""
        if source not in self.byte_sources:
            self.byte_sources.append(source)
        await self._draft.write(data)

    async def seal(self) -> Sealed:
        """Return what all bytes hash to."""
        return await self._draft.seal()

    async def commit(self, sealed: Sealed, date: Instant | None) -> bool:
        """Follow a good verdict: store the bytes, and write down their date and their other digests. False: the disk is full, nothing is stored."""
        self._is_ended = True
        # The draft's file goes with its last reader. Who comes from here on waits a moment for the verdict, and is served from the store.
        self._flight.receiving.clear()
        self._flight.mark_name_pending()
        blob = await self._draft.commit()
        blob.close()
        if self._draft.full:
            return False
        names, sha1 = self._services.names, self.checks.named_sha1
        try:
            await names.put_date(sealed.digest, self._services.clock.now() if date is None else date)
            if sha1:
                await names.put_alias("sha1", sha1, sealed.digest, sealed.size)
            if expected := self._flight.step.expected:
                await names.learn(self._flight.context.archive.name, expected, sealed.digest, sealed.size)
        except StorageFailure as failure:  # the bytes are there, and nobody shall go without them
            log.warning("a blob is stored and its date is not: %s", failure)
        return True

    async def start_over(self, reason: str) -> None:
        """Give the bytes so far up, and begin a new draft: who followed the old one must never see other bytes in it.

        Raises TakenError.
        """
        self._flight.receiving.clear()
        await self.abandon(reason)
        writer = self._services.begin(self._flight.step)
        if not isinstance(writer, Draft):
            writer.close()
            raise TakenError
        self._is_ended = False
        self._take_up(writer)

    async def abandon(self, reason: str, *, keep: bool = False) -> None:
        """Fail every reader, unless it has ended already; `keep` leaves the bytes for a later resume."""
        if not self._is_ended:
            self._is_ended = True
            await asyncio.shield(self._draft.abandon(reason, keep=keep))
