"""Resolve a list of packages: find the exact file of each entry, and the fewest instants to fetch them from.

`entry_plan` reads addresses (`direct`, `join`), `names` searches the rest in the indexes of archives by path, digest
(`identity`) or name, `conclude` decides the outcome of each entry and chooses the instants.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from snapproxy.base.clock import Clock
from snapproxy.base.names import Names
from snapproxy.core.address import AddressBook
from snapproxy.core.exchange import Answerer
from snapproxy.core.model import Archive, Instant, Match, TimeSpec
from snapproxy.core.progress import SILENT, Progress
from snapproxy.core.time_spec import format_instant
from snapproxy.families import LISTERS
from snapproxy.formats.package_lists.model import ListEntry, PackageList
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.indexes.listings import Listings
from snapproxy.prefetch.archive_choice import selections_of, shown_repositories
from snapproxy.prefetch.archive_reader import ArchiveReader, ReaderParts, instant_of
from snapproxy.prefetch.conclude import choose_times, conclude
from snapproxy.prefetch.dated_records import DatedRecords
from snapproxy.prefetch.entry_plan import EntryPlanner, ResolveOptions, architectures_of
from snapproxy.prefetch.evidence import IndexEvidence
from snapproxy.prefetch.model import Resolution, ResolvedEntry
from snapproxy.prefetch.names import NameSearch
from snapproxy.prefetch.query import Compare, Query
from snapproxy.prefetch.records import Records
from snapproxy.prefetch.retrying import RetryingAnswerer
from snapproxy.prefetch.snapshot_records import SnapshotRecords
from snapproxy_storage import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverParts:
    """The parts of the application that a resolution needs, all attributes of `wiring.application.App`.

    `marked` is `bad_snapshots.applied`. `answerer` records into no capture here: the roots and indexes that are read
    to find files are not those of a build. `services` are the configured services that know the suites of versions.
    """

    book: AddressBook
    answerer: Answerer
    tables: IndexTables
    listings: Listings
    store: Store
    clock: Clock
    marked: Callable[[Archive], Archive]
    progress: Progress = SILENT
    services: tuple[Records, ...] = ()


_DEFAULTS = ResolveOptions()


async def resolve(listed: PackageList, parts: ResolverParts, options: ResolveOptions = _DEFAULTS) -> Resolution:
    """Return the file of every entry of a list, and the fewest instants that have them all.

    Every request is one of the answerer in the background: it is rate-limited, verified, cached and stored. A refusal
    that may pass is waited for; a lasting one makes the entries that depend on it `not answered`, and a second run
    continues with what the first one stored. The list's own time (`PackageList.made`) is looked at after the times of
    the options.

    Raises ConfigurationError for options that name an unknown archive, ClientError for a time without an instant
    (resolve `latest` first).
    """
    planner = EntryPlanner(parts.book, options)
    plans = await asyncio.to_thread(_planned, planner, listed)
    named = {instant_of(when): when for when in options.at}
    evidence = IndexEvidence()
    await _search(listed, plans, parts, options, evidence)
    entries = await asyncio.to_thread(_concluded, plans, evidence, frozenset(named))
    wanted = await asyncio.to_thread(choose_times, entries, named)
    return Resolution(entries, wanted, (*listed.notes, *evidence.notes))


def _planned(planner: EntryPlanner, listed: PackageList) -> list[ResolvedEntry | Query]:
    return [planner.plan(number, entry) for number, entry in enumerate(listed.entries)]


async def _search(
    listed: PackageList,
    plans: Sequence[ResolvedEntry | Query],
    parts: ResolverParts,
    options: ResolveOptions,
    evidence: IndexEvidence,
) -> None:
    """Search the files of the queries among the plans."""
    queries = [each for each in plans if isinstance(each, Query)]
    if not queries:
        return
    by_number = [each if isinstance(each, Query) else _NO_QUERY for each in plans]
    answerer = RetryingAnswerer(parts.answerer, parts.clock)
    reader_parts = ReaderParts(
        answerer=answerer,
        tables=parts.tables,
        listings=parts.listings,
        names=Names(parts.store.catalog, parts.clock),
        blobs=parts.store.blobs,
        progress=parts.progress,
        marked=parts.marked,
    )
    readers = {}
    for archive in _archives(queries):
        own = [each for each in queries if archive in each.archives]
        architectures = architectures_of(archive, own, options)
        shown = shown_repositories(archive, (each.path for each in own if each.path))
        usual = selections_of(archive, [each.entry for each in own], options.suites, architectures)
        selections = list(dict.fromkeys((*shown, *usual)))
        readers[archive.name] = ArchiveReader(archive, by_number, selections, architectures, evidence, reader_parts)
    histories = parts.book.histories
    records: tuple[Records, ...] = (SnapshotRecords(answerer, histories), DatedRecords(answerer, histories))
    search = NameSearch(
        queries, readers, records, evidence, parts.clock, parts.services, reads_other_suites=not options.suites
    )
    await search.run(_times(listed, options))


_NO_QUERY = Query(number=-1, entry=ListEntry(""), archives=())
"""In place of an entry that needs no search."""


def _archives(queries: Sequence[Query]) -> list[Archive]:
    """Return the archives of the queries, those that are the first choice of a query first."""
    first = dict.fromkeys(each.archives[0] for each in queries if each.archives)
    return list(first | dict.fromkeys(archive for each in queries for archive in each.archives))


def _times(listed: PackageList, options: ResolveOptions) -> list[TimeSpec]:
    made = [] if listed.made is None else [TimeSpec(format_instant(listed.made), listed.made, Match.AT)]
    return [*options.at, *made]


def _concluded(
    plans: Sequence[ResolvedEntry | Query], evidence: IndexEvidence, at: frozenset[Instant]
) -> tuple[ResolvedEntry, ...]:
    return tuple(
        each if isinstance(each, ResolvedEntry) else conclude(each, evidence, at, _compare_of(each)) for each in plans
    )


def _compare_of(query: Query) -> Compare:
    family = next((each.family for each in query.archives), query.entry.family)
    return LISTERS[family].compare if family in LISTERS else _without_order


def _without_order(_one: str, _other: str) -> None:
    """Order no versions: the family of the list is unknown."""
