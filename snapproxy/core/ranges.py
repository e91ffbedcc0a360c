"""Parse a Range header. `conditions` decides whether it applies at all (If-Range).

RFC 9110 section 14. A server may ignore any Range: several ranges and all malformed headers are answered with the whole
file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: One byte range with at most forty digits a number: more than any file has, and few enough for int().
_ONE_RANGE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]{0,40})-([0-9]{0,40})[ \t]*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `start` up to, not including, `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """The number of bytes."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """The range is beyond the end of a file of `size` bytes: 416."""

    size: int


def select(header: str, size: int | None) -> ByteRange | Unsatisfiable | None:
    """Return the bytes that a Range header selects in a file of `size` bytes, None if the answer is the whole file.

    None for: no header, another unit, several ranges, bad syntax, a last byte before the first, and an unknown size (a
    Content-Range needs the size).
    """
    if not header or size is None:
        return None
    found = _ONE_RANGE.fullmatch(header)
    if found is None:
        return None
    first, last = found.groups()
    if not first:
        return _suffix(last, size)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        return Unsatisfiable(size)
    return ByteRange(start, min(int(last) + 1, size) if last else size)


def _suffix(last: str, size: int) -> ByteRange | Unsatisfiable | None:
    """Read `bytes=-N`: the last N bytes, or the whole file if it is shorter (RFC 9110 section 14.1.2)."""
    if not last:
        return None
    count = int(last)
    if count == 0:
        return Unsatisfiable(size)
    if size == 0:
        return None  # satisfiable, but no Content-Range can describe an empty range
    return ByteRange(max(size - count, 0), size)
