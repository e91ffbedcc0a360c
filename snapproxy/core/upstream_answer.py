"""Classify the answer of an upstream for the flight that sent the request. Every answer has exactly one class.

`classify` reads the head of an answer, or the fault that replaced it; a fault in the body is a `Fault` too. It does not
decide what to do next: flights choose the next source, `core.rate_limit` the pause. Digests are checked elsewhere. The
rules are those of RFC 9110 (HTTP semantics) unless another source is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urldefrag, urljoin, urlsplit

from snapproxy.core.http_date import read_http_date, read_retry_after
from snapproxy.core.model import Instant

LOCATION_MOST = 8192
"""Maximum length of a Location that is followed, in characters."""


class Fault(Enum):
    """The kinds of unusable answers. The value is the reason phrase: a fixed text, ASCII, at most 80 characters."""

    NAME = "upstream's name cannot be resolved"
    REFUSED = "upstream refused the connection"
    UNREACHABLE = "upstream cannot be reached"
    TLS = "upstream's TLS certificate or handshake failed"
    RESET = "upstream reset the connection"
    STALLED = "upstream timed out"
    TRUNCATED = "upstream sent less than it announced"
    TOO_LONG = "upstream sent more than it announced or than the index lists"
    NOT_HTTP = "upstream's answer is not valid HTTP"
    STATUS = "upstream answered with an unexpected status"
    WRONG_SIZE = "upstream's file does not have the size that the index lists"
    WRONG_RANGE = "upstream sent another range than requested"
    CHANGED = "upstream's file changed since the download began"
    HTML = "upstream sent a web page instead of the file"
    ENCODED = "upstream sent an encoding that was not requested"
    BAD_REDIRECT = "upstream redirected to an address that cannot be used"
    FOREIGN = "that host is not among the archive's upstreams"
    DOWNGRADE = "upstream redirected from https to http"
    PRIVATE = "upstream's address is private"
    LOOP = "upstream redirected in a loop"
    TOO_MANY_HOPS = "upstream redirected too many times"
    PROXY = "upstream cannot be reached through the upstream proxy"
    PROXY_LOGIN = "the upstream proxy requires other credentials (407)"
    PROXY_CREDENTIALS = "the credentials file of the upstream proxy cannot be used"


_PREDICATES: Mapping[Fault | None, str] = {
    Fault.NAME: "cannot be resolved (DNS)",
    Fault.REFUSED: "refused the connection",
    Fault.UNREACHABLE: "cannot be reached",
    Fault.TLS: "failed the TLS handshake",
    Fault.RESET: "reset the connection",
    Fault.STALLED: "timed out",
    Fault.TRUNCATED: "cut an answer short",
    Fault.NOT_HTTP: "sent invalid HTTP",
    Fault.PROXY: "cannot be reached through the proxy",
}
"""The faults that begin a cool-down, as predicates of a host."""

_RETRYABLE = frozenset(
    {
        Fault.NAME,
        Fault.REFUSED,
        Fault.UNREACHABLE,
        Fault.TLS,
        Fault.RESET,
        Fault.STALLED,
        Fault.TRUNCATED,
        Fault.NOT_HTTP,
        Fault.PROXY,
    }
)


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One request to an upstream, with the parts needed to classify its answer.

    `start` requests the bytes from that offset on, under `if_range` (a strong ETag or a date, from `Offer.validator`).
    `etag` and `since` make the request conditional (If-None-Match, If-Modified-Since; exactly as the upstream sent
    them). `size` is the expected size of the whole file. `page`: HTML is a valid answer. `is_verified`: a strong digest
    verifies the joined bytes; otherwise a 206 must repeat the validator. `form`: the fields (name, value)
    of a form that is sent by POST as multipart/form-data; empty for GET.
    """

    url: str
    start: int | None = None
    if_range: str = ""
    etag: str = ""
    since: str = ""
    size: int | None = None
    page: bool = False
    head: bool = False
    is_verified: bool = False
    form: tuple[tuple[str, str], ...] = ()

    @property
    def is_conditional(self) -> bool:
        """Whether a 304 would be a valid answer."""
        return bool(self.etag or self.since)


@dataclass(frozen=True, slots=True)
class UpstreamHead:
    """The head of an upstream's answer; the keys of `headers` are lower case."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Offer:
    """The body that follows: bytes from `start`, `length` of them, of a file of `total` (None: not stated).

    `encoding` is the stated encoding, '' for none. None was requested, so it is usually the compression of the file
    itself; the bytes decide.
    """

    start: int
    length: int | None
    total: int | None
    etag: str = ""
    last_modified: str = ""
    date: str = ""
    media_type: str = ""
    encoding: str = ""

    @property
    def validator(self) -> str:
        """The If-Range value for a later continuation: a strong ETag, otherwise a strong date, otherwise ''.

        Section 13.1.5: never a weak ETag; section 8.8.2.2: a date is strong if it is at least a second older than
        `Date`.
        """
        if self.etag:
            return "" if self.etag.startswith("W/") else self.etag
        changed, sent = read_http_date(self.last_modified), read_http_date(self.date)
        return self.last_modified if changed is not None and sent is not None and changed < sent else ""


@dataclass(frozen=True, slots=True)
class BodyFollows:
    """The requested bytes."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class StartOver:
    """The whole file from its first byte in answer to a range: it changed, or the upstream does not support ranges."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class NotModified:
    """The stored file is unchanged."""

    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True)
class NoSuchRange:
    """The file ends before the requested offset (416).

    The stored bytes are complete if there are `total` of them, otherwise they are of another file.
    """

    total: int | None


@dataclass(frozen=True, slots=True)
class Absent:
    """The upstream does not have the file (404, 410)."""

    status: int


@dataclass(frozen=True, slots=True)
class Forbidden:
    """Access refused (401, 403, 451).

    The snapshot service answers 403 for files removed by law. `login`: what was done with the archive's credentials, as
    sentences; '' if it has none.
    """

    status: int
    login: str = ""


@dataclass(frozen=True, slots=True)
class Throttled:
    """The upstream refuses more requests; `retry_after` in seconds, if stated."""

    status: int
    retry_after: float | None = None


_THROTTLES = frozenset({"", "429", "503", "509"})
"""Causes of a cool-down at which the upstream works: a long queue, or a refusal of too many requests."""


@dataclass(frozen=True, slots=True)
class CoolingDown:
    """No request was sent, because `upstream` (host or host:port) is cooling down longer than the caller waits.

    A request is likely to be sent after `wait` seconds. `cause`: the status or the name of the fault that began the
    cool-down; '' if only the queue is long.
    """

    upstream: str
    wait: float
    cause: str = ""

    @property
    def is_throttled(self) -> bool:
        """Whether the upstream answers, and only limits the requests; otherwise it cannot be reached or fails."""
        return self.cause in _THROTTLES

    @property
    def cause_text(self) -> str:
        """What the upstream did, as a predicate of its name."""
        if self.cause.isdecimal():
            return f"answered {self.cause}"
        fault = Fault.__members__.get(self.cause)
        return "has a long queue of requests" if not self.cause else _PREDICATES.get(fault, "failed")


@dataclass(frozen=True, slots=True)
class QueueFull:
    """No request was sent, because `queued` others wait for `upstream`; one more would wait about `wait` seconds."""

    upstream: str
    queued: int
    wait: float


@dataclass(frozen=True, slots=True)
class Redirect:
    """The file is elsewhere; `location` is absolute, http or https, not yet checked against the archive's hosts."""

    location: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The answer is unusable: try another source, or the same one later if it `is_worth_retrying`."""

    fault: Fault
    status: int = 0

    @property
    def is_worth_retrying(self) -> bool:
        """Whether the same request may succeed after a cool-down."""
        return self.fault in _RETRYABLE or self.status == 408 or self.status >= 500  # noqa: PLR2004 (HTTP status)

    @property
    def reason(self) -> str:
        """The reason phrase."""
        return f"{self.fault.value} ({self.status})" if self.fault is Fault.STATUS else self.fault.value

    @property
    def predicate(self) -> str:
        """What the upstream did, as a predicate of its name."""
        return f"answered {self.status}" if self.fault is Fault.STATUS else _PREDICATES.get(self.fault, "failed")


UpstreamAnswer = (
    BodyFollows
    | StartOver
    | NotModified
    | NoSuchRange
    | Absent
    | Forbidden
    | Throttled
    | CoolingDown
    | QueueFull
    | Redirect
    | Broken
)


def classify(answer: UpstreamHead | Fault, asked: UpstreamRequest, now: Instant) -> UpstreamAnswer:
    """Return the class of `answer` to `asked`; `now` is needed for a Retry-After that is a date."""
    if isinstance(answer, Fault):
        return Broken(answer)
    judge = _BY_STATUS.get(answer.status)
    return judge(answer, asked, now) if judge else Broken(Fault.STATUS, answer.status)


def _whole(answer: UpstreamHead, asked: UpstreamRequest, _now: Instant) -> UpstreamAnswer:
    """200: the whole file, from its first byte."""
    length = _content_length(answer)
    fault = _unwanted(answer, asked)
    if fault:
        return Broken(fault, answer.status)
    if asked.size is not None and length is not None and length != asked.size:
        return Broken(Fault.ENCODED if _encoding(answer) else Fault.WRONG_SIZE, answer.status)
    total = length if length is not None else asked.size
    offer = _offer(answer, start=0, length=total, total=total)
    return StartOver(offer) if asked.start else BodyFollows(offer)


def _part(answer: UpstreamHead, asked: UpstreamRequest, _now: Instant) -> UpstreamAnswer:
    """206: one range, which must begin at the requested offset, be of the same file and match the expected size."""
    found = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", answer.headers.get("content-range", ""))
    fault = _unwanted(answer, asked)
    if asked.start is None or not found:
        return Broken(Fault.WRONG_RANGE, answer.status)
    if fault:
        return Broken(fault, answer.status)
    first, last = int(found[1]), int(found[2])
    total = asked.size if found[3] == "*" else int(found[3])
    length = last - first + 1
    if first != asked.start or length < 1 or _content_length(answer) not in {None, length}:
        return Broken(Fault.WRONG_RANGE, answer.status)
    if asked.size is not None and total != asked.size:
        return Broken(Fault.WRONG_SIZE, answer.status)
    if total is not None and last >= total:
        return Broken(Fault.WRONG_RANGE, answer.status)
    if not _same_file(answer, asked):
        return Broken(Fault.CHANGED, answer.status)
    return BodyFollows(_offer(answer, start=first, length=length, total=total))


def _unchanged(answer: UpstreamHead, asked: UpstreamRequest, _now: Instant) -> UpstreamAnswer:
    """304: valid only for a conditional request."""
    if not asked.is_conditional:
        return Broken(Fault.STATUS, answer.status)
    return NotModified(answer.headers.get("etag", ""), answer.headers.get("last-modified", ""))


def _beyond(answer: UpstreamHead, asked: UpstreamRequest, _now: Instant) -> UpstreamAnswer:
    """416: the file ends before the offset; the answer may state its size."""
    if asked.start is None:
        return Broken(Fault.STATUS, answer.status)
    found = re.fullmatch(r"bytes \*/([0-9]{1,18})", answer.headers.get("content-range", ""))
    return NoSuchRange(int(found[1]) if found else None)


def _absent(answer: UpstreamHead, _asked: UpstreamRequest, _now: Instant) -> UpstreamAnswer:
    return Absent(answer.status)


def _forbidden(answer: UpstreamHead, _asked: UpstreamRequest, _now: Instant) -> UpstreamAnswer:
    return Forbidden(answer.status)


def _throttled(answer: UpstreamHead, _asked: UpstreamRequest, now: Instant) -> UpstreamAnswer:
    return Throttled(answer.status, read_retry_after(answer.headers.get("retry-after", ""), now))


def _elsewhere(answer: UpstreamHead, asked: UpstreamRequest, _now: Instant) -> UpstreamAnswer:
    """Follow section 10.2.2: Location is a URI reference, relative to the requested URL."""
    location = answer.headers.get("location", "")
    if not location or len(location) > LOCATION_MOST or not re.fullmatch(r"[!-~]+", location) or "\\" in location:
        return Broken(Fault.BAD_REDIRECT, answer.status)
    try:
        url = urldefrag(urljoin(asked.url, location)).url
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    return Redirect(url) if usable else Broken(Fault.BAD_REDIRECT, answer.status)


#: Classes by status. The snapshot service's front end answers 509 when it blocks an address; its 503 means the same.
_BY_STATUS: Mapping[int, Callable[[UpstreamHead, UpstreamRequest, Instant], UpstreamAnswer]] = {
    200: _whole,
    206: _part,
    301: _elsewhere,
    302: _elsewhere,
    303: _elsewhere,
    304: _unchanged,
    307: _elsewhere,
    308: _elsewhere,
    401: _forbidden,
    403: _forbidden,
    404: _absent,
    410: _absent,
    416: _beyond,
    429: _throttled,
    451: _forbidden,
    503: _throttled,
    509: _throttled,
}


def _unwanted(answer: UpstreamHead, asked: UpstreamRequest) -> Fault | None:
    """Return the fault of an answer that cannot be the file itself: a web page, or an encoded page."""
    if asked.page and _encoding(answer):
        return Fault.ENCODED
    if not asked.page and _media_type(answer) in {"text/html", "application/xhtml+xml"}:
        return Fault.HTML
    return None


def _same_file(answer: UpstreamHead, asked: UpstreamRequest) -> bool:
    """Return whether a 206 has the validator of the request.

    Section 15.3.7 allows it to omit a date, and some servers ignore If-Range: without the validator nothing shows that
    the range is of the same file. A strong digest of the whole file replaces it.
    """
    validator = asked.if_range
    received = answer.headers.get("etag" if validator.startswith('"') else "last-modified", "")
    return received == validator or not validator or (asked.is_verified and not received)


def _offer(answer: UpstreamHead, *, start: int, length: int | None, total: int | None) -> Offer:
    get = answer.headers.get
    return Offer(
        start=start,
        length=length,
        total=total,
        etag=get("etag", ""),
        last_modified=get("last-modified", ""),
        date=get("date", ""),
        media_type=_media_type(answer),
        encoding=_encoding(answer),
    )


def _encoding(answer: UpstreamHead) -> str:
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    return "" if encoding == "identity" else encoding


def _media_type(answer: UpstreamHead) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def _content_length(answer: UpstreamHead) -> int | None:
    """Return the announced length; None if it is absent or not a number (the HTTP parser refuses the latter)."""
    text = answer.headers.get("content-length", "")
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None
