"""The server of the proxy: listens on sockets, recognises requests for its own names, and has its own pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from socket import socket
from typing import Any

from snapproxy.access.gate import Gate
from snapproxy.client_config import first_steps, pin_script
from snapproxy.core import address
from snapproxy.core.address import AddressBook
from snapproxy.core.exchange import Answerer, BlobAnswerer, TrafficCounter
from snapproxy.core.model import Instant
from snapproxy.core.routes import format_authority
from snapproxy.web import access_log
from snapproxy.web.access_log import WriteEntry
from snapproxy.web.certificate import TlsListener
from snapproxy.web.gateway import Gateway, NoteServed, ReadAddress
from snapproxy.web.pages import Pages
from snapproxy.web.server import WebServer
from snapproxy.web.tunnel import TunnelForwarder

GRACE_SECONDS = 15.0
"""Maximum seconds for running answers to end when a proxy without settings of its own stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What answers requests under one configuration.

    `stats`, `health`, `ready` and `is_discoverable` are for the pages of the proxy itself (`Pages`). `admits` returns
    whether the client at an address may request anything, `gate` decides by its token.
    """

    answerer: Answerer
    book: AddressBook
    by_digest: BlobAnswerer
    stats: Callable[[], dict[str, Any]]
    health: Callable[[], Awaitable[str]]
    ready: Callable[[], Awaitable[str]]
    is_discoverable: bool
    admits: Callable[[str], bool]
    gate: Gate


class ProxyServer:
    """Serves a site on sockets, and on those of `tls`, and replaces the site while it runs. It closes the sockets."""

    def __init__(
        self,
        sockets: Sequence[socket],
        site: Site,
        *,
        forwarder: TunnelForwarder,
        traffic: TrafficCounter,
        instance: str,
        now: Callable[[], Instant],
        note_served: NoteServed,
        log: WriteEntry = access_log.write,
        tls: TlsListener | None = None,
    ) -> None:
        self._sockets = sockets
        self._tls = tls
        listening = [*sockets, *(tls.sockets if tls is not None else ())]
        self._addresses = [format_authority(*each.getsockname()[:2]) for each in listening]
        self._ports = {each.getsockname()[1] for each in listening}
        self._server = WebServer(
            site.answerer,
            self._address_reader(site),
            pages=self._pages(site),
            by_digest=site.by_digest,
            admits=site.admits,
            gate=site.gate,
            forwarder=forwarder,
            traffic=traffic,
            instance=instance,
            now=now,
            note_served=note_served,
            log=log,
        )

    @property
    def connections(self) -> int:
        """The number of connected clients."""
        return self._server.connections

    @property
    def in_flight(self) -> int:
        """The number of requests that are being answered."""
        return self._server.in_flight

    @property
    def is_closing(self) -> bool:
        """Whether the server stops: it answers only the requests that have arrived."""
        return self._server.is_closing

    async def start(self) -> None:
        """Start to listen."""
        await self._server.start(self._sockets, self._tls)

    def switch(self, site: Site) -> Gateway:
        """Answer the requests that arrive from now on from another site; return the gateway of the former one."""
        return self._server.switch(
            site.answerer,
            self._address_reader(site),
            pages=self._pages(site),
            by_digest=site.by_digest,
            admits=site.admits,
            gate=site.gate,
        )

    async def close(self, grace_s: float) -> None:
        """Stop listening, wait up to `grace_s` seconds for running answers, then abort them."""
        await self._server.close(grace_s)

    def _address_reader(self, site: Site) -> ReadAddress:
        own_hosts = frozenset(self._addresses) | {f"localhost:{port}" for port in self._ports}
        book = replace(site.book, own_hosts=own_hosts)
        return lambda method, target, _host, authorization: address.read(
            method, target, book, proxy_authorization=authorization
        )

    def _pages(self, site: Site) -> Pages:
        async def ready() -> str:
            if self._server.is_closing:
                return "draining: the server stops, and answers only the requests that have arrived"
            return await site.ready()

        archives = site.book.archives
        return Pages(
            snippets=lambda base: [(snippet.path, snippet.text) for snippet in first_steps(base)],
            script=lambda when, base, capture: pin_script.script(archives, when, base, capture),
            stats=site.stats,
            healthy=site.health,
            ready=ready,
            address=self._addresses[0],
            is_discoverable=site.is_discoverable,
        )


@asynccontextmanager
async def serving(
    server: ProxyServer, drain: Callable[[], float] = lambda: GRACE_SECONDS
) -> AsyncIterator[ProxyServer]:
    """Let a server listen while the block runs, then close it.

    `drain` returns the seconds that running answers have to end, when the block has ended.
    """
    await server.start()
    try:
        yield server
    finally:
        await server.close(drain())
