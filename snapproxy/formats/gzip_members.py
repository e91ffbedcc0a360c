"""Takes gzip members apart: apk's files are several in a row, and what counts is where one ends (apk-package(5), apk-v2(5)).

`formats.unpack` joins members, as gzip has it; here each is a part with a meaning of its own.
"""

from __future__ import annotations

import zlib

from snapproxy.errors import ArchiveDataError


class GzipMember:
    """One member that arrives piece by piece. `unpacked` holds what has come out of it so far, `most` bytes at the most."""

    def __init__(self, most: int) -> None:
        self._inner = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._most = most
        self.unpacked = bytearray()

    @property
    def is_whole(self) -> bool:
        """Whether its end has arrived."""
        return self._inner.eof

    def take(self, data: bytes | memoryview) -> int:
        """Take what belongs to this member, and return how many bytes of `data` that was.

        Raises ArchiveDataError when it is damaged or unpacks to more than it may.
        """
        try:
            self.unpacked += self._inner.decompress(data, self._most + 1 - len(self.unpacked))
        except zlib.error as error:
            raise ArchiveDataError("A gzip part is damaged", why=f"Unpacking says: {error}") from error
        if len(self.unpacked) > self._most:
            raise ArchiveDataError("A gzip part is too large", why=f"It unpacks to more than {self._most} bytes.")
        return len(data) - len(self._inner.unused_data)
