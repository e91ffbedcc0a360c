"""The addresses of archives that keep a folder a day: `repos/YYYY/MM/DD/...`, `history/YYYYMMDD/...`, and what stands beside the days.

They are the archives' own, so that only the host changes in an existing URL. `address` asks here what such a path names; the history
asks how a day's folder is spelt. Which spelling an archive has, its row says (`folder`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from snapproxy.core.model import Archive, Instant, Match, TimeSpec
from snapproxy.core.time_spec import read_day
from snapproxy.errors import ClientError

FOLDER_HISTORY = "dated"
"""Rows of this history have these addresses."""

FOLDER_CALLS = ("repos", "packages", "iso", "history")
"""What native addresses may begin with on this proxy itself; no archive has such a name."""

_ID = "YYYY/MM/DD"
_MOVING = re.compile(r"repos/(last|week|month)(?:/.*)?")
_TIMELESS = re.compile(r"packages/(?:\.all|[^/]+/[^/]+)/[^/]+|iso/[0-9]{4}\.[0-9]{2}\.[0-9]{2}/.+[^/]")
#: What tells of an archive that lists its days nowhere, and changes: the list of all packages, and when the newest day was made.
_LISTS = frozenset({"packages/.all/index.0.xz", "repos/last/lastsync"})
#: Where every version of a package is listed, which `downgrade` reads; the slash belongs to it, the links are relative.
_LISTINGS = re.compile(r"packages/(?:\.all|[^/]+/[^/]+)/")


@dataclass(frozen=True, slots=True)
class DatedAddress:
    """What a native address names: a file at a time, or (`when` None) a list that changes, at `path`.

    `is_listing`: that list is the server's own page of a folder.
    """

    when: TimeSpec | None
    path: str
    is_listing: bool = False


def heads(archive: Archive) -> frozenset[str]:
    """Return what the native addresses of an archive begin with. One that lists its days has nothing beside them."""
    beside = () if archive.days else ("packages", "iso")
    return frozenset({archive.folder.partition("/")[0], *beside})


def day_folder(archive: Archive, snapshot: str) -> str:
    """Return where the archive keeps the day that a snapshot's id (`2024/05/31`) names: `history/20240531/...`."""
    year, month, day = snapshot.split("/")
    return archive.folder.replace("YYYY", year).replace("MM", month).replace("DD", day)


def read_listed_day(archive: Archive, line: str) -> Instant | None:
    """Read a day as the archive's list of days spells it, which is as its folders do: its last second. None when it is none."""
    spelling = archive.folder[archive.folder.index("YYYY") : archive.folder.index("DD") + len("DD")]
    found = _pattern(spelling).fullmatch(line)
    return read_day(_id(found)) if found and found["rest"] is None else None


def read_dated(text: str, folder: str = _ID) -> DatedAddress | None:
    """Read a day's folder and what follows it; None when it begins otherwise. Raises ClientError for a day no calendar has."""
    found = _pattern(folder).fullmatch(text)
    if found is None:
        return None
    snapshot = _id(found)
    instant = read_day(snapshot)
    if instant is None:
        raise ClientError("there is no such day in the calendar", hint=f"A day's folder is {folder}.")
    return DatedAddress(TimeSpec(snapshot, instant, Match.EXACT, verbatim=True), found["rest"] or "")


def read_dated_address(archive: Archive, path: str) -> DatedAddress:
    """Read a native address, canonical and without its leading slash. Raises ClientError for what is none."""
    if path in _lists(archive):
        return DatedAddress(None, path)
    if dated := read_dated(path, archive.folder):
        return dated
    if not archive.days:
        if _LISTINGS.fullmatch(path):
            return DatedAddress(None, path, is_listing=True)
        if moving := _MOVING.fullmatch(path):
            return DatedAddress(TimeSpec(moving[1], None, Match.LATEST, verbatim=True), "")
        if _TIMELESS.fullmatch(path):
            return DatedAddress(TimeSpec(path.partition("/")[0], None, Match.EXACT, verbatim=True), path)
    beside = "" if archive.days else ", /packages/<l>/<name>/[<file>] and /iso/YYYY.MM.DD/<file>"
    raise ClientError("the archive has no such folder", hint=f"Its own addresses are /{archive.folder}/<path>{beside}.")


def _lists(archive: Archive) -> frozenset[str]:
    """Return what tells of the archive, and changes. Beside a list of days stands the newest one's name, `latest`."""
    if not archive.days:
        return _LISTS
    return frozenset({archive.days, "/".join((*archive.days.split("/")[:-1], "latest"))})


def _id(found: re.Match[str]) -> str:
    return f"{found['year']}/{found['month']}/{found['day']}"


@cache
def _pattern(folder: str) -> re.Pattern[str]:
    """Compile the spelling of a day's folder: bounded, there is one a row."""
    days = (("YYYY", r"(?P<year>[0-9]{4})"), ("MM", r"(?P<month>[0-9]{2})"), ("DD", r"(?P<day>[0-9]{2})"))
    text = re.escape(folder)
    for letters, group in days:
        text = text.replace(letters, group)
    return re.compile(f"{text}(?:/(?P<rest>.*))?")
