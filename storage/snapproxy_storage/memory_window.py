"""What is kept in memory of a draft once the disk is full: the newest bytes, bounded. Pure."""

from __future__ import annotations

from collections.abc import Iterable


class MemoryWindow:
    """The bytes from `start` to `end` of a draft. Its owner keeps it within `capacity` by `drop_to`."""

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
        """Forget what stands before `offset`, and no more than brings the window back to its capacity."""
        surplus = len(self._bytes) - self.capacity
        gone = min(surplus, offset - self.start)
        if gone > 0:
            del self._bytes[:gone]
            self.start += gone

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start`, which must not lie before the window, up to `stop` or the window's end."""
        return bytes(self._bytes[start - self.start : stop - self.start])
