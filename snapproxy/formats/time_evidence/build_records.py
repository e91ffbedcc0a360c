"""Read the date of a build from its record (Debian's `.buildinfo`, Arch's `.BUILDINFO`), and of an index (Release)."""

from __future__ import annotations

import re

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.clearsigned import body, is_clearsigned
from snapproxy.formats.deb822 import stanzas
from snapproxy.formats.time_evidence.dates import DatedLine, lines_of, quoted, read_rfc2822, read_seconds

_PACMAN = re.compile(r"builddate = ([0-9]{9,10})")


def build_date(data: bytes) -> DatedLine | None:
    """Return the date at which a build began or ended, None if the data is not a record of a build."""
    head = data[: 1 << 16]
    if b"\nbuilddate = " in b"\n" + head and b"pkgbuild_sha256sum = " in head:
        for number, line in lines_of(head):
            found = _PACMAN.fullmatch(line)
            instant = read_seconds(found[1]) if found else None
            if instant is not None:
                return DatedLine(instant, instant, number, quoted(line))
        return None
    if b"\nInstalled-Build-Depends:" not in b"\n" + data:
        return None
    return _field(data, "Build-Date")


def index_date(data: bytes) -> DatedLine | None:
    """Return the Date of a Release or an InRelease, None without one."""
    return _field(data, "Date")


def _field(data: bytes, name: str) -> DatedLine | None:
    """Return the first field of that name, which must be in the (signed) text and a date."""
    try:
        text = body(data) if is_clearsigned(data) else data
        record = next(stanzas([text], wanted=(name.lower(),)), {})
    except ArchiveDataError:
        return None
    instant = read_rfc2822(record.get(name.lower(), ""))
    if instant is None:
        return None
    prefix = f"{name}:".lower()
    line = next((number for number, line in lines_of(data) if line.lower().startswith(prefix)), 0)
    return DatedLine(instant, instant, line, quoted(f"{name}: {record[name.lower()]}"))
