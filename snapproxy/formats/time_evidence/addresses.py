"""Find the addresses in configuration files of package managers, with their lines, and the lines that are comments.

The module finds text that may be an address with a time; `core.address` reads it. A login in an address is kept: it is
the time in the address of a proxy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from snapproxy.formats.time_evidence.dates import lines_of, quoted

MOST = 2_000
"""Maximum number of addresses of one file."""

_ADDRESS = re.compile(r"https?://[^\s\"'<>\\\];|,]{1,1000}", re.IGNORECASE)
_COMMENTS = ("#", "//", ";")
_SNAPSHOT = re.compile(r"(?:snapshot\s*[:=]|APT::Snapshot\s+)\s*[\"']?(?P<id>[0-9]{8}T[0-9]{6}Z)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FoundAddress:
    """An address in a file. `text` quotes the line; `is_comment`: the package manager does not use it."""

    url: str
    line: int
    text: str
    is_comment: bool = False


@dataclass(frozen=True, slots=True)
class SnapshotOption:
    """The id of a snapshot that the package manager inserts into its addresses (apt's option `snapshot`)."""

    id: str
    line: int
    text: str


def addresses(data: bytes) -> Iterator[FoundAddress]:
    """Yield the addresses of a file, at most `MOST`."""
    count = 0
    for number, line in lines_of(data):
        if "://" not in line:
            continue
        is_comment = line.lstrip().startswith(_COMMENTS)
        for found in _ADDRESS.finditer(line):
            count += 1
            if count > MOST:
                return
            yield FoundAddress(found[0].rstrip("."), number, quoted(line), is_comment)


def snapshot_options(data: bytes) -> Iterator[SnapshotOption]:
    """Yield apt's `snapshot` options of sources and of its configuration, outside of comments."""
    for number, line in lines_of(data):
        found = None if line.lstrip().startswith(_COMMENTS) else _SNAPSHOT.search(line)
        if found:
            yield SnapshotOption(found["id"].upper(), number, quoted(line))
