"""Bounded concurrency: run one coroutine function over many items, a limited number at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from snapproxy.errors import SnapproxyError

T = TypeVar("T")
R = TypeVar("R")


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
