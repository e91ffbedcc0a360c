"""Lists which instants of an archive can be asked for: what `timeline` prints, for every way an archive remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snapproxy.core.model import Archive, Instant, NeedWindow, Refusal, Span
from snapproxy.core.when import spell
from snapproxy.shell.asking import Asking
from snapproxy.shell.observations import Observations
from snapproxy.shell.timelines import Timelines


@dataclass(frozen=True, slots=True)
class Entry:
    """One snapshot, or one stretch of instants. `root`: whose it is, '' where a snapshot holds the whole archive.

    `first` to `last` are the instants known to be answered by it; equal where only one is known. `because`: why it is bad, if told.
    """

    snapshot: str
    first: Instant
    last: Instant
    is_settled: bool
    root: str = ""
    is_bad: bool = False
    because: str = ""


async def entries(
    asking: Asking, start: Instant, end: Instant, now: Instant, timelines: Timelines, observations: Observations
) -> list[Entry] | Refusal:
    """Return what exists between `start` and `end` (both included), oldest first."""
    row, end = asking.row, min(end, now)
    if asking.history.is_observed:
        roots = observations.roots(row)
        found = [(path, span) for path in roots for span in observations.spans(row, path, start, end)]
        return [_observed(row, path, span) for path, span in sorted(found, key=lambda each: (each[1].first, each[0]))]
    need = NeedWindow(start, max(end, start) + 1, around=end)
    if not any(asking.history.timeline_urls(row, base, need) for base in row.snapshot):
        return _every_second(row, start, end, now)
    told: list[Instant] = []
    while True:  # a history may tell of less than it was asked for: of one day
        window = await timelines.window(asking, need)
        if isinstance(window, Refusal):
            return window
        told += [each for each in window.instants if start <= each <= end]
        if not need.start < window.end < need.end:
            break
        need = NeedWindow(window.end, need.end, around=end)
    later = [*told[1:], window.after]
    return [_listed(row, one, after, now) for one, after in zip(told, later, strict=bool(told))] if told else []


def _observed(row: Archive, path: str, span: Span) -> Entry:
    bad = next((each for each in row.bad if each == span.first or spell(each) == span.snapshot), None)
    because = "" if bad is None else dict(row.because).get(bad, "")
    is_bad = bad is not None
    return Entry(span.snapshot, span.first, span.last, is_settled=True, root=path, is_bad=is_bad, because=because)


def _every_second(row: Archive, start: Instant, end: Instant, now: Instant) -> list[Entry]:
    """Return the stretch in which every second is answered, and what is not settled yet of the time asked for."""
    first, settled = max(start, row.first or start), now - row.settle_after
    stretches: Sequence[tuple[Instant, Instant, bool]] = (
        (first, min(end, settled), True),
        (max(first, settled + 1), end, False),
    )
    return [Entry(spell(one), one, last, is_settled) for one, last, is_settled in stretches if one <= last]


def _listed(row: Archive, one: Instant, after: Instant | None, now: Instant) -> Entry:
    is_settled = after is not None or now - one >= row.settle_after
    return Entry(spell(one), one, one, is_settled, is_bad=one in row.bad, because=dict(row.because).get(one, ""))
