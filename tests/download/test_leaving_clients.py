"""A client that leaves and a process that stops: nothing stays open, nothing is downloaded twice."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from snapproxy.upstream import fair_queue
from tests.fakes.descriptors import open_descriptors
from tests.fakes.faults import Hold, Status
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet, content_of
from tests.fakes.house import UNHURRIED, Got, House, read, until

MakeHouse = Callable[..., Awaitable[House]]


class TestLeavingAndStopping:
    async def test_a_client_that_leaves_in_the_middle_leaves_nothing_open(self, house: House, hamlet: Hamlet) -> None:
        await house.get(FIRST, INRELEASE)
        await house.get(FIRST, PACKAGES)
        await house.get(FIRST, hamlet.edition.old.path)  # connections, helper and tables are there now
        await until(lambda: not house.drafts)
        before = len(open_descriptors())
        hold = hamlet.now.fault("*/kept_*", Hold(after=100_000))
        for _ in range(5):
            outcome = await house.ask(FIRST, hamlet.edition.kept.path)
            assert await outcome.body.wait(0) > 0  # type: ignore[union-attr]
            outcome.body.close()  # type: ignore[union-attr]
        hold.release()
        await until(lambda: house.named(FIRST, hamlet.edition.kept.path))
        await until(lambda: not house.drafts)
        await asyncio.sleep(0.1)
        assert len(open_descriptors()) <= before + 1  # a connection that is kept open may be new

    async def test_stopping_in_the_middle_keeps_the_draft_and_leaves_no_task_and_no_descriptor(
        self, make_house: MakeHouse, hamlet: Hamlet
    ) -> None:
        tasks, descriptors = asyncio.all_tasks(), len(open_descriptors())
        house = await make_house()
        await house.get(FIRST, INRELEASE)
        await house.get(FIRST, PACKAGES)
        hold = hamlet.now.fault("*/kept_*", Hold(after=200_000), times=1)
        outcome = await house.ask(FIRST, hamlet.edition.kept.path)
        while await outcome.body.wait(0) < 150_000:  # type: ignore[union-attr]
            await asyncio.sleep(0.01)
        reader = asyncio.create_task(read(outcome))
        waiting = asyncio.create_task(house.get(FIRST, hamlet.edition.old.path))
        await asyncio.sleep(0.05)
        await house.close()
        assert (await reader).broke
        assert isinstance(await waiting, Got)
        hold.release()
        await asyncio.sleep(0.05)
        gc.collect()
        assert asyncio.all_tasks() - tasks == set()
        assert len(open_descriptors()) <= descriptors
        assert any((house.folder / "state/drafts" / name).stat().st_size > 100_000 for name in house.drafts)

    async def test_stopping_immediately_does_not_hang(self, make_house: MakeHouse, hamlet: Hamlet) -> None:
        """A flight that is stopped before its first step still has an outcome for its waiters."""
        house = await make_house()
        await house.app.resolve("debian", FIRST)
        asked = asyncio.create_task(house.get(FIRST, INRELEASE))
        while not house.app.executor._downloads._tasks:
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await house.close()
            got = await asked
        assert (got.status, got.refusal.reason) == (424, "snapproxy is shutting down")

    async def test_a_prefetch_is_the_flight_its_request_joins(self, house: House, hamlet: Hamlet) -> None:
        await house.get(FIRST, INRELEASE)
        await house.get(FIRST, PACKAGES)
        hamlet.log.reset_counts()
        hold = hamlet.now.fault("*/kept_*", Hold(after=100_000))
        for _ in range(3):
            house.prefetch(FIRST, hamlet.edition.kept.path)
        await until(hold.reached.is_set)
        outcome = await house.ask(FIRST, hamlet.edition.kept.path)
        assert outcome.cache == "JOINED"  # type: ignore[union-attr]
        hold.release()
        assert (await read(outcome)).data == content_of(hamlet.edition.kept).data
        assert len(hamlet.asked()) == 1


async def leave(house: House, requests: list[Coroutine[Any, Any, object]]) -> None:
    """Send requests whose clients disconnect before a byte arrives."""
    tasks = [asyncio.create_task(request) for request in requests]
    await asyncio.sleep(0.2)  # each has planned and joined its flight by now, and waits for the one connection
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


REQUESTS: dict[str, Callable[[House, int], Coroutine[Any, Any, object]]] = {
    "root": lambda house, turn: house.get(FIRST, f"dists/other{turn}/InRelease"),
    "package": lambda house, turn: house.get(FIRST, f"pool/main/o/other/other_{turn}_amd64.deb"),
    "live root": lambda house, turn: house.get("live", f"dists/other{turn}/InRelease"),
    "live package": lambda house, turn: house.get("live", f"pool/main/o/other/other_{turn}_amd64.deb"),
    "service call": lambda house, turn: house.call(f"/mr/package/other{turn}/"),
    "file of the service": lambda house, turn: house.call(f"/file/{turn:040x}", f"{turn:040x}"),
    "timeline": lambda house, turn: house.get(f"{1990 + turn}0101T000000Z", INRELEASE),
}


class TestFlightsWithoutReaders:
    """A flight that no request waits for keeps neither a descriptor, nor a place in the queue, nor a connection."""

    ONE = replace(UNHURRIED, connections=1)

    @pytest.mark.parametrize("kind", REQUESTS)
    async def test_without_a_byte_is_dropped(self, make_house: MakeHouse, hamlet: Hamlet, kind: str) -> None:
        house = await make_house(manners=self.ONE, patience=60.0)
        await house.get(FIRST, INRELEASE)
        await house.get(FIRST, PACKAGES)
        await REQUESTS[kind](house, 99)  # what stays open is open now
        server = hamlet.now if kind.startswith("live") else hamlet.past
        hold = server.fault("*", Hold(after=None), times=1)
        held = asyncio.create_task(house.get("live" if server is hamlet.now else FIRST, "doc/held"))
        await until(hold.reached.is_set)
        before = len(open_descriptors())
        asked = len(hamlet.asked())
        await leave(house, [REQUESTS[kind](house, turn) for turn in range(20)])
        await until(lambda: len(house.app.executor._downloads._flights) <= 1)
        assert len(open_descriptors()) <= before
        hold.release()
        await held
        assert len(hamlet.asked()) - asked <= 2, "only the file of the client that stayed was requested"

    async def test_hold_no_descriptor_while_queued(self, make_house: MakeHouse, hamlet: Hamlet) -> None:
        house = await make_house(manners=self.ONE, patience=60.0)
        await house.get(FIRST, INRELEASE)
        await REQUESTS["package"](house, 99)  # what stays open is open now
        hold = hamlet.past.fault("*", Hold(after=None), times=1)
        held = asyncio.create_task(house.get(FIRST, "doc/held"))
        await until(hold.reached.is_set)
        before = len(open_descriptors())
        waiting = [asyncio.create_task(REQUESTS["package"](house, turn)) for turn in range(50)]
        await until(lambda: len(house.app.executor._downloads._flights) == 51)
        assert len(open_descriptors()) <= before
        hold.release()
        await asyncio.gather(held, *waiting)

    async def test_a_prefetch_ends_with_its_connection(self, make_house: MakeHouse, hamlet: Hamlet) -> None:
        house = await make_house(manners=self.ONE)
        await house.get(FIRST, INRELEASE)
        hold = hamlet.past.fault("*", Hold(after=None), times=1)
        held = asyncio.create_task(house.get(FIRST, "doc/held"))
        await until(hold.reached.is_set)
        prefetch = house.prefetch(FIRST, "doc/queued")
        await until(lambda: len(house.app.executor._downloads._flights) == 2)
        assert prefetch is not None
        prefetch.cancel()
        await until(lambda: len(house.app.executor._downloads._flights) == 1)
        hold.release()
        await held

    async def test_with_bytes_gives_its_connection_to_a_client_and_keeps_the_bytes(
        self, make_house: MakeHouse, hamlet: Hamlet
    ) -> None:
        house = await make_house(manners=self.ONE)
        await house.get(FIRST, INRELEASE)
        await house.get(FIRST, PACKAGES)
        kept, old = hamlet.edition.kept, hamlet.edition.old
        hold = hamlet.now.fault(f"*/{kept.path}", Hold(after=200_000), times=1)
        leaving = await house.ask(FIRST, kept.path)
        while await leaving.body.wait(0) < 150_000:  # type: ignore[union-attr]
            await asyncio.sleep(0.01)
        leaving.body.close()  # type: ignore[union-attr]
        await asyncio.sleep(0.05)
        assert len(house.app.executor._downloads._flights) == 1, "it continues as long as no client needs its place"
        hamlet.now.fault(f"*/{old.path}", Status(404))  # it is at the snapshot service; the mirror is asked first
        assert (await house.get(FIRST, old.path)).data == content_of(old).data
        assert (await house.get(FIRST, kept.path)).data == content_of(kept).data
        hold.release()
        asked = [request for request in hamlet.now.requests() if kept.path in request.path]
        assert ["range" in {name.lower() for name in request.headers} for request in asked] == [False, True]

    async def test_a_client_that_was_asked_to_return_finds_its_download(
        self, make_house: MakeHouse, hamlet: Hamlet
    ) -> None:
        house = await make_house(patience=0.3)
        await house.app.resolve("debian", FIRST)
        hold = hamlet.past.fault("*InRelease", Hold(after=None), times=1)
        got = await house.get(FIRST, INRELEASE)
        assert got.status == 424
        assert got.refusal.reason.startswith("Download in progress")
        assert int(got.refusal.headers["Retry-After"]) > 0
        hold.release()
        await until(lambda: house.named(FIRST, INRELEASE))

    async def test_beyond_a_number_of_queued_requests_the_answer_comes_at_once(
        self, make_house: MakeHouse, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fair_queue, "MAX_QUEUED", 10)
        house = await make_house(manners=self.ONE, patience=60.0)
        await house.get(FIRST, INRELEASE)
        hold = hamlet.past.fault("*", Hold(after=None), times=1)
        held = asyncio.create_task(house.get(FIRST, "doc/held"))
        await until(hold.reached.is_set)
        waiting = [asyncio.create_task(REQUESTS["package"](house, turn)) for turn in range(10)]
        host = urlsplit(hamlet.past.url).netloc
        queued = house.app.executor._downloads._services.recent._limiter.queued
        await until(lambda: queued(host) == 10)
        for kind, status in (("package", 503), ("root", 424)):
            got = await REQUESTS[kind](house, 99)
            assert isinstance(got, Got)
            assert (got.status, got.refusal.reason) == (status, f"Too many requests are queued for {host}")
            assert f"10 requests wait for {host}" in got.refusal.why
            assert int(got.refusal.headers["Retry-After"]) > 0
        hold.release()
        await asyncio.gather(held, *waiting)
