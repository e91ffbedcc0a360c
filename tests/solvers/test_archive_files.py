"""Files that solvers read through snapproxy: absent ones, refused ones, too large ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from snapproxy.families import FAMILIES
from snapproxy.solvers.archive_files import read
from snapproxy.solvers.known import SOLVERS
from snapproxy.solvers.model import SolverError

BROKEN = {
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    "garbage": b"no HTTP\r\n\r\n",
    "nothing": b"",
}
NEVER = threading.Event()
RELEASED = threading.Event()


class Answers(BaseHTTPRequestHandler):
    """Answers by the last segment of the path."""

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if name == "held":
            RELEASED.wait(50)
            return
        if name in BROKEN:
            self.wfile.write(BROKEN[name])
            return
        status = {"absent": 404, "refused": 424}.get(name, 200)
        body = self.path.encode()
        self.send_response(status, "The cause" if status == 424 else None)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def base() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/a"
        server.shutdown()
        thread.join()


def test_a_file_is_read_by_its_escaped_path_and_past_proxies(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert read(base, "core/lib++#1", most=100, cancelled=NEVER) == b"/a/core/lib%2B%2B%231"


def test_absence_is_no_error_and_a_refusal_is(base: str) -> None:
    assert read(base, "absent", most=100, cancelled=NEVER) is None
    with pytest.raises(SolverError, match="424 The cause"):
        read(base, "refused", most=100, cancelled=NEVER)
    with pytest.raises(SolverError, match="could not be read"):
        read("http://127.0.0.1:1", "a", most=100, cancelled=NEVER)


def test_a_file_that_is_too_large_is_refused(base: str) -> None:
    assert read(base, "b", most=4, cancelled=NEVER) == b"/a/b"
    with pytest.raises(SolverError, match="more than 3 bytes"):
        read(base, "b", most=3, cancelled=NEVER)


@pytest.mark.parametrize("name", BROKEN)
def test_an_answer_that_is_not_whole_is_refused(base: str, name: str) -> None:
    with pytest.raises(SolverError, match=f"could not be read\n.*{name}: "):
        read(base, name, most=2000, cancelled=NEVER)


def test_cancelling_ends_the_wait_for_an_answer(base: str) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(SolverError, match="was cancelled"):
        read(base, "held", most=100, cancelled=cancelled)
    RELEASED.set()


def test_every_family_has_a_solver() -> None:
    assert set(SOLVERS) == set(FAMILIES)
