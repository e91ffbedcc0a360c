"""The evidence about the queries of a list: which file an index listed, at which instants; and failed questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from snapproxy.core.model import Archive, Instant, Refusal, TimeSpec
from snapproxy.core.time_spec import format_instant
from snapproxy.prefetch.index_scan import Scan
from snapproxy.prefetch.query import IndexedFile, Query

Period = tuple[Instant, Instant]
"""Instants, ends included, at all of which the archive is known to be in one state."""

NO_SUCH_TIME = frozenset({404, 410, 416, 425})
"""Statuses of refusals that mean that an archive has no such file or time, not that it failed to answer."""


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """A file that a record of an archive's history names for a query.

    `first` is the earliest instant at which an index may list it. `sha1` (hex) and `size` (bytes) are the record's own.
    """

    number: int
    archive: Archive
    path: str
    first: Instant
    sha1: str = ""
    size: int | None = None
    when: TimeSpec | None = None


@dataclass(frozen=True, slots=True)
class SuitePeriod:
    """A period in which a suite listed the version of a query, as a service states it; `last` is None if it still does.

    It directs the search only: the file and its digest come from an index.
    """

    archive: Archive
    suite: str
    first: Instant
    last: Instant | None


@dataclass(slots=True)
class FoundFile:
    """A file that answers a query, and the periods in which an index lists it."""

    archive: Archive
    indexed: IndexedFile
    periods: set[Period] = field(default_factory=set)


@dataclass(slots=True)
class IndexEvidence:
    """Everything that was found out about the queries, by their numbers.

    `periods`: the suites that listed a version, by services other than the archive's own.
    `names`: all packages of the indexes that were read. `versions`: for each name of a query the versions that exist,
    with the latest known instant of each (None if unknown). `spans`: the earliest and the latest instant at which an
    index is known to list a version of such a name, by name and version. `failures`: refusals that prevented an
    answer, by archive; `unanswered`: the refusals of questions about one query. `contradicted`: a file that has the
    path or the name of a query, and another digest. `notes` are sentences for the report. `suggestions`: the known
    name that is most like an unknown one.
    """

    listed: defaultdict[int, list[FoundFile]] = field(default_factory=lambda: defaultdict(list))
    recorded: defaultdict[int, list[HistoryFile]] = field(default_factory=lambda: defaultdict(list))
    periods: defaultdict[int, list[SuitePeriod]] = field(default_factory=lambda: defaultdict(list))
    names: set[str] = field(default_factory=set)
    versions: defaultdict[str, dict[str, Instant | None]] = field(default_factory=lambda: defaultdict(dict))
    spans: defaultdict[str, dict[str, Period]] = field(default_factory=lambda: defaultdict(dict))
    failures: dict[str, str] = field(default_factory=dict)
    unanswered: dict[int, str] = field(default_factory=dict)
    contradicted: dict[int, str] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    suggestions: dict[str, str] = field(default_factory=dict)

    def add(self, archive: Archive, period: Period, scan: Scan, queries: Sequence[Query]) -> None:
        """Record what an index listed throughout a period. `queries` are all queries, by number."""
        self.names |= scan.names
        for name, versions in scan.versions.items():
            for version in versions:
                known = self.versions[name].get(version)
                self.versions[name][version] = period[1] if known is None else max(known, period[1])
                first, last = self.spans[name].get(version, period)
                self.spans[name][version] = min(first, period[0]), max(last, period[1])
        for number, indexed in scan.contradicted:
            if archive in queries[number].archives:
                place = f"{indexed.file.path} of {archive.name} at {format_instant(period[1])}"
                self.contradicted.setdefault(number, f"{place} has another digest than the list states.")
        for number, indexed in scan.hits:
            if archive in queries[number].archives:
                self._add_file(number, archive, indexed, period)

    def _add_file(self, number: int, archive: Archive, indexed: IndexedFile, period: Period) -> None:
        for each in self.listed[number]:
            if each.archive.name == archive.name and each.indexed.file == indexed.file:
                each.periods.add(period)
                return
        self.listed[number].append(FoundFile(archive, indexed, {period}))

    def is_listed(self, number: int) -> bool:
        """Return whether an index listed the file of a query."""
        return bool(self.listed.get(number))

    def is_listed_at(self, number: int, archive: Archive, instant: Instant) -> bool:
        """Return whether an index of the archive is known to list the file of a query at an instant."""
        return any(
            each.archive.name == archive.name and any(first <= instant <= last for first, last in each.periods)
            for each in self.listed.get(number, ())
        )

    def refuse(self, archive: Archive, instant: Instant, refusal: Refusal) -> bool:
        """Record the refusal of an index. Return whether the archive failed to answer."""
        sentence = f"{archive.name} at {format_instant(instant)}: {reason_of(refusal)}"
        self.notes[sentence] = None
        if refusal.status in NO_SUCH_TIME:
            return False
        self.failures[archive.name] = sentence
        return True


def reason_of(refusal: Refusal) -> str:
    """Return a refusal as one sentence."""
    return ". ".join(part.rstrip(".") for part in (refusal.reason, refusal.why) if part) + "."
