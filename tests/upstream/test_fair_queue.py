"""Clients of one upstream take turns. All times are those of a virtual clock."""

from __future__ import annotations

import asyncio

import pytest

from snapproxy.core.rate_limit import MAX_QUEUED, FixedDemand, RatePolicy
from snapproxy.core.upstream_answer import QueueFull
from snapproxy.upstream.fair_queue import FairQueue
from snapproxy.upstream.rate_limit import NoPermitError, RateLimiter
from tests.fakes.pace_machine import MIRROR, SERVICE, Machine

ONE_A_SECOND = RatePolicy(connections=2, requests_per_second=1, burst=1)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def of(*clients: str) -> FixedDemand:
    """The demand of one request for these clients."""
    return FixedDemand(clients=frozenset(clients))


class Builders:
    """Clients of one upstream with one request a second, and the order in which their requests were sent."""

    def __init__(self, machine: Machine, limiter: RateLimiter) -> None:
        self.sent: list[str] = []
        self.refused: list[str] = []
        self._machine = machine
        self._limiter = limiter
        self._tasks: list[asyncio.Task[None]] = []

    def ask(self, *clients: str, count: int = 1, background: bool = False) -> None:
        demand = FixedDemand(background, frozenset(clients))
        self._tasks += [asyncio.create_task(self._send("+".join(clients), demand)) for _ in range(count)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, name: str, demand: FixedDemand) -> None:
        try:
            async with self._limiter.permit(SERVICE, demand=demand) as permit:
                self.sent.append(name)
                await permit.succeeded()
        except NoPermitError as error:
            self.refused.append(name if isinstance(error.answer, QueueFull) else repr(error.answer))


@pytest.fixture
def builders(machine: Machine) -> Builders:
    return Builders(machine, machine.limiter(**{SERVICE: ONE_A_SECOND}))


async def test_a_builder_with_a_thousand_files_delays_one_file_of_another_by_one_request(
    machine: Machine, builders: Builders
) -> None:
    builders.ask("10.0.0.1", count=1000)
    await machine.clock.advance(3)
    builders.ask("10.0.0.2")
    await machine.clock.advance(2)
    assert builders.sent == ["10.0.0.1"] * 5 + ["10.0.0.2"]
    await builders.stop()


async def test_three_builders_are_sent_equally_many_requests(machine: Machine, builders: Builders) -> None:
    for builder, count in (("a", 100), ("b", 50), ("c", 25)):
        builders.ask(builder, count=count)
    await machine.clock.advance(29.5)
    assert [builders.sent.count(each) for each in "abc"] == [10, 10, 10]
    assert all(set(builders.sent[at : at + 3]) == set("abc") for at in range(0, 30, 3))
    await builders.stop()


async def test_a_builder_that_asks_for_one_file_after_another_gets_every_second_turn(
    machine: Machine, builders: Builders
) -> None:
    builders.ask("greedy", count=200)
    for _ in range(10):
        builders.ask("modest")
        await machine.clock.advance(2)
    assert builders.sent.count("modest") == 10
    await builders.stop()


async def test_a_full_queue_has_room_for_a_client_with_fewer_requests(machine: Machine, builders: Builders) -> None:
    builders.ask("greedy", count=MAX_QUEUED + 10)
    await machine.clock.advance(0)
    assert builders.refused == ["greedy"] * 10, "256 wait, and its own further ones are refused"
    builders.ask("modest", count=4)
    await machine.clock.advance(0)
    assert builders.refused == ["greedy"] * 13, (
        "one place was free, and each other one place comes from the client with the most requests"
    )
    await machine.clock.advance(8)
    assert builders.sent.count("modest") == 4
    await builders.stop()


async def test_two_clients_that_fill_the_queue_end_with_equal_shares(machine: Machine, builders: Builders) -> None:
    builders.ask("first", count=MAX_QUEUED + 1)
    await machine.clock.advance(0)
    builders.ask("second", count=MAX_QUEUED)
    await machine.clock.advance(0)
    assert builders.refused.count("first") == builders.refused.count("second") == MAX_QUEUED // 2
    await builders.stop()


async def test_background_work_takes_no_place_of_a_client(machine: Machine, builders: Builders) -> None:
    builders.ask("job", count=MAX_QUEUED + 10, background=True)
    await machine.clock.advance(0)
    builders.ask("builder")
    await machine.clock.advance(1)
    assert builders.sent[1] == "builder"
    assert builders.refused == []
    await builders.stop()


async def test_a_download_of_two_clients_is_sent_at_the_first_turn_of_either(
    machine: Machine, builders: Builders
) -> None:
    builders.ask("a", count=5)
    builders.ask("a", "b")
    builders.ask("a", count=5)
    await machine.clock.advance(1)
    assert builders.sent == ["a", "a+b"]
    await builders.stop()


async def test_connections_without_a_rate_are_shared_too(machine: Machine) -> None:
    limiter = machine.limiter(**{MIRROR: RatePolicy(connections=1)})
    sent: list[str] = []

    async def download(client: str) -> None:
        async with limiter.permit(MIRROR, demand=of(client)):
            sent.append(client)
            await machine.clock.sleep(1)

    async with asyncio.TaskGroup() as group:
        for client in "aaaaabb":
            group.create_task(download(client))
        await machine.clock.advance(10)
    assert "".join(sent) == "aababaa", "the first one was sent before another client asked"


def test_the_estimate_counts_the_turns_of_others_and_not_their_queues() -> None:
    queue = FairQueue()
    for _ in range(100):
        queue.join(of("greedy"))
    first, second = queue.join(of("modest")), queue.join(of("modest"))
    assert first is not None
    assert second is not None
    assert queue.ahead_of(first) == 1
    assert queue.ahead_of(second) == 1 + 2


def test_a_download_of_several_clients_is_not_removed_for_another_one() -> None:
    queue = FairQueue()
    shared = queue.join(of("a", "b"))
    for _ in range(MAX_QUEUED - 1):
        queue.join(of("a", "b"))
    assert queue.join(of("c")) is None
    assert shared is not None
    assert not queue.is_removed(shared)


def test_a_new_client_gets_the_place_of_one_that_waits_alone() -> None:
    queue = FairQueue()
    for _ in range(MAX_QUEUED // 2):
        queue.join(of("a", "b"))
        queue.join(of("alone"))
    assert queue.join(of("new")) is not None
    assert queue.clients == MAX_QUEUED


def test_background_work_of_several_clients_takes_turns_between_requests_of_clients() -> None:
    queue = FairQueue()
    for _ in range(10):
        queue.join(FixedDemand(is_background=True, clients=frozenset({"many"})))
    queue.join(FixedDemand(is_background=True, clients=frozenset({"one"})))
    sent = []
    for _ in range(2):
        queue.join(of("builder"))
        sent += [*send_first(queue), *send_first(queue)]
    assert sent == ["builder", "many", "builder", "one"]


def send_first(queue: FairQueue) -> frozenset[str]:
    """Send the request whose turn it is, and return its clients."""
    ticket = queue.first
    assert ticket is not None
    queue.granted(ticket)
    queue.leave(ticket)
    return ticket.demand.clients
