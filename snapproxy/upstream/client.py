"""The narrow waist to the archives' servers: the only module that speaks HTTP outwards. Foreign errors end here (`upstream.faults`).

One style throughout: **what an upstream does is a value, until its body has begun; a body that breaks raises.**

    async with upstream.fetch(asked, reach) as response:
        match response.answer:
            case Take(offer) | StartOver(offer):
                async for piece in response.pieces():    # BodyBrokenError: resume by Range from offer.validator, or go elsewhere
                    ...
            case Throttled(status, retry_after): ...

Redirects are followed inside, each hop judged anew (`upstream.egress`), each hop a turn at its own host (`upstream.rate_limit`), and
every verdict is told to the pacer here, so that a flight need know nothing of either. What to do next is the flight's affair.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from snapproxy import __version__
from snapproxy.base.clock import Clock
from snapproxy.core.logins import Logins
from snapproxy.core.upstream_answer import (
    Broken,
    Fault,
    Forbidden,
    Redirect,
    Settled,
    Throttled,
    UpstreamHead,
    UpstreamRequest,
    classify,
)
from snapproxy.upstream.egress import EgressPolicy, GuardedResolver, authority, read_url
from snapproxy.upstream.faults import FOREIGN_ERRORS, fault_of
from snapproxy.upstream.rate_limit import CoolingDownError, Permit, RateLimiter
from snapproxy.upstream.response import UNAUTHORIZED, UpstreamResponse

HOPS = 5
"""Redirects followed for one request; the snapshot service needs one, a mirror's load balancer another."""

_BUFFER = 128 << 10
"""aiohttp holds up to twice this per answer before it stops reading from the socket; 64 answers at once stay small."""

_CONNECTIONS = 100
"""Open connections over all hosts; the pacer's slots bound each host far below it."""

_DNS_SECONDS = 60
"""How long an address that passed the guard is used again; shorter than a rebinding is worth, longer than an index takes."""

_DRAIN = 64 << 10
"""Bytes of an unwanted body (a redirect's, a 404's) we read in order to keep the connection; a longer one costs it."""

_HASTY_TURN = 1.0
"""Seconds that a hasty request waits for its turn."""

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
"""All that is ever looked at of an answer's head."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an upstream may keep us, in seconds."""

    connect: float = 10.0
    """To accept a connection: three SYNs are lost by then."""
    idle: float = 30.0
    """Between two bytes: as long as apt waits for us."""
    head: float = 60.0
    """For name look-up, connecting and the head together: bounds a dead resolver, and a head that drips."""
    drain: float = 2.0
    """For the rest of an unwanted body; a new connection costs no more."""
    hasty: float = 3.0
    """At most, for each of the first three, where somebody else can be asked instead."""

    def hastened(self) -> Self:
        """Return the same for a hasty request."""
        connect, idle, head = (min(each, self.hasty) for each in (self.connect, self.idle, self.head))
        return replace(self, connect=connect, idle=idle, head=head)

    def of_sockets(self) -> aiohttp.ClientTimeout:
        """Return what aiohttp is told."""
        return aiohttp.ClientTimeout(total=None, sock_connect=self.connect, sock_read=self.idle)


@dataclass(frozen=True, slots=True)
class _RequestOptions:
    """How to ask, the same at every hop; see `Upstream.fetch`."""

    background: bool
    patience: float | None
    stop_at: Callable[[str], bool]
    via: str
    hasty: bool


class UpstreamClient:
    """Asks upstreams. Use as an async context manager; one for the process.

    `instance` names this proxy in `Via`, by which it knows its own requests when they come back. `contact` (a URL or an
    address the operator set) stands in the User-Agent, for an archive's administrators to find us by. `logins` knows whom we may
    send one, and which.
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
    ) -> None:
        self._limiter = limiter
        self._clock = clock
        self._via = f"1.1 {instance}"
        self._agent = f"snapproxy/{__version__}" + (f" (+{contact})" if contact else "")
        self._timeouts = timeouts or Timeouts()
        self._resolver = resolver
        self._logins = logins

    async def __aenter__(self) -> Self:
        # The system's own resolver: it alone knows /etc/hosts, search domains and the administrator's nsswitch.conf.
        self._guard = GuardedResolver(self._resolver or aiohttp.ThreadedResolver())
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=self._guard, limit=_CONNECTIONS, ttl_dns_cache=_DNS_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeouts.of_sockets(),
            headers={"User-Agent": self._agent, "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
            read_bufsize=_BUFFER,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._guard.close()

    @asynccontextmanager
    async def fetch(
        self,
        asked: UpstreamRequest,
        reach: EgressPolicy,
        *,
        background: bool = False,
        patience: float | None = None,
        stop_at: Callable[[str], bool] = lambda _url: False,
        via: str = "",
        hasty: bool = False,
    ) -> AsyncIterator[UpstreamResponse]:
        """Ask, follow redirects, and give the response; its connection and its turn are held for the block.

        `patience` bounds the wait for each turn (seconds; None: for ever); when it ends the answer is Throttled with status
        0. `stop_at` is shown every redirect's address; where it says True the answer is that Redirect, unasked. `via` is the
        Via that the client's own request carried. `hasty`: somebody else can be asked instead, so that this one is given little time.
        """
        patience = _HASTY_TURN if hasty else patience
        async with AsyncExitStack() as held:
            yield await self._follow(held, asked, reach, _RequestOptions(background, patience, stop_at, via, hasty))

    async def _follow(
        self, held: AsyncExitStack, asked: UpstreamRequest, reach: EgressPolicy, manner: _RequestOptions
    ) -> UpstreamResponse:
        """Walk from hop to hop; only the last one's turn and connection go to `held`."""
        hops: list[str] = []
        address, first, previous = asked.url, read_url(asked.url), None
        while True:
            url = read_url(address)
            is_private = previous is not None and first is not None and self._guard.is_private(first.host or "")
            objection = _circling(address, hops) or reach.objection(url, previous, is_private=is_private)
            if url is None or objection:
                response = UpstreamResponse(Broken(objection or Fault.BAD_REDIRECT), address)
                break
            if reach.is_base(url) or (reach.leads_anywhere and is_private):
                self._guard.vouch(url.host or "")
            async with AsyncExitStack() as hop:
                response = await self._enter(hop, asked, url, manner)
                settled = response.answer
                if not isinstance(settled, Redirect) or manner.stop_at(settled.location):
                    held.push_async_exit(hop.pop_all())
                    break
            hops.append(address)
            address, previous = settled.location, url
        response.hops = tuple(hops)
        return response

    async def _enter(
        self, hop: AsyncExitStack, asked: UpstreamRequest, url: URL, manner: _RequestOptions
    ) -> UpstreamResponse:
        """Ask with the login that is wanted where we ask first; what is elsewhere is sent none."""
        if self._logins is None or url.origin() != URL(asked.url, encoded=True).origin():
            return await self._ask(hop, asked, url, manner)
        login = await self._logins.header(asked.url)
        if login is None:
            return UpstreamResponse(Forbidden(UNAUTHORIZED), str(url))
        async with AsyncExitStack() as attempt:
            response = await self._ask(attempt, asked, url, manner, login)
            if not response.challenges:
                hop.push_async_exit(attempt.pop_all())
                return response
        login = await self._logins.answer(asked.url, response.challenges, login)
        if login is not None:
            response = await self._ask(hop, asked, url, manner, login)
            if response.challenges:
                self._logins.shut(asked.url)
        return response

    async def _ask(
        self, hop: AsyncExitStack, asked: UpstreamRequest, url: URL, manner: _RequestOptions, login: str = ""
    ) -> UpstreamResponse:
        """Take a turn, send one request, and tell the pacer how it went."""
        try:
            turn = await hop.enter_async_context(
                self._limiter.turn(authority(url), background=manner.background, patience=manner.patience)
            )
        except CoolingDownError as cooling:
            return UpstreamResponse(Throttled(0, cooling.wait), str(url))
        raw = await self._send(asked, url, manner, login)
        if isinstance(raw, Broken):
            await _judge(turn, raw)
            return UpstreamResponse(raw, str(url))
        hop.callback(raw.release)  # with bytes still unread aiohttp closes the connection instead of keeping it
        answer = UpstreamHead(raw.status, {name: ", ".join(raw.headers.getall(name, ())) for name in _HEADERS})
        settled = classify(answer, replace(asked, url=str(url)), self._clock.now())
        await _judge(turn, settled)
        response = UpstreamResponse(settled, str(url), raw=raw, turn=turn)
        if response.offer is None:
            await self._drain(raw)
        return response

    async def _send(
        self, asked: UpstreamRequest, url: URL, manner: _RequestOptions, login: str
    ) -> aiohttp.ClientResponse | Broken:
        own = {"Via": ", ".join(filter(None, (manner.via, self._via))), "Authorization": login}
        timeouts = self._timeouts.hastened() if manner.hasty else self._timeouts
        try:
            async with self._clock.timeout(timeouts.head):
                return await self._session.request(
                    "HEAD" if asked.head else "GET",
                    url,
                    headers=_conditions(asked) | {name: value for name, value in own.items() if value},
                    allow_redirects=False,
                    timeout=timeouts.of_sockets(),
                )
        except FOREIGN_ERRORS as error:
            return Broken(fault_of(error))

    async def _drain(self, raw: aiohttp.ClientResponse) -> None:
        """Read away a short body nobody wants, so that the next hop finds the connection open. Failing costs only that."""
        left = _DRAIN
        with contextlib.suppress(*FOREIGN_ERRORS):
            async with self._clock.timeout(self._timeouts.drain):
                while left > 0 and (piece := await raw.content.read(left)):
                    left -= len(piece)


def _circling(address: str, hops: list[str]) -> Fault | None:
    """Whether the redirects lead back, or on and on."""
    if address in hops:
        return Fault.LOOP
    return Fault.TOO_MANY_HOPS if len(hops) > HOPS else None


def _conditions(asked: UpstreamRequest) -> dict[str, str]:
    headers = {
        "Range": "" if asked.start is None else f"bytes={asked.start}-",
        "If-Range": asked.if_range,
        "If-None-Match": asked.etag,
        "If-Modified-Since": asked.since,
    }
    return {name: value for name, value in headers.items() if value}


async def _judge(turn: Permit, settled: Settled) -> None:
    """Tell the pacer what an answer's head says of the upstream's health."""
    if isinstance(settled, Throttled):
        await turn.throttled(settled.retry_after)
    elif isinstance(settled, Broken) and settled.is_worth_retrying:
        await turn.broken()
    else:
        await turn.succeeded()
