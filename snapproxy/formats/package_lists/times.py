"""The times that lists state: RFC 3339, and the ids of snapshots."""

from __future__ import annotations

import re
from calendar import timegm
from datetime import UTC, datetime

_RFC_3339 = re.compile(
    r"(?P<second>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})"
)
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z")


def instant_of_rfc3339(text: str) -> int | None:
    """Return the second of a time of RFC 3339 with an offset, None for other texts and for times before 1970."""
    found = _RFC_3339.fullmatch(text)
    if found is None:
        return None
    try:
        seconds = timegm(datetime.fromisoformat(found["second"] + found["zone"]).astimezone(UTC).utctimetuple())
    except (ValueError, OverflowError):
        return None
    return seconds if seconds >= 0 else None


def instant_of_id(text: str) -> int | None:
    """Return the instant of an id such as 20240601T000000Z, None for other ids."""
    if not _ID.fullmatch(text):
        return None
    day, _, time = text.removesuffix("Z").partition("T")
    return instant_of_rfc3339(f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}Z")
