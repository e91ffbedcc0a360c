"""Accept connections with TLS: each counts before its handshake, so that silent ones cannot take all descriptors.

A server of asyncio would count a connection after its handshake alone.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass

from snapproxy.web.certificate import HANDSHAKE_S
from snapproxy.web.protocol import Listener, peer_of

_PAUSE_S = 1.0
"""Seconds until the next attempt if no connection can be accepted, for want of descriptors."""


@dataclass(eq=False)
class _Handshake:
    """A connection whose handshake has not ended (`connection_limits.LimitedConnection`)."""

    peer: str
    connection: socket.socket
    waits_since: float
    task: asyncio.Task[None] | None = None
    is_idle = True

    def force_close(self) -> None:
        self.connection.close()
        if self.task is not None:
            self.task.cancel()


class TlsAcceptor:
    """Accepts connections on one listening socket, which it closes, and gives them to a listener."""

    def __init__(self, sock: socket.socket, listener: Listener, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._listener = listener
        self._context = context
        self._handshakes: set[asyncio.Task[None]] = set()
        sock.setblocking(False)  # noqa: FBT003 # the method of the standard library
        self._accepting = asyncio.create_task(self._accept())

    async def close(self) -> None:
        """Stop listening. Handshakes that have not ended are ended."""
        self._accepting.cancel()
        for task in self._handshakes:
            task.cancel()
        await asyncio.gather(self._accepting, *self._handshakes, return_exceptions=True)
        self._sock.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, name = await loop.sock_accept(self._sock)
            except OSError:
                await asyncio.sleep(_PAUSE_S)
                continue
            handshake = _Handshake(peer_of(name), connection, loop.time())
            self._listener.limits.enter(handshake)
            if connection.fileno() == -1:  # too many connections, and none that waits
                continue
            handshake.task = asyncio.create_task(self._shake_hands(handshake))
            self._handshakes.add(handshake.task)
            handshake.task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, handshake: _Handshake) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._listener,
                handshake.connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=HANDSHAKE_S,
            )
        except OSError:  # the client has left, or does not speak TLS: it gets an alert
            handshake.connection.close()
        finally:
            self._listener.limits.leave(handshake)
