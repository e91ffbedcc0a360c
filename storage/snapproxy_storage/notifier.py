"""Wake the tasks that wait for a change, in one event loop. The waiter must check the new state itself."""

from __future__ import annotations

import asyncio


class Notifier:
    """Any number of waiters, all of which `notify` wakes. A cancelled waiter is removed."""

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
        """Wait for the next `notify`, at most `seconds` if given."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            if seconds is None:
                await future
            else:
                await asyncio.wait((future,), timeout=seconds)
        finally:
            self._waiting.discard(future)
