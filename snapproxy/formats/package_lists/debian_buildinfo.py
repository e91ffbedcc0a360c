"""Read a .buildinfo of Debian, also a clear-signed one (deb-buildinfo(5)).

Its entries are the packages with which the build ran. The checksums are those of its products, and not read.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from snapproxy.errors import ArchiveDataError
from snapproxy.formats import clearsigned
from snapproxy.formats.deb822 import stanzas
from snapproxy.formats.package_lists.deb_forms import DEB_ARCHITECTURE, deb_entry
from snapproxy.formats.package_lists.model import LARGEST, MOST_ENTRIES, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.text_lines import quoted

NAME = "debian-buildinfo"

_FIELD = "Installed-Build-Depends"
_WANTED = frozenset({"format", "installed-build-depends", "build-date", "build-architecture"})
_DEPENDENCY = re.compile(r"(?P<name>[^ :()]+)(?::(?P<architecture>[^ :()]+))? \(= (?P<version>[^ ()]+)\)")


def read(data: bytes) -> PackageList:
    """Read the file. The architecture of the list is the build architecture."""
    if len(data) > LARGEST or f"\n{_FIELD}:".encode() not in data:
        raise ListFormatError("", f"It has no field {_FIELD}.")
    fields = _fields(data)
    listed = fields.get(_FIELD.lower(), "")
    if listed.count(",") > MOST_ENTRIES:
        raise _wrong(_FIELD, f"It has more than {MOST_ENTRIES} packages.")
    items = [item for each in listed.split(",") if (item := " ".join(each.split()))]
    if not items:
        raise _wrong(_FIELD, "It has no package.")
    entries = []
    for number, item in enumerate(items, 1):
        place = f"{_FIELD}, item {number}"
        found = _DEPENDENCY.fullmatch(item)
        if found is None:
            raise _wrong(place, f"Expected NAME[:ARCHITECTURE] (= VERSION), not {quoted(item)}.")
        words = (found["name"], found["version"], found["architecture"] or "")
        entries.append(deb_entry(place, *words, is_recognised=True))
    architecture = fields.get("build-architecture", "")
    if architecture and not DEB_ARCHITECTURE.fullmatch(architecture):
        raise _wrong("Build-Architecture", f"Expected an architecture, not {quoted(architecture)}.")
    made = _date(fields.get("build-date", ""))
    return PackageList(NAME, tuple(entries), made=made, architecture=architecture)


def _fields(data: bytes) -> dict[str, str]:
    """Return the fields of the only stanza."""
    try:
        text = clearsigned.body(data) if clearsigned.is_clearsigned(data) else data
    except ArchiveDataError as error:
        raise _wrong("", f"Its signature is not valid. {error.why}") from None
    try:
        found = list(stanzas([text], wanted=_WANTED))
    except ArchiveDataError as error:
        raise _wrong("", error.sentences) from None
    if len(found) != 1 or "format" not in found[0]:
        raise ListFormatError("", "It is not one stanza with the field Format.")
    return found[0]


def _date(text: str) -> int | None:
    """Return the instant of a Build-Date (RFC 2822), None without one."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, TypeError, IndexError, OverflowError):
        raise _wrong("Build-Date", f"Expected a date, not {quoted(text)}.") from None


def _wrong(place: str, why: str) -> ListFormatError:
    return ListFormatError(place, why, is_recognised=True)


DEBIAN_BUILDINFO = ListFormat(NAME, "a .buildinfo of Debian: the installed build dependencies", read)
