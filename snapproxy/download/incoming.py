"""The bytes of one flight while they arrive: the draft to which they are written, their sources, and their checks.

`Incoming` starts a new draft when bytes must be discarded, and ends its draft once, by commit or abandon. `Attempt`
decides which source the bytes come from.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging

from snapproxy.core.conditions import is_dated
from snapproxy.core.http_date import read_http_date
from snapproxy.core.model import Checker, ExpectedFile, Family, Instant
from snapproxy.core.plan_model import MAX_ROOT, Source
from snapproxy.core.upstream_answer import Offer
from snapproxy.download.flight import Flight
from snapproxy.download.services import DownloadServices
from snapproxy_storage import Draft, DraftFailed, Following, Meta, Sealed, StorageFailure

log = logging.getLogger(__name__)

DEAD_PROCESS = Source("", "", last_resort=True)
"""The recorded source of bytes that a process which died has left in the draft."""


class DraftTakenError(Exception):
    """Another process or flight is the writer of the draft."""


class AlreadyStoredError(Exception):
    """The file was stored since its download was planned."""


class ByteChecks:
    """The checks that the store does not make by itself: digests other than sha256, and the whole bytes of a root.

    `add` runs on the writer thread, for every byte of one draft; `mismatch` is called after the last one. `keeps_all`:
    the bytes are those of a root, and are kept for the check of the root.
    """

    def __init__(self, expected: ExpectedFile | None, family: Family, *, keeps_all: bool) -> None:
        self._expected = expected
        self._checker: Checker | None = None
        if (
            expected is not None and "sha256" not in expected.digests
        ):  # otherwise the digest that the store computes is sufficient
            self._checker = family.checker(expected)
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._keeps_all = keeps_all
        self._kept = bytearray()
        self.named_sha1 = ""
        """The SHA-1 of the whole file according to the address of its first byte; '' if the address has none."""

    @property
    def kept(self) -> bytes:
        """The whole root."""
        return bytes(self._kept)

    def add(self, data: bytes) -> None:
        """Process the next bytes."""
        if self._checker is not None:
            self._checker.update(data)
        if self.named_sha1:
            self._sha1.update(data)
        if self._keeps_all and len(self._kept) <= MAX_ROOT:
            self._kept += data

    def mismatch(self, sealed: Sealed) -> str | None:
        """Return a short description of the difference from the expected file; None if there is none."""
        expected = self._expected
        if expected is not None and expected.size not in (None, sealed.size):
            return "size differs"
        if expected is not None and expected.digests.get("sha256", sealed.digest) != sealed.digest:
            return "sha256 differs"
        if self._checker is not None and (difference := self._checker.finish()) is not None:
            return difference
        return "sha1 differs" if self.named_sha1 and self._sha1.hexdigest() != self.named_sha1 else None


class Incoming:
    """The bytes received so far. `is_root`: they are kept for the check of the root."""

    def __init__(self, services: DownloadServices, flight: Flight, *, is_root: bool) -> None:
        self._services = services
        self._flight = flight
        self._is_root = is_root
        self._is_ended = True
        self._begun: Draft | None = None

    @property
    def _draft(self) -> Draft:
        if self._begun is None:
            raise AssertionError("no draft was begun")
        return self._begun

    def _use(self, draft: Draft) -> None:
        self._begun = self._flight.draft = draft
        self._is_ended = False
        self.checks = ByteChecks(self._flight.step.expected, self._flight.context.family, keeps_all=self._is_root)
        self.sources: list[Source] = []
        draft.tap(self.checks.add)

    @property
    def size(self) -> int:
        """Bytes received, those of an earlier process included."""
        return 0 if self._begun is None else self._begun.size

    @property
    def is_followed(self) -> bool:
        """Whether a reader may have sent bytes to its client: if so, a later failure can only abort the connection."""
        return not self._flight.step.whole and self._flight.is_followed

    @property
    def has_strong_digest(self) -> bool:
        """Whether bytes of different sources may be combined, since a strong digest verifies the result."""
        expected = self._flight.step.expected
        return expected is not None and expected.is_strong

    async def open(self) -> None:
        """Begin the draft, if that has not happened: not before a request can be sent, because it has open files.

        Continue with the bytes that an earlier writer left if a strong digest will verify them; otherwise discard them.
        Raise DraftTakenError if another writer has begun it, AlreadyStoredError if the file is stored.
        """
        if self._begun is not None:
            return
        begun = self._services.begin(self._flight.step)
        if isinstance(begun, Following):
            begun.body.close()
            raise DraftTakenError
        self._use(begun.draft)
        if await self._services.is_stored(self._flight.step, self._flight.context.archive.name):
            raise AlreadyStoredError
        if self.size and self.has_strong_digest:
            self.sources.append(DEAD_PROCESS)
            await self._draft.rehash()
        elif self.size:
            await self._draft.restart()

    def length_with(self, offer: Offer) -> int | None:
        """Return the length of the file according to this offer or an earlier one."""
        return self._draft.meta.length if offer.total is None else offer.total

    def contradicts(self, length: int | None) -> bool:
        """Return whether a file of that length cannot be the one whose bytes have been received."""
        return self._draft.meta.length not in (None, length) or (length is not None and length < self.size)

    async def begin(self, source: Source, offer: Offer, length: int | None) -> None:
        """Publish the metadata of the file to its readers: bytes follow."""
        await self._draft.describe(Meta(source.url, length, offer.etag, offer.last_modified))
        # Without a date no client continues a part of other bytes (If-Range).
        self._flight.date = None if self._flight.has_wrong_source else read_http_date(offer.last_modified)
        self._flight.receiving.set()

    async def write(self, data: bytes, source: Source) -> None:
        """Append the next bytes."""
        if source not in self.sources:
            self.sources.append(source)
        await self._draft.write(data)

    async def seal(self) -> Sealed:
        """Return the size and digest of all bytes."""
        return await self._draft.seal()

    async def commit(self, sealed: Sealed, last_modified: Instant | None) -> bool:
        """Store the verified bytes, and record their date and their other digests.

        `last_modified`: the date that upstream sent. Return False if the disk is full and nothing is stored.
        Raise DiskFailure if the first bytes have left the memory as well: only the current readers had all bytes.
        """
        self._is_ended = self._flight.is_storing = True
        context, step = self._flight.context, self._flight.step
        own = context.family.root_date(self.checks.kept) if self._is_root else None
        self._flight.date = own or last_modified
        # The draft's file is deleted with its last reader: a client that joins now waits for the outcome, and is served
        # from the store.
        self._flight.receiving.clear()
        self._flight.mark_name_pending()
        blob = await self._draft.commit()
        if self._draft.full:
            try:
                await blob.wait(0)
            except DraftFailed:
                blob.close()
                raise self._draft.misfit() from None
            self._flight.unstored = blob
            return False
        blob.close()
        names, sha1 = self._services.names, self.checks.named_sha1
        try:
            date = self._services.clock.now() if self._flight.date is None else self._flight.date
            await names.put_date(sealed.digest, date)
            if is_dated(context.family, step.role):
                await names.put_own_date(context.archive.name, step.path, sealed.digest, date, last_modified)
            if sha1:
                await names.put_alias("sha1", sha1, sealed.digest, sealed.size)
            if step.expected:
                await names.put_expected(context.archive.name, step.expected, sealed.digest, sealed.size)
        except StorageFailure as failure:  # the bytes are stored: serve them nevertheless
            log.warning("A blob was stored without its date or its other digests: %s", failure)
        return True

    async def start_over(self, reason: str) -> None:
        """Discard the bytes so far and begin a new draft: followers of the old one must never read other bytes in it.

        Raise DraftTakenError if another process begins it first.
        """
        self._flight.receiving.clear()
        await self.abandon(reason)
        begun = self._services.begin(self._flight.step)
        if isinstance(begun, Following):
            begun.body.close()
            self._flight.draft = None
            raise DraftTakenError
        self._use(begun.draft)

    async def abandon(self, reason: str, *, keep: bool = False) -> None:
        """Fail every reader, unless the draft has ended already; `keep` leaves the bytes for a later resume."""
        if not self._is_ended:
            self._is_ended = True
            await asyncio.shield(self._draft.abandon(reason, keep=keep))
