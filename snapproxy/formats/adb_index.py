"""Reads apk's index of version 3 (`Packages.adb`): what it lists, and the signatures that it carries. Checking them is left to others.

A signature covers the schema, its own head and the digest of the ADB block (adb.c, `adb_digest_v0_signature`): so the order of bytes that
is signed stands nowhere in the file, and is put together here. It names its key by the key's own digest, and not by a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.adb import Values, field
from snapproxy.formats.adb_blocks import INDEX, Container

MAX_PACKAGES = 500_000
"""Packages in an index; Alpine's largest has about 30,000."""

_MAX_FIELDS = 256
_MAX_TEXT = 4096
_LONGEST_IDENTITY = 64
# apk's numbers for digests. It knows a sha256 cut to 160 bits as well, by which nothing signs.
_DIGESTS = {3: "sha256", 4: "sha512"}
_SIGNATURE_HEAD = 18
_PACKAGES, _SPEC = 2, 3
_NAME, _VERSION, _HASHES, _ARCH, _ORIGIN, _SIZE = 1, 2, 3, 5, 7, 13


@dataclass(frozen=True, slots=True)
class AdbSignature:
    """One signature: `key` is the first 16 bytes of the sha512 of the public key, in hex, and `signed` what it covers."""

    key: str
    signed: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class AdbEntry:
    """One package. `identity` is a digest of a part of it (`families.apk`), b'' where none is given; `size` that of the file in bytes, 0 if unknown."""

    name: str
    version: str
    architecture: str
    origin: str
    identity: bytes
    size: int


@dataclass(frozen=True, slots=True)
class AdbIndex:
    """An index taken apart. `spec` says where packages are (`${name}-${version}.apk`), '' where the usual place is meant."""

    spec: str
    signatures: tuple[AdbSignature, ...]
    _values: Values

    def entries(self) -> Iterator[AdbEntry]:
        """Yield every package. Raises ArchiveDataError for one without name or version."""
        listed = field(self._values.fields(self._values.root, _MAX_FIELDS), _PACKAGES)
        for value in self._values.fields(listed, MAX_PACKAGES):
            yield _entry(self._values, self._values.fields(value, _MAX_FIELDS))


def open_index(data: bytes) -> AdbIndex:
    """Return the parts of an index. Raises ArchiveDataError when it is damaged, cut short, too large, or something else."""
    parts = _IndexParts()
    container = Container(parts)
    container.take(data)
    if not container.is_whole:
        raise ArchiveDataError("The index is cut short", why="The adb file has no end.")
    values = Values(parts.block)
    spec = _text(values, field(values.fields(values.root, _MAX_FIELDS), _SPEC))
    return AdbIndex(spec, tuple(parts.signatures()), values)


class _IndexParts:
    """Gathers what an index has; fulfils `adb_blocks.Receiver`."""

    def __init__(self) -> None:
        self.block = b""
        self._signatures: list[bytes] = []

    def schema(self, number: int) -> None:
        if number != INDEX:
            raise ArchiveDataError("The adb file is no index", why=f"Its schema is {number:#010x}.")

    def metadata(self, block: bytes) -> None:
        self.block = block

    def signature(self, block: bytes) -> None:
        self._signatures.append(block)

    def begin_file(self, folder: int, file: int, size: int) -> None:
        raise ArchiveDataError(
            "The index has unsigned parts", why=f"It holds a file of {size} bytes ({folder}, {file})."
        )

    def data(self, piece: memoryview) -> None:
        raise AssertionError(f"no file was begun that {len(piece)} bytes could be of")

    def end_file(self) -> None:
        raise AssertionError("no file was begun")

    def signatures(self) -> Iterator[AdbSignature]:
        """Yield the signatures of a kind that is known; others count for nothing, there as here."""
        for block in self._signatures:
            head, value = block[:_SIGNATURE_HEAD], block[_SIGNATURE_HEAD:]
            if not value or head[0] != 0 or head[1] not in _DIGESTS:
                continue
            digest = hashlib.new(_DIGESTS[head[1]], self.block).digest()
            yield AdbSignature(head[2:].hex(), INDEX.to_bytes(4, "little") + head + digest, value)


def _entry(values: Values, fields: tuple[int, ...]) -> AdbEntry:
    name, version = (_text(values, field(fields, number)) for number in (_NAME, _VERSION))
    if not name or not version:
        raise ArchiveDataError(
            "An entry of the index has no name", why=f"Its name is {name[:140]!r}, its version {version[:140]!r}."
        )
    return AdbEntry(
        name,
        version,
        _text(values, field(fields, _ARCH)),
        _text(values, field(fields, _ORIGIN)),
        values.string(field(fields, _HASHES), _LONGEST_IDENTITY),
        values.number(field(fields, _SIZE)),
    )


def _text(values: Values, value: int) -> str:
    return values.string(value, _MAX_TEXT).decode("utf-8", "replace")
