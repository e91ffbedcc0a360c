"""Evaluate a client's conditional headers against a file: unchanged, whole, a part, or a range beyond the end.

RFC 9110 section 13. Dates are compared for equality only, never for order: times behind one URL may go backwards here,
and a client that gets "not modified" because its copy is *newer* would silently keep that copy, whichever
package manager it is. An equal date is not sufficient either: two states of one file may have the same date, if a tree
was copied or its dates were rewritten. A date counts only if no other state of the file has had it (`ClientDate`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from snapproxy.core.http_date import read_http_date
from snapproxy.core.model import Family, Instant, Refusal, Role
from snapproxy.core.ranges import ByteRange, Unsatisfiable, select

_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


@dataclass(frozen=True, slots=True)
class Validators:
    """The validators of a file: its strong `etag` (quoted, '' while unknown) and its `date` (None if it has none).

    A client with that date may resume the file. `date_is_proof`: it also has these bytes, if its file is whole.
    """

    etag: str = ""
    date: Instant | None = None
    date_is_proof: bool = False


@dataclass(frozen=True, slots=True)
class DatedFiles:
    """The states of one changing file of an archive that have had one date, under its path at any time.

    `digest`: the SHA-256 of the only one, '' if there were several. `newest`: the latest of their own dates.
    """

    digest: str
    newest: Instant

    def plus(self, digest: str, own: Instant) -> DatedFiles:
        """Return the same with one more state, whose own date is `own`."""
        return DatedFiles(digest if digest == self.digest else "", max(own, self.newest))


@dataclass(frozen=True, slots=True)
class SentDate:
    """The date with which a file is sent; `is_proof` is `Validators.date_is_proof`."""

    date: Instant | None = None
    is_proof: bool = False


@dataclass(frozen=True, slots=True)
class ClientDate:
    """The If-Modified-Since of a request for a changing file, and the states of that file that have had this date.

    `known` is None if no known state has had it.
    """

    since: Instant
    known: DatedFiles | None


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
    return stored.date_is_proof and since is not None and since == stored.date


def _is_same(if_range: str, stored: Validators) -> bool:
    """Return whether an If-Range names these bytes.

    The comparison is strong, so a weak tag never matches (RFC 9110 section 13.1.5).
    """
    text = if_range.strip()
    if text.startswith(('"', "W/")):
        return bool(stored.etag) and text == stored.etag
    date = read_http_date(text)
    return date is not None and date == stored.date


def is_dated(family: Family, role: Role) -> bool:
    """Return whether the dates of a changing file are recorded, so that one of them can prove which bytes a client has.

    These are roots, and the other files that change under one name if the client revalidates them by date.
    """
    return role is Role.ROOT or (family.drops_older_dates and role in (Role.SIGNATURE, Role.INDEX))


def date_to_send(
    family: Family, digest: str, own: Instant | None, bearers: DatedFiles | None, client: ClientDate | None
) -> SentDate:
    """Return the date of a changing file whose own date is `own`, which the states `bearers` have had.

    `digest` is '' if it is unknown. A date that several states have had is not sent to a client that would discard the
    bytes because of it.
    """
    if client is not None and _is_only(client.known, digest):
        return SentDate(client.since, is_proof=True)  # perhaps the date that the archive itself sends
    if _is_only(bearers, digest):
        is_older = family.drops_older_dates and own is not None and client is not None and own < client.since
        return SentDate(None if is_older else own, is_proof=True)
    return SentDate(None if family.drops_older_dates else own)


def _is_only(bearers: DatedFiles | None, digest: str) -> bool:
    return bearers is not None and digest != "" and bearers.digest == digest


def refuse_kept_root(family: Family, own: Instant | None, client: ClientDate, space: str) -> Refusal | None:
    """Refuse a root with the date `own` if the client may have a newer copy, and would keep it.

    Such a client keeps the newer copy without a message and installs from another time (exit 0). The date of its copy
    may have been rewritten, so a date that no known root has had does not prove that the copy is older. `space` is the
    snapshot, `<archive>/<id>`.
    """
    if not family.keeps_newer_root or own is None or client.since == own:
        return None
    if client.known is None:
        return _newer_root(family, space) if client.since > own else _unknown_root(family, space)
    return _newer_root(family, space) if client.known.newest > own else None


def refuse_newer(family: Family, role: Role, date: Instant | None, since: Instant | None, space: str) -> Refusal | None:
    """Refuse a recorded root with the date `date` if the client's copy, of `since`, is newer.

    A record contains no other roots, so a date that is older is not refused. Nothing is installed from another time:
    the files that another root lists are not in the record.
    """
    is_older = date is not None and since is not None and since > date
    return _newer_root(family, space) if role is Role.ROOT and family.keeps_newer_root and is_older else None


def _newer_root(family: Family, space: str) -> Refusal:
    return Refusal(
        409,
        "Your lists are newer than the pinned time: remove them first",
        f"The client has a newer release file than {space} and would silently keep it.",
        family.how_to_clear_lists,
        {"X-Snapproxy-Snapshot": space},
    )


def _unknown_root(family: Family, space: str) -> Refusal:
    return Refusal(
        409,
        "The date of your lists is unknown, they may be newer: remove them first",
        f"No release file with the date of the client's copy is known here. If it is newer than {space}, "
        "for example in an image with rewritten dates, the client would silently keep it.",
        family.how_to_clear_lists,
        {"X-Snapproxy-Snapshot": space},
    )
