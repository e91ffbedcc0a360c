"""The contract of the parts of a store that can be lost: expiring values, tables and slots.

The conventions are those of `protocols`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from snapproxy_storage.space_protocols import StoredTable


class Expiring(Protocol):
    """A cache of JSON values that expire. Any value may be lost at any time, so a failure is logged and not raised."""

    async def get(self, key: str) -> Any | None:
        """Return the value, None if it is absent, expired or unreadable."""

    async def put(self, key: str, value: Any, *, seconds: float) -> None:
        """Store a value for `seconds`. Raises TypeError for a value that is not JSON."""


class Table(Protocol):
    """An open, read-only map from name to value. `get` and `items` raise StorageFailure for a damaged table."""

    def get(self, name: str) -> bytes | None: ...

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Yield all names and values, sorted by name."""

    def close(self) -> None: ...


class Tables(Protocol):
    """Derived data: one table for each (digest, version) in the cache folder. A deleted table can be built again."""

    def open(self, digest: str, version: str) -> Table | None:
        """Return the table, None if it is absent or unreadable, in which case the caller builds it."""

    def build(self, digest: str, version: str, rows: Iterable[tuple[str, bytes]]) -> None:
        """Write a table and publish it atomically. It blocks: call it in a thread or a helper process.

        Rows may come in any order and may repeat. Raises StorageFailure, and publishes nothing, for a name with two
        different values.
        """

    def stored(self) -> Iterator[StoredTable]:
        """Yield every table, of every version, in any order. It may block: call it in a thread."""

    def remove(self, digest: str, version: str) -> int:
        """Remove a table, and return its bytes on disk, 0 for an absent one. An open table stays readable."""


class Slot(Protocol):
    """A slot that was taken. Release it once; releasing again has no effect."""

    def release(self) -> None: ...


class Slots(Protocol):
    """Counting semaphores shared by all processes on the machine."""

    def take(self, name: str, count: int) -> Slot | None:
        """Take one of the `count` slots of `name`, None if all are taken.

        The kernel frees a slot if its process dies.
        """
