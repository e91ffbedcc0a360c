"""What is known of an archive's timeline, and which stretch to ask for next.

A timeline is learnt in windows that follow the calendar (UTC), so that all clients and all instants share them: the month asked
about, a month beside it, the year, then everything. That bounds the asks: four to walk back, three to walk on. What an answer
means for a client is decided in `resolve`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from snapproxy.core.model import Archive, Instant, NeedWindow, Window

DAWN: Instant = int(datetime(2005, 1, 1, tzinfo=UTC).timestamp())
"""No archive's record is older, unless its row's `first` says so: the oldest public snapshot service began in March 2005."""

UNSETTLED_SECONDS = 600
"""How long a window that may still grow is believed."""

_DECEMBER = 12


def window_is_settled(window: Window, archive: Archive, now: Instant) -> bool:
    """Whether a window can be kept for ever: it had been over for `settle_after` when asked, and a later snapshot is known.

    Without the later one nothing tells an archive that stood still from a service that lagged and will catch up. A frozen
    archive has no later one to show, and a stretch that is filled needs none.
    """
    if archive.frozen:
        return window.end <= min(window.asked, now)
    return (window.filled or window.after is not None) and window.end + archive.settle_after <= min(window.asked, now)


def window_expires(window: Window, archive: Archive, now: Instant) -> Instant | None:
    """Return when a window must be asked for again, None for never."""
    return None if window_is_settled(window, archive, now) else window.asked + UNSETTLED_SECONDS


@dataclass(frozen=True, slots=True)
class Timeline:
    """The windows known of one archive at `now`, with the snapshots marked bad left out.

    `spans` are the stretches that were asked for (start <= instant < end), `told` the snapshots of each, ascending. `seen` are
    the same stretches as far as they had passed when they were asked for: a window that outlived its welcome because upstream
    is down knows nothing of what came later.
    """

    spans: tuple[tuple[Instant, Instant], ...]
    seen: tuple[tuple[Instant, Instant], ...]
    told: tuple[tuple[Instant, ...], ...]
    bad: frozenset[Instant]
    floor: Instant
    now: Instant

    @classmethod
    def of(cls, archive: Archive, windows: Iterable[Window], now: Instant) -> Timeline:
        """Join what windows tell; one that names a snapshot beyond its end is known up to that."""
        spans, seen, told = [], [], []
        for window in windows:
            beyond = () if window.after is None else (window.after,)
            end = max([window.end, *(each + 1 for each in beyond)])
            spans.append((window.start, end))
            seen.append((window.start, min(end, window.asked + 1)))
            told.append((*window.instants, *beyond))
        floor = DAWN if archive.first is None else archive.first
        return cls(tuple(spans), tuple(seen), tuple(told), frozenset(archive.bad), floor, now)

    def at_or_before(self, instant: Instant) -> Instant | NeedWindow | None:
        """Return the newest snapshot at or before `instant`, None if there is none, or what must be asked to know."""
        known_from = self._known_from(instant)
        newest = self._newest(instant)
        if newest is not None and newest >= known_from:
            return newest
        if known_from <= self.floor:
            return None
        stretch = next((start, end) for start, end in self._backward(instant) if start < known_from <= end)
        return NeedWindow(*stretch, around=known_from - 1)

    def after(self, instant: Instant, enough: Instant) -> Instant | NeedWindow | None:
        """Return a snapshot after `instant`, None if there is none yet, or what must be asked to know.

        It is the first one, or a later one that does as well: one not after `enough`, or, when it is known that none stands
        before `enough`, any.
        """
        known_to = self._reach(self.spans, instant)
        later = self._next(instant)
        if later is not None and (later < known_to or later <= enough or enough < known_to):
            return later
        if known_to > self.now:
            return None
        around = self._unknown(enough if known_to <= enough <= self.now else self.now)
        stretch = next((start, end) for start, end in self._forward(instant) if start <= known_to < end)
        return NeedWindow(*stretch, around=around)

    def seen_to(self, instant: Instant) -> Instant:
        """Return the instant up to which (excluded) everything after `instant` had passed when it was asked for."""
        return self._reach(self.seen, instant)

    def _reach(self, spans: tuple[tuple[Instant, Instant], ...], instant: Instant) -> Instant:
        """Return the instant up to which (excluded) spans follow `instant` without a hole."""
        end = max(instant + 1, self.floor)
        grown = True
        while grown:
            furthest = max((stop for start, stop in spans if start <= end), default=end)
            grown, end = furthest > end, max(furthest, end)
        return end

    def _known_from(self, instant: Instant) -> Instant:
        """Return the instant from which on everything up to `instant` is known; the floor when all of it is."""
        start = instant + 1
        grown = True
        while grown and start > self.floor:
            earliest = min((begin for begin, end in self.spans if end >= start), default=start)
            grown, start = earliest < start, min(earliest, start)
        return start

    def _unknown(self, instant: Instant) -> Instant:
        """Return the newest instant up to this one that no window covers (they hold bad snapshots only, or none)."""
        starts = [start for start, end in self.spans if start <= instant < end]
        return self._unknown(min(starts) - 1) if starts else instant

    def _newest(self, instant: Instant) -> Instant | None:
        """Return the newest snapshot at or before `instant` that any window tells of."""
        found = None
        for told in self.told:
            index = bisect_right(told, instant) - 1
            while index >= 0 and told[index] in self.bad:
                index -= 1
            if index >= 0 and (found is None or told[index] > found):
                found = told[index]
        return found

    def _next(self, instant: Instant) -> Instant | None:
        """Return the first snapshot after `instant` that any window tells of."""
        found = None
        for told in self.told:
            index = bisect_right(told, instant)
            while index < len(told) and told[index] in self.bad:
                index += 1
            if index < len(told) and (found is None or told[index] < found):
                found = told[index]
        return found

    def _backward(self, instant: Instant) -> Iterator[tuple[Instant, Instant]]:
        """Yield what to ask on the way back from `instant`: its month, the one before, that one's year, everything older."""
        month = _month(instant)
        yield month
        month = _month(month[0] - 1)
        yield month
        year = _year(month[0])
        yield year
        yield min(DAWN, self.floor), year[0]

    def _forward(self, instant: Instant) -> Iterator[tuple[Instant, Instant]]:
        """Yield what to ask on the way on from `instant`: its month, the next one, that one's year, everything up to this year's end."""
        month = _month(max(instant, self.floor))
        yield month
        month = _month(month[1])
        yield month
        year = _year(month[0])
        yield year
        yield year[1], _year(self.now)[1]


def _month(instant: Instant) -> tuple[Instant, Instant]:
    """Return the calendar month that holds `instant`, as [start, end)."""
    moment = datetime.fromtimestamp(instant, UTC)
    carry, month = divmod(moment.month, _DECEMBER)
    return _first_of(moment.year, moment.month), _first_of(moment.year + carry, month + 1)


def _year(instant: Instant) -> tuple[Instant, Instant]:
    """Return the calendar year that holds `instant`, as [start, end)."""
    year = datetime.fromtimestamp(instant, UTC).year
    return _first_of(year, 1), _first_of(year + 1, 1)


def _first_of(year: int, month: int) -> Instant:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp())
