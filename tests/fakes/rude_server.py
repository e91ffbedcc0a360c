"""A server on a bare socket that misbehaves on command.

It resets, stalls, cuts, sends wrong bytes and drips where a real HTTP server could not. A path is given a list of
behaviours, one per request; the last one repeats. A behaviour runs after the request head has been read.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.fakes.loopback_server import LoopbackServer


@dataclass(frozen=True)
class Seen:
    """A request as received; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)


Manner = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


def head(status: int, **headers: object) -> bytes:
    """Write a head; `content_length=3` becomes `content-length: 3`."""
    lines = [f"HTTP/1.1 {status} Word", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def reply(status: int, body: bytes = b"", **headers: object) -> Manner:
    """Answer correctly, and keep the connection."""
    length = {} if status == 304 else {"content_length": len(body)}
    return say(head(status, **(length | headers)) + body)


def say(data: bytes) -> Manner:
    """Send exactly these bytes, and keep the connection."""

    async def manner(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return manner


def then_close(first: Manner) -> Manner:
    """Close the connection regularly afterwards."""

    async def manner(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await first(seen, writer)
        writer.close()

    return manner


def then_reset(first: Manner) -> Manner:
    """Reset the connection (RST) afterwards, after a delay in which the client can read the bytes."""

    async def manner(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await first(seen, writer)
        await asyncio.sleep(0.05)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return manner


def then_stall(first: Manner) -> Manner:
    """Send nothing more, and keep the connection open."""

    async def manner(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await first(seen, writer)
        await asyncio.Event().wait()

    return manner


class RudeServer(LoopbackServer):
    """Listens on 127.0.0.1 while its `async with` lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Seen] = []
        self.connections = 0
        self._manners: dict[str, list[Manner]] = {}

    def on(self, path: str, *manners: Manner) -> str:
        """Use these behaviours for `path`; return its URL."""
        self._manners[path] = list(manners)
        return self.url(path)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while not writer.is_closing():
            await self._one(await reader.readuntil(b"\r\n\r\n"), writer)

    async def _one(self, block: bytes, writer: asyncio.StreamWriter) -> None:
        first, *rest = block.decode("latin-1").rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.split(": ", 1) for line in rest)
        seen = Seen(method, target, {name.lower(): value for name, value in pairs})
        self.seen.append(seen)
        manners = self._manners.get(target) or [reply(404)]
        await (manners.pop(0) if len(manners) > 1 else manners[0])(seen, writer)
