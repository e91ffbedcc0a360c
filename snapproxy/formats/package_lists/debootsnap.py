"""Read a list of packages as debootsnap does: `name[:architecture]=version`, on lines or separated by commas.

Quotes, brackets and spaces around the words are ignored. Unlike debootsnap the reader requires an equals sign and a
version that begins with a digit: the list is recognised by nothing else.
"""

from __future__ import annotations

import re

from snapproxy.formats.package_lists.deb_forms import deb_entry, refuse_apk_pins
from snapproxy.formats.package_lists.model import (
    MOST_ENTRIES,
    ListEntry,
    ListFormat,
    ListFormatError,
    PackageList,
)
from snapproxy.formats.package_lists.text_lines import LONGEST, quoted, raw_lines

NAME = "debootsnap"

_NOISE = r"""[ \t"'()\[\]{};*-]*+"""
_ITEM = re.compile(
    rf"{_NOISE}(?P<name>[a-z0-9][a-z0-9+.-]++)(?::(?P<architecture>[a-z0-9-]++))?"
    rf"{_NOISE}={_NOISE}(?P<version>[0-9][A-Za-z0-9.+:~-]*+){_NOISE}"
)


def read(data: bytes) -> PackageList:
    """Read the list."""
    if not data.isascii() or data.count(b",") > MOST_ENTRIES:
        raise ListFormatError("", f"It has characters beyond ASCII, or more than {MOST_ENTRIES} commas.")
    entries: list[ListEntry] = []
    for number, line in raw_lines(data):
        for at, raw in enumerate(line.rstrip(b"\r\n").split(b","), 1):
            if not raw.strip(b" \t"):
                continue
            if len(entries) == MOST_ENTRIES:
                raise ListFormatError(f"line {number}", f"It has more than {MOST_ENTRIES} packages.")
            entries.append(_entry(f"line {number}, item {at}", raw[: LONGEST + 1].decode("ascii")))
    if not entries:
        raise ListFormatError("", "It has no package.")
    refuse_apk_pins(entries)
    return PackageList(NAME, tuple(entries))


def _entry(place: str, item: str) -> ListEntry:
    found = _ITEM.fullmatch(item) if len(item) <= LONGEST else None
    if found is None:
        raise ListFormatError(place, f"Expected NAME[:ARCHITECTURE]=VERSION, not {quoted(item)}.")
    return deb_entry(place, found["name"], found["version"], found["architecture"] or "")


DEBOOTSNAP = ListFormat(NAME, "NAME[:ARCHITECTURE]=VERSION on lines or separated by commas, as for debootsnap", read)
