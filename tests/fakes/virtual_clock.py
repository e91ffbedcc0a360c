"""A clock that moves only when a test moves it, in exactly the steps of its sleepers.

Time does not advance while any task can still run, so that the events of an hour's cool-down are counted exactly and
take no time. Work outside the loop (sockets, threads) gets `pause` real seconds at every step; zero is right for tests
of the loop alone.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualClock:
    """A Clock for tests; `start` is its first wall-clock time."""

    def __init__(self, start: float = 1_717_200_000.0, *, pause: float = 0.0) -> None:
        self._start = start
        self._elapsed = 0.0
        self._pause = pause
        self._alarms: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def now(self) -> int:
        return int(self.time())

    def time(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        alarm = self._at(seconds, woken.set)
        try:
            await woken.wait()
        finally:
            self._forget(alarm)

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[object]:
        async with asyncio.timeout(None) as limit:
            alarm = None if seconds is None else self._at(seconds, lambda: limit.reschedule(0))
            try:
                yield limit
            finally:
                if alarm:
                    self._forget(alarm)

    async def advance(self, seconds: float) -> None:
        """Advance by `seconds`; every sleeper wakes at its own time, in order."""
        end = self._elapsed + seconds
        await self._quiet()
        while self._alarms and self._alarms[0][0] <= end:
            await self._step()
        self._elapsed = end
        await self._quiet()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end, moving to the next alarm whenever all tasks wait."""
        task = asyncio.ensure_future(work)
        try:
            while True:
                await self._quiet()
                if task.done():
                    return await task
                if self._alarms:
                    await self._step()
                else:  # it waits for something outside the loop
                    await asyncio.wait({task}, timeout=0.01)
        finally:
            task.cancel()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an administrator might: no sleeper wakes, monotonic time is kept."""
        self._start += seconds

    @property
    def sleepers(self) -> int:
        """The number of alarms that are set."""
        return len(self._alarms)

    async def _step(self) -> None:
        self._elapsed, _, ring = heapq.heappop(self._alarms)
        ring()
        await self._quiet()

    async def _quiet(self) -> None:
        if self._pause:
            await asyncio.sleep(self._pause)
        await asyncio.sleep(0)
        # asyncio's own loop only: the callbacks that can run now
        while asyncio.get_running_loop()._ready:  # type: ignore[attr-defined]
            await asyncio.sleep(0)

    def _at(self, seconds: float, ring: Callable[[], None]) -> tuple[float, int, Callable[[], None]]:
        alarm = (self._elapsed + max(0.0, seconds), next(self._order), ring)
        heapq.heappush(self._alarms, alarm)
        return alarm

    def _forget(self, alarm: tuple[float, int, Callable[[], None]]) -> None:
        if alarm in self._alarms:
            self._alarms.remove(alarm)
            heapq.heapify(self._alarms)
