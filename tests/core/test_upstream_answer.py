"""Classes of upstream answers: one table, one test for each row."""

from __future__ import annotations

from dataclasses import replace
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.http_date import RETRY_AFTER_MOST, read_http_date, read_retry_after
from snapproxy.core.upstream_answer import (
    Absent,
    BodyFollows,
    Broken,
    Fault,
    Forbidden,
    NoSuchRange,
    NotModified,
    Offer,
    Redirect,
    StartOver,
    Throttled,
    UpstreamAnswer,
    UpstreamHead,
    UpstreamRequest,
    classify,
)

NOW = 1_717_200_000
URL = "http://archive.example/debian/pool/main/h/hello/hello_2.10-3_amd64.deb"
WHOLE = UpstreamRequest(URL)
SIZED = UpstreamRequest(URL, size=100)
REST = UpstreamRequest(URL, start=40, if_range='"v1"', size=100)
VERIFIED = replace(REST, is_verified=True)
IF_CHANGED = UpstreamRequest(URL, etag='"v1"')


def offer(start: int = 0, length: int | None = 100, total: int | None = 100, **more: str) -> Offer:
    return Offer(start, length, total, **more)


LENGTH = {"content-length": "100"}
PART = {"content-range": "bytes 40-99/100"}

TABLE: dict[str, tuple[UpstreamRequest, int, dict[str, str], UpstreamAnswer]] = {
    "200 is the file": (WHOLE, 200, LENGTH, BodyFollows(offer())),
    "200 of unknown length": (WHOLE, 200, {}, BodyFollows(offer(length=None, total=None))),
    "200 of unknown length but promised": (SIZED, 200, {}, BodyFollows(offer())),
    "200 tells its validators": (
        WHOLE,
        200,
        LENGTH | {"etag": '"v1"', "last-modified": "x", "date": "y", "content-type": "A/B; c"},
        BodyFollows(offer(etag='"v1"', last_modified="x", date="y", media_type="a/b")),
    ),
    "200 when a range was asked": (REST, 200, LENGTH, StartOver(offer())),
    "200 when the range began at zero": (UpstreamRequest(URL, start=0), 200, LENGTH, BodyFollows(offer())),
    "200 of another size than promised": (
        SIZED,
        200,
        {"content-length": "99"},
        Broken(Fault.WRONG_SIZE, 200),
    ),
    "200 with HTML for a file": (WHOLE, 200, {"content-type": "Text/HTML; charset=x"}, Broken(Fault.HTML, 200)),
    "200 with HTML for a page": (
        UpstreamRequest(URL, page=True),
        200,
        {"content-type": "text/html"},
        BodyFollows(offer(length=None, total=None, media_type="text/html")),
    ),
    "200 with XHTML": (WHOLE, 200, {"content-type": "application/xhtml+xml"}, Broken(Fault.HTML, 200)),
    "200 encoded though identity was asked": (
        WHOLE,
        200,
        LENGTH | {"content-encoding": "GZip"},
        BodyFollows(offer(encoding="gzip")),  # the bytes decide
    ),
    "200 of a page, encoded": (
        UpstreamRequest(URL, page=True),
        200,
        LENGTH | {"content-encoding": "gzip"},
        Broken(Fault.ENCODED, 200),
    ),
    "200 encoded, of another size than promised": (
        UpstreamRequest(URL, size=100),
        200,
        {"content-length": "60", "content-encoding": "gzip"},
        Broken(Fault.ENCODED, 200),
    ),
    "200 encoded as identity": (WHOLE, 200, LENGTH | {"content-encoding": "identity"}, BodyFollows(offer())),
    "206 is the rest": (VERIFIED, 206, PART, BodyFollows(offer(40, 60))),
    "206 without the ETag, of a file that no digest verifies": (REST, 206, PART, Broken(Fault.CHANGED, 206)),
    "206 without the date, of a file that no digest verifies": (
        replace(REST, if_range="Sat, 01 Jun 2024 00:00:00 GMT"),
        206,
        PART | {"etag": '"v1"'},
        Broken(Fault.CHANGED, 206),
    ),
    "206 of another ETag, though a digest verifies the file": (
        VERIFIED,
        206,
        PART | {"etag": '"v2"'},
        Broken(Fault.CHANGED, 206),
    ),
    "206 repeats the ETag": (REST, 206, PART | {"etag": '"v1"'}, BodyFollows(offer(40, 60, etag='"v1"'))),
    "206 of another ETag": (REST, 206, PART | {"etag": '"v2"'}, Broken(Fault.CHANGED, 206)),
    "206 of another date": (
        UpstreamRequest(URL, start=40, if_range="Sat, 01 Jun 2024 00:00:00 GMT"),
        206,
        PART | {"last-modified": "Sun, 02 Jun 2024 00:00:00 GMT"},
        Broken(Fault.CHANGED, 206),
    ),
    "206 of a part of the rest": (VERIFIED, 206, {"content-range": "bytes 40-49/100"}, BodyFollows(offer(40, 10))),
    "206 of unknown total": (VERIFIED, 206, {"content-range": "bytes 40-99/*"}, BodyFollows(offer(40, 60))),
    "206 unasked": (WHOLE, 206, PART, Broken(Fault.WRONG_RANGE, 206)),
    "206 without Content-Range": (REST, 206, {}, Broken(Fault.WRONG_RANGE, 206)),
    "206 of several ranges": (
        REST,
        206,
        {"content-type": "multipart/byteranges; boundary=x"},
        Broken(Fault.WRONG_RANGE, 206),
    ),
    "206 from another start": (REST, 206, {"content-range": "bytes 41-99/100"}, Broken(Fault.WRONG_RANGE, 206)),
    "206 that ends before it begins": (REST, 206, {"content-range": "bytes 40-39/100"}, Broken(Fault.WRONG_RANGE, 206)),
    "206 beyond its own total": (REST, 206, {"content-range": "bytes 40-100/100"}, Broken(Fault.WRONG_RANGE, 206)),
    "206 of another total than promised": (
        REST,
        206,
        {"content-range": "bytes 40-99/101"},
        Broken(Fault.WRONG_SIZE, 206),
    ),
    "206 whose length contradicts its range": (
        REST,
        206,
        PART | {"content-length": "61"},
        Broken(Fault.WRONG_RANGE, 206),
    ),
    "206 with HTML": (REST, 206, PART | {"content-type": "text/html"}, Broken(Fault.HTML, 206)),
    "206 encoded": (VERIFIED, 206, PART | {"content-encoding": "gzip"}, BodyFollows(offer(40, 60, encoding="gzip"))),
    "304 when asked for": (IF_CHANGED, 304, {"etag": '"v1"'}, NotModified('"v1"')),
    "304 unasked": (WHOLE, 304, {}, Broken(Fault.STATUS, 304)),
    "401": (WHOLE, 401, {}, Forbidden(401)),
    "403": (WHOLE, 403, {}, Forbidden(403)),
    "451": (WHOLE, 451, {}, Forbidden(451)),
    "404": (WHOLE, 404, {"content-type": "text/html"}, Absent(404)),
    "410": (WHOLE, 410, {}, Absent(410)),
    "416 tells the length": (REST, 416, {"content-range": "bytes */40"}, NoSuchRange(40)),
    "416 tells nothing": (REST, 416, {}, NoSuchRange(None)),
    "416 unasked": (WHOLE, 416, {}, Broken(Fault.STATUS, 416)),
    "429": (WHOLE, 429, {"retry-after": "7"}, Throttled(429, 7)),
    "503 with Retry-After": (WHOLE, 503, {"retry-after": "120"}, Throttled(503, 120)),
    "503 without": (WHOLE, 503, {}, Throttled(503, None)),
    "509 as the snapshot service sends it": (WHOLE, 509, {"retry-after": "0"}, Throttled(509, 0)),
    "301": (WHOLE, 301, {"location": "https://archive.example/x"}, Redirect("https://archive.example/x")),
    "302 relative": (WHOLE, 302, {"location": "/file/da39#top"}, Redirect("http://archive.example/file/da39")),
    "303": (WHOLE, 303, {"location": "//other.example/x"}, Redirect("http://other.example/x")),
    "307": (WHOLE, 307, {"location": "x"}, Redirect(URL.rpartition("/")[0] + "/x")),
    "308": (WHOLE, 308, {"location": "/x"}, Redirect("http://archive.example/x")),
    "302 without Location": (WHOLE, 302, {}, Broken(Fault.BAD_REDIRECT, 302)),
    "302 to another scheme": (WHOLE, 302, {"location": "file:///etc/passwd"}, Broken(Fault.BAD_REDIRECT, 302)),
    "302 to no host": (WHOLE, 302, {"location": "https:///x"}, Broken(Fault.BAD_REDIRECT, 302)),
    "302 to a broken host": (WHOLE, 302, {"location": "http://[::1/x"}, Broken(Fault.BAD_REDIRECT, 302)),
    "302 to a bad port": (WHOLE, 302, {"location": "http://a:99999/"}, Broken(Fault.BAD_REDIRECT, 302)),
    "302 with a space": (WHOLE, 302, {"location": "/a b"}, Broken(Fault.BAD_REDIRECT, 302)),
    "302 with a control character": (WHOLE, 302, {"location": "/a\x00"}, Broken(Fault.BAD_REDIRECT, 302)),
    "302 with a backslash": (WHOLE, 302, {"location": "\\\\evil\\x"}, Broken(Fault.BAD_REDIRECT, 302)),
    "302 too long": (WHOLE, 302, {"location": "/" + "a" * 8192}, Broken(Fault.BAD_REDIRECT, 302)),
    "204": (WHOLE, 204, {}, Broken(Fault.STATUS, 204)),
    "300": (WHOLE, 300, {}, Broken(Fault.STATUS, 300)),
    "400": (WHOLE, 400, {}, Broken(Fault.STATUS, 400)),
    "500": (WHOLE, 500, {}, Broken(Fault.STATUS, 500)),
    "502": (WHOLE, 502, {}, Broken(Fault.STATUS, 502)),
    "504": (WHOLE, 504, {}, Broken(Fault.STATUS, 504)),
    "508": (WHOLE, 508, {}, Broken(Fault.STATUS, 508)),
}


@pytest.mark.parametrize("row", TABLE)
def test_what_an_answer_means(row: str) -> None:
    asked, status, headers, settled = TABLE[row]
    assert classify(UpstreamHead(status, headers), asked, NOW) == settled


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_instead_of_an_answer_is_broken(fault: Fault) -> None:
    assert classify(fault, WHOLE, NOW) == Broken(fault)


@pytest.mark.parametrize("fault", Fault)
def test_a_reason_fits_a_reason_phrase(fault: Fault) -> None:
    reason = Broken(fault, 500).reason
    assert reason.isascii()
    assert len(reason) <= 80


@pytest.mark.parametrize(
    ("broken", "unwell"),
    [
        (Broken(Fault.REFUSED), True),
        (Broken(Fault.UNREACHABLE), True),
        (Broken(Fault.NAME), True),
        (Broken(Fault.TLS), True),
        (Broken(Fault.RESET), True),
        (Broken(Fault.STALLED), True),
        (Broken(Fault.TRUNCATED), True),
        (Broken(Fault.STATUS, 408), True),
        (Broken(Fault.STATUS, 500), True),
        (Broken(Fault.STATUS, 400), False),
        (Broken(Fault.HTML, 200), False),
        (Broken(Fault.WRONG_SIZE, 200), False),
        (Broken(Fault.LOOP, 302), False),
        (Broken(Fault.PRIVATE), False),
    ],
)
def test_only_what_may_pass_gives_the_upstream_a_rest(broken: Broken, unwell: bool) -> None:
    assert broken.is_worth_retrying is unwell


@given(
    st.integers(0, 999),
    st.dictionaries(
        st.sampled_from(
            ["content-length", "content-range", "location", "retry-after", "etag", "content-type", "content-encoding"]
        ),
        st.text(max_size=40),
    ),
    st.sampled_from([WHOLE, SIZED, REST, IF_CHANGED]),
)
def test_settling_is_total(status: int, headers: dict[str, str], asked: UpstreamRequest) -> None:
    assert isinstance(classify(UpstreamHead(status, headers), asked, NOW), UpstreamAnswer)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\N{ARABIC-INDIC DIGIT FIVE}", None),
        ("0", 0),
        (" 120 ", 120),
        ("86400", RETRY_AFTER_MOST),
        ("9" * 5000, RETRY_AFTER_MOST),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        (formatdate(NOW + 10**6, usegmt=True), RETRY_AFTER_MOST),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(text: str, seconds: int | None) -> None:
    assert read_retry_after(text, NOW) == seconds


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_a_date_is_read_in_all_three_forms(text: str) -> None:
    assert read_http_date(text) == 784_111_777


@given(st.text(max_size=60))
def test_reading_a_date_never_fails(text: str) -> None:
    read_http_date(text)


@pytest.mark.parametrize("text", ["Sun, 06 Nov 99999999999 08:49:37 GMT", "Sun, 99 Foo 1994 25:61:61 GMT", "0 0 0 0 0"])
def test_a_date_that_cannot_be_is_none(text: str) -> None:
    assert read_http_date(text) is None


OLD, NEW = formatdate(NOW - 1, usegmt=True), formatdate(NOW, usegmt=True)


@pytest.mark.parametrize(
    ("found", "validator"),
    [
        (offer(etag='"v1"', last_modified=OLD, date=NEW), '"v1"'),
        (offer(etag='W/"v1"', last_modified=OLD, date=NEW), ""),
        (offer(last_modified=OLD, date=NEW), OLD),
        (offer(last_modified=NEW, date=NEW), ""),
        (offer(last_modified=OLD), ""),
        (offer(), ""),
    ],
)
def test_only_a_strong_validator_may_resume(found: Offer, validator: str) -> None:
    assert found.validator == validator
