"""Check that an index lists each path consistently, and name stored bytes by the digests of its entries.

An entry that cannot be used is dropped, and the other entries are used: archives publish indexes with single malformed
or contradictory entries, and clients read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from snapproxy.core.model import ExpectedFile
from snapproxy.errors import ArchiveDataError, Drop, SurplusError, refuse_entry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DroppedEntry:
    """A file whose entry in an index was dropped, so that nothing is known about its bytes; `reason` is fixed text."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class DroppedCount:
    """The number of entries of one index that were dropped, and the reason for the first of them."""

    count: int = 0
    first: str = ""


class DroppedEntries:
    """The dropped entries of one index, collected while it is read. `add` implements `errors.Drop`.

    `paths` maps each file that they concern to the reason. A file of `paths` has no expected bytes, even if another
    entry lists it.
    """

    def __init__(self) -> None:
        self.paths: dict[str, str] = {}
        self._count = 0
        self._first: ArchiveDataError | None = None

    def add(self, error: ArchiveDataError, path: str = "") -> None:
        """Count a dropped entry."""
        self._count += 1
        self._first = self._first or error
        if path:
            self.paths.setdefault(path, error.reason)

    @property
    def count(self) -> DroppedCount:
        """The number of entries so far, and the reason for the first."""
        if self._first is None:
            return DroppedCount()
        return DroppedCount(self._count, ": ".join(text for text in (self._first.reason, self._first.why) if text))

    def some_of(self, entries: Iterable[T]) -> Iterator[T]:
        """Yield the usable entries of an index.

        Raises ArchiveDataError, the error of the first one, if every entry was dropped: the file is not an index.
        """
        is_empty = True
        for entry in entries:
            is_empty = False
            yield entry
        if is_empty and self._first is not None and not isinstance(self._first, SurplusError):
            raise self._first


def distinct(found: Iterable[ExpectedFile], drop: Drop = refuse_entry) -> Iterator[ExpectedFile]:
    """Yield each path once, at its first occurrence.

    A later occurrence may contradict the first: a size or digest that both have must be equal. Such a path is dropped
    after it was yielded.
    """
    seen: dict[str, bytes] = {}
    for expected in found:
        entry = _encode(expected)
        first = seen.setdefault(expected.path, entry)
        if first is entry:
            yield expected
        elif not _agree(first, entry):
            drop(contradiction(expected.path), expected.path)


def identity(expected: ExpectedFile) -> tuple[str, str] | None:
    """Return the (algorithm, hex) by which bytes that match this entry are looked up; None if it has no digest.

    This is the strong digest, otherwise the best of the others, including a family's own kinds. A digest that is not
    strong identifies bytes of its own archive only.
    """
    order = ("sha1", "md5", *sorted(expected.digests))
    return expected.strong or next(((name, expected.digests[name]) for name in order if name in expected.digests), None)


def signature_name(expected: ExpectedFile) -> str | None:
    """Return the name, outside every snapshot, of the detached signature of a package; None if it has no digest."""
    known_by = identity(expected)
    return None if known_by is None else f"signature of {known_by[0]}:{known_by[1]}"


def contradiction(path: str) -> ArchiveDataError:
    """Return the error for a path that is listed twice with different sizes or digests."""
    return ArchiveDataError(
        "An index contradicts itself", why=f"It lists {path!r} twice with different sizes or digests."
    )


def _encode(expected: ExpectedFile) -> bytes:
    """Encode an entry compactly: an index may list 130,000 files, and all entries are kept until its end."""
    size = [] if expected.size is None else [f"size:{expected.size}"]
    return " ".join([*size, *(f"{name}:{value}" for name, value in expected.digests.items())]).encode("ascii")


def _agree(one: bytes, other: bytes) -> bool:
    first, second = (dict(word.split(b":") for word in entry.split()) for entry in (one, other))
    return all(first[name] == second[name] for name in first.keys() & second.keys())
