"""Bad input gets a clear error and loses nothing.

Raw bytes are sent to a real `serve`, which serves the next request as usual.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.proxy import Snapproxy, configuration, run
from tests.fakes.world import BEFORE_ALL, FIRST, IN_THE_GAP, World

pytestmark = pytest.mark.journey
LONGEST_REASON = 80


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str
    head: str
    body: bytes


@pytest.fixture(scope="module")
def serving(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapproxy]:
    """One process for the whole module, so that damage by one request would affect the next one."""
    small_world.reset()
    with Snapproxy(configuration(tmp_path_factory.mktemp("bad"), small_world)) as process:
        yield process


def exchange(proxy: Snapproxy, data: bytes) -> bytes:
    """Send bytes, and return every byte until the server closes the connection or is silent for some time."""
    got = b""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as client:
        client.sendall(data)
        client.settimeout(20)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while piece := client.recv(65536):
                got += piece
    return got


def send(proxy: Snapproxy, request_line: str | bytes, *headers: str, host: str = "Host: test") -> Answer:
    line = request_line.encode() if isinstance(request_line, str) else request_line
    lines = [line, *(each.encode() for each in (host, "Connection: close", *headers) if each)]
    return read(exchange(proxy, b"\r\n".join(lines) + b"\r\n\r\n"))


def read(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    match = re.match(rb"HTTP/1\.[01] (\d{3}) ([^\r\n]*)", head)
    assert match, data[:200]
    return Answer(int(match[1]), match[2].decode("ascii"), head.decode("latin-1"), body)


def root_of(world: World) -> str:
    return f"dists/{world.codename}/InRelease"


def is_well(proxy: Snapproxy, world: World) -> bool:
    """Return whether the proxy serves the right bytes to the next client."""
    answer = send(proxy, f"GET /debian/{FIRST}/{root_of(world)} HTTP/1.1")
    return (answer.status, answer.body) == (200, world.first.debian.files[root_of(world)].data)


def assert_readable(answer: Answer, client_bytes: bytes = b"") -> None:
    """Check that an answer has a reason of snapproxy in printable ASCII and a body of two or three plain lines.

    Neither repeats any input of the client.
    """
    assert answer.reason.isascii()
    assert answer.reason.isprintable()
    assert 0 < len(answer.reason) <= LONGEST_REASON
    assert "text/plain" in answer.head
    lines = answer.body.decode().splitlines()
    assert lines[0] == answer.reason
    assert 1 <= len(lines) <= 4
    assert not client_bytes or client_bytes not in answer.body + answer.head.encode()


TARGETS = [
    ("an unknown archive", "/nothing/{first}/dists/stable/InRelease", 404, "nothing"),
    ("no date", "/debian/2024-13-45/{root}", 400, "2024-13-45"),
    ("words for a date", "/debian/yesterday/{root}", 400, "yesterday"),
    ("the future", "/debian/20991231T000000Z/{root}", 425, ""),
    ("before the first snapshot", "/debian/{before}/{root}", 410, ""),
    ("a gap", "/debian/{gap}/{root}", 410, ""),
    ("latest", "/debian/latest/{root}", 425, ""),
    ("no such instant exactly", "/debian/20240601T023001Z.exact/{root}", 410, ""),
    ("dots", "/debian/{first}/../../../etc/passwd", 400, "passwd"),
    ("encoded dots", "/debian/{first}/%2e%2e/%2e%2e/etc/passwd", 400, "passwd"),
    ("dots encoded twice", "/debian/{first}/%252e%252e/etc/passwd", 400, "passwd"),
    ("NUL", "/debian/{first}/dists/%00/InRelease", 400, "%00"),
    ("a backslash", "/debian/{first}/dists\\stable\\InRelease", 400, "\\"),
    ("an encoded backslash", "/debian/{first}/dists%5cstable", 400, "%5c"),
    ("an encoded slash", "/debian/{first}/dists%2fstable%2fInRelease", 400, "%2f"),
    ("a bad escape", "/debian/{first}/dists/%zz", 400, "%zz"),
    ("a cut escape", "/debian/{first}/dists/%4", 400, "%4"),
    ("a control character", "/debian/{first}/dists/%0d%0aSet-Cookie:x", 400, "Set-Cookie"),
    ("invalid UTF-8", "/debian/{first}/dists/%ff%fe", None, ""),
    ("a path of 8 KiB", "/debian/{first}/" + "a" * 8100, None, ""),
    ("a deep path", "/debian/{first}/" + "a/" * 2000 + "x", None, ""),
    ("no path at all", "/debian", None, ""),
    ("a folder", "/debian/20240601T000000Z/dists/", 302, ""),
    ("no capture's name", "/~Mine/debian/{first}/{root}", 400, "Mine"),
    ("a foreign host", "http://www.example.invalid/debian/{root}", 403, "example.invalid"),
    ("an archive's host and no time", "http://ftp.debian.org/debian/{root}", 407, "ftp.debian.org"),
]


@pytest.mark.parametrize(("target", "status", "secret"), [row[1:] for row in TARGETS], ids=[row[0] for row in TARGETS])
def test_a_bad_address(serving: Snapproxy, small_world: World, target: str, status: int | None, secret: str) -> None:
    filled = target.format(first=FIRST, gap=IN_THE_GAP, before=BEFORE_ALL, root=root_of(small_world))
    answer = send(serving, f"GET {filled} HTTP/1.1")
    if status is None:
        assert 400 <= answer.status < 500, answer
    else:
        assert answer.status == status, answer
    if answer.status >= 400:
        assert_readable(answer, secret.encode())
    assert is_well(serving, small_world)


def test_a_gap_names_the_nearest_usable_instants(serving: Snapproxy, small_world: World) -> None:
    answer = send(serving, f"GET /debian/{IN_THE_GAP}/{root_of(small_world)} HTTP/1.1")
    assert len(set(re.findall(rb"\d{8}T\d{6}Z", answer.body))) >= 2, answer.body


def test_a_malformed_date_shows_the_spellings(serving: Snapproxy, small_world: World) -> None:
    answer = send(serving, f"GET /debian/20240230/{root_of(small_world)} HTTP/1.1")
    assert b"20240601T000000Z" in answer.body


@pytest.mark.parametrize("length", [20_000, 200_000, 2_000_000])
def test_an_absurd_length(serving: Snapproxy, small_world: World, length: int) -> None:
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        data = exchange(serving, b"GET /debian/" + b"a" * length + b" HTTP/1.1\r\nHost: test\r\n\r\n")
        answer = read(data)
        assert answer.status in {400, 414, 431}
        assert answer.reason
        assert b"aaaaaaaaaa" not in data
    assert is_well(serving, small_world)


def test_a_head_of_a_thousand_lines(serving: Snapproxy, small_world: World) -> None:
    lines = "".join(f"X-{number}: {'y' * 100}\r\n" for number in range(1000))
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        data = exchange(serving, f"GET / HTTP/1.1\r\nHost: test\r\n{lines}\r\n".encode())
        assert read(data).status in {400, 431}
    assert is_well(serving, small_world)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "BREW", "get"])
def test_an_unsupported_method(serving: Snapproxy, small_world: World, method: str) -> None:
    answer = send(serving, f"{method} /debian/{FIRST}/{root_of(small_world)} HTTP/1.1", "Content-Length: 0")
    assert answer.status in {400, 405, 501}, answer
    assert answer.status != 405 or "Allow: " in answer.head
    assert_readable(answer)
    assert is_well(serving, small_world)


def test_connect_is_off(serving: Snapproxy, small_world: World) -> None:
    answer = send(serving, "CONNECT ftp.debian.org:443 HTTP/1.1")
    assert answer.status in {403, 407}, answer
    assert_readable(answer)
    assert is_well(serving, small_world)


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 64,
        b"GET\r\n\r\n",
        b"HELP\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
    ids=["TLS", "NULs", "no target", "no HTTP", "another version"],
)
def test_something_that_is_no_http(serving: Snapproxy, small_world: World, junk: bytes) -> None:
    data = exchange(serving, junk + b"\r\n\r\n")
    assert not data or read(data).status in {400, 505}
    assert is_well(serving, small_world)


def test_a_missing_host(serving: Snapproxy, small_world: World) -> None:
    answer = send(serving, f"GET /debian/{FIRST}/{root_of(small_world)} HTTP/1.1", host="")
    assert answer.status in {200, 400}
    assert is_well(serving, small_world)


def test_ranges(serving: Snapproxy, small_world: World) -> None:
    """Beyond the end: 416 with the size. Several ranges, or an invalid one: the whole file (RFC 9110, 14.2)."""
    assert is_well(serving, small_world)
    data, line = (
        small_world.first.debian.files[root_of(small_world)].data,
        f"GET /debian/{FIRST}/{root_of(small_world)} HTTP/1.1",
    )
    beyond = send(serving, line, f"Range: bytes={len(data)}-")
    assert beyond.status == 416
    assert f"Content-Range: bytes */{len(data)}" in beyond.head
    for several in ("bytes=0-1,4-5", "bytes=0-1, 0-1, 0-1, 0-1", "bytes=5-2", "lines=1-2", "bytes=x-y", "bytes=-"):
        answer = send(serving, line, f"Range: {several}")
        assert (answer.status, answer.body) == (200, data), several
    part = send(serving, line, "Range: bytes=10-19")
    assert (part.status, part.body) == (206, data[10:20])
    tail = send(serving, line, f"Range: bytes=-{len(data) * 2}")
    assert tail.body == data
    assert is_well(serving, small_world)


def test_a_client_that_leaves_in_the_middle_of_anything(serving: Snapproxy, small_world: World) -> None:
    whole = f"GET /debian/{FIRST}/{root_of(small_world)} HTTP/1.1\r\nHost: test\r\n\r\n".encode()
    for length in (1, 10, len(whole) - 2, len(whole)):
        with socket.create_connection(("127.0.0.1", serving.port), timeout=5) as client:
            client.sendall(whole[:length])
    assert is_well(serving, small_world)


# --- starting ---------------------------------------------------------------------------------------------------------


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("serve", *arguments, timeout=30)


def assert_told(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stderr.startswith("snapproxy: ")
    return done.stderr


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder on a read-only file system, where not even root may write."""
    if os.geteuid() != 0:
        pytest.skip("mounting a read-only file system takes root")
    folder = tmp_path / "read-only"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_an_unwritable_state_directory(tmp_path: Path, read_only: Path) -> None:
    settings, file = tmp_path / "config.toml", tmp_path / "file"
    file.touch()
    for state in (read_only, read_only / "below", file / "below"):
        settings.write_text(f'state_dir = "{state}"\ncache_dir = "{tmp_path / "cache"}"\n')
        told = assert_told(start("--config", str(settings), "--listen", "127.0.0.1:0"))
        assert str(state) in told
        assert "SNAPPROXY_STATE_DIR" in told


def test_a_port_in_use(serving: Snapproxy, small_world: World, tmp_path: Path) -> None:
    settings = configuration(tmp_path, small_world)
    told = assert_told(start("--config", str(settings), "--listen", f"127.0.0.1:{serving.port}"))
    assert str(serving.port) in told
    assert "already in use" in told
    assert is_well(serving, small_world), "the one that has the port serves on"


def test_every_mistake_in_the_settings_at_once(tmp_path: Path) -> None:
    settings = tmp_path / "config.toml"
    settings.write_text(
        'lisen = "127.0.0.1:3142"\nmax_gap = "often"\n'
        '[archives.debian]\nsnapshots = ["https://example.invalid/"]\n'
        '[archives.mine]\nfamily = "apt"\n[upstreams."example.invalid"]\nconnections = "many"\n'
    )
    told = assert_told(start("--config", str(settings)))
    for mistake in ("lisen", "max_gap", "archives.debian.snapshots", "archives.mine", "connections"):
        assert mistake in told, told
    broken = tmp_path / "broken.toml"
    broken.write_text("listen = \n")
    assert "line 1" in assert_told(start("--config", str(broken)))


def test_nothing_of_all_this_was_a_fault_of_ours(serving: Snapproxy, small_world: World) -> None:
    """Runs last in this file: the log of the process that got all these requests."""
    assert is_well(serving, small_world)
    assert "Traceback" not in serving.log
    assert "ERROR" not in serving.log
    assert all(line.isprintable() for line in serving.log.splitlines()), "client bytes are logged escaped"
    assert max(map(len, serving.log.splitlines())) < 20_000
