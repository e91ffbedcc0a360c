"""Reads APKINDEX.tar.gz, apk's index of version 2: which signatures it carries, over which of its bytes, and what it lists.

The file is gzip members in a row: one a signature (a cut tar with `.SIGN.<ALG>.<key>`), then one with the index (a tar of DESCRIPTION and
APKINDEX). A signature covers the *packed* bytes after it. So nothing but signatures may stand before the index, and nothing after it:
what a reader takes from there nobody has signed. Checking signatures is left to others.

The records are those of apk's `apk_pkg_add_info`: lines of a letter, a colon and a value, an empty line after each package.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.gzip_members import GzipMember
from snapproxy.formats.ustar import entries

MAX_PACKED = 64 << 20
"""Bytes of an index; Alpine's largest (community) has about 2.5 MB."""
MAX_UNPACKED = 256 << 20
"""Bytes it may unpack to; community has about 10 MB."""
MAX_SIGNATURES = 16
"""Members before the index; `abuild-sign` writes one."""

_SIGNATURE = ".SIGN."
_INDEX = "APKINDEX"
_CHECKSUM = re.compile(r"(?P<encoding>[QX])[12](?P<digest>[0-9A-Za-z+/=]+)")
_ALGORITHM = {20: "sha1", 32: "sha256"}
_SIZE = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class ApkSignature:
    """One signature: `algorithm` and `key` as its name says them (`RSA`, `builder-1.rsa.pub`), and its bytes."""

    algorithm: str
    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class ApkIndex:
    """An index taken apart: its signatures, where the bytes begin that they cover, and the text of APKINDEX."""

    signatures: tuple[ApkSignature, ...]
    start: int
    text: bytes


@dataclass(frozen=True, slots=True)
class ApkEntry:
    """One package. `digest` is that of its control part (packed), in hex, by `algorithm`; `size` that of the whole file in bytes.

    `architecture` and `origin` (what it was built from) are '' where they are not said.
    """

    name: str
    version: str
    size: int | None
    algorithm: str
    digest: str
    architecture: str = ""
    origin: str = ""


def read_whole(chunks: Iterable[bytes]) -> bytes:
    """Return the bytes of an index in one piece. Raises ArchiveDataError when they are too many."""
    whole = bytearray()
    for chunk in chunks:
        whole += chunk
        if len(whole) > MAX_PACKED:
            raise ArchiveDataError("The root is too large", why=f"It has more than {MAX_PACKED} bytes.")
    return bytes(whole)


def open_index(data: bytes) -> ApkIndex:
    """Return the parts of an APKINDEX.tar.gz. Raises ArchiveDataError when it is damaged, too large, or not of this shape."""
    if len(data) > MAX_PACKED:
        raise ArchiveDataError("The index is too large", why=f"It has more than {MAX_PACKED} bytes.")
    signatures: list[ApkSignature] = []
    start = 0
    for _ in range(MAX_SIGNATURES + 1):
        member = GzipMember(MAX_UNPACKED)
        end = start + member.take(memoryview(data)[start:])
        if not member.is_whole:
            raise ArchiveDataError("The index is cut short", why="A gzip member has no end.")
        files = list(entries(member.unpacked))
        if not any(name.startswith(_SIGNATURE) for name, _ in files):
            if end != len(data):
                raise ArchiveDataError("The index has trailing bytes", why="Nobody has signed what follows it.")
            return ApkIndex(tuple(signatures), start, _text(files))
        signatures += [_signature(name, value) for name, value in files]
        start = end
    raise ArchiveDataError("The index has too many signatures", why=f"There are more than {MAX_SIGNATURES}.")


def records(text: bytes) -> Iterator[ApkEntry]:
    """Yield each package of an APKINDEX's text. Raises ArchiveDataError for one without name, version or a digest we can read."""
    fields: dict[bytes, str] = {}
    for line in (*text.split(b"\n"), b""):
        if not line:
            if fields:
                yield _entry(fields)
            fields = {}
            continue
        letter, colon, value = line[:1], line[1:2], line[2:]
        if colon != b":":
            raise ArchiveDataError("The index has a malformed line", why=f"It reads {line[:140]!r}.")
        if letter in b"PVSCAo":
            if letter in fields:
                raise ArchiveDataError("An entry of the index gives a field twice", why=f"The field is {letter!r}.")
            fields[letter] = value.decode("utf-8", "replace")


def _signature(name: str, value: bytes) -> ApkSignature:
    """Read `.SIGN.<ALG>.<key>`; the key's name has dots of its own."""
    mark, _, rest = name[1:].partition(".")
    algorithm, dot, key = rest.partition(".")
    if mark != "SIGN" or not dot or not key:
        raise ArchiveDataError("The index has unsigned parts", why=f"{name[:140]!r} stands among its signatures.")
    return ApkSignature(algorithm, key, value)


def _text(files: list[tuple[str, bytes]]) -> bytes:
    found = [content for name, content in files if name == _INDEX]
    if len(found) != 1:
        raise ArchiveDataError("The index has no list of packages", why=f"{len(found)} files in it are named {_INDEX}.")
    return found[0]


def _entry(fields: dict[bytes, str]) -> ApkEntry:
    name, version, size = fields.get(b"P", ""), fields.get(b"V", ""), fields.get(b"S")
    if not name or not version:
        raise ArchiveDataError(
            "An entry of the index has no name", why=f"Its name is {name!r}, its version {version!r}."
        )
    if size is not None and not _SIZE.fullmatch(size):
        raise ArchiveDataError("An entry of the index has a malformed size", why=f"It reads {size[:140]!r}.")
    algorithm, digest = _checksum(fields.get(b"C", ""))
    return ApkEntry(
        name,
        version,
        None if size is None else int(size),
        algorithm,
        digest,
        fields.get(b"A", ""),
        fields.get(b"o", ""),
    )


def _checksum(text: str) -> tuple[str, str]:
    """Read `Q1` and base64, or `X1` and hex; its length tells the algorithm, as `apk_blob_pull_digest` has it."""
    match = _CHECKSUM.fullmatch(text)
    try:
        value = b"" if match is None else _DECODE[match["encoding"]](match["digest"])
    except (binascii.Error, ValueError):
        value = b""
    if len(value) not in _ALGORITHM:
        raise ArchiveDataError("An index gives a malformed digest", why=f"This is none of apk's: {text[:140]!r}")
    return _ALGORITHM[len(value)], value.hex()


_DECODE = {"Q": lambda text: b64decode(text, validate=True), "X": bytes.fromhex}
