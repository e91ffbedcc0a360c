"""Read and write HTTP dates (RFC 9110, sections 5.6.7 and 10.2.3). Other text is read as None."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

from snapproxy.core.model import Instant

RETRY_AFTER_MOST = 3600
"""Upper bound in seconds: a longer Retry-After is reduced to this value.

One request an hour loads no server, and a typing error must not stop requests for days.
"""


def read_http_date(text: str) -> Instant | None:
    """Read an HTTP date in any of its three forms (section 5.6.7); None for other text."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return seconds if seconds >= 0 else None


@lru_cache(maxsize=1024)
def write_http_date(instant: Instant) -> str:
    """Write a time as an IMF-fixdate, independent of the locale."""
    return formatdate(instant, usegmt=True)


def read_retry_after(text: str, now: Instant) -> int | None:
    """Read a Retry-After, seconds or a date, as seconds between 0 and RETRY_AFTER_MOST; None for other text."""
    text = text.strip()
    if re.fullmatch(r"[0-9]+", text):
        return RETRY_AFTER_MOST if len(text) > len(str(RETRY_AFTER_MOST)) else min(int(text), RETRY_AFTER_MOST)
    date = read_http_date(text)
    return None if date is None else min(max(0, date - now), RETRY_AFTER_MOST)
