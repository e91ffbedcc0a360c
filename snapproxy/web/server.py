"""The HTTP server: it listens, passes connections to the gateway, and stops gracefully. It reads no configuration."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable

from snapproxy.core.exchange import Answerer, BlobAnswerer, Forwarder, TrafficCounter
from snapproxy.core.model import Instant
from snapproxy.web.gateway import Gateway, ReadAddress
from snapproxy.web.pages import Pages
from snapproxy.web.protocol import Limits, Listener
from snapproxy.web.tunnel import Tunnels

_log = logging.getLogger(__name__)

_BACKLOG = 1024
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
        forwarder: Forwarder,
        traffic: TrafficCounter,
        admits: Callable[[str], bool],
        instance: str,
        now: Callable[[], Instant],
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._gateway = Gateway(
            answerer,
            read_address,
            pages=pages,
            by_digest=by_digest,
            forwarder=forwarder,
            tunnels=Tunnels(traffic),
            traffic=traffic,
            admits=admits,
            instance=instance,
            now=now,
            limits=self._limits,
        )
        self._listener: Listener | None = None
        self._servers: list[asyncio.Server] = []

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses of the server: (host, port), with the port that the system chose for port 0."""
        return [sock.getsockname()[:2] for server in self._servers for sock in server.sockets]

    @property
    def connections(self) -> int:
        """The number of connected clients."""
        return len(self._listener.connections) if self._listener is not None else 0

    async def start(self, sockets: Iterable[socket.socket]) -> None:
        """Start to serve on `sockets`, which are bound; the server closes them."""
        self._listener = Listener(self._gateway, self._limits)
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(await loop.create_server(self._listener, sock=sock, backlog=_BACKLOG))

    async def close(self, grace_s: float = 15.0) -> None:
        """Stop listening, wait up to `grace_s` seconds for running answers, then abort them."""
        self._gateway.is_closing = True
        for server in self._servers:
            server.close()
        self._servers.clear()
        if self._listener is None:
            return
        self._listener.retire()
        try:
            async with asyncio.timeout(grace_s):
                await self._listener.emptied()
        except TimeoutError:
            _log.warning("%d answers were aborted %g s after the server began to stop", self.connections, grace_s)
            self._listener.cut()
        await self._listener.shutdown(_CLEAN_UP_S)
