"""What a client's conditions make of a file: unchanged, whole, a part, or a range beyond the end.

RFC 9110 section 13. Dates are compared for equality only, never for order: behind one URL time may go backwards here, and a client
that was told "not modified" because its copy is *newer* would silently keep it (apt, pacman and apk alike).
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
    """What a file is recognised by: its strong `etag` (quoted, '' while unknown) and its `date` (None: it has none)."""

    etag: str = ""
    date: Instant | None = None


@dataclass(frozen=True, slots=True)
class ConditionalHeaders:
    """The conditional headers of a request as they came, '' where absent."""

    method: str = "GET"
    if_none_match: str = ""
    if_modified_since: str = ""
    if_range: str = ""
    range: str = ""


@dataclass(frozen=True, slots=True)
class UnchangedForClient:
    """The client holds these very bytes: 304."""


@dataclass(frozen=True, slots=True)
class WholeFile:
    """The whole file: 200."""


Verdict = UnchangedForClient | WholeFile | ByteRange | Unsatisfiable


def decide(asked: ConditionalHeaders, held: Validators, size: int | None) -> Verdict:
    """Weigh a request's conditions against a file of `size` bytes (None: not known yet), in the order of RFC 9110 section 13.2.2."""
    if _is_unchanged(asked, held):
        return UnchangedForClient()
    if asked.method != "GET" or not asked.range:
        return WholeFile()  # a Range on anything but a GET must be ignored (RFC 9110 section 14.2)
    if asked.if_range and not _is_same(asked.if_range, held):
        return WholeFile()
    return select(asked.range, size) or WholeFile()


def _is_unchanged(asked: ConditionalHeaders, held: Validators) -> bool:
    if asked.if_none_match:  # then If-Modified-Since must not be looked at
        if asked.if_none_match.strip() == "*":
            return True
        return bool(held.etag) and held.etag in (tag.removeprefix("W/") for tag in _ETAG.findall(asked.if_none_match))
    since = read_http_date(asked.if_modified_since)
    return since is not None and since == held.date


def _is_same(if_range: str, held: Validators) -> bool:
    """Whether an If-Range names these bytes; the comparison is strong, so a weak tag never does (RFC 9110 section 13.1.5)."""
    text = if_range.strip()
    if text.startswith(('"', "W/")):
        return bool(held.etag) and text == held.etag
    date = read_http_date(text)
    return date is not None and date == held.date


def without_older_date(outcome: Outcome, family: Family, conditions: Conditions) -> Outcome:
    """Send what changes without its date where that is older than the client's copy, if the client would throw it away for that."""
    if not isinstance(outcome, Served) or not family.drops_older_dates or outcome.role in (Role.PACKAGE, Role.OTHER):
        return outcome
    is_older = outcome.date is not None and conditions.since is not None and outcome.date < conditions.since
    return replace(outcome, date=None) if is_older else outcome


def refuse_newer(family: Family, role: Role, date: Instant | None, since: Instant | None, space: str) -> Refusal | None:
    """Refuse a root dated `date` of a snapshot (`<archive>/<id>`) if the client's copy, of `since`, is newer and the client would keep it.

    apt would keep the newer copy without a word and install from another time (exit 0).
    """
    is_older = date is not None and since is not None and since > date
    if role is not Role.ROOT or not family.keeps_newer_root or not is_older:
        return None
    return Refusal(
        409,
        "Your lists are newer than the pinned time: remove them first",
        f"The client holds a newer release file than {space} and would silently stay with it.",
        family.how_to_clear_lists,
        {"X-Snapproxy-Snapshot": space},
    )
