"""The server of the proxy: listens on sockets, recognises requests for its own names, and has its own pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from socket import socket
from typing import Any

from snapproxy.client_config import first_steps, pin_script
from snapproxy.core import address
from snapproxy.core.address import AddressBook
from snapproxy.core.exchange import Answerer, BlobAnswerer, Forwarder, TrafficCounter
from snapproxy.core.model import Instant
from snapproxy.core.routes import format_authority
from snapproxy.web.pages import Pages
from snapproxy.web.server import WebServer

GRACE_SECONDS = 15.0
"""Maximum seconds for running answers to end when the proxy stops."""


@asynccontextmanager
async def serving(
    sockets: Sequence[socket],
    answerer: Answerer,
    book: AddressBook,
    *,
    by_digest: BlobAnswerer,
    forwarder: Forwarder,
    traffic: TrafficCounter,
    admits: Callable[[str], bool],
    stats: Callable[[], dict[str, Any]],
    health: Callable[[], Awaitable[str]],
    ready: Callable[[], Awaitable[str]],
    is_discoverable: bool,
    instance: str,
    now: Callable[[], Instant],
    grace_seconds: float = GRACE_SECONDS,
) -> AsyncIterator[None]:
    """Answer on `sockets` while the block runs, then close them. Running answers get `grace_seconds` to end.

    `stats`, `health`, `ready` and `is_discoverable` are for the pages of the proxy itself (`Pages`).
    """
    addresses = [format_authority(*each.getsockname()[:2]) for each in sockets]
    ports = {each.getsockname()[1] for each in sockets}
    book = replace(book, own_hosts=frozenset(addresses) | {f"localhost:{port}" for port in ports})
    pages = Pages(
        snippets=lambda host: [(snippet.path, snippet.text) for snippet in first_steps(f"http://{host}")],
        script=lambda when, host, capture: pin_script.script(book.archives, when, f"http://{host}", capture),
        stats=stats,
        healthy=health,
        ready=ready,
        address=addresses[0],
        is_discoverable=is_discoverable,
    )
    server = WebServer(
        answerer,
        lambda method, target, _host, authorization: address.read(
            method, target, book, proxy_authorization=authorization
        ),
        pages=pages,
        by_digest=by_digest,
        forwarder=forwarder,
        traffic=traffic,
        admits=admits,
        instance=instance,
        now=now,
    )
    await server.start(sockets)
    try:
        yield
    finally:
        await server.close(grace_seconds)
