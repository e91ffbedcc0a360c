"""Archives with one folder a day.

The folders are either `repos/YYYY/MM/DD/`, with all packages under `packages/` too, or `history/YYYYMMDD/`.

A day's folder has the state of one synchronisation, about midday, not of the end of the day; `lastsync` in it contains
the instant. Days may be missing. Without a list of days they are requested one by one, and a search backward over
missing ones ends after `max_gap`. The folders of today and yesterday may still change: only folders older than
`settle_after` are used.

An archive that lists its days (`DatedSettings.days`) publishes no instants: the last second of a day is used as its
instant. A listed day is complete, so the next one settles it as in any other list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from snapproxy.archives.dated_addresses import (
    NATIVE_NAMES,
    DatedSettings,
    day_folder,
    native_names,
    read_dated,
    read_dated_address,
    read_listed_day,
    settings_of,
)
from snapproxy.core.history import NativeCall, NativeFile, TimelineAnswer
from snapproxy.core.model import (
    LIVE,
    TIMELESS,
    Archive,
    HistorySettings,
    Instant,
    Match,
    NeedWindow,
    ObservedRoot,
    Refusal,
    Resolved,
    TimeSpec,
    Window,
)
from snapproxy.core.paths import escape_path, refuse_query
from snapproxy.core.resolve import MAX_WINDOWS, refuse, resolve_listed, why_bad
from snapproxy.core.resolve_observed import resolve_bracketed
from snapproxy.core.time_spec import DAY_SECONDS, format_day, format_instant
from snapproxy.core.timeline import Timeline

DAYS_SLACK = 2 * DAY_SECONDS
"""Seconds by which a root may be dated after the instant of its day's folder.

A folder may be named after the day on which its build began; the metadata are written when it ends.
"""

_LASTSYNC = re.compile(rb"\s*([1-9][0-9]{8,9})\s*")
# `name-version-release-arch.pkg.tar.zst`, perhaps with `.sig`. Version (may have an epoch) and release have no hyphen.
_PACKAGE = re.compile(r"(?P<name>[^/]+)-[^/-]+-[^/-]+-[^/-]+\.pkg\.tar(?:\.[A-Za-z0-9]+)?(?:\.sig)?")
_OK = 200
_ABSENT = 404
_GONE = 410


class Dated:
    """The history named `dated`."""

    default_settings: HistorySettings | None = DatedSettings()
    native_names = NATIVE_NAMES
    root_date_slack = DAYS_SLACK
    is_observed = False

    def resolve(
        self, archive: Archive, when: TimeSpec, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Resolved | Refusal | NeedWindow:
        """Resolve `when` by the days' synchronisations; a folder that is requested verbatim need only be old enough."""
        if when.verbatim:
            return _verbatim(archive, when, now)
        if when.match is Match.LIVE:
            return Resolved(LIVE, now)
        is_listed = bool(settings_of(archive).days)
        answer = (
            resolve_listed(archive, when, windows, now) if is_listed else self._by_days(archive, when, windows, now)
        )
        return replace(answer, snapshot=self.id_of(answer.instant)) if isinstance(answer, Resolved) else answer

    def _by_days(
        self, archive: Archive, when: TimeSpec, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Resolved | Refusal | NeedWindow:
        """Resolve `when` by requesting one day after the other."""
        settled = now - archive.settle_after
        instant = now if when.instant is None else when.instant
        if archive.first is not None and instant < archive.first:
            first = format_instant(archive.first + DAY_SECONDS)
            return Refusal(410, f"that is before the archive's record begins: use {first}", "", f"Request {first}.")
        newest = replace(when, instant=settled, match=Match.NEAREST)
        is_open = when.match in {Match.NEAREST, Match.LATEST}
        answer = resolve_listed(archive, newest if is_open and settled < instant <= now else when, windows, now)
        if not isinstance(answer, NeedWindow) and instant > settled and not _is_settled(answer, settled):
            usable = resolve_listed(archive, newest, windows, now)
            answer = usable if isinstance(usable, NeedWindow) else _unsettled(answer, usable)
        return _one_day(archive, answer, windows, instant, settled) if isinstance(answer, NeedWindow) else answer

    def newest(
        self, archive: Archive, instant: Instant, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Instant | Refusal | NeedWindow | None:
        """Return the synchronisation of the newest day at or before `instant`."""
        found = Timeline.of(archive, windows.values(), now).at_or_before(instant)
        if isinstance(found, NeedWindow) and not settings_of(archive).days:
            return _one_day(archive, found, windows, instant, now - archive.settle_after)
        return found

    def resolve_observed_root(
        self, archive: Archive, when: TimeSpec, observed: ObservedRoot, now: Instant
    ) -> Resolved | Refusal | None:
        """Resolve `when` within a span in which the root did not change."""
        return resolve_bracketed(when, observed, now)

    def max_windows(self, archive: Archive) -> int:
        """Return the number of days in the gaps that may be walked over: before, after, and for a usable time."""
        days = archive.max_gap // DAY_SECONDS + 3
        return MAX_WINDOWS + 2 * len(archive.bad) + (0 if settings_of(archive).days else 4 * days)

    def id_of(self, instant: Instant) -> str:
        """Return the day of the synchronisation."""
        return format_day(instant)

    def timeless(self, path: str) -> str | None:
        """Return `packages/<first letter>/<name>/<file>`.

        Packages and their signatures are kept there when old days are removed.
        """
        file = path.rpartition("/")[2]
        found = _PACKAGE.fullmatch(file)
        return f"packages/{found['name'][0].lower()}/{found['name']}/{file}" if found else None

    def timeline_urls(self, archive: Archive, base: str, need: NeedWindow) -> tuple[str, ...]:
        """Return the list of days if there is one, otherwise the day's `lastsync`, then its folder.

        A few days have a folder without a `lastsync`.
        """
        if days := settings_of(archive).days:
            return (f"{base.rstrip('/')}/{days}",)
        folder = f"{base.rstrip('/')}/{day_folder(archive, format_day(need.start))}/"
        return (f"{folder}lastsync", folder)

    def read_window(
        self, archive: Archive, need: NeedWindow, url: str, answer: TimelineAnswer, now: Instant
    ) -> Window | None:
        """Return the listed days; without a list, the one day with its synchronisation (empty without a folder)."""
        if settings_of(archive).days:
            return _days(archive, need, answer, now)
        start = need.start - need.start % DAY_SECONDS
        end = start + DAY_SECONDS - 1
        if not url.endswith("/lastsync"):
            return _folder(start, end, answer, now)
        lastsync = _LASTSYNC.fullmatch(answer.body) if answer.status == _OK else None
        if lastsync is None:
            return None
        # For the copy of a mirror that lagged, the day of the copy is used, which is later than its state.
        sync = max(int(lastsync[1]), start)
        # A copy that ended after midnight has the state of the next day, which lies in the future of this one.
        instants = (sync,) if sync <= min(end, now) else ()
        return Window(start, end + 1, instants, asked=now, filled=bool(instants))

    def url(self, archive: Archive, base: str, snapshot: str, path: str) -> str:
        """Return the path in the day's folder, or `base/<path>` for a file outside every day."""
        folder = "" if snapshot == TIMELESS else f"{day_folder(archive, snapshot)}/"
        return f"{base.rstrip('/')}/{folder}{escape_path(path)}"

    def service_url(self, base: str, path: str) -> str | None:
        """Return the same path below the base: a list of the archive's contents."""
        return f"{base.rstrip('/')}{path}"

    def digest_in(self, url: str) -> str | None:
        """Return None: no address contains a digest."""
        return None

    def native_root(self, base: str) -> str | None:
        """Return the base: all its addresses are native."""
        return base

    def native_names_of(self, archive: Archive) -> frozenset[str]:
        return native_names(archive)

    def read_native(self, archive: Archive, path: str, query: str | None) -> NativeFile | NativeCall:
        """Read the folder of a day and a path in it, or a file or list outside the days."""
        native = read_dated_address(archive, path)
        refuse_query(query)
        return native

    def read_snapshot_id(self, path: str) -> NativeFile | None:
        """Read `YYYY/MM/DD`, independent of the name of the archive's folders."""
        return read_dated(path)

    def is_answer(self, url: str) -> bool:
        """Return False: only packages are redirected (to the historical archive), and those redirects are followed."""
        return False


def _folder(start: Instant, end: Instant, answer: TimelineAnswer, now: Instant) -> Window | None:
    """Read whether the folder of a day exists. Its instant is unknown, so the last second of the day is used.

    A folder that lists a `lastsync` is not used: the instant exists, and could not be fetched.
    """
    if answer.status == _ABSENT and not answer.location and not answer.body:
        return Window(start, end + 1, (), asked=now)
    if answer.status != _OK or b"<a href=" not in answer.body or b'"lastsync"' in answer.body:
        return None
    instants = (end,) if end <= now else ()
    return Window(start, end + 1, instants, asked=now, filled=bool(instants))


def _days(archive: Archive, need: NeedWindow, answer: TimelineAnswer, now: Instant) -> Window | None:
    """Read a list of days, one a line; None for anything else. A day that has not ended is ignored."""
    lines = answer.body.decode("ascii", "replace").split() if answer.status == _OK else []
    days = [read_listed_day(archive, line) for line in lines]
    ends = sorted({day for day in days if day is not None and day <= now})
    if not days or None in days:
        return None
    inside = tuple(each for each in ends if need.start <= each < need.end)
    after = next((each for each in ends if each >= need.end), None)
    return Window(need.start, need.end, inside, asked=now, after=after)


def _one_day(
    archive: Archive,
    need: NeedWindow,
    windows: Mapping[tuple[Instant, Instant], Window],
    instant: Instant,
    settled: Instant,
) -> NeedWindow | Refusal:
    """Narrow a need to the day in question; refuse if more days in a row are missing than `max_gap` allows.

    A walk back from `instant` counts the days up to it, a walk back from now all of them. The days within `max_gap`
    after `instant` are not counted: any of them may prove that the archive was still recorded. The refusal names the
    nearest known synchronisations up to `settled`.
    """
    around = need.end - 1 if need.around is None else need.around
    start = around - around % DAY_SECONDS
    if instant < start <= instant + archive.max_gap:
        return NeedWindow(start, start + DAY_SECONDS, around)
    missing, next_day = 0, start + DAY_SECONDS
    while (known := windows.get((next_day, next_day + DAY_SECONDS))) is not None and not known.instants:
        if start <= instant < next_day:
            break
        missing, next_day = missing + 1, next_day + DAY_SECONDS
    if missing > archive.max_gap // DAY_SECONDS + 1:
        usable = [each for window in windows.values() for each in window.instants if each <= settled]
        before = max((each for each in usable if each < start and each not in archive.bad), default=None)
        after = min((each for each in usable if each >= next_day and each not in archive.bad), default=None)
        why = f"{missing} days in a row are missing, up to {format_day(next_day - 1)}."
        hint = "Request a time outside the gap."
        return refuse(_GONE, "that time is in a gap of the archive", why, before, after, hint)
    return NeedWindow(start, start + DAY_SECONDS, around)


def _is_settled(answer: Resolved | Refusal, settled: Instant) -> bool:
    return isinstance(answer, Resolved) and answer.instant <= settled


def _unsettled(answer: Resolved | Refusal, usable: Resolved | Refusal) -> Refusal:
    """Refuse an answer that may still change, and name only one that cannot."""
    named = format_instant(usable.instant) if isinstance(usable, Resolved) else ""
    tail, hint = (f": use {named}", f"Request {named}.") if named else ("", "")
    if isinstance(answer, Refusal):
        return replace(answer, reason=f"{answer.reason.partition(':')[0]}{tail}", hint=hint)
    why = "The folders of the last two days may still change, and so could an answer from them."
    return Refusal(425, f"that day is not settled yet{tail}", why, hint)


def _verbatim(archive: Archive, when: TimeSpec, now: Instant) -> Resolved | Refusal:
    """Resolve the folder of a day without a timeline: its files show whether it exists."""
    newest = now - archive.settle_after - DAY_SECONDS  # the last instant whose day is settled
    usable = f"/{day_folder(archive, format_day(newest))}"
    if when.instant is None:
        if when.match is not Match.LATEST:
            return Resolved(TIMELESS, 0)
        why = f"repos/{when.text} changes with the archive, even between two requests of one build."
        return Refusal(425, f"that folder is not a fixed time: use {usable}", why, f"Request {usable}/.")
    midnight = when.instant + 1 - DAY_SECONDS
    if midnight > now - archive.settle_after:
        why = "The folders of today and yesterday may still change."
        return Refusal(425, f"that day is not settled yet: use {usable}", why, f"Request {usable}/.")
    if bad := [each for each in archive.bad if midnight <= each <= when.instant]:
        return Refusal(410, "that day is marked bad", why_bad(archive, bad[0]))
    return Resolved(format_day(when.instant), when.instant)
