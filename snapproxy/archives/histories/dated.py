"""Archives that keep a folder a day: `repos/YYYY/MM/DD/`, and every package once more under `packages/`; or `history/YYYYMMDD/`.

A day's folder is the state of its one synchronisation, about midday, and not of the day's end; `lastsync` in it holds the instant. Days
may be missing. Where no list of them exists they are asked for one by one, and a walk back over missing ones ends with `max_gap`. Today's
and yesterday's folders may still be filled: only what is older than `settle_after` is answered.

An archive that lists its days (the row's `days`) tells no instants: a day counts from its last second. What it lists is whole, so the
next one settles it as with any other list.
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
from snapproxy.core.resolve import resolve_listed, why_bad
from snapproxy.core.resolve_observed import resolve_bracketed
from snapproxy.core.time_spec import DAY_SECONDS, format_day, format_instant

_LASTSYNC = re.compile(rb"\s*([1-9][0-9]{8,9})\s*")
# `name-version-release-arch.pkg.tar.zst`, perhaps with `.sig`: no version and no release holds a hyphen, an epoch (`2:1.0`) may be there.
_PACKAGE = re.compile(r"(?P<name>[^/]+)-[^/-]+-[^/-]+-[^/-]+\.pkg\.tar(?:\.[A-Za-z0-9]+)?(?:\.sig)?")
_OK = 200
_ABSENT = 404


class Dated:
    """The history named `dated`."""

    default_settings: HistorySettings | None = DatedSettings()
    native_names = NATIVE_NAMES
    is_observed = False

    def resolve(
        self, archive: Archive, when: TimeSpec, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Resolved | Refusal | NeedWindow:
        """Settle `when` by the days' synchronisations; a folder that is asked for verbatim needs only be old enough."""
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
        """Settle `when` by asking for one day after the other."""
        settled = now - archive.settle_after
        instant = now if when.instant is None else when.instant
        if archive.first is not None and instant < archive.first:
            first = format_instant(archive.first + DAY_SECONDS)
            return Refusal(410, f"that is before the archive's record begins: use {first}", "", f"Ask for {first}.")
        newest = replace(when, instant=settled, match=Match.NEAREST)
        is_open = when.match in {Match.NEAREST, Match.LATEST}
        answer = resolve_listed(archive, newest if is_open and settled < instant <= now else when, windows, now)
        if not isinstance(answer, NeedWindow) and instant > settled and not _is_settled(answer, settled):
            usable = resolve_listed(archive, newest, windows, now)
            answer = usable if isinstance(usable, NeedWindow) else _unsettled(answer, usable)
        return _one_day(archive, answer, windows) if isinstance(answer, NeedWindow) else answer

    def resolve_seen(
        self, archive: Archive, when: TimeSpec, sighting: ObservedRoot, now: Instant
    ) -> Resolved | Refusal | None:
        """Settle `when` inside a span through which the root stayed the same."""
        return resolve_bracketed(when, sighting, now)

    def id_of(self, instant: Instant) -> str:
        """Return the folder of the day in which the synchronisation fell."""
        return format_day(instant)

    def timeless(self, path: str) -> str | None:
        """Return `packages/<first letter>/<name>/<file>`, where every package and its signature stays when days are thinned out."""
        file = path.rpartition("/")[2]
        found = _PACKAGE.fullmatch(file)
        return f"packages/{found['name'][0].lower()}/{found['name']}/{file}" if found else None

    def timeline_urls(self, archive: Archive, base: str, need: NeedWindow) -> tuple[str, ...]:
        """Return the list of days; else the day's `lastsync`, then its folder: a few days have the one without the other."""
        if days := settings_of(archive).days:
            return (f"{base.rstrip('/')}/{days}",)
        folder = f"{base.rstrip('/')}/{day_folder(archive, format_day(need.start))}/"
        return (f"{folder}lastsync", folder)

    def read_window(
        self, archive: Archive, need: NeedWindow, url: str, answer: TimelineAnswer, now: Instant
    ) -> Window | None:
        """Return what is listed; else the day with its synchronisation in it, or without one when the archive has no such folder."""
        if settings_of(archive).days:
            return _days(archive, need, answer, now)
        start = need.start - need.start % DAY_SECONDS
        end = start + DAY_SECONDS - 1
        if not url.endswith("/lastsync"):
            return _folder(start, end, answer, now)
        said = _LASTSYNC.fullmatch(answer.body) if answer.status == _OK else None
        if said is None:
            return None
        # A mirror that lagged is counted by the day it was copied: later than its state, so that it answers for nothing before that.
        sync = max(int(said[1]), start)
        # One that was copied beyond midnight holds the next day's state, and would answer for this one with the future.
        instants = (sync,) if sync <= min(end, now) else ()
        return Window(start, end + 1, instants, asked=now, filled=bool(instants))

    def url(self, archive: Archive, base: str, snapshot: str, path: str) -> str:
        """Return the path in the day's folder, and `base/<path>` for what stands outside every day."""
        folder = "" if snapshot == TIMELESS else f"{day_folder(archive, snapshot)}/"
        return f"{base.rstrip('/')}/{folder}{escape_path(path)}"

    def service_url(self, base: str, path: str) -> str | None:
        """Return the same path there: lists of what the archive holds."""
        return f"{base.rstrip('/')}{path}"

    def digest_in(self, url: str) -> str | None:
        """Return None: no address names a digest."""
        return None

    def native_root(self, base: str) -> str | None:
        """Return the base: all its addresses are native."""
        return base

    def native_names_of(self, archive: Archive) -> frozenset[str]:
        return native_names(archive)

    def read_native(self, archive: Archive, path: str, query: str | None) -> NativeFile | NativeCall:
        """Read the folder of a day and a path in it, or a file or list beside the days."""
        native = read_dated_address(archive, path)
        refuse_query(query)
        return native

    def read_snapshot_id(self, path: str) -> NativeFile | None:
        """Read `YYYY/MM/DD`, whatever the archive's own folders are called."""
        return read_dated(path)

    def is_answer(self, url: str) -> bool:
        """Return False: only packages are redirected (to the historical archive), and those are followed."""
        return False


def _folder(start: Instant, end: Instant, answer: TimelineAnswer, now: Instant) -> Window | None:
    """Read whether a day is there at all, and without its instant: then it counts from its last second, as nothing tells more.

    A folder that does list a `lastsync` tells nothing: the instant is there, and could not be had.
    """
    if answer.status == _ABSENT and not answer.location and not answer.body:
        return Window(start, end + 1, (), asked=now)
    if answer.status != _OK or b"<a href=" not in answer.body or b'"lastsync"' in answer.body:
        return None
    instants = (end,) if end <= now else ()
    return Window(start, end + 1, instants, asked=now, filled=bool(instants))


def _days(archive: Archive, need: NeedWindow, answer: TimelineAnswer, now: Instant) -> Window | None:
    """Read a list of days, one a line; None for anything else. A day that is not over yet is not counted."""
    lines = answer.body.decode("ascii", "replace").split() if answer.status == _OK else []
    days = [read_listed_day(archive, line) for line in lines]
    ends = sorted({day for day in days if day is not None and day <= now})
    if not days or None in days:
        return None
    told = tuple(each for each in ends if need.start <= each < need.end)
    return Window(need.start, need.end, told, asked=now, after=next((each for each in ends if each >= need.end), None))


def _one_day(
    archive: Archive, need: NeedWindow, windows: Mapping[tuple[Instant, Instant], Window]
) -> NeedWindow | Refusal:
    """Narrow a need to the day it turns on; refuse to go on behind more missing days than the row believes."""
    around = need.end - 1 if need.around is None else need.around
    start = around - around % DAY_SECONDS
    missing, next_day = 0, start + DAY_SECONDS
    while (known := windows.get((next_day, next_day + DAY_SECONDS))) is not None and not known.instants:
        missing, next_day = missing + 1, next_day + DAY_SECONDS
    if missing > archive.max_gap // DAY_SECONDS + 1:
        return Refusal(
            410,
            "that time is in a gap of the archive",
            f"{missing} days in a row are missing there, up to {format_day(next_day - 1)}.",
            "Ask for a time outside the gap.",
        )
    return NeedWindow(start, start + DAY_SECONDS, around)


def _is_settled(answer: Resolved | Refusal, settled: Instant) -> bool:
    return isinstance(answer, Resolved) and answer.instant <= settled


def _unsettled(answer: Resolved | Refusal, usable: Resolved | Refusal) -> Refusal:
    """Refuse what may still change, and name only what may not."""
    named = format_instant(usable.instant) if isinstance(usable, Resolved) else ""
    tail, hint = (f": use {named}", f"Ask for {named}.") if named else ("", "")
    if isinstance(answer, Refusal):
        return replace(answer, reason=f"{answer.reason.partition(':')[0]}{tail}", hint=hint)
    why = "The folders of the last two days may still be filled: what was answered from them could change."
    return Refusal(425, f"that day is not settled yet{tail}", why, hint)


def _verbatim(archive: Archive, when: TimeSpec, now: Instant) -> Resolved | Refusal:
    """Take a folder at its word: whether it exists is its files' to say."""
    newest = now - archive.settle_after - DAY_SECONDS  # the last instant of whose day this is sure
    usable = f"/{day_folder(archive, format_day(newest))}"
    if when.instant is None:
        if when.match is not Match.LATEST:
            return Resolved(TIMELESS, 0)
        why = f"repos/{when.text} moves on with the archive, between two requests of one build too."
        return Refusal(425, f"that folder is not a fixed time: use {usable}", why, f"Ask for {usable}/.")
    midnight = when.instant + 1 - DAY_SECONDS
    if midnight > now - archive.settle_after:
        why = "The folders of today and yesterday may still be filled."
        return Refusal(425, f"that day is not settled yet: use {usable}", why, f"Ask for {usable}/.")
    if bad := [each for each in archive.bad if midnight <= each <= when.instant]:
        return Refusal(410, "that day is marked bad", why_bad(archive, bad[0]))
    return Resolved(format_day(when.instant), when.instant)
