"""The addresses of an archive that keeps a folder a day: `repos/YYYY/MM/DD/...`, and beside the days `packages/...` and `iso/...`.

They are the archive's own, so that only the host changes in an existing URL. `address` asks here what such a path names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from snapproxy.core.model import Match, When
from snapproxy.core.when import read_day
from snapproxy.errors import ClientError

FOLDER_HISTORY = "dated"
"""Rows of this history have these addresses."""

FOLDER_CALLS = ("repos", "packages", "iso")

_DAY = re.compile(r"([0-9]{4}/[0-9]{2}/[0-9]{2})(?:/(.*))?")
_MOVING = re.compile(r"repos/(last|week|month)(?:/.*)?")
_TIMELESS = re.compile(r"packages/(?:\.all|[^/]+/[^/]+)/[^/]+|iso/[0-9]{4}\.[0-9]{2}\.[0-9]{2}/.+[^/]")
#: What tells of the archive, and changes: the list of all packages, and when the newest day was made.
_LISTS = re.compile(r"packages/\.all/index\.0\.xz|repos/last/lastsync")
#: Where every version of a package is listed, which `downgrade` reads; the slash belongs to it, the links are relative.
_LISTINGS = re.compile(r"packages/(?:\.all|[^/]+/[^/]+)/")


@dataclass(frozen=True, slots=True)
class Folder:
    """What a native address names: a file at a time, or (`when` None) a list that changes, at `path`.

    `is_listing`: that list is the server's own page of a folder.
    """

    when: When | None
    path: str
    is_listing: bool = False


def read_dated(text: str) -> Folder | None:
    """Read `YYYY/MM/DD[/path]`; None when it does not begin so. Raises ClientError for a day no calendar has."""
    found = _DAY.fullmatch(text)
    if found is None:
        return None
    instant = read_day(found[1])
    if instant is None:
        raise ClientError("there is no such day in the calendar", hint="A day's folder is repos/YYYY/MM/DD.")
    return Folder(When(found[1], instant, Match.EXACT, verbatim=True), found[2] or "")


def read_folder(path: str) -> Folder:
    """Read a native address, canonical and without its leading slash. Raises ClientError for what is none."""
    if _LISTS.fullmatch(path):
        return Folder(None, path)
    if _LISTINGS.fullmatch(path):
        return Folder(None, path, is_listing=True)
    if moving := _MOVING.fullmatch(path):
        return Folder(When(moving[1], None, Match.LATEST, verbatim=True), "")
    if path.startswith("repos/") and (dated := read_dated(path.removeprefix("repos/"))):
        return dated
    if _TIMELESS.fullmatch(path):
        return Folder(When(path.partition("/")[0], None, Match.EXACT, verbatim=True), path)
    raise ClientError(
        "the archive has no such folder",
        hint="Its own addresses are /repos/YYYY/MM/DD/<repo>/os/<arch>/<file>, /packages/<l>/<name>/[<file>] and /iso/YYYY.MM.DD/<file>.",
    )
