"""The space of a store in the event loop: wait for room, for a draft that has none, and count the files."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TypeVar

from snapproxy_storage.failures import is_unwritable, os_failure
from snapproxy_storage.space_account import Reservation, SpaceAccount
from snapproxy_storage.space_count import count_blobs
from snapproxy_storage.space_protocols import MakeRoom
from snapproxy_storage.threads import Threads

_log = logging.getLogger(__name__)

_R = TypeVar("_R")

_MAKE_ROOM_SECONDS = 10.0
"""Maximum seconds for which a draft waits for room, and after that for interrupted downloads to be removed."""
_VAIN_SECONDS = 5.0
"""Seconds for which no room is made after an attempt in vain, so that not every download waits for another one."""
_POLL_SECONDS = 0.1
"""Poll interval while another process counts."""
_STALE_DRAFT_SECONDS = 60.0
"""Minimum age of the interrupted downloads that are removed if nothing else makes room."""


class LocalSpace:
    """The disk space of one store. `sweep` removes interrupted downloads of at least an age in seconds."""

    def __init__(self, account: SpaceAccount, threads: Threads, sweep: Callable[[float], Awaitable[int]]) -> None:
        self.account = account
        self._threads = threads
        self._sweep = sweep
        self._make_room: MakeRoom | None = None
        self._making: asyncio.Task[bool] | None = None
        self._counting: asyncio.Task[None] | None = None
        self._shortage = asyncio.Lock()
        self._vain_until = float("-inf")
        self._is_closed = False

    @property
    def limit(self) -> int | None:
        return self.account.quota

    @property
    def floor(self) -> int:
        return self.account.floor

    @property
    def stored(self) -> int:
        return self.account.file.seen.stored

    @property
    def kept(self) -> int:
        return self.account.file.seen.kept

    @property
    def reserved(self) -> int:
        return self.account.file.seen.reserved

    @property
    def is_counted(self) -> bool:
        return self.account.file.seen.is_counted

    @property
    def free(self) -> int:
        return self.account.free

    @property
    def is_short(self) -> bool:
        """Whether a draft of this process waits for room."""
        return self._shortage.locked()

    def room(self) -> int:
        return max(0, self.account.room())

    def set_limits(self, quota: int | None, free_space: int | None) -> None:
        self.account.set_limits(quota, free_space)
        self._vain_until = float("-inf")

    def on_shortage(self, make_room: MakeRoom | None) -> None:
        self._make_room = make_room

    async def recount(self) -> int:
        await asyncio.shield(self._count())
        return self.stored

    async def obtain(self, reservation: Reservation, total: int, *, is_final: bool) -> bool:
        """Reserve `total` bytes of a draft, and wait for room within a limit. Return False if there is none.

        `is_final`: `total` is the length of the file. Otherwise a little more is reserved.
        """
        most = self.account.most
        if most is not None and total > most:
            return False
        if await self._reserve(reservation, total, is_final=is_final):
            return True
        async with self._shortage:
            return await self._wait_for_room(reservation, total, is_final=is_final)

    async def close(self) -> None:
        """Stop counting and making room."""
        self._is_closed = True
        for task in (self._making, self._counting):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})

    async def _wait_for_room(self, reservation: Reservation, total: int, *, is_final: bool) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _MAKE_ROOM_SECONDS
        needs_count = await self._on_disk(self.account.settle)
        if needs_count or (self.limit is not None and not self.is_counted):
            await asyncio.wait({self._count()}, timeout=_MAKE_ROOM_SECONDS)
        if await self._reserve(reservation, total, is_final=is_final):
            return True
        if loop.time() < self._vain_until:
            return False
        if self._make_room is not None:
            missing = total - reservation.size - self.account.room()
            if self._making is None or self._making.done():
                self._making = loop.create_task(self._ask_owner(self._make_room, missing))
            await asyncio.wait({self._making}, timeout=max(0.0, deadline - loop.time()))
            if await self._reserve(reservation, total, is_final=is_final):
                return True
        if await self._sweep(_STALE_DRAFT_SECONDS) and await self._reserve(reservation, total, is_final=is_final):
            return True
        self._vain_until = loop.time() + _VAIN_SECONDS
        return False

    async def _ask_owner(self, make_room: MakeRoom, missing: int) -> bool:
        try:
            return await make_room(missing)
        except Exception:  # noqa: BLE001 - the owner's work failed; the draft continues without room
            _log.exception("No room could be made for %d bytes", missing)
            return False

    async def _reserve(self, reservation: Reservation, total: int, *, is_final: bool) -> bool:
        try:
            return await self._on_disk(lambda: self.account.reserve(reservation, total, is_final=is_final))
        except OSError as error:
            if not is_unwritable(error):
                raise os_failure("cannot reserve disk space", error) from error
            return False

    async def _on_disk(self, work: Callable[[], _R], pool: Executor | None = None) -> _R:
        return await asyncio.get_running_loop().run_in_executor(pool or self._threads.disk, work)

    def _count(self) -> asyncio.Task[None]:
        """Return the count that runs in this process; start it if none does."""
        if self._counting is None or self._counting.done():
            self._counting = asyncio.get_running_loop().create_task(self._count_all())
            self._counting.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._counting

    async def _count_all(self) -> None:
        account = self.account
        try:
            while not await self._on_disk(
                lambda: count_blobs(account.file, account.blobs, lambda: self._is_closed), self._threads.counts
            ):
                while account.file.is_counting():  # noqa: ASYNC110 - in another process, which sends no event
                    await asyncio.sleep(_POLL_SECONDS)
                if self.is_counted:
                    break
            if await self._on_disk(account.settle):
                _log.warning("A process died while the blobs were counted; they are counted again")
                await self._on_disk(
                    lambda: count_blobs(account.file, account.blobs, lambda: self._is_closed), self._threads.counts
                )
                await self._on_disk(account.settle)
        except OSError as error:
            raise os_failure(f"cannot count the blobs in {account.blobs.path}", error) from error
