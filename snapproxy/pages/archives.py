"""The archives, and the snapshots of one of them as a calendar. Read from the catalog: no archive is asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

from snapproxy.answer.timelines import read_stored_window, stored_windows_of
from snapproxy.archives import HISTORIES
from snapproxy.base.names import roots_of
from snapproxy.core.model import Archive, Instant
from snapproxy.core.time_spec import format_rfc3339, parse_time
from snapproxy.errors import ClientError
from snapproxy.live.observations import values_of
from snapproxy.pages.calendar import (
    FIRST_YEAR,
    LAST_YEAR,
    CalendarMonth,
    SnapshotTimes,
    day_of,
    year_calendar,
    year_span,
    years_of,
)
from snapproxy.pages.now import archive_link
from snapproxy.pages.service import RunningService
from snapproxy.pages.snapshots import stored_snapshots
from snapproxy.pages.view import NoSuchPageError, View, code, link, number, table
from snapproxy_storage import StoreOverview

MOST_COUNTED = 500
"""Number of stored snapshots that the list of archives counts of each."""

MOST_WINDOWS, MOST_STORED, MOST_SPANS = 3000, 4000, 4000
"""Maximum numbers of windows of the timeline, of stored snapshots and of observations that one calendar reads."""

MOST_OF_A_DAY = 200
"""Number of snapshots of one day that are listed."""

_HISTORY_WORDS = {
    "snapshots": "dumps at known times",
    "any-instant": "every second",
    "dated": "one folder a day",
    "captured": "own observations",
}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class ArchivePages:
    """The views of archives. `marked` returns an archive with its snapshots that are marked bad at this moment."""

    def __init__(
        self,
        archives: Mapping[str, Archive],
        overview: StoreOverview,
        marked: Callable[[Archive], Archive],
        service: RunningService,
    ) -> None:
        self._archives = archives
        self._overview = overview
        self._marked = marked
        self._service = service

    async def every(self) -> View:
        """Return the list of archives, those with stored snapshots first."""
        files = self._service.totals().files
        found = [await self._summary(archive, files) for archive in self._archives.values()]
        used = [each for each in found if each["stored_snapshots"] or each["files_served"]]
        unused = [each for each in found if each not in used]
        used.sort(key=lambda each: (-each["files_served"], -each["stored_snapshots"], each["name"]))
        columns = ("Archive", "Family", "Past", "#Snapshots stored", "Newest stored", "#Files served", "#Bad")
        shown = {
            "used": table("used", "Archives in use", columns, map(_row, used), empty="No archive was requested yet."),
            "unused": table(
                "unused",
                "Other configured archives",
                ("Archive", "Family", "Past", "#Bad"),
                [(archive_link(each["name"]), each["family"], each["past"], number(each["bad"])) for each in unused],
            ),
        }
        return View("archives.html", "archives", "Archives", {"archives": [*used, *unused]}, shown)

    async def _summary(self, archive: Archive, files: Mapping[str, int]) -> dict[str, Any]:
        stored = await stored_snapshots(self._overview, archive, most=MOST_COUNTED)
        return {
            "name": archive.name,
            "family": archive.family,
            "past": _HISTORY_WORDS.get(archive.history, archive.history),
            "stored_snapshots": len(stored),
            "newest_stored": stored[0] if stored else "",
            "files_served": files.get(archive.name, 0),
            "bad": len(self._marked(archive).bad),
        }

    async def one(self, name: str, query: Mapping[str, str]) -> View:
        """Return the calendar of an archive's snapshots in a year, and those of a day."""
        archive = self._archives.get(name)
        if archive is None:
            raise NoSuchPageError("There is no archive of that name", hint="The page of archives lists them.")
        archive, now = self._marked(archive), self._service.now()
        day = _day(query.get("day", ""))
        year = _year(query.get("year", ""), day, now)
        times, is_cut = await self._times(archive, year)
        months = await asyncio.to_thread(year_calendar, year, times)
        snapshots = [] if day is None else await asyncio.to_thread(_of_day, archive, times, day)
        data = {
            "archive": archive.name,
            "year": year,
            "is_cut": is_cut,
            "counts": _counts(months),
            "days": [_day_value(each) for month in months for week in month.weeks for each in week if each],
            "day": None if day is None else day.isoformat(),
            "snapshots": snapshots,
        }
        shown = {
            "archive": archive,
            "past": _HISTORY_WORDS.get(archive.history, archive.history),
            "is_every_second": archive.history == "any-instant",
            "months": months,
            "years": await asyncio.to_thread(years_of, times, now),
            "today": day_of(now),
            "chosen": day,
            "snapshots": _snapshot_table(archive, day, snapshots),
            "address": f"/archives/{quote(archive.name, safe='')}",
        }
        return View("archive.html", "archives", archive.name, data, shown)

    async def _times(self, archive: Archive, year: int) -> tuple[SnapshotTimes, bool]:
        """Return the known snapshots, those of other years from the timeline only, and whether some were left out."""
        now, (start, end) = self._service.now(), year_span(year)
        facts = await self._overview.facts(stored_windows_of(archive), now, most=MOST_WINDOWS)
        prefix = roots_of(f"{archive.name}/")
        spaces = await self._overview.spaces(f"{prefix}{year}", most=MOST_STORED)
        spans = await self._overview.spans(values_of(archive), start, end, most=MOST_SPANS)
        is_observed = HISTORIES[archive.history].is_observed
        stored = {_instant(archive, space.removeprefix(prefix)) for space in spaces}
        times = SnapshotTimes(
            [read_stored_window(fact) for _, fact in facts],
            {each for each in stored if each is not None},
            sorted({(value.first, value.last) for _, value in spans if value.value}) if is_observed else (),
            archive.bad,
        )
        return times, len(facts) >= MOST_WINDOWS or len(spaces) >= MOST_STORED or len(spans) >= MOST_SPANS


def _row(each: Mapping[str, Any]) -> Sequence[Any]:
    count = each["stored_snapshots"]
    return (
        archive_link(each["name"]),
        each["family"],
        each["past"],
        f"{count}+" if count >= MOST_COUNTED else number(count),
        code(each["newest_stored"] or "–"),  # noqa: RUF001 # the typographic sign for no value
        number(each["files_served"]),
        number(each["bad"]),
    )


def _instant(archive: Archive, snapshot: str) -> Instant | None:
    """Return the instant of a snapshot's id, None for the id of files outside every snapshot."""
    try:
        native = HISTORIES[archive.history].read_snapshot_id(f"{snapshot}/")
        return parse_time(snapshot).instant if native is None else native.when.instant
    except ClientError:
        return None


def _day(text: str) -> date | None:
    if not _DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _year(text: str, day: date | None, now: Instant) -> int:
    asked = int(text) if re.fullmatch("[0-9]{4}", text) else day.year if day else day_of(now).year
    return min(max(asked, FIRST_YEAR), LAST_YEAR - 1)


def _counts(months: Sequence[CalendarMonth]) -> dict[str, int]:
    days = [each for month in months for week in month.weeks for each in week if each is not None]
    names = ("known", "stored", "observed", "bad")
    return {name: sum(getattr(each, name) for each in days) for name in names} | {
        "listed_days": sum(each.is_listed for each in days)
    }


def _day_value(each: Any) -> dict[str, Any]:
    return {**asdict(each), "day": each.day.isoformat()}


def _of_day(archive: Archive, times: SnapshotTimes, day: date) -> list[dict[str, Any]]:
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    known, bad = times.known(), set(times.bad)
    observed = {first for first, _ in times.observed}
    every = sorted(each for each in {*known, *times.stored, *observed, *bad} if start <= each < start + 86400)
    reasons = dict(archive.because)
    return [
        {
            "snapshot": HISTORIES[archive.history].id_of(each),
            "time": format_rfc3339(each),
            "known": each in known,
            "stored": each in times.stored,
            "observed": each in observed,
            "bad": each in bad,
            "because": reasons.get(each, ""),
        }
        for each in every[:MOST_OF_A_DAY]
    ]


def _snapshot_table(
    archive: Archive, day: date | None, snapshots: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    if day is None:
        return None
    rows = []
    for each in snapshots:
        states = ", ".join(name for name in ("known", "stored", "observed", "bad") if each[name])
        at = quote(each["snapshot"], safe="/")
        packages = f"/packages?archive={quote(archive.name, safe='')}&at={at}"
        rows.append(
            (
                code(each["snapshot"]),
                each["time"].replace("T", " ").replace("Z", " UTC"),
                f"{states} ({each['because']})" if each["because"] else states,
                link("client set-up", f"/setup?distro={quote(archive.name, safe='')}&at={at}"),
                link("packages", packages) if each["stored"] else "",
            )
        )
    columns = ("Snapshot", "Time", "State", "Use", "Contents")
    return table("day", f"Snapshots of {day.isoformat()}", columns, rows, empty="No snapshot of this day is known.")
