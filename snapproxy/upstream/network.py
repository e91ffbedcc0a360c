"""The network as it is configured: the upstream proxy, its exceptions, and private certificate authorities."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from yarl import URL

from snapproxy.errors import ConfigurationError
from snapproxy.upstream.credentials import UpstreamLogin


@dataclass(frozen=True, slots=True)
class UpstreamProxy:
    """The proxy through which upstreams are reached.

    `address` is `http://HOST:PORT`. `exceptions` are hosts that are reached directly; a leading `*.` matches every host
    below. `login`: its credentials, None for none.
    """

    address: str
    exceptions: tuple[str, ...] = ()
    login: UpstreamLogin | None = None

    def is_for(self, url: URL) -> bool:
        """Return whether a request for `url` goes through the proxy. This machine is always reached directly."""
        host = (url.host or "").lower().rstrip(".")
        return not _is_this_machine(host) and not any(_matches(host, each) for each in self.exceptions)


@dataclass(frozen=True, slots=True)
class UpstreamNetwork:
    """How upstreams are reached. `proxy` is None for direct connections.

    `tls`: the context by the file of an authority; '' is the default for archives without one of their own. A missing
    key means the authorities of the system.
    """

    proxy: UpstreamProxy | None = None
    tls: Mapping[str, ssl.SSLContext] = field(default_factory=dict)

    def context(self, authority: str) -> ssl.SSLContext | bool:
        """Return the TLS context for an archive's `upstream_ca`, True for that of the system."""
        return self.tls.get(authority) or self.tls.get("") or True


def read_authorities(default: str, others: Iterable[str]) -> dict[str, ssl.SSLContext]:
    """Return a context by file, `default` under ''. Each trusts the system's authorities and those of the file.

    Raises ConfigurationError for a file that cannot be used.
    """
    files = {**{each: each for each in others}, **({"": default} if default else {})}
    return {name: _context(file) for name, file in files.items()}


def _context(file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=file)
    except OSError as error:
        why = "it has no certificate in PEM form" if isinstance(error, ssl.SSLError) else f"{error.strerror}"
        raise ConfigurationError(
            "The file of certificate authorities cannot be used",
            why=f'upstream_ca = "{file}": {why}.',
            hint="Name a file with certificates of authorities in PEM form that the user of snapproxy can read.",
        ) from None
    return context


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _matches(host: str, exception: str) -> bool:
    return host.endswith(exception[1:]) if exception.startswith("*.") else host == exception
