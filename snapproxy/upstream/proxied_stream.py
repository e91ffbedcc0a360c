"""A stream of bytes to a host through the upstream proxy, opened by CONNECT (RFC 9110, section 9.3.6)."""

from __future__ import annotations

import asyncio
import errno
import re
from asyncio import StreamReader, StreamWriter

from yarl import URL

from snapproxy.upstream.faults import PROXY_LOGIN_REQUIRED

_HEAD = 16 << 10
"""Maximum bytes of the proxy's answer."""

_STATUS = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3})[ \r]")
_OK = range(200, 300)


async def open_proxied(proxy: str, authorization: str, host: str, port: int) -> tuple[StreamReader, StreamWriter]:
    """Connect to a host through the proxy at the address `proxy`. Raise OSError, whose text says what failed."""
    url = URL(proxy)
    try:
        reader, writer = await asyncio.open_connection(url.host, url.port, limit=_HEAD)
    except OSError:
        raise OSError(errno.ECONNREFUSED, "The upstream proxy cannot be reached") from None
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if fault := await _connect(reader, writer, authority, authorization):
            raise OSError(errno.ECONNREFUSED, fault)  # noqa: TRY301 -- as every failure, it ends the connection
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


async def _connect(reader: StreamReader, writer: StreamWriter, authority: str, authorization: str) -> str:
    """Send the request, and read the head of the answer. Return what failed, '' if the tunnel is open."""
    login = f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
    writer.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{login}\r\n".encode("ascii"))
    try:
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        head = b""
    found = _STATUS.match(head)
    if found is None:
        return "The upstream proxy gave no valid answer to CONNECT"
    status = int(found[1])
    if status in _OK:
        return ""
    hint = ". Check `upstream_proxy_credentials`" if status == PROXY_LOGIN_REQUIRED else ""
    return f"The upstream proxy refused the tunnel ({status}){hint}"
