"""Read an untrusted tar as a stream: one member after the other, in bounded memory.

The module has its own reader because `tarfile` loads the content of long-name headers into memory without a limit, and
silently stops at a damaged header. GNU's and POSIX' long names are read, sparse maps are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from snapproxy.errors import ArchiveDataError

_BLOCK = 512
_CHECKSUM = slice(148, 156)
_REGULAR = frozenset({b"0", b"\0"})
_FOLDER = b"5"
_LONG_NAME = b"L"
_LONG_LINK = b"K"
_EXTENDED = b"x"
_GLOBAL = b"g"
_BINARY = 0x80  # the first byte of a number that GNU tar writes in base 256
_MAX_HEADER_DATA = 64 << 10
_PIECE = 256 << 10
# A pax record: "<length> path=<value>\n" (POSIX pax, "Extended header").
_PAX_RECORD = re.compile(rb"([0-9]{1,9}) ([^=]+)=")
_PAX_SIZE = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class StreamMember:
    """A member of a tar: its name as written, its size in bytes, its kind, its time of change."""

    name: str
    size: int
    is_regular: bool
    modified: int = 0
    is_folder: bool = False


class TarStream:
    """A tar that is read once, from its beginning to its end.

    `damaged` makes the error of a sentence; `max_members` and `max_name` (characters) are limits. `needs_end`: a tar
    without its two empty blocks at the end is damaged; many writers of image layers omit them.
    """

    def __init__(
        self,
        pieces: Iterator[bytes],
        damaged: Callable[[str], ArchiveDataError],
        *,
        max_members: int,
        max_name: int,
        needs_end: bool = True,
    ) -> None:
        self._source = _ByteReader(pieces, damaged)
        self._damaged = damaged
        self._max_members = max_members
        self._max_name = max_name
        self._needs_end = needs_end
        self._left = 0

    def members(self) -> Iterator[StreamMember]:
        """Yield every member except headers of long names. `content` reads the current one, otherwise it is skipped.

        Raises the error of `damaged` if the tar is damaged, truncated or exceeds a limit.
        """
        long_name, long_size = "", None
        for _ in range(self._max_members):
            header = self._source.take(_BLOCK)
            if not header.strip(b"\0") and len(header) in {0, _BLOCK}:
                if not header and self._needs_end:
                    raise self._damaged("Its end-of-archive mark is missing.")
                self._source.drain()
                return
            name, kind, size = self._header(header)
            padding = -size % _BLOCK
            if kind in {_LONG_NAME, _LONG_LINK, _EXTENDED, _GLOBAL}:
                data = self._header_data(size)
                if kind == _LONG_NAME:
                    long_name = _text(data)
                elif kind == _EXTENDED:
                    path, stated = self._pax(data)
                    long_name, long_size = path or long_name, stated
                self._source.skip(padding)
                continue
            name, size = long_name or name, size if long_size is None else long_size
            long_name, long_size = "", None
            if len(name) > self._max_name:
                raise self._damaged(f"A member's name is longer than {self._max_name} characters.")
            self._left = size
            yield StreamMember(name, size, kind in _REGULAR, _modified(header), kind == _FOLDER)
            self._source.skip(self._left + -size % _BLOCK)
        raise self._damaged(f"It has more than {self._max_members} members.")

    def content(self) -> bytes:
        """Return the bytes of the current member, whose size the caller has checked."""
        data = self._source.take(self._left)
        if len(data) != self._left:
            raise self._damaged("It ends in the middle of a member.")
        self._left = 0
        return data

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes of the current member in pieces."""
        while self._left:
            piece = self._source.take(min(self._left, _PIECE))
            if not piece:
                raise self._damaged("It ends in the middle of a member.")
            self._left -= len(piece)
            yield piece

    def _header_data(self, size: int) -> bytes:
        if size > _MAX_HEADER_DATA:
            raise self._damaged(f"a header has {size} bytes; the limit is {_MAX_HEADER_DATA}.")
        data = self._source.take(size)
        if len(data) != size:
            raise self._damaged("It ends in the middle of a member.")
        return data

    def _header(self, header: bytes) -> tuple[str, bytes, int]:
        """Return the name, type and size of a member from its header (POSIX ustar)."""
        if len(header) != _BLOCK:
            raise self._damaged("It ends in the middle of a header.")
        blank = header[: _CHECKSUM.start] + b" " * 8 + header[_CHECKSUM.stop :]
        if self._number(header[_CHECKSUM]) != sum(blank):
            raise self._damaged("A header has a wrong checksum.")
        name, prefix = _text(header[:100]), ""
        if header[257:263] == b"ustar\0":  # GNU's format uses the bytes of the prefix for other fields
            prefix = _text(header[345:500])
        return f"{prefix}/{name}" if prefix else name, header[156:157], self._number(header[124:136])

    def _number(self, field: bytes) -> int:
        if field[0] == _BINARY and not any(field[1:-8]):
            return int.from_bytes(field[-8:], "big")
        digits = field.strip(b" \0")
        if not re.fullmatch(rb"[0-7]{1,12}", digits):
            raise self._damaged("A number in a header is malformed.")
        return int(digits, 8)

    def _pax(self, data: bytes) -> tuple[str, int | None]:
        """Return the path (or '') and the size in an extended header."""
        path, size = "", None
        while data:
            record = _PAX_RECORD.match(data)
            length = int(record[1]) if record else 0
            if record is None or not record.end() < length <= len(data) or data[length - 1 : length] != b"\n":
                raise self._damaged("An extended header is malformed.")
            value = data[record.end() : length - 1]
            if record[2] == b"path":
                path = value.decode("utf-8", "surrogateescape")
            elif record[2] == b"size":
                if not _PAX_SIZE.fullmatch(value):
                    raise self._damaged("A number in a header is malformed.")
                size = int(value)
            data = data[length:]
        return path, size


class _ByteReader:
    """Read exact numbers of bytes from a stream of pieces."""

    def __init__(self, pieces: Iterator[bytes], damaged: Callable[[str], ArchiveDataError]) -> None:
        self._pieces = pieces
        self._damaged = damaged
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
        """Skip the next `size` bytes. Raises an error if the stream ends before."""
        while size > 0:
            piece = self.take(min(size, 1 << 20))
            if not piece:
                raise self._damaged("It ends in the middle of a member.")
            size -= len(piece)

    def drain(self) -> None:
        """Read to the end of the stream, so that the decompressor checks it completely."""
        for _ in self._pieces:
            pass


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _modified(header: bytes) -> int:
    """Return the time of change in seconds, 0 for a malformed one, which is of no consequence."""
    digits = header[136:148].strip(b" \0")
    return int(digits, 8) if re.fullmatch(rb"[0-7]{1,12}", digits) else 0
