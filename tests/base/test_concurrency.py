"""Shared tasks and recent values: both are bounded, whatever clients request."""

from __future__ import annotations

import asyncio

import pytest

from snapproxy.base.concurrency import Recent, SharedTask
from tests.fakes.virtual_clock import VirtualClock


class TestRecent:
    async def test_a_value_counts_for_its_time(self) -> None:
        clock = VirtualClock()
        recent: Recent[str, int] = Recent(clock, most=10)
        recent.put("a", 1, 5.0)
        assert recent.get("a") == 1
        await clock.advance(5.0)
        assert recent.get("a") is None
        assert len(recent) == 0

    def test_a_million_keys_leave_no_more_than_the_maximum(self) -> None:
        recent: Recent[int, int] = Recent(VirtualClock(), most=1000)
        for key in range(1_000_000):
            recent.put(key, key, 600.0)
        assert len(recent) == 1000
        assert recent.get(999_999) == 999_999
        assert recent.get(0) is None


class TestSharedTask:
    @staticmethod
    async def shared(register: dict[str, SharedTask[int]], release: asyncio.Event) -> SharedTask[int]:
        async def work() -> int:
            await release.wait()
            return 7

        task = register["key"] = SharedTask(work(), register, "key", VirtualClock())
        await asyncio.sleep(0)
        return task

    @staticmethod
    async def waiting(task: SharedTask[int]) -> asyncio.Task[bool]:
        waiter = asyncio.create_task(task.wait(60.0))
        await asyncio.sleep(0)
        return waiter

    async def test_it_ends_when_the_last_request_has_left(self) -> None:
        register: dict[str, SharedTask[int]] = {}
        task = await self.shared(register, asyncio.Event())
        first, second = await self.waiting(task), await self.waiting(task)
        first.cancel()
        await asyncio.wait({first})
        assert not task.is_abandoned
        second.cancel()
        await asyncio.wait({second})
        assert task.is_abandoned
        await asyncio.sleep(0)
        assert register == {}

    @pytest.mark.parametrize("is_kept", [False, True])
    async def test_it_continues_for_a_request_that_was_answered_without_it(self, is_kept: bool) -> None:
        register: dict[str, SharedTask[int]] = {}
        release = asyncio.Event()
        task = await self.shared(register, release)
        waiter = await self.waiting(task)
        if is_kept:
            task.keep()
        waiter.cancel()
        await asyncio.wait({waiter})
        assert task.is_abandoned is not is_kept
        if is_kept:
            release.set()
            assert await task.wait(60.0)
            assert task.result() == 7
