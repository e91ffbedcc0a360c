"""Choose one time for all entries of lists: a command runs at one time, whatever the number of archives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from snapproxy.core.interval_cover import fewest_points
from snapproxy.core.model import Match, TimeSpec
from snapproxy.core.time_spec import format_instant
from snapproxy.prefetch.model import ResolvedEntry


def the_one_time(times: Iterable[TimeSpec]) -> TimeSpec | None:
    """Return the time that all files have, None if there are several, none, or one without an instant.

    Addresses outside every snapshot have no time.
    """
    found = {each for each in times if not each.verbatim}
    if len(found) != 1:
        return None
    (time,) = found
    return None if time.instant is None else time


def likely_time(entries: Sequence[ResolvedEntry], times: Sequence[TimeSpec]) -> TimeSpec | None:
    """Return the time at which all archives most probably have all entries, None if none of the times is an instant.

    If one instant lies in the known periods of every entry, it is that one. Otherwise it is the latest of the chosen
    times: the periods are often single instants, the only ones that were read. The newest file did not exist before the
    latest time, and the others may still be listed then.
    """
    instants = [each.instant for each in times if each.instant is not None and not each.verbatim]
    if not instants:
        return None
    lines = [[span for candidate in each.candidates for span in candidate.spans] for each in entries]
    points = fewest_points(lines)
    instant = points[0] if len(points) == 1 else max(instants)
    return TimeSpec(format_instant(instant), instant, Match.AT)
