"""Evaluate a client's conditional headers against a file: unchanged, whole, a part, or a range beyond the end.

RFC 9110 section 13. Dates are compared for equality only, never for order: times behind one URL may go backwards here,
and a client that gets "not modified" because its copy is *newer* would silently keep that copy, whichever
package manager it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from snapproxy.core.exchange import Conditions, Outcome, Served
from snapproxy.core.http_date import read_http_date
from snapproxy.core.model import Family, Instant, Refusal, Role
from snapproxy.core.ranges import ByteRange, Unsatisfiable, select

_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


@dataclass(frozen=True, slots=True)
class Validators:
    """The validators of a file: its strong `etag` (quoted, '' while unknown) and its `date` (None if it has none)."""

    etag: str = ""
    date: Instant | None = None


@dataclass(frozen=True, slots=True)
class ConditionalHeaders:
    """The conditional headers of a request, unparsed; '' if absent."""

    method: str = "GET"
    if_none_match: str = ""
    if_modified_since: str = ""
    if_range: str = ""
    range: str = ""


@dataclass(frozen=True, slots=True)
class UnchangedForClient:
    """The client's copy is identical: 304."""


@dataclass(frozen=True, slots=True)
class WholeFile:
    """The whole file: 200."""


Verdict = UnchangedForClient | WholeFile | ByteRange | Unsatisfiable


def decide(headers: ConditionalHeaders, stored: Validators, size: int | None) -> Verdict:
    """Evaluate a request's conditions against a file of `size` bytes (None: not known yet).

    They are evaluated in the order of RFC 9110 section 13.2.2.
    """
    if _is_unchanged(headers, stored):
        return UnchangedForClient()
    if headers.method != "GET" or not headers.range:
        return WholeFile()  # a Range on a method other than GET must be ignored (RFC 9110 section 14.2)
    if headers.if_range and not _is_same(headers.if_range, stored):
        return WholeFile()
    return select(headers.range, size) or WholeFile()


def _is_unchanged(headers: ConditionalHeaders, stored: Validators) -> bool:
    if headers.if_none_match:  # If-Modified-Since must be ignored in this case
        if headers.if_none_match.strip() == "*":
            return True
        return bool(stored.etag) and stored.etag in (
            tag.removeprefix("W/") for tag in _ETAG.findall(headers.if_none_match)
        )
    if not headers.if_modified_since:
        return False
    since = read_http_date(headers.if_modified_since)
    return since is not None and since == stored.date


def _is_same(if_range: str, stored: Validators) -> bool:
    """Return whether an If-Range names these bytes.

    The comparison is strong, so a weak tag never matches (RFC 9110 section 13.1.5).
    """
    text = if_range.strip()
    if text.startswith(('"', "W/")):
        return bool(stored.etag) and text == stored.etag
    date = read_http_date(text)
    return date is not None and date == stored.date


def without_older_date(outcome: Outcome, family: Family, conditions: Conditions) -> Outcome:
    """Remove the date of a file that is not a package if it is older than the client's copy.

    This applies only to families whose clients would drop the answer because of that date.
    """
    if not isinstance(outcome, Served) or not family.drops_older_dates or outcome.role in (Role.PACKAGE, Role.OTHER):
        return outcome
    is_older = outcome.date is not None and conditions.since is not None and outcome.date < conditions.since
    return replace(outcome, date=None) if is_older else outcome


def refuse_newer(family: Family, role: Role, date: Instant | None, since: Instant | None, space: str) -> Refusal | None:
    """Refuse a root with the date `date` if the client has a newer copy, of `since`, and would keep it.

    Such a client keeps the newer copy without a message and installs from another time (exit 0). `space` is the
    snapshot, `<archive>/<id>`.
    """
    is_older = date is not None and since is not None and since > date
    if role is not Role.ROOT or not family.keeps_newer_root or not is_older:
        return None
    return Refusal(
        409,
        "Your lists are newer than the pinned time: remove them first",
        f"The client has a newer release file than {space} and would silently keep it.",
        family.how_to_clear_lists,
        {"X-Snapproxy-Snapshot": space},
    )
