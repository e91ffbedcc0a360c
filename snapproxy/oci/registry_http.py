"""HTTP to registries: the only module of `oci` that uses aiohttp; its errors are translated here.

The user may name any registry, including one with a private address. A registry may redirect to any host, but
credentials are never sent to another host, and https is never followed by http. The proxy of the environment is
ignored, and no content encoding is requested. A request to a busy registry (429, 5xx) or over a broken connection is
repeated; all requests back off until then.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from snapproxy import __version__
from snapproxy.core.clock import Clock
from snapproxy.core.http_date import read_retry_after
from snapproxy.errors import ArchiveDataError, SnapproxyError, UpstreamError
from snapproxy.oci.places import is_loopback
from snapproxy.upstream.egress import GuardedResolver, is_address, is_public

ATTEMPTS = 6
"""Number of attempts for a request, including the first."""

HOPS = 5

_BACK_OFF_FIRST, _BACK_OFF_MOST = 0.5, 30.0
"""The first back-off in seconds, which doubles with each attempt, and the maximum one without a Retry-After."""

_LONGEST_WAIT = 300
"""Maximum Retry-After that is obeyed, in seconds. A longer one ends the request with an error."""

_CONNECT_SECONDS, _IDLE_SECONDS = 15.0, 60.0
_PIECE = 256 << 10
_ANSWER_LIMIT = 64 << 10
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_MOVED = frozenset({301, 302, 303, 307, 308})
_SAME_METHOD = frozenset({307, 308})
_FOREIGN = (aiohttp.ClientError, TimeoutError, OSError)

Body = Callable[[], AsyncIterator[bytes]]
"""Returns a new iterator over the body for each attempt, because a consumed stream cannot be sent again."""


class TransientError(UpstreamError):
    """An error that another attempt may avoid.

    `retry_after`: the seconds in the registry's Retry-After, None without one.
    """

    retry_after: int | None = None


class ConnectionBrokenError(TransientError):
    """The registry did not answer, or the connection broke during the answer."""


class BusyError(TransientError):
    """The registry answered 408, 429 or 5xx."""


@dataclass(frozen=True, slots=True)
class RegistryRequest:
    """One request, with a `body` of `length` bytes.

    `headers` are sent along redirects; `authorization` is sent to one host only.

    That host is the registry, or the host of `audience` if it is set. A request with an audience and a body does not
    follow redirects to another host, because the body may contain credentials.
    """

    method: str
    url: URL
    headers: Mapping[str, str] = field(default_factory=dict)
    authorization: str = field(default="", repr=False)
    audience: URL | None = None
    body: Body | None = None
    length: int = 0


class RegistryReply:
    """An answer, valid within the `async with` block that returned it. `url` is its address after redirects."""

    def __init__(self, raw: aiohttp.ClientResponse, url: URL, host: str) -> None:
        self._raw = raw
        self._host = host
        self.status = raw.status
        self.headers = raw.headers
        self.url = url

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the body. Raises ConnectionBrokenError if its length differs from the one in the header."""
        while True:
            try:
                piece = await self._raw.content.read(_PIECE)
            except _FOREIGN as error:
                raise unreachable(self._host, error) from error
            if not piece:
                return
            yield piece

    async def read(self, limit: int = _ANSWER_LIMIT) -> bytes:
        """Return the body. Raises ArchiveDataError if it is longer than `limit` bytes."""
        body = bytearray()
        async for piece in self.pieces():
            body += piece
            if len(body) > limit:
                raise ArchiveDataError(
                    "The registry's answer is too long",
                    why=f"{self._host} sent more than {limit} bytes.",
                )
        return bytes(body)


class RegistryConnections:
    """The connections to one registry. Use as an async context manager.

    `host` is `name[:port]`. `plain_http` uses http only. Otherwise only https is used; but if the registry is on this
    machine or `tls_verify` is off, http is used if the registry does not support https. `tls_verify` off accepts any
    certificate.
    """

    def __init__(
        self,
        host: str,
        *,
        clock: Clock,
        plain_http: bool = False,
        tls_verify: bool = True,
        width: int = 16,
        ca: ssl.SSLContext | None = None,
    ) -> None:
        self.host = host
        self._clock = clock
        self._ssl: ssl.SSLContext | bool = ca or True if tls_verify else False
        self._schemes: tuple[str, ...] = ("http",) if plain_http else ("https",)
        if not plain_http and (is_loopback(host) or not tls_verify):
            self._schemes = ("https", "http")
        self._width = width
        self._wait_until = 0.0
        self._base: URL | None = None

    async def __aenter__(self) -> Self:
        # The user names the registry, so its own address may be private.
        self._guard = GuardedResolver(aiohttp.ThreadedResolver())
        self._guard.allow_private(self._name)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=self._guard, limit=self._width + 4, ssl=self._ssl),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_IDLE_SECONDS),
            headers={"User-Agent": f"snapproxy/{__version__}", "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def base(self) -> URL:
        """Return `scheme://host/v2/`. The first call determines the scheme."""
        for scheme in self._schemes:
            if self._base is not None:
                break
            base = URL(f"{scheme}://{self.host}/v2/")
            if scheme == self._schemes[-1] or await self._speaks_tls(base):
                self._base = base
        return self._base or URL(f"{self._schemes[-1]}://{self.host}/v2/")

    async def _speaks_tls(self, base: URL) -> bool:
        """Return whether the registry supports https.

        An untrusted certificate means yes: it is never a reason to use http.
        """
        try:
            async with self._session.get(base, allow_redirects=False):
                return True
        except aiohttp.ClientConnectorCertificateError:
            return True
        except _FOREIGN:
            return False

    def is_own(self, url: URL) -> bool:
        """Return whether an address is that of the registry itself: credentials are sent to no other."""
        return self._base is not None and url.origin() == self._base.origin()

    @asynccontextmanager
    async def ask(self, ask: RegistryRequest, *, attempts: int = ATTEMPTS) -> AsyncIterator[RegistryReply]:
        """Make a request, and repeat it while the registry is busy or the connection breaks.

        `attempts` 1 prevents repetition.

        Raises ConnectionBrokenError, BusyError, and any error of the body's iterator.
        """
        for attempt in range(1, attempts + 1):
            await self._wait_back_off()
            try:
                async with self._follow(ask) as reply:
                    if reply.status not in _BUSY:
                        yield reply
                        return
                    retry_after = read_retry_after(reply.headers.get("Retry-After", ""), self._clock.now())
                    problem: UpstreamError = _busy(self.host, reply.status, retry_after)
            except _AttemptError as error:
                retry_after, problem = None, error.problem
            if attempt == attempts or (retry_after or 0) > _LONGEST_WAIT:
                raise problem
            self.back_off(attempt, retry_after)

    def back_off(self, attempt: int, retry_after: int | None = None) -> None:
        """Make all requests wait for `retry_after` seconds.

        Without it, they wait for a time that doubles per attempt, with jitter.
        """
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 # no secret
        chosen = min(_BACK_OFF_MOST, _BACK_OFF_FIRST * 2 ** (attempt - 1)) * jitter
        self._wait_until = max(
            self._wait_until, self._clock.monotonic() + (chosen if retry_after is None else retry_after)
        )

    async def _wait_back_off(self) -> None:
        while (left := self._wait_until - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)

    @asynccontextmanager
    async def _follow(self, ask: RegistryRequest) -> AsyncIterator[RegistryReply]:
        """Send a request and follow redirects, each checked. Raises _AttemptError if another attempt may succeed."""
        url, seen = ask.url, list[URL]()
        while True:
            raw = await self._send(ask, url)
            try:
                location = raw.headers.get("Location", "")
                if raw.status not in _MOVED or not location:
                    yield RegistryReply(raw, url, self.host)
                    return
                if raw.status not in _SAME_METHOD and ask.method not in {"GET", "HEAD"}:
                    raise _redirect_refused(
                        f"It answers {ask.method} with {raw.status}, which changes the method to GET"
                    )
                seen.append(url)
                url = self.location_url(url, location)
                if ask.audience and ask.body and url.origin() != ask.audience.origin():
                    raise _redirect_refused("It redirects a request that contains a login to another host")
                if url in seen or len(seen) > HOPS:
                    raise _redirect_refused("It redirects in a loop")
            finally:
                raw.release()

    def location_url(self, url: URL, location: str) -> URL:
        """Return the address of a Location header. Raises UpstreamError for an address that must not be used."""
        try:
            target = url.join(URL(location, encoded=True))
            # Both raise ValueError: the first for labels that are too long, the second for ports that are too high.
            (target.host or "").encode("idna"), target.port
        except ValueError:
            raise _redirect_refused("It redirects to an invalid address") from None
        if target.scheme not in {"http", "https"} or not target.host or target.user or target.password:
            raise _redirect_refused("It redirects to an address that is not http or https, or contains a user name")
        if url.scheme == "https" and target.scheme == "http":
            raise _redirect_refused("It redirects from https to http")
        return target

    @property
    def _name(self) -> str:
        """The registry's name or address without its port."""
        return URL(f"http://{self.host}").host or ""

    def _check_address(self, url: URL) -> None:
        """Raise UpstreamError if a public registry leads to a private address; `_guard` checks the names."""
        host = url.host or ""
        if host == self._name:
            return
        if self._guard.is_private(self._name):
            self._guard.allow_private(host)
        elif is_address(host) and not is_public(host):
            raise _redirect_refused("It leads to a private address")

    async def _send(self, ask: RegistryRequest, url: URL) -> aiohttp.ClientResponse:
        self._check_address(url)
        headers = dict(ask.headers)
        if ask.authorization and (url.origin() == ask.audience.origin() if ask.audience else self.is_own(url)):
            headers["Authorization"] = ask.authorization
        if ask.body is not None or ask.method in {"POST", "PUT", "PATCH"}:
            headers["Content-Length"] = str(ask.length)
        outgoing = _Outgoing(ask.body) if ask.body is not None and ask.length else None
        try:
            return await self._session.request(ask.method, url, headers=headers, data=outgoing, allow_redirects=False)
        except _FOREIGN as error:
            if outgoing and outgoing.problem:
                raise outgoing.problem from None
            raise _AttemptError(unreachable(self.host, error)) from error


class _Outgoing:
    """A request body.

    Each iteration yields all of it, because aiohttp itself repeats a PUT on a connection that was closed.

    aiohttp reports an error of the source as a broken connection; the original error is kept in `problem`.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self.problem: SnapproxyError | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._body():
                yield piece
        except SnapproxyError as error:
            self.problem = error
            raise


class _AttemptError(Exception):
    """A request that failed before the header of its answer was received."""

    def __init__(self, problem: UpstreamError) -> None:
        super().__init__(problem.reason)
        self.problem = problem


def unreachable(host: str, error: BaseException) -> ConnectionBrokenError:
    """Translate an error of aiohttp or the operating system."""
    certificate = isinstance(error, aiohttp.ClientConnectorCertificateError)
    return ConnectionBrokenError(
        "The registry's certificate is not trusted" if certificate else "The connection to the registry failed",
        why=f"{host}: {str(error)[:200] or type(error).__name__}.",
        hint="Add its authority to the system's trusted certificates, or disable verification with --tls-verify=false."
        if certificate
        else "Check the name and the network, then try again; blobs that were sent already are not sent again.",
    )


def _busy(host: str, status: int, retry_after: int | None) -> BusyError:
    wait = f", with a Retry-After of {retry_after} s" if retry_after else ""
    error = BusyError(
        "The registry is too busy",
        why=f"{host} answered {status} repeatedly{wait}.",
        hint="Try again later.",
    )
    error.retry_after = retry_after
    return error


def _redirect_refused(why: str) -> UpstreamError:
    return UpstreamError("The registry sent a redirect that is not followed", why=f"{why}.")
