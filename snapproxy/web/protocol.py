"""Connections, their queue of pipelined requests, and the take-over of a connection.

This is the only module that uses private parts of aiohttp. aiohttp parses, queues and runs requests one after another;
this module adds the functions for which it has no hook. A `Handler` answers the requests. aiohttp is pinned to one
minor version because of this file, and a test names each private attribute used here.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import secrets
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from aiohttp import http_parser, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDictProxy

from snapproxy.core.exchange import Prefetch
from snapproxy.errors import ConfigurationError
from snapproxy.web.connection_limits import ConnectionLimits, most_connections

_log = logging.getLogger(__name__)

_TAKEN_OVER_WINDOW = 256 << 10
"""Half of the bytes that a taken-over connection may buffer, since asyncio stops reading at twice this limit.

It is above what aiohttp can have buffered before the take-over: 64 KiB and one read.
"""

MAX_HALF_CLOSED = 64
"""Maximum number of clients that have closed their sending half and still wait for an answer.

A client that has disconnected looks the same until bytes are sent to it; beyond this number they are taken for that.
"""

REQUEST_ID = "X-Request-ID"
"""The header field with the id of a request, which a client may set and a refusal repeats."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PROCESS = secrets.token_hex(4)
_REQUESTS = itertools.count(1)

_BODY_SILENCE_S = 60.0
"""Seconds without a byte of a request's body after which reading it fails."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for a client. Sizes in bytes, times in seconds.

    `line` and `field` must differ: the parser raises the same error for both, with the exceeded limit.
    """

    line: int = 8190
    field: int = 8000
    fields: int = 64
    idle_s: float = 75.0
    """Maximum time for sending a head, the first one included, and between two requests."""
    connections: int = 1000
    """Maximum number of connections of one client, which is an address."""
    all_connections: int | None = None
    """Maximum number of connections of all clients; None for half of the descriptors of the process."""
    linger_s: float = 2.0
    """How long the body of a refused request is read and discarded, so that the client reads the refusal."""


def peer_of(name: object) -> str:
    """Return the address in the name of a client's socket, '-' if it has none."""
    return str(name[0]) if isinstance(name, tuple) else "-"


class ClientRequest:
    """A request as received. `target` is the raw request target, neither decoded nor normalised."""

    __slots__ = ("_id", "_task", "connection", "content", "headers", "keep_alive", "method", "target", "version")

    def __init__(self, message: RawRequestMessage, content: StreamReader, connection: Connection) -> None:
        self.method: str = message.method
        self.target: str = message.path
        self.headers: CIMultiDictProxy[str] = message.headers
        self.version: HttpVersion = message.version
        self.keep_alive: bool = not message.should_close
        self.content = content
        self.connection = connection
        self._task: object = None
        self._id = ""

    @property
    def id(self) -> str:
        """The id of the request for the log: a valid X-Request-ID of the client, otherwise a new one."""
        if not self._id:
            sent = self.headers.get(REQUEST_ID, "")
            self._id = sent if _REQUEST_ID.fullmatch(sent) else f"{_PROCESS}-{next(_REQUESTS):x}"
        return self._id

    def __repr__(self) -> str:
        return f"<Request {self.method} from {self.connection.peer}>"

    @property
    def has_body(self) -> bool:
        """Whether bytes follow the head (RFC 9112 section 6.3)."""
        return "Transfer-Encoding" in self.headers or self.headers.get("Content-Length", "0").strip("0") != ""

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, without transfer coding. Raises TimeoutError if the client sends no bytes."""
        while True:
            async with asyncio.timeout(_BODY_SILENCE_S):
                data = await self.content.readany()
            if not data:
                return
            yield data

    def _finish(self) -> None:
        """Do nothing: aiohttp calls this to remove form data, which these requests do not have."""

    def _cancel(self, error: BaseException) -> None:
        """Fail the reader of the body, because the connection is closed."""
        self.content.set_exception(error)


@dataclass(frozen=True, slots=True)
class Ending:
    """The work of aiohttp after a request was answered: write `last_bytes`, and keep or close the connection.

    It replaces aiohttp's response; all other bytes have been written.
    """

    connection: Connection
    keep_alive: bool
    last_bytes: bytes = b""

    async def prepare(self, _request: ClientRequest) -> None:
        """Write the last bytes."""
        if self.last_bytes and self.connection.transport is not None:
            self.connection.transport.write(self.last_bytes)

    async def write_eof(self) -> None:
        """Do nothing: the writer of the body has ended it."""


class Handler(Protocol):
    """Answers requests, and prepares those that are queued."""

    async def handle(self, request: ClientRequest) -> Ending:
        """Answer. Raises only CancelledError, if the client has disconnected."""

    def prepare(self, request: ClientRequest, *, runs_next: bool) -> bool:
        """Start the download for a request in a pipeline, unless it `runs_next` and so does not wait.

        Returns without waiting.

        Return whether its connection stays open after it, so that the requests queued after it will be answered.
        """

    def malformed(self, peer: str, error: Exception) -> bytes:
        """Return the answer to a head that cannot be parsed. `error` contains bytes of the client: do not log them."""


class Connection(RequestHandler):
    """A client's connection.

    `is_last_answer`: the running answer, or one of a queued request, closes it, so later requests are ignored.
    `is_half_closed`: the client sends no more, but may wait for its answers (`core.exchange.ClientPresence`).
    """

    __slots__ = (
        "_answered",
        "_last_body",
        "_listener",
        "_prefetches",
        "_taken_over",
        "is_half_closed",
        "is_last_answer",
        "waits_since",
    )

    def __init__(self, server: Listener, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            logger=_log,
            access_log=cast("Any", None),  # the handler writes the access log
            keepalive_timeout=limits.idle_s,
            lingering_time=limits.linger_s,
            max_line_size=limits.line,
            max_field_size=limits.field,
            max_headers=limits.fields,
            read_bufsize=64 << 10,
            auto_decompress=False,
        )
        self._listener = server
        self._taken_over: asyncio.StreamReader | None = None
        self._answered = 0
        self._last_body: StreamReader | None = None
        self._prefetches: list[Prefetch] = []
        self.is_last_answer = False
        self.is_half_closed = False
        self.waits_since = loop.time()

    async def answer(self, request: ClientRequest) -> Ending:
        """Await the handler's answer, and count it.

        The next request may arrive before aiohttp records the sent answer.
        """
        try:
            ending = await self._listener.handler.handle(request)
        finally:
            self._answered += 1
            self.waits_since = self._loop.time()
        is_last = self.is_half_closed and not self._messages
        return replace(ending, keep_alive=False) if is_last else ending

    @property
    def may_have_left(self) -> bool:
        """Whether the client has disconnected, or sends no more, which looks the same."""
        return self.is_half_closed or self.transport is None

    def add_prefetch(self, prefetch: Prefetch) -> None:
        """Cancel `prefetch` when the client disconnects."""
        self._prefetches = [each for each in self._prefetches if not each.done()]
        self._prefetches.append(prefetch)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Cancel the running answer, as aiohttp does, and the downloads for the queued requests."""
        for prefetch in self._prefetches:
            prefetch.cancel()
        super().connection_lost(exc)

    @property
    def peer(self) -> str:
        """The client's address for the log, '-' if it has none."""
        return peer_of(self.peername)

    @property
    def is_secure(self) -> bool:
        """Whether the connection has TLS."""
        return self.transport is not None and self.transport.get_extra_info("sslcontext") is not None

    @property
    def scheme(self) -> str:
        """The scheme of the addresses at which the client reaches this server."""
        return "https" if self.is_secure else "http"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set a high-water mark of zero, so that `drain` waits until the kernel has all bytes, as sendfile needs it."""
        super().connection_made(transport)
        cast("asyncio.Transport", transport).set_write_buffer_limits(high=0)
        self._listener.limits.enter(self)

    def data_received(self, data: bytes) -> None:
        """Parse and queue as aiohttp does, and prepare the requests that have to wait in the queue."""
        if self._taken_over is not None:
            self._taken_over.feed_data(data)
            return
        before = self._request_count
        runs_next = self._answered == before
        super().data_received(data)
        arrived = self._request_count - before
        if arrived:
            self._last_body = self._messages[-1][1]
        if arrived <= runs_next:
            return
        for message, content in itertools.islice(self._messages, len(self._messages) - arrived, None):
            if self.is_last_answer or not isinstance(message, RawRequestMessage):
                return
            request = ClientRequest(message, content, self)
            self.is_last_answer = not self._listener.handler.prepare(request, runs_next=runs_next)
            runs_next = False

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio reads the value; aiohttp's None means False
        """Return whether the connection stays open for sending: a client may close its sending half after its requests.

        RFC 9112 section 9.6 allows that, and busybox's wget does it. aiohttp would take it for a disconnect. A client
        that has disconnected is noticed when bytes are sent to it. A connection with TLS cannot be half-closed here:
        asyncio closes it.
        """
        if self._taken_over is not None:
            self._taken_over.feed_eof()
            return not self.is_secure
        self.is_half_closed = (
            not self.is_secure and self._has_whole_requests() and self._listener.admit_half_closed(self)
        )
        return self.is_half_closed

    def _has_whole_requests(self) -> bool:
        """Return whether requests wait for their answers, and the body of the last one has arrived."""
        is_waiting = self._request_count > self._answered
        return is_waiting and self._last_body is not None and self._last_body.is_eof()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 # the signature is aiohttp's
        status: int = 500,  # noqa: ARG002
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Answer a head that cannot be parsed, without logging it; abort the connection if a handler failed."""
        if isinstance(exc, HttpProcessingError):
            refusal = self._listener.handler.malformed(self.peer, exc)
            return cast("web.StreamResponse", Ending(self, keep_alive=False, last_bytes=refusal))
        _log.error("A handler failed for %s", self.peer, exc_info=exc)
        self.cut()
        return cast("web.StreamResponse", Ending(self, keep_alive=False))

    async def drain(self) -> None:
        """Wait until the kernel has all written bytes. Raises ConnectionError if the client has disconnected."""
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the client has disconnected")
        if self._paused:
            await self._drain_helper()

    def cut(self, *, reset: bool = False) -> None:
        """Abort the connection, so that the client cannot mistake the partial answer for a complete one.

        `reset`: only the end of the connection ends the answer, so a normal close would look complete.
        """
        if self.transport is None:
            return
        sock = self.transport.get_extra_info("socket")
        if reset and sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    @property
    def is_idle(self) -> bool:
        """Whether the connection waits for a request."""
        return not self._messages and not self._request_in_progress and self._taken_over is None

    def retire(self, *, first_request: bool) -> None:
        """Accept no further request: close now if idle, otherwise after the running answer.

        `first_request`: wait for the first request of a new client, which would not send it again elsewhere. Clients
        send a later one again themselves, as RFC 9112 section 9.3.1 demands.
        """
        if self._messages or self._request_in_progress:
            self.close()
        elif self._request_count or not first_request:
            self.force_close()

    def take_over(self) -> asyncio.StreamReader:
        """Return a reader of all bytes that the client sends from now on, including those that are buffered."""
        if self.transport is None:
            raise ConnectionResetError("the client has disconnected")
        reader = asyncio.StreamReader(limit=_TAKEN_OVER_WINDOW, loop=self._loop)
        reader.set_transport(self.transport)
        self.set_parser(cast("Any", _Feed(reader)))  # passes on the buffered bytes and stops aiohttp from parsing
        self._taken_over = reader
        return reader


class _Feed:
    """A reader that aiohttp feeds in place of its parser, as it does for a WebSocket."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self._reader.feed_eof()


class Listener(web.Server):
    """Creates a `Connection` for every client. If a client disconnects, its handler is cancelled.

    `handler` answers each request that arrives from now on, also on open connections; it may be replaced.
    """

    def __init__(self, handler: Handler, limits: Limits) -> None:
        if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
            raise ConfigurationError(
                "aiohttp was installed without its C parser",
                why="The pure Python parser is slower, and the request checks of snapproxy were made for the C parser.",
                hint="Install aiohttp from a wheel, and do not set AIOHTTP_NO_EXTENSIONS.",
            )
        super().__init__(
            cast("Any", self._answer), request_factory=cast("Any", self._request), handler_cancellation=True
        )
        self.handler = handler
        self._limits = limits
        self._lost = asyncio.Event()
        self.limits = ConnectionLimits(limits.connections, limits.all_connections or most_connections())
        self._half_closed: set[RequestHandler] = set()

    def __call__(self) -> Connection:
        return Connection(self, self._limits, self._loop)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Remove a connection after its handler has ended."""
        self._half_closed.discard(handler)
        self.limits.leave(cast("Connection", handler))
        super().connection_lost(handler, exc)
        task = handler._task_handler  # noqa: SLF001 # see the module's docstring
        if task is None:
            self._lost.set()
        else:
            task.add_done_callback(lambda _: self._lost.set())

    def admit_half_closed(self, connection: Connection) -> bool:
        """Return whether a client that sends no more may wait for its answers."""
        if len(self._half_closed) >= MAX_HALF_CLOSED:
            return False
        self._half_closed.add(connection)
        return True

    def retire(self, *, first_requests: bool) -> None:
        """Close every connection: idle ones now, the others after their answer.

        `first_requests`: keep those whose client has sent no request so far.
        """
        for connection in self.connections:
            cast("Connection", connection).retire(first_request=first_requests)

    async def emptied(self) -> None:
        """Wait until all connections are closed."""
        while self.connections:
            self._lost.clear()
            await self._lost.wait()

    def cut(self) -> None:
        """Abort every connection."""
        for connection in self.connections:
            cast("Connection", connection).cut()

    async def _answer(self, request: ClientRequest) -> Ending:
        return await request.connection.answer(request)

    @staticmethod
    def _request(
        message: RawRequestMessage,
        content: StreamReader,
        connection: Connection,
        _writer: AbstractStreamWriter,
        _task: asyncio.Task[None],
    ) -> ClientRequest:
        return ClientRequest(message, content, connection)
