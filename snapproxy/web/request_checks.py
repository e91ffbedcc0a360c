"""Check a request's head, independent of its target, for ambiguous framing, an upgrade or a loop.

aiohttp's strict C parser refuses invalid HTTP. These checks refuse valid HTTP that only a request smuggler or a
misconfigured client sends.
"""

from __future__ import annotations

from snapproxy.core.model import Refusal
from snapproxy.web.protocol import ClientRequest

_VERSIONS = frozenset({(1, 0), (1, 1)})
_BODILESS = frozenset({"GET", "HEAD", "CONNECT"})


def refuse_head(request: ClientRequest, instance: str) -> Refusal | None:
    """Return a refusal of the head, None if it is acceptable.

    The connection of a refused request is closed, because its next bytes cannot be trusted.
    """
    headers = request.headers
    if tuple(request.version) not in _VERSIONS:
        return Refusal(505, "Only HTTP/1.0 and HTTP/1.1 are supported")
    if request.has_body and request.method in _BODILESS:
        # RFC 9110 section 9.3.1: such a body has no defined meaning, and requests are smuggled through hops that
        # interpret it differently
        return Refusal(400, f"A {request.method} must not have a body")
    if "Upgrade" in headers and request.method != "CONNECT":
        return Refusal(400, "Protocol upgrades are refused", hint="Send the request without an Upgrade header.")
    if len(headers.getall("Proxy-Authorization", ())) > 1:
        return Refusal(400, "The request has more than one time", why="It has several Proxy-Authorization headers.")
    if _names_instance(headers.getall("Via", ()), instance):
        return Refusal(
            508,
            "Loop: the request returned to this proxy",
            hint="An upstream in the configuration points to this snapproxy; correct its address.",
        )
    return None


def _names_instance(via: list[str] | tuple[str, ...], instance: str) -> bool:
    """Return whether a Via header names this instance as a hop.

    A hop has protocol, pseudonym and comment (RFC 9110 section 7.6.3).
    """
    hops = (hop.split() for line in via for hop in line.split(","))
    return any(len(hop) > 1 and hop[1] == instance for hop in hops)
