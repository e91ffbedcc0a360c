"""Wakes whoever waits for a change, in one event loop. Says nothing of what changed: look again."""

from __future__ import annotations

import asyncio


class Notifier:
    """Any number of waiters, all woken at once. A cancelled waiter leaves no trace."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def has_waiters(self) -> bool:
        return bool(self._waiting)

    def notify(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait for the next ring; with `seconds`, for no longer than that."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            if seconds is None:
                await future
            else:
                await asyncio.wait((future,), timeout=seconds)
        finally:
            self._waiting.discard(future)
