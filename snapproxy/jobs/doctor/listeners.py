"""Check the listeners: what answers there, who can reach them, and their certificate."""

from __future__ import annotations

import http.client
import ipaddress
import ssl
from collections.abc import Iterator, Sequence

from cryptography.x509 import load_pem_x509_certificates

from snapproxy.core.model import Instant
from snapproxy.core.time_spec import format_rfc3339
from snapproxy.jobs.doctor.finding import Diagnosis, ok, problem, warning

_SECONDS = 3.0

_SOON = 14 * 86400
"""Seconds before its end from which a certificate is a warning: clients that renew do so some weeks before it."""

_ANY = "any"


def check_listener(setting: str, host: str, port: int) -> Iterator[Diagnosis]:
    """Yield what answers on an address of a setting: `listen`, `admin_listen` or `tls.listen`. It blocks."""
    check, where = f"{setting} {host}:{port}", "127.0.0.1" if host == "0.0.0.0" else "::1" if host == "::" else host
    try:
        is_snapproxy = _server(where, port, is_tls=setting.startswith("tls")) == "snapproxy"
    except ConnectionRefusedError:
        yield warning(check, "nothing listens there", "Start it: `snapproxy serve`, or the unit of systemd.")
    except (OSError, http.client.HTTPException) as error:
        yield problem(check, f"no answer: {error}", "Another service may listen there; a firewall may drop packets.")
    else:
        another = problem(check, "another service answers there", f"Stop it, or set {setting} to another port.")
        yield ok(check, "snapproxy answers") if is_snapproxy else another


def _server(host: str, port: int, *, is_tls: bool) -> str:
    """Return the header Server of an answer: a request that is refused for want of a token has it too."""
    if is_tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the request has no secret
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("HEAD", "/-/stats")
        return connection.getresponse().headers.get("Server", "")
    finally:
        connection.close()


def check_exposure(listen: Sequence[tuple[str, int]], clients: Sequence[str]) -> Iterator[Diagnosis]:
    """Yield the listen addresses that other machines can reach. `clients`: the setting of that name."""
    for host, port in listen:
        try:
            is_local = ipaddress.ip_address(host).is_loopback
        except ValueError:
            is_local = host == "localhost"  # another name is resolved when the server starts
        if is_local:
            continue
        what = f"{host}:{port} can be reached from other machines"
        if _ANY in clients:
            hint = "Limit the setting clients to your networks, unless a firewall does."
            yield warning("exposure", f"{what}, and any client is answered", hint)
        else:
            yield ok("exposure", f"{what}; answered are: {', '.join(clients) or 'none'}")


def check_certificate(pem: bytes, now: Instant) -> Diagnosis:
    """Return whether the certificate of the TLS listener, the first one of its file, is valid now and for some days."""
    first = load_pem_x509_certificates(pem)[0]
    begin, end = int(first.not_valid_before_utc.timestamp()), int(first.not_valid_after_utc.timestamp())
    if now >= end:
        return problem("certificate", f"it has expired on {format_rfc3339(end)}", "Renew it, and reload the service.")
    if now < begin:
        return problem(
            "certificate", f"it is not valid before {format_rfc3339(begin)}", "Check the clock, or replace it."
        )
    if now >= end - _SOON:
        return warning("certificate", f"it expires on {format_rfc3339(end)}", "Renew it, and reload the service.")
    return ok("certificate", f"it is valid until {format_rfc3339(end)}")
