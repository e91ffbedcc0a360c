"""Mark a snapshot bad: the one with exactly the named time, otherwise the one that answers for that time."""

from __future__ import annotations

from collections.abc import Sequence

from snapproxy.answer.bad_snapshots import BadSnapshots
from snapproxy.base.context import RequestContext
from snapproxy.core.model import Instant, Refusal, Resolved, TimeSpec
from snapproxy.core.time_spec import format_instant
from snapproxy.jobs.timeline import TimelineEntry


async def mark(
    context: RequestContext,
    when: TimeSpec,
    at_instant: Sequence[TimelineEntry] | Refusal,
    resolved: Resolved | Refusal,
    bad_snapshots: BadSnapshots,
    because: str | None,
) -> Instant | Refusal:
    """Mark the snapshot of a time as bad, with the reason `because`; with None, remove the mark.

    Return the instant of the mark.

    `at_instant` are the timeline entries that include the exact second; `resolved` is the snapshot that answers for it.
    """
    instant = _instant(when, at_instant, resolved)
    if isinstance(instant, Refusal):
        return instant
    if because is not None:
        await bad_snapshots.put(context.archive, instant, because)
    elif not await bad_snapshots.drop(context.archive, instant):
        return _not_marked(context, instant)
    return instant


def _instant(
    when: TimeSpec, at_instant: Sequence[TimelineEntry] | Refusal, resolved: Resolved | Refusal
) -> Instant | Refusal:
    """Return the instant that names the snapshot.

    Observations of several roots may include the same second: the one that began last is the one that the user saw. If
    every second is a snapshot, the second itself is the instant.
    """
    if isinstance(at_instant, Refusal):
        return at_instant
    if at_instant and when.instant is not None:
        return max(each.first for each in at_instant) if any(each.root for each in at_instant) else when.instant
    return resolved.instant if isinstance(resolved, Resolved) else resolved


def _not_marked(context: RequestContext, instant: Instant) -> Refusal:
    is_configured = instant in context.archive.bad
    why = (
        "It is in `bad` of the archive's configuration."
        if is_configured
        else "`snapproxy timeline` lists bad snapshots."
    )
    return Refusal(404, f"{format_instant(instant)} was not marked bad by hand", why)
