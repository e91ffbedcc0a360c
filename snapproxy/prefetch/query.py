"""An entry of a list as a question to the indexes of archives, and the rule by which a listed file answers it.

Digests of different bytes are never compared: that of a file only with those of files, that of an apk's control part
only with the identities in apk's indexes, and that of an rpm's header with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from snapproxy.core.model import STRONG, Archive, ExpectedFile
from snapproxy.families.apk.identity import BITS, IDENTITY
from snapproxy.formats.package_lists.model import DigestOf, ListEntry

Compare = Callable[[str, str], int | None]
"""The order of two versions, as `core.listing.Lister.compare` returns it."""

STRONGEST_FIRST = ("sha256", *STRONG)
"""Strong digests in the order of preference: the store names blobs by sha256."""

WEAK_ALGORITHMS = ("sha1", "md5")

_IDENTITIES = {algorithm: f"{IDENTITY}{bits}" for bits, algorithm in BITS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The question which file of `archives`, first choice first, an entry means.

    `number` is the position of the entry in its list. `path` is the path in the archive, or the end of it; '' if the
    list does not state one. Without a path, name, version and architecture identify the file. `is_bare`: the version
    was read from a file name that omits the epoch.
    """

    number: int
    entry: ListEntry
    archives: tuple[Archive, ...]
    name: str = ""
    version: str = ""
    architecture: str = ""
    path: str = ""
    is_bare: bool = False

    def digests(self) -> Iterator[tuple[str, str]]:
        """Yield the digests that indexes may list, as (algorithm in the terms of indexes, hex)."""
        for each in self.entry.digests:
            if each.of is DigestOf.FILE:
                yield each.algorithm, each.value
            elif each.of is DigestOf.CONTROL and each.algorithm in _IDENTITIES:
                yield _IDENTITIES[each.algorithm], each.value


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file of an index with the package it contains. `name` is '' if the file name does not show the package."""

    name: str
    version: str
    architecture: str
    file: ExpectedFile


class FileMatch(Enum):
    """Whether a listed file is that of a query."""

    SAME = "same"
    OTHER = "other"
    OTHER_BYTES = "other bytes"
    """The path, or the name and version, are those of the query, and a digest differs."""


def compare_file(query: Query, found: IndexedFile, any_architecture: str, compare: Compare) -> FileMatch:
    """Return whether an index lists the file of the query. A digest decides, then the path, then the name."""
    listed = found.file.digests
    differs = any(listed.get(algorithm, value) != value for algorithm, value in query.digests())
    if not differs and has_digest_of(query, listed):
        return FileMatch.SAME
    if query.path:
        is_named = found.file.path == query.path or found.file.path.endswith(f"/{query.path}")
    else:
        is_named = (
            found.name == query.name
            and is_architecture(query.architecture, found.architecture, any_architecture)
            and _is_version(query, found.version, compare)
        )
    if not is_named:
        return FileMatch.OTHER
    return FileMatch.OTHER_BYTES if differs else FileMatch.SAME


def has_digest_of(query: Query, listed: Mapping[str, str]) -> bool:
    """Return whether an index lists a digest of the query."""
    return any(listed.get(algorithm) == value for algorithm, value in query.digests())


def is_architecture(wanted: str, listed: str, any_architecture: str) -> bool:
    """Return whether a package of the architecture `listed` may be the one of a list with `wanted`.

    Lists write the machine's architecture or the one of every machine for a package of the latter; '' is unknown.
    """
    return not wanted or wanted == listed or any_architecture in (wanted, listed)


def without_epoch(version: str) -> str:
    """Return a version as file names have it that omit the epoch."""
    return version.partition(":")[2] or version


def best_digest(query: Query, listed: Mapping[str, str]) -> str:
    """Return the digest of the whole file to verify, of the list or of the index, as `algorithm:hex`.

    A strong one of the list is preferred, then a weak one that the index lacks: the index's own digest is verified in
    any case. '' if both have only digests of parts of the file.
    """
    stated = {each.algorithm: each.value for each in query.entry.digest_of(DigestOf.FILE)}
    unlisted = {algorithm: value for algorithm, value in stated.items() if algorithm not in listed}
    choices = ((stated, STRONGEST_FIRST), (unlisted, WEAK_ALGORITHMS), (listed, (*STRONGEST_FIRST, *WEAK_ALGORITHMS)))
    return next(
        (f"{name}:{digests[name]}" for digests, names in choices for name in names if name in digests),
        "",
    )


def _is_version(query: Query, listed: str, compare: Compare) -> bool:
    if query.is_bare:
        return without_epoch(listed) == query.version
    return listed == query.version or compare(listed, query.version) == 0
