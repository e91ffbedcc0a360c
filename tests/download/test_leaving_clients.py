"""A client that leaves and a process that stops: nothing stays open, nothing is downloaded twice."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable

from tests.fakes.descriptors import open_descriptors
from tests.fakes.faults import Hold
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet, content_of
from tests.fakes.house import Got, House, read, until

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
