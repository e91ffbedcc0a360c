"""The timelines of archives: which snapshots exist, window by window, asked from the archive's own history.

A settled window is kept for ever; the newest one expires, and when upstream is down the old one stands in: knowing too few snapshots can
only make the resolver refuse, never answer with another day. One question is under way at a time on the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import asdict
from typing import Any

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.base.stats import Stats
from snapproxy.core.history import TimelineAnswer
from snapproxy.core.model import Archive, Instant, NeedWindow, Refusal, Window
from snapproxy.core.time_spec import format_instant
from snapproxy.core.timeline import window_expires
from snapproxy.core.upstream_answer import Absent, BodyFollows, Broken, Redirect, Throttled, UpstreamRequest
from snapproxy.upstream.client import UpstreamClient
from snapproxy.upstream.egress import EgressPolicy
from snapproxy.upstream.response import BodyBrokenError, UpstreamResponse
from snapproxy_storage import Catalog, Slots, StorageFailure

log = logging.getLogger(__name__)

MAX_TIMELINE = 4 << 20
"""Bytes of one answer: twenty years of dumps four times a day are half a megabyte."""

THROTTLES = 4
"""How often a timeline is asked for while upstream throttles, before the next address is tried."""

POLL_SECONDS = 0.1
"""How often a window that another process asks for is looked for."""

FRESH_FAILURE = 5.0
"""Seconds a failure is remembered, so that the hundred requests of one update do not each wait for it."""


PROBE_SECONDS = 30 * 86400
"""How long what a folder told is kept, which is about one instant: there is no end of instants to ask about."""


class Timelines:
    """Windows by archive. Those in memory are what the resolver is given before it has to ask."""

    def __init__(
        self, *, catalog: Catalog, slots: Slots, upstream: UpstreamClient, clock: Clock, tally: Stats, offline: bool
    ) -> None:
        self._catalog = catalog
        self._slots = slots
        self._upstream = upstream
        self._clock = clock
        self._tally = tally
        self._offline = offline
        self._windows: dict[str, dict[tuple[Instant, Instant], Window]] = {}
        self._asking: dict[str, asyncio.Task[Window | Refusal]] = {}
        self._failed: dict[str, tuple[float, Refusal]] = {}

    def at_hand(self, archive: Archive) -> list[Window]:
        """Return the windows in memory that have not expired."""
        now = self._clock.now()
        return [
            window for window in self._windows.get(archive.name, {}).values() if self._is_good(window, archive, now)
        ]

    async def window(self, context: RequestContext, need: NeedWindow) -> Window | Refusal:
        """Return what is known of a stretch, asking upstream if that is nothing, or has expired."""
        key = _key(context.archive, need)
        stored = self._stored(context.archive, need)
        if stored is not None and (self._offline or self._is_good(stored, context.archive, self._clock.now())):
            return self._remember(context.archive, stored)
        if self._offline:
            return _unknown_offline(context.archive, need)
        until, failure = self._failed.get(key, (0.0, None))
        if failure is not None and self._clock.monotonic() < until:
            return failure if stored is None else stored
        while True:
            task = self._asking.get(key)
            if is_first := task is None:
                task = self._asking[key] = asyncio.create_task(self._ask(context, need, key))
                task.add_done_callback(lambda _: self._asking.pop(key, None))
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(max(0.0, context.deadline - self._clock.monotonic())):
                    await asyncio.wait({task})
            answer = task.result() if task.done() else refusals.still_fetching()
            if isinstance(answer, Refusal):
                return answer if stored is None else stored
            if is_first or _tells(answer, need):
                return self._remember(context.archive, answer)

    async def close(self) -> None:
        """Stop asking."""
        questions = list(self._asking.values())
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)

    def _is_good(self, window: Window, archive: Archive, now: Instant) -> bool:
        expires = window_expires(window, archive, now)
        return self._offline or expires is None or expires > now

    def _remember(self, archive: Archive, window: Window) -> Window:
        """Keep a window at hand, and let go of those that have expired: what folders told would pile up."""
        now = self._clock.now()
        good = {
            key: each for key, each in self._windows.get(archive.name, {}).items() if self._is_good(each, archive, now)
        }
        self._windows[archive.name] = good | {(window.start, window.end): window}
        return window

    def _stored(self, archive: Archive, need: NeedWindow) -> Window | None:
        """Return the window that was listed, else what a redirect once told around the same instant."""
        for key in (_key(archive, need), _key(archive, need, probe=True)):
            fact: dict[str, Any] | None = self._catalog.fact(key, self._clock.now())
            if fact is not None:
                return Window(**(fact | {"instants": tuple(fact["instants"])}))
        return None

    async def _keep(self, archive: Archive, need: NeedWindow, window: Window) -> None:
        is_listed = _lists(window, need)
        expires = None if is_listed else self._clock.now() + PROBE_SECONDS
        try:
            await self._catalog.put_fact(_key(archive, need, probe=not is_listed), asdict(window), expires=expires)
        except StorageFailure as failure:  # the disk is full: who asks next asks again
            log.warning("a timeline of %s could not be kept: %s", archive.name, failure)

    async def _ask(self, context: RequestContext, need: NeedWindow, key: str) -> Window | Refusal:
        while (slot := self._slots.take(key, 1)) is None:  # another process asks: its answer will do
            await self._clock.sleep(POLL_SECONDS)
        try:
            stored = self._stored(context.archive, need)
            if stored is not None and self._is_good(stored, context.archive, self._clock.now()):
                return stored
            answer = await self._from_upstream(context, need)
            if isinstance(answer, Window):
                await self._keep(context.archive, need, answer)
                self._failed.pop(key, None)
            else:
                self._failed[key] = (self._clock.monotonic() + FRESH_FAILURE, answer)
            return answer
        finally:
            slot.release()

    async def _from_upstream(self, context: RequestContext, need: NeedWindow) -> Window | Refusal:
        refusal = refusals.no_timeline(context.archive, "its row names no history to ask")
        for base in context.archive.snapshot:
            for url in context.history.timeline_urls(context.archive, base, need):
                answer = await self._patiently(context, url)
                if isinstance(answer, Refusal):
                    refusal = answer
                    continue
                window = context.history.read_window(context.archive, need, url, answer, self._clock.now())
                if window is not None:
                    return window
        return refusal

    async def _patiently(self, context: RequestContext, url: str) -> TimelineAnswer | Refusal:
        """Ask again while upstream wants to be asked less; each turn waits longer, as the pacer has it."""
        for _ in range(THROTTLES):
            answer = await self._read(context, url)
            if not isinstance(answer, Throttled):
                return answer
        return refusals.no_timeline(context.archive, f"upstream is cooling down ({answer.status})")

    async def _read(self, context: RequestContext, url: str) -> TimelineAnswer | Throttled | Refusal:
        """Ask one address. A redirect that says the answer is handed over, one to where the answer lies is followed."""
        archive, is_answer = context.archive, context.history.is_answer
        asked = UpstreamRequest(url, page=True)
        async with self._upstream.fetch(
            asked, EgressPolicy.of(archive), background=context.background, stop_at=is_answer, via=context.via
        ) as response:
            self._tally.asked(*response.hops, response.url)
            match response.answer:
                case BodyFollows():
                    return await self._body(archive, response)
                case Redirect(location):
                    return TimelineAnswer(302, location, b"")
                case Absent(status):
                    return TimelineAnswer(status, "", b"")
                case Throttled():
                    return response.answer
                case Broken():
                    return refusals.no_timeline(archive, response.answer.reason)
                case _:
                    return refusals.no_timeline(archive, "upstream forbids it")

    async def _body(self, archive: Archive, response: UpstreamResponse) -> TimelineAnswer | Refusal:
        try:
            return TimelineAnswer(200, "", await response.read(MAX_TIMELINE))
        except BodyBrokenError as broken:
            return refusals.no_timeline(archive, broken.fault.value)


def _lists(window: Window, need: NeedWindow) -> bool:
    return window.start <= need.start and need.end <= window.end


def _tells(window: Window, need: NeedWindow) -> bool:
    """Whether an answer given to somebody else is one to this question too: a folder tells of one instant only."""
    return _lists(window, need) or (need.around is not None and window.start <= need.around < window.end)


def _key(archive: Archive, need: NeedWindow, *, probe: bool = False) -> str:
    return f"timeline/{archive.name}/{need.start}-{need.end}" + (f"@{need.around}" if probe else "")


def _unknown_offline(archive: Archive, need: NeedWindow) -> Refusal:
    return Refusal(
        424,
        "Offline: the timeline of that time was never asked for",
        f"It would need to know which snapshots of {archive.name} exist from {format_instant(need.start)} to {format_instant(need.end)}.",
        "Use an instant of a build that ran online, or the id of its snapshot.",
    )
