"""An in-memory store for the rate limiter.

One object stands for the disk, so two rate limiters on it are two processes, or one process and its restart.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any


class MemoryPaceStore:
    """Rows by key, as JSON text like in a real store. `writes` counts the updates."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.writes = 0

    def fact(self, key: str, now: int) -> Any | None:
        row = self.rows.get(key)
        return None if row is None else json.loads(row)

    async def update_fact(self, key: str, change: Callable[[Any | None], Any]) -> Any:
        await asyncio.sleep(0)  # a real store answers from its writer thread
        value = change(self.fact(key, 0))
        self.rows[key] = json.dumps(value)
        self.writes += 1
        await asyncio.sleep(0)
        return value


class MemorySlots:
    """Slots by name. `held` is the number of taken slots per name."""

    def __init__(self) -> None:
        self.held: dict[str, int] = {}

    def take(self, name: str, count: int) -> MemorySlot | None:
        if self.held.get(name, 0) >= count:
            return None
        self.held[name] = self.held.get(name, 0) + 1
        return MemorySlot(self, name)


class MemorySlot:
    """One taken slot; releasing it twice raises an error."""

    def __init__(self, slots: MemorySlots, name: str) -> None:
        self._slots = slots
        self._name = name
        self._taken = True

    def release(self) -> None:
        assert self._taken, "a slot was released twice"
        self._taken = False
        self._slots.held[self._name] -= 1
