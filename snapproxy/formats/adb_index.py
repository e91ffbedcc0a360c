"""Read apk's index of version 3 (`Packages.adb`): the listed packages and the signatures.

Callers verify the signatures. A signature covers the schema, the signature's own head and the digest of the ADB block
(adb.c, `adb_digest_v0_signature`). The signed bytes are therefore not a range of the file; this module assembles them.
A signature names its key by the digest of the public key, not by a file name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from snapproxy.errors import ArchiveDataError, Drop, refuse_entry
from snapproxy.formats.adb import Values, field
from snapproxy.formats.adb_blocks import INDEX, Container

MAX_PACKAGES = 500_000
"""Maximum number of packages in an index; Alpine's largest has about 30,000."""

_MAX_FIELDS = 256
_MAX_TEXT = 4096
_LONGEST_IDENTITY = 64
# apk's numbers of digest algorithms. It also has a sha256 truncated to 160 bits, which no signature uses.
_DIGESTS = {3: "sha256", 4: "sha512"}
_SIGNATURE_HEAD = 18
_PACKAGES, _SPEC = 2, 3
_NAME, _VERSION, _HASHES, _ARCH, _ORIGIN, _SIZE = 1, 2, 3, 5, 7, 13


@dataclass(frozen=True, slots=True)
class AdbSignature:
    """One signature: `key` is the first 16 bytes of the public key's sha512, in hex; `signed` are the signed bytes."""

    key: str
    signed: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class AdbEntry:
    """One package.

    `identity` is the digest of a part of the package (see `families.apk`), b'' if the index has none. `size` is the
    file's size in bytes, 0 if unknown.
    """

    name: str
    version: str
    architecture: str
    origin: str
    identity: bytes
    size: int


@dataclass(frozen=True, slots=True)
class AdbIndex:
    """A parsed index. `spec` is the pattern of package paths (`${name}-${version}.apk`), '' for the default pattern."""

    spec: str
    signatures: tuple[AdbSignature, ...]
    _values: Values

    def entries(self, drop: Drop = refuse_entry) -> Iterator[AdbEntry]:
        """Yield every package. An entry that cannot be read, or has no name or version, is dropped."""
        listed = field(self._values.fields(self._values.root, _MAX_FIELDS), _PACKAGES)
        for value in self._values.fields(listed, MAX_PACKAGES):
            try:
                entry = _entry(self._values, self._values.fields(value, _MAX_FIELDS))
            except ArchiveDataError as error:
                drop(error)
                continue
            yield entry


def open_index(data: bytes) -> AdbIndex:
    """Parse an index. Raises ArchiveDataError if it is damaged, truncated, too large, or not an index."""
    parts = _IndexParts()
    container = Container(parts)
    container.take(data)
    if not container.is_whole:
        raise ArchiveDataError("The index is truncated", why="The adb file is incomplete.")
    values = Values(parts.block)
    spec = _text(values, field(values.fields(values.root, _MAX_FIELDS), _SPEC))
    return AdbIndex(spec, tuple(parts.signatures()), values)


class _IndexParts:
    """Collect the blocks of an index; implements `adb_blocks.Receiver`."""

    def __init__(self) -> None:
        self.block = b""
        self._signatures: list[bytes] = []

    def schema(self, number: int) -> None:
        if number != INDEX:
            raise ArchiveDataError("The adb file is not an index", why=f"Its schema is {number:#010x}.")

    def metadata(self, block: bytes) -> None:
        self.block = block

    def signature(self, block: bytes) -> None:
        self._signatures.append(block)

    def begin_file(self, folder: int, file: int, size: int) -> None:
        raise ArchiveDataError(
            "The index has unsigned parts", why=f"It contains a file of {size} bytes ({folder}, {file})."
        )

    def data(self, piece: memoryview) -> None:
        raise AssertionError(f"{len(piece)} bytes of a file that begin_file refused")

    def end_file(self) -> None:
        raise AssertionError("the end of a file that begin_file refused")

    def signatures(self) -> Iterator[AdbSignature]:
        """Yield the signatures of known kinds. apk ignores the others as well."""
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
