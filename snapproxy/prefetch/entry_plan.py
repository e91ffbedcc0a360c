"""Plan the resolution of an entry: its address names the file, or it becomes a query to the indexes of archives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from snapproxy.core.address import AddressBook
from snapproxy.core.history import History
from snapproxy.core.listing import Selection, settled
from snapproxy.core.model import Archive, Role, TimeSpec
from snapproxy.core.paths import names_a_file
from snapproxy.families import FAMILIES, LISTERS
from snapproxy.formats.package_lists.model import DigestOf, ListedDigest, ListEntry
from snapproxy.prefetch.archive_choice import archives_of
from snapproxy.prefetch.direct import AddressedFile, read_file_address
from snapproxy.prefetch.join import find_timeless, join_bases
from snapproxy.prefetch.model import Candidate, Finding, ResolvedEntry
from snapproxy.prefetch.query import Query, best_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveOptions:
    """The user's choices, all optional.

    `archives` restricts the search for entries without a known address to these, first choice first. `suites` are the
    suites (apt) or repositories to read. `architectures` are in the family's terms, `machine` is in the kernel's; they
    select the indexes for entries that name no architecture. `at`: times, each with an instant, at which to look first.
    """

    archives: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    machine: str = ""
    at: tuple[TimeSpec, ...] = ()


class EntryPlanner:
    """Plans entries. `book` has the configured archives, by which addresses are read."""

    def __init__(self, book: AddressBook, options: ResolveOptions) -> None:
        self._book = book
        self._histories: Mapping[str, History] = book.histories
        self._options = options

    def plan(self, number: int, entry: ListEntry) -> ResolvedEntry | Query:
        """Return the outcome of an entry whose address has a time, otherwise a query. `number`: its position.

        Raises ConfigurationError if the options name an unknown archive.
        """
        addressed: AddressedFile | str | None = None
        if entry.url:
            addressed = read_file_address(entry.url, entry.family, self._book)
        elif entry.bases and entry.path:
            addressed = join_bases(entry, self._book)
        if isinstance(addressed, str) and not self._options.archives:
            return ResolvedEntry(entry, Finding.OUT_OF_REACH, why=addressed)
        if isinstance(addressed, AddressedFile):
            return self._addressed(number, entry, addressed)
        return self._unaddressed(number, entry)

    def _addressed(self, number: int, entry: ListEntry, addressed: AddressedFile) -> ResolvedEntry | Query:
        archive, when = addressed.archive, addressed.when
        if addressed.sha1:
            digest = ListedDigest("sha1", addressed.sha1)
            entry_with_digest = replace(entry, digests=(*entry.digests, digest))
            return Query(number=number, entry=entry_with_digest, archives=self._same_service(archive))
        is_package = FAMILIES[archive.family].classify(addressed.path).role is Role.PACKAGE
        if when is None and not is_package:
            when = next(iter(self._options.at), None)
            if when is None:
                why = (
                    "The file is not a package, so no index lists it, and its address has no time. Name one with --at."
                )
                return ResolvedEntry(entry, Finding.NOT_FOUND, why=why)
        if when is not None:
            return dated_entry(entry, archive, addressed.path, when)
        return self._query(number, entry, (archive,), addressed.path)

    def _unaddressed(self, number: int, entry: ListEntry) -> ResolvedEntry | Query:
        archives = archives_of(entry, self._book.names, self._options.archives)
        path = entry.path.lstrip("/")
        if path and not names_a_file(path):
            return ResolvedEntry(entry, Finding.OUT_OF_REACH, why="The path leaves the archive, or names no file.")
        if path and not self._options.at and (found := find_timeless(path, archives, self._histories)):
            archive, lasting, when = found
            return dated_entry(entry, archive, lasting, when)
        return self._query(number, entry, archives, path)

    def _query(self, number: int, entry: ListEntry, archives: Sequence[Archive], path: str) -> Query:
        """Return the query of an entry; a path without a name gives the name."""
        family = entry.family or next((each.family for each in archives), "")
        named = FAMILIES[family].package_name(path) if path and not entry.name and family in FAMILIES else None
        return Query(
            number=number,
            entry=entry,
            archives=tuple(archives),
            name=named.name if named else entry.name,
            version=named.version if named else entry.version,
            architecture=named.arch if named else entry.architecture,
            path=path,
            is_bare=named is not None,
        )

    def _same_service(self, archive: Archive) -> tuple[Archive, ...]:
        """Return the archives of one service, that of an address first: `/file/<sha1>` has the files of all of them."""
        history = self._histories[archive.history]
        roots = {history.native_root(base) for base in archive.snapshot}
        others = [
            each
            for each in self._book.archives
            if each.history == archive.history and roots & {history.native_root(base) for base in each.snapshot}
        ]
        return tuple(dict.fromkeys((archive, *others)))


def dated_entry(entry: ListEntry, archive: Archive, path: str, when: TimeSpec) -> ResolvedEntry:
    """Return the outcome of an entry whose archive, path and time are known."""
    digest = best_digest(Query(number=0, entry=entry, archives=(archive,)), {})
    instant = when.instant
    candidate = Candidate(
        archive,
        path,
        digest,
        entry.size,
        () if instant is None else ((instant, instant),),
        when if instant is None else None,
    )
    covered = {each.of for each in entry.digests}
    if digest:
        return ResolvedEntry(entry, Finding.RESOLVED, (candidate,))
    if DigestOf.CONTROL in covered:
        return ResolvedEntry(entry, Finding.BY_IDENTITY, (candidate,))
    if covered == {DigestOf.HEADER}:
        why = "The list has the digest of the header, which is not that of the file."
        return ResolvedEntry(entry, Finding.HEADER_ONLY, (candidate,), why)
    return ResolvedEntry(entry, Finding.DIGEST_MISSING, (candidate,), "The list states no digest of the file.")


def architectures_of(archive: Archive, queries: Sequence[Query], options: ResolveOptions) -> tuple[str, ...]:
    """Return the architectures whose indexes are read: those of the queries and of the options.

    If there is none, that of the machine.
    """
    lister = LISTERS[archive.family]
    named = {each.architecture for each in queries if archive in each.archives} - {"", lister.any_architecture}
    found = tuple(sorted(named | set(options.architectures)))
    return settled(Selection(architectures=found, machine=options.machine), lister).architectures
