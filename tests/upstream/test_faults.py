"""The map from foreign errors: each kind of error that aiohttp's client raises has its fault."""

from __future__ import annotations

import errno
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from snapproxy.core.upstream_answer import Fault
from snapproxy.upstream.egress import PrivateAddressError
from snapproxy.upstream.faults import FOREIGN_ERRORS, fault_of

KEY = ConnectionKey("mirror.example", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)
_MIRROR = URL("http://mirror.example/")
REQUEST = aiohttp.RequestInfo(_MIRROR, "GET", {}, _MIRROR)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (aiohttp.ClientConnectorDNSError(KEY, OSError(None, "no such name")), Fault.NAME),
        (aiohttp.ClientConnectorDNSError(KEY, PrivateAddressError("private")), Fault.PRIVATE),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError()), Fault.TLS),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError()), Fault.TLS),
        (aiohttp.ClientConnectorError(KEY, ConnectionRefusedError()), Fault.REFUSED),
        (aiohttp.ClientConnectorError(KEY, ConnectionResetError()), Fault.RESET),
        (aiohttp.ClientConnectorError(KEY, OSError(errno.EHOSTUNREACH, "")), Fault.UNREACHABLE),
        (aiohttp.ClientConnectorError(KEY, OSError(errno.ETIMEDOUT, "")), Fault.UNREACHABLE),
        (aiohttp.ConnectionTimeoutError(), Fault.UNREACHABLE),
        (aiohttp.SocketTimeoutError(), Fault.STALLED),
        (TimeoutError(), Fault.STALLED),
        (aiohttp.ServerDisconnectedError(), Fault.RESET),
        (aiohttp.ClientConnectionResetError(), Fault.RESET),
        (aiohttp.ClientOSError(errno.EPIPE, ""), Fault.RESET),
        (aiohttp.ClientPayloadError(), Fault.TRUNCATED),
        (aiohttp.ClientResponseError(REQUEST, ()), Fault.NOT_HTTP),
        (aiohttp.InvalidURL("x"), Fault.NOT_HTTP),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else type(value).__name__,
)
def test_the_fault_of_a_foreign_error(error: Exception, fault: Fault) -> None:
    assert isinstance(error, FOREIGN_ERRORS)
    assert fault_of(error) is fault
