"""The map from errors of aiohttp and the operating system to `Fault`. Only `upstream` uses it."""

from __future__ import annotations

import aiohttp

from snapproxy.core.upstream_answer import Fault
from snapproxy.upstream.egress import PrivateAddressError

#: Most specific first: many of these are subclasses of others. The rows after ClientConnectorError concern an open
#: connection.
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
"""Everything that aiohttp's client is documented to raise; any other exception is a bug and must not be caught."""


def fault_of(error: BaseException) -> Fault:
    """Return the fault for one of FOREIGN_ERRORS.

    For a connect error, the error of the operating system in it is used, because it is more precise.
    """
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return next(fault for kind, fault in _FAULTS if isinstance(inner, kind) or isinstance(error, kind))
