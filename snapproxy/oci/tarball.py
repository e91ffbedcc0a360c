"""Tar as image layouts need it: USTAR headers that are a function of name and size, and where each member of someone's tar begins.

Written by hand, because the bytes are hashed: `tarfile` may change its mind between Python versions. Read by hand, because the
tar is a stranger's: nothing is unpacked, and names that lead elsewhere, links, repetitions and false sizes are refused.
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
"""A tar is padded to whole records, as tar(1) and tarfile have it."""

LARGEST = (1 << 33) - 1
"""Bytes of a member at most: eleven octal digits."""

MEMBERS_MOST = 1_000_000
_NAME_FIELD, _PREFIX_FIELD = 100, 155
_EXTENDED_MOST = 64 << 10

_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_CHECKSUM = slice(148, 156)
_BINARY = 0x80
"""First byte of a number that GNU tar writes in base 256."""
_NOT_PRINTABLE = re.compile(rb"[^ -~]")
_EXTENDED = re.compile(rb"([0-9]{1,5}) ([^=\n]+)=")

#: What begins a file that some program packed.
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\0": "xz", b"BZh": "bzip2"}


@dataclass(frozen=True, slots=True)
class TarMember:
    """Where a regular file's bytes lie in a tar."""

    offset: int
    size: int


def header(name: str, size: int, mtime: int, *, is_folder: bool = False) -> bytes:
    """Return the header of a member: nobody's (0:0, no names), 0644 or 0755, at `mtime` (seconds since the epoch).

    Raises ClientError for what USTAR cannot say: a file of 8 GiB, a time after the year 2242, a long name.
    """
    if size > LARGEST or not 0 <= mtime <= LARGEST:
        raise _not_representable("A file has 8 GiB or more, or SOURCE_DATE_EPOCH is no time of this age.")
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
    """Split a path between two folders where it is longer than its field (POSIX pax, "ustar Interchange Format")."""
    path = name.encode("ascii", "replace")
    cut = -1
    if len(path) > _NAME_FIELD:
        cut = path.rfind(b"/", 0, min(_PREFIX_FIELD + 1, len(path) - 1))
        if cut < 0 or len(path) - cut - 1 > _NAME_FIELD:
            raise _not_representable(f"{name} is too long a name.")
    if not name.isascii():
        raise _not_representable(f"{name!a} has other letters than ASCII's.")
    return path[: max(cut, 0)], path[cut + 1 :]


def _not_representable(why: str) -> ClientError:
    return ClientError("This cannot be put into a tar", why=why, hint="Export to oci:DIR instead.")


def padding(size: int, unit: int = BLOCK) -> bytes:
    """Return the zeros that fill `size` bytes up to whole units."""
    return bytes(-size % unit)


def trailer(size: int) -> bytes:
    """Return what ends a tar of `size` bytes: two empty blocks, then zeros up to a whole record."""
    return bytes(2 * BLOCK) + padding(size + 2 * BLOCK, RECORD)


def members(descriptor: int) -> Mapping[str, TarMember]:
    """Find every regular file of a tar, by reading its headers alone. Raises ArchiveDataError for what must not be trusted."""
    found: dict[str, TarMember] = {}
    seen: set[str] = set()
    for name, member, is_folder in _walk(descriptor, os.fstat(descriptor).st_size):
        if name in seen and not is_folder:
            raise _refused(f"{_shown(name)} stands twice")
        seen.add(name)
        if len(seen) > MEMBERS_MOST:
            raise _refused(f"it has more than {MEMBERS_MOST} members")
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
            raise _refused("it ends too early")
        if block == bytes(BLOCK):
            return
        if not _is_sound(block):
            raise _refused("it is no tar, or damaged")
        size, kind = _number(extended.get(b"size"), block), block[156:157]
        offset += BLOCK
        if size > end - offset:
            raise _refused("it ends too early")
        if kind in {b"x", b"g"}:
            if size > _EXTENDED_MOST:
                raise _refused("it has a header that is too long")
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
                why=f"It begins as {program} does.",
                hint=f"Unpack it with {program} first: only files that are not compressed are read at random.",
            )


def _is_sound(block: bytes) -> bool:
    """Whether the checksum agrees (POSIX pax, "ustar Header Block": the sum of all bytes, the field itself as spaces)."""
    text = block[_CHECKSUM].strip(b" \0")
    if not re.fullmatch(rb"[0-7]{1,7}", text):
        return False
    return sum(block) - sum(block[_CHECKSUM]) + 8 * 0x20 == int(text, 8)


def _number(extended: bytes | None, block: bytes) -> int:
    """Return the member's size: from its extended header, in octal, or as GNU tar writes what octal digits cannot hold."""
    if extended is not None:
        if not re.fullmatch(rb"[0-9]{1,19}", extended):
            raise _refused("a size is no number")
        return int(extended)
    field = block[124:136]
    if field[0] == _BINARY:
        return int.from_bytes(field[1:], "big")
    text = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]{0,12}", text):
        raise _refused("a size is no number")
    return int(text or b"0", 8)


def _is_folder(kind: bytes, block: bytes) -> bool:
    if kind == b"5":
        return True
    if kind not in {b"0", b"\0"}:
        raise _refused(f"{_shown(_name(block, {}))} is no regular file (type {kind.decode('latin-1')!r})")
    return False


def _name(block: bytes, extended: Mapping[bytes, bytes]) -> str:
    """Return the member's path below the layout; one that leads out of it is refused."""
    raw = extended.get(b"path")
    if raw is None:
        raw = block[:100].partition(b"\0")[0]
        prefix = block[345:500].partition(b"\0")[0]
        if prefix and block[257:263] == b"ustar\0":
            raw = prefix + b"/" + raw
    if not raw or _NOT_PRINTABLE.search(raw) or raw.startswith(b"/"):
        raise _refused(f"{_shown(raw.decode('latin-1'))} is no path within it")
    parts = [part for part in raw.decode("ascii").split("/") if part not in {"", "."}]
    if ".." in parts:
        raise _refused(f"{_shown(raw.decode('ascii'))} leads out of it")
    return "/".join(parts)


def _read_extended(data: bytes) -> dict[bytes, bytes]:
    r"""Read the records of an extended header: `<length> <key>=<value>\n`."""
    found: dict[bytes, bytes] = {}
    while data:
        record = _EXTENDED.match(data)
        length = int(record[1]) if record else 0
        if record is None or not record.end() < length <= len(data) or data[length - 1 : length] != b"\n":
            raise _refused("an extended header is damaged")
        if record[2].startswith(b"GNU.sparse"):
            raise _refused("it holds a sparse file")
        found[record[2]] = data[record.end() : length - 1]
        data = data[length:]
    return found


def _shown(name: str) -> str:
    return ascii(name[:100])


def _refused(why: str) -> ArchiveDataError:
    return ArchiveDataError("The tar cannot be used as an image layout", why=f"Of the tar: {why}.")
