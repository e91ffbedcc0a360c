"""The name resolver: finds the files of queries in the indexes of archives, and the instants at which they are listed.

It looks in this order, and only for the queries that are left: the indexes at the requested times; the indexes in the
store (the only past of an observed archive); the instants that records of an archive's history name
(`records.Records`): first those of services that state suites and periods, then those of the archives' own records. A
record knows when a file appeared, an index lists it from then on for some time. The newest file of a list is therefore
searched first, at the instant at which it appeared: the indexes of that instant list every other file that was not
replaced before. Repeated for the remaining files, this reads the fewest instants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from snapproxy.base.clock import Clock
from snapproxy.core.model import Archive, Instant, Match, TimeSpec
from snapproxy.core.time_spec import DAY_SECONDS, format_instant
from snapproxy.prefetch.archive_reader import ArchiveReader, instant_of
from snapproxy.prefetch.evidence import IndexEvidence
from snapproxy.prefetch.query import Query
from snapproxy.prefetch.records import Records

STEPS = tuple(days * DAY_SECONDS for days in (0, 1, 3, 7, 14, 30, 90, 180, 365))
"""Seconds after a file appeared at which it is searched. A pool has it before a suite: a migration takes days, a point
release months."""

MOST_INSTANTS = 100
"""Maximum number of instants of an archive whose indexes are read for one list."""

MOST_SUITES = 12
"""Maximum number of suites of an archive that services add to those that are read."""

ReaderWork = Callable[[ArchiveReader], Awaitable[None]]


class NameSearch:
    """Searches the files of queries. `readers` and `records`: by archive name, and in the order in which to ask.

    `services` are records that state suites and periods, asked before `records`. `reads_other_suites`: the suites that
    they state are read too, not only those of the readers.
    """

    def __init__(
        self,
        queries: Sequence[Query],
        readers: Mapping[str, ArchiveReader],
        records: Sequence[Records],
        evidence: IndexEvidence,
        clock: Clock,
        services: Sequence[Records] = (),
        *,
        reads_other_suites: bool = True,
    ) -> None:
        self._services = services
        self._reads_other_suites = reads_other_suites
        self._queries = queries
        self._readers = readers
        self._records = records
        self._evidence = evidence
        self._clock = clock

    async def run(self, times: Sequence[TimeSpec]) -> None:
        """Search every query, first at `times`, which have instants."""
        for when in times:
            await self._read_all(when)
        await self._in_each(lambda reader: reader.read_stored())
        if self._services:
            await self._ask(self._services)
            self._add_suites()
            await self._in_each(self._from_first_instants)
        await self._ask(self._records)
        self._add_recorded_paths()
        await self._in_each(self._from_first_instants)

    async def _read_all(self, when: TimeSpec) -> None:
        """Read the archives at one time, each for the queries that no earlier choice lists at that time."""
        for reader in self._readers.values():
            await reader.read_at(when, partial(self._is_complete, reader.archive, instant_of(when)))

    def _is_complete(self, archive: Archive, instant: Instant) -> bool:
        """Return whether every query of an archive is known to be listed at an instant, in any of its archives."""
        return all(
            any(self._evidence.is_listed_at(query.number, each, instant) for each in query.archives)
            for query in self._of(archive)
        )

    def _of(self, archive: Archive) -> Iterator[Query]:
        return (each for each in self._queries if archive in each.archives)

    async def _in_each(self, work: ReaderWork) -> None:
        """Do something with each archive that has queries left, one after the other: the first choice has priority."""
        for reader in self._readers.values():
            if any(self._unlisted(reader.archive)):
                await work(reader)

    def _unlisted(self, archive: Archive) -> Iterator[Query]:
        return (each for each in self._of(archive) if not self._evidence.is_listed(each.number))

    async def _ask(self, records: Sequence[Records]) -> None:
        for record in records:
            archives = [each.archive for each in self._readers.values() if record.serves(each.archive)]
            queries = {each.number: each for archive in archives for each in self._unlisted(archive)}
            if queries:
                await record.ask(archives, list(queries.values()), self._evidence)

    def _add_suites(self) -> None:
        """Let the readers read the suites that services state, those of the most queries first."""
        if not self._reads_other_suites:
            return
        for reader in self._readers.values():
            stated = Counter(
                each.suite
                for query in self._unlisted(reader.archive)
                for each in self._evidence.periods.get(query.number, ())
                if each.archive.name == reader.archive.name
            )
            reader.add_suites(suite for suite, _ in stated.most_common(MOST_SUITES))

    def _add_recorded_paths(self) -> None:
        """Search the files of queries that have only a digest by the paths that records name for them."""
        found = {
            query.number: replace(query, path=recorded[0].path)
            for query in self._queries
            if not (query.name or query.path) and (recorded := self._evidence.recorded.get(query.number))
        }
        if found:
            self._queries = [found.get(query.number, query) for query in self._queries]
            for reader in self._readers.values():
                reader.replace_queries(found.values())

    def _first_instants(self, archive: Archive) -> dict[int, Instant]:
        """Return the first instant at which each query that is left may be listed, by its number."""
        found = {}
        for query in self._unlisted(archive):
            recorded = [
                each.first for each in self._evidence.recorded[query.number] if each.archive.name == archive.name
            ]
            stated = [each for each in (query.entry.first, query.entry.last) if each is not None][:1]
            periods = [
                each.first for each in self._evidence.periods.get(query.number, ()) if each.archive.name == archive.name
            ]
            # A period is that of an index. A record's first instant is that of the pool, which is earlier.
            if first := min(periods or (*recorded, *stated), default=None):
                found[query.number] = first
        return found

    async def _from_first_instants(self, reader: ArchiveReader) -> None:
        """Read the indexes at the newest first instant of a query that is left, until none is left.

        A query that is not listed at its first instant is searched at later ones.
        """
        firsts = self._first_instants(reader.archive)
        steps = dict.fromkeys(firsts, 0)
        seen: set[Instant] = set()
        now = self._clock.now()
        while pending := self._next_instants(firsts, steps):
            instant = max(pending.values())
            if len(seen) >= MOST_INSTANTS:
                self._give_up(reader.archive, pending)
                return
            if instant <= now and instant not in seen:
                seen.add(instant)
                # A later instant may lie in a gap, which the snapshot before it answers as well.
                when = TimeSpec(f"{format_instant(instant)}.nearest", instant, Match.NEAREST)
                if not await reader.read_at(when, lambda: not self._next_instants(firsts, steps), by_snapshot=True):
                    return  # the archive does not answer: every further request would be refused too
            for number, each in pending.items():
                steps[number] += each == instant

    def _next_instants(self, firsts: Mapping[int, Instant], steps: Mapping[int, int]) -> dict[int, Instant]:
        return {
            number: first + STEPS[steps[number]]
            for number, first in firsts.items()
            if steps[number] < len(STEPS) and not self._evidence.is_listed(number)
        }

    def _give_up(self, archive: Archive, pending: Collection[int]) -> None:
        sentence = (
            f"{archive.name}: the indexes of {MOST_INSTANTS} instants were read, the maximum for one list. "
            "Name a time (--at) or a suite (--suite)."
        )
        self._evidence.notes[sentence] = None
        for number in pending:
            self._evidence.unanswered[number] = sentence
