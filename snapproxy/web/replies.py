"""Turn outcomes into the heads of answers, as values and as bytes. The gateway sends them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from snapproxy.base.refusals import unavailable
from snapproxy.core.conditions import UnchangedForClient, Validators, Verdict, WholeFile
from snapproxy.core.exchange import Moved, Passed, Served
from snapproxy.core.http_date import write_http_date
from snapproxy.core.model import Refusal, Role
from snapproxy.core.plan_model import WHOLE
from snapproxy.core.ranges import ByteRange, Unsatisfiable
from snapproxy.errors import SnapproxyError

Fields = tuple[tuple[str, str], ...]

_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_REASON_LENGTH = 80


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """The head of an answer, and its body if that is a text of snapproxy.

    `length` is the size of the body in bytes, None if unknown. `fields` has no framing, Connection, Date or Via; those
    are added by `ResponseWriter`. `closes`: the connection must not be used again.
    """

    status: int
    reason: str
    fields: Fields = ()
    length: int | None = 0
    text: bytes = b""
    closes: bool = False

    @property
    def is_bodiless(self) -> bool:
        """Whether this status has no body for any method (RFC 9110 section 6.4.1)."""
        return self.status in {204, 304}


def plain(text: str) -> str:
    """Return `text` for a header field, a log line or a terminal: all but printable ASCII is replaced by `?`."""
    return _NOT_PRINTABLE.sub("?", text)


def without_controls(text: str) -> str:
    """Return `text` on one line: control characters are replaced by `?`, letters of any script stay."""
    return _CONTROLS.sub("?", text)


def render(status: int, reason: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """Return a head as bytes.

    No value can end its line: control characters are replaced. The reason is at most 80 ASCII characters.
    """
    written = [f"{name}: {value}" for name, value in fields]
    if _CONTROLS.search("".join(written)) is not None:  # one search for all fields: nearly every head is clean
        written = [without_controls(each) for each in written]
    head = "\r\n".join((f"HTTP/1.1 {status} {plain(reason)[:_REASON_LENGTH]}", *written))
    return f"{head}\r\n\r\n".encode("utf-8", "surrogateescape")


_MEDIA_TYPES = {
    "deb": "application/vnd.debian.binary-package",
    "udeb": "application/vnd.debian.binary-package",
    "gz": "application/gzip",
    "bz2": "application/x-bzip2",
    "xz": "application/x-xz",
    "zst": "application/zstd",
    "json": "application/json",
    "asc": "text/plain; charset=utf-8",
    "dsc": "text/plain; charset=utf-8",
    "gpg": "application/pgp-signature",
}
_TEXTS = frozenset({"InRelease", "Release", "Packages", "Sources", "SHA256SUMS", "MD5SUMS"})


def media_type(path: str) -> str:
    """Return the Content-Type of a file by its name; application/octet-stream for an unknown one."""
    name = path.rpartition("/")[2]
    if name in _TEXTS:
        return "text/plain; charset=utf-8"
    return _MEDIA_TYPES.get(name.rpartition(".")[2], "application/octet-stream")


def validators(served: Served) -> Validators:
    """Return the validators of the file: its sha256 as a strong ETag, and its date if a client may resume by it."""
    is_usable = served.date_is_proof or served.role not in (Role.ROOT, Role.SIGNATURE)
    etag = f'"{served.digest}"' if served.digest else ""
    return Validators(etag, served.date if is_usable else None, served.date_is_proof)


def file_reply(served: Served, path: str, verdict: Verdict) -> ReplyHead:
    """Return the head for the conditions' `verdict`: 200, 206, 304 or 416."""
    size = served.body.size
    fields = _provenance(served)
    match verdict:
        case UnchangedForClient():
            return ReplyHead(304, "Not Modified", fields + _validation(served), length=None)
        case Unsatisfiable():
            refused = refusal_reply(range_refusal(verdict))
            return ReplyHead(refused.status, refused.reason, fields + refused.fields, refused.length, refused.text)
        case ByteRange():
            described = _description(served, path)
            content_range = ("Content-Range", f"bytes {verdict.start}-{verdict.stop - 1}/{size}")
            return ReplyHead(206, "Partial Content", (*fields, *described, content_range), verdict.length)
        case WholeFile():
            return ReplyHead(200, "OK", fields + _description(served, path), size)


def _provenance(served: Served) -> Fields:
    """Return the fields for the requested time, the snapshot that answers, and the proof of the bytes."""
    at = ("X-Snapproxy-Snapshot", f"{served.archive}/{served.snapshot}"), ("X-Snapproxy-Requested", served.requested)
    return (
        *(at if served.archive else ()),
        ("X-Snapproxy-Verified", served.proof.word),
        ("X-Cache", served.cache),
        *served.headers.items(),
    )


def _validation(served: Served) -> Fields:
    dated = (("Last-Modified", write_http_date(served.date)),) if served.date is not None else ()
    return (*dated, ("ETag", f'"{served.digest}"')) if served.digest else dated


def _description(served: Served, path: str) -> Fields:
    kind = served.media_type or media_type(path)
    return (("Content-Type", kind), *_validation(served), ("Accept-Ranges", "bytes"))


STRANGER = Refusal(
    403,
    "This proxy does not serve your address",
    why="The setting `clients` names the networks that may use it.",
    hint='The administrator can add yours, such as clients = ["loopback", "private", "192.0.2.0/24"].',
)
"""The refusal of a client outside the networks of `clients`."""


def refusal_reply(refusal: Refusal, *, closes: bool = False) -> ReplyHead:
    """Return the answer for a refusal: the reason in the status line; reason, cause and hint as lines of the body."""
    lines = [without_controls(line) for line in (refusal.reason, refusal.why, refusal.hint) if line]
    text = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    fields = (("Content-Type", "text/plain; charset=utf-8"), *refusal.headers.items())
    return ReplyHead(refusal.status, refusal.reason, fields, len(text), text, closes=closes)


def moved_reply(moved: Moved, archive: str) -> ReplyHead:
    """Return the 302 to a snapshot's own folder. It is not a 307, which apk cannot follow."""
    text = f"{without_controls(moved.location)}\n".encode("utf-8", "replace")
    fields = (
        ("Location", moved.location),
        ("X-Snapproxy-Snapshot", f"{archive}/{moved.snapshot}"),
        ("Content-Type", "text/plain; charset=utf-8"),
    )
    return ReplyHead(302, "Found", fields, len(text), text)


def passed_reply(passed: Passed) -> ReplyHead:
    """Return the head of an answer from a host that is passed through, marked as unverified."""
    fields, length = [("X-Snapproxy-Verified", "none")], None
    for name, value in passed.headers:
        if name.lower() == "content-length":
            length = int(value)
        else:
            fields.append((name, value))
    try:
        reason = HTTPStatus(passed.status).phrase
    except ValueError:
        reason = ""
    return ReplyHead(passed.status, reason, tuple(fields), length)


def range_refusal(beyond: Unsatisfiable) -> Refusal:
    """Return the refusal of a range that begins after the end of the file (RFC 9110 section 15.5.17)."""
    return Refusal(
        416,
        "The range begins beyond the end of the file",
        why=f"The file has {beyond.size} bytes.",
        hint="Remove the partial file and try again.",
        headers={"Content-Range": f"bytes */{beyond.size}"},
    )


def failure(error: Exception, role: Role | None) -> Refusal:
    """Return the refusal for an error that occurred before any byte was sent. `role` is None if it is unknown.

    A file that may be a root, signature or index gets a 424 instead of a status that makes apt exit 0.
    """
    if isinstance(error, SnapproxyError):
        refusal = Refusal(error.status, error.reason, error.why, error.hint)
    elif role is None:
        refusal = Refusal(500, "Internal error in snapproxy", hint="The log has details. Please report it.")
    else:
        refusal = Refusal(502, "The download failed before its first byte", why=str(error), hint="Try again later.")
    is_retried = refusal.status == HTTPStatus.TOO_MANY_REQUESTS or refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if not is_retried:
        return refusal
    whole = role is None or role in WHOLE
    return unavailable(whole=whole, status=refusal.status, reason=refusal.reason, why=refusal.why, hint=refusal.hint)
