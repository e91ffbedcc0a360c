"""Networks of clients: the addresses that may connect, by name or by prefix."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NAMES = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    # RFC 1918; RFC 6598 (carrier-grade NAT, used by overlay networks); link-local; RFC 4193.
    "private": (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    ),
    "any": ("0.0.0.0/0", "::/0"),
}
"""The networks that the configuration may name."""


def canonical(text: str) -> str:
    """Return a name of `NAMES` or a network as it is written. Raises ValueError for other text, host bits included."""
    if not isinstance(text, str):
        raise TypeError(text)
    return text if text in NAMES else str(ipaddress.ip_network(text))


class ClientNetworks:
    """The networks from which clients may connect. `texts` are names of `NAMES` and networks."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(texts)
        networks = [ipaddress.ip_network(each) for text in self.texts for each in NAMES.get(text, (text,))]
        self._networks: tuple[Network, ...] = tuple(networks)
        self.admits = functools.lru_cache(maxsize=4096)(self._admits)

    def _admits(self, address: str) -> bool:
        """Return whether a client may connect; one without an address may not: it has left before its request.

        An IPv4 address within an IPv6 one counts as IPv4, and the zone of a link-local one does not count.
        """
        try:
            read = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(read, ipaddress.IPv6Address) and read.ipv4_mapped is not None:
            read = read.ipv4_mapped
        return any(read.version == each.version and read in each for each in self._networks)
