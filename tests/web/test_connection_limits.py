"""Limits of open connections: one that waits is closed for a new one, and one that is answered never."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from snapproxy.web.connection_limits import LEAST, ConnectionLimits, most_connections
from snapproxy.web.protocol import Limits
from tests.fakes.rawclient import request

Site = Any


@dataclass(eq=False)
class Fake:
    peer: str
    is_idle: bool = True
    is_closed: bool = False
    waits_since: float = 0

    def force_close(self) -> None:
        self.is_closed = True


def entered(limits: ConnectionLimits, *connections: Fake) -> list[bool]:
    for each in connections:
        limits.enter(each)
    return [each.is_closed for each in connections]


def test_the_oldest_that_waits_is_closed_for_a_new_one() -> None:
    assert entered(ConnectionLimits(2, 9), Fake("a", is_idle=False), Fake("a"), Fake("b"), Fake("a")) == [
        False, True, False, False,
    ]  # fmt: skip


def test_a_new_one_is_closed_if_none_waits() -> None:
    busy = [Fake("a", is_idle=False) for _ in range(2)]
    limits = ConnectionLimits(2, 9)
    assert entered(limits, *busy, Fake("a")) == [False, False, True]
    assert len(limits) == 2
    limits.leave(busy[0])
    assert entered(limits, Fake("a")) == [False]


def test_all_clients_together_are_limited() -> None:
    limits = ConnectionLimits(2, 3)
    flood = [Fake("flood", waits_since=9), Fake("flood", waits_since=8)]
    assert entered(limits, Fake("builder"), *flood, Fake("other")) == [False, False, True, False]
    assert len(limits) == 3


def test_the_one_that_has_waited_longest_is_closed() -> None:
    assert entered(ConnectionLimits(2, 9), Fake("a", waits_since=5), Fake("a", waits_since=3), Fake("a")) == [
        False, True, False,
    ]  # fmt: skip


def test_ten_thousand_idle_connections_leave_descriptors() -> None:
    limits = ConnectionLimits(1000, 3000)
    flood = [Fake(str(number % 20)) for number in range(10_000)]
    assert sum(entered(limits, *flood)) == 7000
    for each in flood:
        limits.leave(each)
    assert len(limits) == 0


def test_half_of_the_descriptors_are_for_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, most in ((65536, 32768), (10, LEAST)):
        monkeypatch.setattr("resource.getrlimit", lambda _, soft=soft: (soft, soft))
        assert most_connections() == most


class TestOneClient:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(connections=3)

    async def test_idle_connections_do_not_keep_a_client_out(self, site: Site) -> None:
        site.archive.add("x", b"hello")
        idle = [await site.connect() for _ in range(10)]
        client = await site.connect()
        assert (await client.get(site.url("x"))).body == b"hello"
        await client.send(request(site.url("x")))
        assert (await client.answer()).body == b"hello"
        assert [await asyncio.wait_for(each.reader.read(), 5) for each in idle[:8]] == [b""] * 8
