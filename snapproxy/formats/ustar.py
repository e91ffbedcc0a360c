"""Read the small tar archives in which apk stores signatures, package metadata and indexes: names and contents only.

The standard `tarfile` is made for trusted archives: it reads extended headers of any size and follows sparse maps. In
this module a header is 512 bytes with a checksum, names are short, and a member has exactly the size in its header. A
*cut* archive (apk's signature and control parts) has no end blocks; a complete one ends with two blocks of zeros.
Callers decompress the archive and bound its size.
"""

from __future__ import annotations

from collections.abc import Iterator

from snapproxy.errors import ArchiveDataError

MAX_ENTRIES = 4096
"""Maximum number of members of one archive; apk's have fewer than a dozen."""

_BLOCK = 512
_NAME = slice(0, 100)
_SIZE = slice(124, 136)
_CHECKSUM = slice(148, 156)
_TYPE = 156
_REGULAR = b"0\0"  # POSIX.1 ustar: "0"; older formats: NUL


def entries(data: bytes | bytearray) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of every regular file. Other members, including extended headers, are skipped.

    Raises ArchiveDataError for a damaged header, a truncated member, and more than `MAX_ENTRIES` members.
    """
    at = 0
    for _ in range(MAX_ENTRIES):
        header = bytes(data[at : at + _BLOCK])
        if not header.strip(b"\0"):
            return  # the end blocks, or the end of a cut archive
        size = _size(header)
        start, end = at + _BLOCK, at + _BLOCK + size
        if end > len(data):
            raise _damaged("A member is truncated.")
        if header[_TYPE] in _REGULAR:
            yield header[_NAME].partition(b"\0")[0].decode("utf-8", "replace"), bytes(data[start:end])
        at = start + -(-size // _BLOCK) * _BLOCK
    raise _damaged(f"It has more than {MAX_ENTRIES} members.")


def _size(header: bytes) -> int:
    """Return the size of a member. The header's checksum, which is checked first, is the sum of its bytes.

    In this sum the bytes of the checksum itself are spaces.
    """
    blank = header[: _CHECKSUM.start] + b" " * 8 + header[_CHECKSUM.stop :]
    if len(header) < _BLOCK or _octal(header[_CHECKSUM]) != sum(blank):
        raise _damaged("A header has a wrong checksum.")
    return _octal(header[_SIZE])


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise _damaged("A number in a header is not octal.")
    return int(digits, 8)


def _damaged(why: str) -> ArchiveDataError:
    return ArchiveDataError("A tar archive in the file is damaged", why=why)
