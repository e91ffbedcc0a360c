"""Which bytes a Range header asks for. Whether it may be honoured at all (If-Range) is decided in `conditions`.

RFC 9110 section 14. A server may ignore any Range: several ranges and everything malformed are answered with the whole file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: One byte range and no more than forty digits a number, which is beyond any file and within what int() takes gladly.
_ONE_RANGE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]{0,40})-([0-9]{0,40})[ \t]*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `start` up to, not including, `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many bytes the span holds."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """The range lies beyond the end of a file of `size` bytes: 416."""

    size: int


def select(header: str, size: int | None) -> ByteRange | Unsatisfiable | None:
    """Return the span that a Range header names in a file of `size` bytes, None where the whole file is the answer.

    None for: no header, another unit, several ranges, bad syntax, a last byte before the first, and a size that is not
    known yet (a Content-Range could not be written honestly).
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
    """Read `bytes=-N`: the last N bytes, or the whole file where it is shorter (RFC 9110 section 14.1.2)."""
    if not last:
        return None
    count = int(last)
    if count == 0:
        return Unsatisfiable(size)
    if size == 0:
        return None  # satisfiable, but no Content-Range can name an empty span
    return ByteRange(max(size - count, 0), size)
