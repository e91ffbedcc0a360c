"""Read the package indexes of an archive, at a time or from the store, and look for the files of queries in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from snapproxy.answer.selected_indexes import RefusedFileError, SelectedIndexes, StoredIndex
from snapproxy.base.names import Names, RootState
from snapproxy.core.exchange import Answerer
from snapproxy.core.listing import Part, Root, Selection, chosen
from snapproxy.core.model import Archive, Instant, Refusal, Role, TimeSpec
from snapproxy.core.progress import Progress
from snapproxy.core.time_spec import looks_like_time, parse_time, read_day
from snapproxy.errors import ClientError, SnapproxyError
from snapproxy.families import FAMILIES, LISTERS
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.indexes.listings import Listings
from snapproxy.prefetch.evidence import IndexEvidence
from snapproxy.prefetch.index_scan import QueryTable, Scan, scan_index
from snapproxy.prefetch.query import Query
from snapproxy_storage import Blobs

MOST_STORED_ROOTS = 1000
"""Maximum number of stored roots of an archive that are read; the latest ones are read first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderParts:
    """The parts that a reader needs. `answerer` answers in the background and waits for refusals that may pass.

    `marked` adds the snapshots that are marked bad to an archive.
    """

    answerer: Answerer
    tables: IndexTables
    listings: Listings
    names: Names
    blobs: Blobs
    progress: Progress
    marked: Callable[[Archive], Archive]


class ArchiveReader:
    """Reads the indexes of one archive into the evidence. Equal indexes are scanned once.

    `selections` are the suites or repositories to read, the most likely ones first; empty for the roots that the store
    knows.
    """

    def __init__(
        self,
        archive: Archive,
        queries: Sequence[Query],
        selections: Sequence[Selection],
        architectures: tuple[str, ...],
        evidence: IndexEvidence,
        parts: ReaderParts,
    ) -> None:
        self.archive = archive
        self._queries = list(queries)
        self._evidence = evidence
        self._parts = parts
        self._family = FAMILIES[archive.family]
        self._lister = LISTERS[archive.family]
        self._architectures = architectures
        self._table = QueryTable.of(each for each in queries if archive in each.archives)
        self._indexes = SelectedIndexes(archive, parts.answerer, parts.tables, parts.listings, parts.progress)
        self._groups = [list(self._lister.roots(each)) for each in selections] or [
            [Root((path,))] for path in sorted({state.path for state in self._root_states()})
        ]
        self._scans: dict[tuple[str, str], Scan] = {}

    def replace_queries(self, queries: Iterable[Query]) -> None:
        """Replace queries by better ones of the same numbers; indexes that were read before are scanned again."""
        for query in queries:
            self._queries[query.number] = query
        self._table = QueryTable.of(each for each in self._queries if self.archive in each.archives)
        self._scans.clear()

    def add_suites(self, suites: Iterable[str]) -> None:
        """Read these suites of an apt archive first."""
        selections = [Selection(suite=each, architectures=self._architectures) for each in dict.fromkeys(suites)]
        first = [list(self._lister.roots(each)) for each in selections]
        self._groups = [*first, *(each for each in self._groups if each not in first)]

    async def read_at(self, when: TimeSpec, is_enough: Callable[[], bool], *, by_snapshot: bool = False) -> bool:
        """Read the suites at a time with an instant, until `is_enough`. Return False if the archive did not answer.

        A suite that does not exist at that time is skipped. A suite with files of queries is read earlier the next
        time. What the indexes list is evidence for the instant of the time, or for that of the snapshot that answered
        (`by_snapshot`).
        """
        instant = instant_of(when)
        hits: dict[int, int] = {}
        for position, roots in enumerate(self._groups):
            if is_enough():
                break
            try:
                hits[position] = await self._read_group(roots, when, by_snapshot=by_snapshot)
            except RefusedFileError as refused:
                if refused.refusal.is_absence:
                    continue
                if self._evidence.refuse(self.archive, instant, refused.refusal):
                    return False
                break  # no suite has this time
            except SnapproxyError as error:
                refusal = Refusal(502, error.reason, error.why, error.hint)
                return not self._evidence.refuse(self.archive, instant, refusal)
        order = sorted(range(len(self._groups)), key=lambda position: -hits.get(position, 0))
        self._groups = [self._groups[position] for position in order]
        return True

    async def _read_group(self, roots: Sequence[Root], when: TimeSpec, *, by_snapshot: bool) -> int:
        """Read the indexes of one suite and return the number of files in it that answer a query."""
        count = 0
        for root in roots:
            file = await self._indexes.fetch(root.names, when)
            instant = _snapshot_instant(file.snapshot) if by_snapshot else None
            period = (instant or instant_of(when),) * 2
            for part, identity in await self._selected(root, file):
                scan = await self._scan_at(part, identity, when)
                self._evidence.add(self.archive, period, scan, self._queries)
                count += len(scan.hits)
        return count

    async def _selected(self, root: Root, file: StoredIndex) -> list[tuple[Part, tuple[str, str]]]:
        listed = await self._indexes.parts([root], [file])
        identities = {each.part: each.identity for each in listed}
        selection = Selection(architectures=self._architectures)
        return [(part, identities[part]) for part in chosen(identities, selection)]

    async def _scan_at(self, part: Part, identity: tuple[str, str], when: TimeSpec) -> Scan:
        algorithm, digest = identity
        known = self._scans.get((digest, part.path)) if algorithm == "sha256" else None
        if known is not None:
            return known
        index = await self._indexes.fetch((part.path,), when)
        return await self._scan(index)

    async def _scan(self, index: StoredIndex) -> Scan:
        key = (index.digest, index.path)
        if key not in self._scans:
            packages = await self._parts.listings.packages(self._family.name, *key)
            files = await self._parts.tables.all(self._family, *key)
            self._scans[key] = await asyncio.to_thread(
                scan_index, packages, files, self._family, self._lister, self._table
            )
        return self._scans[key]

    async def read_stored(self, most_roots: int = MOST_STORED_ROOTS) -> None:
        """Read every index that the store has of the roots that it has, without a request, the latest roots first.

        An archive without a snapshot service has no other past.
        """
        bad = set(self._parts.marked(self.archive).bad)
        for state in self._root_states()[:most_roots]:
            if self._parts.blobs.size(state.digest) is None or bad & {state.first, state.last}:
                continue
            root = StoredIndex(state.path, state.digest, "")
            try:
                for part, (algorithm, digest) in await self._selected(Root((state.path,)), root):
                    if algorithm == "sha256" and self._parts.blobs.size(digest) is not None:
                        scan = await self._scan(StoredIndex(part.path, digest, ""))
                        self._evidence.add(self.archive, (state.first, state.last), scan, self._queries)
            except SnapproxyError as error:  # one damaged index does not hide the others
                self._evidence.notes[f"{state.path} of {self.archive.name} was not read: {error.sentences}"] = None

    def _root_states(self) -> list[RootState]:
        """Return the recorded states of roots, the latest first. Files beside a root have states too."""
        states = self._parts.names.root_states(self.archive.name)
        roots = [each for each in states if self._family.classify(each.path).role is Role.ROOT]
        return sorted(roots, key=lambda state: -state.last)


def _snapshot_instant(snapshot: str) -> Instant | None:
    """Return an instant that the snapshot with this id answers, None if the id has none."""
    day = read_day(snapshot)
    return parse_time(snapshot).instant if day is None and looks_like_time(snapshot) else day


def instant_of(when: TimeSpec) -> Instant:
    """Return the instant of a time. Raises ClientError for a time without one."""
    if when.instant is None:
        raise ClientError("the time must be an instant", why=f"{when.text} changes, and files are resolved once.")
    return when.instant
