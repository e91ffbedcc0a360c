"""Write USTAR headers that depend only on name, size and time, and find the members of an untrusted tar.

Python's `tarfile` is not used for writing, because the bytes are hashed and its output may change between Python
versions; nor for reading, because the tar is not trusted: nothing is unpacked, and names that lead elsewhere, links,
repeated names and wrong sizes are refused.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from snapproxy.errors import ArchiveDataError, ClientError

BLOCK = 512
RECORD = 20 * BLOCK
"""A tar is padded to whole records of this size, as by tar(1) and tarfile."""

LARGEST = (1 << 33) - 1
"""Maximum size of a member in bytes: eleven octal digits."""

MEMBERS_MOST = 1_000_000
_NAME_FIELD, _PREFIX_FIELD = 100, 155
_EXTENDED_MOST = 64 << 10

_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_CHECKSUM = slice(148, 156)
_BINARY = 0x80
"""The first byte of a number that GNU tar writes in base 256."""
_NOT_PRINTABLE = re.compile(rb"[^ -~]")
_EXTENDED = re.compile(rb"([0-9]{1,5}) ([^=\n]+)=")

#: The first bytes of compressed files, by program.
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\0": "xz", b"BZh": "bzip2"}


@dataclass(frozen=True, slots=True)
class TarMember:
    """The position of a regular file's bytes in a tar."""

    offset: int
    size: int


def header(name: str, size: int, mtime: int, *, is_folder: bool = False) -> bytes:
    """Return the header of a member: owner 0:0 (no names), mode 0644 or 0755, `mtime` in seconds since the epoch.

    Raises ClientError for values that USTAR cannot represent: a file of 8 GiB, a time after the year 2242, a long name.
    """
    if size > LARGEST or not 0 <= mtime <= LARGEST:
        raise _not_representable("A file has 8 GiB or more, or SOURCE_DATE_EPOCH is before 1970 or after 2242.")
    prefix, name_field = _split(name)
    fields = (
        name_field,
        b"0000755\0" if is_folder else b"0000644\0",
        b"0000000\0",
        b"0000000\0",
        b"%011o\0" % size,
        b"%011o\0" % mtime,
        b" " * 8,
        b"5" if is_folder else b"0",
        b"",
        b"ustar\x0000",
        b"",
        b"",
        b"",
        b"",
        prefix,
    )
    block = _HEADER.pack(*fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _split(name: str) -> tuple[bytes, bytes]:
    """Split a path that is longer than its field at a slash (POSIX pax, "ustar Interchange Format")."""
    path = name.encode("ascii", "replace")
    cut = -1
    if len(path) > _NAME_FIELD:
        cut = path.rfind(b"/", 0, min(_PREFIX_FIELD + 1, len(path) - 1))
        if cut < 0 or len(path) - cut - 1 > _NAME_FIELD:
            raise _not_representable(f"The name {name} is too long.")
    if not name.isascii():
        raise _not_representable(f"The name {name!a} contains characters outside ASCII.")
    return path[: max(cut, 0)], path[cut + 1 :]


def _not_representable(why: str) -> ClientError:
    return ClientError("The artifact cannot be written as a tar", why=why, hint="Export to oci:DIR instead.")


def padding(size: int, unit: int = BLOCK) -> bytes:
    """Return the zeros that fill `size` bytes up to whole units."""
    return bytes(-size % unit)


def trailer(size: int) -> bytes:
    """Return the end of a tar of `size` bytes: two empty blocks, then zeros up to a whole record."""
    return bytes(2 * BLOCK) + padding(size + 2 * BLOCK, RECORD)


def members(descriptor: int) -> Mapping[str, TarMember]:
    """Find every regular file of a tar by reading only its headers.

    Raises ArchiveDataError for a tar that is not acceptable.
    """
    found: dict[str, TarMember] = {}
    seen: set[str] = set()
    for name, member, is_folder in _walk(descriptor, os.fstat(descriptor).st_size):
        if name in seen and not is_folder:
            raise _refused(f"It contains {_shown(name)} twice")
        seen.add(name)
        if len(seen) > MEMBERS_MOST:
            raise _refused(f"It has more than {MEMBERS_MOST} members")
        if not is_folder:
            found[name] = member
    return found


def _walk(descriptor: int, end: int) -> Iterator[tuple[str, TarMember, bool]]:
    offset, extended = 0, dict[bytes, bytes]()
    while True:
        block = os.pread(descriptor, BLOCK, offset)
        if offset == 0:
            _refuse_compressed(block)
        if len(block) < BLOCK:
            raise _refused("It ends too early")
        if block == bytes(BLOCK):
            return
        if not _is_sound(block):
            raise _refused("It is not a tar, or it is damaged")
        size, kind = _number(extended.get(b"size"), block), block[156:157]
        offset += BLOCK
        if size > end - offset:
            raise _refused("It ends too early")
        if kind in {b"x", b"g"}:
            if size > _EXTENDED_MOST:
                raise _refused("It has a header that is too long")
            extended = _read_extended(os.pread(descriptor, size, offset)) if kind == b"x" else {}
        else:
            yield _name(block, extended), TarMember(offset, size), _is_folder(kind, block)
            extended = {}
        offset += size + len(padding(size))


def _refuse_compressed(block: bytes) -> None:
    for magic, program in _PACKED.items():
        if block.startswith(magic):
            raise ArchiveDataError(
                "The tar is compressed, and cannot be read in place",
                why=f"It has the signature of {program}; only an uncompressed file allows random access.",
                hint=f"Decompress it with {program} first.",
            )


def _is_sound(block: bytes) -> bool:
    """Return whether the checksum matches: the sum of all bytes, itself as spaces (POSIX pax, "ustar Header Block")."""
    text = block[_CHECKSUM].strip(b" \0")
    if not re.fullmatch(rb"[0-7]{1,7}", text):
        return False
    return sum(block) - sum(block[_CHECKSUM]) + 8 * 0x20 == int(text, 8)


def _number(extended: bytes | None, block: bytes) -> int:
    """Return the size of a member: from its extended header, in octal, or in the base 256 of GNU tar."""
    if extended is not None:
        if not re.fullmatch(rb"[0-9]{1,19}", extended):
            raise _refused("A size is not a number")
        return int(extended)
    field = block[124:136]
    if field[0] == _BINARY:
        return int.from_bytes(field[1:], "big")
    text = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]{0,12}", text):
        raise _refused("A size is not a number")
    return int(text or b"0", 8)


def _is_folder(kind: bytes, block: bytes) -> bool:
    if kind == b"5":
        return True
    if kind not in {b"0", b"\0"}:
        raise _refused(f"{_shown(_name(block, {}))} is not a regular file (type {kind.decode('latin-1')!r})")
    return False


def _name(block: bytes, extended: Mapping[bytes, bytes]) -> str:
    """Return the path of a member within the layout. Raises ArchiveDataError for a path outside of it."""
    raw = extended.get(b"path")
    if raw is None:
        raw = block[:100].partition(b"\0")[0]
        prefix = block[345:500].partition(b"\0")[0]
        if prefix and block[257:263] == b"ustar\0":
            raw = prefix + b"/" + raw
    if not raw or _NOT_PRINTABLE.search(raw) or raw.startswith(b"/"):
        raise _refused(f"{_shown(raw.decode('latin-1'))} is not a relative path of printable characters")
    parts = [part for part in raw.decode("ascii").split("/") if part not in {"", "."}]
    if ".." in parts:
        raise _refused(f"{_shown(raw.decode('ascii'))} leads out of it")
    return "/".join(parts)


def _read_extended(data: bytes) -> dict[bytes, bytes]:
    r"""Parse the records of an extended header: `<length> <key>=<value>\n`."""
    found: dict[bytes, bytes] = {}
    while data:
        record = _EXTENDED.match(data)
        length = int(record[1]) if record else 0
        if record is None or not record.end() < length <= len(data) or data[length - 1 : length] != b"\n":
            raise _refused("An extended header is damaged")
        if record[2].startswith(b"GNU.sparse"):
            raise _refused("It contains a sparse file")
        found[record[2]] = data[record.end() : length - 1]
        data = data[length:]
    return found


def _shown(name: str) -> str:
    return ascii(name[:100])


def _refused(why: str) -> ArchiveDataError:
    return ArchiveDataError("The tar cannot be used as an image layout", why=f"{why}.")
