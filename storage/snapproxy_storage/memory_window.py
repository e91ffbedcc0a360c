"""The newest bytes of a draft, kept in bounded memory while the disk is full. This module does no I/O."""

from __future__ import annotations

from collections.abc import Iterable


class MemoryWindow:
    """The bytes of a draft from `start` to `end`. The owner keeps it within `capacity` by calling `drop_to`."""

    def __init__(self, start: int, capacity: int) -> None:
        self.start = start
        self.capacity = capacity
        self._bytes = bytearray()

    @property
    def end(self) -> int:
        return self.start + len(self._bytes)

    @property
    def is_overfull(self) -> bool:
        return len(self._bytes) > self.capacity

    def add(self, pieces: Iterable[memoryview]) -> None:
        for piece in pieces:
            self._bytes += piece

    def drop_to(self, offset: int) -> None:
        """Drop bytes before `offset`, but only as many as exceed the capacity."""
        surplus = len(self._bytes) - self.capacity
        gone = min(surplus, offset - self.start)
        if gone > 0:
            del self._bytes[:gone]
            self.start += gone

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop` or the end of the window. `start` must not lie before the window."""
        return bytes(self._bytes[start - self.start : stop - self.start])
