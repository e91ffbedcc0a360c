"""A real HTTP/1.1 server on a loopback address that simulates one service, fails on command and counts requests.

It runs in threads of its own, so synchronous tests, tests inside an event loop and real clients can all use it. The
correct answers come from a service (`services`), the failures from a fault (`faults`).
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler
from typing import Any, Self, TypeVar
from urllib.parse import quote, unquote, urlsplit

from tests.fakes.content import Content
from tests.fakes.faults import Fault, complete
from tests.fakes.services import Answer, Service, page

AnyFault = TypeVar("AnyFault", bound=Fault)
_PIECE = 64 * 1024


@dataclass
class Request:
    """One request and its outcome.

    `sent` counts body bytes; `at` is the second of the monotonic clock.
    """

    service: str
    method: str
    path: str
    headers: dict[str, str]
    at: float
    connection: int
    status: int = 0
    sent: int = 0


@dataclass
class Log:
    """The requests to all servers that share this log, in order of arrival."""

    entries: list[Request] = field(default_factory=list)

    def requests(self, prefix: str = "", *, service: str = "") -> list[Request]:
        """Return the requests whose path begins with `prefix`, of one service or of all."""
        return [each for each in list(self.entries) if each.path.startswith(prefix) and service in ("", each.service)]

    def bytes_sent(self, prefix: str = "", *, service: str = "") -> int:
        """Return the number of body bytes sent in answer to those requests."""
        return sum(each.sent for each in self.requests(prefix, service=service))

    def reset_counts(self) -> None:
        self.entries.clear()


@dataclass
class _Rule:
    pattern: str
    fault: Fault
    left: int | None


class ArchiveServer:
    """One service on one port. Use as a context manager, or call `start` and `stop`."""

    def __init__(
        self,
        service: Service,
        *,
        name: str = "archive",
        address: str = "127.0.0.1",
        log: Log | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.service = service
        self.name = name
        self.log = log or Log()
        self.errors: list[BaseException] = []
        self.has_etags = True
        self.authorization = ""
        """The Authorization header that every request needs, '' for none; another request gets a 401."""
        self.busiest = 0
        """The greatest number of concurrent requests."""
        self._address = (address, 0)
        self._tls = tls
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._active = 0
        self._listener: _Listener | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The server's address, without a final slash."""
        return f"{'https' if self._tls else 'http'}://{self._address[0]}:{self._address[1]}"

    def start(self) -> None:
        self._listener = _Listener(self._address, self)
        self._address = (self._address[0], self._listener.socket.getsockname()[1])
        if self._tls is not None:
            # The handshake takes place in the thread of the connection, at its first byte.
            self._listener.socket = self._tls.wrap_socket(
                self._listener.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), name=self.name, daemon=True).start()

    def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._listener:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener.cut()
            self._listener = None

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse connections as a server that is down does; then listen on the same port again."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def fault(self, pattern: str, fault: AnyFault, *, times: int | None = None) -> AnyFault:
        """Play `fault` for matching requests, `times` times (None: always).

        A request matches if its path, or the `archive/path` of its body, does.
        """
        self._rules.append(_Rule(pattern, fault, times))
        return fault

    def heal(self) -> None:
        """Remove every fault."""
        self._rules.clear()

    def requests(self, prefix: str = "") -> list[Request]:
        return self.log.requests(prefix, service=self.name)

    def bytes_sent(self, prefix: str = "") -> int:
        return self.log.bytes_sent(prefix, service=self.name)

    def etag(self, content: Content) -> str:
        """Return this server's entity tag of a content.

        Two servers have different tags for the same bytes, as real ones do.
        """
        return f'"{self.name}-{content.sha1}"'

    def reset_counts(self) -> None:
        """Delete the recorded requests of every server that shares the log."""
        self.log.reset_counts()
        self.busiest = 0

    def claim(self, path: str, answer: Answer) -> Fault | None:
        """Return the fault to play now and count it (for the handler)."""
        with self._lock:
            for rule in self._rules:
                names = (path, *answer.names)
                fits = any(fnmatchcase(name, rule.pattern) for name in names)
                if fits and rule.left != 0 and (answer.status == 200 or not rule.fault.needs_body):
                    rule.left = None if rule.left is None else rule.left - 1
                    return rule.fault
        return None

    @contextlib.contextmanager
    def answering(self, request: Request) -> Iterator[None]:
        """Record a request while it is being answered (for the handler)."""
        with self._lock:
            self.log.entries.append(request)
            self._active += 1
            self.busiest = max(self.busiest, self._active)
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1


class _Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: ArchiveServer) -> None:
        super().__init__(address, _Handler)
        self.owner = owner
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """End every open connection."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Record an error of the fake itself; a client that disconnects is not an error."""
        error = sys.exception()
        if error and not isinstance(error, ConnectionError):
            self.owner.errors.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "SimulatedArchive/1"
    sys_version = ""
    disable_nagle_algorithm = True
    timeout = 120
    server: _Listener

    def do_GET(self) -> None:
        owner = self.server.owner
        target = urlsplit(self.path)
        path = unquote(target.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.request_record = Request(
            owner.name, self.command, self.path, headers, time.monotonic(), self.client_address[1]
        )
        self.answer = owner.service.answer(path, target.query)
        with owner.answering(self.request_record):
            fault = owner.claim(path, self.answer)
            if owner.authorization and headers.get("authorization") != owner.authorization:
                complete(self, page(401, WWW_Authenticate='Basic realm="packages"'))
            elif fault:
                fault.play(self)
            else:
                complete(self, self.answer)

    def do_POST(self) -> None:
        """Answer a form as a request whose query is the body."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.path = f"{self.path}?{quote(body)}"
        self.do_GET()

    do_HEAD = do_GET  # noqa: N815 the base class chose the name

    def send_head(self, answer: Answer) -> tuple[int, int]:
        """Send the head, with ranges and conditions applied; return the span of bytes to send (`faults.Exchange`)."""
        size = answer.content.size
        status, start, stop, extra = answer.status, 0, size, {}
        if answer.has_validators and status == 200:
            etag = self.server.owner.etag(answer.content)
            extra = {"Last-Modified": _date(answer), "Accept-Ranges": "bytes"}
            extra |= {"ETag": etag} if self.server.owner.has_etags else {}
            status, start, stop = self._conditions(answer)
        self.request_record.status = status
        self.send_response(status, "Bandwidth Limit Exceeded" if status == 509 else None)
        for name, value in {**answer.headers, **extra}.items():
            self.send_header(name, value)
        if status in (206, 416):
            self.send_header(
                "Content-Range", f"bytes {start}-{stop - 1}/{size}" if status == 206 else f"bytes */{size}"
            )
        if status != 304:
            self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        return (start, stop) if self.command != "HEAD" else (0, 0)

    def _conditions(self, answer: Answer) -> tuple[int, int, int]:
        """Apply the conditions and the range of a request; return status and span (RFC 9110, 13.2.2 and 14.2)."""
        size = answer.content.size
        since, matching = self.headers.get("If-Modified-Since"), self.headers.get("If-None-Match")
        if matching and matching == self.server.owner.etag(answer.content):
            return 304, 0, 0
        if since and not matching and parsedate_to_datetime(since).timestamp() >= answer.content.modified:
            return 304, 0, 0
        wanted, guard = self.headers.get("Range", ""), self.headers.get("If-Range")
        first, dash, last = wanted.removeprefix("bytes=").partition("-")
        if (
            not dash
            or "," in wanted
            or guard
            not in (
                None,
                _date(answer),
                self.server.owner.etag(answer.content),
            )
        ):
            return 200, 0, size
        start = int(first) if first else max(0, size - int(last))
        stop = min(int(last) + 1, size) if first and last else size
        return (206, start, stop) if start < size else (416, 0, 0)

    def send(self, data: bytes) -> None:
        # Counted first: a client that has read the whole body may look at the count before this thread runs again.
        self.request_record.sent += len(data)
        self.wfile.write(data)

    def send_span(self, answer: Answer, start: int, stop: int) -> None:
        for piece in answer.content.pieces(start, stop):
            self.send(piece)

    def end(self, *, reset: bool = False) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        # Unread pipelined requests would turn the close into a reset (RFC 9112, 9.6): half-close, then read them.
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(1)
        with contextlib.suppress(OSError):
            while self.rfile.read1(_PIECE):
                pass

    def finish(self) -> None:
        # A reset closed the socket under the buffered writer; nothing is left to flush.
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, *_: object) -> None:
        """Print nothing: the log is `Log`."""


def _date(answer: Answer) -> str:
    return formatdate(answer.content.modified, usegmt=True)
