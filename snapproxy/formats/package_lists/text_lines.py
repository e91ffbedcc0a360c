"""Read the lines of a list that is a plain text."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence

from snapproxy.formats.package_lists.model import LARGEST, MOST_ENTRIES, ListFormatError

LONGEST = 4096
"""Maximum length of a line that a reader interprets, in bytes."""

MOST_LINES = 2_000_000
"""Maximum number of lines of a list, empty ones and comments included."""

_SHOWN = 60
_NAMES = 5
_KINDS = 20


def raw_lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each line, with its end. Raises ListFormatError if the list is too large."""
    if len(data) > LARGEST:
        raise ListFormatError("", f"It has {len(data)} bytes; the maximum is {LARGEST}.")
    if data.count(b"\n") > MOST_LINES:
        raise ListFormatError("", f"It has more than {MOST_LINES} lines.")
    yield from enumerate(io.BytesIO(data), 1)


def text_lines(data: bytes, *, has_tabs: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is not empty. Raises ListFormatError.

    A line is ASCII without control characters, except tabs if `has_tabs`, and has at most `LONGEST` bytes. A list has
    at most `MOST_ENTRIES` such lines.
    """
    seen = 0
    for number, raw in raw_lines(data):
        line = raw.rstrip(b"\r\n")
        if not line:
            continue
        seen += 1
        if seen > MOST_ENTRIES:
            raise ListFormatError(f"line {number}", f"It has more than {MOST_ENTRIES} lines.")
        if len(line) > LONGEST:
            raise ListFormatError(f"line {number}", f"The line has more than {LONGEST} bytes.")
        text = line.decode("ascii", "replace")
        if not line.isascii() or not (text.replace("\t", "") if has_tabs else text).isprintable():
            raise ListFormatError(f"line {number}", "The line has control characters, or characters beyond ASCII.")
        yield number, text


def quoted(line: str) -> str:
    """Return a line for a message, in ASCII and truncated."""
    return ascii(line if len(line) <= _SHOWN else line[:_SHOWN] + "...")


def counted(counts: Mapping[str, int]) -> str:
    """Return the numbers of things by kind for a message: `2 npm, 1 pypi`; rare kinds beyond `_KINDS` as one number."""
    shown = sorted(counts, key=lambda kind: (-counts[kind], kind))[:_KINDS]
    parts = [f"{counts[kind]} {kind[:_SHOWN]}" for kind in sorted(shown)]
    others = sum(counts.values()) - sum(counts[kind] for kind in shown)
    return ", ".join([*parts, f"{others} of other kinds"] if others else parts)


def some(names: Sequence[str]) -> str:
    """Return the first names for a message."""
    shown = [name[:_SHOWN] for name in names[:_NAMES]]
    return ", ".join(shown) + (f" and {len(names) - _NAMES} more" if len(names) > _NAMES else "")
