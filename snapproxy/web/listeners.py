"""Listening sockets: bound here, or inherited from systemd (sd_listen_fds(3)). Serving on them is the server's."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Mapping

from snapproxy.errors import ConfigurationError

_FIRST_INHERITED = 3
_BACKLOG = 1024
_LAST_PORT = 65535


def bind(addresses: Iterable[str]) -> list[socket.socket]:
    """Bind every `host:port` (an IPv6 host in brackets; port 0: any free one). Raises ConfigurationError, with none left open."""
    bound: list[socket.socket] = []
    try:
        for address in addresses:
            bound.append(_bind(address))  # noqa: PERF401 # what was bound before a failure must be closed
    except ConfigurationError:
        for sock in bound:
            sock.close()
        raise
    return bound


def _bind(address: str) -> socket.socket:
    host, port = _split(address)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError("A listen address cannot be used", why=f"{address}: {error.strerror}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # so that 0.0.0.0 and [::] may both be named
        sock.bind(where)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                "The listen address is in use",
                why=f"Another program listens on {address}.",
                hint="Stop it, or choose another address with --listen.",
            ) from error
        raise ConfigurationError("A listen address cannot be used", why=f"{address}: {error.strerror}") from error
    return sock


def _split(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > _LAST_PORT:
        raise ConfigurationError(
            "A listen address is malformed",
            why=f"{address} is not host:port.",
            hint="Write 127.0.0.1:3142 or [::1]:3142.",
        )
    if ":" in host and not address.startswith("["):
        raise ConfigurationError(
            "A listen address is malformed", why=f"{address} has colons in its host.", hint="Write [::1]:3142."
        )
    return host, int(port)


def inherited(environment: Mapping[str, str], pid: int) -> list[socket.socket]:
    """Return the listening sockets that systemd passed to this very process; none when it passed none."""
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(pid) or not count.isdecimal():
        return []
    sockets = [socket.socket(fileno=_FIRST_INHERITED + index) for index in range(int(count))]
    for sock in sockets:
        sock.set_inheritable(False)
    return sockets
