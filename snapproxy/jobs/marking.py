"""Finds which snapshot a user means by a time, and marks it bad: the one that bears it, else the one that answers for it."""

from __future__ import annotations

from collections.abc import Sequence

from snapproxy.core.model import Instant, Refusal, Resolved, When
from snapproxy.core.when import spell
from snapproxy.jobs.timeline import Entry
from snapproxy.shell.asking import Asking
from snapproxy.shell.marks import Marks


async def mark(
    asking: Asking,
    when: When,
    exists: Sequence[Entry] | Refusal,
    settled: Resolved | Refusal,
    marks: Marks,
    because: str | None,
) -> Instant | Refusal:
    """Mark what is meant by `when` as bad, and say why; with None, take its mark back. Return the instant of the mark.

    `exists` is what has a part in that very second, settled or not; `settled` is what answers for it.
    """
    instant = _meant(when, exists, settled)
    if isinstance(instant, Refusal):
        return instant
    if because is not None:
        await marks.put(asking.row, instant, because)
    elif not await marks.drop(asking.row, instant):
        return _unmarked(asking, instant)
    return instant


def _meant(when: When, exists: Sequence[Entry] | Refusal, settled: Resolved | Refusal) -> Instant | Refusal:
    """Return the instant by which a snapshot is called.

    Observations of several roots may go across one second: the one that began last is what a user saw go wrong. In a stretch in
    which every second is answered, the second itself is the snapshot.
    """
    if isinstance(exists, Refusal):
        return exists
    if exists and when.instant is not None:
        return max(each.first for each in exists) if any(each.root for each in exists) else when.instant
    return settled.instant if isinstance(settled, Resolved) else settled


def _unmarked(asking: Asking, instant: Instant) -> Refusal:
    is_configured = instant in asking.row.bad
    why = "It is in the row's `bad`, in the configuration." if is_configured else "`snapproxy timeline` shows what is."
    return Refusal(404, f"{spell(instant)} was not marked bad by hand", why)
