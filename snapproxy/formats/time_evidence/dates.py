"""A date in a file, and the forms in which the files write dates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

YEARS = range(1993, 2100)
"""Accepted years. The oldest package managers are of 1993; other years are errors or placeholders such as 1970."""

_FIRST, _END = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (YEARS.start, YEARS.stop))

MOST_LINES = 2_000_000
"""Maximum number of lines that are read of one file."""

UNKNOWN_ZONE = 12 * 3600
"""Maximum seconds by which a local time may be before the same digits in UTC (the zone UTC-12)."""

_SHOWN = 160
_UNPRINTABLE = re.compile(r"[^ -~]+")
_EPOCH = re.compile(r"[1-9][0-9]{8,9}")


@dataclass(frozen=True, slots=True)
class DatedLine:
    """A date in a file: the instants `first` to `last`, both included, in seconds. `text` quotes the line."""

    first: int
    last: int
    line: int
    text: str


def lines_of(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a text, at most `MOST_LINES`. Bytes that are not UTF-8 become U+FFFD."""
    for number, line in enumerate(data.split(b"\n", MOST_LINES)[:MOST_LINES], 1):
        yield number, line.rstrip(b"\r").decode("utf-8", "replace")


def quoted(text: str) -> str:
    """Return text as one short line of printable ASCII, for a terminal."""
    plain = _UNPRINTABLE.sub(" ", text).strip()
    return plain if len(plain) <= _SHOWN else f"{plain[: _SHOWN - 3]}..."


def accepted(seconds: float) -> int | None:
    """Return whole seconds since 1970; None outside the accepted years."""
    return int(seconds) if _FIRST <= seconds < _END else None


def read_seconds(text: str) -> int | None:
    """Read seconds since 1970 within the accepted years; None for other text."""
    return accepted(int(text)) if _EPOCH.fullmatch(text.strip()) else None


def read_rfc2822(text: str) -> int | None:
    """Read a date such as `Sat, 01 Jun 2024 12:00:00 UTC`; None for other text."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return _accepted(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def read_iso(text: str) -> int | None:
    """Read a date such as `2024-06-01T12:00:00Z` or `2024-06-01 12:00:00`; None for other text.

    A date without a zone is read as UTC. Fractions of a second are dropped.
    """
    try:
        moment = datetime.fromisoformat(_NANOSECONDS.sub(r"\1", text.strip(), count=1))
    except ValueError:
        return None
    return _accepted(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


_NANOSECONDS = re.compile(r"(\.[0-9]{6})[0-9]+")  # Go's RFC3339Nano has up to nine digits


def read_day(year: str, month: str, day: str) -> int | None:
    """Return the first second of a day, UTC; None if it is not in the calendar."""
    try:
        return _accepted(datetime(int(year), int(month), int(day), tzinfo=UTC))
    except ValueError:
        return None


def _accepted(moment: datetime) -> int | None:
    try:
        return int(moment.timestamp()) if moment.year in YEARS else None
    except (ValueError, OverflowError):
        return None
