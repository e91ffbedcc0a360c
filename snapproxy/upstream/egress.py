"""Where upstream requests may go: a row's own hosts, the hosts it may be redirected to, and no private address behind a public name.

Two gates. `EgressPolicy` judges the address of every hop before it is asked. `GuardedResolver` judges what a name resolves to,
at the moment of connecting, with the very addresses that are then connected to, so that a name cannot show one address
to the judge and another to the socket (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from snapproxy.core.model import Archive
from snapproxy.core.upstream_answer import Fault

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: the last four bytes are the IPv4 address that is really reached."""


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """The addresses one archive's requests may go to: the hosts of `bases`, and `redirects`.

    Those are `host` or `host:port`; a leading `*.` stands for every host below that name. `leads_anywhere`: any host may be
    redirected to, since the digest tells what comes (registries keep their blobs at a storage service).
    """

    bases: tuple[str, ...]
    redirects: tuple[str, ...] = ()
    leads_anywhere: bool = False

    @classmethod
    def of(cls, archive: Archive) -> EgressPolicy:
        """Return the reach of a row of the archive table."""
        return cls((*archive.snapshot, *archive.mirrors), archive.redirects)

    @classmethod
    def of_blob_source(cls, origin: str) -> EgressPolicy:
        """Return the reach of who is asked by digest."""
        return cls((origin,), leads_anywhere=True)

    def objection(self, url: URL | None, previous: URL | None = None, *, is_private: bool = False) -> Fault | None:
        """Return why `url` may not be asked (`previous` redirected to it; None: it is where we begin), None if it may.

        `is_private`: the base that was asked is, so that what it leads to may be.
        """
        if url is None or url.scheme not in {"http", "https"} or not url.host:
            return Fault.BAD_REDIRECT
        if previous is not None and (url.user or url.password):
            return Fault.BAD_REDIRECT  # credentials of an upstream's own making
        if previous is not None and previous.scheme == "https" and url.scheme == "http":
            return Fault.DOWNGRADE
        if self.is_base(url):
            return None
        is_listed = self.leads_anywhere or any(_is_allowed(url, allowed) for allowed in self.redirects)
        if previous is None or not is_listed:
            return Fault.FOREIGN
        return Fault.PRIVATE if _is_forbidden_literal(url, is_private=self.leads_anywhere and is_private) else None

    def is_base(self, url: URL) -> bool:
        """Whether `url` is on the host, and the port, of one of our own bases: private or not, the administrator named it."""
        return any(_agree(url, URL(base)) for base in self.bases)


def read_url(text: str) -> URL | None:
    """Read an escaped address as it stands; None when it is none. aiohttp connects to what this very parser read."""
    try:
        return URL(text, encoded=True)
    except ValueError:
        return None


def authority(url: URL) -> str:
    """Return `host`, or `host:port` when the port is not the scheme's own: the name that pace and policy know it by."""
    host = f"[{url.host}]" if ":" in (url.host or "") else _host(url)
    return host if url.is_default_port() else f"{host}:{url.port}"


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open Internet, whatever it is wrapped in."""
    return all(found.is_global and not found.is_multicast for found in _unwrapped(address))


class PrivateAddressError(OSError):
    """A name led to an address we do not connect to for its sake."""


class GuardedResolver(AbstractResolver):
    """Resolves through `inner`, and drops addresses that a name may not have.

    Private addresses are for names that the configuration `vouch`es for (an archive's own base), and only as long as such a
    name never had a public one: what was public and turns private is being rebound. Link-local ones are for nobody: clouds
    keep their secrets there.
    """

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner
        self._vouched: set[str] = set()
        self._public: set[str] = set()

    def vouch(self, host: str) -> None:
        """Let `host` be private."""
        self._vouched.add(host.lower())

    def is_private(self, host: str) -> bool:
        """Whether a host that has been asked has private addresses only."""
        try:
            return not is_public(host)
        except ValueError:
            return host.lower() in self._vouched - self._public

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the usable addresses; PrivateAddressError when there are only others."""
        found = await self._inner.resolve(host, port, family)
        public = [one for one in found if is_public(one["host"])]
        if public:
            self._public.add(host.lower())
            return public
        if host.lower() in self._vouched - self._public:
            local = [one for one in found if not _is_link_local(one["host"])]
            if local:
                return local
        raise PrivateAddressError(f"{host} resolves to no address that may be used for it")

    async def close(self) -> None:
        """Close the resolver within."""
        await self._inner.close()


def _host(url: URL) -> str:
    return (url.host or "").lower().rstrip(".")


def _agree(url: URL, allowed: URL) -> bool:
    """Whether both name one host, and one port or each its scheme's own (http may move to https)."""
    same_port = url.port == allowed.port or (url.is_default_port() and allowed.is_default_port())
    return _host(url) == _host(allowed) and same_port


def _is_allowed(url: URL, allowed: str) -> bool:
    """Whether `url` is on a host that may be redirected to; archives spread over nodes name those by their domain."""
    name = URL(f"{url.scheme}://{allowed.removeprefix('*.')}")
    if allowed.startswith("*."):
        return _host(url).endswith(f".{_host(name)}") and _agree(url.with_host(_host(name)), name)
    return _agree(url, name)


def _is_forbidden_literal(url: URL, *, is_private: bool) -> bool:
    try:
        return _is_link_local(_host(url)) if is_private else not is_public(_host(url))
    except ValueError:  # a name: GuardedResolver's business
        return False


def _is_link_local(address: str) -> bool:
    return any(found.is_link_local or found.is_multicast or found.is_unspecified for found in _unwrapped(address))


def _unwrapped(address: str) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Yield the addresses an address stands for: itself, or the IPv4 ones that IPv6 carries. Raises ValueError for a name."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        yield found
    elif found.ipv4_mapped:
        yield found.ipv4_mapped
    elif found in _NAT64:
        yield ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    else:
        yield found
        if found.sixtofour:
            yield found.sixtofour
