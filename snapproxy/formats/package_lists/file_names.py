"""Packages by the names of their files, and files of a record by the titles that snapproxy's own lists give them."""

from __future__ import annotations

import re
from dataclasses import replace

from snapproxy.formats.package_lists.model import ListEntry
from snapproxy.formats.package_lists.name_forms import APK_NAME, APK_VERSION, apk_name, rpm_file_name
from snapproxy.formats.package_lists.times import instant_of_id

_DEB = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]+)_[A-Za-z0-9.+:~%-]+_(?P<architecture>[a-z0-9-]+)\.(?:u|d)?deb")
_PACMAN = re.compile(
    r"(?P<name>[A-Za-z0-9@_+][A-Za-z0-9@._+-]*)-(?P<version>(?:[0-9]+:)?[^-/:]+-[0-9.]+)-(?P<architecture>[a-z0-9_]+)"
    r"\.pkg\.tar(?:\.[a-z0-9]+)?(?:\.sig)?"
)
# `capture.contents` writes ARCHIVE/SNAPSHOT/PATH. A snapshot is an instant or, in archives with a folder for each day,
# YYYY/MM/DD.
_TITLE = re.compile(
    r"(?P<archive>[a-z0-9][a-z0-9-]{0,62})/(?P<snapshot>[0-9]{8}T[0-9]{6}Z|[0-9]{4}/[0-9]{2}/[0-9]{2})/(?P<path>.+)"
)
_SERVICE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}/service/[0-9a-f]{64}")


def named_entry(place: str, path: str) -> ListEntry:
    """Return the entry of a path, with the fields that the name of its file states. Other files have no family.

    Names of files of apt and rpm have no epoch, so their versions are not complete and stay empty.
    """
    folder, _, file = path.rpartition("/")
    entry = ListEntry(place, path=path)
    if found := _DEB.fullmatch(file):
        return replace(entry, family="apt", name=found["name"], architecture=found["architecture"])
    if found := _PACMAN.fullmatch(file):
        name, version, architecture = found.groups()
        return replace(entry, family="pacman", name=name, version=version, architecture=architecture)
    if rpm := rpm_file_name(file):
        return replace(entry, family="rpm", name=rpm.name, architecture=rpm.architecture)
    apk = apk_name(file.removesuffix(".apk")) if file.endswith(".apk") else None
    if apk and APK_NAME.fullmatch(apk[0]) and APK_VERSION.fullmatch(apk[1]):
        return replace(entry, family="apk", name=apk[0], version=apk[1], architecture=folder.rpartition("/")[2])
    return entry


def titled_entry(place: str, title: str) -> ListEntry | None:
    """Return the entry of a file by the title ARCHIVE/SNAPSHOT/PATH, None for other titles.

    The suite is the archive. At an instant that names a snapshot the archive had the file.
    """
    found = _TITLE.fullmatch(title)
    if found is None:
        return None
    return recorded_entry(place, found["archive"], found["snapshot"], found["path"])


def recorded_entry(place: str, archive: str, snapshot: str, path: str) -> ListEntry:
    """Return the entry of a file that an archive had in a snapshot."""
    instant = instant_of_id(snapshot)
    return replace(named_entry(place, path), suite=archive, first=instant, last=instant)


def is_service_title(title: str) -> bool:
    """Return whether a title is that of a service's answer instead of an archive's file."""
    return _SERVICE.fullmatch(title) is not None
