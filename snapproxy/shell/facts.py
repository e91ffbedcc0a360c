"""Answers a plan's questions: from the catalog and the tables where they know, from upstream where they do not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, assert_never

from snapproxy.core.model import LIVE, Archive, NeedWindow, Promise, Proof, Refusal, Resolved
from snapproxy.core.promised import identity
from snapproxy.core.steps import (
    Arriving,
    Ask,
    AskAlias,
    AskFile,
    AskHeld,
    AskName,
    AskPromised,
    AskRow,
    AskSightings,
    AskWindow,
    Held,
    Known,
    Vouched,
)
from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.shell.asking import Asking
from snapproxy.shell.live import Live
from snapproxy.shell.names import Names, size_of
from snapproxy.shell.observations import Observations
from snapproxy.shell.promises import Promises
from snapproxy.shell.timelines import Timelines
from storage import Store

Obtain = Callable[[Asking, Resolved, str], Awaitable[Held | Arriving | Refusal | None]]

ROOTS_REMEMBERED = 64
"""For how many roots the list of their indexes is kept: decoding it takes longer than looking a package up."""


class Facts:
    """`learn` answers questions side by side. `obtain` is the executor's own: a question may be another file of the same snapshot."""

    def __init__(
        self,
        *,
        store: Store,
        names: Names,
        timelines: Timelines,
        promises: Promises,
        live: Live,
        observations: Observations,
    ) -> None:
        self._store = store
        self._names = names
        self._timelines = timelines
        self._promises = promises
        self._live = live
        self._observations = observations
        self.obtain: Obtain | None = None
        self._indexes_of: dict[tuple[str, str], list[Promise]] = {}

    def at_hand(self, row: Archive) -> Known:
        """Return what can be told without asking anybody, so that a hit is planned in two rounds."""
        return Known({AskWindow(row.name, window.start, window.end): window for window in self._timelines.at_hand(row)})

    async def learn(self, asks: Sequence[Ask], asking: Asking) -> dict[Ask, Any]:
        """Answer every question; the answer may volunteer the facts that are sure to be asked next."""
        learned: dict[Ask, Any] = {}
        for facts in await asyncio.gather(*(self._learn(ask, asking) for ask in asks)):
            learned |= facts
        return learned

    async def _learn(self, ask: Ask, asking: Asking) -> dict[Ask, Any]:
        match ask:
            case AskWindow():
                return {ask: await self._timelines.window(asking, NeedWindow(ask.start, ask.end, ask.around))}
            case AskSightings():
                return {ask: self._observations.sightings(asking.row, asking.history, ask.roots, ask.instant)}
            case AskName():
                return {ask: self._names.held(ask.space, ask.path)}
            case AskFile():
                return {ask: await self._file(ask, asking)}
            case AskRow():
                promise = await self._row(ask, asking)
                return {ask: promise} | self._volunteer(promise, asking.row)
            case AskPromised():
                vouched = await self._promised(ask, asking)
                return {ask: vouched} | self._volunteer(None if vouched is None else vouched.promise, asking.row)
            case AskHeld():
                return {ask: self._size(ask.digest)}
            case AskAlias():
                return {ask: self._names.known_as(ask.archive, ask.algorithm, ask.digest)}
            case _:
                assert_never(ask)

    def _volunteer(self, promise: Promise | Refusal | None, row: Archive) -> dict[Ask, Any]:
        known_by = identity(promise) if isinstance(promise, Promise) else None
        if not isinstance(promise, Promise) or known_by is None:
            return {}
        digest = self._names.sha256_of(row.name, promise)
        facts: dict[Ask, Any] = {AskAlias(row.name, *known_by): digest}
        return facts | ({AskHeld(digest): self._size(digest)} if digest else {})

    def _size(self, digest: str) -> int | None:
        return size_of(self._store.blobs, digest)

    async def _file(self, ask: AskFile, asking: Asking) -> Held | Arriving | Refusal | None:
        """Bring the first of the candidates that exists; one that this snapshot is known to have served goes before a guess."""
        if self.obtain is None:
            raise AssertionError("wiring joins facts and executor")
        known = [path for path in ask.candidates if self._names.held(ask.space, path)]
        for path in known[:1] or ask.candidates:
            if ask.resolved.snapshot == LIVE:
                held: Held | Arriving | Refusal | None = await self._live.obtain(asking, path, to_vouch=ask.to_vouch)
            else:
                held = await self.obtain(asking, ask.resolved, path)
            if held is not None:
                return held
        return None

    async def _row(self, ask: AskRow, asking: Asking) -> Promise | Refusal | None:
        """Look a name up in an index; in the present, also in the set before (by-hash serves both, rule 7)."""
        digests = [ask.digest]
        if ask.space == f"{asking.row.name}/{LIVE}":
            digests += self._live.before(asking.row, ask.index)
        try:
            for digest in digests:
                promise = await self._promises.promise(asking.family, digest, ask.index, ask.name)
                if promise is not None:
                    return promise
        except ArchiveDataError as error:
            return Refusal(424, "An index of this snapshot cannot be read", f"{ask.index}: {error.reason}", error.why)
        return None

    async def _promised(self, ask: AskPromised, asking: Asking) -> Vouched | None:
        """Look for a package in every root of this snapshot, or in every index that they name and the store holds."""
        is_live = ask.space == f"{asking.row.name}/{LIVE}"
        for root in self._live.roots(asking.row) if is_live else self._names.roots(ask.space):
            proof = Proof.GPG if root.proof is Proof.GPG else Proof.INDEX
            for index in await self._indexes(asking, root):
                digest = self._index_held(asking.row, ask.space, index)
                if digest is None:
                    continue
                try:
                    promise = await self._promises.promise(asking.family, digest, index.path, ask.path)
                except (ArchiveDataError, StorageError):
                    continue  # an index nobody can read vouches for nothing; asking for it says why
                if promise is not None:
                    return Vouched(promise, proof)
        return None

    def _index_held(self, row: Archive, space: str, index: Promise) -> str | None:
        """Return the sha256 of an index if the store holds it: by its promise, or, where that is weak, as this snapshot served it."""
        digest = self._names.sha256_of(row.name, index)
        if digest is None and (held := self._names.held(space, index.path)) and held.proof > Proof.NONE:
            digest = held.digest
        return None if digest is None or self._size(digest) is None else digest

    async def _indexes(self, asking: Asking, root: Held) -> list[Promise]:
        """Return whatever promises packages: the root itself, or every index that it names; it is read once."""
        if asking.family.roots_promise_packages:
            return [Promise(root.path, root.size, {"sha256": root.digest})]
        key = (root.digest, root.path)
        if key not in self._indexes_of:
            if len(self._indexes_of) >= ROOTS_REMEMBERED:
                self._indexes_of.pop(next(iter(self._indexes_of)))
            self._indexes_of[key] = await self._read_indexes(asking, root)
        return self._indexes_of[key]

    async def _read_indexes(self, asking: Asking, root: Held) -> list[Promise]:
        rows = await self._promises.rows(asking.family, root.digest, root.path)
        classify = asking.family.classify
        return [promise for name, promise in rows if name == promise.path and classify(name).has_promises]
