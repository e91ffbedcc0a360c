"""The known parts of an archive's timeline, and the next part to request.

A timeline is requested in windows that follow the calendar (UTC), so that all clients and all instants share them: the
month of the instant, an adjacent month, the year, then everything. This bounds the number of requests: four to search
backward, three to search forward. `resolve` decides the answer to the client.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from snapproxy.core.model import Archive, Instant, NeedWindow, Window

DAWN: Instant = int(datetime(2005, 1, 1, tzinfo=UTC).timestamp())
"""The earliest instant of any archive without a `first` setting.

The oldest public snapshot service began in March 2005.
"""

UNSETTLED_SECONDS = 600
"""Seconds until a window that may still grow must be requested again."""

_DECEMBER = 12


def window_is_settled(window: Window, archive: Archive, now: Instant) -> bool:
    """Return whether a window can be kept permanently.

    It must have ended `settle_after` before it was requested, and a later snapshot must be known. Without a later
    snapshot, an archive without changes looks the same as a service that lags and will catch up. A frozen archive has
    no later snapshot, and a filled window needs none.
    """
    if archive.frozen:
        return window.end <= min(window.asked, now)
    return (window.filled or window.after is not None) and window.end + archive.settle_after <= min(window.asked, now)


def window_expires(window: Window, archive: Archive, now: Instant) -> Instant | None:
    """Return when a window must be requested again, None for never.

    An unsettled window from the future is expired: the clock was ahead when it was requested, so the end of what it
    shows is unknown.
    """
    if window_is_settled(window, archive, now):
        return None
    return window.asked + UNSETTLED_SECONDS if window.asked <= now else now


@dataclass(frozen=True, slots=True)
class Timeline:
    """The known windows of one archive at `now`, without the snapshots marked bad.

    `spans` are the requested periods (start <= instant < end), `instants` the snapshots of each, ascending. `seen` are
    the same periods, up to the time of the request: a window that is used after its expiry because upstream is down has
    no information about later times.
    """

    spans: tuple[tuple[Instant, Instant], ...]
    seen: tuple[tuple[Instant, Instant], ...]
    instants: tuple[tuple[Instant, ...], ...]
    bad: frozenset[Instant]
    floor: Instant
    now: Instant

    @classmethod
    def of(cls, archive: Archive, windows: Iterable[Window], now: Instant) -> Timeline:
        """Combine windows. A window with a snapshot after its end extends up to that snapshot."""
        spans, seen, instants = [], [], []
        for window in windows:
            beyond = () if window.after is None else (window.after,)
            end = max([window.end, *(each + 1 for each in beyond)])
            spans.append((window.start, end))
            seen.append((window.start, min(end, window.asked + 1)))
            instants.append((*window.instants, *beyond))
        floor = DAWN if archive.first is None else archive.first
        return cls(tuple(spans), tuple(seen), tuple(instants), frozenset(archive.bad), floor, now)

    def at_or_before(self, instant: Instant) -> Instant | NeedWindow | None:
        """Return the newest snapshot at or before `instant`, None if the archive has none, or the window to request."""
        known_from = self._known_from(instant)
        newest = self._newest(instant)
        if newest is not None and newest >= known_from:
            return newest
        if known_from <= self.floor:
            return None
        stretch = next((start, end) for start, end in self._backward(instant) if start < known_from <= end)
        return NeedWindow(*stretch, around=known_from - 1)

    def after(self, instant: Instant, enough: Instant) -> Instant | NeedWindow | None:
        """Return a snapshot after `instant`, None if the archive has none yet, or the window to request.

        It is the first one, or a later one that is sufficient: one not after `enough`, or any if no snapshot is known
        to exist before `enough`.
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
        """Return the end (exclusive) of the period after `instant` that had passed when it was requested."""
        return self._reach(self.seen, instant)

    def _reach(self, spans: tuple[tuple[Instant, Instant], ...], instant: Instant) -> Instant:
        """Return the end (exclusive) of the spans that follow `instant` without a hole."""
        end = max(instant + 1, self.floor)
        for start, stop in sorted(spans):
            if start > end:
                break
            end = max(end, stop)
        return end

    def _known_from(self, instant: Instant) -> Instant:
        """Return the instant from which everything up to `instant` is known."""
        start = instant + 1
        for begin, end in sorted(self.spans, key=lambda span: -span[1]):
            if end < start:
                break
            start = min(start, begin)
        return start

    def _unknown(self, instant: Instant) -> Instant:
        """Return the newest instant up to this one that no window covers (they have bad snapshots only, or none)."""
        return self._known_from(instant) - 1

    def _newest(self, instant: Instant) -> Instant | None:
        """Return the newest snapshot at or before `instant` in any window."""
        found = None
        for known in self.instants:
            index = bisect_right(known, instant) - 1
            while index >= 0 and known[index] in self.bad:
                index -= 1
            if index >= 0 and (found is None or known[index] > found):
                found = known[index]
        return found

    def _next(self, instant: Instant) -> Instant | None:
        """Return the first snapshot after `instant` in any window."""
        found = None
        for known in self.instants:
            index = bisect_right(known, instant)
            while index < len(known) and known[index] in self.bad:
                index += 1
            if index < len(known) and (found is None or known[index] < found):
                found = known[index]
        return found

    def _backward(self, instant: Instant) -> Iterator[tuple[Instant, Instant]]:
        """Yield the windows to request backward from `instant`.

        They are its month, the month before, the year of that month, everything older.
        """
        month = _month(instant)
        yield month
        month = _month(month[0] - 1)
        yield month
        year = _year(month[0])
        yield year
        yield min(DAWN, self.floor), year[0]

    def _forward(self, instant: Instant) -> Iterator[tuple[Instant, Instant]]:
        """Yield the windows to request forward from `instant`.

        They are its month, the next month, the year of that month, everything up to this year's end.
        """
        month = _month(max(instant, self.floor))
        yield month
        month = _month(month[1])
        yield month
        year = _year(month[0])
        yield year
        yield year[1], _year(self.now)[1]


def _month(instant: Instant) -> tuple[Instant, Instant]:
    """Return the calendar month of `instant`, as [start, end)."""
    moment = datetime.fromtimestamp(instant, UTC)
    carry, month = divmod(moment.month, _DECEMBER)
    return _first_of(moment.year, moment.month), _first_of(moment.year + carry, month + 1)


def _year(instant: Instant) -> tuple[Instant, Instant]:
    """Return the calendar year of `instant`, as [start, end)."""
    year = datetime.fromtimestamp(instant, UTC).year
    return _first_of(year, 1), _first_of(year + 1, 1)


def _first_of(year: int, month: int) -> Instant:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp())
