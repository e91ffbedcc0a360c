"""The connections to upstreams: direct ones with checked addresses, and those through the upstream proxy.

A direct connection goes to an address that `GuardedResolver` has checked. Through a proxy the proxy resolves the name,
so that check is impossible; names that only an upstream wrote, in a redirect, are resolved here first and must be
public.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from snapproxy.core.upstream_answer import Broken, Fault
from snapproxy.upstream.credentials import CredentialFiles
from snapproxy.upstream.egress import EgressPolicy, GuardedResolver, is_address
from snapproxy.upstream.name_checks import NameChecks
from snapproxy.upstream.network import UpstreamNetwork, UpstreamProxy

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """The way of one request: its session, its TLS context, and the proxy, '' for none."""

    session: aiohttp.ClientSession
    tls: SSLContext | bool = True
    proxy: str = ""
    proxy_authorization: str = field(default="", repr=False)

    async def request(self, method: str, url: URL, headers: dict[str, str], **options: Any) -> aiohttp.ClientResponse:
        """Send a request. Its options are those of aiohttp; redirects are returned."""
        if self.proxy:
            options["proxy"] = self.proxy
            if self.proxy_authorization and url.scheme == "https":
                options["proxy_headers"] = {"Proxy-Authorization": self.proxy_authorization}
            elif self.proxy_authorization:
                headers = {**headers, "Proxy-Authorization": self.proxy_authorization}
        return await self.session.request(method, url, headers=headers, ssl=self.tls, allow_redirects=False, **options)


class Connections:
    """The sessions of a client. Use as an async context manager.

    Requests that may reach a private address share neither connections nor resolved addresses with the others: a
    redirect of another archive to the same name would find them open.
    """

    def __init__(
        self,
        new_session: Callable[[GuardedResolver], aiohttp.ClientSession],
        *,
        resolver: AbstractResolver | None,
        network: UpstreamNetwork,
        credentials: CredentialFiles,
    ) -> None:
        self._new_session = new_session
        self._resolver = resolver
        self._network = network
        self._credentials = credentials
        self._reported = ""
        """Why the last request through the proxy was not sent, '' if it was."""

    async def __aenter__(self) -> Self:
        # The system's resolver: only it reads /etc/hosts, the search domains and nsswitch.conf.
        resolver = self._resolver or aiohttp.ThreadedResolver()
        self._guard, self._public_guard, proxy_guard = (GuardedResolver(resolver) for _ in range(3))
        self._own, self._public, self._proxied = map(self._new_session, (self._guard, self._public_guard, proxy_guard))
        self._names = NameChecks(self._public_guard)
        if self._network.proxy is not None:
            proxy_guard.allow_private(URL(self._network.proxy.address).host or "")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in (self._own, self._public, self._proxied):
            await session.close()
        await self._names.close()
        await self._guard.close()

    def is_private(self, host: str) -> bool:
        """Return whether a base that was connected to directly has private addresses only."""
        return self._guard.is_private(host)

    async def way(self, url: URL, policy: EgressPolicy, *, may_be_private: bool) -> Way | Broken:
        """Return the way to an address that the policy allows, or why there is none.

        `may_be_private`: the redirect comes from a private blob source.
        """
        proxy = self._network.proxy
        if proxy is not None and proxy.is_for(url):
            return await self._proxied_way(url, policy, proxy)
        session = self._public
        if policy.is_base(url) or may_be_private:
            self._guard.allow_private(url.host or "")
            session = self._own
        return Way(session, self._network.context(policy.authority))

    async def _proxied_way(self, url: URL, policy: EgressPolicy, proxy: UpstreamProxy) -> Way | Broken:
        if not policy.is_base(url) and (fault := await self._redirect_fault(url, policy)):
            return Broken(fault)
        authorization = ""
        if proxy.login is not None:
            use = await self._credentials.use(proxy.login, proxy.address)
            self._report("" if use.authorization else use.text)
            if not use.authorization:
                return Broken(Fault.PROXY_CREDENTIALS)
            authorization = use.authorization
        return Way(self._proxied, self._network.context(policy.authority), proxy.address, authorization)

    def _report(self, text: str) -> None:
        """Log once why no request is sent to the proxy."""
        if text and text != self._reported:
            _log.warning("No request is sent through the upstream proxy. %s", text)
        self._reported = text

    async def _redirect_fault(self, url: URL, policy: EgressPolicy) -> Fault | None:
        """Return why a redirect may not be followed through the proxy: its name has private addresses only.

        A name that this machine cannot resolve is followed only if the configuration lists it.
        """
        host = url.host or ""
        if is_address(host):
            return None  # the policy has checked it
        fault = await self._names.fault(host, url.port or 0)
        return None if fault is Fault.NAME and not policy.allows_any_redirect else fault
