"""The timelines of archives: which snapshots exist, window by window, as the archive's snapshot service lists them.

A settled window is kept without expiry. The newest window expires; while upstream is down its old copy is used, because
a timeline with too few snapshots can only make the resolver refuse, never answer with another day. Only one process of
the machine requests a window at a time, by `timeline_service`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.concurrency import Recent, SharedTask
from snapproxy.base.context import RequestContext
from snapproxy.core.model import Archive, Instant, NeedWindow, Refusal, Window
from snapproxy.core.time_spec import format_instant
from snapproxy.core.timeline import window_expires, window_is_settled
from snapproxy_storage import Catalog, Slots, StorageFailure

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
"""Poll interval in seconds while another process requests the same window."""

FAILURE_SECONDS = 5.0
"""How long a failure is cached, so that the hundred requests of one update do not each wait for it."""

MAX_REMEMBERED = 1024
"""Maximum number of windows in memory for an archive, and of cached failures: clients choose the times."""

PROBE_SECONDS = 30 * 86400
"""How long an answer about a single instant is kept: clients can request any number of instants."""


AskUpstream = Callable[[RequestContext, NeedWindow], Awaitable[Window | Refusal]]
"""Request a window from the archive's snapshot service (`timeline_service.TimelineService.ask`)."""


class Timelines:
    """Windows by archive. The resolver starts with the windows in memory and requests others when it needs them."""

    def __init__(
        self, *, catalog: Catalog, slots: Slots, ask_upstream: AskUpstream, clock: Clock, offline: bool
    ) -> None:
        self._catalog = catalog
        self._slots = slots
        self._ask_upstream = ask_upstream
        self._clock = clock
        self._offline = offline
        self._windows: dict[str, dict[tuple[Instant, Instant], Window]] = {}
        self._asking: dict[str, SharedTask[Window | Refusal]] = {}
        self._failed: Recent[str, Refusal] = Recent(clock, most=MAX_REMEMBERED)

    def at_hand(self, archive: Archive) -> list[Window]:
        """Return the windows in memory that have not expired."""
        now = self._clock.now()
        return [
            window for window in self._windows.get(archive.name, {}).values() if self._is_good(window, archive, now)
        ]

    async def window(self, context: RequestContext, need: NeedWindow) -> Window | Refusal:
        """Return the window that covers a stretch, from upstream if it is unknown or has expired."""
        key = _key(context.archive, need)
        stored = self._stored(context.archive, need)
        if stored is not None and (self._offline or self._is_good(stored, context.archive, self._clock.now())):
            return self._remember(context.archive, stored)
        if self._offline:
            return _unknown_offline(context.archive, need)
        failure = self._failed.get(key)
        if failure is not None:
            return failure if stored is None else stored
        while True:
            task = self._asking.get(key)
            if is_first := task is None or task.is_abandoned:
                task = self._asking[key] = SharedTask(self._ask(context, need, key), self._asking, key, self._clock)
            if await task.wait(context.deadline - self._clock.monotonic()):
                answer = task.result()
            else:
                task.keep()
                answer = refusals.still_fetching()
            if isinstance(answer, Refusal):
                return answer if stored is None else stored
            if is_first or _answers(answer, need):
                return self._remember(context.archive, answer)

    async def close(self) -> None:
        """Cancel the requests in progress."""
        for question in list(self._asking.values()):
            await question.cancel()

    def _is_good(self, window: Window, archive: Archive, now: Instant) -> bool:
        expires = window_expires(window, archive, now)
        return self._offline or expires is None or expires > now

    def _remember(self, archive: Archive, window: Window) -> Window:
        """Keep a window in memory and drop those that have expired, because windows of single instants accumulate."""
        now = self._clock.now()
        good = {
            key: each for key, each in self._windows.get(archive.name, {}).items() if self._is_good(each, archive, now)
        }
        good.pop((window.start, window.end), None)
        while len(good) >= MAX_REMEMBERED:
            del good[next(iter(good))]
        self._windows[archive.name] = good | {(window.start, window.end): window}
        return window

    def _stored(self, archive: Archive, need: NeedWindow) -> Window | None:
        """Return the stored window, otherwise the stored answer of a redirect about the same instant."""
        for key in (_key(archive, need), _key(archive, need, probe=True)):
            fact: dict[str, Any] | None = self._catalog.fact(key, self._clock.now())
            if fact is not None:
                window = read_stored_window(fact)
                if window.asked <= self._clock.now() or window_is_settled(window, archive, self._clock.now()):
                    return window  # the clock may have been ahead: an unsettled window from the future is not believed
        return None

    async def _keep(self, archive: Archive, need: NeedWindow, window: Window) -> None:
        is_complete = _covers(window, need)
        expires = None if is_complete else self._clock.now() + PROBE_SECONDS
        try:
            await self._catalog.put_fact(_key(archive, need, probe=not is_complete), asdict(window), expires=expires)
        except StorageFailure as failure:  # the disk is full: the next request is sent to upstream again
            log.warning("A timeline of %s could not be stored: %s", archive.name, failure)

    async def _ask(self, context: RequestContext, need: NeedWindow, key: str) -> Window | Refusal:
        while (slot := self._slots.take(key, 1)) is None:  # another process is requesting it; its answer is used
            await self._clock.sleep(POLL_SECONDS)
        try:
            stored = self._stored(context.archive, need)
            if stored is not None and self._is_good(stored, context.archive, self._clock.now()):
                return stored
            answer = await self._ask_upstream(context, need)
            if isinstance(answer, Window):
                await self._keep(context.archive, need, answer)
                self._failed.drop(key)
            else:
                self._failed.put(key, answer, FAILURE_SECONDS)
            return answer
        finally:
            slot.release()


def _covers(window: Window, need: NeedWindow) -> bool:
    return window.start <= need.start and need.end <= window.end


def _answers(window: Window, need: NeedWindow) -> bool:
    """Return whether the answer to another question answers this one too; a folder's answer covers one instant only."""
    return _covers(window, need) or (need.around is not None and window.start <= need.around < window.end)


def stored_windows_of(archive: Archive) -> str:
    """Return the beginning of the keys of the facts that have the windows of an archive."""
    return f"timeline/{archive.name}/"


def read_stored_window(fact: dict[str, Any]) -> Window:
    """Return the window of a fact."""
    return Window(**(fact | {"instants": tuple(fact["instants"])}))


def _key(archive: Archive, need: NeedWindow, *, probe: bool = False) -> str:
    return f"{stored_windows_of(archive)}{need.start}-{need.end}" + (f"@{need.around}" if probe else "")


def _unknown_offline(archive: Archive, need: NeedWindow) -> Refusal:
    return Refusal(
        424,
        "Offline: the timeline of that time is not in the store",
        f"No snapshots of {archive.name} are known between "
        f"{format_instant(need.start)} and {format_instant(need.end)}.",
        "Use an instant of a build that ran online, or the id of its snapshot.",
    )
