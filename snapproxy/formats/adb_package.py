"""Read the metadata of an apk package of version 3: the files that follow, their order and their digests.

The order is that of extract_v3.c of apk-tools 3.0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.adb import Values, field

MAX_FILES = 1 << 20
"""Maximum number of folders and files of one package; the largest packages have about ten thousand."""

_MAX_FIELDS = 256
_INFO, _FOLDERS = 1, 2
_HASHES = 3  # of the info
_FILES = 3  # of a folder
_SIZE, _DIGEST, _TARGET = 3, 5, 6  # of a file
_LONGEST_TARGET = 8192
_ALGORITHMS = {20: "sha1", 32: "sha256", 64: "sha512"}
_UNIQUE_ID = 20


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file whose content follows the metadata.

    `folder` and `file` are its indexes in the metadata, counted from 1; `size` is in bytes, `digest` in hex.
    """

    folder: int
    file: int
    size: int
    algorithm: str
    digest: str


def data_files(block: bytes) -> Iterator[DataFile]:
    """Yield the files that have a DATA block, in the order of the blocks.

    Empty files and entries with a target (links, devices) have no DATA block. Raises ArchiveDataError if the metadata
    cannot be parsed or list a file without a digest.
    """
    values = Values(block)
    root = values.fields(values.root, _MAX_FIELDS)
    seen = 0
    for folder, value in enumerate(values.fields(field(root, _FOLDERS), MAX_FILES), 1):
        files = values.fields(field(values.fields(value, _MAX_FIELDS), _FILES), MAX_FILES)
        seen += 1 + len(files)
        if seen > MAX_FILES:
            raise ArchiveDataError("The package has too many files", why=f"It has more than {MAX_FILES}.")
        for number, each in enumerate(files, 1):
            fields = values.fields(each, _MAX_FIELDS)
            size = values.number(field(fields, _SIZE))
            if not size or values.span(field(fields, _TARGET), _LONGEST_TARGET) is not None:
                continue
            digest = values.string(field(fields, _DIGEST), max(_ALGORITHMS))
            if len(digest) not in _ALGORITHMS:
                raise ArchiveDataError("A file of the package has no digest", why=f"File {number} of folder {folder}.")
            yield DataFile(folder, number, size, _ALGORITHMS[len(digest)], digest.hex())


def unique_id(block: bytes) -> bytes | None:
    """Return the package's own id if the metadata contain a correct one, otherwise None.

    The id is the sha256, truncated to 20 bytes, of the metadata with the id field zeroed.
    """
    values = Values(block)
    info = values.fields(field(values.fields(values.root, _MAX_FIELDS), _INFO), _MAX_FIELDS)
    span = values.span(field(info, _HASHES), max(_ALGORITHMS))
    if span is None or span[1] - span[0] != _UNIQUE_ID:
        return None
    start, end = span
    digest = hashlib.sha256(block[:start] + bytes(_UNIQUE_ID) + block[end:]).digest()[:_UNIQUE_ID]
    return digest if digest == block[start:end] else None
