"""How much of an arriving draft may be seen before its verdict, and the bytes that wait for it. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

HELD_BACK = 16 * 1024
"""The last piece, in bytes: never written before the verdict, so that whatever is on disk may be sent."""


def releasable(taken: int, length: int | None) -> int:
    """Return how many of `taken` bytes may be seen while the verdict is open.

    With a known `length` everything but the last piece, from the first byte on; without one, any byte taken may be
    the last, so the newest piece waits.
    """
    if length is None:
        return max(0, taken - HELD_BACK)
    return min(taken, max(0, length - HELD_BACK))


class HeldBack:
    """Bytes in the order they came, taken off the front without copying."""

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()
        self.size = 0

    def add(self, data: Iterable[bytes]) -> None:
        for piece in data:
            if piece:
                self._pieces.append(memoryview(piece))
                self.size += len(piece)

    def front(self, count: int) -> list[memoryview]:
        """Return the first `count` bytes as they lie, and keep them."""
        found = []
        for piece in self._pieces:
            if count <= 0:
                break
            found.append(piece[:count])
            count -= len(piece)
        return found

    def drop(self, count: int) -> None:
        """Forget the first `count` bytes."""
        self.size -= count
        while count:
            first = self._pieces.popleft()
            if len(first) > count:
                self._pieces.appendleft(first[count:])
                return
            count -= len(first)
