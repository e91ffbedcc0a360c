"""The one map from foreign errors, aiohttp's and the operating system's, to our own faults. Only `upstream.client` needs it."""

from __future__ import annotations

import aiohttp

from snapproxy.core.upstream_answer import Fault
from snapproxy.upstream.egress import PrivateAddressError

#: Most specific first: many of these are subclasses of others. What follows ClientConnectorError happened on an open connection.
_FAULTS: tuple[tuple[type[BaseException], Fault], ...] = (
    (PrivateAddressError, Fault.PRIVATE),
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

FOREIGN_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)
"""All that aiohttp's client is documented to raise; anything else is a mistake of ours and must be seen."""


def fault_of(error: BaseException) -> Fault:
    """Translate one of FOREIGN_ERRORS; while connecting, the system's own error says more than the one that wraps it."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return next(fault for kind, fault in _FAULTS if isinstance(inner, kind) or isinstance(error, kind))
