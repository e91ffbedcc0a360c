"""Decompress gzip members one by one. apk's files are sequences of members (apk-package(5), apk-v2(5)).

`formats.unpack` concatenates the members, as gzip does. In apk's files each member is a separate part, and the offset
at which it ends is needed.
"""

from __future__ import annotations

import zlib

from snapproxy.errors import ArchiveDataError


class GzipMember:
    """One member, decompressed piece by piece. `unpacked` is the output so far, limited to `most` bytes."""

    def __init__(self, most: int) -> None:
        self._inner = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._most = most
        self.unpacked = bytearray()

    @property
    def is_whole(self) -> bool:
        """Whether the end of the member was reached."""
        return self._inner.eof

    def take(self, data: bytes | memoryview) -> int:
        """Decompress the bytes of `data` that are part of this member, and return their number.

        Raises ArchiveDataError if the member is damaged or decompresses to more than `most` bytes.
        """
        try:
            self.unpacked += self._inner.decompress(data, self._most + 1 - len(self.unpacked))
        except zlib.error as error:
            raise ArchiveDataError("A gzip member is damaged", why=f"Decompression failed: {error}") from error
        if len(self.unpacked) > self._most:
            raise ArchiveDataError("A gzip member is too large", why=f"It decompresses to over {self._most} bytes.")
        return len(data) - len(self._inner.unused_data)
