"""Read Arch Linux's `.BUILDINFO` of a package, formats 1 and 2 (BUILDINFO(5)): the packages that it was built with."""

from __future__ import annotations

import re

from snapproxy.formats.package_lists.model import ListEntry, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.name_forms import PACMAN_ARCHITECTURE, PACMAN_NAME, PACMAN_VERSION
from snapproxy.formats.package_lists.text_lines import quoted, text_lines

NAME = "arch-buildinfo"

_LINE = re.compile(r"(?P<key>[a-z][a-z0-9_]*) =(?: (?P<value>.*))?")
_FORMATS = ("1", "2")
_SECONDS = re.compile(r"[0-9]{1,12}")


def read(data: bytes) -> PackageList:
    """Read the file. Its `builddate` is the time at which the list was made."""
    entries: list[ListEntry] = []
    made: int | None = None
    is_recognised = False
    for number, line in text_lines(_ascii_values(data)):
        place = f"line {number}"
        found = _LINE.fullmatch(line)
        key, value = (found["key"], found["value"] or "") if found else ("", "")
        if not is_recognised:
            if key != "format":
                raise ListFormatError(place, "It does not begin with `format = 1` or `format = 2`.")
            is_recognised = True
            if value not in _FORMATS:
                raise ListFormatError(place, f"The format {quoted(value)} is not known.", is_recognised=True)
        elif not key or key == "format":
            raise ListFormatError(place, f"Expected KEY = VALUE, not {quoted(line)}.", is_recognised=True)
        elif key == "installed":
            entries.append(_entry(place, value))
        elif key == "builddate":
            if made is not None or not _SECONDS.fullmatch(value):
                raise ListFormatError(place, "Expected one builddate in seconds.", is_recognised=True)
            made = int(value)
    if not is_recognised:
        raise ListFormatError("", "It has no line.")
    return PackageList(NAME, tuple(entries), made=made)


def _ascii_values(data: bytes) -> bytes:
    """Replace the lines of the packager and of folders, which may have any character, by their keys."""
    return re.sub(rb"(?m)^(packager|builddir|startdir) = [^\n\0]*$", rb"\1 =", data)


def _entry(place: str, text: str) -> ListEntry:
    """Split `name-[epoch:]version-release-arch`, from the right, because names contain hyphens."""
    rest, _, architecture = text.rpartition("-")
    rest, _, release = rest.rpartition("-")
    name, _, version = rest.rpartition("-")
    full = f"{version}-{release}"
    is_valid = PACMAN_NAME.fullmatch(name) and PACMAN_VERSION.fullmatch(full)
    if not is_valid or not PACMAN_ARCHITECTURE.fullmatch(architecture):
        why = f"Expected NAME-VERSION-RELEASE-ARCHITECTURE, not {quoted(text)}."
        raise ListFormatError(place, why, is_recognised=True)
    return ListEntry(place, family="pacman", name=name, version=full, architecture=architecture)


ARCH_BUILDINFO = ListFormat(NAME, "the .BUILDINFO of an Arch Linux package, format 1 or 2", read)
