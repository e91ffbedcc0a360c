"""Read pacman's databases: a tar, compressed or not, with one `<name>-<version>/desc` for each package.

It reads both kinds: `<repo>.db`, and `<repo>.files`, which has a long `files` member for each `desc`. The database is
read as a stream; memory is bounded by one `desc`. `families.pacman` interprets the fields.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from snapproxy.errors import ArchiveDataError, Drop, refuse_entry
from snapproxy.formats.tar_stream import TarStream
from snapproxy.formats.unpack import unpack

Record = Mapping[str, tuple[str, ...]]

MAX_MEMBERS = 1_000_000
"""Maximum number of members of one database; Arch's largest has 15,000 packages, each with a folder and one or two
members.
"""
MAX_NAME = 4096
"""Maximum characters of a member's name, including names above 256 bytes, which are stored in extra headers."""
MAX_DESC = 1 << 20
"""Maximum bytes of one `desc`; the largest known one, with hundreds of dependencies, has 20 KB."""
MAX_DATABASE = 2 << 30
"""Maximum decompressed size of a database in bytes; Arch's `extra.files` has about 600 MB."""

_FIELD = re.compile(r"%([A-Z0-9]+)%")


def records(chunks: Iterable[bytes], *, wanted: Collection[str], drop: Drop = refuse_entry) -> Iterator[Record]:
    """Yield the `wanted` fields (without their percent signs) of every package's `desc`, in the order of the database.

    A field maps to its lines. A malformed `desc` is dropped. Raises ArchiveDataError if the data is not a tar, is
    damaged or truncated, or exceeds a bound.
    """
    pieces = unpack(chunks, max_size=MAX_DATABASE, drop=drop)
    for name, data in _descriptions(TarStream(pieces, _damaged, max_members=MAX_MEMBERS, max_name=MAX_NAME)):
        try:
            record = fields(name, data, wanted)
        except ArchiveDataError as error:
            drop(error)
            continue
        yield record


def fields(name: str, data: bytes, wanted: Collection[str]) -> Record:
    """Parse the `wanted` fields of one `desc`: a line `%FIELD%`, one line for each value, and an empty line.

    `name` is the name of the member, for the message of an ArchiveDataError.
    """
    found: dict[str, list[str]] = {}
    field = ""
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        if not line:
            field = ""
        elif field:
            if field in wanted:
                found[field].append(line)
        elif head := _FIELD.fullmatch(line):
            field = head[1]
            if field in found:
                raise _damaged(f"{_quoted(name)} has the field {field} twice.")
            if field in wanted:
                found[field] = []
        else:
            raise _damaged(f"{_quoted(name)} has a line outside any field.")
    return {field: tuple(lines) for field, lines in found.items()}


def _descriptions(tar: TarStream) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of every `desc` member."""
    for member in tar.members():
        if member.is_regular and member.name.endswith("/desc"):
            if member.size > MAX_DESC:
                raise _damaged(f"{_quoted(member.name)} has {member.size} bytes; the limit is {MAX_DESC}.")
            yield member.name, tar.content()


def _quoted(name: str) -> str:
    return ascii(name[:140])


def _damaged(why: str) -> ArchiveDataError:
    return ArchiveDataError("The package database is damaged", why=why)
