"""Answers a plan's questions: from the catalog and the tables where they know, from upstream where they do not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, assert_never

from snapproxy.answer.timelines import Timelines
from snapproxy.base.context import RequestContext
from snapproxy.base.names import Names, size_of
from snapproxy.core.expected_files import identity
from snapproxy.core.model import LIVE, Archive, ExpectedFile, NeedWindow, Proof, Refusal, Resolved
from snapproxy.core.plan_model import (
    Ask,
    AskAlias,
    AskFile,
    AskListed,
    AskListedAnywhere,
    AskName,
    AskObserved,
    AskSize,
    AskWindow,
    Known,
    ListedFile,
    NotStored,
    StoredFile,
)
from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.live.live_files import LiveFiles
from snapproxy.live.observations import Observations
from snapproxy_storage import Store

Obtain = Callable[[RequestContext, Resolved, str], Awaitable[StoredFile | NotStored | Refusal | None]]

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
        tables: IndexTables,
        live: LiveFiles,
        observations: Observations,
    ) -> None:
        self._store = store
        self._names = names
        self._timelines = timelines
        self._tables = tables
        self._live = live
        self._observations = observations
        self.obtain: Obtain | None = None
        self._indexes_of: dict[tuple[str, str], list[ExpectedFile]] = {}

    def at_hand(self, archive: Archive) -> Known:
        """Return what can be told without asking anybody, so that a hit is planned in two rounds."""
        return Known(
            {AskWindow(archive.name, window.start, window.end): window for window in self._timelines.at_hand(archive)}
        )

    async def learn(self, asks: Sequence[Ask], context: RequestContext) -> dict[Ask, Any]:
        """Answer every question; the answer may volunteer the facts that are sure to be asked next."""
        learned: dict[Ask, Any] = {}
        for facts in await asyncio.gather(*(self._learn(ask, context) for ask in asks)):
            learned |= facts
        return learned

    async def _learn(self, ask: Ask, context: RequestContext) -> dict[Ask, Any]:
        match ask:
            case AskWindow():
                return {ask: await self._timelines.window(context, NeedWindow(ask.start, ask.end, ask.around))}
            case AskObserved():
                return {ask: self._observations.sightings(context.archive, context.history, ask.roots, ask.instant)}
            case AskName():
                return {ask: self._names.held(ask.space, ask.path)}
            case AskFile():
                return {ask: await self._file(ask, context)}
            case AskListed():
                expected = await self._archive(ask, context)
                return {ask: expected} | self._volunteer(expected, context.archive)
            case AskListedAnywhere():
                vouched = await self._promised(ask, context)
                return {ask: vouched} | self._volunteer(None if vouched is None else vouched.expected, context.archive)
            case AskSize():
                return {ask: self._size(ask.digest)}
            case AskAlias():
                return {ask: self._names.known_as(ask.archive, ask.algorithm, ask.digest)}
            case _:
                assert_never(ask)

    def _volunteer(self, expected: ExpectedFile | Refusal | None, archive: Archive) -> dict[Ask, Any]:
        known_by = identity(expected) if isinstance(expected, ExpectedFile) else None
        if not isinstance(expected, ExpectedFile) or known_by is None:
            return {}
        digest = self._names.sha256_of(archive.name, expected)
        facts: dict[Ask, Any] = {AskAlias(archive.name, *known_by): digest}
        return facts | ({AskSize(digest): self._size(digest)} if digest else {})

    def _size(self, digest: str) -> int | None:
        return size_of(self._store.blobs, digest)

    async def _file(self, ask: AskFile, context: RequestContext) -> StoredFile | NotStored | Refusal | None:
        """Bring the first of the candidates that exists; one that this snapshot is known to have served goes before a guess."""
        if self.obtain is None:
            raise AssertionError("wiring joins facts and executor")
        known = [path for path in ask.candidates if self._names.held(ask.space, path)]
        for path in known[:1] or ask.candidates:
            if ask.resolved.snapshot == LIVE:
                held: StoredFile | NotStored | Refusal | None = await self._live.obtain(
                    context, path, to_vouch=ask.to_vouch
                )
            else:
                held = await self.obtain(context, ask.resolved, path)
            if held is not None:
                return held
        return None

    async def _archive(self, ask: AskListed, context: RequestContext) -> ExpectedFile | Refusal | None:
        """Look a name up in an index; in the present, also in the set before (by-hash serves both, rule 7)."""
        digests = [ask.digest]
        if ask.space == f"{context.archive.name}/{LIVE}":
            digests += self._live.before(context.archive, ask.index)
        try:
            for digest in digests:
                expected = await self._tables.expected(context.family, digest, ask.index, ask.name)
                if expected is not None:
                    return expected
        except ArchiveDataError as error:
            return Refusal(424, "An index of this snapshot cannot be read", f"{ask.index}: {error.reason}", error.why)
        return None

    async def _promised(self, ask: AskListedAnywhere, context: RequestContext) -> ListedFile | None:
        """Look for a package in every root of this snapshot, or in every index that they name and the store holds."""
        is_live = ask.space == f"{context.archive.name}/{LIVE}"
        for root in self._live.roots(context.archive) if is_live else self._names.roots(ask.space):
            proof = Proof.GPG if root.proof is Proof.GPG else Proof.INDEX
            for index in await self._indexes(context, root):
                digest = self._index_held(context.archive, ask.space, index)
                if digest is None:
                    continue
                try:
                    expected = await self._tables.expected(context.family, digest, index.path, ask.path)
                except (ArchiveDataError, StorageError):
                    continue  # an index nobody can read vouches for nothing; asking for it says why
                if expected is not None:
                    return ListedFile(expected, proof)
        return None

    def _index_held(self, archive: Archive, space: str, index: ExpectedFile) -> str | None:
        """Return the sha256 of an index if the store holds it: by its promise, or, where that is weak, as this snapshot served it."""
        digest = self._names.sha256_of(archive.name, index)
        if digest is None and (held := self._names.held(space, index.path)) and held.proof > Proof.NONE:
            digest = held.digest
        return None if digest is None or self._size(digest) is None else digest

    async def _indexes(self, context: RequestContext, root: StoredFile) -> list[ExpectedFile]:
        """Return whatever promises packages: the root itself, or every index that it names; it is read once."""
        if context.family.roots_list_packages:
            return [ExpectedFile(root.path, root.size, {"sha256": root.digest})]
        key = (root.digest, root.path)
        if key not in self._indexes_of:
            if len(self._indexes_of) >= ROOTS_REMEMBERED:
                self._indexes_of.pop(next(iter(self._indexes_of)))
            self._indexes_of[key] = await self._read_indexes(context, root)
        return self._indexes_of[key]

    async def _read_indexes(self, context: RequestContext, root: StoredFile) -> list[ExpectedFile]:
        entries = await self._tables.entries(context.family, root.digest, root.path)
        classify = context.family.classify
        return [expected for name, expected in entries if name == expected.path and classify(name).lists_files]
