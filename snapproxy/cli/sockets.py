"""Listening sockets: bind them or take over those of systemd, and format their addresses."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from snapproxy.cli.port_holder import holder_of
from snapproxy.config.value_types import join_host
from snapproxy.errors import ConfigurationError

_log = logging.getLogger(__name__)

FIRST_PASSED = 3
"""The first descriptor that systemd passes (sd_listen_fds(3))."""

BACKLOG = 1024
"""Maximum number of connections that wait to be accepted, for a build farm that starts all its jobs together."""

_HINTS = {
    errno.EADDRINUSE: "Another program listens there, perhaps another snapproxy: stop it, or choose another address: "
    "--listen ADDRESS:PORT.",
    errno.EACCES: "Ports below 1024 need root or CAP_NET_BIND_SERVICE: choose a higher port, or let systemd pass the "
    "socket.",
    errno.EADDRNOTAVAIL: "This machine has no such address: use 127.0.0.1, or 0.0.0.0 for all of them.",
}


def bind(endpoints: Iterable[tuple[str, int]]) -> list[socket.socket]:
    """Listen on every address of every endpoint. Raises ConfigurationError, with all sockets closed, if one fails."""
    sockets: list[socket.socket] = []
    for host, port in endpoints:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            sockets += [_bound(family, address) for family, _, _, _, address in dict.fromkeys(found)]
        except OSError as error:
            for each in sockets:
                each.close()
            raise ConfigurationError(
                f"Cannot listen on port {port}",
                why=f"{join_host(host, port)}: {error.strerror}{_holder(error, port)}",
                hint=_HINTS.get(error.errno or 0, ""),
            ) from error
    return sockets


def bind_admin(endpoints: Iterable[tuple[str, int]], *, is_required: bool) -> list[socket.socket]:
    """Listen for requests of pages. If it fails and is not required, log a warning and return no socket."""
    try:
        return bind(endpoints)
    except ConfigurationError as error:
        if is_required:
            raise
        _log.warning("The admin pages are not served: %s. %s", error.reason, error.why)
        return []


def _holder(error: OSError, port: int) -> str:
    """Return the end of a message about a port in use: which process listens there, if that can be found."""
    holder = holder_of(port) if error.errno == errno.EADDRINUSE else ""
    return f", by {holder}" if holder else ""


def _bound(family: int, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.settimeout(0.0)
    except OSError:
        listener.close()
        raise
    return listener


@contextmanager
def closing(sockets: Sequence[socket.socket]) -> Iterator[None]:
    """Close the sockets at the end of the block."""
    with ExitStack() as stack:
        for each in sockets:
            stack.enter_context(each)
        yield


def activated(environ: Mapping[str, str]) -> list[socket.socket]:
    """Return the sockets that systemd passed to this process (sd_listen_fds(3))."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    passed = range(FIRST_PASSED, FIRST_PASSED + int(environ.get("LISTEN_FDS") or 0))
    sockets = [socket.socket(fileno=descriptor) for descriptor in passed]
    for each in sockets:
        each.set_inheritable(False)
        each.settimeout(0.0)
    return sockets


def url(listener: socket.socket, scheme: str = "http") -> str:
    """Return the URL of a socket for clients on this machine: loopback, if it listens on all addresses."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://" + join_host({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)
