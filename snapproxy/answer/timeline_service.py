"""Request the list of snapshots from an archive's snapshot service. `timelines` keeps the answers."""

from __future__ import annotations

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.base.stats import Stats
from snapproxy.core.history import TimelineAnswer
from snapproxy.core.model import Archive, NeedWindow, Refusal, Window
from snapproxy.core.rate_limit import FixedDemand
from snapproxy.core.upstream_answer import (
    Absent,
    BodyFollows,
    Broken,
    CoolingDown,
    Forbidden,
    QueueFull,
    Redirect,
    Throttled,
    UpstreamRequest,
)
from snapproxy.upstream.client import UpstreamClient
from snapproxy.upstream.egress import EgressPolicy
from snapproxy.upstream.response import BodyBrokenError, UpstreamResponse

MAX_TIMELINE = 4 << 20
"""Maximum size of an answer in bytes: twenty years of dumps four times a day are half a megabyte."""

THROTTLES = 4
"""Maximum number of repetitions of a throttled request for a timeline before the next address is tried."""


class TimelineService:
    """The snapshot services of all archives, requested through one HTTP client."""

    def __init__(self, upstream: UpstreamClient, clock: Clock, tally: Stats) -> None:
        self._upstream = upstream
        self._clock = clock
        self._tally = tally

    async def ask(self, context: RequestContext, need: NeedWindow) -> Window | Refusal:
        """Return the window that covers a stretch, from the first address that has an answer."""
        refusal = refusals.no_timeline(context.archive, "its configuration has no `snapshot` address")
        for base in context.archive.snapshot:
            for url in context.history.timeline_urls(context.archive, base, need):
                answer = await self._unless_throttled(context, url)
                if isinstance(answer, Refusal):
                    refusal = answer
                    continue
                window = context.history.read_window(context.archive, need, url, answer, self._clock.now())
                if window is not None:
                    return window
        return refusal

    async def _unless_throttled(self, context: RequestContext, url: str) -> TimelineAnswer | Refusal:
        """Send a request, and repeat it after each throttled answer.

        The rate limit makes every further attempt wait longer.
        """
        for _ in range(THROTTLES):
            answer = await self._read(context, url)
            if not isinstance(answer, Throttled):
                return answer
        return refusals.no_timeline(context.archive, f"upstream is cooling down ({answer.status})")

    async def _read(self, context: RequestContext, url: str) -> TimelineAnswer | Throttled | Refusal:
        """Request one address. A redirect whose Location is the answer is returned, any other redirect is followed."""
        archive, is_answer = context.archive, context.history.is_answer
        asked = UpstreamRequest(url, page=True)
        async with self._upstream.fetch(
            asked,
            EgressPolicy.of(archive),
            demand=FixedDemand(context.background, frozenset({context.client.peer})),
            max_cool_down=None if context.background else context.patience,
            stop_at=is_answer,
            via=context.via,
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
                case CoolingDown():
                    return refusals.timeline_cooling_down(archive, response.answer, self._clock.now())
                case QueueFull(upstream, queued):
                    return refusals.no_timeline(archive, f"{queued} requests wait for {upstream}, the maximum")
                case Broken():
                    return refusals.no_timeline(archive, response.answer.reason)
                case Forbidden(status, login):
                    cause = f"upstream refused access to it ({status}). {login}" if status else login
                    return refusals.no_timeline(archive, cause.strip().rstrip("."))
                case _:
                    return refusals.no_timeline(archive, "upstream's answer is not the one that was requested")

    async def _body(self, archive: Archive, response: UpstreamResponse) -> TimelineAnswer | Refusal:
        try:
            return TimelineAnswer(200, "", await response.read(MAX_TIMELINE))
        except BodyBrokenError as broken:
            return refusals.no_timeline(archive, broken.fault.value)
