"""The HTTP client for archives and blob sources: the only module that sends HTTP requests for archive files.

Errors of aiohttp and the operating system are translated here (`upstream.faults`). **The head of every answer is
returned as a value; an interrupted body raises.**

    async with upstream.fetch(request, policy) as response:
        match response.answer:
            case BodyFollows(offer) | StartOver(offer):
                async for piece in response.pieces():
                    ...  # on BodyBrokenError resume by Range with offer.validator, or try another source
            case Throttled(status, retry_after): ...

Redirects are followed here. Each hop is checked against the egress policy (`upstream.egress`), needs a permit for its
own host (`upstream.rate_limit`), and its result is reported to that permit. The caller decides what to do next.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from snapproxy import __version__
from snapproxy.base.clock import Clock
from snapproxy.base.shared_counts import SharedCounts
from snapproxy.core.logins import Logins
from snapproxy.core.rate_limit import CLIENT, Demand
from snapproxy.core.upstream_answer import (
    Broken,
    Fault,
    Forbidden,
    Redirect,
    Throttled,
    UpstreamAnswer,
    UpstreamHead,
    UpstreamRequest,
    classify,
)
from snapproxy.upstream.connections import Connections, Way
from snapproxy.upstream.credentials import CredentialFiles, UpstreamLogin
from snapproxy.upstream.egress import EgressPolicy, GuardedResolver, authority, read_url
from snapproxy.upstream.faults import FOREIGN_ERRORS, PROXY_LOGIN_REQUIRED, fault_of
from snapproxy.upstream.network import UpstreamNetwork
from snapproxy.upstream.rate_limit import NoPermitError, Permit, RateLimiter
from snapproxy.upstream.response import UNAUTHORIZED, UpstreamResponse

_log = logging.getLogger(__name__)

HOPS = 5
"""Maximum number of redirects for one request; the snapshot service uses one, the load balancer of a mirror another."""

_BUFFER = 128 << 10
"""Bytes. aiohttp buffers up to twice this per answer before it stops reading from the socket: 16 MiB for 64 answers."""

_CONNECTIONS = 100
"""Maximum number of open connections over all hosts; the slots of the rate limiter limit each host to far fewer."""

_DNS_SECONDS = 60
"""How long a checked address is reused: too short for DNS rebinding, longer than the download of an index."""

_DRAIN = 64 << 10
"""Maximum bytes of an unused body (a redirect's, a 404's) that are read to keep the connection open; a longer body
closes it.
"""

_HASTY_MAX_WAIT = 1.0
"""Seconds that a hasty request waits for its permit."""

_HEADERS = (
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "last-modified",
    "location",
    "retry-after",
)
"""The only headers of an answer that are read."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts for one request, in seconds."""

    connect: float = 10.0
    """For establishing a connection: long enough for three lost SYN packets."""
    idle: float = 30.0
    """Between two bytes: as long as apt waits for snapproxy."""
    head: float = 60.0
    """For name lookup, connecting and the head together: limits a resolver that does not answer, and a head that is
    sent slowly.
    """
    drain: float = 2.0
    """For the rest of an unused body; a new connection costs no more."""
    hasty: float = 3.0
    """Upper bound of the first three for a hasty request: another source can be tried instead."""

    def hastened(self) -> Self:
        """Return the timeouts of a hasty request."""
        connect, idle, head = (min(each, self.hasty) for each in (self.connect, self.idle, self.head))
        return replace(self, connect=connect, idle=idle, head=head)

    def of_sockets(self) -> aiohttp.ClientTimeout:
        """Return the timeouts that aiohttp applies to its sockets."""
        return aiohttp.ClientTimeout(total=None, sock_connect=self.connect, sock_read=self.idle)


@dataclass(frozen=True, slots=True)
class _RequestOptions:
    """The options of one request, the same at every hop; see `UpstreamClient.fetch`."""

    demand: Demand
    at_turn: Callable[[], Awaitable[UpstreamRequest]] | None
    max_cool_down: float | None
    max_wait: float | None
    stop_at: Callable[[str], bool]
    via: str
    hasty: bool


@dataclass(frozen=True, slots=True)
class _Target:
    """The address of one hop, and the way to it."""

    url: URL
    way: Way


class UpstreamClient:
    """Sends requests to upstreams. Use it as an async context manager, one for the process.

    `instance` names this proxy in `Via`, so that it recognises its own requests in a loop. `contact` (a URL or an
    address set by the operator) is part of the User-Agent, for the administrators of an archive. `logins` returns the
    logins of registries, `credentials` those of archives and of the proxy of `network`.
    """

    def __init__(
        self,
        *,
        limiter: RateLimiter,
        clock: Clock,
        instance: str,
        contact: str = "",
        timeouts: Timeouts | None = None,
        resolver: AbstractResolver | None = None,
        logins: Logins | None = None,
        credentials: CredentialFiles | None = None,
        network: UpstreamNetwork | None = None,
        counts: SharedCounts | None = None,
    ) -> None:
        self._limiter = limiter
        self._counts = counts or SharedCounts()
        self._clock = clock
        self._via = f"1.1 {instance}"
        self._agent = f"snapproxy/{__version__}" + (f" (+{contact})" if contact else "")
        self._timeouts = timeouts or Timeouts()
        self._logins = logins
        self._credentials = credentials or CredentialFiles({})
        self._refused_logins: set[str] = set()
        self._connections = Connections(
            self._new_session,
            resolver=resolver,
            network=network or UpstreamNetwork(),
            credentials=self._credentials,
        )

    async def __aenter__(self) -> Self:
        await self._connections.__aenter__()
        return self

    def _new_session(self, guard: GuardedResolver) -> aiohttp.ClientSession:
        """Return a session with its own connections and resolved addresses."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=guard, limit=_CONNECTIONS, ttl_dns_cache=_DNS_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeouts.of_sockets(),
            headers={"User-Agent": self._agent, "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
            read_bufsize=_BUFFER,
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connections.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def fetch(
        self,
        request: UpstreamRequest,
        policy: EgressPolicy,
        *,
        demand: Demand = CLIENT,
        at_turn: Callable[[], Awaitable[UpstreamRequest]] | None = None,
        max_cool_down: float | None = None,
        max_wait: float | None = None,
        stop_at: Callable[[str], bool] = lambda _url: False,
        via: str = "",
        hasty: bool = False,
    ) -> AsyncIterator[UpstreamResponse]:
        """Send a request, follow redirects, and return the response.

        Its connection and permit are released at the end of the block.

        `max_wait` bounds the wait for each permit, and `max_cool_down` the rest of a cool-down in which to wait for one
        (seconds; None: unbounded); beyond them the answer is CoolingDown, and QueueFull if too many requests wait.
        `at_turn` is called when a permit is granted, and returns the request to send to the address of `request`; what
        it opens is not held while the request is queued. `stop_at` is called with the address of every redirect; if it
        returns True the answer is that Redirect, and the address is not requested. `via` is the Via of the client's
        request. `hasty`: another source can be tried instead, so timeouts are short.
        """
        max_wait = _HASTY_MAX_WAIT if hasty else max_wait
        async with AsyncExitStack() as stack:
            options = _RequestOptions(demand, at_turn, max_cool_down, max_wait, stop_at, via, hasty)
            yield await self._follow(stack, request, policy, options)

    async def _follow(
        self, stack: AsyncExitStack, request: UpstreamRequest, policy: EgressPolicy, options: _RequestOptions
    ) -> UpstreamResponse:
        """Follow redirects; only the permit and connection of the last hop are handed to `stack`."""
        hops: list[str] = []
        address, first, previous = request.url, read_url(request.url), None
        while True:
            url = read_url(address)
            is_private = previous is not None and first is not None and self._connections.is_private(first.host or "")
            objection = _loop(address, hops) or policy.objection(url, previous, is_private=is_private)
            if url is None or objection:
                response = UpstreamResponse(Broken(objection or Fault.BAD_REDIRECT), address)
                break
            may_be_private = policy.allows_any_redirect and is_private
            way = await self._connections.way(url, policy, may_be_private=may_be_private)
            if not isinstance(way, Way):
                response = UpstreamResponse(way, address)
                break
            async with AsyncExitStack() as hop:
                target = _Target(url, way)
                if policy.login is None:
                    response = await self._send_with_login(hop, request, target, options)
                else:
                    login = policy.login_for(url, (request.url, *hops))
                    response = await self._send_with_credentials(hop, request, target, options, login)
                answer = response.answer
                if not isinstance(answer, Redirect) or options.stop_at(answer.location):
                    stack.push_async_exit(hop.pop_all())
                    break
            hops.append(address)
            address, previous = answer.location, url
        response.hops = tuple(hops)
        return response

    async def _send_with_login(
        self, hop: AsyncExitStack, request: UpstreamRequest, target: _Target, options: _RequestOptions
    ) -> UpstreamResponse:
        """Send a request with the credentials of the requested origin; other origins receive none."""
        if self._logins is None or target.url.origin() != URL(request.url, encoded=True).origin():
            return await self._send_with_permit(hop, request, target, options)
        login = await self._logins.header(request.url)
        if login is None:
            return UpstreamResponse(Forbidden(UNAUTHORIZED), str(target.url))
        async with AsyncExitStack() as attempt:
            response = await self._send_with_permit(attempt, request, target, options, login)
            if not response.challenges:
                hop.push_async_exit(attempt.pop_all())
                return response
        login = await self._logins.answer(request.url, response.challenges, login)
        if login is not None:
            response = await self._send_with_permit(hop, request, target, options, login)
            if response.challenges:
                self._logins.shut(request.url)
        return response

    async def _send_with_credentials(
        self,
        hop: AsyncExitStack,
        request: UpstreamRequest,
        target: _Target,
        options: _RequestOptions,
        login: UpstreamLogin | None,
    ) -> UpstreamResponse:
        """Send a request with the credentials of its archive; `login` is None where they are not sent.

        A file that cannot be used is a refusal, and no request is sent.
        """
        use = await self._credentials.use(login, str(target.url))
        if use.is_unusable:
            self._report_login("no request is sent to it", target.url, use.text)
            return UpstreamResponse(Forbidden(0, use.text), str(target.url))
        response = await self._send_with_permit(hop, request, target, options, use.authorization)
        if isinstance(response.answer, Forbidden):
            response.answer = replace(response.answer, login=use.text)
            self._report_login("it refuses access", target.url, use.text)
        else:
            self._refused_logins.discard(use.text)
        return response

    def _report_login(self, event: str, url: URL, text: str) -> None:
        """Log a refused login once until it is accepted: stored files may be served without a refusal that names it."""
        if text not in self._refused_logins:
            self._refused_logins.add(text)
            _log.warning("upstream %s: %s. %s", authority(url), event, text)

    async def _send_with_permit(
        self, hop: AsyncExitStack, request: UpstreamRequest, target: _Target, options: _RequestOptions, login: str = ""
    ) -> UpstreamResponse:
        """Wait for a permit, send one request, and report its result to the rate limiter."""
        host = authority(target.url)
        try:
            permit = await self._permit(hop, host, options)
        except NoPermitError as refused:
            self._counts.not_sent(host, refused.answer)
            return UpstreamResponse(refused.answer, str(target.url))
        if options.at_turn is not None:
            request = await options.at_turn()
        began = self._clock.monotonic()
        raw = await self._send(request, target, options, login)
        seconds = self._clock.monotonic() - began
        if isinstance(raw, Broken):
            self._counts.answered(host, raw, seconds)
            await _report(permit, raw)
            return UpstreamResponse(raw, str(target.url))
        hop.callback(raw.release)  # with bytes still unread aiohttp closes the connection instead of keeping it
        head = UpstreamHead(raw.status, {name: ", ".join(raw.headers.getall(name, ())) for name in _HEADERS})
        answer = classify(head, replace(request, url=str(target.url)), self._clock.now())
        self._counts.answered(host, answer, seconds)
        await _report(permit, answer)
        response = UpstreamResponse(answer, str(target.url), raw=raw, permit=permit)
        if response.offer is None:
            response.unused = await self._drain(raw)
        return response

    async def _permit(self, hop: AsyncExitStack, host: str, options: _RequestOptions) -> Permit:
        """Wait for a permit and count the wait. Raises NoPermitError."""
        began = self._clock.monotonic()
        try:
            return await hop.enter_async_context(
                self._limiter.permit(
                    host, demand=options.demand, max_wait=options.max_wait, max_cool_down=options.max_cool_down
                )
            )
        finally:
            self._counts.waited(host, self._clock.monotonic() - began)

    async def _send(
        self, request: UpstreamRequest, target: _Target, options: _RequestOptions, login: str
    ) -> aiohttp.ClientResponse | Broken:
        own = {"Via": ", ".join(filter(None, (options.via, self._via))), "Authorization": login}
        timeouts = self._timeouts.hastened() if options.hasty else self._timeouts
        try:
            async with self._clock.timeout(timeouts.head):
                raw = await target.way.request(
                    _method(request),
                    target.url,
                    _conditions(request) | {name: value for name, value in own.items() if value},
                    data=_form(request),
                    timeout=timeouts.of_sockets(),
                )
        except FOREIGN_ERRORS as error:
            return Broken(fault_of(error, is_proxied=bool(target.way.proxy)))
        if raw.status == PROXY_LOGIN_REQUIRED and target.way.proxy:
            raw.close()
            return Broken(Fault.PROXY_LOGIN)
        return raw

    async def _drain(self, raw: aiohttp.ClientResponse) -> bytes:
        """Read a short unused body, so that the next hop can reuse the connection; a failure closes it.

        Return the bytes that were read.
        """
        body = bytearray()
        with contextlib.suppress(*FOREIGN_ERRORS):
            async with self._clock.timeout(self._timeouts.drain):
                while len(body) < _DRAIN and (piece := await raw.content.read(_DRAIN - len(body))):
                    body += piece
        return bytes(body)


def _method(request: UpstreamRequest) -> str:
    if request.form:
        return "POST"
    return "HEAD" if request.head else "GET"


def _form(request: UpstreamRequest) -> aiohttp.FormData | None:
    return aiohttp.FormData(request.form, default_to_multipart=True) if request.form else None


def _loop(address: str, hops: list[str]) -> Fault | None:
    """Return a fault if the redirects form a loop or exceed HOPS."""
    if address in hops:
        return Fault.LOOP
    return Fault.TOO_MANY_HOPS if len(hops) > HOPS else None


def _conditions(request: UpstreamRequest) -> dict[str, str]:
    headers = {
        "Range": "" if request.start is None else f"bytes={request.start}-",
        "If-Range": request.if_range,
        "If-None-Match": request.etag,
        "If-Modified-Since": request.since,
    }
    return {name: value for name, value in headers.items() if value}


async def _report(permit: Permit, answer: UpstreamAnswer) -> None:
    """Report an answer to the rate limiter: throttled, failed, or successful."""
    if isinstance(answer, Throttled):
        await permit.throttled(answer.status, answer.retry_after)
    elif isinstance(answer, Broken) and answer.is_worth_retrying:
        await permit.broken(answer)
    else:
        await permit.succeeded()
