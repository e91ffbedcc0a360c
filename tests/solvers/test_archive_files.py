"""Files that solvers read through snapproxy: absent ones, refused ones, too large ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from snapproxy.families import FAMILIES
from snapproxy.solvers.archive_files import read
from snapproxy.solvers.known import SOLVERS
from snapproxy.solvers.model import SolverError


class Answers(BaseHTTPRequestHandler):
    """Answers by the last segment of the path."""

    def do_GET(self) -> None:
        status = {"absent": 404, "refused": 424}.get(self.path.rpartition("/")[2], 200)
        body = self.path.encode()
        self.send_response(status, "The cause" if status == 424 else None)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def base() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/a"
        server.shutdown()
        thread.join()


def test_a_file_is_read_by_its_escaped_path_and_past_proxies(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert read(base, "core/lib++#1", most=100) == b"/a/core/lib%2B%2B%231"


def test_absence_is_no_error_and_a_refusal_is(base: str) -> None:
    assert read(base, "absent", most=100) is None
    with pytest.raises(SolverError, match="424 The cause"):
        read(base, "refused", most=100)
    with pytest.raises(SolverError, match="could not be read"):
        read("http://127.0.0.1:1", "a", most=100)


def test_a_file_that_is_too_large_is_refused(base: str) -> None:
    assert read(base, "b", most=4) == b"/a/b"
    with pytest.raises(SolverError, match="more than 3 bytes"):
        read(base, "b", most=3)


def test_every_family_has_a_solver() -> None:
    assert set(SOLVERS) == set(FAMILIES)
