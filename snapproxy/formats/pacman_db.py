"""Read pacman's databases: a tar, compressed or not, with one `<name>-<version>/desc` for each package.

It reads both kinds: `<repo>.db`, and `<repo>.files`, which has a long `files` member for each `desc`. The database is
read as a stream; memory is bounded by one `desc`. `families.pacman` interprets the fields. The module has its own tar
reader because `tarfile` loads the content of long-name headers into memory without a limit, and silently stops at a
damaged header.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from snapproxy.errors import ArchiveDataError, Drop, refuse_entry
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

_BLOCK = 512
_FIELD = re.compile(r"%([A-Z0-9]+)%")
_CHECKSUM = slice(148, 156)
_REGULAR = frozenset({b"0", b"\0"})
_LONG_NAME = b"L"
_EXTENDED = b"x"
_MAX_HEADER_DATA = 64 << 10
# A pax record: "<length> path=<value>\n" (POSIX pax, "Extended header").
_PAX_RECORD = re.compile(rb"([0-9]{1,9}) ([^=]+)=")


def records(chunks: Iterable[bytes], *, wanted: Collection[str], drop: Drop = refuse_entry) -> Iterator[Record]:
    """Yield the `wanted` fields (without their percent signs) of every package's `desc`, in the order of the database.

    A field maps to its lines. A malformed `desc` is dropped. Raises ArchiveDataError if the data is not a tar, is
    damaged or truncated, or exceeds a bound.
    """
    for name, data in _descriptions(_ByteReader(unpack(chunks, max_size=MAX_DATABASE, drop=drop))):
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


class _ByteReader:
    """Read exact numbers of bytes from a stream of pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = b""

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer only at the end of the stream."""
        parts, missing = [], size
        while missing > 0:
            if not self._buffer:
                self._buffer = next(self._pieces, b"")
                if not self._buffer:
                    break
            parts.append(self._buffer[:missing])
            missing -= len(parts[-1])
            self._buffer = self._buffer[len(parts[-1]) :]
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Skip the next `size` bytes. Raises ArchiveDataError if the stream ends before."""
        while size > 0:
            piece = self.take(min(size, 1 << 20))
            if not piece:
                raise _damaged("It ends in the middle of a member.")
            size -= len(piece)

    def drain(self) -> None:
        """Read to the end of the stream, so that the decompressor checks it completely."""
        for _ in self._pieces:
            pass


def _descriptions(source: _ByteReader) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of every `desc` member."""
    long_name = ""
    for _ in range(MAX_MEMBERS):
        header = source.take(_BLOCK)
        if not header.strip(b"\0") and len(header) in {0, _BLOCK}:
            if not header:
                raise _damaged("Its end-of-archive mark is missing.")
            source.drain()
            return
        name, kind, size = _read_header(header)
        padding = -size % _BLOCK
        if kind in {_LONG_NAME, _EXTENDED}:
            data = _read_member(source, size, _MAX_HEADER_DATA, "a header")
            long_name = _text(data) if kind == _LONG_NAME else _pax_path(data) or long_name
        else:
            name, long_name = long_name or name, ""
            if len(name) > MAX_NAME:
                raise _damaged(f"A member's name is longer than {MAX_NAME} characters.")
            if kind in _REGULAR and name.endswith("/desc"):
                yield name, _read_member(source, size, MAX_DESC, name)
            else:
                source.skip(size)
        source.skip(padding)
    raise _damaged(f"It has more than {MAX_MEMBERS} members.")


def _read_member(source: _ByteReader, size: int, most: int, name: str) -> bytes:
    if size > most:
        raise _damaged(f"{_quoted(name)} has {size} bytes; the limit is {most}.")
    data = source.take(size)
    if len(data) != size:
        raise _damaged("It ends in the middle of a member.")
    return data


def _read_header(header: bytes) -> tuple[str, bytes, int]:
    """Return the name, type and size of a member from its header (POSIX ustar)."""
    if len(header) != _BLOCK:
        raise _damaged("It ends in the middle of a header.")
    blank = header[: _CHECKSUM.start] + b" " * 8 + header[_CHECKSUM.stop :]
    if _octal(header[_CHECKSUM]) != sum(blank):
        raise _damaged("A header has a wrong checksum.")
    name, prefix = _text(header[:100]), ""
    if header[257:263] == b"ustar\0":  # GNU's format uses the bytes of the prefix for other fields
        prefix = _text(header[345:500])
    return f"{prefix}/{name}" if prefix else name, header[156:157], _octal(header[124:136])


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]{1,12}", digits):
        raise _damaged("A number in a header is malformed.")
    return int(digits, 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _pax_path(data: bytes) -> str:
    """Return the path in an extended header, '' if it has none."""
    path = ""
    while data:
        record = _PAX_RECORD.match(data)
        length = int(record[1]) if record else 0
        if record is None or not record.end() < length <= len(data) or data[length - 1 : length] != b"\n":
            raise _damaged("An extended header is malformed.")
        if record[2] == b"path":
            path = data[record.end() : length - 1].decode("utf-8", "surrogateescape")
        data = data[length:]
    return path


def _quoted(name: str) -> str:
    return ascii(name[:140])


def _damaged(why: str) -> ArchiveDataError:
    return ArchiveDataError("The package database is damaged", why=why)
