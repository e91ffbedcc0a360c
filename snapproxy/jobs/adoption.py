"""Takes up what a record says into the catalog, as far as it can be proved here: its roots are judged anew, by our own keyrings.

    roots, judged -> named and observed -> what they promise, found by digest

An artifact's word for a proof is never believed. Its word for the times of a root cannot be checked, but for what contradicts the root's
own date, this machine's clock, or what was seen here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from snapproxy.core.exchange import Conditions
from snapproxy.core.model import LIVE, Archive, Instant, Match, Promise, Proof, Refusal, Resolved, Role
from snapproxy.core.record import Entry, Record
from snapproxy.core.steps import AskPromised, AskRow, Fetch, Held, Vouched
from snapproxy.core.when import looks_like_when, parse
from snapproxy.errors import StorageError
from snapproxy.shell.asking import Asking
from snapproxy.shell.clock import Clock
from snapproxy.shell.executor import Executor
from snapproxy.shell.facts import Facts
from snapproxy.shell.names import Names
from snapproxy.shell.observations import Observations, Seen
from snapproxy.shell.roots import Roots
from storage import Store


@dataclass
class Adopted:
    """What came of it. `proofs` by entry's key, NONE where nothing vouches; `trusted` roots were checked, the `doubts` say what was not.

    `taken` and `refused` are the spaces (`<archive>/<snapshot>`) of which a root was taken up, and of which one was not.
    """

    proofs: dict[tuple[str, str, str], Proof] = field(default_factory=dict)
    roots: int = 0
    trusted: int = 0
    doubts: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


class Adopter:
    """Takes records up."""

    def __init__(
        self,
        store: Store,
        rows: Mapping[str, Archive],
        executor: Executor,
        facts: Facts,
        roots: Roots,
        names: Names,
        observations: Observations,
        clock: Clock,
    ) -> None:
        self._store = store
        self._rows = rows
        self._executor = executor
        self._facts = facts
        self._roots = roots
        self._names = names
        self._observations = observations
        self._clock = clock

    async def adopt(self, record: Record) -> Adopted:
        """Take up a record, all of whose bytes the store has; every archive of it has a row."""
        adopted = Adopted()
        for entry in record.entries:
            if self._is_root(entry):
                adopted.roots += 1
                is_taken = await self._root(record, entry, adopted)
                (adopted.taken if is_taken else adopted.refused).add(f"{entry.archive}/{entry.snapshot}")
        for entry in record.entries:
            if entry.key not in adopted.proofs:
                adopted.proofs[entry.key] = await self._proof(entry)
        return adopted

    def _is_root(self, entry: Entry) -> bool:
        family = self._asking(entry).family
        return not entry.is_absence and entry.snapshot != LIVE and family.classify(entry.path).role is Role.ROOT

    # --- roots ------------------------------------------------------------------------------------------------------------

    async def _root(self, record: Record, entry: Entry, adopted: Adopted) -> bool:
        """Judge a root, and name it at the times that the record gives for it; False when it is not taken up."""
        asking, name = self._asking(entry), f"{entry.archive}/{entry.snapshot}/{entry.path}"
        signature = self._signature(record, entry, asking)
        resolved = Resolved(entry.snapshot, 0)
        step = Fetch("", f"{entry.archive}/{entry.snapshot}", entry.path, (), Role.ROOT, Proof.NONE, resolved)

        async def obtain(_asking: Asking, _resolved: Resolved, _path: str) -> Held | None:
            return signature

        proof = await self._roots.verdict(step, asking, entry.sha256, obtain)
        if isinstance(proof, Refusal):
            adopted.doubts.append(f"{name}: {proof.reason}")
            return False
        adopted.proofs[entry.key] = proof
        if proof is not Proof.GPG:
            adopted.doubts.append(f"{name}: its signature was not checked")
            if self._roots.can_check(entry.archive):
                return False  # a root that nobody signed must not answer for an archive whose roots are
        adopted.trusted += proof is Proof.GPG
        seen = Seen(Held(entry.path, entry.sha256, entry.size, proof), signature)
        instants = await self._instants(record, entry, asking)
        is_taken = bool(instants) and await self._name(entry, asking, seen, instants)
        if not is_taken:
            adopted.doubts.append(f"{name}: the times it is said to be of are not taken up")
        return is_taken

    async def _name(self, entry: Entry, asking: Asking, seen: Seen, instants: Sequence[Instant]) -> bool:
        """Name a root, and note when it stood; False when something else is known to have stood then."""
        if asking.history.is_observed or entry.requested == LIVE:
            return all([await self._observations.record(asking.row, asking.family, [seen], each) for each in instants])
        space, resolved = f"{entry.archive}/{entry.snapshot}", Resolved(entry.snapshot, instants[0])
        if seen.signature is not None:
            await self._names.name(space, seen.signature.path, seen.signature, Role.SIGNATURE, resolved)
        await self._names.name(space, seen.root.path, seen.root, Role.ROOT, resolved)
        for each in instants:
            await self._store.catalog.observe(f"root/{entry.archive}/{entry.path}", each, entry.sha256)
        return True

    async def _instants(self, record: Record, entry: Entry, asking: Asking) -> list[Instant]:
        """Return when the root stood, first the instant that its snapshot is called by; nothing where that cannot be."""
        is_seen = asking.history.is_observed or entry.requested == LIVE
        valid = record.valid.get((entry.archive, entry.requested))
        told = {_instant(entry.snapshot), *(valid or ())}
        asked = _instant(entry.requested)
        if asked is not None and (not is_seen or (valid is not None and valid[0] <= asked <= valid[1])):
            told.add(asked)
        date = asking.family.root_date(await self._read(entry))
        found = sorted(each for each in told if each is not None and (date or 0) <= each <= self._clock.now())
        while found and not is_seen and asking.history.id_of(found[0]) != entry.snapshot:
            found.pop(0)
        return [] if found and self._is_contradicted(entry, found[0], found[-1]) else found

    def _is_contradicted(self, entry: Entry, first: Instant, last: Instant) -> bool:
        """Whether another state of the root is known to have stood in that time."""
        key = f"root/{entry.archive}/{entry.path}"
        at: Instant | None = first
        while at is not None and at <= last:
            before, after = self._store.catalog.around(key, at)
            if before is not None and before.last >= first and before.value != entry.sha256:
                return True
            at = None if after is None else after.first
        return False

    def _signature(self, record: Record, entry: Entry, asking: Asking) -> Held | None:
        path = asking.family.signature(entry.path)
        found = next(
            (
                each
                for each in record.entries
                if each.key == (entry.archive, entry.requested, path) and not each.is_absence
            ),
            None,
        )
        return None if found is None else Held(found.path, found.sha256, found.size, Proof.NONE)

    # --- what they vouch for ----------------------------------------------------------------------------------------------

    async def _proof(self, entry: Entry) -> Proof:
        """Return how far an entry can be believed here: by the rules that every answer follows."""
        asking = self._asking(entry)
        role = asking.family.classify(entry.path).role
        if entry.is_absence or entry.is_service or role not in {Role.INDEX, Role.PACKAGE} or entry.snapshot == LIVE:
            return Proof.NONE
        held = await self._executor.obtain(asking, Resolved(entry.snapshot, 0), entry.path)
        if not isinstance(held, Held) and await self._learn(entry, asking):
            held = await self._executor.obtain(asking, Resolved(entry.snapshot, 0), entry.path)
        return held.proof if isinstance(held, Held) and held.digest == entry.sha256 else Proof.NONE

    async def _learn(self, entry: Entry, asking: Asking) -> bool:
        """Note that an entry's bytes keep a promise that gives no SHA-256; False when there is none, or they do not."""
        promise = await self._promised(entry, asking)
        if promise is None:
            return False
        checker = asking.family.checker(promise)
        async with self._opened(entry) as pieces:
            async for piece in pieces:
                checker.update(piece)
        if checker.finish() is not None:
            return False
        await self._names.learn(entry.archive, promise, entry.sha256, entry.size)
        return True

    async def _promised(self, entry: Entry, asking: Asking) -> Promise | None:
        """Return what the roots and indexes of an entry's snapshot promise for it."""
        space, place = f"{entry.archive}/{entry.snapshot}", asking.family.classify(entry.path)
        if place.role is Role.PACKAGE and not place.parents:
            ask = AskPromised(space, entry.path)
            vouched: Vouched | None = (await self._facts.learn([ask], asking))[ask]
            return None if vouched is None else vouched.promise
        for path in place.parents if place.role is Role.PACKAGE else place.roots:
            if voucher := self._names.held(space, path):
                row = AskRow(space, voucher.digest, path, entry.path)
                found: Promise | Refusal | None = (await self._facts.learn([row], asking))[row]
                if isinstance(found, Promise):
                    return found
        return None

    # --- what all of it uses ----------------------------------------------------------------------------------------------

    def _asking(self, entry: Entry) -> Asking:
        return self._executor.asking(self._rows[entry.archive], Conditions(background=True))

    async def _read(self, entry: Entry) -> bytes:
        async with self._opened(entry) as pieces:
            return b"".join([piece async for piece in pieces])

    @asynccontextmanager
    async def _opened(self, entry: Entry) -> AsyncIterator[AsyncIterator[bytes]]:
        blob = await self._store.blobs.open(entry.sha256)
        if blob is None:
            raise StorageError("A file left the store while it was imported", why=f"{entry.path}: {entry.sha256}.")
        try:
            yield blob.chunks(0, blob.size)
        finally:
            blob.close()


def _instant(text: str) -> Instant | None:
    """Return the instant that a time or a snapshot's id names, None where it names none, or may be answered by another."""
    when = parse(text) if looks_like_when(text) else None
    return when.instant if when is not None and when.match is Match.HELD else None
