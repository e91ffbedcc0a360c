"""Read dpkg's database: /var/lib/dpkg/status, or the files of /var/lib/dpkg/status.d in images without dpkg.

Several files may be concatenated. A stanza of status.d is the control file of an installed package and has no Status.
"""

from __future__ import annotations

import re

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.deb822 import stanzas
from snapproxy.formats.package_lists.deb_forms import deb_entry
from snapproxy.formats.package_lists.model import (
    LARGEST,
    MOST_ENTRIES,
    ListEntry,
    ListFormat,
    ListFormatError,
    PackageList,
)
from snapproxy.formats.package_lists.text_lines import counted, quoted

NAME = "dpkg-status"

_CHUNK = 1 << 20
_WANTED = frozenset({"package", "status", "version", "architecture", "filename", "directory"})
# A Packages or Sources index has the place of each file.
_OF_INDEXES = ("filename", "directory")
_BEGIN = re.compile(rb"\s*Package:[ \t]*[!-~]")
# Package is the first field of each stanza. Files of status.d end without an empty line.
_NEXT_FILE = re.compile(rb"(?<=[^\n])\n(?=Package:)")
# No index of a repository and no control file has such a field.
_INSTALL_STATUS = b"\nStatus: install ok "
_STATUS = re.compile(r"(?:unknown|install|hold|deinstall|purge) (?:ok|reinstreq) (?P<state>[a-z-]+)")
# dpkg(1): with triggers awaited or pending the package is configured.
_INSTALLED = frozenset({"installed", "triggers-awaited", "triggers-pending"})


def read(data: bytes) -> PackageList:
    """Read the database. Only installed packages are entries; the numbers of the others, by state, are in notes."""
    if len(data) > LARGEST or not _BEGIN.match(data):
        raise ListFormatError("line 1", "It does not begin with the field Package.")
    if data.count(b"\nPackage:") > MOST_ENTRIES:
        raise ListFormatError("", f"It has more than {MOST_ENTRIES} packages.")
    data = _NEXT_FILE.sub(b"\n\n", data)
    chunks = (data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK))  # the reader splits a whole chunk at once
    is_recognised = _INSTALL_STATUS in data
    entries: list[ListEntry] = []
    others: dict[str, int] = {}
    number = 0
    try:
        for number, stanza in enumerate(stanzas(chunks, wanted=_WANTED), 1):
            if number > MOST_ENTRIES:
                raise ListFormatError(f"stanza {number}", f"It has more than {MOST_ENTRIES} stanzas.")
            state = _state(f"stanza {number}", stanza, is_recognised=is_recognised)
            if state in _INSTALLED:
                entries.append(_entry(f"stanza {number}", stanza, is_recognised=is_recognised))
            else:
                others[state] = others.get(state, 0) + 1
    except ArchiveDataError as error:
        raise ListFormatError(f"stanza {number + 1}", error.sentences, is_recognised=is_recognised) from None
    if not entries:
        raise ListFormatError("", "It has no installed package.")
    notes = (f"Packages that are not completely installed were left out: {counted(others)}.",) if others else ()
    return PackageList(NAME, tuple(entries), notes)


def _state(place: str, stanza: dict[str, str], *, is_recognised: bool) -> str:
    """Return the state of the package, `installed` without a Status."""
    for field in _OF_INDEXES:
        if field in stanza:
            why = f"It has the field {field.capitalize()}, as indexes of repositories, and not dpkg's status, have."
            raise ListFormatError(place, why)
    text = stanza.get("status", "install ok installed")
    found = _STATUS.fullmatch(text)
    if found is None:
        raise ListFormatError(place, f"Its Status is not one of dpkg: {quoted(text)}.", is_recognised=is_recognised)
    return found["state"]


def _entry(place: str, stanza: dict[str, str], *, is_recognised: bool) -> ListEntry:
    words = (stanza.get("package", ""), stanza.get("version", ""), stanza.get("architecture", "") or "-")
    return deb_entry(place, *words, is_recognised=is_recognised)


DPKG_STATUS = ListFormat(NAME, "dpkg's database of packages: /var/lib/dpkg/status, or files of status.d", read)
