"""Times as users write them: one reader for every spelling, one spelling for every snapshot id.

Reads text only. What a time means to an archive is decided in `resolve`; where in a request it stands, in `address`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from snapproxy.core.model import Instant, Match, TimeSpec
from snapproxy.errors import ClientError

SPELLINGS = (
    "A time is 20240601T000000Z, 20240601, 2024-06-01, 2024-06-01T00:00:00Z or 1717200000 (seconds since 1970), always UTC; "
    ".exact or .nearest may follow. Or it is live, or latest."
)
"""What `parse_time` accepts, as one line for a client."""

YEARS = range(1990, 2100)
"""Years a time may lie in: wider than any archive's memory, narrow enough that a slip of the keyboard is noticed."""

DAY_SECONDS = 86400

_FOLDER = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2}")
_LONGEST = 32
_BASIC_LENGTH = len("20240601T000000Z")
_WORDS = {"live": Match.LIVE, "latest": Match.LATEST}
_SUFFIXES = {"": Match.HELD, ".exact": Match.EXACT, ".nearest": Match.NEAREST}
# RFC 3339, section 5.6: "T" and "Z" may be written in lower case. Its offsets and fractions are refused: one instant, one spelling of it.
_BASIC = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:[Tt]([0-9]{2})([0-9]{2})([0-9]{2})[Zz])?")
_EXTENDED = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})[Zz])?")
# Nine or ten digits, so that an epoch is never taken for a day (eight) nor a year (four) for an epoch.
_EPOCH = re.compile(r"[1-9][0-9]{8,9}")


def parse_time(text: str) -> TimeSpec:
    """Read a *when*; `When.text` is the same spelling with T and Z in upper case, a day alone means its midnight, UTC.

    Raises ClientError, with the accepted spellings in its hint.
    """
    if text in _WORDS:
        return TimeSpec(text=text, instant=None, match=_WORDS[text])
    if not looks_like_time(text):
        raise ClientError("that is not a time this proxy can read", hint=SPELLINGS)
    body, dot, suffix = text.partition(".")
    return TimeSpec(text=body.upper() + dot + suffix, instant=_instant(body), match=_SUFFIXES[dot + suffix])


def canonical_time(when: TimeSpec) -> str:
    """Return the one spelling of a *when*: two that mean the same get the same."""
    # The basic form is that spelling, and nothing else that is held to its snapshot has as many characters: most need no look-up.
    return when.text if when.match is Match.HELD and len(when.text) == _BASIC_LENGTH else _spelt(when)


@lru_cache(maxsize=1024)
def _spelt(when: TimeSpec) -> str:
    if when.instant is None or when.verbatim:
        return when.text
    return format_instant(when.instant) + next(suffix for suffix, match in _SUFFIXES.items() if match is when.match)


def looks_like_time(text: str) -> bool:
    """Tell a *when* from any other path segment by its shape; the calendar is not consulted, so 20240230 looks like one."""
    if text in _WORDS:
        return True
    body, dot, suffix = text[:_LONGEST].partition(".")
    is_time = any(form.fullmatch(body) for form in (_BASIC, _EXTENDED, _EPOCH))
    return len(text) <= _LONGEST and is_time and dot + suffix in _SUFFIXES


def format_instant(instant: Instant) -> str:
    """Write an instant (years 1000 to 9999) as a snapshot id: YYYYMMDDTHHMMSSZ."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y%m%dT%H%M%SZ")


def format_rfc3339(instant: Instant) -> str:
    """Write an instant (years 1000 to 9999) as other tools' documents want it: YYYY-MM-DDTHH:MM:SSZ."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_day(text: str) -> Instant | None:
    """Read the folder of a day, YYYY/MM/DD, as its last second, UTC; None when it is none, or no day in the calendar."""
    try:
        return _instant(text.replace("/", "")) + DAY_SECONDS - 1 if _FOLDER.fullmatch(text) else None
    except ClientError:
        return None


def format_day(instant: Instant) -> str:
    """Write the folder of the day, UTC, in which an instant lies: YYYY/MM/DD."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y/%m/%d")


def _instant(body: str) -> Instant:
    """Return the instant that a well-shaped time names; ClientError when there is none."""
    found = _BASIC.fullmatch(body) or _EXTENDED.fullmatch(body)
    try:
        moment = (
            datetime(*(int(part or 0) for part in found.groups()), tzinfo=UTC)  # type: ignore[misc, arg-type] # six numbers
            if found
            else datetime.fromtimestamp(int(body), UTC)
        )
    except ValueError:
        raise ClientError("there is no such day or hour in the calendar", hint=SPELLINGS) from None
    if moment.year not in YEARS:
        raise ClientError(f"a time lies between the years {YEARS[0]} and {YEARS[-1]}", hint=SPELLINGS)
    return int(moment.timestamp())
