"""Read the output of `dpkg -l`: a heading, then state, name, version, architecture and description of each package."""

from __future__ import annotations

import re

from snapproxy.formats.package_lists.deb_forms import deb_entry
from snapproxy.formats.package_lists.model import (
    MOST_ENTRIES,
    ListEntry,
    ListFormat,
    ListFormatError,
    PackageList,
)
from snapproxy.formats.package_lists.text_lines import LONGEST, raw_lines

NAME = "dpkg-list"

_HEADING = b"Desired=Unknown/Install/Remove/Purge/Hold"
_RULE = b"+++-"
# dpkg(1): the desired state, the state, an error flag. W and t: configured, but triggers are still to run.
_LINE = re.compile(r"(?P<desired>[uihrp])(?P<state>[nciUFHWt])(?P<error>[R ]) +(?P<rest>.*)")
_INSTALLED = frozenset("iWt")
_FIELDS = 3


def read(data: bytes) -> PackageList:
    """Read the list. Only installed packages are entries; the number of the others is in a note."""
    if not data.startswith(_HEADING):
        raise ListFormatError("line 1", f"It does not begin with {_HEADING.decode()}.")
    entries: list[ListEntry] = []
    others, is_begun = 0, False
    for number, line in raw_lines(data):
        if not is_begun or not line.rstrip():
            is_begun = is_begun or line.startswith(_RULE)
            continue
        if len(entries) + others >= MOST_ENTRIES:
            raise ListFormatError(f"line {number}", f"It has more than {MOST_ENTRIES} lines.", is_recognised=True)
        found = _entry(number, line)
        others += found is None
        entries += [found] if found else []
    if not is_begun:
        raise ListFormatError("", f"The line {_RULE.decode()} is missing.", is_recognised=True)
    notes = (f"Packages that are not completely installed were left out: {others}.",) if others else ()
    return PackageList(NAME, tuple(entries), notes)


def _entry(number: int, line: bytes) -> ListEntry | None:
    """Return the entry of a line, None if the package is not installed. Descriptions may have any characters."""
    found = _LINE.fullmatch(line[:LONGEST].decode("utf-8", "replace").rstrip("\r\n"))
    fields = found["rest"].split(maxsplit=_FIELDS) if found else []
    if found is None or len(fields) < _FIELDS:
        why = "Expected a state, a name, a version and an architecture."
        raise ListFormatError(f"line {number}", why, is_recognised=True)
    if found["state"] not in _INSTALLED:
        return None
    name, version, architecture = fields[:_FIELDS]
    return deb_entry(f"line {number}", name.partition(":")[0], version, architecture, is_recognised=True)


DPKG_LIST = ListFormat(NAME, "the output of dpkg -l", read)
