"""The map from errors of aiohttp and the operating system to `Fault`. Only `upstream` uses it."""

from __future__ import annotations

import aiohttp

from snapproxy.core.upstream_answer import Fault
from snapproxy.upstream.egress import PrivateAddressError

#: Most specific first: many of these are subclasses of others. The rows after ClientConnectorError concern an open
#: connection.
_FAULTS: tuple[tuple[type[BaseException], Fault], ...] = (
    (PrivateAddressError, Fault.PRIVATE),
    (aiohttp.ClientProxyConnectionError, Fault.PROXY),
    (aiohttp.ClientHttpProxyError, Fault.PROXY),
    (aiohttp.ClientConnectorCertificateError, Fault.TLS),
    (aiohttp.ClientSSLError, Fault.TLS),
    (aiohttp.ClientConnectorDNSError, Fault.NAME),
    (aiohttp.ConnectionTimeoutError, Fault.UNREACHABLE),
    (ConnectionRefusedError, Fault.REFUSED),
    (ConnectionResetError, Fault.RESET),
    (aiohttp.ClientConnectorError, Fault.UNREACHABLE),
    (TimeoutError, Fault.STALLED),
    (aiohttp.ClientPayloadError, Fault.TRUNCATED),
    (aiohttp.ClientConnectionError, Fault.RESET),
    (OSError, Fault.RESET),
    (aiohttp.ClientError, Fault.NOT_HTTP),
)

PROXY_LOGIN_REQUIRED = 407
"""The status of a proxy that demands credentials, or refuses them."""

FOREIGN_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)
"""Everything that aiohttp's client is documented to raise; any other exception is a bug and must not be caught."""


_OF_CONNECTING = frozenset({Fault.NAME, Fault.PRIVATE, Fault.REFUSED, Fault.UNREACHABLE})
"""Faults of a connection that was not established. Through a proxy, it is the connection to the proxy."""


def fault_of(error: BaseException, *, is_proxied: bool = False) -> Fault:
    """Return the fault for one of FOREIGN_ERRORS.

    For a connect error, the error of the operating system in it is used, because it is more precise.
    """
    if isinstance(error, aiohttp.ClientHttpProxyError) and error.status == PROXY_LOGIN_REQUIRED:
        return Fault.PROXY_LOGIN
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    found = next(fault for kind, fault in _FAULTS if isinstance(inner, kind) or isinstance(error, kind))
    return Fault.PROXY if is_proxied and found in _OF_CONNECTING else found
