"""The snapshots of one year as days of twelve months, computed without I/O."""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from snapproxy.core.model import Instant, Window

FIRST_YEAR, LAST_YEAR = 1970, 2200
"""The years that a calendar can show."""


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """A day. `known`, `stored`, `observed` and `bad` are numbers of snapshots.

    `is_listed`: whether the archive's list of the day's snapshots is known, so that a missing one does not exist.
    """

    day: date
    known: int = 0
    stored: int = 0
    observed: int = 0
    bad: int = 0
    is_listed: bool = False

    @property
    def state(self) -> str:
        """The most important state, as a CSS class."""
        for name in ("bad", "stored", "observed", "known"):
            if getattr(self, name):
                return name
        return "listed" if self.is_listed else "unlisted"

    @property
    def words(self) -> str:
        """The numbers in words, '' for a day without snapshots."""
        counts = (("known", self.known), ("stored", self.stored), ("observed", self.observed), ("bad", self.bad))
        return ", ".join(f"{count} {name}" for name, count in counts if count)


@dataclass(frozen=True, slots=True)
class CalendarMonth:
    """A month: its weeks from Monday to Sunday; None for days of other months. `known` and `stored` are sums."""

    name: str
    weeks: tuple[tuple[CalendarDay | None, ...], ...]
    known: int
    stored: int


@dataclass(frozen=True, slots=True)
class SnapshotTimes:
    """The known snapshots of an archive: instants, and the spans in which roots were observed."""

    windows: Sequence[Window]
    stored: Collection[Instant]
    observed: Sequence[tuple[Instant, Instant]]
    bad: Collection[Instant]

    def known(self) -> set[Instant]:
        """Return the instants of all listed snapshots."""
        return {each for window in self.windows for each in window.instants}


def year_span(year: int) -> tuple[Instant, Instant]:
    """Return the first and the last second of a year."""
    start = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    return start, int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp()) - 1


def year_calendar(year: int, times: SnapshotTimes) -> tuple[CalendarMonth, ...]:
    """Return the twelve months of a year."""
    start, end = year_span(year)
    known = _by_day(each for each in times.known() if start <= each <= end)
    stored = _by_day(each for each in times.stored if start <= each <= end)
    bad = _by_day(each for each in times.bad if start <= each <= end)
    observed = _by_day(
        each for first, last in times.observed for each in _day_starts(max(first, start), min(last, end))
    )
    listed = {
        day
        for window in times.windows
        for day in _whole_days(max(window.start, start), min(window.end, window.asked, end + 1))
    }

    def of(day: date) -> CalendarDay:
        return CalendarDay(day, known[day], stored[day], observed[day], bad[day], day in listed)

    return tuple(_month(year, month, of) for month in range(1, 13))


def _month(year: int, month: int, of: Callable[[date], CalendarDay]) -> CalendarMonth:
    weeks = tuple(
        tuple(of(day) if day.month == month else None for day in week)
        for week in calendar.Calendar().monthdatescalendar(year, month)
    )
    days = [day for week in weeks for day in week if day is not None]
    return CalendarMonth(
        calendar.month_name[month], weeks, sum(each.known for each in days), sum(each.stored for each in days)
    )


def day_of(instant: Instant) -> date:
    """Return the day of an instant, in UTC."""
    return datetime.fromtimestamp(instant, UTC).date()


def _by_day(instants: Iterable[Instant]) -> Counter[date]:
    return Counter(map(day_of, instants))


def _day_starts(first: Instant, last: Instant) -> Iterable[Instant]:
    """Return one instant of each day of a span."""
    return range(first, last + 1, 86400) if first <= last else ()


def _whole_days(start: Instant, end: Instant) -> Iterable[date]:
    """Return the days that lie completely in [start, end)."""
    first = -(-start // 86400) * 86400
    return (day_of(each) for each in range(first, end - 86399, 86400))


def years_of(times: SnapshotTimes, now: Instant) -> list[int]:
    """Return the years with snapshots, and the present one, ascending."""
    instants = {*times.known(), *times.stored, *(each for span in times.observed for each in span), now}
    return sorted({day_of(each).year for each in instants if 0 <= each < year_span(LAST_YEAR)[1]})
