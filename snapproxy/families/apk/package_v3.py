"""Check a package of version 3 while it is downloaded: the digest of its metadata, and the digest of each file in it.

The metadata are the decompressed ADB block, so the identity does not depend on the compression of the container. apk
accepts a package whose metadata have the digest in the index, and then checks each file by the digest in the metadata.
But it treats an identity of 160 bits as the package's own id (`__adb_handle_identity`), and requires the package's
signature. In this module an identity of 160 bits must be either that id, which is verified, or the sha256 of the
metadata truncated to 160 bits (`apk mkndx --hash sha256-160`). Signatures in packages are ignored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from snapproxy.errors import ArchiveDataError
from snapproxy.families.apk.identity import IDENTITY
from snapproxy.formats.adb_blocks import PACKAGE, Container
from snapproxy.formats.adb_package import DataFile, data_files, unique_id

_CUT = 160  # bits


class MetadataParts:
    """Check the blocks of one package; implements `core.model.Checker` and `adb_blocks.Receiver`.

    The first violation is returned by `finish`.
    """

    def __init__(self, bits: int, expected: str) -> None:
        self._bits = bits
        self._expected = expected
        self._container = Container(self)
        self._files: Iterator[DataFile] = iter(())
        self._hash = hashlib.sha256()
        self._damage = ""

    def update(self, data: bytes | memoryview) -> None:
        if not self._damage:
            try:
                self._container.take(data)
            except ArchiveDataError as error:
                self._damage = error.reason  # short enough for a reason phrase

    def finish(self) -> str | None:
        if self._damage:
            return self._damage
        if not self._container.is_whole:
            return "the package is truncated"
        try:
            return None if next(self._files, None) is None else "a file in it is missing"
        except ArchiveDataError as error:
            return error.reason

    def schema(self, number: int) -> None:
        if number != PACKAGE:
            raise ArchiveDataError("the adb file is not a package")

    def metadata(self, block: bytes) -> None:
        if self._expected not in _identities(self._bits, block):
            raise ArchiveDataError(f"{IDENTITY}{self._bits} differs")
        self._files = data_files(block)

    def signature(self, block: bytes) -> None:
        """Ignore the signature: the index lists the package."""

    def begin_file(self, folder: int, file: int, size: int) -> None:
        expected = next(self._files, None)
        if expected is None or (expected.folder, expected.file, expected.size) != (folder, file, size):
            raise ArchiveDataError("a file in it is out of order")
        self._file = expected
        self._hash = hashlib.new(expected.algorithm, usedforsecurity=False)

    def data(self, piece: memoryview) -> None:
        self._hash.update(piece)

    def end_file(self) -> None:
        if self._hash.hexdigest() != self._file.digest:
            raise ArchiveDataError(f"{self._file.algorithm} of a file in it differs")


def _identities(bits: int, block: bytes) -> set[str]:
    """Return the identities that an index may give for these metadata, in hex."""
    if bits == _CUT:
        own = unique_id(block)
        return {hashlib.sha256(block).hexdigest()[: _CUT // 4], *([own.hex()] if own else [])}
    return {hashlib.new(f"sha{bits}", block).hexdigest()}
