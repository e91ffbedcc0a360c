"""The HTTP server: it listens, passes connections to the gateway, and stops gracefully. It reads no configuration."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import weakref
from collections.abc import Callable, Iterable

from snapproxy.access.gate import Gate
from snapproxy.core.exchange import Answerer, BlobAnswerer, TrafficCounter
from snapproxy.core.model import Instant
from snapproxy.web import access_log
from snapproxy.web.access_log import WriteEntry
from snapproxy.web.certificate import TlsListener
from snapproxy.web.gateway import Gateway, NoteServed, ReadAddress
from snapproxy.web.pages import Pages
from snapproxy.web.protocol import Limits, Listener
from snapproxy.web.tls_accept import TlsAcceptor
from snapproxy.web.tunnel import TunnelForwarder, Tunnels

_log = logging.getLogger(__name__)

_BACKLOG = 1024
_LAST_READ_S = 0.05
"""Seconds in which requests that had arrived when the server began to stop are read, so that they are answered."""
_FIRST_REQUEST_S = 2.0
"""Seconds that a new client has for its first request when the server stops: it would not send that again elsewhere."""
_CLEAN_UP_S = 1.0
"""Seconds that handlers of aborted connections may take to clean up."""


class WebServer:
    """Serves HTTP on any number of listening sockets in the running event loop.

    The parameters are those of `Gateway`; `tally` also counts tunnels. `start` raises ConfigurationError if aiohttp was
    installed without its C parser.
    """

    def __init__(
        self,
        answerer: Answerer,
        read_address: ReadAddress,
        *,
        pages: Pages,
        by_digest: BlobAnswerer,
        forwarder: TunnelForwarder,
        traffic: TrafficCounter,
        admits: Callable[[str], bool],
        gate: Gate,
        instance: str,
        now: Callable[[], Instant],
        note_served: NoteServed,
        limits: Limits | None = None,
        log: WriteEntry = access_log.write,
    ) -> None:
        self._limits = limits or Limits()
        self._make_gateway = functools.partial(
            Gateway,
            forwarder=forwarder,
            tunnels=Tunnels(traffic, forwarder),
            traffic=traffic,
            instance=instance,
            now=now,
            note_served=note_served,
            limits=self._limits,
            log=log,
        )
        self._gateway = self._make_gateway(
            answerer, read_address, pages=pages, by_digest=by_digest, admits=admits, gate=gate
        )
        self._gateways = weakref.WeakSet([self._gateway])
        self._listener: Listener | None = None
        self._servers: list[asyncio.Server] = []
        self._acceptors: list[TlsAcceptor] = []

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses of the server: (host, port), with the port that the system chose for port 0."""
        return [sock.getsockname()[:2] for server in self._servers for sock in server.sockets]

    @property
    def is_closing(self) -> bool:
        """Whether the server is being closed, so that each connection ends with its running answer."""
        return self._gateway.is_closing

    @property
    def connections(self) -> int:
        """The number of connected clients."""
        return len(self._listener.connections) if self._listener is not None else 0

    @property
    def in_flight(self) -> int:
        """The number of requests that are being answered, those of former configurations included."""
        return sum(gateway.running for gateway in self._gateways)

    async def start(self, sockets: Iterable[socket.socket], tls: TlsListener | None = None) -> None:
        """Start to serve on `sockets`, and on those of `tls`. They are bound; the server closes them."""
        if self._listener is None:
            self._listener = Listener(self._gateway, self._limits)
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(await loop.create_server(self._listener, sock=sock, backlog=_BACKLOG))
        if tls is None:
            return
        for sock in tls.sockets:
            self._acceptors.append(TlsAcceptor(sock, self._listener, tls.certificate.context))

    def switch(
        self,
        answerer: Answerer,
        read_address: ReadAddress,
        *,
        pages: Pages,
        by_digest: BlobAnswerer,
        admits: Callable[[str], bool],
        gate: Gate,
    ) -> Gateway:
        """Answer the requests that arrive from now on with other parts, also on open connections.

        Return the gateway that answers those that have arrived; await its `ended` before its parts are closed.
        """
        former = self._gateway
        self._gateway = self._make_gateway(
            answerer, read_address, pages=pages, by_digest=by_digest, admits=admits, gate=gate
        )
        self._gateway.is_closing = former.is_closing
        self._gateways.add(self._gateway)
        if self._listener is not None:
            self._listener.handler = self._gateway
        return former

    async def close(self, grace_s: float = 15.0) -> None:
        """Stop listening, wait up to `grace_s` seconds for running answers, then abort them.

        A request that has arrived is answered, and so is the first one of a client that has just connected.
        """
        self._gateway.is_closing = True
        for server in self._servers:
            server.close()
        self._servers.clear()
        await asyncio.gather(*(acceptor.close() for acceptor in self._acceptors))
        self._acceptors.clear()
        if self._listener is None:
            return
        try:
            async with asyncio.timeout(grace_s):
                await asyncio.sleep(_LAST_READ_S)
                self._listener.retire(first_requests=True)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FIRST_REQUEST_S):
                        await self._listener.emptied()
                self._listener.retire(first_requests=False)
                await self._listener.emptied()
        except TimeoutError:
            _log.warning("%d answers were aborted %g s after the server began to stop", self.connections, grace_s)
            self._listener.cut()
        await self._listener.shutdown(_CLEAN_UP_S)
