"""An HTTP client that sends exactly the given bytes, and distinguishes a regular end from a cut."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """An answer. `is_whole`: the body ended as its head announced."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    is_whole: bool = True

    def __getitem__(self, name: str) -> str:
        return self.headers[name.lower()]

    def get(self, name: str) -> str:
        return self.headers.get(name.lower(), "")


class RawClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int) -> RawClient:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)
        await self.writer.drain()

    async def get(self, target: str, *headers: str, method: str = "GET", version: str = "1.1") -> Answer:
        await self.send(request(target, *headers, method=method, version=version))
        return await self.answer(method)

    async def head(self) -> Answer:
        """Read a head and leave the body unread."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        version, status, reason = lines[0].split(" ", 2)
        assert version == "HTTP/1.1"
        headers: dict[str, str] = {}
        for line in lines[1:-2]:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, f"{name} was sent twice"
            headers[name.lower()] = value
        return Answer(int(status), reason, headers, b"")

    async def answer(self, method: str = "GET") -> Answer:
        head = await self.head()
        if method == "HEAD" or head.status in {204, 304}:
            return head
        body, is_whole = await self._body(head)
        return Answer(head.status, head.reason, head.headers, body, is_whole)

    async def _body(self, head: Answer) -> tuple[bytes, bool]:
        if head.get("Transfer-Encoding") == "chunked":
            return await self._chunks()
        if length := head.get("Content-Length"):
            try:
                return await self.reader.readexactly(int(length)), True
            except asyncio.IncompleteReadError as short:
                return short.partial, False
        body = b""
        try:
            while data := await self.reader.read(65536):
                body += data
        except ConnectionResetError:
            return body, False
        return body, True

    async def _chunks(self) -> tuple[bytes, bool]:
        body = b""
        try:
            while size := int((await self.reader.readuntil(b"\r\n")).strip(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        except asyncio.IncompleteReadError:
            return body, False
        return body, True

    async def is_closed(self) -> bool:
        """Wait for the server to close the connection; False if it sends more instead."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.writer.transport.abort()

    def reset(self) -> None:
        """Disconnect so that the server notices it at once, and not when it sends the next bytes."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def request(target: str, *headers: str, method: str = "GET", version: str = "1.1") -> str:
    lines = [f"{method} {target} HTTP/{version}", "Host: test", *headers]
    return "\r\n".join(lines) + "\r\n\r\n"
