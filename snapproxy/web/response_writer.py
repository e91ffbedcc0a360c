"""Write the answer to one request: a head, then bytes in the framing of that head.

This module does not interpret them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from enum import Enum

from snapproxy.web.access_log import AccessEntry
from snapproxy.web.protocol import ClientRequest
from snapproxy.web.replies import Fields, ReplyHead, render

STALL_S = 300.0
"""Seconds after which a client that receives no bytes is disconnected; apt's timeout for a silent server is shorter."""

_LITTLE = 64 << 10
"""Maximum bytes left in the write buffer when a request ends, so that pipelined answers cannot accumulate."""


class Framing(Enum):
    """The ways in which the end of a body is marked (RFC 9112 section 6.3)."""

    NONE = "none"
    """There is no body."""
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"
    """The end of the connection ends the body: HTTP/1.0 and an unknown length."""


class ResponseWriter:
    """Writes the answer to `request`.

    `closing`: the server is stopping, so the connection is closed after this answer. `status`, `sent` (bytes of the
    body), `reason` (of a refusal) and `outcome` are for the log.
    """

    def __init__(self, request: ClientRequest, *, common: Fields, closing: bool = False) -> None:
        self.request = request
        self.connection = request.connection
        self.keeps_alive = request.keep_alive and not closing
        self.status = 0
        self.sent = 0
        self.outcome = "done"
        self.reason = ""
        self._common = common
        self._framing = Framing.NONE
        self._length = 0

    @property
    def wants_body(self) -> bool:
        """Whether a body follows the head that was written."""
        return self._framing is not Framing.NONE

    @property
    def is_chunked(self) -> bool:
        """Whether the body is chunked: its bytes must go through `write`, not through sendfile."""
        return self._framing is Framing.CHUNKED

    def begin(self, reply: ReplyHead, first: bytes = b"") -> None:
        """Write the head and the `first` bytes of the body. Raises ConnectionError if the client has disconnected."""
        self.status = reply.status
        if reply.status >= 400:  # noqa: PLR2004 # RFC 9110: an error
            self.reason = reply.reason
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
        """Return the common fields (Date, Via, Server) that the reply does not have."""
        named = {name.lower() for name, _ in reply.fields}
        return tuple((name, value) for name, value in self._common if name.lower() not in named)

    def _framing_fields(self, reply: ReplyHead) -> Fields:
        """Return the framing fields and Connection. apk reuses a connection only if keep-alive is explicit."""
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
        """Write bytes without framing. Raises ConnectionError if the client has disconnected."""
        transport = self.connection.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has disconnected")
        transport.write(data)

    async def write(self, data: bytes) -> None:
        """Write a part of the body and wait until the kernel has it, so that a slow client costs one part of memory."""
        if data:
            self.put(self._framed(data))
            await self.flush()

    async def copy(self, chunks: AsyncIterator[bytes]) -> None:
        """Write every chunk, and close the generator in any case."""
        try:
            async for data in chunks:
                await self.write(data)
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    async def flush(self) -> None:
        """Wait until the kernel has all bytes.

        Raises ConnectionError if the client disconnects, TimeoutError if it takes no bytes.
        """
        transport = self.connection.transport
        if transport is None or transport.get_write_buffer_size():
            async with asyncio.timeout(STALL_S):
                await self.connection.drain()

    async def finish(self) -> None:
        """End the body according to its framing. Raises RuntimeError if it does not have the stated length."""
        if self._framing is Framing.LENGTH and self.sent != self._length:
            raise RuntimeError(f"{self.sent} bytes were sent of a body of {self._length}")
        if self.is_chunked:
            self.put(b"0\r\n\r\n")
        transport = self.connection.transport
        if transport is not None and transport.get_write_buffer_size() > _LITTLE:
            await self.flush()

    async def send(self, reply: ReplyHead) -> None:
        """Send an answer with its text as the body."""
        self.begin(reply, reply.text)
        if self.wants_body:
            await self.finish()

    def ended(self, entry: AccessEntry, seconds: float) -> AccessEntry:
        """Return the line of the access log, completed with the figures of the answer and the id of the request."""
        entry.status, entry.sent, entry.outcome, entry.reason = self.status, self.sent, self.outcome, self.reason
        entry.seconds, entry.request_id = seconds, self.request.id
        entry.agent = self.request.headers.get("User-Agent", "")
        entry.version = "1.1" if self.request.version >= (1, 1) else "1.0"
        return entry

    def cut(self, outcome: str) -> None:
        """Abort the connection so that the client must notice it; `outcome` is for the log."""
        self.outcome = outcome
        self.keeps_alive = False
        self.connection.cut(reset=self._framing is Framing.CLOSE)
