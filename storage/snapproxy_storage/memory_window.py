"""The newest bytes of a draft, kept in bounded memory while the disk is full. This module does no I/O."""

from __future__ import annotations

from collections.abc import Iterable

from snapproxy_storage.protocols import DiskFailure


class MemoryBudget:
    """The memory that the windows of all drafts take together, in bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    @property
    def is_exceeded(self) -> bool:
        return self.used > self.limit


class MemoryWindow:
    """The bytes of a draft from `start` to `end`. The owner keeps it within `capacity` by calling `drop_to`.

    `why`: why the disk does not take them.
    """

    def __init__(self, start: int, capacity: int, budget: MemoryBudget, why: DiskFailure) -> None:
        self.why = why
        self.start = start
        self.capacity = capacity
        self._budget = budget
        self._bytes = bytearray()

    @property
    def end(self) -> int:
        return self.start + len(self._bytes)

    @property
    def is_over_budget(self) -> bool:
        """Whether the windows of all drafts together take too much memory."""
        return self._budget.is_exceeded

    def misfit(self, what: str = "the file does not fit into memory") -> DiskFailure:
        """Return the failure of bytes that fit neither on the disk nor into memory."""
        return DiskFailure(f"{what}, and {self.why}", self.why.state)

    @property
    def is_overfull(self) -> bool:
        return len(self._bytes) > self.capacity

    def add(self, pieces: Iterable[memoryview]) -> None:
        for piece in pieces:
            self._bytes += piece
            self._budget.used += len(piece)

    def drop_to(self, offset: int) -> None:
        """Drop bytes before `offset`, but only as many as exceed the capacity."""
        self._drop(min(len(self._bytes) - self.capacity, offset - self.start))

    def clear(self) -> None:
        """Free the memory."""
        self._drop(len(self._bytes))
        self._bytes = bytearray()

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop` or the end of the window. `start` must not lie before the window."""
        return bytes(self._bytes[start - self.start : stop - self.start])

    def _drop(self, count: int) -> None:
        if count > 0:
            del self._bytes[:count]
            self.start += count
            self._budget.used -= count
