"""Answer requests from a record alone (`core.exchange.Answerer`).

Requests for recorded files and absences are answered; every other request is refused. Times are not resolved: the
record contains the snapshot of each time, and the files and absences there. Bytes are found by digest: in the store,
upstream, or in an artifact.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from snapproxy.capture.deferred_body import DeferredBody
from snapproxy.capture.stored_entry import StoredBytes, absent
from snapproxy.core.conditions import refuse_newer
from snapproxy.core.exchange import Conditions, FileTarget, Outcome, PassTarget, Served, ServiceTarget, TunnelTarget
from snapproxy.core.model import TIMELESS, Family, Instant, Place, Refusal, Role, TimeSpec
from snapproxy.core.plan_model import MAX_ROOT
from snapproxy.core.record import Record, RecordEntry
from snapproxy.core.time_spec import canonical_time, format_instant, looks_like_time, parse_time
from snapproxy.errors import SnapproxyError
from snapproxy_storage import BodyTooLarge, StorageFailure, read_whole

log = logging.getLogger(__name__)

Bring = Callable[[RecordEntry], Awaitable[StoredBytes | Refusal]]
"""Returns the bytes of an entry, complete and verified, or the refusal with the reason."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A record to replay, its name in messages, and its source of bytes (None: the store; unless offline, upstream)."""

    record: Record
    what: str
    bring: Bring | None = None


def the_time(record: Record) -> TimeSpec | None:
    """Return the time of all requests of a record; None if there are several, or an archive's own folder names."""
    times = {entry.requested for entry in record.entries if looks_like_time(entry.requested)}
    return parse_time(times.pop()) if len(times) == 1 else None


class Replay:
    """Replays one record. `what` names it in refusals: "the capture build", "the lock app.lock.json"."""

    def __init__(self, record: Record, families: Mapping[str, Family], bring: Bring, *, what: str) -> None:
        self._entries = {entry.key: entry for entry in record.entries}
        self._record = record
        self._families = families
        self._fetch = bring
        self._what = what
        self._answered: set[tuple[str, str, str]] = set()
        self._by_hash = _ByHash(record, self._read)
        self._dates: dict[str, Instant | None] = {}

    async def answer(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Outcome:
        """Answer a request as it was answered when it was recorded."""
        try:
            return await self._answer(target, conditions)
        except SnapproxyError as error:
            return Refusal(424, error.reason, error.why, error.hint)
        except StorageFailure as failure:
            log.exception("The store failed")
            return Refusal(424, "The store of snapproxy failed", str(failure), "Check the log and the disk.")

    async def _answer(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Outcome:
        entry = await self._find(target)
        if entry is None:
            return self._missing(target)
        found = absent(entry) if entry.is_absence else await self._fetch(entry)
        if isinstance(found, Refusal):
            if entry.is_absence:
                self._answered.add(entry.key)
            return found
        family = self._families[target.archive.family]
        try:
            date = await self._date(family, entry)
        except BaseException:
            found.body.close()
            raise
        newer = refuse_newer(family, entry.role, date, conditions.since, f"{entry.archive}/{entry.snapshot}")
        if newer is not None:
            found.body.close()
            return newer
        self._answered.add(entry.key)
        valid = self._record.valid.get((entry.archive, entry.requested))
        headers = {"X-Snapproxy-Valid": "/".join(map(format_instant, valid))} if valid else {}
        return Served(
            found.body,
            entry.archive,
            entry.snapshot,
            entry.requested,
            entry.proof,
            found.cache,
            entry.role,
            date,
            "" if isinstance(found.body, DeferredBody) else entry.sha256,
            headers=headers,
            date_is_proof=self._is_only_root(entry),
        )

    def prefetch(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> None:
        """Do nothing: a replay needs no preparation."""

    async def passing(self, target: PassTarget | TunnelTarget) -> Refusal | None:
        """Refuse the request: a record contains no bytes of hosts that are passed through."""
        return Refusal(
            424,
            "No pass-through while a record is replayed",
            f"The request was for {target.host}, but {self._what} contains no bytes of it.",
            "Record the build again with this file from a configured archive.",
        )

    async def close(self) -> None:
        """Do nothing: no file is open."""

    @property
    def answered(self) -> Record:
        """The part of the record that was answered so far.

        It has no unpinned hosts, because a replay has no pass-through.
        """
        entries = tuple(entry for entry in self._record.entries if entry.key in self._answered)
        times = {entry.key[:2] for entry in entries}
        return Record(
            entries,
            {archive: self._record.families[archive] for archive, _ in sorted(times)},
            {time: span for time, span in self._record.valid.items() if time in times},
            solvers=self._record.solvers,
        )

    # --- finding --------------------------------------------------------------------------------------------

    async def _find(self, target: FileTarget | ServiceTarget) -> RecordEntry | None:
        if isinstance(target, ServiceTarget):
            return self._entries.get((target.archive.name, TIMELESS, target.path))
        place = self._families[target.archive.family].classify(target.path)
        for requested in self._requested(target):
            entry = self._entries.get((target.archive.name, requested, target.path))
            if entry is None and place.by_hash is not None:
                entry = await self._by_hash.find(target.archive.name, requested, target.path, place)
            if entry is not None:
                return entry
        return None

    def _requested(self, target: FileTarget) -> list[str]:
        """Return the times to look up in the record: the requested one, and those known to have the same answers."""
        own, instant, archive = canonical_time(target.when), target.when.instant, target.archive.name
        spans = [
            requested
            for (name, requested), (first, last) in self._record.valid.items()
            if name == archive and instant is not None and first <= instant <= last and requested != own
        ]
        return [own, *spans]

    def _missing(self, target: FileTarget | ServiceTarget) -> Refusal:
        time = canonical_time(target.when) if isinstance(target, FileTarget) else "every time"
        return Refusal(
            424,
            "Not in the replayed record",
            f"{self._what} has no {target.path} of {target.archive.name} at {time}. "
            "Only recorded requests are answered.",
            "Record the build again with this request in it.",
        )

    # --- dates ----------------------------------------------------------------------------------------------

    async def _date(self, family: Family, entry: RecordEntry) -> Instant | None:
        """Return the publication date in a root, which its client compares."""
        if entry.role is not Role.ROOT or not family.tells_root_dates or entry.size > MAX_ROOT:
            return None
        if entry.sha256 not in self._dates:
            data = await self._read(entry)
            self._dates[entry.sha256] = None if data is None else family.root_date(data)
        return self._dates[entry.sha256]

    def _is_only_root(self, entry: RecordEntry) -> bool:
        """Return whether the record has no other root of this name, which might have the same date."""
        return entry.role is Role.ROOT and not any(
            each.sha256 != entry.sha256 and not each.is_absence
            for each in self._record.entries
            if (each.archive, each.path) == (entry.archive, entry.path)
        )

    async def _read(self, entry: RecordEntry) -> bytes | None:
        """Return the bytes of an entry, None if they are unavailable."""
        found = await self._fetch(entry)
        if isinstance(found, Refusal):
            return None
        try:
            return await read_whole(found.body, entry.size)
        except BodyTooLarge:  # these are not the recorded bytes
            return None


@dataclass(frozen=True, slots=True)
class _ByHash:
    """Finds entries by digest.

    A record lists each index under its canonical path, with its sha256; other digests are computed.
    """

    record: Record
    read: Callable[[RecordEntry], Awaitable[bytes | None]]

    async def find(self, archive: str, requested: str, path: str, place: Place) -> RecordEntry | None:
        """Return the entry whose bytes have the digest in `path`, out of those in the folders above it."""
        if place.by_hash is None:
            return None
        algorithm, digest = place.by_hash
        candidates = [
            entry
            for entry in self.record.entries
            if entry.key[:2] == (archive, requested)
            and not entry.is_absence
            and path.startswith(entry.path.rpartition("/")[0] + "/")
        ]
        for entry in candidates:
            if await self._digest(entry, algorithm) == digest:
                return entry
        return None

    async def _digest(self, entry: RecordEntry, algorithm: str) -> str | None:
        if algorithm == "sha256":
            return entry.sha256
        data = await self.read(entry)
        return None if data is None else (await asyncio.to_thread(_hashed, algorithm, data))


def _hashed(algorithm: str, data: bytes) -> str:
    return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
