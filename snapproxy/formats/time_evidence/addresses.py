"""Find the addresses in configuration files of package managers, with their lines, and the lines that are comments.

The module finds text that may be an address with a time; `core.address` reads it. A login in an address is kept: it is
the time in the address of a proxy.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from snapproxy.formats.time_evidence.dates import lines_of, quoted

MOST = 2_000
"""Maximum number of addresses of one file."""

_ADDRESS = re.compile(r"https?://[^\s\"'<>\\\];|,]{1,1000}", re.IGNORECASE)
_COMMENTS = ("#", "//", ";")
_TRAILING = re.compile(r"\s#")
_DISABLED = re.compile(r"\s*enabled\s*[:=]\s*(?:no|false|without|off|disable|0)\s*", re.IGNORECASE)
"""The setting of apt's deb822 files and of the files of dnf and zypper."""
_BOUNDARIES = {"sources": re.compile(r"\s*"), "repo": re.compile(r"\s*\[[^\]]*\]\s*")}
"""The lines between the sources of a file, by its suffix."""
_SNAPSHOT = re.compile(r"(?:snapshot\s*[:=]|APT::Snapshot\s+)\s*[\"']?(?P<id>[0-9]{8}T[0-9]{6}Z)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FoundAddress:
    """An address in a file. `text` quotes the line; `is_comment`: it is in a comment, or in a disabled source."""

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


def addresses(data: bytes, disabled: Collection[int] = ()) -> Iterator[FoundAddress]:
    """Yield the addresses of a file, at most `MOST`. `disabled` are the lines of disabled sources."""
    count = 0
    for number, line in lines_of(data):
        if "://" not in line:
            continue
        is_comment = number in disabled or line.lstrip().startswith(_COMMENTS)
        trailing = _TRAILING.search(line)
        end = trailing.start() if trailing else len(line)
        for found in _ADDRESS.finditer(line):
            count += 1
            if count > MOST:
                return
            yield FoundAddress(found[0].rstrip("."), number, quoted(line), is_comment or found.start() > end)


def disabled_lines(path: str, data: bytes) -> frozenset[int]:
    """Return the numbers of the lines of disabled sources: stanzas of `.sources` files, sections of `.repo` files."""
    boundary = _BOUNDARIES.get(path.rpartition(".")[2])
    disabled: set[int] = set()
    block: list[int] = []
    is_disabled = False
    for number, line in lines_of(data) if boundary else ():
        if boundary and boundary.fullmatch(line):
            disabled.update(block if is_disabled else ())
            block, is_disabled = [], False
        block.append(number)
        is_disabled = is_disabled or _DISABLED.fullmatch(line) is not None
    disabled.update(block if is_disabled else ())
    return frozenset(disabled)


def snapshot_options(data: bytes, disabled: Collection[int] = ()) -> Iterator[SnapshotOption]:
    """Yield apt's `snapshot` options of sources and of its configuration, outside of comments and disabled sources."""
    for number, line in lines_of(data):
        is_used = number not in disabled and not line.lstrip().startswith(_COMMENTS)
        found = _SNAPSHOT.search(_TRAILING.split(line, maxsplit=1)[0]) if is_used else None
        if found:
            yield SnapshotOption(found["id"].upper(), number, quoted(line))
