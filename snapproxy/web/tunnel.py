"""CONNECT: two streams of bytes copied both ways. Whether a tunnel is allowed at all was decided with the address."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from snapproxy.core.exchange import TrafficCounter, TunnelTarget
from snapproxy.core.model import Refusal
from snapproxy.web.response_writer import ResponseWriter

_PIECE = 64 << 10
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
"""Neither a length nor a coding: what follows is no body (RFC 9110 section 9.3.6)."""


class Tunnels:
    """At most `most` tunnels at a time, each ended after `idle_s` seconds without a byte in either direction."""

    def __init__(
        self, tally: TrafficCounter, *, most: int = 64, connect_s: float = 15.0, idle_s: float = 300.0
    ) -> None:
        self._tally = tally
        self._most = most
        self._connect_s = connect_s
        self._idle_s = idle_s
        self._open = 0

    async def carry(self, target: TunnelTarget, wire: ResponseWriter) -> Refusal | None:
        """Connect and copy until both sides have ended; a Refusal where nothing was sent to the client yet.

        Raises ConnectionError when a side breaks off, TimeoutError when both fall silent.
        """
        if self._open >= self._most:
            return Refusal(503, "Too many tunnels are open", hint="Ask again in a while.", headers={"Retry-After": "5"})
        self._open += 1
        try:
            return await self._carry(target, wire)
        finally:
            self._open -= 1

    async def _carry(self, target: TunnelTarget, wire: ResponseWriter) -> Refusal | None:
        try:
            async with asyncio.timeout(self._connect_s):
                reader, writer = await asyncio.open_connection(target.host, target.port)
        except TimeoutError:
            return Refusal(504, "The tunnel's host did not answer", why=f"No connection within {self._connect_s:g} s.")
        except OSError as error:
            return Refusal(502, "The tunnel's host cannot be reached", why=error.strerror or "")
        counts = _Counts()
        try:
            await self._copy(wire, reader, writer, counts)
        finally:
            writer.transport.abort()
            wire.sent = counts.received
            self._tally.unpinned(target.host, counts.sent, counts.received)
        return None

    async def _copy(
        self, wire: ResponseWriter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counts: _Counts
    ) -> None:
        connection = wire.connection
        client = connection.take_over()
        wire.status = 200
        wire.keeps_alive = False
        wire.put(_ESTABLISHED)

        async def to_host(data: bytes) -> None:
            counts.sent += len(data)
            writer.write(data)
            await writer.drain()

        async def to_client(data: bytes) -> None:
            counts.received += len(data)
            wire.put(data)
            await connection.drain()

        def end_client() -> None:
            if connection.transport is not None:
                connection.transport.write_eof()

        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._idle_s) as silence, asyncio.TaskGroup() as both:

                def keep_open() -> None:
                    silence.reschedule(loop.time() + self._idle_s)

                both.create_task(_pump(client, to_host, writer.write_eof, keep_open))
                both.create_task(_pump(reader, to_client, end_client, keep_open))
        except* ConnectionError as broken:
            raise ConnectionResetError("a side of the tunnel broke off") from broken
        await writer.drain()


class _Counts:
    """Bytes carried each way."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0


async def _pump(
    source: asyncio.StreamReader,
    put: Callable[[bytes], Awaitable[None]],
    end: Callable[[], None],
    keep_open: Callable[[], None],
) -> None:
    """Copy one direction until its source has ended, then end the other side's half: the opposite direction may go on."""
    while data := await source.read(_PIECE):
        keep_open()
        await put(data)
        keep_open()
    end()
