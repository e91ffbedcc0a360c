"""What asking an upstream takes, in front of a bare socket that misbehaves on command."""

from __future__ import annotations

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from snapproxy.core.pace import Policy
from snapproxy.core.settle import (
    Asked,
    Fault,
    Settled,
)
from snapproxy.shell.clock import SystemClock
from snapproxy.shell.pacer import Pacer
from snapproxy.shell.reach import Reach
from snapproxy.shell.response import BodyBrokenError
from snapproxy.shell.upstream import Timeouts, Upstream
from tests.fakes.pace_store import MemoryPaceStore, MemorySlots
from tests.fakes.rude_server import RudeServer

BODY = bytes(range(256)) * 4
QUICK = Timeouts(connect=1.0, idle=0.2, head=1.0, drain=0.2)
UNHURRIED = Policy(connections=8, rest=0.001, rest_most=0.001, cool_down=0.001, cool_down_most=0.001)


class Names(AbstractResolver):
    """Resolves the names a test made up."""

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
    """A rude server, an Upstream, and what the two need."""

    def __init__(
        self,
        server: RudeServer,
        *,
        policy: Policy = UNHURRIED,
        names: Names | None = None,
        timeouts: Timeouts = QUICK,
    ) -> None:
        clock = SystemClock()
        self.server = server
        self.slots = MemorySlots()
        self.pacer = Pacer(clock=clock, store=MemoryPaceStore(), slots=self.slots, policies={}, default=policy)
        self.upstream = Upstream(
            pacer=self.pacer, clock=clock, instance="test", contact="ops@example.org", timeouts=timeouts, resolver=names
        )
        self.reach = Reach((server.url("/"),))

    async def settled(self, asked: Asked, reach: Reach | None = None) -> Settled:
        """Ask, and look at the head alone."""
        async with self.upstream as upstream, upstream.fetch(asked, reach or self.reach) as response:
            return response.settled

    async def body(self, asked: Asked) -> bytes:
        async with self.upstream as upstream, upstream.fetch(asked, self.reach) as response:
            return await response.read(1 << 20)

    async def broken_body(self, asked: Asked) -> tuple[bytes, Fault]:
        """Return what came before the body broke, and how it broke."""
        got = b""
        async with self.upstream as upstream, upstream.fetch(asked, self.reach) as response:
            try:
                async for piece in response.pieces():
                    got += piece
            except BodyBrokenError as broken:
                return got, broken.fault
        pytest.fail("the body ended as if it were whole")
