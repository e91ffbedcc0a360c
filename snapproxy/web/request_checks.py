"""What is wrong with a request's head, whatever it asks for: doubtful framing, an upgrade, a loop. Pure.

The parser (aiohttp's, in C, strict) refuses what is no HTTP; this refuses proper HTTP that only a request smuggler or a mistake sends here.
"""

from __future__ import annotations

from snapproxy.core.model import Refusal
from snapproxy.web.protocol import ClientRequest

_VERSIONS = frozenset({(1, 0), (1, 1)})
_BODILESS = frozenset({"GET", "HEAD", "CONNECT"})


def refuse_head(request: ClientRequest, instance: str) -> Refusal | None:
    """Return why a request cannot be taken at all, None when it can. Its connection is closed: the next bytes cannot be trusted."""
    headers = request.headers
    if tuple(request.version) not in _VERSIONS:
        return Refusal(505, "Only HTTP/1.0 and HTTP/1.1 are spoken here")
    if request.has_body and request.method in _BODILESS:
        # RFC 9110 section 9.3.1: such a body has no meaning, and hops that disagree on it are how requests are smuggled
        return Refusal(400, f"A {request.method} must not have a body")
    if "Upgrade" in headers and request.method != "CONNECT":
        return Refusal(400, "Protocol upgrades are refused", hint="Ask in plain HTTP/1.1.")
    if len(headers.getall("Proxy-Authorization", ())) > 1:
        return Refusal(400, "Two times were given", why="The request has more than one Proxy-Authorization.")
    if _has_passed(headers.getall("Via", ()), instance):
        return Refusal(
            508,
            "The request came back to this proxy",
            hint="An upstream in the configuration points at snapproxy itself.",
        )
    return None


def _has_passed(via: list[str] | tuple[str, ...], instance: str) -> bool:
    """Whether a Via names this instance as a hop (RFC 9110 section 7.6.3: protocol, pseudonym, comment)."""
    hops = (hop.split() for line in via for hop in line.split(","))
    return any(len(hop) > 1 and hop[1] == instance for hop in hops)
