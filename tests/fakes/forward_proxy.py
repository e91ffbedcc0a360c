"""A forward proxy that sends every tunnel to one server, whatever its name, and records the heads that it received."""

from __future__ import annotations

import asyncio

from tests.fakes.loopback_server import LoopbackServer
from tests.fakes.rude_server import Seen


class TunnelProxy(LoopbackServer):
    """Listens on 127.0.0.1 while its `async with` lasts. `target` is the port on this machine that tunnels lead to.

    `refusal` is the status with which CONNECT is answered instead, 0 for none.
    """

    def __init__(self, target: int, *, refusal: int = 0) -> None:
        super().__init__()
        self.seen: list[Seen] = []
        self._target = target
        self._refusal = refusal

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in rest)
        self.seen.append(Seen(method, target, {name.lower(): value for name, value in headers.items()}))
        if self._refusal:
            writer.write(f"HTTP/1.1 {self._refusal} Refused\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
        else:
            await self._tunnel(reader, writer)

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, far_writer))
                both.create_task(_copy(far_reader, writer))
        finally:
            far_writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(1 << 16):
        target.write(data)
        await target.drain()
    target.write_eof()
