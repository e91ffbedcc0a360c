"""Names that the upstream proxy is to resolve are looked up once, and those without an address rarely."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp.abc import ResolveResult

from snapproxy.core.upstream_answer import Fault
from snapproxy.upstream import name_checks
from snapproxy.upstream.egress import GuardedResolver
from snapproxy.upstream.name_checks import NameChecks
from tests.fakes.upstream_bench import Names


class SlowNames(Names):
    """Answers once `go` is set."""

    def __init__(self, **hosts: str) -> None:
        super().__init__(**hosts)
        self.go = asyncio.Event()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        await self.go.wait()
        return found


async def test_a_name_without_an_address_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_checks, "MAX_NAMES", 2)
    names = Names()
    checks = NameChecks(GuardedResolver(names))
    for host in ("one.test", "one.test", "two.test", "one.test", "three.test", "one.test"):
        assert await checks.fault(host, 80) is Fault.NAME
    assert names.asked == ["one.test", "two.test", "three.test", "one.test"], "two names are recorded at most"
    await checks.close()


async def test_a_name_with_addresses_is_looked_up_each_time() -> None:
    names = Names(a_test="8.8.8.8", b_test="10.0.0.1")
    checks = NameChecks(GuardedResolver(names))
    for _ in range(2):
        assert await checks.fault("a.test", 80) is None
        assert await checks.fault("b.test", 80) is Fault.PRIVATE
    assert names.asked == ["a.test", "b.test"] * 2
    await checks.close()


async def test_several_requests_wait_for_one_lookup() -> None:
    names = SlowNames(other_test="10.0.0.1")
    checks = NameChecks(GuardedResolver(names))
    asking = [asyncio.create_task(checks.fault("other.test", 80)) for _ in range(3)]
    await asyncio.sleep(0)  # each has asked
    names.go.set()
    assert await asyncio.gather(*asking) == [Fault.PRIVATE] * 3
    assert names.asked == ["other.test"]
    await checks.close()


async def test_a_name_server_that_does_not_answer_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_checks, "RESOLVE_SECONDS", 0.01)
    names = SlowNames(other_test="8.8.8.8")
    checks = NameChecks(GuardedResolver(names))
    for _ in range(3):
        assert await checks.fault("other.test", 80) is Fault.NAME
    assert names.asked == ["other.test"]
    await checks.close()
