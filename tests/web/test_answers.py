"""Heads and bodies of ordinary answers."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from snapproxy.core.exchange import Moved
from snapproxy.core.model import Refusal, Role
from snapproxy.errors import StorageError, UpstreamError
from snapproxy.web.protocol import Limits
from tests.fakes.rawclient import request

Site = Any

WHEN = "20240601T000000Z"
DATE = "Sat, 01 Jun 2024 00:00:00 GMT"


async def test_a_small_file_and_its_head(site: Site) -> None:
    site.archive.add("pool/a.deb", b"hello")
    site.archive.headers = {"X-Snapproxy-Note": "nearest"}
    client = await site.connect()
    answer = await client.get(site.url("pool/a.deb"))
    assert answer.body == b"hello"
    assert (answer.status, answer.reason) == (200, "OK")
    assert answer.headers == {
        "x-snapproxy-snapshot": "debian/20240531T203452Z",
        "x-snapproxy-requested": "20240601T000000Z",
        "x-snapproxy-verified": "gpg",
        "x-cache": "HIT",
        "x-snapproxy-note": "nearest",
        "content-type": "application/vnd.debian.binary-package",
        "last-modified": DATE,
        "etag": f'"{hashlib.sha256(b"hello").hexdigest()}"',
        "accept-ranges": "bytes",
        "content-length": "5",
        "connection": "keep-alive",
        "date": DATE,
        "server": "snapproxy",
        "via": "1.1 snapproxy-test",
    }
    assert site.archive.files["pool/a.deb"].readers == 0


async def test_each_answer_is_counted_once_whoever_gave_it(site: Site) -> None:
    site.archive.add("x", b"hello")
    client = await site.connect()
    for path in ("x", "absent"):
        await client.get(site.url(path))
    assert [each.size for each in (served.body for served in site.traffic.files)] == [5]
    assert site.traffic.refusals == [(404, "")]


@pytest.mark.parametrize(
    ("head", "counted"),
    [
        ("GET /debian/ HTTP/1.1\r\nUpgrade: x", (400, "")),
        ("not HTTP at all", (400, "")),
        ("GET http://other.example/x HTTP/1.1", (403, "http://other.example")),
        ("GET http://other.example:8080/x HTTP/1.1", (403, "http://other.example:8080")),
        ("CONNECT download.example:443 HTTP/1.1", (403, "https://download.example")),
        ("CONNECT download.example:8443 HTTP/1.1", (403, "https://download.example:8443")),
        ("GET /timeless HTTP/1.1", (407, "")),
        ("POST {file} HTTP/1.1\r\nContent-Length: 0", (405, "")),
    ],
)
async def test_every_refusal_is_counted_with_the_host_that_it_concerns(
    site: Site, head: str, counted: tuple[int, str]
) -> None:
    """An administrator finds clients without a time and sources past the archives by these counts."""
    client = await site.connect()
    await client.send(f"{head.format(file=site.url('x'))}\r\nHost: h\r\n\r\n")
    assert (await client.answer()).status == counted[0]
    assert site.traffic.refusals == [counted]


async def test_a_stranger_gets_nothing(site: Site) -> None:
    """Neither a file, nor a page, nor the download of a request that waits in a pipeline."""
    site.archive.add("pool/a.deb", b"hello")
    site.strangers.add("127.0.0.1")
    for target in (site.url("pool/a.deb"), "/", "/healthz"):
        client = await site.connect()
        await client.send(request(target) + request(site.url("pool/a.deb")))
        answer = await client.answer()
        assert (answer.status, answer.reason) == (403, "This proxy does not serve your address")
        assert b"`clients`" in answer.body
        assert await client.reader.read() == b""
    assert not site.archive.asked
    assert not site.archive.prefetched


async def test_a_token_is_demanded_of_files_and_not_of_pages(site: Site) -> None:
    site.archive.add("pool/a.deb", b"hello")
    site.gate.demands_tokens = True
    client = await site.connect()
    assert (await client.get(site.url("pool/a.deb"))).status == 401
    assert [(await client.get(path)).status for path in ("/", "/healthz")] == [200, 200]
    await client.send(request(site.url("pool/a.deb")) * 2)
    assert [(await client.answer()).status for _ in range(2)] == [401, 401]
    assert not site.archive.asked
    assert not site.archive.prefetched
    assert (await client.get(site.url("pool/a.deb"), "Authorization: token")).status == 200
    assert site.lines[-1].endswith(" done token=0123abcd")
    assert not any("token=" in line for line in site.lines[:-1])


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 3_000_000])
@pytest.mark.parametrize("has_file", [True, False])
async def test_files_of_every_size_arrive_as_they_are(site: Site, size: int, has_file: bool) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    site.archive.add("x", data).has_file = has_file
    client = await site.connect()
    for _ in range(2):  # the connection is good for another request
        answer = await client.get(site.url("x"))
        assert answer.body == data
        assert answer.is_whole
    assert site.archive.files["x"].readers == 0


async def test_head_is_get_without_the_body(site: Site) -> None:
    site.archive.add("x", b"hello")
    client = await site.connect()
    head = await client.get(site.url("x"), method="HEAD")
    whole = await client.get(site.url("x"))
    assert head.headers == whole.headers
    assert site.archive.files["x"].readers == 0


@pytest.mark.parametrize("size", [100, 200_000])
@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [("bytes=7-", 7, None), ("bytes=0-0", 0, 1), ("bytes=-9", -9, None), ("bytes=5-90", 5, 91)],
)
async def test_a_range_is_a_206(site: Site, size: int, header: str, start: int, stop: int | None) -> None:
    data = bytes(index % 251 for index in range(size))
    site.archive.add("x", data)
    client = await site.connect()
    answer = await client.get(site.url("x"), f"Range: {header}")
    assert (answer.status, answer.reason) == (206, "Partial Content")
    assert answer.body == data[start:stop]
    first = start % size
    assert answer["Content-Range"] == f"bytes {first}-{first + len(answer.body) - 1}/{size}"
    assert site.archive.files["x"].readers == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Range: bytes=10-"], 416),
        (["Range: bytes=0-1,3-4"], 200),
        (["Range: bytes=0-1", "Range: bytes=3-4"], 200),
        (["Range: lines=1-"], 200),
        (["Range: bytes=2-", f"If-Range: {DATE}"], 206),
        (["Range: bytes=2-", "If-Range: Sat, 01 Jun 2024 00:00:01 GMT"], 200),
        ([f"If-Modified-Since: {DATE}"], 304),
        (["If-Modified-Since: Sat, 01 Jun 2024 00:00:01 GMT"], 200),
        (["If-Modified-Since: Fri, 31 May 2024 00:00:00 GMT"], 200),
        (["If-None-Match: *"], 304),
        (['If-None-Match: "a"', 'If-None-Match: "b"'], 200),
        (["Cache-Control: no-cache", "Pragma: no-cache", f"If-Modified-Since: {DATE}"], 304),
    ],
)
async def test_conditions(site: Site, headers: list[str], status: int) -> None:
    site.archive.add("x", b"0123456789")
    client = await site.connect()
    answer = await client.get(site.url("x"), *headers)
    assert answer.status == status
    assert answer["X-Snapproxy-Snapshot"] == "debian/20240531T203452Z"
    if status == 304:
        assert answer["ETag"]
        assert answer["Last-Modified"] == DATE
    if status == 416:
        assert answer["Content-Range"] == "bytes */10"
    assert (await client.get(site.url("x"))).body == b"0123456789"
    assert site.archive.files["x"].readers == 0


@pytest.mark.parametrize("role", [Role.ROOT, Role.SIGNATURE])
async def test_a_date_that_is_no_proof_is_sent_and_neither_unmodified_nor_resumed(site: Site, role: Role) -> None:
    site.archive.add("x", b"0123456789")
    site.archive.roles["x"] = role
    site.archive.ambiguous.add("x")
    client = await site.connect()
    for headers in ([f"If-Modified-Since: {DATE}"], ["Range: bytes=2-", f"If-Range: {DATE}"]):
        answer = await client.get(site.url("x"), *headers)
        assert (answer.status, answer.body, answer["Last-Modified"]) == (200, b"0123456789", DATE)
    assert (await client.get(site.url("x"), f"If-None-Match: {answer['ETag']}")).status == 304


async def test_the_answerer_learns_what_the_client_holds(site: Site) -> None:
    client = await site.connect()
    await client.get(site.url("x"), f"If-Modified-Since: {DATE}")
    assert site.archive.asked[0][1].since == 1717200000


async def test_a_file_without_a_date_has_no_last_modified(site: Site) -> None:
    site.archive.add("x", b"hello")
    site.archive.dates["x"] = None
    client = await site.connect()
    assert not (await client.get(site.url("x"))).get("Last-Modified")


async def test_a_refusal_says_what_why_and_what_to_do(site: Site) -> None:
    site.archive.outcomes["x"] = Refusal(
        425, "Not settled", "It is too young.", "Use 20240531T203452Z.", {"Retry-After": "60"}
    )
    client = await site.connect()
    answer = await client.get(site.url("x"))
    assert (answer.status, answer.reason) == (425, "Not settled")
    assert answer.body == b"Not settled\nIt is too young.\nUse 20240531T203452Z.\n"
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Retry-After"] == "60"
    assert answer["Connection"] == "keep-alive"
    head = await client.get(site.url("x"), method="HEAD")
    assert (head.status, head["Content-Length"]) == (425, str(len(answer.body)))


async def test_no_refusal_can_add_a_header_or_a_line(site: Site) -> None:
    site.archive.outcomes["x"] = Refusal(
        400, "a\r\nX-Evil: 1 \x1b[31m é" + "z" * 200, "b\r\nc", headers={"X-A": "d\r\nX-Evil: 2"}
    )
    client = await site.connect()
    answer = await client.get(site.url("x"))
    assert answer.reason == "a??X-Evil: 1 ?[31m ?" + "z" * 60
    assert not answer.get("X-Evil")
    assert answer["X-A"] == "d??X-Evil: 2"
    assert answer.body.count(b"\n") == 2


async def test_a_missing_time_is_challenged(site: Site) -> None:
    client = await site.connect()
    answer = await client.get("/timeless")
    assert answer.status == 407
    assert answer["Proxy-Authenticate"].startswith("Basic realm=")


async def test_a_folder_is_moved_by_302(site: Site) -> None:
    site.archive.outcomes["dists/"] = Moved("/debian/20240531T203452Z/dists/", "20240531T203452Z")
    client = await site.connect()
    answer = await client.get(site.url("dists/"))
    assert (answer.status, answer["Location"]) == (302, "/debian/20240531T203452Z/dists/")
    assert answer["X-Snapproxy-Snapshot"] == "debian/20240531T203452Z"


@pytest.mark.parametrize(
    "error", [StorageError("The disk is full"), UpstreamError("Silent"), ZeroDivisionError("x"), OSError(5, "x")]
)
async def test_an_error_of_ours_is_never_a_status_that_apt_takes_for_success(site: Site, error: Exception) -> None:
    site.archive.outcomes["dists/x/InRelease"] = error
    client = await site.connect()
    assert (await client.get(site.url("dists/x/InRelease"))).status == 424


@pytest.mark.parametrize("role", list(Role))
async def test_a_file_that_fails_before_its_first_byte_is_a_status(site: Site, role: Role) -> None:
    source = site.archive.add("x", b"")
    site.archive.roles["x"] = role
    source._ended, source.length = False, 1000
    source.fail(RuntimeError("wrong digest"))
    client = await site.connect()
    answer = await client.get(site.url("x"))
    assert answer.status == (502 if role in {Role.PACKAGE, Role.OTHER} else 424)
    assert b"wrong digest" in answer.body
    assert source.readers == 0


async def test_an_address_reader_that_fails_is_told_like_any_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.server._gateway, "_remembered_address", None)
    client = await site.connect()
    assert (await client.get(site.url("x"))).status == 424
    assert await client.is_closed()


async def test_http_1_0_clients_are_told_apart(site: Site) -> None:
    site.archive.add("x", b"hello")
    client = await site.connect()
    answer = await client.get(site.url("x"), "Connection: keep-alive", version="1.0")
    assert answer["Connection"] == "keep-alive"
    answer = await client.get(site.url("x"), version="1.0")
    assert answer["Connection"] == "close"
    assert await client.is_closed()


async def test_a_client_that_asks_to_close_is_obeyed(site: Site) -> None:
    site.archive.add("x", b"hello" * 100_000)
    client = await site.connect()
    answer = await client.get(site.url("x"), "Connection: close")
    assert answer["Connection"] == "close"
    assert answer.body == b"hello" * 100_000
    assert await client.is_closed()


async def test_a_loop_through_ourselves_is_refused(site: Site) -> None:
    client = await site.connect()
    answer = await client.get(site.url("x"), "Via: 1.1 other, 1.1 snapproxy-test (comment)")
    assert answer.status == 508
    other = await site.connect()
    assert (await other.get(site.url("x"), "Via: 1.1 snapproxy-testing, 1.0 x")).status == 404


async def test_service_calls_are_answered_like_files(site: Site) -> None:
    site.archive.add("/mr/timestamp/?after=1", b"{}")
    client = await site.connect()
    assert (await client.get("/mr/timestamp/?after=1")).body == b"{}"


async def test_the_reader_is_given_the_target_as_it_was_sent(site: Site) -> None:
    client = await site.connect()
    targets = ["/a%2Fb/../c//d%zz?q#f", "http://User:p%40ss@HOST:80/%7e+x", "/" + "%41" * 50]
    for target in targets:
        await client.get(target, "Proxy-Authorization: Basic eDp5")
    assert site.addresses.read == [("GET", target, "test", "Basic eDp5") for target in targets]


class TestAccessLog:
    async def test_a_line_holds_our_own_fields(self, site: Site) -> None:
        site.archive.add("x", b"hello")
        client = await site.connect()
        await client.get(site.url("x"))
        await asyncio.sleep(0)
        address, rest = site.lines[0].split(" ", 1)
        assert address == "127.0.0.1"
        fields = rest.split(" ")
        assert fields[:4] == ['"GET', site.url("x") + '"', "200", "5"]
        assert fields[5:] == ["HIT", "debian/20240531T203452Z", "gpg", "done"]

    async def test_no_secret_and_no_control_character_is_ever_logged(self, site: Site) -> None:
        client = await site.connect()
        await client.get("http://user:s3cret@h/a", "Proxy-Authorization: Basic czNjcmV0")
        await client.get("/~c.snp-s3cret/debian/x", "Authorization: Bearer s3cret", "Cookie: s3cret")
        await client.send(b'GET /a"x HTTP/1.1\r\nHost: t\r\nX: s3cret\r\n\r\n')
        await client.answer()
        await client.send(b"GET / HTTP/1.1\r\nHost: t\r\ns3cret\x01: 1\r\n\r\n")
        await client.answer()
        text = "\n".join(record.getMessage() + str(record.exc_info) for record in site.log.records)
        assert "s3cret" not in text
        assert "czNj" not in text
        assert "/a%22x" in text
        assert len(site.lines) == 4


class TestLimits:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(line=600, field=500, fields=10, idle_s=0.3)

    async def test_an_absurdly_long_target_is_a_414(self, site: Site) -> None:
        client = await site.connect()
        assert (await client.get("/" + "a" * 700)).status == 414
        assert await client.is_closed()

    async def test_a_field_too_long_or_too_many_are_refused(self, site: Site) -> None:
        client = await site.connect()
        assert (await client.get("/", "X: " + "a" * 600)).status == 431
        client = await site.connect()
        assert (await client.get("/", *(f"X{n}: 1" for n in range(20)))).status == 400

    async def test_a_head_that_takes_too_long_is_given_up(self, site: Site) -> None:
        client = await site.connect()
        await client.send(b"GET / HTTP/1.1\r\n")
        assert await asyncio.wait_for(client.is_closed(), 3)

    async def test_a_long_answer_is_not_taken_for_an_idle_connection(self, site: Site) -> None:
        site.archive.add("x", b"hello")
        site.archive.held["x"] = asyncio.Event()
        client = await site.connect()
        context = asyncio.ensure_future(client.get(site.url("x")))
        await asyncio.sleep(0.7)
        site.archive.held["x"].set()
        assert (await context).body == b"hello"
