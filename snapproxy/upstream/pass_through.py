"""Forward plain-http requests to the hosts of the `pass` setting: streamed both ways, not stored, counted as unpinned.

`core.address` decides which hosts those are. Redirects are returned to the client: its next request is checked again.
"""

from __future__ import annotations

import asyncio
import errno
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterable

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from snapproxy.core.exchange import Passed, PassTarget, TrafficCounter
from snapproxy.core.model import Refusal
from snapproxy.core.upstream_answer import Fault
from snapproxy.upstream.credentials import CredentialFiles
from snapproxy.upstream.egress import open_guarded, pass_guard, private_pass
from snapproxy.upstream.faults import PROXY_LOGIN_REQUIRED, fault_of
from snapproxy.upstream.network import UpstreamProxy
from snapproxy.upstream.proxied_stream import open_proxied

HOP_HEADERS = frozenset(
    {
        "connection",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that concern one hop (RFC 9110, section 7.6.1), proxy credentials among them; Host is set by this module."""


class _ProxyLoginError(Exception):
    """The upstream proxy cannot be used, because its login is refused or its file cannot be used."""


_PIECE = 64 << 10
_PLAIN_PORT = 80


class PassThrough:
    """Forwards at most `most` requests at a time.

    `instance` names this proxy in Via. Times are in seconds; `silence_s` is the timeout between two bytes. `proxy` is
    the upstream proxy, whose login `credentials` reads: it resolves the names of the hosts that go through it. The
    attribute may be replaced at any time.
    """

    def __init__(
        self,
        traffic: TrafficCounter,
        *,
        instance: str,
        most: int = 64,
        connect_s: float = 15.0,
        silence_s: float = 60.0,
        resolver: AbstractResolver | None = None,
        proxy: UpstreamProxy | None = None,
        credentials: CredentialFiles | None = None,
    ) -> None:
        self._traffic = traffic
        self._instance = instance
        self._most = most
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s, sock_read=silence_s)
        self._open = 0
        self._guard = pass_guard(resolver)
        self.proxy = proxy
        self._credentials = credentials or CredentialFiles({})
        self._session: aiohttp.ClientSession | None = None

    async def forward(
        self, target: PassTarget, method: str, headers: Iterable[tuple[str, str]], body: AsyncIterator[bytes] | None
    ) -> Passed | Refusal:
        if self._open >= self._most:
            return Refusal(
                503,
                "Too many pass-through requests at the same time",
                why=f"{self._most} requests to hosts of the `pass` setting are in progress.",
                hint="Try again in 5 seconds.",
                headers={"Retry-After": "5"},
            )
        counted = _Counted(body) if body is not None else None
        self._open += 1
        answer: _Answer | None = None
        try:
            response = await self._send(target, method, headers, counted)
            answer = _Answer(self, target.host, response, counted)
        except TimeoutError:
            return Refusal(
                504,
                "The pass-through host did not answer",
                why=f"{target.host} is in the `pass` setting: its requests are forwarded unpinned, nothing is stored.",
                hint="Try again later.",
            )
        except _ProxyLoginError as error:
            return Refusal(
                502,
                "The upstream proxy refuses the request",
                why=f"{target.host} is in the `pass` setting. {error}",
                hint="Check `upstream_proxy_credentials`.",
            )
        except aiohttp.ClientError as error:
            if fault_of(error) is Fault.PRIVATE:
                return private_pass(target.host)
            return Refusal(
                502,
                "The pass-through host cannot be reached",
                why=f"{target.host} is in the `pass` setting; forwarding to it failed: {type(error).__name__}.",
                hint="Check the host name and the network of this machine.",
            )
        finally:
            if answer is None:
                self.ended(target.host, counted.count if counted is not None else 0, 0)
        return answer

    async def _send(
        self, target: PassTarget, method: str, headers: Iterable[tuple[str, str]], body: _Counted | None
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                connector=aiohttp.TCPConnector(limit=self._most, force_close=True, resolver=self._guard),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        host = f"[{target.host}]" if ":" in target.host else target.host
        authority = host if target.port == _PLAIN_PORT else f"{host}:{target.port}"
        sent = CIMultiDict(end_to_end(headers))
        sent.add("Host", authority)
        sent.add("Via", f"1.1 {self._instance}")
        url = URL(f"http://{authority}{target.path}", encoded=True)
        proxy, authorization = await self._proxied(url)
        if authorization:
            sent.add("Proxy-Authorization", authorization)
        response = await self._session.request(
            method, url, headers=sent, data=body, allow_redirects=False, proxy=proxy or None
        )
        if proxy and response.status == PROXY_LOGIN_REQUIRED:
            response.close()
            raise _ProxyLoginError("It answered 407.")
        return response

    async def _proxied(self, url: URL) -> tuple[str, str]:
        """Return the address of the proxy for `url` and its Authorization header, both '' for a direct request."""
        if self.proxy is None or not self.proxy.is_for(url):
            return "", ""
        self._guard.allow_private(URL(self.proxy.address).host or "")
        if self.proxy.login is None:
            return self.proxy.address, ""
        use = await self._credentials.use(self.proxy.login, self.proxy.address)
        if not use.authorization:
            raise _ProxyLoginError(use.text)
        return self.proxy.address, use.authorization

    async def open(self, host: str, port: int) -> tuple[StreamReader, StreamWriter]:
        url = URL.build(scheme="https", host=host, port=port)
        try:
            proxy, authorization = await self._proxied(url)
        except _ProxyLoginError as error:
            raise OSError(errno.EACCES, str(error)) from None
        if proxy:
            return await open_proxied(proxy, authorization, host, port)
        return await open_guarded(self._guard, host, port)

    def ended(self, host: str, sent: int, received: int) -> None:
        """Count a finished request, and release its slot."""
        self._open -= 1
        self._traffic.unpinned(host, sent, received)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)  # aiohttp closes transports a turn later


def end_to_end(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers for the next hop: without those of this hop, and without those that Connection names."""
    pairs = list(headers)
    named = {word.strip().lower() for name, value in pairs if name.lower() == "connection" for word in value.split(",")}
    return [(name, value) for name, value in pairs if name.lower() not in HOP_HEADERS and name.lower() not in named]


class _Counted:
    """The body of a request, counted while it is sent."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self.count = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._body:
            self.count += len(data)
            yield data


class _Answer:
    """An answer whose body has not been read yet."""

    def __init__(
        self, forwarder: PassThrough, host: str, response: aiohttp.ClientResponse, sent: _Counted | None
    ) -> None:
        self._forwarder = forwarder
        self._host = host
        self._response = response
        self._sent = sent
        self._received = 0
        self._is_closed = False

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return tuple(end_to_end(self._response.headers.items()))

    async def chunks(self) -> AsyncIterator[bytes]:
        async for data in self._response.content.iter_chunked(_PIECE):
            self._received += len(data)
            yield data

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._response.close()
            self._forwarder.ended(self._host, self._sent.count if self._sent is not None else 0, self._received)
