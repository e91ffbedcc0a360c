"""Parse the forms in which users write times, and format instants as snapshot ids.

This module only reads text. `resolve` finds the snapshot for a time; `address` finds the time in a request.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from snapproxy.core.model import Instant, Match, TimeSpec
from snapproxy.errors import ClientError

SPELLINGS = (
    "A time is 20240601T000000Z, 20240601, 2024-06-01, 2024-06-01T00:00:00Z or 1717200000 (seconds since 1970), "
    "always UTC; .exact or .nearest may follow. Or it is live, or latest."
)
"""The text for a client that lists the forms accepted by `parse_time`."""

YEARS = range(1990, 2100)
"""The accepted years: wider than the history of any archive, narrow enough to detect typing errors."""

DAY_SECONDS = 86400

_FOLDER = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2}")
_LONGEST = 32
_BASIC_LENGTH = len("20240601T000000Z")
_WORDS = {"live": Match.LIVE, "latest": Match.LATEST}
_SUFFIXES = {"": Match.AT, ".exact": Match.EXACT, ".nearest": Match.NEAREST}
# RFC 3339, section 5.6: "T" and "Z" may be in lower case. Offsets and fractions are refused: an instant has one form.
_BASIC = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:[Tt]([0-9]{2})([0-9]{2})([0-9]{2})[Zz])?")
_EXTENDED = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})[Zz])?")
# Nine or ten digits: an epoch is never taken for a day (eight digits), nor a year (four) for an epoch.
_EPOCH = re.compile(r"[1-9][0-9]{8,9}")


def parse_time(text: str) -> TimeSpec:
    """Parse a time. `TimeSpec.text` is the same text with T and Z in upper case; a day alone means its midnight, UTC.

    Raises ClientError, with the accepted forms in its hint.
    """
    if text in _WORDS:
        return TimeSpec(text=text, instant=None, match=_WORDS[text])
    if not looks_like_time(text):
        raise ClientError("that is not a time this proxy can read", hint=SPELLINGS)
    body, dot, suffix = text.partition(".")
    return TimeSpec(text=body.upper() + dot + suffix, instant=_instant(body), match=_SUFFIXES[dot + suffix])


def canonical_time(when: TimeSpec) -> str:
    """Return the canonical text of a time: two texts with the same meaning have the same one."""
    # Most texts are canonical: the basic form is, and no other text of this kind of match has its length.
    return when.text if when.match is Match.AT and len(when.text) == _BASIC_LENGTH else _format_time(when)


@lru_cache(maxsize=1024)
def _format_time(when: TimeSpec) -> str:
    if when.instant is None or when.verbatim:
        return when.text
    return format_instant(when.instant) + next(suffix for suffix, match in _SUFFIXES.items() if match is when.match)


def looks_like_time(text: str) -> bool:
    """Return whether a path segment has the form of a time.

    The calendar is not consulted: 20240230 has the form of a time.
    """
    if text in _WORDS:
        return True
    body, dot, suffix = text[:_LONGEST].partition(".")
    is_time = any(form.fullmatch(body) for form in (_BASIC, _EXTENDED, _EPOCH))
    return len(text) <= _LONGEST and is_time and dot + suffix in _SUFFIXES


def format_instant(instant: Instant) -> str:
    """Format an instant (years 1000 to 9999) as a snapshot id: YYYYMMDDTHHMMSSZ."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y%m%dT%H%M%SZ")


def format_rfc3339(instant: Instant) -> str:
    """Format an instant (years 1000 to 9999) for other tools' documents: YYYY-MM-DDTHH:MM:SSZ."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_day(text: str) -> Instant | None:
    """Read a day, YYYY/MM/DD, as its last second, UTC; None for other text or a day that is not in the calendar."""
    try:
        return _instant(text.replace("/", "")) + DAY_SECONDS - 1 if _FOLDER.fullmatch(text) else None
    except ClientError:
        return None


def format_day(instant: Instant) -> str:
    """Format the day, UTC, of an instant: YYYY/MM/DD."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y/%m/%d")


def _instant(body: str) -> Instant:
    """Return the instant of a time in valid form. Raises ClientError if it is not in the calendar."""
    found = _BASIC.fullmatch(body) or _EXTENDED.fullmatch(body)
    try:
        moment = (
            # six numbers
            datetime(*(int(part or 0) for part in found.groups()), tzinfo=UTC)  # type: ignore[misc, arg-type]
            if found
            else datetime.fromtimestamp(int(body), UTC)
        )
    except ValueError:
        raise ClientError("there is no such day or hour in the calendar", hint=SPELLINGS) from None
    if moment.year not in YEARS:
        raise ClientError(f"a time lies between the years {YEARS[0]} and {YEARS[-1]}", hint=SPELLINGS)
    return int(moment.timestamp())
