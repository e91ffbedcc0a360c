"""The one place that leans on the inside of aiohttp: connections, their queue of pipelined requests, and taking a connection over.

aiohttp parses, queues and runs requests one after another; this module adds what it has no hook for. It knows nothing of archives
or answers: a `Handler` decides. aiohttp is pinned to one minor version because of this file, and a test names each private
attribute used here.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

from aiohttp import http_parser, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDictProxy

from snapproxy.errors import ConfigurationError

_log = logging.getLogger(__name__)

_TAKEN_OVER_WINDOW = 256 << 10
"""Bytes a taken-over connection may hold unread, half of it; above what aiohttp can have kept back before (64 KiB and one read)."""

_BODY_SILENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take. Sizes in bytes, times in seconds.

    `line` and `field` differ on purpose: the parser raises one error for both, and only its limit tells which it was.
    """

    line: int = 8190
    field: int = 8000
    fields: int = 64
    idle_s: float = 75.0
    """How long a connection may take over a head, the first one included, or rest between two requests."""
    linger_s: float = 2.0
    """How long the body of a refused request is read and thrown away, so that its client gets to see the refusal."""


class ClientRequest:
    """A request as it came. `target` is the raw request target: nothing has decoded or normalised it."""

    __slots__ = ("_task", "connection", "content", "headers", "keep_alive", "method", "target", "version")

    def __init__(self, message: RawRequestMessage, content: StreamReader, connection: Connection) -> None:
        self.method: str = message.method
        self.target: str = message.path
        self.headers: CIMultiDictProxy[str] = message.headers
        self.version: HttpVersion = message.version
        self.keep_alive: bool = not message.should_close
        self.content = content
        self.connection = connection
        self._task: object = None

    def __repr__(self) -> str:
        return f"<Request {self.method} from {self.connection.peer}>"

    @property
    def has_body(self) -> bool:
        """Whether bytes follow the head (RFC 9112 section 6.3)."""
        return "Transfer-Encoding" in self.headers or self.headers.get("Content-Length", "0").strip("0") != ""

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, transfer coding removed. Raises TimeoutError when the client falls silent."""
        while True:
            async with asyncio.timeout(_BODY_SILENCE_S):
                data = await self.content.readany()
            if not data:
                return
            yield data

    def _finish(self) -> None:
        """Meet aiohttp's wish to clean up what its own requests keep of a form; there is nothing here."""

    def _cancel(self, error: BaseException) -> None:
        """Fail whoever reads the body: the connection is gone."""
        self.content.set_exception(error)


@dataclass(frozen=True, slots=True)
class Ending:
    """What is left to do for aiohttp once a request was answered: `farewell` goes out, then the connection stays open or not.

    Stands in for aiohttp's response; everything else has been written already.
    """

    connection: Connection
    keep_alive: bool
    farewell: bytes = b""

    async def prepare(self, _request: ClientRequest) -> None:
        """Write what is left."""
        if self.farewell and self.connection.transport is not None:
            self.connection.transport.write(self.farewell)

    async def write_eof(self) -> None:
        """Do nothing: the body has been ended by whoever wrote it."""


class Handler(Protocol):
    """Answers requests and says what may begin before its turn."""

    async def handle(self, request: ClientRequest) -> Ending:
        """Answer. Raises nothing but CancelledError, which means that the client has left."""

    def foresee(self, request: ClientRequest, *, runs_next: bool) -> bool:
        """Take note of a request in a pipeline; `runs_next`: it need not wait, so there is nothing to begin early for it.

        Return whether its connection stays open after it, so that those behind it will be answered. Never waits.
        """

    def malformed(self, peer: str, error: Exception) -> bytes:
        """Return the whole answer to a head that could not be parsed. `error` holds client bytes: they are not for the log."""


class Connection(RequestHandler):
    """A client's connection. `is_last_answer`: the answer under way, or one that is queued, ends it, so nothing behind that matters."""

    __slots__ = ("_answered", "_handler", "_taken_over", "is_last_answer")

    def __init__(self, server: Listener, handler: Handler, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            logger=_log,
            access_log=cast("Any", None),  # our own lines are written by the handler
            keepalive_timeout=limits.idle_s,
            lingering_time=limits.linger_s,
            max_line_size=limits.line,
            max_field_size=limits.field,
            max_headers=limits.fields,
            read_bufsize=64 << 10,
            auto_decompress=False,
        )
        self._handler = handler
        self._taken_over: asyncio.StreamReader | None = None
        self._answered = 0
        self.is_last_answer = False

    async def answer(self, request: ClientRequest) -> Ending:
        """Let the handler answer, and count: a client may ask again before aiohttp has seen that the answer is out."""
        try:
            return await self._handler.handle(request)
        finally:
            self._answered += 1

    @property
    def peer(self) -> str:
        """The client's address for the log, '-' where it has none."""
        name = self.peername
        return str(name[0]) if isinstance(name, tuple) else "-"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin. With a high-water mark of zero, `drain` returns when the kernel has taken everything: sendfile needs to know."""
        super().connection_made(transport)
        cast("asyncio.Transport", transport).set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """Parse and queue as aiohttp does; requests that must wait their turn are foreseen at once, the next to run is not."""
        if self._taken_over is not None:
            self._taken_over.feed_data(data)
            return
        before = self._request_count
        runs_next = self._answered == before
        super().data_received(data)
        arrived = self._request_count - before
        if arrived <= runs_next:
            return
        for message, content in itertools.islice(self._messages, len(self._messages) - arrived, None):
            if self.is_last_answer or not isinstance(message, RawRequestMessage):
                return
            self.is_last_answer = not self._handler.foresee(ClientRequest(message, content, self), runs_next=runs_next)
            runs_next = False

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio reads the answer; aiohttp's None means the same as False
        """Close when the client has nothing more to ask, as aiohttp does; a taken-over connection stays half open."""
        if self._taken_over is None:
            return False
        self._taken_over.feed_eof()
        return True

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 # the signature is aiohttp's
        status: int = 500,  # noqa: ARG002
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Answer a head that could not be parsed, and log none of it; cut the connection if a handler failed instead."""
        if isinstance(exc, HttpProcessingError):
            return cast(
                "web.StreamResponse", Ending(self, keep_alive=False, farewell=self._handler.malformed(self.peer, exc))
            )
        _log.error("A handler failed for %s", self.peer, exc_info=exc)
        self.cut()
        return cast("web.StreamResponse", Ending(self, keep_alive=False))

    async def drain(self) -> None:
        """Wait until the kernel has taken all that was written. Raises ConnectionError once the client is gone."""
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the client has left")
        if self._paused:
            await self._drain_helper()

    def cut(self, *, reset: bool = False) -> None:
        """Break the connection off so that the client cannot take what it has for the whole.

        `reset`: the answer's only end is the end of the connection, so a plain close would look complete.
        """
        if self.transport is None:
            return
        sock = self.transport.get_extra_info("socket")
        if reset and sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def retire(self) -> None:
        """Take no further request: close at once when at rest, otherwise once the answer that is under way has ended."""
        if self._messages or self._request_in_progress:
            self.close()
        else:
            self.force_close()

    def take_over(self) -> asyncio.StreamReader:
        """Return a reader of everything the client sends from here on, that which has arrived already included."""
        if self.transport is None:
            raise ConnectionResetError("the client has left")
        reader = asyncio.StreamReader(limit=_TAKEN_OVER_WINDOW, loop=self._loop)
        reader.set_transport(self.transport)
        self.set_parser(cast("Any", _Feed(reader)))  # hands over what was kept back, and stops aiohttp from parsing it
        self._taken_over = reader
        return reader


class _Feed:
    """What aiohttp feeds instead of its parser: the place where it puts a WebSocket's reader."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self._reader.feed_eof()


class Listener(web.Server):
    """Makes a `Connection` of every client; a client that leaves cancels what runs for it."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
            raise ConfigurationError(
                "aiohttp was installed without its C parser",
                why="The pure Python parser is slower and differs from the one that snapproxy's request checks were made for.",
                hint="Install aiohttp from a wheel, and do not set AIOHTTP_NO_EXTENSIONS.",
            )
        super().__init__(
            cast("Any", self._answer), request_factory=cast("Any", self._request), handler_cancellation=True
        )
        self._handler = handler
        self._limits = limits
        self._lost = asyncio.Event()

    def __call__(self) -> Connection:
        return Connection(self, self._handler, self._limits, self._loop)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection once what ran for it has ended."""
        super().connection_lost(handler, exc)
        task = handler._task_handler  # noqa: SLF001 # see the module's docstring
        if task is None:
            self._lost.set()
        else:
            task.add_done_callback(lambda _: self._lost.set())

    def retire(self) -> None:
        """Let every connection go: those at rest now, the others after their answer."""
        for connection in self.connections:
            cast("Connection", connection).retire()

    async def emptied(self) -> None:
        """Wait until no connection is left."""
        while self.connections:
            self._lost.clear()
            await self._lost.wait()

    def cut(self) -> None:
        """Break every connection off."""
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
