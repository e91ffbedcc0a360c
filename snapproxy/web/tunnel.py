"""CONNECT: copy two streams of bytes in both directions. `core.address` has decided that the tunnel is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from snapproxy.core.exchange import Forwarder, TrafficCounter, TunnelTarget
from snapproxy.core.model import Refusal
from snapproxy.upstream.egress import PrivateAddressError, private_pass
from snapproxy.web.response_writer import ResponseWriter

_PIECE = 64 << 10
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
"""The answer has no length and no coding, because a tunnel has no body (RFC 9110 section 9.3.6)."""


class TunnelForwarder(Forwarder, Protocol):
    """Reaches the hosts of requests and of tunnels that a build may use unpinned."""

    async def open(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the host of a tunnel. Raises OSError if that is impossible or not allowed."""


class Tunnels:
    """At most `most` concurrent tunnels, each closed after `idle_s` seconds without a byte in either direction.

    `forwarder` connects to their hosts.
    """

    def __init__(
        self,
        traffic: TrafficCounter,
        forwarder: TunnelForwarder,
        *,
        most: int = 64,
        connect_s: float = 15.0,
        idle_s: float = 300.0,
    ) -> None:
        self._traffic = traffic
        self._forwarder = forwarder
        self._most = most
        self._connect_s = connect_s
        self._idle_s = idle_s
        self._open = 0

    async def carry(self, target: TunnelTarget, wire: ResponseWriter) -> Refusal | None:
        """Connect, and copy until both sides have ended. Return a Refusal if the connection fails.

        Raises ConnectionError if a side closes the connection early, TimeoutError if both are idle.
        """
        if self._open >= self._most:
            return Refusal(503, "Too many tunnels are open", hint="Try again later.", headers={"Retry-After": "5"})
        self._open += 1
        try:
            return await self._carry(target, wire)
        finally:
            self._open -= 1

    async def _carry(self, target: TunnelTarget, wire: ResponseWriter) -> Refusal | None:
        try:
            async with asyncio.timeout(self._connect_s):
                reader, writer = await self._forwarder.open(target.host, target.port)
        except TimeoutError:
            return Refusal(504, "The tunnel's host did not answer", why=f"No connection within {self._connect_s:g} s.")
        except PrivateAddressError:
            return private_pass(target.host)
        except OSError as error:
            return Refusal(502, "The tunnel's host cannot be reached", why=error.strerror or "")
        counts = _Counts()
        try:
            await self._copy(wire, reader, writer, counts)
        finally:
            writer.transport.abort()
            wire.sent = counts.received
            self._traffic.unpinned(target.host, counts.sent, counts.received)
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
            if connection.transport is not None and connection.transport.can_write_eof():
                connection.transport.write_eof()
            elif connection.transport is not None:
                connection.transport.close()  # TLS has no half-closed connections

        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._idle_s) as silence, asyncio.TaskGroup() as both:

                def keep_open() -> None:
                    silence.reschedule(loop.time() + self._idle_s)

                both.create_task(_pump(client, to_host, writer.write_eof, keep_open))
                both.create_task(_pump(reader, to_client, end_client, keep_open))
        except* ConnectionError as broken:
            raise ConnectionResetError("a side of the tunnel closed the connection") from broken
        await writer.drain()


class _Counts:
    """Bytes copied in each direction."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0


async def _pump(
    source: asyncio.StreamReader,
    put: Callable[[bytes], Awaitable[None]],
    end: Callable[[], None],
    keep_open: Callable[[], None],
) -> None:
    """Copy one direction until its source ends, then close that direction only: the opposite one may continue."""
    while data := await source.read(_PIECE):
        keep_open()
        await put(data)
        keep_open()
    end()
