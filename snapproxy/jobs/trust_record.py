"""Determine the proofs of an imported record.

Its roots are verified again with the local keyrings, and recorded in the catalog:

roots, verified -> recorded as names and observations -> the files that they list, found by digest

The proofs in an artifact are never trusted. Its times of a root cannot be verified; they are rejected if they
contradict the root's own date, this machine's clock, or local observations.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from snapproxy.answer.executor import Executor
from snapproxy.answer.facts import Facts
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.base.names import Names
from snapproxy.core.exchange import Conditions
from snapproxy.core.model import LIVE, Archive, ExpectedFile, Instant, Match, Proof, Refusal, Resolved, Role
from snapproxy.core.plan_model import MAX_ROOT, AskListed, AskListedAnywhere, Fetch, ListedFile, StoredFile
from snapproxy.core.record import Record, RecordEntry
from snapproxy.core.time_spec import format_instant, looks_like_time, parse_time
from snapproxy.errors import StorageError
from snapproxy.live.observations import Observations, RootPair
from snapproxy.trust.roots import RootVerifier
from snapproxy_storage import Store, read_blob

_UNSIGNED = ", and its times are not used, because the archive has keys to check it"
_NOT_OBSERVED = "it was recorded as live without an observation, so no time of it can be requested"


@dataclass
class TrustedRecord:
    """The result: `proofs` by key of the entry (NONE if unverified), number of `roots` and of `checked` ones, `doubts`.

    `times` counts the times of roots that can be requested here; a doubt gives the reason for each root without one.

    `accepted` and `refused` are the spaces (`<archive>/<snapshot>`) with an accepted root, and those with a refused
    one.
    """

    proofs: dict[tuple[str, str, str], Proof] = field(default_factory=dict)
    roots: int = 0
    checked: int = 0
    times: int = 0
    doubts: list[str] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


class RecordTrust:
    """Verifies records, and records their roots in the catalog."""

    def __init__(
        self,
        store: Store,
        archives: Mapping[str, Archive],
        executor: Executor,
        facts: Facts,
        roots: RootVerifier,
        names: Names,
        observations: Observations,
        clock: Clock,
    ) -> None:
        self._store = store
        self._archives = archives
        self._executor = executor
        self._facts = facts
        self._roots = roots
        self._names = names
        self._observations = observations
        self._clock = clock

    async def establish(self, record: Record) -> TrustedRecord:
        """Determine the proofs of a record. The store must have all files, and the configuration all archives of it."""
        trusted = TrustedRecord()
        for entry in record.entries:
            if self._is_root(entry):
                trusted.roots += 1
                is_accepted = await self._root(record, entry, trusted)
                (trusted.accepted if is_accepted else trusted.refused).add(f"{entry.archive}/{entry.snapshot}")
            elif self._is_root(entry, is_live=True):
                trusted.doubts.append(f"{_title(entry)}: {_NOT_OBSERVED}")
        if record.entries and not trusted.roots:
            trusted.doubts.append("The record has no root with a time, so no time can be requested after this import")
        for entry in record.entries:
            if entry.key not in trusted.proofs:
                trusted.proofs[entry.key] = await self._proof(entry)
        return trusted

    def _is_root(self, entry: RecordEntry, *, is_live: bool = False) -> bool:
        if entry.is_absence or (entry.snapshot == LIVE) is not is_live:
            return False
        return self._context(entry).family.classify(entry.path).role is Role.ROOT

    # --- roots ----------------------------------------------------------------------------------------------

    async def _root(self, record: Record, entry: RecordEntry, trusted: TrustedRecord) -> bool:
        """Verify a root, and record its name at the times in the record; return False if it is refused."""
        context, name = self._context(entry), _title(entry)
        signature = self._signature(record, entry, context)
        resolved = Resolved(entry.snapshot, _instant(entry.snapshot) or 0)
        step = Fetch("", f"{entry.archive}/{entry.snapshot}", entry.path, (), Role.ROOT, Proof.NONE, resolved)

        async def obtain(_context: RequestContext, _resolved: Resolved, _path: str) -> StoredFile | None:
            return signature

        proof = await self._roots.verify_stored(step, context, entry.sha256, obtain)
        if isinstance(proof, Refusal):
            trusted.doubts.append(f"{name}: {proof.reason}")
            return False
        trusted.proofs[entry.key] = proof
        if proof is not Proof.GPG:
            is_refused = self._roots.can_check(entry.archive)
            trusted.doubts.append(f"{name}: its signature was not checked{_UNSIGNED if is_refused else ''}")
            if is_refused:
                return False  # an unsigned root must not be served for an archive with signed roots
        trusted.checked += proof is Proof.GPG
        absent = _absent_with(record, entry)
        is_unsigned = context.family.signature(entry.path) in absent
        seen = RootPair(StoredFile(entry.path, entry.sha256, entry.size, proof), signature, is_unsigned=is_unsigned)
        instants = await self._instants(record, entry, context)
        if isinstance(instants, str):
            trusted.doubts.append(f"{name}: its recorded times were not accepted: {instants}")
            return False
        forms = absent.intersection(context.family.root_forms(entry.path))
        forms -= {form for form in forms if self._is_contradicted(entry.archive, form, "", instants[0], instants[-1])}
        if not await self._name(entry, context, seen, forms, instants):
            why = "another state of it was observed here at one of them"
            trusted.doubts.append(f"{name}: its recorded times were not accepted: {why}")
            return False
        trusted.times += len(instants)
        return True

    async def _name(
        self,
        entry: RecordEntry,
        context: RequestContext,
        seen: RootPair,
        absent: Collection[str],
        instants: Sequence[Instant],
    ) -> bool:
        """Record the name and the instants of a root, and its absent forms.

        Return False if another state is known for one of the instants.
        """
        if context.history.is_observed or entry.requested == LIVE:
            for each in instants:
                if not await self._observations.record(context.archive, context.family, [seen], each, absent):
                    return False
        space, resolved = f"{entry.archive}/{entry.snapshot}", Resolved(entry.snapshot, instants[0])
        if seen.signature is not None:
            await self._names.put_name(space, seen.signature.path, seen.signature, Role.SIGNATURE, resolved)
        await self._names.put_name(space, seen.root.path, seen.root, Role.ROOT, resolved)
        for each in instants:  # an observed root has been recorded already, and this changes nothing
            await self._store.catalog.observe(f"root/{entry.archive}/{entry.path}", each, entry.sha256)
        return True

    async def _instants(self, record: Record, entry: RecordEntry, context: RequestContext) -> list[Instant] | str:
        """Return the instants of the root, first that of its snapshot; or the reason why none of them can be used."""
        is_observed = context.history.is_observed or entry.requested == LIVE
        valid = record.valid.get((entry.archive, entry.requested))
        claimed = {_instant(entry.snapshot), *(valid or ())}
        requested = _instant(entry.requested)
        if requested is not None and (not is_observed or (valid is not None and valid[0] <= requested <= valid[1])):
            claimed.add(requested)
        date, now = context.family.root_date(await self._read_root(entry)) or 0, self._clock.now()
        named = sorted(each for each in claimed if each is not None)
        found = [each for each in named if date - context.history.root_date_slack <= each <= now]
        if not found:
            return _unusable(named, date, now)
        while found and not is_observed and context.history.id_of(found[0]) != entry.snapshot:
            found.pop(0)
        if not found:
            return f"none of them is a time of the snapshot {entry.snapshot}"
        if self._is_contradicted(entry.archive, entry.path, entry.sha256, found[0], found[-1]):
            return f"another state was observed here between {format_instant(found[0])} and {format_instant(found[-1])}"
        return found

    def _is_contradicted(self, archive: str, path: str, digest: str, first: Instant, last: Instant) -> bool:
        """Return whether another state of the root ('': an absence) was observed between `first` and `last`."""
        key = f"root/{archive}/{path}"
        at: Instant | None = first
        while at is not None and at <= last:
            before, after = self._store.catalog.around(key, at)
            if before is not None and before.last >= first and before.value != digest:
                return True
            at = None if after is None else after.first
        return False

    def _signature(self, record: Record, entry: RecordEntry, context: RequestContext) -> StoredFile | None:
        path = context.family.signature(entry.path)
        found = next(
            (
                each
                for each in record.entries
                if each.key == (entry.archive, entry.requested, path) and not each.is_absence
            ),
            None,
        )
        return None if found is None else StoredFile(found.path, found.sha256, found.size, Proof.NONE)

    # --- listed files ---------------------------------------------------------------------------------------

    async def _proof(self, entry: RecordEntry) -> Proof:
        """Return the local proof of an entry, by the rules for all answers."""
        context = self._context(entry)
        role = context.family.classify(entry.path).role
        if entry.is_absence or entry.is_service or role not in {Role.INDEX, Role.PACKAGE} or entry.snapshot == LIVE:
            return Proof.NONE
        stored = await self._executor.files.obtain(context, Resolved(entry.snapshot, 0), entry.path)
        if not isinstance(stored, StoredFile) and await self._record_digest(entry, context):
            stored = await self._executor.files.obtain(context, Resolved(entry.snapshot, 0), entry.path)
        return stored.proof if isinstance(stored, StoredFile) and stored.digest == entry.sha256 else Proof.NONE

    async def _record_digest(self, entry: RecordEntry, context: RequestContext) -> bool:
        """Record the SHA-256 of an entry that is listed by other digests; return False if unlisted or different."""
        expected = await self._expected(entry, context)
        if expected is None:
            return False
        checker = context.family.checker(expected)
        async with self._opened(entry) as pieces:
            async for piece in pieces:
                checker.update(piece)
        if checker.finish() is not None:
            return False
        await self._names.put_expected(entry.archive, expected, entry.sha256, entry.size)
        return True

    async def _expected(self, entry: RecordEntry, context: RequestContext) -> ExpectedFile | None:
        """Return the expected file for an entry from the roots and indexes of its snapshot."""
        space, place = f"{entry.archive}/{entry.snapshot}", context.family.classify(entry.path)
        if place.role is Role.PACKAGE and not place.parents:
            ask = AskListedAnywhere(space, entry.path)
            anywhere = await self._facts.answer(ask, context, self._executor.files.obtain)
            return anywhere.expected if isinstance(anywhere, ListedFile) else None
        for path in place.parents if place.role is Role.PACKAGE else place.roots:
            if index := self._names.stored(space, path):
                listed = AskListed(space, index.digest, path, entry.path)
                found = await self._facts.answer(listed, context, self._executor.files.obtain)
                if isinstance(found, ExpectedFile):
                    return found
        return None

    # --- used by all ----------------------------------------------------------------------------------------

    def _context(self, entry: RecordEntry) -> RequestContext:
        return self._executor.context(self._archives[entry.archive], Conditions(background=True))

    async def _read_root(self, entry: RecordEntry) -> bytes:
        data = await read_blob(self._store.blobs, entry.sha256, MAX_ROOT)
        if data is None:
            raise _removed(entry)
        return data

    @asynccontextmanager
    async def _opened(self, entry: RecordEntry) -> AsyncIterator[AsyncIterator[bytes]]:
        blob = await self._store.blobs.open(entry.sha256)
        if blob is None:
            raise _removed(entry)
        try:
            yield blob.chunks(0, blob.size)
        finally:
            blob.close()


def _absent_with(record: Record, entry: RecordEntry) -> set[str]:
    """Return the paths that the record has as absent at the same requested time as `entry`."""
    return {each.path for each in record.entries if each.is_absence and each.key[:2] == entry.key[:2]}


def _title(entry: RecordEntry) -> str:
    return f"{entry.archive}/{entry.snapshot}/{entry.path}"


def _unusable(named: Sequence[Instant], date: Instant, now: Instant) -> str:
    """Return the reason why none of the times of a root can be used."""
    if not named:
        return "the record names no instant for it"
    if named[0] > now:
        return f"the first, {format_instant(named[0])}, is later than the clock of this machine, {format_instant(now)}"
    return f"the last, {format_instant(named[-1])}, is earlier than the date in the root, {format_instant(date)}"


def _removed(entry: RecordEntry) -> StorageError:
    return StorageError("A file was removed from the store during the import", why=f"{entry.path}: {entry.sha256}.")


def _instant(text: str) -> Instant | None:
    """Return the instant of a time or a snapshot's id; None if it has none, or another instant may answer."""
    when = parse_time(text) if looks_like_time(text) else None
    return when.instant if when is not None and when.match is Match.AT else None
