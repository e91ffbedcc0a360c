"""Finds which snapshot a user means by a time, and marks it bad: the one that bears it, else the one that answers for it."""

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
    exists: Sequence[TimelineEntry] | Refusal,
    settled: Resolved | Refusal,
    marks: BadSnapshots,
    because: str | None,
) -> Instant | Refusal:
    """Mark what is meant by `when` as bad, and say why; with None, take its mark back. Return the instant of the mark.

    `exists` is what has a part in that very second, settled or not; `settled` is what answers for it.
    """
    instant = _meant(when, exists, settled)
    if isinstance(instant, Refusal):
        return instant
    if because is not None:
        await marks.put(context.archive, instant, because)
    elif not await marks.drop(context.archive, instant):
        return _unmarked(context, instant)
    return instant


def _meant(when: TimeSpec, exists: Sequence[TimelineEntry] | Refusal, settled: Resolved | Refusal) -> Instant | Refusal:
    """Return the instant by which a snapshot is called.

    Observations of several roots may go across one second: the one that began last is what a user saw go wrong. In a stretch in
    which every second is answered, the second itself is the snapshot.
    """
    if isinstance(exists, Refusal):
        return exists
    if exists and when.instant is not None:
        return max(each.first for each in exists) if any(each.root for each in exists) else when.instant
    return settled.instant if isinstance(settled, Resolved) else settled


def _unmarked(context: RequestContext, instant: Instant) -> Refusal:
    is_configured = instant in context.archive.bad
    why = "It is in the row's `bad`, in the configuration." if is_configured else "`snapproxy timeline` shows what is."
    return Refusal(404, f"{format_instant(instant)} was not marked bad by hand", why)
