"""Takes up what a record says into the catalog, as far as it can be proved here: its roots are judged anew, by our own keyrings.

    roots, judged -> named and observed -> what they promise, found by digest

An artifact's word for a proof is never believed. Its word for the times of a root cannot be checked, but for what contradicts the root's
own date, this machine's clock, or what was seen here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from snapproxy.answer.executor import Executor
from snapproxy.answer.facts import Facts
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.base.names import Names
from snapproxy.core.exchange import Conditions
from snapproxy.core.model import LIVE, Archive, ExpectedFile, Instant, Match, Proof, Refusal, Resolved, Role
from snapproxy.core.plan_model import MAX_ROOT, AskListed, AskListedAnywhere, Fetch, StoredFile
from snapproxy.core.record import Record, RecordEntry
from snapproxy.core.time_spec import looks_like_time, parse_time
from snapproxy.errors import StorageError
from snapproxy.live.observations import Observations, RootPair
from snapproxy.trust.roots import RootVerifier
from snapproxy_storage import Store, read_blob


@dataclass
class TrustedRecord:
    """What came of it. `proofs` by entry's key, NONE where nothing vouches; `trusted` roots were checked, the `doubts` say what was not.

    `taken` and `refused` are the spaces (`<archive>/<snapshot>`) of which a root was taken up, and of which one was not.
    """

    proofs: dict[tuple[str, str, str], Proof] = field(default_factory=dict)
    roots: int = 0
    trusted: int = 0
    doubts: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


class RecordTrust:
    """Takes records up."""

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

    async def adopt(self, record: Record) -> TrustedRecord:
        """Take up a record, all of whose bytes the store has; every archive of it has a row."""
        adopted = TrustedRecord()
        for entry in record.entries:
            if self._is_root(entry):
                adopted.roots += 1
                is_taken = await self._root(record, entry, adopted)
                (adopted.taken if is_taken else adopted.refused).add(f"{entry.archive}/{entry.snapshot}")
        for entry in record.entries:
            if entry.key not in adopted.proofs:
                adopted.proofs[entry.key] = await self._proof(entry)
        return adopted

    def _is_root(self, entry: RecordEntry) -> bool:
        family = self._asking(entry).family
        return not entry.is_absence and entry.snapshot != LIVE and family.classify(entry.path).role is Role.ROOT

    # --- roots ------------------------------------------------------------------------------------------------------------

    async def _root(self, record: Record, entry: RecordEntry, adopted: TrustedRecord) -> bool:
        """Judge a root, and name it at the times that the record gives for it; False when it is not taken up."""
        context, name = self._asking(entry), f"{entry.archive}/{entry.snapshot}/{entry.path}"
        signature = self._signature(record, entry, context)
        resolved = Resolved(entry.snapshot, 0)
        step = Fetch("", f"{entry.archive}/{entry.snapshot}", entry.path, (), Role.ROOT, Proof.NONE, resolved)

        async def obtain(_asking: RequestContext, _resolved: Resolved, _path: str) -> StoredFile | None:
            return signature

        proof = await self._roots.verify_stored(step, context, entry.sha256, obtain)
        if isinstance(proof, Refusal):
            adopted.doubts.append(f"{name}: {proof.reason}")
            return False
        adopted.proofs[entry.key] = proof
        if proof is not Proof.GPG:
            adopted.doubts.append(f"{name}: its signature was not checked")
            if self._roots.can_check(entry.archive):
                return False  # a root that nobody signed must not answer for an archive whose roots are
        adopted.trusted += proof is Proof.GPG
        seen = RootPair(StoredFile(entry.path, entry.sha256, entry.size, proof), signature)
        instants = await self._instants(record, entry, context)
        is_taken = bool(instants) and await self._name(entry, context, seen, instants)
        if not is_taken:
            adopted.doubts.append(f"{name}: the times it is said to be of are not taken up")
        return is_taken

    async def _name(
        self, entry: RecordEntry, context: RequestContext, seen: RootPair, instants: Sequence[Instant]
    ) -> bool:
        """Name a root, and note when it stood; False when something else is known to have stood then."""
        if context.history.is_observed or entry.requested == LIVE:
            return all(
                [await self._observations.record(context.archive, context.family, [seen], each) for each in instants]
            )
        space, resolved = f"{entry.archive}/{entry.snapshot}", Resolved(entry.snapshot, instants[0])
        if seen.signature is not None:
            await self._names.name(space, seen.signature.path, seen.signature, Role.SIGNATURE, resolved)
        await self._names.name(space, seen.root.path, seen.root, Role.ROOT, resolved)
        for each in instants:
            await self._store.catalog.observe(f"root/{entry.archive}/{entry.path}", each, entry.sha256)
        return True

    async def _instants(self, record: Record, entry: RecordEntry, context: RequestContext) -> list[Instant]:
        """Return when the root stood, first the instant that its snapshot is called by; nothing where that cannot be."""
        is_seen = context.history.is_observed or entry.requested == LIVE
        valid = record.valid.get((entry.archive, entry.requested))
        told = {_instant(entry.snapshot), *(valid or ())}
        asked = _instant(entry.requested)
        if asked is not None and (not is_seen or (valid is not None and valid[0] <= asked <= valid[1])):
            told.add(asked)
        date = context.family.root_date(await self._read_root(entry))
        found = sorted(each for each in told if each is not None and (date or 0) <= each <= self._clock.now())
        while found and not is_seen and context.history.id_of(found[0]) != entry.snapshot:
            found.pop(0)
        return [] if found and self._is_contradicted(entry, found[0], found[-1]) else found

    def _is_contradicted(self, entry: RecordEntry, first: Instant, last: Instant) -> bool:
        """Whether another state of the root is known to have stood in that time."""
        key = f"root/{entry.archive}/{entry.path}"
        at: Instant | None = first
        while at is not None and at <= last:
            before, after = self._store.catalog.around(key, at)
            if before is not None and before.last >= first and before.value != entry.sha256:
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

    # --- what they vouch for ----------------------------------------------------------------------------------------------

    async def _proof(self, entry: RecordEntry) -> Proof:
        """Return how far an entry can be believed here: by the rules that every answer follows."""
        context = self._asking(entry)
        role = context.family.classify(entry.path).role
        if entry.is_absence or entry.is_service or role not in {Role.INDEX, Role.PACKAGE} or entry.snapshot == LIVE:
            return Proof.NONE
        held = await self._executor.obtain(context, Resolved(entry.snapshot, 0), entry.path)
        if not isinstance(held, StoredFile) and await self._learn(entry, context):
            held = await self._executor.obtain(context, Resolved(entry.snapshot, 0), entry.path)
        return held.proof if isinstance(held, StoredFile) and held.digest == entry.sha256 else Proof.NONE

    async def _learn(self, entry: RecordEntry, context: RequestContext) -> bool:
        """Note that an entry's bytes keep a promise that gives no SHA-256; False when there is none, or they do not."""
        expected = await self._promised(entry, context)
        if expected is None:
            return False
        checker = context.family.checker(expected)
        async with self._opened(entry) as pieces:
            async for piece in pieces:
                checker.update(piece)
        if checker.finish() is not None:
            return False
        await self._names.learn(entry.archive, expected, entry.sha256, entry.size)
        return True

    async def _promised(self, entry: RecordEntry, context: RequestContext) -> ExpectedFile | None:
        """Return what the roots and indexes of an entry's snapshot promise for it."""
        space, place = f"{entry.archive}/{entry.snapshot}", context.family.classify(entry.path)
        if place.role is Role.PACKAGE and not place.parents:
            ask = AskListedAnywhere(space, entry.path)
            vouched = await self._facts.answer(ask, context, self._executor.obtain)
            return None if vouched is None else vouched.expected
        for path in place.parents if place.role is Role.PACKAGE else place.roots:
            if voucher := self._names.held(space, path):
                listed = AskListed(space, voucher.digest, path, entry.path)
                found = await self._facts.answer(listed, context, self._executor.obtain)
                if isinstance(found, ExpectedFile):
                    return found
        return None

    # --- what all of it uses ----------------------------------------------------------------------------------------------

    def _asking(self, entry: RecordEntry) -> RequestContext:
        return self._executor.context(self._archives[entry.archive], Conditions(background=True))

    async def _read_root(self, entry: RecordEntry) -> bytes:
        data = await read_blob(self._store.blobs, entry.sha256, MAX_ROOT)
        if data is None:
            raise _vanished(entry)
        return data

    @asynccontextmanager
    async def _opened(self, entry: RecordEntry) -> AsyncIterator[AsyncIterator[bytes]]:
        blob = await self._store.blobs.open(entry.sha256)
        if blob is None:
            raise _vanished(entry)
        try:
            yield blob.chunks(0, blob.size)
        finally:
            blob.close()


def _vanished(entry: RecordEntry) -> StorageError:
    return StorageError("A file left the store while it was imported", why=f"{entry.path}: {entry.sha256}.")


def _instant(text: str) -> Instant | None:
    """Return the instant that a time or a snapshot's id names, None where it names none, or may be answered by another."""
    when = parse_time(text) if looks_like_time(text) else None
    return when.instant if when is not None and when.match is Match.HELD else None
