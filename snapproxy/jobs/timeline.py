"""List the snapshots of an archive for the `timeline` verb, for every kind of history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snapproxy.answer.timelines import Timelines
from snapproxy.base.context import RequestContext
from snapproxy.core.model import Archive, Instant, NeedWindow, Refusal, Span
from snapproxy.core.time_spec import format_instant
from snapproxy.live.observations import Observations


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One snapshot, or one span of instants. `root`: the observed root, '' if a snapshot covers the whole archive.

    `first` to `last` are the instants known to be answered by it; equal if only one is known. `because`: the reason of
    a bad mark, if any.
    """

    snapshot: str
    first: Instant
    last: Instant
    is_settled: bool
    root: str = ""
    is_bad: bool = False
    because: str = ""


async def entries(
    context: RequestContext,
    start: Instant,
    end: Instant,
    now: Instant,
    timelines: Timelines,
    observations: Observations,
) -> list[TimelineEntry] | Refusal:
    """Return the entries between `start` and `end` (both included), oldest first."""
    archive, end = context.archive, min(end, now)
    if context.history.is_observed:
        roots = observations.roots(archive)
        found = [(path, span) for path in roots for span in observations.spans(archive, path, start, end)]
        return [
            _observed(archive, path, span) for path, span in sorted(found, key=lambda each: (each[1].first, each[0]))
        ]
    need = NeedWindow(start, max(end, start) + 1, around=end)
    if not any(context.history.timeline_urls(archive, base, need) for base in archive.snapshot):
        return _every_second(archive, start, end, now)
    instants: list[Instant] = []
    while True:  # a history may answer for a part of the requested window, such as one day
        window = await timelines.window(context, need)
        if isinstance(window, Refusal):
            return window
        instants += [each for each in window.instants if start <= each <= end]
        if not need.start < window.end < need.end:
            break
        need = NeedWindow(window.end, need.end, around=end)
    later = [*instants[1:], window.after]
    return (
        [_listed(archive, one, after, now) for one, after in zip(instants, later, strict=bool(instants))]
        if instants
        else []
    )


def settled_instants(found: Sequence[TimelineEntry], after: Instant, newest: Instant) -> list[Instant]:
    """Return the instants of settled snapshots after an instant, oldest first, and of the newest one.

    Entries that are spans have no snapshots to count: of them the newest instant alone is returned.
    """
    usable = {
        each.first
        for each in found
        if each.first == each.last and each.is_settled and not each.is_bad and after < each.first <= newest
    }
    return sorted({*usable, newest}) if newest > after else []


def _observed(archive: Archive, path: str, span: Span) -> TimelineEntry:
    bad = next((each for each in archive.bad if each == span.first or format_instant(each) == span.snapshot), None)
    because = "" if bad is None else dict(archive.because).get(bad, "")
    is_bad = bad is not None
    return TimelineEntry(
        span.snapshot, span.first, span.last, is_settled=True, root=path, is_bad=is_bad, because=because
    )


def _every_second(archive: Archive, start: Instant, end: Instant, now: Instant) -> list[TimelineEntry]:
    """Return the settled and the unsettled part of the window, in which every second is a snapshot."""
    first, settled = max(start, archive.first or start), now - archive.settle_after
    spans: Sequence[tuple[Instant, Instant, bool]] = (
        (first, min(end, settled), True),
        (max(first, settled + 1), end, False),
    )
    return [TimelineEntry(format_instant(one), one, last, is_settled) for one, last, is_settled in spans if one <= last]


def _listed(archive: Archive, one: Instant, after: Instant | None, now: Instant) -> TimelineEntry:
    is_settled = after is not None or now - one >= archive.settle_after
    return TimelineEntry(
        format_instant(one), one, one, is_settled, is_bad=one in archive.bad, because=dict(archive.because).get(one, "")
    )
