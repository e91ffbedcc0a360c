"""Open the parts that answer about times, and call the functions that do the work of `resolve`, `timeline` and `bad`.

Imports no server and no client, so that these verbs start fast.
"""

from __future__ import annotations

from collections.abc import Sequence

from snapproxy.core.model import Instant, Refusal, Resolved, TimeSpec
from snapproxy.jobs.common_time import CommonTime, newest_common
from snapproxy.jobs.mark_bad import mark
from snapproxy.jobs.timeline import TimelineEntry, entries
from snapproxy.wiring.times import TimesApp, open_times

__all__ = ["CommonTime", "TimelineEntry", "TimesApp", "common_time", "mark_bad", "open_times", "timeline"]


async def timeline(app: TimesApp, archive: str, start: Instant, end: Instant) -> Sequence[TimelineEntry] | Refusal:
    """Return the snapshots of an archive between two instants. Raises ClientError for an unknown archive."""
    context = app.context(app.archive(archive))
    return await entries(context, start, end, app.clock.now(), app.timelines, app.observations)


async def common_time(app: TimesApp, archives: tuple[str, ...], when: TimeSpec) -> CommonTime | Refusal:
    """Return the newest time that all archives answer. Raises ClientError for an unknown archive."""

    async def resolve(name: str, time: TimeSpec) -> Resolved | Refusal:
        return await app.snapshot(app.archive(name), time)

    return await newest_common(archives, when, resolve)


async def mark_bad(app: TimesApp, archive: str, time: TimeSpec, because: str | None) -> Instant | Refusal:
    """Mark the snapshot that answers for a time as bad, or remove the mark (None). Return the snapshot's instant."""
    start = time.instant or app.clock.now()
    existing = await timeline(app, archive, start, start)
    resolved = await app.snapshot(app.archive(archive), time)
    context = app.context(app.archive(archive))
    return await mark(context, time, existing, resolved, app.bad_snapshots, because)
