"""The contract of the checks of a store: stored bytes against their digests, the catalog, and the files in its folders.

The conventions are those of `protocols`.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from snapproxy_storage.protocols import Name

Pace = Callable[[int], Awaitable[None]]
"""Wait before the given number of bytes is read: this is how a caller limits the rate."""


class BlobState(enum.Enum):
    """The result of hashing a blob. A damaged one was moved to the quarantine; an absent one was removed meanwhile."""

    INTACT = "intact"
    DAMAGED = "damaged"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class AuditedBlob:
    """One blob that was hashed, and the bytes that were read."""

    state: BlobState
    size: int


@dataclass(frozen=True, slots=True)
class StoredName:
    """A name of a blob in the catalog: its space, itself, and its value."""

    space: str
    name: str
    value: Name


@dataclass(frozen=True, slots=True)
class FileCount:
    """A number of files, and their bytes."""

    files: int
    size: int


class Audit(Protocol):
    """Checks of a store that its requests do not make. They run at a low priority, on a thread of their own.

    A request checks a blob whose file has changed. A byte that changes without the kernel (a failing disk, a repaired
    file system, a copy with the old times) is found here alone.
    """

    async def digests(self, after: str = "", *, most: int = 50_000) -> Sequence[str]:
        """Return the first digests of stored blobs that sort after `after`, sorted."""

    async def check(self, digest: str, pace: Pace) -> AuditedBlob:
        """Hash the blob, from the disk and not from memory, whatever is recorded about it.

        A damaged blob is moved to the quarantine, from which nothing is served; the epoch is incremented, and
        `Blobs.was_damaged` returns True for it. The quarantine keeps the newest files within a limit of bytes.
        """

    async def names_of(self, digests: Collection[str]) -> Sequence[StoredName]:
        """Return every name in the catalog that refers to one of these blobs, sorted. It reads the whole catalog."""

    async def missing_blobs(self) -> FileCount:
        """Return the names in the catalog whose blob is not stored, and the bytes of these blobs.

        This is expected: a blob that was removed to make room is stored again when it is requested.
        """

    async def catalog_faults(self) -> Sequence[str]:
        """Return what SQLite's own check finds in the catalog, nothing if it is intact."""

    async def drafts(self) -> FileCount:
        """Return the downloads that are running or kept for a resume, and their bytes on disk."""

    async def journals(self) -> Sequence[str]:
        """Return the names of all journals, sorted."""

    async def strangers(self) -> Sequence[str]:
        """Return the entries of the state folder that are not the store's, relative to it, sorted; at most 1000."""

    async def quarantined(self) -> FileCount:
        """Return the damaged files in the quarantine, and their bytes."""
