"""The values of prefetch: wanted files, and the outcome of each entry of a list."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from snapproxy.core.model import Archive, Instant, TimeSpec
from snapproxy.formats.package_lists.model import ListEntry


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file to fetch: a path of an archive at a time.

    `digest` is the expected digest of the file as `algorithm:hex`, '' if unknown; `size` in bytes, None if unknown.
    `may_be_absent`: clients request the file, and archives without it are complete.
    """

    archive: Archive
    when: TimeSpec
    path: str
    digest: str = ""
    size: int | None = None
    may_be_absent: bool = False


class Finding(StrEnum):
    """What the resolvers found for an entry of a list."""

    RESOLVED = "resolved"
    BY_IDENTITY = "resolved by identity"
    AMBIGUOUS = "ambiguous"
    """Several files with different digests have this name, version and architecture."""
    DIGEST_MISSING = "digest missing"
    """The file is known, and no list or index states a digest of it."""
    HEADER_ONLY = "header digest only"
    NOT_FOUND = "not found"
    OUT_OF_REACH = "out of reach"
    """The address belongs to no known archive, or requires a login."""
    UNANSWERED = "not answered"
    """An upstream refused a question that decides. A later run asks only the questions that are left."""


IS_FOUND = frozenset({Finding.RESOLVED, Finding.BY_IDENTITY, Finding.DIGEST_MISSING, Finding.HEADER_ONLY})
"""The findings with a file to fetch."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that an entry may mean, and the instants, ends included, at which an index of the archive lists it.

    `digest` is `algorithm:hex` of the whole file, '' if unknown; `size` in bytes. `when`: the time in the address of
    the file, if that address is outside every snapshot; `spans` is empty then.
    """

    archive: Archive
    path: str
    digest: str
    size: int | None
    spans: tuple[tuple[Instant, Instant], ...]
    when: TimeSpec | None = None


@dataclass(frozen=True, slots=True)
class ResolvedEntry:
    """An entry of a list with its outcome. `why` is a sentence for every outcome that needs one.

    Several candidates are those of an ambiguous entry, or the same bytes at several paths or in several archives.
    """

    entry: ListEntry
    finding: Finding
    candidates: tuple[Candidate, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class WantedAt:
    """The files to fetch from an archive at one time."""

    archive: Archive
    when: TimeSpec
    files: tuple[WantedFile, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """A resolved list: the outcome of every entry, in the order of the list, and the files to fetch.

    `wanted` has the fewest times for each archive, oldest first; files that are outside every snapshot come last.
    `notes` are sentences about times that could not be read.
    """

    entries: tuple[ResolvedEntry, ...]
    wanted: tuple[WantedAt, ...]
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[WantedFile, ...]:
        """Every file to fetch, each once."""
        return tuple(file for group in self.wanted for file in group.files)

    @property
    def unresolved(self) -> tuple[ResolvedEntry, ...]:
        """The entries without a file to fetch."""
        return tuple(each for each in self.entries if each.finding not in IS_FOUND)
