"""The HTTP server: listens, hands connections to the gateway, and stops with grace. Reads no configuration."""

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
_LAST_WORDS_S = 1.0
"""How long handlers whose client was cut may take to put things in order."""


class WebServer:
    """Serves HTTP on any number of listening sockets in the running event loop.

    Raises ConfigurationError from `start` when aiohttp lacks its C parser. Parameters are those of `Gateway`;
    `tally` is told of tunnels, as the forwarder tells its own.
    """

    def __init__(
        self,
        answerer: Answerer,
        read_address: ReadAddress,
        *,
        pages: Pages,
        holding: BlobAnswerer,
        forwarder: Forwarder,
        tally: TrafficCounter,
        instance: str,
        now: Callable[[], Instant],
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._gateway = Gateway(
            answerer,
            read_address,
            pages=pages,
            holding=holding,
            forwarder=forwarder,
            tunnels=Tunnels(tally),
            tally=tally,
            instance=instance,
            now=now,
            limits=self._limits,
        )
        self._listener: Listener | None = None
        self._servers: list[asyncio.Server] = []

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where the server listens: (host, port), the port as the system chose it where 0 was asked."""
        return [sock.getsockname()[:2] for server in self._servers for sock in server.sockets]

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._listener.connections) if self._listener is not None else 0

    async def start(self, sockets: Iterable[socket.socket]) -> None:
        """Begin to serve on `sockets`, which are bound (`listeners` makes or inherits them) and from now on ours to close."""
        self._listener = Listener(self._gateway, self._limits)
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(await loop.create_server(self._listener, sock=sock, backlog=_BACKLOG))

    async def close(self, grace_s: float = 15.0) -> None:
        """Stop listening at once, let answers that are under way end within `grace_s` seconds, then cut them."""
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
            _log.warning("%d answers were cut after %g s of grace", self.connections, grace_s)
            self._listener.cut()
        await self._listener.shutdown(_LAST_WORDS_S)
