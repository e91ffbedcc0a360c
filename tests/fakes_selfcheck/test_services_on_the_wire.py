"""The simulated services over HTTP: redirects, /mr/ calls, ranges, conditions, faults."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import pytest

from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Content, FixedTree, Package, Timeline, epoch
from tests.fakes.faults import Drip, Fault, Hold, Html, Redirect, Replace, Reset, Status, TooLong, Truncate, WrongBytes
from tests.fakes.services import MirrorService, PpaService, SnapshotService, UbuntuService

OLD, NEW = "20240601T023000Z", "20240602T083000Z"
BODY = bytes(range(256)) * 40
DEB = "pool/main/t/tool/tool_1.0+b~1_all.deb"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        return dict(json.loads(self.body))


def ask(server: ArchiveServer, path: str, method: str = "GET", **headers: str) -> Reply:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())
    finally:
        connection.close()


def tree(version: str, body: bytes, when: str) -> FixedTree:
    content = Content(body, epoch(when))
    stanza = f"Package: tool\nVersion: {version}\nArchitecture: all\nSource: tools (0.9)\nFilename: {DEB}"
    return FixedTree(
        {"dists/s/InRelease": Content(version.encode(), epoch(when)), DEB: content}, (Package(stanza, {DEB: content}),)
    )


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    history = Timeline()
    history.publish(OLD, tree("1.0", BODY, OLD))
    history.publish(NEW, tree("2.0", BODY[::-1], NEW))
    return history


@pytest.fixture
def snapshot(timeline: Timeline) -> Iterator[ArchiveServer]:
    with ArchiveServer(SnapshotService({"debian": timeline}), name="snapshot") as server:
        yield server
    assert not server.errors


@pytest.fixture
def mirror(timeline: Timeline) -> Iterator[ArchiveServer]:
    with ArchiveServer(MirrorService({"debian": timeline}), name="mirror") as server:
        yield server
    assert not server.errors


@pytest.mark.parametrize(
    ("when", "version"),
    [
        (OLD, b"1.0"),
        ("20240602T083000Z", b"2.0"),
        ("20240602T082959Z", b"1.0"),
        ("20990101T000000Z", b"2.0"),
        ("20240602", b"1.0"),
        ("now", b"2.0"),
    ],
)
def test_a_file_comes_from_the_nearest_earlier_dump_by_a_relative_redirect(
    snapshot: ArchiveServer, when: str, version: bytes
) -> None:
    reply = ask(snapshot, f"/archive/debian/{when}/dists/s/InRelease")
    assert (reply.status, reply.headers["location"]) == (302, f"/file/{hashlib.sha1(version).hexdigest()}")
    assert ask(snapshot, reply.headers["location"]).body == version


def test_before_the_first_dump_and_for_no_date_it_says_why(snapshot: ArchiveServer) -> None:
    early, wrong = (
        ask(snapshot, "/archive/debian/20240531T000000Z/dists/s/InRelease"),
        ask(snapshot, "/archive/debian/1717200000/"),
    )
    assert (early.status, wrong.status) == (404, 404)
    assert b"No mirrorrun found at this date." in early.body
    assert b"Invalid date string" in wrong.body


def test_a_folder_at_an_inexact_time_redirects_to_the_exact_one(snapshot: ArchiveServer) -> None:
    reply = ask(snapshot, "/archive/debian/20240601T120000Z/dists/", "HEAD")
    assert (reply.status, reply.headers["location"], reply.body) == (302, f"/archive/debian/{OLD}/dists/", b"")
    assert ask(snapshot, f"/archive/debian/{OLD}/dists").headers["location"] == f"/archive/debian/{OLD}/dists/"
    assert b"s</a>" in ask(snapshot, f"/archive/debian/{OLD}/dists/").body


def test_timestamps_are_listed_and_filtered(snapshot: ArchiveServer) -> None:
    assert ask(snapshot, "/mr/timestamp/").json["result"] == {"debian": [OLD, NEW]}
    assert ask(snapshot, f"/mr/timestamp/?archive=debian&after={NEW}").json["result"] == {"debian": [NEW]}
    assert ask(snapshot, f"/mr/timestamp/?archive=debian&before={OLD}").json["result"] == {"debian": [OLD]}
    assert ask(snapshot, "/mr/timestamp/?archive=nothing").status == 404


def test_a_binary_is_found_by_name_and_version(snapshot: ArchiveServer) -> None:
    sha1 = hashlib.sha1(BODY).hexdigest()
    found = ask(snapshot, "/mr/binary/tool/").json["result"]
    assert found == [
        {"name": "tool", "binary_version": each, "source": "tools", "version": "0.9"} for each in ("1.0", "2.0")
    ]
    assert ask(snapshot, "/mr/binary/tool/1.0/binfiles").json["result"] == [{"architecture": "all", "hash": sha1}]
    info = ask(snapshot, f"/mr/file/{sha1}/info").json["result"]
    assert info == [
        {
            "archive_name": "debian",
            "first_seen": OLD,
            "name": DEB.rpartition("/")[2],
            "path": "/pool/main/t/tool",
            "size": len(BODY),
        }
    ]
    assert ask(snapshot, "/mr/binary/tool/1.0/binfiles?fileinfo=1").json["fileinfo"] == {sha1: info}
    assert ask(snapshot, "/mr/binary/none/").status == 404
    assert ask(snapshot, f"/file/{sha1}/{quote(DEB.rpartition('/')[2])}").body == BODY


def test_the_mirror_shows_the_newest_state_under_any_escaping(mirror: ArchiveServer) -> None:
    for path in (DEB, DEB.replace("+", "%2b").replace("~", "%7e")):
        assert ask(mirror, f"/debian/{path}").body == BODY[::-1]
    assert ask(mirror, "/debian/dists/s/nothing").status == 404


def test_ranges_and_conditions(mirror: ArchiveServer) -> None:
    path, body = f"/debian/{DEB}", BODY[::-1]
    whole = ask(mirror, path)
    date, tag = whole.headers["last-modified"], whole.headers["etag"]
    part = ask(mirror, path, Range="bytes=100-", If_Range=date)
    assert (part.status, part.headers["content-range"], part.body) == (
        206,
        f"bytes 100-{len(body) - 1}/{len(body)}",
        body[100:],
    )
    assert ask(mirror, path, Range="bytes=5-9", If_Range=tag).body == body[5:10]
    assert ask(mirror, path, Range="bytes=-3").body == body[-3:]
    assert ask(mirror, path, Range="bytes=5-", If_Range="Sat, 01 Jan 2000 00:00:00 GMT").status == 200
    beyond = ask(mirror, path, Range=f"bytes={len(body)}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(body)}")
    assert ask(mirror, path, If_Modified_Since=date).status == 304
    head = ask(mirror, path, "HEAD")
    assert (head.headers["content-length"], head.body) == (str(len(body)), b"")


def test_pipelined_requests_are_answered_in_order(mirror: ArchiveServer) -> None:
    lines = "".join(
        f"GET /debian/{path} HTTP/1.1\r\nHost: h\r\n{close}\r\n"
        for path, close in (("dists/s/InRelease", ""), ("none", ""), (DEB, "Connection: close\r\n"))
    )
    with socket.create_connection((urlsplit(mirror.url).hostname, urlsplit(mirror.url).port), timeout=10) as connection:
        connection.sendall(lines.encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert [part.split()[0] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]
    assert received.endswith(BODY[::-1])
    assert len({each.connection for each in mirror.requests()}) == 1


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Status(429, {"Retry-After": "3"}), (429, None)),
        (Status(509), (509, None)),
        (Html(), (200, None)),
        (Redirect("http://127.0.0.9/x"), (302, None)),
        (TooLong(b"xx"), (200, BODY[::-1] + b"xx")),
        (WrongBytes(0), (200, bytes([BODY[-1] ^ 0x55]) + BODY[::-1][1:])),
        (Replace(Content(b"other")), (200, b"other")),
        (Drip(4096, 0.001), (200, BODY[::-1])),
    ],
)  # fmt: skip
def test_an_answer_on_command(mirror: ArchiveServer, fault: Fault, expected: tuple[int, bytes | None]) -> None:
    mirror.fault("/debian/pool/*", fault, times=1)
    reply = ask(mirror, f"/debian/{DEB}")
    assert reply.status == expected[0]
    assert expected[1] is None or reply.body == expected[1]
    assert ask(mirror, f"/debian/{DEB}").body == BODY[::-1]


@pytest.mark.parametrize("fault", [Truncate(100), Reset(100), Reset()], ids=["truncate", "reset in the body", "reset"])
def test_a_cut_on_command(mirror: ArchiveServer, fault: Fault) -> None:
    mirror.fault("/debian/pool/*", fault, times=1)
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        ask(mirror, f"/debian/{DEB}")
    assert ask(mirror, f"/debian/{DEB}").body == BODY[::-1]


def test_a_fault_of_the_body_strikes_where_the_redirect_leads(snapshot: ArchiveServer) -> None:
    snapshot.fault("debian/dists/*", WrongBytes())
    first = ask(snapshot, f"/archive/debian/{OLD}/dists/s/InRelease")
    assert first.status == 302
    assert ask(snapshot, first.headers["location"]).body != b"1.0"


def test_a_held_body_waits_for_the_release_and_is_counted(mirror: ArchiveServer) -> None:
    hold = mirror.fault("/debian/pool/*", Hold(after=10))
    replies: list[Reply] = []
    client = threading.Thread(target=lambda: replies.append(ask(mirror, f"/debian/{DEB}")))
    client.start()
    assert hold.reached.wait(10)
    assert (mirror.bytes_sent("/debian/pool/"), replies) == (10, [])
    hold.release()
    client.join(10)
    assert replies[0].body == BODY[::-1]
    assert (len(mirror.requests()), mirror.bytes_sent()) == (1, len(BODY))


def test_a_server_that_is_down_refuses_and_returns_on_its_port(mirror: ArchiveServer) -> None:
    with mirror.refusing(), pytest.raises(ConnectionRefusedError):
        ask(mirror, f"/debian/{DEB}")
    assert ask(mirror, f"/debian/{DEB}").status == 200


def test_any_instant_services_begin_in_march_2023(timeline: Timeline) -> None:
    early = Timeline()
    early.publish("20220101T000000Z", tree("0.1", b"0", OLD))
    for service, prefix in ((UbuntuService(early), "/ubuntu"), (PpaService(early, owner="o", ppa="p"), "/o/p/ubuntu")):
        with ArchiveServer(service) as server:
            assert ask(server, f"{prefix}/20230228T235959Z/dists/s/InRelease").status == 404
            assert ask(server, f"{prefix}/20230301T000000Z/dists/s/InRelease").body == b"0.1"
            assert ask(server, f"{prefix}/20240229T010203Z/dists/s/InRelease").body == b"0.1"
