"""Answer the questions of a plan: from the catalog and the tables if they have the answer, otherwise from upstream."""

from __future__ import annotations

from typing import Any, TypeVar, assert_never

from snapproxy.answer.time_facts import Obtain, TimeFacts
from snapproxy.answer.timelines import Timelines
from snapproxy.base.context import RequestContext
from snapproxy.base.names import Names, size_of
from snapproxy.core.expected_files import DroppedEntry, identity
from snapproxy.core.model import LIVE, Archive, ExpectedFile, Proof, Refusal
from snapproxy.core.plan_model import (
    AnyAsk,
    AskAlias,
    AskFile,
    AskLacking,
    AskListed,
    AskListedAnywhere,
    AskName,
    AskObserved,
    AskSize,
    AskWindow,
    ListedFile,
    NotStored,
    StoredFile,
)
from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.live.live_files import LiveFiles
from snapproxy.live.observations import Observations
from snapproxy_storage import Store

T = TypeVar("T")

ROOTS_REMEMBERED = 64
"""Maximum number of roots whose list of indexes is cached: decoding it takes longer than looking up a package."""


class Facts(TimeFacts):
    """Answers to every question of the planner."""

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
        super().__init__(timelines, observations)
        self._store = store
        self._names = names
        self._tables = tables
        self._live = live
        self._indexes_of: dict[tuple[str, str], list[ExpectedFile]] = {}

    async def _learn(self, ask: AnyAsk, context: RequestContext, obtain: Obtain) -> dict[AnyAsk, Any]:
        match ask:
            case AskWindow() | AskObserved():
                return {ask: await self._time(ask, context)}
            case AskName():
                return {ask: self._names.stored(ask.space, ask.path)}
            case AskLacking():
                return {ask: self._names.is_lacking(ask.space, ask.path)}
            case AskFile():
                return {ask: await self._file(ask, context, obtain)}
            case AskListed():
                expected = await self._listed(ask, context)
                return {ask: expected} | await self._stored_as(expected, context.archive)
            case AskListedAnywhere():
                listed = await self._listed_anywhere(ask, context)
                expected_file = listed.expected if isinstance(listed, ListedFile) else None
                return {ask: listed} | await self._stored_as(expected_file, context.archive)
            case AskSize():
                return {ask: await self._size(ask.digest)}
            case AskAlias():
                return {ask: self._names.sha256_by_digest(ask.archive, ask.algorithm, ask.digest)}
            case _:
                assert_never(ask)

    async def _stored_as(
        self, expected: ExpectedFile | DroppedEntry | Refusal | None, archive: Archive
    ) -> dict[AnyAsk, Any]:
        """Return the facts about an expected file in the store: its SHA-256 and its size there."""
        known_by = identity(expected) if isinstance(expected, ExpectedFile) else None
        if not isinstance(expected, ExpectedFile) or known_by is None:
            return {}
        digest = self._names.sha256_of(archive.name, expected)
        facts: dict[AnyAsk, Any] = {AskAlias(archive.name, *known_by): digest}
        return facts | ({AskSize(digest): await self._size(digest)} if digest else {})

    async def _size(self, digest: str) -> int | None:
        return await size_of(self._store.blobs, digest)

    async def _file(
        self, ask: AskFile, context: RequestContext, obtain: Obtain
    ) -> StoredFile | NotStored | Refusal | None:
        """Obtain the first of the candidates that exists; a candidate that this snapshot has served is tried alone."""
        served = [path for path in ask.candidates if self._names.stored(ask.space, path)]
        for path in served[:1] or ask.candidates:
            if ask.resolved.snapshot == LIVE:
                found: StoredFile | NotStored | Refusal | None = await self._live.obtain(
                    context, path, for_lookup=ask.for_lookup
                )
            else:
                found = await obtain(context, ask.resolved, path)
            if found is not None:
                return found
        return None

    async def _listed(self, ask: AskListed, context: RequestContext) -> ExpectedFile | DroppedEntry | Refusal | None:
        """Look a name up in an index.

        For a live root, its predecessor is searched as well (by-hash names of both are served, rule 7).
        """
        digests = [ask.digest]
        if ask.space == f"{context.archive.name}/{LIVE}":
            digests += self._live.before(context.archive, ask.index)
        try:
            for digest in digests:
                expected = await self._tables.expected(context.family, digest, ask.index, ask.name)
                if expected is not None:
                    return expected
            return await self._tables.dropped(context.family, ask.digest, ask.index, ask.name)
        except ArchiveDataError as error:
            return Refusal(424, "An index of this snapshot cannot be read", f"{ask.index}: {error.reason}", error.why)

    async def _listed_anywhere(
        self, ask: AskListedAnywhere, context: RequestContext
    ) -> ListedFile | DroppedEntry | None:
        """Look for a package in every root of this snapshot, or in every stored index that those roots list.

        Return a dropped entry if no index has a usable one.
        """
        dropped: DroppedEntry | None = None
        is_live = ask.space == f"{context.archive.name}/{LIVE}"
        for root in self._live.roots(context.archive) if is_live else self._names.roots(ask.space):
            for index in await self._indexes(context, root):
                digest = await self._stored_index(context.archive, ask.space, index)
                if digest is None:
                    continue
                try:
                    expected = await self._tables.expected(context.family, digest, index.path, ask.path)
                    if expected is None and dropped is None:
                        dropped = await self._tables.dropped(context.family, digest, index.path, ask.path)
                except (ArchiveDataError, StorageError):
                    continue  # an unreadable index proves nothing; a request for the index itself gets the reason
                if expected is not None:
                    return ListedFile(expected, expected.proof_by(index.proof_by(root.proof)))
        return dropped

    async def _stored_index(self, archive: Archive, space: str, index: ExpectedFile) -> str | None:
        """Return the SHA-256 of a stored index, None if it is not stored.

        It is found by its listed digest or, if that is weak, by the name under which this snapshot served it.
        """
        digest = self._names.sha256_of(archive.name, index)
        if digest is None and (named := self._names.stored(space, index.path)) and named.proof > Proof.NONE:
            digest = named.digest
        return None if digest is None or await self._size(digest) is None else digest

    async def _indexes(self, context: RequestContext, root: StoredFile) -> list[ExpectedFile]:
        """Return the files that list packages: the root itself, or every index that it lists.

        Each root is read once.
        """
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
