"""Read APKINDEX.tar.gz, apk's index of version 2: the signatures, the bytes that they cover, and the listed packages.

The file is a sequence of gzip members: one for each signature (a tar without end blocks, with `.SIGN.<ALG>.<key>`),
then one with the index (a tar of DESCRIPTION and APKINDEX). A signature covers the *compressed* bytes after it. Content
other than signatures before the index, and any content after it, is therefore an error: no signature would cover it.
Callers verify the signatures.

The records are those of apk's `apk_pkg_add_info`: lines of a letter, a colon and a value, an empty line after each
package.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from snapproxy.errors import ArchiveDataError, Drop, refuse_entry
from snapproxy.formats.gzip_members import GzipMember
from snapproxy.formats.ustar import entries

MAX_PACKED = 64 << 20
"""Maximum bytes of an index; Alpine's largest (community) has about 2.5 MB."""
MAX_UNPACKED = 256 << 20
"""Maximum decompressed size of an index in bytes; community has about 10 MB."""
MAX_SIGNATURES = 16
"""Maximum number of members before the index; `abuild-sign` writes one."""

_SIGNATURE = ".SIGN."
_INDEX = "APKINDEX"
_CHECKSUM = re.compile(r"(?P<encoding>[QX])[12](?P<digest>[0-9A-Za-z+/=]+)")
_ALGORITHM = {20: "sha1", 32: "sha256"}
_SIZE = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class ApkSignature:
    """One signature: `algorithm` and `key` from its file name (`RSA`, `builder-1.rsa.pub`), and its bytes."""

    algorithm: str
    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class ApkIndex:
    """A parsed index: its signatures, the offset at which the signed bytes begin, and the text of APKINDEX."""

    signatures: tuple[ApkSignature, ...]
    start: int
    text: bytes


@dataclass(frozen=True, slots=True)
class ApkEntry:
    """One package.

    `digest` is the `algorithm` digest of its compressed control part, in hex; `size` is that of the whole file in
    bytes. `architecture` and `origin` (the name of its source) are '' if the index does not have them.
    """

    name: str
    version: str
    size: int | None
    algorithm: str
    digest: str
    architecture: str = ""
    origin: str = ""


def read_whole(chunks: Iterable[bytes]) -> bytes:
    """Return the bytes of an index in one piece. Raises ArchiveDataError above `MAX_PACKED` bytes."""
    whole = bytearray()
    for chunk in chunks:
        whole += chunk
        if len(whole) > MAX_PACKED:
            raise ArchiveDataError("The root is too large", why=f"It has more than {MAX_PACKED} bytes.")
    return bytes(whole)


def open_index(data: bytes) -> ApkIndex:
    """Parse an APKINDEX.tar.gz. Raises ArchiveDataError if it is damaged, too large, or not an index."""
    if len(data) > MAX_PACKED:
        raise ArchiveDataError("The index is too large", why=f"It has more than {MAX_PACKED} bytes.")
    signatures: list[ApkSignature] = []
    start = 0
    for _ in range(MAX_SIGNATURES + 1):
        member = GzipMember(MAX_UNPACKED)
        end = start + member.take(memoryview(data)[start:])
        if not member.is_whole:
            raise ArchiveDataError("The index is truncated", why="A gzip member is incomplete.")
        files = list(entries(member.unpacked))
        if not any(name.startswith(_SIGNATURE) for name, _ in files):
            if end != len(data):
                raise ArchiveDataError("The index has trailing bytes", why="No signature covers bytes after its end.")
            return ApkIndex(tuple(signatures), start, _text(files))
        signatures += [_signature(name, value) for name, value in files]
        start = end
    raise ArchiveDataError("The index has too many signatures", why=f"There are more than {MAX_SIGNATURES}.")


def records(text: bytes, *, drop: Drop = refuse_entry) -> Iterator[ApkEntry]:
    """Yield each package of an APKINDEX's text.

    An entry with a malformed line, or without name, version or a valid digest, is dropped; `drop` gets its name and
    version, `NAME-VERSION`.
    """
    lines: list[bytes] = []
    for line in (*text.split(b"\n"), b""):
        if line:
            lines.append(line)
        elif lines:
            fields: dict[bytes, str] = {}
            try:
                _read_fields(lines, fields)
                entry = _entry(fields)
            except ArchiveDataError as error:
                drop(error, "-".join(filter(None, (fields.get(b"P"), fields.get(b"V")))))
            else:
                yield entry
            lines = []


def _read_fields(lines: list[bytes], fields: dict[bytes, str]) -> None:
    """Add the fields of an entry to `fields`. Raises ArchiveDataError at the first malformed line."""
    for line in lines:
        letter, colon, value = line[:1], line[1:2], line[2:]
        if colon != b":":
            raise ArchiveDataError("The index has a malformed line", why=f"The line: {line[:140]!r}.")
        if letter in b"PVSCAo":
            if letter in fields:
                raise ArchiveDataError("An entry of the index has a duplicate field", why=f"The field is {letter!r}.")
            fields[letter] = value.decode("utf-8", "replace")


def _signature(name: str, value: bytes) -> ApkSignature:
    """Parse `.SIGN.<ALG>.<key>`. The key's name contains dots too."""
    mark, _, rest = name[1:].partition(".")
    algorithm, dot, key = rest.partition(".")
    if mark != "SIGN" or not dot or not key:
        raise ArchiveDataError("The index has unsigned parts", why=f"{name[:140]!r} is not a signature file.")
    return ApkSignature(algorithm, key, value)


def _text(files: list[tuple[str, bytes]]) -> bytes:
    found = [content for name, content in files if name == _INDEX]
    if len(found) != 1:
        raise ArchiveDataError("The index has no list of packages", why=f"It has {len(found)} files named {_INDEX}.")
    return found[0]


def _entry(fields: dict[bytes, str]) -> ApkEntry:
    name, version, size = fields.get(b"P", ""), fields.get(b"V", ""), fields.get(b"S")
    if not name or not version:
        raise ArchiveDataError(
            "An entry of the index has no name", why=f"Its name is {name!r}, its version {version!r}."
        )
    if size is not None and not _SIZE.fullmatch(size):
        raise ArchiveDataError("An entry of the index has a malformed size", why=f"The size: {size[:140]!r}.")
    algorithm, digest = checksum(fields.get(b"C", ""))
    return ApkEntry(
        name,
        version,
        None if size is None else int(size),
        algorithm,
        digest,
        fields.get(b"A", ""),
        fields.get(b"o", ""),
    )


def checksum(text: str) -> tuple[str, str]:
    """Parse `Q1` and base64, or `X1` and hex; return the algorithm and the digest in hex.

    The length determines the algorithm, as in apk's `apk_blob_pull_digest`. Raises ArchiveDataError.
    """
    match = _CHECKSUM.fullmatch(text)
    try:
        value = b"" if match is None else _DECODE[match["encoding"]](match["digest"])
    except (binascii.Error, ValueError):
        value = b""
    if len(value) not in _ALGORITHM:
        raise ArchiveDataError("An index has a malformed digest", why=f"Not an apk digest: {text[:140]!r}")
    return _ALGORITHM[len(value)], value.hex()


_DECODE = {"Q": lambda text: b64decode(text, validate=True), "X": bytes.fromhex}
