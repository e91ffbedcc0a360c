"""Read the output of `pacman -Q`: a line `name version` for each installed package, without an architecture."""

from __future__ import annotations

from snapproxy.formats.package_lists.model import ListEntry, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.name_forms import PACMAN_NAME, PACMAN_VERSION
from snapproxy.formats.package_lists.text_lines import quoted, text_lines

NAME = "pacman-query"


def read(data: bytes) -> PackageList:
    """Read the list. Lists of two words whose versions have no numeric release (`-1`) are not of this format."""
    entries = tuple(_entry(number, line) for number, line in text_lines(data))
    if not entries:
        raise ListFormatError("", "It has no line.")
    return PackageList(NAME, entries)


def _entry(number: int, line: str) -> ListEntry:
    name, _, version = line.partition(" ")
    if not PACMAN_NAME.fullmatch(name) or not PACMAN_VERSION.fullmatch(version):
        raise ListFormatError(f"line {number}", f"Expected NAME VERSION-RELEASE, not {quoted(line)}.")
    return ListEntry(f"line {number}", family="pacman", name=name, version=version)


PACMAN_QUERY = ListFormat(NAME, "the output of pacman -Q", read)
