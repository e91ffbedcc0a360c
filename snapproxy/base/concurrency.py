"""Concurrency: run one coroutine function over many items, a limited number at a time, and share one task."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from typing import Any, Generic, TypeVar

from snapproxy.base.clock import Clock
from snapproxy.errors import SnapproxyError

T = TypeVar("T")
R = TypeVar("R")
K = TypeVar("K")


async def gather_bounded(items: Iterable[T], work: Callable[[T], Awaitable[R]], width: int) -> list[R]:
    """Await `work(item)` for every item, at most `width` at a time, and return the results in the order of the items.

    The first error cancels the remaining work and is raised; if several errors occur together, a SnapproxyError takes
    precedence.
    """
    results: dict[int, R] = {}
    remaining = iter(enumerate(items))

    async def worker() -> None:
        for position, item in remaining:
            results[position] = await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(width):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        known = [each for each in errors.exceptions if isinstance(each, SnapproxyError)]
        raise (known or errors.exceptions)[0] from None
    return [results[position] for position in range(len(results))]


class Recent(Generic[K, R]):
    """Values that count for a limited time, at most `most` of them: keys may come from clients."""

    def __init__(self, clock: Clock, *, most: int) -> None:
        self._clock = clock
        self._most = most
        self._values: dict[K, tuple[float, R]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def put(self, key: K, value: R, seconds: float) -> None:
        """Keep a value for `seconds`. The oldest values are dropped if there are too many."""
        self._values.pop(key, None)
        while len(self._values) >= self._most:
            del self._values[next(iter(self._values))]
        self._values[key] = (self._clock.monotonic() + seconds, value)

    def get(self, key: K) -> R | None:
        """Return the value, None if it is missing or its time is over."""
        until, value = self._values.get(key, (0.0, None))
        if value is not None and until <= self._clock.monotonic():
            del self._values[key]
            return None
        return value

    def drop(self, key: K) -> None:
        """Remove a value if there is one."""
        self._values.pop(key, None)


class SharedTask(Generic[R]):
    """A task whose result several requests wait for. It is cancelled if all of them are cancelled.

    It removes itself from `register` when it ends. A request that comes after the cancellation must start another one.
    """

    def __init__(
        self, work: Coroutine[Any, Any, R], register: MutableMapping[K, SharedTask[R]], key: K, clock: Clock
    ) -> None:
        self.is_abandoned = False
        self._clock = clock
        self._waiting = 0
        self._is_kept = False
        self._task = asyncio.create_task(work)

        def forget(_task: asyncio.Task[R]) -> None:
            if register.get(key) is self:
                del register[key]

        self._task.add_done_callback(forget)

    async def wait(self, seconds: float) -> bool:
        """Wait for the end, up to `seconds`. Return whether the task has ended."""
        self._waiting += 1
        try:
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(max(0.0, seconds)):
                    await asyncio.wait({self._task})
        except asyncio.CancelledError:
            if self._waiting == 1 and not self._is_kept:
                self.is_abandoned = True
                self._task.cancel()
            raise
        finally:
            self._waiting -= 1
        return self._task.done()

    def keep(self) -> None:
        """Never cancel the task when requests leave: one of them was answered without its result."""
        self._is_kept = True

    def result(self) -> R:
        """Return the result of the ended task."""
        return self._task.result()

    async def cancel(self) -> None:
        """Cancel the task, and wait until it has ended."""
        self._task.cancel()
        await asyncio.wait({self._task})
