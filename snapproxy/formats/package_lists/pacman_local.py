"""Read pacman's local database: the files `/var/lib/pacman/local/*/desc`, one or several after each other.

Its times do not date an archive: `%BUILDDATE%` is that of the package, `%INSTALLDATE%` that of the machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.package_lists.model import (
    LARGEST,
    MOST_ENTRIES,
    ListEntry,
    ListFormat,
    ListFormatError,
    PackageList,
)
from snapproxy.formats.package_lists.name_forms import PACMAN_ARCHITECTURE, PACMAN_NAME, PACMAN_VERSION
from snapproxy.formats.package_lists.text_lines import quoted, some
from snapproxy.formats.pacman_db import MAX_DESC, fields

NAME = "pacman-local"

_WANTED = frozenset({"NAME", "VERSION", "ARCH", "VALIDATION"})
# libalpm writes the name first, and an empty line after each field. A second %NAME% after one begins a package.
_BEGIN = re.compile(rb"(?:\A|(?<=\n\n))%NAME%\n")


def read(data: bytes) -> PackageList:
    """Read the database. Packages that were installed without a check of their bytes are in a note."""
    if len(data) > LARGEST or not _BEGIN.match(data):
        raise ListFormatError("", "It does not begin with the line %NAME%.")
    entries, unchecked = [], []
    for place, text in _descriptions(data):
        entry, validation = _entry(place, text)
        entries.append(entry)
        if validation == ("none",):
            unchecked.append(entry.name)
        if len(entries) > MOST_ENTRIES:
            raise ListFormatError(place, f"It has more than {MOST_ENTRIES} packages.", is_recognised=True)
    return PackageList(NAME, tuple(entries), _notes(unchecked))


def _descriptions(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the place and the text of each package."""
    line, start = 1, 0
    for found in _BEGIN.finditer(data, 1):
        yield f"line {line}", data[start : found.start()]
        line, start = line + data.count(b"\n", start, found.start()), found.start()
    yield f"line {line}", data[start:]


def _entry(place: str, text: bytes) -> tuple[ListEntry, tuple[str, ...]]:
    if len(text) > MAX_DESC:
        raise ListFormatError(place, f"The package has more than {MAX_DESC} bytes.", is_recognised=True)
    try:
        found = fields("desc", text, _WANTED)
    except ArchiveDataError as error:
        raise ListFormatError(place, error.why, is_recognised=True) from None
    values = {name: lines[0] if len(lines) == 1 else "" for name, lines in found.items()}
    name, version, architecture = (values.get(field, "") for field in ("NAME", "VERSION", "ARCH"))
    for value, form in ((name, PACMAN_NAME), (version, PACMAN_VERSION), (architecture or "any", PACMAN_ARCHITECTURE)):
        if not form.fullmatch(value):
            why = f"The package has no valid name, version or architecture: {quoted(value)}."
            raise ListFormatError(place, why, is_recognised=True)
    entry = ListEntry(place, family="pacman", name=name, version=version, architecture=architecture)
    return entry, found.get("VALIDATION", ())


def _notes(unchecked: list[str]) -> tuple[str, ...]:
    if not unchecked:
        return ()
    return (f"Packages that were installed without a check of their bytes, perhaps from a file: {some(unchecked)}.",)


PACMAN_LOCAL = ListFormat(NAME, "pacman's local database: /var/lib/pacman/local/*/desc", read)
