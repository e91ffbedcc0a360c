"""Permits of an upstream, counted exactly on a virtual clock: a cool-down of an hour takes no time here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from snapproxy.core.rate_limit import MOST_SLOW_DOWN, PROBE_LEASE, SLOW_DOWN, FixedDemand, RatePolicy
from snapproxy.core.upstream_answer import Broken, CoolingDown, Fault
from snapproxy.upstream.rate_limit import NoPermitError, Permit, RateLimiter
from snapproxy_storage import StorageFailure
from tests.fakes.pace_machine import MIRROR, SERVICE, Machine, always
from tests.fakes.pace_store import MemorySlots


@pytest.fixture
def machine() -> Machine:
    return Machine()


async def test_a_burst_then_the_rate(machine: Machine) -> None:
    limiter = machine.limiter()
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(machine.ask(limiter, always))
        await machine.clock.advance(0)
        assert len(machine.sent) == 30
        await machine.clock.advance(60)
        assert len(machine.sent) == 30 + 42
        await machine.clock.advance(40)
    assert len(machine.sent) == 100


async def test_a_block_of_ten_minutes_sees_exactly_one_probe_a_cool_down(machine: Machine) -> None:
    limiter = machine.limiter()

    def blocked_for_ten_minutes(seconds: float) -> int:
        return 509 if seconds < 600 else 200

    async def fifty_flights() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(machine.insist(limiter, blocked_for_ten_minutes))

    await machine.clock.run(fifty_flights())
    during = [at for at in machine.sent if at < 930]
    assert during == [0.0, 30.0, 90.0, 210.0, 450.0], "the first request and one probe after 30, 60, 120 and 240 s"
    assert machine.sent[5] == 930.0
    assert len(machine.sent) == 55, "afterwards each flight asks once, the five refusals apart"
    assert machine.sent[6] > 931, "and no burst follows a cool-down"


async def test_a_cool_down_outlives_a_restart(machine: Machine) -> None:
    await machine.ask(machine.limiter(), lambda _: 429)
    reborn = machine.limiter()
    await machine.clock.advance(10)
    assert reborn.estimate(SERVICE) == pytest.approx(20)
    await machine.clock.run(machine.insist(reborn, always))
    assert machine.sent == [0.0, 30.0]


@pytest.mark.parametrize("seconds", [-86_400 * 365, -100, 100, 86_400 * 365])
async def test_a_wall_clock_that_jumps_prolongs_no_wait(machine: Machine, seconds: float) -> None:
    limiter = machine.limiter()
    await machine.ask(limiter, lambda _: 429)
    waiting = asyncio.create_task(machine.insist(limiter, always))
    await machine.clock.advance(10)
    machine.clock.jump(seconds)
    await machine.clock.advance(21)
    assert waiting.done()
    assert len(machine.sent) == 2


async def test_two_processes_share_one_rate(machine: Machine) -> None:
    pacers = machine.limiter(), machine.limiter()

    async def forty_requests() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(machine.ask(pacers[number % 2], always))

    await machine.clock.run(forty_requests())
    assert machine.sent.count(0.0) == 30
    assert machine.sent[-1] == pytest.approx(10 / 0.7)


async def test_two_processes_share_one_cool_down_and_one_probe(machine: Machine) -> None:
    pacers = machine.limiter(), machine.limiter()
    await machine.ask(pacers[0], lambda _: 509)

    async def ten_flights() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(machine.insist(pacers[number % 2], lambda at: 200 if at > 60 else 509))

    await machine.clock.run(ten_flights())
    probes = [at for at in machine.sent if at < 91]
    assert [int(at) for at in probes] == [0, 30, 90]
    assert len(machine.sent) == 12


async def test_requests_refused_together_are_one_strike(machine: Machine) -> None:
    limiter = machine.limiter()
    async with limiter.permit(SERVICE) as one, limiter.permit(SERVICE) as two:
        await one.throttled(429)
        await two.throttled(429)
    assert limiter.estimate(SERVICE) == 30


async def test_no_more_connections_than_the_policy_over_all_processes(machine: Machine) -> None:
    first, second = machine.limiter(), machine.limiter()
    open_now = most = 0

    async def hold(limiter: RateLimiter) -> None:
        nonlocal open_now, most
        async with limiter.permit(SERVICE):
            open_now += 1
            most = max(most, open_now)
            await machine.clock.sleep(5)
            open_now -= 1

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(hold((first, second)[number % 2]))

    await machine.clock.run(all_of_them())
    assert most == 2
    assert machine.clock.monotonic() == pytest.approx(20, abs=1)
    assert machine.slots.held == {f"upstream {SERVICE}": 0}


async def test_clients_go_before_background_work_and_in_order(machine: Machine) -> None:
    limiter = machine.limiter(**{MIRROR: RatePolicy(connections=1)})
    served: list[str] = []

    async def want(name: str, *, background: bool) -> None:
        async with limiter.permit(MIRROR, demand=FixedDemand(background)):
            served.append(name)
            await machine.clock.sleep(1)

    async with asyncio.TaskGroup() as group:
        for name in ("first", "b1", "b2", "c1", "c2"):
            group.create_task(want(name, background=name.startswith("b")))
            await machine.clock.advance(0)
        await machine.clock.advance(10)
    assert served == ["first", "c1", "c2", "b1", "b2"]


async def test_a_mirror_costs_no_write_while_all_is_well(machine: Machine) -> None:
    limiter = machine.limiter()
    for _ in range(10):
        await machine.ask(limiter, always, upstream=MIRROR)
    assert machine.store.writes == 0
    assert machine.clock.monotonic() == 0


async def test_one_upstream_cooling_down_delays_no_other(machine: Machine) -> None:
    limiter = machine.limiter()
    await machine.ask(limiter, lambda _: 509)
    await machine.ask(limiter, always, upstream=MIRROR)
    assert machine.sent == [0.0, 0.0]


async def test_the_wait_fails_immediately_if_the_cool_down_is_known_to_be_longer(machine: Machine) -> None:
    limiter = machine.limiter()
    await machine.ask(limiter, lambda _: 509)
    with pytest.raises(NoPermitError) as caught:
        async with limiter.permit(SERVICE, max_wait=25):
            pytest.fail("it must not be asked")
    assert caught.value.answer == CoolingDown(SERVICE, 30, "429")
    assert machine.clock.monotonic() == 0


async def test_a_wait_that_outlasts_the_cool_down_gets_a_permit(machine: Machine) -> None:
    limiter = machine.limiter()
    await machine.ask(limiter, lambda _: 509)

    async def wait() -> float:
        async with limiter.permit(SERVICE, max_wait=31) as permit:
            await permit.succeeded()
            return machine.clock.monotonic()

    assert await machine.clock.run(wait()) == 30


async def test_the_time_runs_out_while_waiting_for_a_connection(machine: Machine) -> None:
    limiter = machine.limiter(**{MIRROR: RatePolicy(connections=1)})
    async with limiter.permit(MIRROR):
        with pytest.raises(NoPermitError):
            await machine.clock.run(_enter(limiter, max_wait=8))
    assert machine.clock.monotonic() == 8


async def _enter(limiter: RateLimiter, *, max_wait: float | None = None) -> Permit:
    async with limiter.permit(MIRROR, max_wait=max_wait) as permit:
        return permit


async def test_a_waiter_that_is_cancelled_leaves_the_queue_to_the_next(machine: Machine) -> None:
    limiter = machine.limiter(**{MIRROR: RatePolicy(connections=1)})
    async with limiter.permit(MIRROR):
        leaving, staying = (asyncio.create_task(_enter(limiter)) for _ in range(2))
        await machine.clock.advance(1)
        leaving.cancel()
        await machine.clock.advance(1)
        assert leaving.cancelled()
    await machine.clock.advance(0)
    assert staying.done()
    assert machine.slots.held == {f"upstream {MIRROR}": 0}


async def test_a_probe_cancelled_at_any_step_leaves_slot_and_probe_to_the_next(machine: Machine) -> None:
    limiter = machine.limiter()
    for steps in range(12):
        await machine.clock.run(machine.insist(limiter, always))
        await machine.clock.run(machine.ask(limiter, lambda _: 509))
        await machine.clock.advance(30)
        probe = asyncio.create_task(_hold(limiter))
        for _ in range(steps):
            await asyncio.sleep(0)
        probe.cancel()
        await asyncio.wait({probe})
        assert machine.slots.held == {f"upstream {SERVICE}": 0}
        token = MOST_SLOW_DOWN / 0.7
        before = machine.clock.monotonic()
        await machine.clock.run(machine.insist(limiter, always))
        assert machine.clock.monotonic() - before <= token, f"cancelled after {steps} steps"


async def _hold(limiter: RateLimiter) -> None:
    async with limiter.permit(SERVICE):
        await asyncio.Event().wait()


async def test_a_probe_whose_process_died_is_sent_again_after_its_lease(machine: Machine) -> None:
    dead, alive = machine.limiter(), machine.limiter()
    await machine.ask(dead, lambda _: 509)
    await machine.clock.advance(30)
    lost = dead.permit(SERVICE)
    permit = await lost.__aenter__()
    permit.slot.release()  # the kernel does this; no result is reported
    await machine.clock.run(machine.insist(alive, always))
    assert machine.clock.monotonic() == pytest.approx(30 + PROBE_LEASE, abs=1.01)
    permit.slot = MemorySlots().take("unrelated", 1) or permit.slot
    await lost.__aexit__(None, None, None)


async def test_a_block_without_a_result_changes_nothing(machine: Machine) -> None:
    limiter = machine.limiter()
    with pytest.raises(RuntimeError):
        async with limiter.permit(MIRROR):
            raise RuntimeError
    assert limiter.estimate(MIRROR) == 0
    assert machine.slots.held == {f"upstream {MIRROR}": 0}


async def test_a_break_starts_a_short_cool_down(machine: Machine) -> None:
    limiter = machine.limiter()
    async with limiter.permit(MIRROR) as permit:
        await permit.succeeded()
        await permit.broken(Broken(Fault.RESET))
    assert limiter.estimate(MIRROR) == 1


async def test_the_estimate_counts_the_queued_requests(machine: Machine) -> None:
    limiter = machine.limiter(**{SERVICE: RatePolicy(connections=1, requests_per_second=0.5, burst=1)})
    await machine.ask(limiter, always)
    waiting = [asyncio.create_task(machine.ask(limiter, always)) for _ in range(3)]
    await machine.clock.advance(0)
    assert limiter.estimate(SERVICE) == 2 + 3 * 2
    await machine.clock.advance(10)
    assert all(task.done() for task in waiting)


async def test_a_policy_is_found_by_authority_then_by_host(machine: Machine) -> None:
    own, other = RatePolicy(connections=7), RatePolicy(connections=8)
    limiter = machine.limiter(**{"a.example": own, "a.example:8080": other, "[::1]": own})
    assert limiter.policy("a.example:8080") is other
    assert limiter.policy("a.example:81") is own
    assert limiter.policy("[::1]:80") is own
    assert limiter.policy("b.example").connections == 4


async def test_a_full_disk_stops_neither_clients_nor_the_rate_limit(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = machine.limiter()
    well = machine.store.update_fact

    async def full(key: str, change: Callable[[Any | None], Any]) -> Any:
        raise StorageFailure("no space left on device")

    machine.store.update_fact = full  # type: ignore[method-assign]
    await machine.ask(limiter, lambda _: 509)
    assert limiter.estimate(SERVICE) == 30
    assert "in memory only" in caplog.text
    machine.store.update_fact = well  # type: ignore[method-assign]
    await machine.clock.run(machine.insist(limiter, always))
    assert machine.sent == [0.0, 30.0]
    assert machine.limiter().estimate(SERVICE) == pytest.approx(SLOW_DOWN / 0.7, rel=1e-3), (
        "what was remembered is written once it can be"
    )
