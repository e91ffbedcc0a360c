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


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that an entry may mean, and the instants, ends included, at which an index of the archive lists it."""

    archive: Archive
    path: str
    digest: str
    size: int | None
    spans: tuple[tuple[Instant, Instant], ...]


@dataclass(frozen=True, slots=True)
class ResolvedEntry:
    """An entry of a list with its outcome. `why` is a sentence for every outcome that needs one."""

    entry: ListEntry
    finding: Finding
    candidates: tuple[Candidate, ...] = ()
    why: str = ""
