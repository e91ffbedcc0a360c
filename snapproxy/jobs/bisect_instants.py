"""List the instants between the ends of a bisection at which the state of an archive may have changed."""

from __future__ import annotations

from collections.abc import Iterable

from snapproxy.core.model import Instant
from snapproxy.jobs.timeline import TimelineEntry

STEP = 3600
"""Seconds between two instants of an archive whose server answers for every second, and thus lists no snapshots."""

MOST_INSTANTS = 200_000
"""Maximum number of instants: 22 years of such an archive."""


def instants_between(entries: Iterable[TimelineEntry], first: Instant, last: Instant) -> list[Instant]:
    """Return `first`, followed by the snapshots after it up to `last`, of all archives and in order.

    The state at `first` is that of the snapshot before it. Snapshots that are marked bad or not settled are left out,
    because they are refused. Raises ValueError if there are too many.
    """
    found = {first}
    for entry in entries:
        if entry.is_bad or not entry.is_settled:
            continue
        if entry.first == entry.last or entry.root:
            found.add(entry.first)
        else:
            found |= {*range(entry.first + -entry.first % STEP, entry.last + 1, STEP), entry.last}
        if len(found) > MOST_INSTANTS:
            raise ValueError(f"there are more than {MOST_INSTANTS} snapshots between the ends")
    return sorted(each for each in found if first <= each <= last)
