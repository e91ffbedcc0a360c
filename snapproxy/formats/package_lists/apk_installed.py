"""Read apk's database of installed packages, `/lib/apk/db/installed`: records of letters, as in an APKINDEX.

The files of a package follow in lines of their own (`F: R: M: a: Z:`). `C:` identifies the control part of the package.
"""

from __future__ import annotations

import io
import re

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.apkindex import checksum
from snapproxy.formats.package_lists.apk_info import virtual_note
from snapproxy.formats.package_lists.model import (
    LARGEST,
    MOST_ENTRIES,
    DigestOf,
    ListedDigest,
    ListEntry,
    ListFormat,
    ListFormatError,
    PackageList,
)
from snapproxy.formats.package_lists.name_forms import APK_NAME, APK_VERSION, APK_VIRTUAL
from snapproxy.formats.package_lists.text_lines import quoted

NAME = "apk-installed"

_READ = frozenset(b"CPVAS")
_ARCHITECTURE = re.compile(r"[a-z0-9_]+")
_SIZE = re.compile(r"[0-9]{1,18}")
_BEGIN = re.compile(rb"\s*[A-Za-z]:")


def read(data: bytes) -> PackageList:
    """Read the database. Virtual packages (`apk add --virtual`) are dropped with a note, because they have no file."""
    if len(data) > LARGEST or not _BEGIN.match(data):
        raise ListFormatError("line 1", "It does not begin with LETTER:VALUE.")
    entries: list[ListEntry] = []
    virtual, start = 0, 0
    fields: dict[str, str] = {}
    for number, raw in enumerate(io.BytesIO(data + b"\n\n"), 1):
        line = raw.rstrip(b"\r\n")
        if line:
            start = start if fields else number
            _add(fields, number, line, is_recognised=bool(entries))
        elif fields:
            if APK_VIRTUAL.fullmatch(fields.get("P", "")):
                virtual += 1
            else:
                entries.append(_entry(f"line {start}", fields, is_recognised=bool(entries)))
            fields = {}
        if len(entries) > MOST_ENTRIES:
            raise ListFormatError(f"line {number}", f"It has more than {MOST_ENTRIES} packages.", is_recognised=True)
    return PackageList(NAME, tuple(entries), virtual_note(virtual))


def _add(fields: dict[str, str], number: int, line: bytes, *, is_recognised: bool) -> None:
    if line[1:2] != b":":
        why = f"Expected LETTER:VALUE, not {quoted(line[:140].decode('latin-1'))}."
        raise ListFormatError(f"line {number}", why, is_recognised=is_recognised)
    if line[0] in _READ:
        letter = chr(line[0])
        if letter in fields:
            why = f"The package has the field {letter} twice; an empty line must follow each package."
            raise ListFormatError(f"line {number}", why, is_recognised=is_recognised)
        fields[letter] = line[2:].decode("utf-8", "replace")
    else:
        fields.setdefault("", "")  # the record has begun


def _entry(place: str, fields: dict[str, str], *, is_recognised: bool) -> ListEntry:
    name, version, architecture = (fields.get(letter, "") for letter in "PVA")
    for value, form in ((name, APK_NAME), (version, APK_VERSION), (architecture or "noarch", _ARCHITECTURE)):
        if not form.fullmatch(value):
            why = f"The package has no valid P:, V: or A:, but {quoted(value)}."
            raise ListFormatError(place, why, is_recognised=is_recognised)
    size = fields.get("S", "")
    if size and not _SIZE.fullmatch(size):
        raise ListFormatError(place, f"Its size is no number: {quoted(size)}.", is_recognised=True)
    return ListEntry(
        place,
        family="apk",
        name=name,
        version=version,
        architecture=architecture,
        digests=(control_digest(place, fields["C"]),) if "C" in fields else (),
        size=int(size) if size else None,
    )


def control_digest(place: str, text: str) -> ListedDigest:
    """Return the digest of a control part from apk's notation, `Q1` and base64. Raises ListFormatError."""
    try:
        algorithm, value = checksum(text)
    except ArchiveDataError:
        why = f"Expected an apk digest (Q1 and base64), not {quoted(text)}."
        raise ListFormatError(place, why, is_recognised=True) from None
    return ListedDigest(algorithm, value, DigestOf.CONTROL)


APK_INSTALLED = ListFormat(NAME, "apk's database of installed packages: /lib/apk/db/installed", read)
