"""The client's end of one request: a head, then bytes framed as that head said. What they are is no concern of this module."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from enum import Enum

from snapproxy.web.heads import Fields, ReplyHead, render
from snapproxy.web.protocol import ClientRequest

STALL_S = 300.0
"""Seconds after which a client that takes no bytes at all is given up; apt's own patience in the other direction is less."""

_LITTLE = 64 << 10
"""Bytes that may rest in the write buffer when a request ends; more are waited for, so that pipelined answers cannot pile up."""


class Framing(Enum):
    """How the end of a body is known (RFC 9112 section 6.3)."""

    NONE = "none"
    """There is no body."""
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"
    """By the end of the connection: HTTP/1.0 and a length that nobody knows."""


class ResponseWriter:
    """Writes the one answer to `request`.

    `closing`: the server is about to stop, so the client is told not to come back on this connection.
    `status`, `sent` and `outcome` are for the log: bytes are those of the body.
    """

    def __init__(self, request: ClientRequest, *, common: Fields, closing: bool = False) -> None:
        self.request = request
        self.connection = request.connection
        self.keeps_alive = request.keep_alive and not closing
        self.status = 0
        self.sent = 0
        self.outcome = "done"
        self._common = common
        self._framing = Framing.NONE
        self._length = 0

    @property
    def wants_body(self) -> bool:
        """Whether the head that was begun is followed by a body."""
        return self._framing is not Framing.NONE

    @property
    def is_chunked(self) -> bool:
        """Whether bytes must pass through `write`, which frames them, and cannot be sent as they lie in a file."""
        return self._framing is Framing.CHUNKED

    def begin(self, reply: ReplyHead, first: bytes = b"") -> None:
        """Write the head, and the `first` bytes of the body in the same segment. Raises ConnectionError once the client is gone."""
        self.status = reply.status
        self._framing = self._frame(reply)
        self._length = reply.length or 0
        if reply.closes or self._framing is Framing.CLOSE:
            self.keeps_alive = False
        self.connection.is_last_answer |= not self.keeps_alive
        head = render(reply.status, reply.reason, (*reply.fields, *self._missing(reply), *self._framing_fields(reply)))
        self.put(head + self._framed(first) if first and self.wants_body else head)

    def _frame(self, reply: ReplyHead) -> Framing:
        if self.request.method == "HEAD" or reply.is_bodiless:
            return Framing.NONE
        if reply.length is not None:
            return Framing.LENGTH
        return Framing.CHUNKED if self.request.version >= (1, 1) else Framing.CLOSE

    def _missing(self, reply: ReplyHead) -> Fields:
        """Return the common fields (Date, Via, Server) that the reply does not bring itself."""
        named = {name.lower() for name, _ in reply.fields}
        return tuple((name, value) for name, value in self._common if name.lower() not in named)

    def _framing_fields(self, reply: ReplyHead) -> Fields:
        """Say keep-alive in words: apk opens a connection a request unless it is told, HTTP/1.1 or not."""
        connection = ("Connection", "keep-alive" if self.keeps_alive else "close")
        if reply.is_bodiless:
            return (connection,)
        if reply.length is not None:
            return (("Content-Length", str(reply.length)), connection)
        return (("Transfer-Encoding", "chunked"), connection) if self.is_chunked else (connection,)

    def _framed(self, data: bytes) -> bytes:
        self.sent += len(data)
        return b"%x\r\n%b\r\n" % (len(data), data) if self.is_chunked else data

    def put(self, data: bytes) -> None:
        """Write bytes as they are. Raises ConnectionError once the client is gone."""
        transport = self.connection.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        transport.write(data)

    async def write(self, data: bytes) -> None:
        """Write some of the body and wait until the kernel has it, so that a slow client costs one piece of memory."""
        if data:
            self.put(self._framed(data))
            await self.flush()

    async def copy(self, chunks: AsyncIterator[bytes]) -> None:
        """Write every chunk; whatever happens, the generator behind them has ended before this does."""
        try:
            async for data in chunks:
                await self.write(data)
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    async def flush(self) -> None:
        """Wait until the kernel has everything. Raises ConnectionError when the client leaves, TimeoutError when it takes nothing."""
        transport = self.connection.transport
        if transport is None or transport.get_write_buffer_size():
            async with asyncio.timeout(STALL_S):
                await self.connection.drain()

    async def finish(self) -> None:
        """End the body as its framing demands. Raises RuntimeError when it is not as long as the head said."""
        if self._framing is Framing.LENGTH and self.sent != self._length:
            raise RuntimeError(f"{self.sent} bytes were sent of a body of {self._length}")
        if self.is_chunked:
            self.put(b"0\r\n\r\n")
        transport = self.connection.transport
        if transport is not None and transport.get_write_buffer_size() > _LITTLE:
            await self.flush()

    async def say(self, reply: ReplyHead) -> None:
        """Send an answer whose body is its text."""
        self.begin(reply, reply.text)
        if self.wants_body:
            await self.finish()

    def cut(self, outcome: str) -> None:
        """Break off in a way the client must notice; `outcome` goes to the log."""
        self.outcome = outcome
        self.keeps_alive = False
        self.connection.cut(reset=self._framing is Framing.CLOSE)
