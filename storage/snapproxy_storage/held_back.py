"""Compute the bytes of a draft that may be released before its verdict, and buffer the others, without I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

HELD_BACK = 16 * 1024
"""The size of the last piece. It is written only after the verdict, so that all bytes on disk may be sent."""


def releasable(taken: int, length: int | None) -> int:
    """Return the number of the `taken` bytes that may be released while the verdict is pending.

    With a known `length` these are all bytes except the last piece of the file. Without one, any byte may be the last,
    so the newest piece is held back.
    """
    if length is None:
        return max(0, taken - HELD_BACK)
    return min(taken, max(0, length - HELD_BACK))


class HeldBack:
    """A first-in, first-out buffer of bytes that does not copy them."""

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()
        self.size = 0

    def add(self, data: Iterable[bytes]) -> None:
        for piece in data:
            if piece:
                self._pieces.append(memoryview(piece))
                self.size += len(piece)

    def front(self, count: int) -> list[memoryview]:
        """Return the first `count` bytes as pieces, and keep them in the buffer."""
        found = []
        for piece in self._pieces:
            if count <= 0:
                break
            found.append(piece[:count])
            count -= len(piece)
        return found

    def drop(self, count: int) -> None:
        """Remove the first `count` bytes."""
        self.size -= count
        while count:
            first = self._pieces.popleft()
            if len(first) > count:
                self._pieces.appendleft(first[count:])
                return
            count -= len(first)
