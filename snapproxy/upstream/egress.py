"""Egress policy: an archive's own hosts, the hosts it may redirect to, and no private address behind a public name.

Every outgoing connection to an archive, a blob source or a host in `pass` is checked here.

There are two checks. `EgressPolicy` checks the URL of every hop before it is requested. `GuardedResolver` checks the
addresses that a name resolves to when the connection is made, and returns exactly those that are connected to, so that
a name cannot have one address for the check and another for the socket (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from snapproxy.core.model import Archive, Refusal
from snapproxy.core.upstream_answer import Fault
from snapproxy.upstream.credentials import UpstreamLogin

_WITH_IPV4 = tuple(
    map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0/96", "::ffff:0:0:0/96", "::/96"))
)
"""IPv6 addresses whose last four bytes are the IPv4 address that is reached: NAT64 (RFC 6052, RFC 8215), IPv4-mapped,
IPv4-translated (RFC 2765) and IPv4-compatible (RFC 4291, section 2.5.5).
"""

_WELL_KNOWN_NAT64 = _WITH_IPV4[0]
"""Addresses of the public IPv4 hosts behind a translator; the embedded address decides."""

_NOT_PUBLIC = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "fec0::/10")))
"""Networks that Python takes for public ones: deprecated, or for use within one site."""


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """The addresses to which requests of one archive may be sent: the hosts of `bases`, and `redirects`.

    `redirects` are `host` or `host:port`; a leading `*.` matches every host below that name. `allows_any_redirect`: a
    redirect may lead to any host, since the digest verifies the bytes (registries keep blobs at a storage service).
    `login`: the credentials for the bases, None for none. `authority`: the archive's own file of certificate
    authorities, '' for the general ones.
    """

    bases: tuple[str, ...]
    redirects: tuple[str, ...] = ()
    allows_any_redirect: bool = False
    login: UpstreamLogin | None = None
    authority: str = ""

    @classmethod
    def of(cls, archive: Archive) -> EgressPolicy:
        """Return the policy of an archive."""
        login = archive.credentials and UpstreamLogin(
            f"[archives.{archive.name}] credentials", archive.credentials, archive.credentials_over_http
        )
        bases = (*archive.snapshot, *archive.mirrors)
        return cls(bases, archive.redirects, login=login or None, authority=archive.upstream_ca or "")

    @classmethod
    def of_blob_source(cls, origin: str) -> EgressPolicy:
        """Return the policy of a blob source, from which digests are requested."""
        return cls((origin,), allows_any_redirect=True)

    def objection(self, url: URL | None, previous: URL | None = None, *, is_private: bool = False) -> Fault | None:
        """Return why `url` may not be requested, None if it may.

        `previous` is the address that redirected to it, None for the first request. `is_private`: the base has a
        private address, so the target of its redirect may have one too.
        """
        if url is None or url.scheme not in {"http", "https"} or not url.host:
            return Fault.BAD_REDIRECT
        if previous is not None and (url.user or url.password):
            return Fault.BAD_REDIRECT  # credentials that the upstream put there
        if previous is not None and previous.scheme == "https" and url.scheme == "http":
            return Fault.DOWNGRADE
        if self.is_base(url):
            return None
        is_listed = self.allows_any_redirect or any(_is_allowed(url, allowed) for allowed in self.redirects)
        if previous is None or not is_listed:
            return Fault.FOREIGN
        return Fault.PRIVATE if _is_forbidden_literal(url, is_private=self.allows_any_redirect and is_private) else None

    def login_for(self, url: URL, previous: Iterable[str]) -> UpstreamLogin | None:
        """Return the login to send to `url`, None if it must not be sent there.

        It is sent to the origins of the bases alone, and to no address after a redirect to another origin. `previous`
        are the addresses before `url`: the requested one, and those that redirected.
        """
        is_own = any(url.origin() == URL(base).origin() for base in self.bases)
        has_left = any(URL(each, encoded=True).origin() != url.origin() for each in previous)
        return self.login if is_own and not has_left else None

    def is_base(self, url: URL) -> bool:
        """Return whether `url` has the host and port of a base: the configuration names it, private or not."""
        return any(_same_authority(url, URL(base)) for base in self.bases)


def read_url(text: str) -> URL | None:
    """Parse an escaped URL without changing it; None if it is invalid. aiohttp connects to what this parser returns."""
    try:
        return URL(text, encoded=True)
    except ValueError:
        return None


def authority(url: URL) -> str:
    """Return `host`, or `host:port` if the port is not the scheme's default: the key of rate limits and policies."""
    host = f"[{url.host}]" if ":" in (url.host or "") else _host(url)
    return host if url.is_default_port() else f"{host}:{url.port}"


def is_public(address: str) -> bool:
    """Return whether an IP address is a public one, even if it is embedded in an IPv6 address."""
    return all(
        found.is_global and not found.is_multicast and not any(found in network for network in _NOT_PUBLIC)
        for found in _unwrapped(address)
    )


class PrivateAddressError(OSError):
    """A name resolves only to addresses that are not allowed for it."""


def pass_guard(resolver: AbstractResolver | None = None) -> GuardedResolver:
    """Return the guard for hosts in `pass` and for tunnels: a name must have a public address.

    The configuration may name a private host by its address, which is never resolved, or this machine as `localhost`.
    """
    guard = GuardedResolver(resolver or ThreadedResolver())
    guard.allow_private("localhost")
    return guard


def private_pass(host: str) -> Refusal:
    """Return the refusal for a host in `pass` whose name resolves to private addresses only."""
    return Refusal(
        403,
        "That name resolves to a private address",
        f"{host} may be reached unpinned, but it has no public address. An outsider who controls the name could lead "
        "requests into this network.",
        "If that host is meant, put its IP address into `pass` in place of its name.",
    )


async def open_guarded(resolver: GuardedResolver, host: str, port: int) -> tuple[StreamReader, StreamWriter]:
    """Connect to one of the addresses that the guard allows. Raise OSError if none is allowed or answers.

    An address in place of a name is used as it is: it is in the configuration.
    """
    addresses = (
        [host]
        if is_address(host)
        else [found["host"] for found in await resolver.resolve(host, port, socket.AF_UNSPEC)]
    )
    for address in addresses[:-1]:
        with contextlib.suppress(OSError):
            return await asyncio.open_connection(address, port)
    return await asyncio.open_connection(addresses[-1], port)


def is_address(host: str) -> bool:
    """Return whether `host` is an IP address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class GuardedResolver(AbstractResolver):
    """Resolves through `inner`, and drops addresses that a name may not have.

    Private addresses are allowed for names that the configuration contains (`allow_private`: an archive's own base),
    and only as long as the name never had a public one: a change from public to private is DNS rebinding. Link-local
    addresses are never allowed: cloud providers serve credentials there.
    """

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner
        self._may_be_private: set[str] = set()
        self._public: set[str] = set()
        self._private: set[str] = set()

    def allow_private(self, host: str) -> None:
        """Allow private addresses for `host`."""
        self._may_be_private.add(host.lower())

    def is_private(self, host: str) -> bool:
        """Return whether a host that has been resolved has private addresses only."""
        try:
            return not is_public(host)
        except ValueError:
            return host.lower() in self._private - self._public

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the allowed addresses. Raise PrivateAddressError if none is allowed."""
        found = await self._inner.resolve(host, port, family)
        public = [one for one in found if is_public(one["host"])]
        if public:
            self._public.add(host.lower())
            return public
        if host.lower() in self._may_be_private - self._public:
            local = [one for one in found if not _is_link_local(one["host"])]
            if local:
                self._private.add(host.lower())
                return local
        raise PrivateAddressError(f"{host} resolves only to private addresses, which are not allowed for it")

    async def close(self) -> None:
        """Close the inner resolver."""
        await self._inner.close()


def _host(url: URL) -> str:
    return (url.host or "").lower().rstrip(".")


def _same_authority(url: URL, allowed: URL) -> bool:
    """Return whether both have the same host, and the same port or both the default (http may move to https)."""
    same_port = url.port == allowed.port or (url.is_default_port() and allowed.is_default_port())
    return _host(url) == _host(allowed) and same_port


def _is_allowed(url: URL, allowed: str) -> bool:
    """Return whether `url` is on an allowed redirect target; archives with many nodes name those by their domain."""
    name = URL(f"{url.scheme}://{allowed.removeprefix('*.')}")
    if allowed.startswith("*."):
        return _host(url).endswith(f".{_host(name)}") and _same_authority(url.with_host(_host(name)), name)
    return _same_authority(url, name)


def _is_forbidden_literal(url: URL, *, is_private: bool) -> bool:
    try:
        return _is_link_local(_host(url)) if is_private else not is_public(_host(url))
    except ValueError:  # a name: GuardedResolver checks it
        return False


def _is_link_local(address: str) -> bool:
    return any(found.is_link_local or found.is_multicast or found.is_unspecified for found in _unwrapped(address))


def _unwrapped(address: str) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Yield the addresses that an address reaches: itself, or embedded IPv4 addresses. Raise ValueError for a name."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        yield found
        return
    if not found.ipv4_mapped and found not in _WELL_KNOWN_NAT64:
        yield found
    if any(found in network for network in _WITH_IPV4):
        yield ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    if found.sixtofour:
        yield found.sixtofour
    if found.teredo:
        yield from found.teredo
