"""The contract of a store's disk space: what is stored, when it was last served, and how much may still be stored.

The conventions are those of `protocols`. A figure of disk space counts each file in whole blocks of 4 KiB, as file
systems store it, so that `du` never shows more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

BLOCK = 4096
"""The unit of the figures: the block size of common file systems."""


def blocks(size: int) -> int:
    """Return the bytes that a file of `size` bytes takes on disk."""
    return -(-size // BLOCK) * BLOCK


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """One blob: its bytes on disk, in whole blocks, and the second at which it was last served.

    A blob that was never served has the time at which its last byte was written. `served` is exact to an hour.
    """

    digest: str
    size: int
    served: int


@dataclass(frozen=True, slots=True)
class StoredTable:
    """One table: its bytes on disk, in whole blocks, and the second at which it was built or last opened."""

    digest: str
    version: str
    size: int
    used: int


@dataclass(frozen=True, slots=True)
class StoredJournal:
    """One journal: its length, and the second at which a line was last appended."""

    name: str
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Evicted:
    """The blobs that were removed, and their bytes on disk. Of these, `pending` bytes are free when readers close them.

    `is_stopped`: none was removed, because the references could not be read from where they were known before.
    """

    digests: Sequence[str] = ()
    size: int = 0
    pending: int = 0
    is_stopped: bool = False


class Hold(Protocol):
    """No blob is evicted until it is released. Hold it for milliseconds. Releasing again has no effect."""

    def release(self) -> None: ...


MakeRoom = Callable[[int], Awaitable[bool]]
"""Free the given number of bytes at least, by removing blobs. Return whether it may be worth to try again."""


class Space(Protocol):
    """The disk space of the store: one account for all processes on the machine.

    The quota limits blobs and drafts: `stored`, `kept` and `reserved` together are never above it. A draft reserves its
    described length, or a little more than it has, before its bytes go to disk. If there is no room, the store calls
    `make_room` of the owner, waits for it within a limit, and otherwise continues the draft as on a full disk, with
    the state "is over its quota". The same happens if the draft would leave less free space than the floor.

    A process that is killed never leaves too low a figure. What it reserved counts until a look at the drafts or a
    count of the blobs has shown what it left.
    """

    @property
    def limit(self) -> int | None:
        """The quota in bytes, None without a quota."""

    @property
    def floor(self) -> int:
        """The bytes of the file system that the store leaves free."""

    @property
    def stored(self) -> int:
        """The bytes of all blobs. Wrong while `is_counted` is false, and after a file was removed by hand."""

    @property
    def kept(self) -> int:
        """The bytes of drafts without a writer, which a later download resumes. May be too high, never too low."""

    @property
    def reserved(self) -> int:
        """The bytes promised to the drafts that are being written, those that they have written included."""

    @property
    def free(self) -> int:
        """The free bytes of the file system of the blobs."""

    @property
    def is_counted(self) -> bool:
        """Whether the blobs were counted. With a quota, nothing is stored before."""

    def room(self) -> int:
        """Return the number of bytes that may still be stored, within the quota and above the floor."""

    def set_limits(self, quota: int | None, free_space: int | None) -> None:
        """Apply other limits to this process from now on, as `open_store` does. What is above them stays stored."""

    def on_shortage(self, make_room: MakeRoom | None) -> None:
        """Register the coroutine that frees space for a draft of this process. None: none does."""

    async def recount(self) -> int:
        """Count all blobs and drafts, and return the bytes of the blobs.

        It takes seconds with a million blobs, on a thread. The store is used meanwhile, by any process: the result is
        exact. A count that runs in another process is waited for.
        """


class ServedTimes(Protocol):
    """When each blob was last served, to the hour. Several processes may note times of one blob."""

    def note(self, digest: str, at: int) -> None:
        """Note that the blob was served at the time `at`. It costs one dict assignment, and is written later."""

    async def flush(self) -> None:
        """Write the noted times. Times that were noted less than an hour after the written one cost no write."""


class CatalogScan(Protocol):
    """A way to read the whole catalog in bounded memory and in pages, in the order of the keys, on any thread.

    A row that is written meanwhile may be missing. Closing it releases its connection.
    """

    def names(self, spaces: str = "", *, after: tuple[str, str] = ("", "")) -> Iterator[tuple[str, str, str, int]]:
        """Yield (space, name, digest, size) of every name in the spaces that start with `spaces`, sorted by both.

        `after`: only those after this space and name.
        """

    def values(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield (key, value) of every span of the keys that start with `prefix`, sorted by key and time."""

    def count_values(self, prefix: str) -> int:
        """Return the number of these spans."""

    def facts(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """Yield (key, JSON value) of every fact whose key starts with `prefix`, expired ones included, sorted."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
