"""Addresses of archives with one folder a day: `repos/YYYY/MM/DD/...`, `history/YYYYMMDD/...`, and further folders.

These are the archives' own addresses, so that only the host changes in an existing URL. The history `dated` reads them;
an archive's settings define the name of a day's folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from snapproxy.core.history import NativeCall, NativeFile
from snapproxy.core.model import Archive, HistorySettings, Instant, Match, TimeSpec
from snapproxy.core.paths import escape_path
from snapproxy.core.time_spec import read_day
from snapproxy.errors import ClientError

NATIVE_NAMES = frozenset({"repos", "packages", "iso", "history"})
"""First segments of the native addresses on this proxy; no archive may have such a name."""

_ID = "YYYY/MM/DD"
_MOVING = re.compile(r"repos/(last|week|month)(?:/.*)?")
_TIMELESS = re.compile(r"packages/(?:\.all|[^/]+/[^/]+)/[^/]+|iso/[0-9]{4}\.[0-9]{2}\.[0-9]{2}/.+[^/]")
#: The files that change in an archive without a list of days: the list of all packages, and the time of the newest day.
_CHANGING_FILES = frozenset({"packages/.all/index.0.xz", "repos/last/lastsync"})
#: The folders with every version of a package (read by `downgrade`). The slash is required: their links are relative.
_LISTINGS = re.compile(r"packages/(?:\.all|[^/]+/[^/]+)/")


@dataclass(frozen=True, slots=True)
class DatedSettings(HistorySettings):
    """The settings of an archive that keeps one folder a day.

    `folder`: the path of a day's folder below the archive's base; YYYY, MM and DD are replaced by the date. The default
    is the Arch Linux Archive's. `days`: the path of the archive's list of days below its base, each day written as in
    `folder`; '' if the archive has no such list and each day must be requested.
    """

    folder: str = "repos/YYYY/MM/DD"
    days: str = ""


def settings_of(archive: Archive) -> DatedSettings:
    """Return the archive's own settings, or the defaults."""
    settings = archive.history_settings
    return settings if isinstance(settings, DatedSettings) else DatedSettings()


def native_names(archive: Archive) -> frozenset[str]:
    """Return the first segments of an archive's native addresses.

    An archive that lists its days has no further folders.
    """
    settings = settings_of(archive)
    beside = () if settings.days else ("packages", "iso")
    return frozenset({settings.folder.partition("/")[0], *beside})


def day_folder(archive: Archive, snapshot: str) -> str:
    """Return the archive's folder of the day with this snapshot id: `history/20240531/...` for `2024/05/31`."""
    year, month, day = snapshot.split("/")
    return settings_of(archive).folder.replace("YYYY", year).replace("MM", month).replace("DD", day)


def read_listed_day(archive: Archive, line: str) -> Instant | None:
    """Return the last second of a day from a line of the archive's list of days, None if the line is not a day.

    A day has the same form in the list and in the names of the archive's folders.
    """
    folder = settings_of(archive).folder
    date_format = folder[folder.index("YYYY") : folder.index("DD") + len("DD")]
    found = _pattern(date_format).fullmatch(line)
    return read_day(_id(found)) if found and found["rest"] is None else None


def read_dated(text: str, folder: str = _ID) -> NativeFile | None:
    """Read the folder of a day and the path after it; None if `text` begins otherwise.

    Raises ClientError for a day that is not in the calendar.
    """
    found = _pattern(folder).fullmatch(text)
    if found is None:
        return None
    snapshot = _id(found)
    instant = read_day(snapshot)
    if instant is None:
        raise ClientError("there is no such day in the calendar", hint=f"A day's folder is {folder}.")
    return NativeFile(TimeSpec(snapshot, instant, Match.EXACT, verbatim=True), found["rest"] or "")


def read_dated_address(archive: Archive, path: str) -> NativeFile | NativeCall:
    """Read a native address, canonical and without its leading slash.

    Raises ClientError if the archive has no such address.
    """
    settings = settings_of(archive)
    if path in _changing_files(settings):
        return NativeCall(f"/{escape_path(path)}")
    if dated := read_dated(path, settings.folder):
        return dated
    if not settings.days:
        if _LISTINGS.fullmatch(path):
            return NativeCall(f"/{escape_path(path)}", is_listing=True)
        if moving := _MOVING.fullmatch(path):
            return NativeFile(TimeSpec(moving[1], None, Match.LATEST, verbatim=True), "")
        if _TIMELESS.fullmatch(path):
            return NativeFile(TimeSpec(path.partition("/")[0], None, Match.EXACT, verbatim=True), path)
    beside = "" if settings.days else ", /packages/<l>/<name>/[<file>] and /iso/YYYY.MM.DD/<file>"
    raise ClientError(
        "the archive has no such folder", hint=f"Its own addresses are /{settings.folder}/<path>{beside}."
    )


def _changing_files(settings: DatedSettings) -> frozenset[str]:
    """Return the files about the archive that change.

    An archive with a list of days also has `latest`, which names the newest one.
    """
    if not settings.days:
        return _CHANGING_FILES
    return frozenset({settings.days, "/".join((*settings.days.split("/")[:-1], "latest"))})


def _id(found: re.Match[str]) -> str:
    return f"{found['year']}/{found['month']}/{found['day']}"


@cache
def _pattern(folder: str) -> re.Pattern[str]:
    """Compile the pattern of a day's folder. The cache is bounded by the number of archives: each has one."""
    days = (("YYYY", r"(?P<year>[0-9]{4})"), ("MM", r"(?P<month>[0-9]{2})"), ("DD", r"(?P<day>[0-9]{2})"))
    text = re.escape(folder)
    for letters, group in days:
        text = text.replace(letters, group)
    return re.compile(f"{text}(?:/(?P<rest>.*))?")
