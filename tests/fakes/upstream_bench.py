"""A test bench for requests to an upstream: a bare socket that misbehaves on command."""

from __future__ import annotations

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from snapproxy.base.clock import SystemClock
from snapproxy.core.rate_limit import RatePolicy
from snapproxy.core.upstream_answer import Fault, UpstreamAnswer, UpstreamRequest
from snapproxy.upstream.client import Timeouts, UpstreamClient
from snapproxy.upstream.egress import EgressPolicy
from snapproxy.upstream.network import UpstreamNetwork
from snapproxy.upstream.rate_limit import RateLimiter
from snapproxy.upstream.response import BodyBrokenError
from tests.fakes.pace_store import MemoryPaceStore, MemorySlots
from tests.fakes.rude_server import RudeServer

BODY = bytes(range(256)) * 4
QUICK = Timeouts(connect=1.0, idle=0.2, head=1.0, drain=0.2)
UNHURRIED = RatePolicy(connections=8, rest=0.001, failure_cool_down_most=0.001, cool_down=0.001, cool_down_most=0.001)


class Names(AbstractResolver):
    """Resolves the host names that a test made up."""

    def __init__(self, **hosts: str) -> None:
        self.hosts = {name.replace("_", "."): address for name, address in hosts.items()}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        if host not in self.hosts:
            raise OSError(None, "no such name")
        address = self.hosts[host]
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
            )
        ]

    async def close(self) -> None:
        pass


class Bench:
    """A rude server, an `Upstream`, and their dependencies."""

    def __init__(
        self,
        server: RudeServer,
        *,
        policy: RatePolicy = UNHURRIED,
        names: Names | None = None,
        timeouts: Timeouts = QUICK,
        network: UpstreamNetwork | None = None,
    ) -> None:
        clock = SystemClock()
        self.server = server
        self.slots = MemorySlots()
        self.limiter = RateLimiter(clock=clock, store=MemoryPaceStore(), slots=self.slots, policies={}, default=policy)
        self.upstream = UpstreamClient(
            limiter=self.limiter,
            clock=clock,
            instance="test",
            contact="ops@example.org",
            timeouts=timeouts,
            resolver=names,
            network=network,
        )
        self.reach = EgressPolicy((server.url("/"),))

    async def settled(self, asked: UpstreamRequest, reach: EgressPolicy | None = None) -> UpstreamAnswer:
        """Send a request, and read the head alone."""
        async with self.upstream as upstream, upstream.fetch(asked, reach or self.reach) as response:
            return response.answer

    async def body(self, asked: UpstreamRequest) -> bytes:
        async with self.upstream as upstream, upstream.fetch(asked, self.reach) as response:
            return await response.read(1 << 20)

    async def broken_body(self, asked: UpstreamRequest) -> tuple[bytes, Fault]:
        """Return the bytes before the body broke, and the error."""
        got = b""
        async with self.upstream as upstream, upstream.fetch(asked, self.reach) as response:
            try:
                async for piece in response.pieces():
                    got += piece
            except BodyBrokenError as broken:
                return got, broken.fault
        pytest.fail("the body ended as if it were whole")
